//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The goals of the check engine. Ratios are beside HAProxy in the same round.
const (
	goalFresh     = 1.05       // CPU of a check with a new connection
	goalReuse     = 0.3        // CPU of a check on a kept connection
	goalBase      = 35 << 20   // bytes with 10 targets
	goalPerTarget = 1.2 * 1024 // bytes
	goalLag       = 20 * time.Millisecond
)

func header(now time.Time, versions []string, where string) string {
	return fmt.Sprintf("%s. %s. %s\n\n", now.Format(time.DateOnly), strings.Join(versions, ", "), where)
}

// String is a sample in one line, for the terminal.
func (s sample) String() string {
	return fmt.Sprintf("%s targets: %s per check, %s of %s checks, %s, lag p99 %s, others had %.0f %% of the core",
		thousands(s.targets), micros(s.perCheck()), thousands(s.done), thousands(s.due),
		bytesText(float64(s.memory.anonymous)), millis(s.report.Lag99), 100*s.others())
}

// compared is the section of a comparison.
func compared(w work, head string, rows []*row) section {
	var out strings.Builder
	out.WriteString(head)
	out.WriteString("| checker | CPU per check | beside HAProxy | RssAnon | per target | done / due | connections per check | start lag p50 | p99 | max | core used by others |\n")
	out.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	haproxy := find(rows, "haproxy")
	for _, r := range rows {
		out.WriteString(r.line(haproxy))
	}
	out.WriteString("\n")
	out.WriteString(roundsTable(rows))
	for _, r := range rows {
		if r.fault != nil {
			fmt.Fprintf(&out, "- Not measured: %s\n", oneLine(r.fault.Error()))
			continue
		}
		fmt.Fprintf(&out, "- %s: %s.\n", r.checker.name, r.checker.about)
		if asked := int(r.median(func(s sample) float64 { return float64(s.asked) })); asked < w.targets {
			fmt.Fprintf(&out, "  It asked only %s of the %s targets.\n", thousands(asked), thousands(w.targets))
		}
	}
	out.WriteString("\n")
	if noise := noisiest(rows); noise > 0.1 {
		fmt.Fprintf(&out, "- **Noisy**: in one round other programs used %.0f %% of the core. Measure again on a quiet machine.\n", 100*noise)
	}
	goal(&out, "CPU per check, a new connection each time", goalFresh, ratio(find(rows, "triage"), haproxy))
	goal(&out, "CPU per check, connection kept", goalReuse, ratio(find(rows, "triage-reuse"), haproxy))
	return section{fmt.Sprintf("%s targets every %s", thousands(w.targets), w.interval), out.String()}
}

// goal writes whether a ratio to HAProxy is reached.
func goal(out *strings.Builder, what string, bound, measured float64) {
	switch {
	case measured == 0:
		fmt.Fprintf(out, "- %s: goal ≤ %g × HAProxy's: not measured.\n", what, bound)
	case measured <= bound:
		fmt.Fprintf(out, "- %s: goal ≤ %g × HAProxy's: **reached**, measured %.2f ×.\n", what, bound, measured)
	default:
		fmt.Fprintf(out, "- %s: goal ≤ %g × HAProxy's: **missed**, measured %.2f ×.\n", what, bound, measured)
	}
}

// line is a row of the comparison.
func (r *row) line(haproxy *row) string {
	if len(r.samples) == 0 {
		return fmt.Sprintf("| %s | - | - | - | - | - | - | - | - | - | - |\n", r.checker.name)
	}
	memory := r.median(func(s sample) float64 { return float64(s.memory.anonymous) })
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %.1f %% | %.2f | %s | %s | %s | %.0f %% |\n",
		r.checker.name,
		r.costOfCheck(),
		besideText(r, haproxy),
		bytesText(memory),
		bytesText(memory/float64(r.samples[0].targets)),
		100*r.median(sample.share),
		r.median(sample.connections),
		millis(r.medianTime(func(s sample) time.Duration { return s.report.Lag50 })),
		r.lag99(),
		millis(r.medianTime(func(s sample) time.Duration { return s.report.LagMax })),
		100*r.median(sample.others))
}

// costOfCheck is the CPU time of a check, or a dash if none was done.
func (r *row) costOfCheck() string {
	if cost := r.medianTime(sample.perCheck); cost > 0 {
		return micros(cost)
	}
	return "-"
}

func (r *row) lag99() string {
	return millis(r.medianTime(func(s sample) time.Duration { return s.report.Lag99 }))
}

// besideText is the ratio of two rows, or a dash.
func besideText(r, other *row) string {
	if x := ratio(r, other); x > 0 {
		return fmt.Sprintf("%.2f ×", x)
	}
	return "-"
}

// roundsTable shows the CPU per check of each round, so that the noise can be seen.
func roundsTable(rows []*row) string {
	var out strings.Builder
	out.WriteString("CPU per check, round by round:")
	for _, r := range rows {
		if len(r.samples) == 0 {
			continue
		}
		words := make([]string, len(r.samples))
		for i, s := range r.samples {
			words[i] = micros(s.perCheck())
		}
		fmt.Fprintf(&out, " %s %s;", r.checker.name, strings.Join(words, ", "))
	}
	return strings.TrimSuffix(out.String(), ";") + ".\n\n"
}

