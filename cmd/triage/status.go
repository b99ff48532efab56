package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// statusCommand shows a running balancer: the verdict of each group first, then who is in it and why.
type statusCommand struct {
	adminFlags
	ExitCode bool             `help:"Exit with 1 if a target is unhealthy, a group fails open, or clients are answered 503."`
	Group    triage.GroupName `arg:"" optional:"" help:"Show only this group."`
}

// Run is called by kong.
func (c *statusCommand) Run(env *environment) error {
	client, err := c.client(env)
	if err != nil {
		return err
	}
	status, err := client.Status(env.ctx, c.Group)
	if err != nil {
		return err
	}
	if err := c.otherFile(client, status); err != nil {
		warn(env, []string{err.Error()})
	}
	if c.JSON {
		err = printJSON(env.stdout, status)
	} else {
		report := statusReport{terminal: newTerminal(env, env.stdout), now: time.Now()}
		report.print(status)
	}
	if err != nil {
		return err
	}
	for _, g := range status.Groups {
		if c.ExitCode && tallyOf(g).isBad() {
			return exit(exitUnhealthy)
		}
	}
	return nil
}

// tally counts a group's targets by what people want to know.
type tally struct {
	group                                          triage.GroupName
	total, healthy, bad, initial, draining, unused int
	doubted                                        int
	open                                           int  // could take requests, healthy or not
	failingOpen                                    bool // and do, because none is healthy
	routed                                         bool // clients reach the group
}

func tallyOf(g control.GroupStatus) tally {
	n := tally{group: g.Name, routed: g.Routed}
	for _, t := range g.Targets {
		if t.Reason == triage.DeregistrationInProgress {
			continue // not the group's any more, only finishing what runs
		}
		n.total++
		if t.State != triage.Draining && t.Address != "" {
			n.open++
		}
		if !t.Trusted {
			n.doubted++
		}
		switch {
		case t.State == triage.Draining:
			n.draining++
		case t.State == triage.Unused:
			n.unused++
		case isSick(t):
			n.bad++
		case t.State == triage.Healthy:
			n.healthy++
		case t.State == triage.Initial:
			n.initial++
		}
	}
	n.failingOpen = g.FailingOpen && n.open > 0
	return n
}

// isSick reports whether a target is unhealthy; a name without an address is, whatever its checks said before.
func isSick(t control.TargetStatus) bool {
	return t.State == triage.Unhealthy || t.State == triage.UnhealthyDraining || t.Address == ""
}

// isBad reports whether somebody has to look: a target is sick, or every client is turned away.
func (n tally) isBad() bool { return n.bad > 0 || n.failingOpen || n.isClosed() }

// isClosed reports whether clients come, and there is no target that could ever take a request.
func (n tally) isClosed() bool { return n.routed && n.draining == n.total }

// verdict is the group in one sentence.
func (n tally) verdict() string {
	var s string
	switch {
	case n.total == 0 && n.isClosed():
		s = "no targets: requests are answered 503"
	case n.total == 0:
		s = "no targets"
	case n.isClosed():
		s = "all targets drain: requests are answered 503"
	case n.failingOpen:
		s = fmt.Sprintf("FAILING OPEN: no target is healthy, requests go to %d of %d", n.open, n.total)
	case n.unused == n.total:
		s = "unused: no listener leads to it"
	case n.bad == n.total:
		s = fmt.Sprintf("all %s unhealthy: requests are answered 503", count(n.total, "target"))
	case n.bad > 0:
		s = fmt.Sprintf("%d of %s unhealthy", n.bad, count(n.total, "target"))
	case n.initial > 0:
		s = fmt.Sprintf("%d of %s not checked yet", n.initial, count(n.total, "target"))
	default:
		s = fmt.Sprintf("%d of %s healthy", n.healthy, count(n.total, "target"))
	}
	if n.draining > 0 && n.draining < n.total {
		s += fmt.Sprintf(", %d draining", n.draining)
	}
	if n.doubted > 0 {
		s += fmt.Sprintf(", %d not trustworthy", n.doubted)
	}
	return fmt.Sprintf("%s: %s", n.group, s)
}

