package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// schedule is how a load balancer checks again and again, and when it decides.
type schedule struct {
	interval   time.Duration
	endToStart bool // the interval counts from the end of a check
	thresholds triage.Thresholds
}

// scheduleOf is a load balancer's schedule by default. One that has no threshold decides with each result; one that has no
// interval has none here either.
func scheduleOf(spec *dialect.Spec) schedule {
	t := spec.Timing
	s := schedule{interval: t.Interval, endToStart: t.EndToStart, thresholds: t.Thresholds}
	s.thresholds.Healthy, s.thresholds.Unhealthy = max(s.thresholds.Healthy, 1), max(s.thresholds.Unhealthy, 1)
	return s
}

// vigil follows one target through time, and what a load balancer makes of it.
type vigil struct {
	schedule
	ask func(context.Context) (*triage.Exchange, error)

	health  triage.Health
	checks  int
	passed  int
	failed  int
	changes int // of the state, the first decision not counted
	took    latencies
}

// keep checks on schedule, and tells seen of each result, until that returns false. It returns an error if ctx ends, or if
// there can be no verdict.
func (v *vigil) keep(ctx context.Context, seen func(*triage.Exchange, triage.Change) (more bool)) error {
	for due := time.Now(); ; {
		x, err := v.ask(ctx)
		if err != nil {
			return err
		}
		if !seen(x, v.observe(x)) {
			return nil
		}
		if v.endToStart {
			due = time.Now()
		}
		due = due.Add(v.interval)
		if now := time.Now(); due.Before(now) {
			due = now
		}
		if !sleep(ctx, time.Until(due)) {
			return ctx.Err()
		}
	}
}

// observe counts a result.
func (v *vigil) observe(x *triage.Exchange) triage.Change {
	decided := v.health.State != triage.Initial
	var change triage.Change
	v.health, change = v.health.Observe(x.Outcome, x.Status, v.thresholds, time.Now())
	if change == triage.StateChanged && decided {
		v.changes++
	}
	v.checks++
	switch x.Outcome.Verdict() {
	case triage.Pass:
		v.passed++
		v.took.add(x.Took)
	case triage.Fail:
		v.failed++
		v.took.add(x.Took)
	}
	return change
}

// streak says how near the state is to its change; "" if the newest result agrees with it.
func (v *vigil) streak() string {
	switch h := v.health; {
	case h.Streak == 0:
		return ""
	case h.State == triage.Healthy:
		return fmt.Sprintf("failed %d/%d", h.Streak, v.thresholds.Unhealthy)
	default:
		return fmt.Sprintf("passed %d/%d", h.Streak, v.thresholds.Healthy)
	}
}

// latencies are how long the newest checks took.
type latencies struct {
	recent []time.Duration
	next   int // where the next one goes, once there are maxLatencies
}

const maxLatencies = 1000

func (l *latencies) add(d time.Duration) {
	if len(l.recent) < maxLatencies {
		l.recent = append(l.recent, d)
		return
	}
	l.recent[l.next] = d
	l.next = (l.next + 1) % maxLatencies
}

// percentiles are the durations that so many percent of the checks did not exceed (nearest rank); nil if there are none.
func (l *latencies) percentiles(percents ...int) []time.Duration {
	if len(l.recent) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(l.recent))
	var found []time.Duration
	for _, p := range percents {
		found = append(found, sorted[(len(sorted)*p+99)/100-1])
	}
	return found
}

