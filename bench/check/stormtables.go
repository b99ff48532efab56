//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// What a storm may cost.
const (
	goalStormMemory = 2.0 // times the memory before
	goalStormFail   = 3.0 // intervals until all are seen failing: two failures in a row, and one interval late
	goalStormLines  = 100 // of log in a second, while targets change: two intervals and the timeout
)

// weathered is the section about mass failures.
func weathered(head string, intervals int, storms []storm) section {
	var out strings.Builder
	out.WriteString(head)
	fmt.Fprintf(&out, "`triage serve`, a new connection for each check. When all targets are healthy they fail at the same moment, for %d intervals, and\n", intervals)
	out.WriteString("then answer again. States and start lags are those that triage tells itself in its metrics, read four times a second.\n\n")
	out.WriteString("| scene | targets | timeout | all unhealthy after | ejected | all healthy again after | start lag | started more than an interval late | latest at the server | neutral checks |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range storms {
		out.WriteString(s.truth())
	}
	out.WriteString("\n| scene | CPU before | in the storm | core used by others | RssAnon before | most | after | most ÷ before | lines logged | requests answered | slowest request | slowest scrape |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range storms {
		out.WriteString(s.cost())
	}
	out.WriteString("\n")
	for _, s := range storms {
		out.WriteString(s.story())
	}
	out.WriteString("\n")
	for _, s := range storms {
		out.WriteString(s.judged())
	}
	title := "Mass failure"
	if len(storms) > 0 {
		title = fmt.Sprintf("Mass failure, every %s", storms[0].interval)
	}
	return section{title, out.String()}
}

func (s storm) truth() string {
	if s.fault != nil {
		return fmt.Sprintf("| %s | %s | %s | - | - | - | - | - | - | - |\n", s.name, thousands(s.targets), s.timeout())
	}
	server := "-"
	if s.overdue != 0 {
		server = millis(s.overdue)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", s.name, thousands(s.targets), s.timeout(),
		s.intervals(s.failing), thousands(s.ejected), s.intervals(s.restored), s.lag, thousands(s.lag.late), server,
		thousands(s.verdicts["neutral"]))
}

// intervals writes how long something took, counted in intervals too.
func (s storm) intervals(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f s, %.1f intervals", d.Seconds(), float64(d)/float64(s.interval))
}

func (s storm) cost() string {
	if s.fault != nil {
		return fmt.Sprintf("| %s | - | - | - | - | - | - | - | - | - | - | - |\n", s.name)
	}
	asked := total(s.visits.answers)
	return fmt.Sprintf("| %s | %.0f %% | %.0f %% | %.0f %% | %s | %s | %s | %.2f × | %s | %s of %s | %s | %s |\n", s.name, 100*s.calm, 100*s.rough, 100*s.others,
		bytesText(float64(s.before)), bytesText(float64(s.peak)), bytesText(float64(s.after)), s.growth(), thousands(total(s.log)),
		thousands(asked-s.visits.answers[noAnswer]), thousands(asked), millis(s.visits.slowest), millis(s.slowestScrape))
}

func (s storm) growth() float64 { return float64(s.peak) / float64(max(s.before, 1)) }

// story says in a list what the tables have no room for.
func (s storm) story() string {
	if s.fault != nil {
		return fmt.Sprintf("- %s: not measured: %s\n", s.name, oneLine(s.fault.Error()))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "- %s: %s.", s.name, s.about)
	if s.short {
		perSecond := float64(s.targets) / s.interval.Seconds()
		fmt.Fprintf(&out, " %s checks would be under way; triage may have %s descriptors.",
			thousands(int(perSecond*s.timeout().Seconds())), thousands(s.descriptors))
	}
	fmt.Fprintf(&out, "\n  Checks ended: %s.\n  Requests: %s.\n  Log: %s.\n", most(s.outcomes, 6), most(s.visits.answers, 6), most(s.log, 6))
	if s.unread > 0 {
		fmt.Fprintf(&out, "  The metrics were asked for in vain %d times.\n", s.unread)
	}
	if s.mute {
		out.WriteString("  They could be read again only when the fault was over: the checks that ended in between are counted too.\n")
	}
	return out.String()
}

// judged compares a scene with what was asked for.
func (s storm) judged() string {
	if s.fault != nil {
		return ""
	}
	var out strings.Builder
	judge := func(what string, reached bool, format string, args ...any) {
		fmt.Fprintf(&out, "- %s: %s: **%s**, %s.\n", s.name, what, verdict(reached), fmt.Sprintf(format, args...))
	}
	if s.short {
		judge("nobody ejected", s.ejected == 0, "ejected: %s", thousands(s.ejected))
		judge("neutral checks are counted", s.verdicts["neutral"] > 0, "measured %s", thousands(s.verdicts["neutral"]))
	} else {
		limit := time.Duration(goalStormFail*float64(s.interval)) + s.timeout()
		judge("all seen failing within three intervals and the timeout", s.failing > 0 && s.failing <= limit, "measured %s", s.intervals(s.failing))
		judge("no check late by more than one interval", s.lag.late == 0 && s.overdue <= s.interval,
			"by triage's count %s later than %s, at the server the latest %s", thousands(s.lag.late), s.lag.lateBound, s.atServer())
	}
	judge("all healthy again when the fault is over", s.restored > 0, "measured %s", s.intervals(s.restored))
	judge(fmt.Sprintf("memory bounded, ≤ %.0f × before", goalStormMemory), s.growth() <= goalStormMemory, "measured %.2f ×", s.growth())
	lines := int(goalStormLines * (2*s.interval + s.timeout()).Seconds())
	judge(fmt.Sprintf("events summarised, ≤ %s lines", thousands(lines)), total(s.log) <= lines, "measured %s", thousands(total(s.log)))
	return out.String()
}

func (s storm) atServer() string {
	if s.overdue == 0 {
		return "not seen"
	}
	return millis(s.overdue)
}