// rotation says how many of a group's targets take requests.
func (n tally) rotation() string {
	if n.failingOpen {
		return fmt.Sprintf("no target in rotation is healthy, requests go to %d of %d (failing open)", n.open, n.total)
	}
	return fmt.Sprintf("%d of %s in rotation", n.healthy, count(n.total, "target"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// statusReport prints a status for people.
type statusReport struct {
	*terminal
	now time.Time
}

func (r statusReport) print(s control.Status) {
	if s.Draining {
		r.printf("%s\n", r.amber("the balancer is stopping: what runs may finish, nothing new comes"))
	}
	for _, g := range s.Groups {
		n := tallyOf(g)
		paint := r.green
		switch {
		case n.isBad():
			paint = r.red
		case n.healthy+n.draining < n.total || n.total == 0:
			paint = r.amber
		}
		r.printf("%s\n", paint(wrap(n.verdict(), lineWidth, "  ")))
	}
	if len(s.Groups) == 0 {
		r.printf("no groups\n")
	}
	r.printf("\n")
	for _, l := range s.Listeners {
		r.fact("listener", fmt.Sprintf("%s  %s %s → %s", l.Name, l.Protocol, l.Listen, l.Forward))
	}
	r.fact("balancer", fmt.Sprintf("triage %s, up %s, config %s", s.Version, span(r.now.Sub(s.Since)), s.Config))
	for _, g := range s.Groups {
		r.printf("\n%s %s\n", r.bold(string(g.Name)), r.dim(wrap(r.safe(check(g.HealthCheck)), lineWidth-len(g.Name)-1, "  ")))
		r.targets(g)
	}
}

// fact prints a label and one line, over several lines if it is too long for one.
func (r statusReport) fact(label, text string) {
	if utf8.RuneCountInString(text) > lineWidth-labelWidth {
		text = wrap(text, lineWidth-labelWidth, "")
	}
	r.label(label, text)
}

// check is the settings of a health check in one sentence.
func check(h control.HealthCheckView) string {
	s := "checked over " + string(h.Protocol)
	if h.Port != "traffic-port" {
		s += ", port " + h.Port
	}
	if h.Path != "" {
		s += ", " + h.Path + " for " + h.SuccessCodes
	}
	if h.Host != "" {
		s += ", Host " + h.Host
	}
	s += ", every " + h.Interval
	if h.UnhealthyInterval != "" {
		s += ", every " + h.UnhealthyInterval + " while unhealthy"
	}
	if h.TransitionInterval != "" {
		s += ", every " + h.TransitionInterval + " while changing"
	}
	if h.Jitter != "" {
		s += ", up to " + h.Jitter + " later"
	}
	s += fmt.Sprintf(", timeout %s, out after %d, back after %d", h.Timeout, h.UnhealthyThreshold, h.HealthyThreshold)
	if h.ReuseConnection {
		s += ", connection kept"
	}
	return s
}

// targets prints one row for each target, and under it what is to be said about it.
func (r statusReport) targets(g control.GroupStatus) {
	targets := g.Targets
	stateWidth, nameWidth, lastWidth := len("STATE")-2, len("TARGET"), len("LAST CHECK")
	for _, t := range targets {
		stateWidth = max(stateWidth, len(t.State.String()))
		nameWidth = max(nameWidth, utf8.RuneCountInString(targetName(t)))
		lastWidth = max(lastWidth, len(r.lastCheck(t.LastCheck)))
	}
	nameWidth = min(nameWidth, lineWidth-len("  ● ")-stateWidth-lastWidth-len("      47 days"))
	if len(targets) > 0 {
		r.printf("%s\n", r.dim(fmt.Sprintf("  %-*s  %-*s  %-*s  SINCE", stateWidth+2, "STATE", nameWidth, "TARGET", lastWidth, "LAST CHECK")))
	}
	told := map[string]bool{} // one cure is enough for all that have the same illness
	for _, t := range targets {
		name := r.safe(targetName(t))
		r.printf("  %s  %-*s", r.state(t.State, stateWidth), nameWidth, name)
		if utf8.RuneCountInString(name) > nameWidth { // too long for its column: the rest goes below
			r.printf("\n%*s", 2+stateWidth+2+2+nameWidth, "")
		}
		r.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-*s  %s", lastWidth, r.lastCheck(t.LastCheck), r.since(t)), " "))
		for _, line := range notes(g, t) {
			r.printf("    %s\n", wrap(r.safe(line), lineWidth-4, "    "))
		}
		if d := t.Diagnosis; d != nil && d.Fix != "" && isSick(t) && !told[d.Code] {
			told[d.Code] = true
			r.fix(d.Fix)
		}
	}
}

// fix prints a cure. Its lines that are indented are code, which stays as it is.
func (r statusReport) fix(text string) {
	for i, line := range strings.Split(text, "\n") {
		if i == 0 {
			line = "fix: " + line
		}
		line = r.safe(line)
		if !strings.HasPrefix(line, " ") {
			line = wrap(line, lineWidth-4, "    ")
		}
		r.printf("    %s\n", line)
	}
}

// targetName is the target as written, with its address if that is another text.
func targetName(t control.TargetStatus) string {
	if t.Address == "" || t.Address == string(t.Target) {
		return string(t.Target)
	}
	return fmt.Sprintf("%s (%s)", t.Target, t.Address)
}

// lastCheck is the newest check in a few words: what came back, and when.
func (r statusReport) lastCheck(c *control.CheckView) string {
	if c == nil {
		return "-"
	}
	result := c.Outcome.String()
	switch {
	case c.Outcome == triage.Matched || c.Outcome == triage.CodeMismatch:
		result = fmt.Sprintf("%d in %s", c.Status, took(c.Took))
	case c.Outcome.Verdict() == triage.Pass:
		result += " in " + took(c.Took)
	}
	return fmt.Sprintf("%s, %s ago", result, span(r.now.Sub(c.At)))
}

// took is a duration in milliseconds, in at most 6 columns.
func took(ms float64) string {
	switch {
	case ms < 1:
		return "<1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

func (r statusReport) since(t control.TargetStatus) string {
	if t.Since == nil || t.State == triage.Draining || t.State == triage.Unused {
		return "-"
	}
	return span(r.now.Sub(*t.Since))
}

// span is a length of time as people say it, to one unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// notes is what is to be said about a target: why it is not in rotation, or how near it is to a change.
func notes(g control.GroupStatus, t control.TargetStatus) []string {
	var lines []string
	switch {
	case isSick(t):
		lines = append(lines, cause(t))
		if t.Streak > 0 {
			lines = append(lines, fmt.Sprintf("the last check passed: %d of %d that bring it back", t.Streak, g.HealthCheck.HealthyThreshold))
		}
	case t.State == triage.Draining:
		lines = append(lines, fmt.Sprintf("%s; %s still running", t.Description, count(int(t.InFlight), "request")))
		if t.Reason == triage.AdministrativelyDraining {
			lines = append(lines, fmt.Sprintf("back with: triage target undrain %s %s", g.Name, t.Target))
		}
	case t.Streak > 0:
		lines = append(lines, fmt.Sprintf("the last check failed: %d of %d that take it out", t.Streak, g.HealthCheck.UnhealthyThreshold))
	}
	if !t.Trusted {
		lines = append(lines, "? not trustworthy: the last checks ended by our own fault, so the state is old news")
	}
	return lines
}

// cause is why a target is unhealthy, as exactly as it is known.
func cause(t control.TargetStatus) string {
	if t.Diagnosis != nil && t.Diagnosis.Cause != "" {
		return t.Diagnosis.Cause
	}
	var said []string
	if t.Description != "" {
		said = append(said, t.Description)
	}
	if c := t.LastCheck; c != nil && c.Outcome.Verdict() == triage.Fail && c.Outcome != triage.CodeMismatch {
		said = append(said, c.Outcome.Info().Sentence)
		if c.Detail != "" {
			said = append(said, c.Detail)
		}
	}
	if len(said) == 0 {
		return "the name has no address"
	}
	return strings.Join(said, ": ")
}