// String is the percentiles in milliseconds, or in seconds where those are long.
func (l *latencies) String() string {
	p := l.percentiles(50, 90, 99)
	if p == nil {
		return ""
	}
	unit, by := "ms", time.Millisecond
	if p[2] >= 10*time.Second {
		unit, by = "s", time.Second
	}
	text := func(d time.Duration) string {
		n := float64(d) / float64(by)
		if n < 100 {
			return fmt.Sprintf("%.1f", n)
		}
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("p50 %s p90 %s p99 %s %s", text(p[0]), text(p[1]), text(p[2]), unit)
}

// checkWatch keeps checking one target.
func (c *checkCommand) checkWatch(env *environment) error {
	q, err := c.question()
	if err != nil {
		return err
	}
	s := scheduleOf(q.spec)
	if s.interval = cmp.Or(c.Interval, s.interval); s.interval == 0 {
		return usagef("give it one: --interval 10s", "--watch: %s has no interval by default", q.spec.Title)
	}
	if t := q.spec.Timing; c.Interval > 0 && (s.interval < t.MinInterval || t.MaxInterval > 0 && s.interval > t.MaxInterval) {
		q.departs = append(q.departs, fmt.Sprintf("--interval %s (it takes %s)", triage.DurationText(s.interval), rangeOf(t.MinInterval, t.MaxInterval)))
	}
	target, err := c.only(env, q)
	if err != nil {
		return err
	}
	r := &checkReport{command: c, question: q, out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}
	w := &watcher{
		vigil:  vigil{schedule: s, ask: func(ctx context.Context) (*triage.Exchange, error) { return q.ask(ctx, target) }},
		report: r,
		why:    func(ctx context.Context, x *triage.Exchange) findings { return q.inquire(ctx, x, target) },
	}
	if c.isGiven("count") {
		w.limit = c.Count
	}
	if !c.JSON && !c.Quiet {
		r.err.printf("%s\n", wrap("watching "+r.err.safe(q.describe(s)), lineWidth, "  "))
		for _, w := range q.warnings {
			r.err.printf("%s\n", wrap("triage: warning: "+r.err.safe(w), lineWidth, "  "))
		}
	}
	return w.run(env.ctx)
}

// describe says in one sentence as whom, and how often, a target is checked.
func (q *question) describe(s schedule) string {
	from := ""
	if s.endToStart {
		from = " after the check before"
	}
	text := fmt.Sprintf("as %s: a check every %s%s, unhealthy after %s, healthy after %s",
		q.spec.Name, triage.DurationText(s.interval), from, count(s.thresholds.Unhealthy, "failure"), passes(s.thresholds.Healthy))
	for _, option := range q.departs {
		text += fmt.Sprintf("; altered: %s itself has no %s", q.spec.Name, option)
	}
	return text
}

func passes(n int) string {
	if n == 1 {
		return "1 pass"
	}
	return fmt.Sprintf("%d passes", n)
}

// watcher shows a vigil as it goes on.
type watcher struct {
	vigil
	report *checkReport
	why    func(context.Context, *triage.Exchange) findings
	limit  int // checks; 0: no end

	began time.Time
	open  bool // the line of the newest check can still be replaced
	last  watchedResult
}

// watchedResult is what makes a check another one than the check before.
type watchedResult struct {
	state   triage.State
	outcome triage.Outcome
	status  int
}

// run watches until ctx ends or the limit is reached, and says at the end what was seen. It ends with the exit code of the
// state that the target is left in.
func (w *watcher) run(ctx context.Context) error {
	w.began = time.Now()
	var failure error
	err := w.keep(ctx, func(x *triage.Exchange, change triage.Change) bool {
		failure = w.show(ctx, x, change)
		return failure == nil && (w.limit == 0 || w.checks < w.limit)
	})
	w.close()
	if w.checks > 0 && !w.report.command.JSON {
		w.sum()
	}
	if err := cmp.Or(failure, err); err != nil {
		return err
	}
	switch w.health.State {
	case triage.Healthy:
		return nil
	case triage.Unhealthy:
		return exit(exitUnhealthy)
	}
	return exit(exitFault)
}

// close ends a line that could be replaced until now.
func (w *watcher) close() {
	if w.open {
		w.report.out.printf("\n")
		w.open = false
	}
}

// show prints a check: on a terminal in the place of the one before, as long as nothing changes.
func (w *watcher) show(ctx context.Context, x *triage.Exchange, change triage.Change) error {
	if w.report.command.JSON {
		return writeJSON(w.report.out.w, w.json(x), "")
	}
	is := watchedResult{w.health.State, x.Outcome, x.Status}
	changed := is != w.last
	w.last = is
	if w.report.command.Quiet && !changed {
		return nil
	}
	if changed {
		w.close()
	} else if w.open {
		w.report.out.printf("\r\x1b[K")
	}
	w.report.out.printf("%s", w.line(x))
	if w.open = w.report.out.colour; !w.open {
		w.report.out.printf("\n")
	}
	if change != triage.Unchanged && w.health.State == triage.Unhealthy && !w.report.command.Quiet {
		w.explain(ctx, x)
	}
	return nil
}

// line is one check: when, what the load balancer makes of the target, the result, and the latencies so far.
func (w *watcher) line(x *triage.Exchange) string {
	out := w.report.out
	result := out.safe(fmt.Sprintf("%s in %s", briefResult(x), milliseconds(x.Took)))
	streak, took := w.streak(), w.took.String()
	rest := strings.TrimRight(fmt.Sprintf("%-16s  %-11s  %s", result, streak, took), " ")
	// A line that is wider than the terminal could not be replaced: it gives up its columns first, then the latencies.
	const room = lineWidth - len("15:04:05  * unhealthy  ")
	for _, narrower := range [...][]string{{result, streak, took}, {result, streak}} {
		if utf8.RuneCountInString(rest) > room {
			rest = strings.Join(slices.DeleteFunc(narrower, func(part string) bool { return part == "" }), "  ")
		}
	}
	return fmt.Sprintf("%s  %s  %s", x.Started.Format(time.TimeOnly), out.state(w.health.State, len("unhealthy")), rest)
}

// explain prints why the target has become unhealthy, in short.
func (w *watcher) explain(ctx context.Context, x *triage.Exchange) {
	w.close()
	r := w.report
	r.vendorWords(x)
	d := w.why(ctx, x).diagnosis
	switch {
	case d == nil:
	case d.Code == diagnose.Undiagnosed:
		r.paragraph("Seen", d.Cause)
	case d.Certainty == triage.Proved:
		r.paragraph("Cause", d.Cause)
		r.paragraph("Proof", d.Proof)
	default:
		r.paragraph("Probably", d.Cause)
	}
}

// sum prints what was seen in all.
func (w *watcher) sum() {
	neutral := ""
	if n := w.checks - w.passed - w.failed; n > 0 {
		neutral = fmt.Sprintf(", %d without a verdict", n)
	}
	r := w.report
	r.out.printf("\n")
	r.paragraph("Checks", fmt.Sprintf("%d in %s: %d passed, %d failed%s", w.checks, seconds(time.Since(w.began)), w.passed, w.failed, neutral))
	state := fmt.Sprintf("%s, %s", w.health.State, count(w.changes, "change"))
	if streak := w.streak(); streak != "" {
		state += ", " + streak
	}
	r.paragraph("State", state)
	if text := w.took.String(); text != "" {
		r.paragraph("Latency", fmt.Sprintf("%s, of the last %s", text, count(len(w.took.recent), "check")))
	}
	if w.failed > 0 && w.changes == 0 && w.health.State == triage.Healthy && int(w.health.Streak) < w.failed {
		r.paragraph("Note", fmt.Sprintf("%s failed, but never %d in a row: this load balancer does not notice, and visitors may", count(w.failed, "check"), w.thresholds.Unhealthy))
	}
}

// seconds is a longer time as people compare it.
func seconds(d time.Duration) string {
	if d < 10*time.Second {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// watchJSON is the contract of triage check --watch --json, one line for each check: fields are only ever added.
type watchJSON struct {
	Schema    string             `json:"schema"`
	At        time.Time          `json:"at"`
	Took      float64            `json:"took_ms"`
	Target    string             `json:"target"`
	Dialect   triage.Dialect     `json:"dialect"`
	Altered   []string           `json:"altered,omitempty"`
	Healthy   bool               `json:"healthy"` // this check alone, as in checkJSON
	Outcome   triage.Outcome     `json:"outcome"`
	Detail    string             `json:"detail,omitempty"`
	Status    int                `json:"status,omitempty"`
	State     triage.State       `json:"state"`  // what the load balancer makes of the target
	Streak    int                `json:"streak"` // results that disagree with the state
	Threshold int                `json:"threshold"`
	Checks    int                `json:"checks"`
	Passed    int                `json:"passed"`
	Failed    int                `json:"failed"`
	Latency   map[string]float64 `json:"latency_ms"` // of the last 1000 checks
}

func (w *watcher) json(x *triage.Exchange) watchJSON {
	line := watchJSON{
		Schema:    "triage.check-watch/1",
		At:        x.Started,
		Took:      float64(x.Took.Microseconds()) / 1000,
		Target:    w.report.target(x),
		Dialect:   w.report.question.spec.Name,
		Altered:   w.report.question.departs,
		Healthy:   x.Outcome.Verdict() == triage.Pass,
		Outcome:   x.Outcome,
		Detail:    x.Detail,
		Status:    x.Status,
		State:     w.health.State,
		Streak:    int(w.health.Streak),
		Threshold: w.thresholds.Unhealthy,
		Checks:    w.checks,
		Passed:    w.passed,
		Failed:    w.failed,
		Latency:   map[string]float64{},
	}
	if w.health.State != triage.Healthy {
		line.Threshold = w.thresholds.Healthy
	}
	percents := []int{50, 90, 99}
	for i, d := range w.took.percentiles(percents...) {
		line.Latency[fmt.Sprintf("p%d", percents[i])] = float64(d.Microseconds()) / 1000
	}
	return line
}