// noisiest is the largest part of the core that others used in any round.
func noisiest(rows []*row) float64 {
	most := 0.0
	for _, r := range rows {
		for _, s := range r.samples {
			most = max(most, s.others())
		}
	}
	return most
}

func (r *row) median(of func(sample) float64) float64 {
	values := make([]float64, len(r.samples))
	for i, s := range r.samples {
		values[i] = of(s)
	}
	return median(values)
}

func (r *row) medianTime(of func(sample) time.Duration) time.Duration {
	return time.Duration(r.median(func(s sample) float64 { return float64(of(s)) }))
}

// ratio is the median over the rounds of how much CPU a check costs one and how much it costs the other; 0 if
// a side is missing.
func ratio(one, other *row) float64 {
	if one == nil || other == nil {
		return 0
	}
	var ratios []float64
	for i := range min(len(one.samples), len(other.samples)) {
		if base := other.samples[i].perCheck(); base > 0 {
			ratios = append(ratios, float64(one.samples[i].perCheck())/float64(base))
		}
	}
	return median(ratios)
}

func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func find(rows []*row, name string) *row {
	for _, r := range rows {
		if r.checker.name == name {
			return r
		}
	}
	return nil
}

// remembered is the section about memory.
func remembered(head string, intervals int, base, full held) section {
	var out strings.Builder
	out.WriteString(head)
	fmt.Fprintf(&out, "`triage serve`, a new connection for each check, after %d intervals, and again after a reload of an edited file.%s\n\n", intervals, collected(full.gc))
	out.WriteString("| targets | interval | RssAnon | … after a reload | peak RSS | CPU per check | done / due | start lag p50 | p99 | max | core used by others |\n")
	out.WriteString("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, h := range []held{base, full} {
		s := h.before
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s | %.1f %% | %s | %s | %s | %.0f %% |\n",
			thousands(h.targets), h.interval, bytesText(float64(s.memory.anonymous)), bytesText(float64(h.after.anonymous)),
			bytesText(float64(h.after.peak)), micros(s.perCheck()), 100*s.share(),
			millis(s.report.Lag50), millis(s.report.Lag99), millis(s.report.LagMax), 100*s.others())
	}
	more := float64(full.targets - base.targets)
	before := float64(full.before.memory.anonymous-base.before.memory.anonymous) / more
	after := float64(full.after.anonymous-base.after.anonymous) / more
	fmt.Fprintf(&out, "\n- Memory per target, (RssAnon at %s − RssAnon at %d) / %s, after the reload: goal ≤ %s: **%s**, measured %s (%s before the reload).\n",
		thousands(full.targets), base.targets, thousands(full.targets-base.targets),
		bytesText(goalPerTarget), verdict(after <= goalPerTarget), bytesText(after), bytesText(before))
	fmt.Fprintf(&out, "- Base: goal ≤ %s: **%s**, measured %s.\n",
		bytesText(goalBase), verdict(base.after.anonymous <= goalBase), bytesText(float64(base.after.anonymous)))
	late, share := full.before.report.Lag99, full.before.share()
	fmt.Fprintf(&out, "- Start lag p99 at %s targets every %s: goal ≤ %s with all checks done: **%s**, measured %s with %.1f %% done.\n",
		thousands(full.targets), full.interval, millis(goalLag), verdict(late <= goalLag && share > 0.99), millis(late), 100*share)
	return section{fmt.Sprintf("Memory at %s targets every %s", thousands(full.targets), full.interval), out.String()}
}

// collected says how the garbage collector is set, if triage says so.
func collected(gc string) string {
	if gc == "" {
		return ""
	}
	return fmt.Sprintf(" Its start line says `gc=%s`.", gc)
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "missed"
}

// grown is the section about growth.
func grown(head string, rate int, samples []sample) section {
	var out strings.Builder
	out.WriteString(head)
	out.WriteString("`triage serve`, a new connection for each check.\n\n")
	out.WriteString("| targets | interval | measured for | CPU per check | RssAnon | per target | done / due | core used by others |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range samples {
		interval := time.Duration(s.targets) * time.Second / time.Duration(rate)
		held := float64(s.memory.anonymous)
		fmt.Fprintf(&out, "| %s | %s | %.0f s | %s | %s | %s | %.1f %% | %.0f %% |\n", thousands(s.targets), interval, s.window.Seconds(),
			micros(s.perCheck()), bytesText(held), bytesText(held/float64(s.targets)), 100*s.share(), 100*s.others())
	}
	return section{fmt.Sprintf("Growth at %s checks a second", thousands(rate)), out.String()}
}

func micros(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 1, 64) + " µs"
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + " ms"
}

func bytesText(n float64) string {
	switch {
	case n < 100<<10:
		return strconv.FormatFloat(n/(1<<10), 'f', 2, 64) + " KiB"
	default:
		return strconv.FormatFloat(n/(1<<20), 'f', 1, 64) + " MiB"
	}
}

// thousands writes 100000 as 100,000.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// oneLine makes a message fit into a list.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
