package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// statusCommand shows a running balancer: the verdict of each group first, then who is in it and why.
type statusCommand struct {
	adminFlags
	All      bool             `help:"Show every target of a large group, one by one."`
	ExitCode bool             `help:"Exit with 1 if a target is unhealthy or its checks are not trustworthy, a group fails open, or clients are answered 503."`
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
		report := statusReport{terminal: newTerminal(env, env.stdout), now: time.Now(), all: c.All}
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

// isBad reports whether somebody has to look: a target is sick, or nobody knows, or every client is turned away.
func (n tally) isBad() bool { return n.bad > 0 || n.doubted > 0 || n.failingOpen || n.isClosed() }

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
	all bool // each target of a large group, too
}

// longReport is how many lines a screen may lack for the first ones, so that the verdict is said again at the end.
const longReport = 40

func (r statusReport) print(s control.Status) {
	lines := &lineCounter{to: r.w}
	counted := *r.terminal
	counted.w = lines
	r.terminal = &counted
	if s.Draining {
		r.printf("%s\n", r.amber("the balancer is stopping: what runs may finish, nothing new comes"))
	}
	r.verdicts(s.Groups)
	r.printf("\n")
	for _, l := range s.Listeners {
		r.fact("listener", fmt.Sprintf("%s  %s %s → %s", l.Name, l.Protocol, l.Listen, l.Forward))
	}
	r.fact("balancer", fmt.Sprintf("triage %s, up %s, config %s", s.Version, span(r.now.Sub(s.Since)), s.Config))
	for _, g := range s.Groups {
		r.printf("\n%s %s\n", r.bold(string(g.Name)), r.dim(wrap(r.safe(check(g.HealthCheck)), lineWidth-len(g.Name)-1, "  ")))
		r.outlook(g)
		g.HealthCheck = located(g.HealthCheck, filepath.Dir(s.Config))
		targetReport{statusReport: r, group: g, told: map[string]bool{}}.print()
	}
	if lines.n > longReport {
		r.printf("\n")
		r.verdicts(s.Groups)
	}
}

// outlook prints how soon the group's checks act, and what most of its targets have in common while they fail.
func (r statusReport) outlook(g control.GroupStatus) {
	if p := g.Prediction; p.Detect != (control.Span{}) { // an older balancer does not say
		r.printf("  %s\n", r.dim(wrap(r.safe(foreseen(p)), lineWidth-2, "  ")))
	}
	if g.Together != nil {
		r.printf("  %s\n", r.red(wrap(r.safe(g.Together.Description), lineWidth-2, "  ")))
	}
}

// verdicts prints each group in a sentence.
func (r statusReport) verdicts(groups []control.GroupStatus) {
	for _, g := range groups {
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
	if len(groups) == 0 {
		r.printf("no groups\n")
	}
}

// lineCounter passes on what is written, and counts its lines.
type lineCounter struct {
	to io.Writer
	n  int
}

// Write implements [io.Writer].
func (c *lineCounter) Write(b []byte) (int, error) {
	c.n += bytes.Count(b, []byte{'\n'})
	return c.to.Write(b)
}

// fact prints a label and one line, over several lines if it is too long for one.
func (r statusReport) fact(label, text string) {
	if utf8.RuneCountInString(text) > lineWidth-labelWidth {
		text = wrap(text, lineWidth-labelWidth, "")
	}
	r.label(label, text)
}
