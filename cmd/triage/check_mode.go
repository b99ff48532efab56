package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
)

// AfterApply notes which options were typed: some mean nothing beside others, and --count has a default.
func (c *checkCommand) AfterApply(parsed *kong.Context) error {
	for _, part := range parsed.Path {
		if part.Flag != nil {
			c.given = append(c.given, part.Flag.Name)
		}
	}
	return nil
}

// isGiven reports whether an option was typed.
func (c *checkCommand) isGiven(flag string) bool { return slices.Contains(c.given, flag) }

// special runs the sorts of check that are more than one question to one target: of a config, as several load balancers,
// again and again. done is false if the command line asks for none of them.
func (c *checkCommand) special(env *environment) (done bool, err error) {
	if c.URL == "" && c.Config == "" {
		return true, usagef(checkHelp, `expected "<URL>"`)
	}
	run := c.mode()
	if err := c.refuseTimes(); err != nil {
		return true, err
	}
	if run.do == nil {
		return false, c.refuseUnpaced()
	}
	for _, flag := range c.given {
		if slices.Contains(run.refuses, flag) || run.takes != nil && !slices.Contains(run.takes, flag) {
			return true, usagef(run.hint, "%s means nothing %s", dashed(flag), run.because)
		}
	}
	return true, run.do(env)
}

// dashed is an option as it is typed.
func dashed(flag string) string { return "--" + flag }

// checkMode is one sort of check, and which options mean nothing to it.
type checkMode struct {
	do      func(*environment) error
	takes   []string // nil: all but those that it refuses
	refuses []string
	because string
	hint    string
}

// mode chooses by what was typed. The zero mode is the plain check.
func (c *checkCommand) mode() checkMode {
	switch {
	case c.Config != "":
		return checkMode{
			do:      c.checkConfig,
			takes:   []string{"config", "json", "verbose", "quiet", "no-follow-up", "strict", "public-host"},
			because: "with -c: the config says how its targets are checked",
			hint:    "leave it away, or check one target by its URL, without -c",
		}
	case isSeveral(c.As):
		return checkMode{
			do:      c.checkAll,
			refuses: []string{"watch", "wait", "interval", "grace", "count", "verbose"},
			because: "with --as " + c.As + ": each load balancer is asked once, and all are shown in one table",
			hint:    "name one load balancer: --as aws-alb",
		}
	case c.Watch:
		return checkMode{
			do:      c.checkWatch,
			refuses: []string{"wait", "grace", "verbose"},
			because: "with --watch, which goes on and shows one line for each check",
			hint:    "leave one of them away",
		}
	case c.isGiven("wait"):
		return checkMode{
			do:      c.checkWait,
			refuses: []string{"count"},
			because: "with --wait, which asks until the target is in service or the time is up",
			hint:    "leave one of them away",
		}
	}
	return checkMode{}
}

// refuseTimes refuses lengths of time that cannot be meant.
func (c *checkCommand) refuseTimes() error {
	for _, t := range []struct {
		flag      string
		value     time.Duration
		low, high time.Duration
	}{
		{"interval", c.Interval, triage.MinInterval, triage.MaxInterval},
		{"wait", c.Wait, time.Second, 24 * time.Hour},
		{"grace", c.Grace, time.Second, 24 * time.Hour},
	} {
		if c.isGiven(t.flag) && (t.value < t.low || t.value > t.high) {
			return usagef(checkHelp, "--%s %s is outside %s-%s", t.flag, triage.DurationText(t.value), triage.DurationText(t.low), triage.DurationText(t.high))
		}
	}
	return nil
}

// refuseUnpaced refuses what means nothing to a plain check.
func (c *checkCommand) refuseUnpaced() error {
	switch {
	case c.isGiven("grace"):
		return usagef("add --wait 60s", "--grace is compared with how long --wait takes")
	case c.isGiven("interval"):
		return usagef("add --watch or --wait 60s", "--interval means nothing to a single check")
	}
	return nil
}

// isSeveral reports whether --as names more than one load balancer.
func isSeveral(as string) bool { return as == everyDialect || strings.Contains(as, ",") }

// everyDialect is what people write after --as for all load balancers that there are.
const everyDialect = "all"

// only returns the one target of a question, for checks that follow a target through time.
func (c *checkCommand) only(env *environment, q *question) (*checkTarget, error) {
	targets, err := q.resolve(env)
	if err != nil {
		return nil, err
	}
	if len(targets) > 1 {
		var addresses []string
		for _, t := range targets {
			addresses = append(addresses, t.key.Address.String())
		}
		return nil, usagef(fmt.Sprintf("write one of %s", strings.Join(addresses, ", ")), "this machine has %d private addresses, and one is followed at a time", len(targets))
	}
	return &targets[0], nil
}

// why prints a diagnosis, as the report of a single check does.
func (r *checkReport) why(x *triage.Exchange, d *triage.Diagnosis) {
	if d.Code == diagnose.Undiagnosed {
		r.unexplained(x, d)
		return
	}
	if d.Certainty != triage.Proved && x.Detail+diagnose.Says(x) != "" {
		r.paragraph("Seen", x.Outcome.Info().Sentence+detail(x)+says(x))
	}
	r.diagnosis(d)
}
