package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// wait asks one target until a load balancer would take it into service. It asks more often than that one does, so as to
// see the first pass when it comes, and works out what the load balancer itself would take.
type wait struct {
	vigil // its schedule is ours

	spec  *dialect.Spec
	limit time.Duration
	tell  func(*triage.Exchange) // of each check; may be nil

	began time.Time
	first time.Duration // from the beginning to the first of the passes in a row
	row   int           // passes in a row
	pass  bool          // there was one
	last  *triage.Exchange
}

// waitPace is how often --wait asks, and the most often that it can be told to.
const waitPace = time.Second

// run asks until the target is in service, and reports whether it is. Checks that begin in time may end later if none has
// ended before, so that there is a result to tell.
func (w *wait) run(ctx context.Context) (served bool, err error) {
	w.began = time.Now()
	within, cancel := context.WithCancel(ctx) // no deadline: a check would take that for one of its own, and tell of a timeout
	defer cancel()
	defer time.AfterFunc(w.limit, cancel).Stop()
	ask := w.ask
	w.ask = func(within context.Context) (*triage.Exchange, error) {
		if w.last == nil {
			return ask(ctx)
		}
		return ask(within)
	}
	err = w.keep(within, func(x *triage.Exchange, _ triage.Change) bool {
		w.count(x)
		served = w.row > 0 && w.row >= w.needed()
		return !served
	})
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return served, err
}

// count takes a result into account.
func (w *wait) count(x *triage.Exchange) {
	w.last = x
	switch x.Outcome.Verdict() {
	case triage.Pass:
		if w.row == 0 {
			w.first = time.Since(w.began)
		}
		w.row++
		w.pass = true
	case triage.Fail:
		w.row = 0
	}
	if w.tell != nil {
		w.tell(x)
	}
}

// failures are how many checks of the load balancer itself the target would have failed until its first pass, if that one
// had begun when we did.
func (w *wait) failures() int {
	theirs := scheduleOf(w.spec)
	switch {
	case w.failed == 0:
		return 0
	case theirs.interval == 0:
		return w.failed
	}
	return 1 + int(w.first/theirs.interval)
}

// needed is how many passes in a row the load balancer wants.
func (w *wait) needed() int {
	theirs := scheduleOf(w.spec).thresholds
	failures := w.failures()
	if failures == 0 && decidesAtOnce(w.spec) || w.spec.First == dialect.FirstHealthy && failures < theirs.Unhealthy {
		return 1
	}
	return theirs.Healthy
}

// decidesAtOnce reports whether one pass is enough for a target that has never failed: "your target must pass one health
// check to be considered healthy" (ELB user guides, of each of the three). Of other products nobody says so.
func decidesAtOnce(spec *dialect.Spec) bool {
	switch spec.Name {
	case triage.Own, triage.AWSALB, triage.AWSNLB, triage.AWSCLB:
		return true
	}
	return false
}

// service is when the load balancer itself would have the target in service at the latest, counted from when we began. ok is
// false where it has no interval that could be reckoned with.
func (w *wait) service() (at time.Duration, ok bool) {
	theirs := scheduleOf(w.spec)
	if theirs.interval == 0 {
		return 0, false
	}
	if w.alwaysServed() {
		return 0, true
	}
	between := theirs.interval
	if theirs.endToStart {
		between += w.last.Took
	}
	return w.first + time.Duration(w.needed())*between, true
}

// alwaysServed reports whether the load balancer would have sent requests to the target from the start, passes or not.
func (w *wait) alwaysServed() bool {
	return w.spec.First == dialect.FirstHealthy && w.failures() < scheduleOf(w.spec).thresholds.Unhealthy
}

// foretell says when the target came up, and when the load balancer would notice.
func (w *wait) foretell() string {
	text := fmt.Sprintf("first pass after %s; ", seconds(w.first))
	theirs := scheduleOf(w.spec)
	switch at, ok := w.service(); {
	case w.alwaysServed():
		return text + fmt.Sprintf("in service from the start: %s sends requests to a new target before it has checked it", w.spec.Name)
	case !ok:
		return text + fmt.Sprintf("%s has no interval by default, so when it is in service depends on yours", w.spec.Name)
	default:
		return text + fmt.Sprintf("in service after %s at this load balancer's settings (at the latest: it wants %s, and checks every %s)",
			seconds(at), passes(w.needed()), triage.DurationText(theirs.interval))
	}
}

// checkWait waits for one target.
func (c *checkCommand) checkWait(env *environment) error {
	q, err := c.question()
	if err != nil {
		return err
	}
	target, err := c.only(env, q)
	if err != nil {
		return err
	}
	r := &checkReport{command: c, question: q, out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}
	progress := waitProgress{report: r, limit: c.Wait, began: time.Now()}
	s := scheduleOf(q.spec)
	s.interval, s.endToStart = max(cmp.Or(c.Interval, waitPace), waitPace), false
	w := &wait{
		vigil: vigil{schedule: s, ask: func(ctx context.Context) (*triage.Exchange, error) {
			if target.fault != nil { // a name may come with the target
				if again, err := c.only(env, q); err == nil {
					target = again
				}
			}
			return q.ask(ctx, target)
		}},
		spec:  q.spec,
		limit: c.Wait,
		tell:  progress.tell,
	}
	served, err := w.run(env.ctx)
	progress.close()
	if err != nil {
		return err
	}
	return w.report(env, r, target, served)
}

// report says how the wait has ended.
func (w *wait) report(env *environment, r *checkReport, t *checkTarget, served bool) error {
	var found findings
	if !served && w.last.Outcome.Verdict() != triage.Pass {
		found = r.inquire(env.ctx, w.last, t)
	}
	warnings := r.question.warn(env.ctx, w.last, t)
	late := w.late(r.command.Grace, served)
	if late != "" {
		warnings = append(warnings, late)
	}
	var err error
	if r.command.JSON {
		err = printJSON(r.out.w, w.json(r, found, warnings, served))
	} else {
		err = w.print(r, found, warnings, served)
	}
	if err := cmp.Or(err, env.ctx.Err()); err != nil {
		return err
	}
	if !served || late != "" && r.command.Strict {
		return exit(exitUnhealthy)
	}
	return nil
}

func (w *wait) print(r *checkReport, found findings, warnings []string, served bool) error {
	switch {
	case served:
		r.verdict(w.last)
		r.paragraph("Waited", w.foretell())
	case w.row > 0:
		r.out.printf("%s%s  %s\n", r.out.red(fmt.Sprintf("%-*s", labelWidth, "NOT YET")), r.question.spec.Name, r.out.safe(r.target(w.last)))
		r.paragraph("Waited", fmt.Sprintf("%s: %d of the %s in a row that it wants, the first after %s", seconds(w.limit), w.row, passes(w.needed()), seconds(w.first)))
	default:
		r.verdict(w.last)
		text := fmt.Sprintf("%s, %s, and no pass", seconds(w.limit), count(w.checks, "check"))
		if w.pass {
			text = fmt.Sprintf("%s: %d of %s passed, but not enough in a row", seconds(w.limit), w.passed, count(w.checks, "check"))
		}
		r.paragraph("Waited", text)
		return r.rest(w.last, found, warnings)
	}
	for _, warning := range warnings {
		r.err.printf("%s\n", wrap("triage: warning: "+r.err.safe(warning), lineWidth, "  "))
	}
	return nil
}

// late says what is to be set if the target comes into service after the grace period; "" if it does not.
func (w *wait) late(grace time.Duration, served bool) string {
	if grace == 0 {
		return ""
	}
	if !served {
		if w.limit < grace {
			return ""
		}
		return fmt.Sprintf("the grace period of %s is over, and the target would be replaced", seconds(grace))
	}
	at, ok := w.service()
	if at = at.Round(time.Second); !ok || at <= grace {
		return ""
	}
	const step = 30 * time.Second
	enough := (at + step - 1).Truncate(step)
	what := fmt.Sprintf("set the grace period (in ECS healthCheckGracePeriodSeconds, in an Auto Scaling group HealthCheckGracePeriod) to %.0f or more, or lower the interval or the healthy threshold", enough.Seconds())
	if w.spec.Name == triage.Kubelet {
		what = fmt.Sprintf("give the container a startupProbe that lets it take %.0f s: failureThreshold times periodSeconds", enough.Seconds())
	}
	return fmt.Sprintf("in service after %s, but the grace period is over after %s, and a target that is not healthy by then is replaced: %s", seconds(at), seconds(grace), what)
}

// waitProgress tells whoever waits what the target answers: on a terminal in one line that changes, else a line for each
// change.
type waitProgress struct {
	report *checkReport
	limit  time.Duration
	began  time.Time
	said   string
	open   bool
}

func (p *waitProgress) tell(x *triage.Exchange) {
	r := p.report
	if r.command.Quiet {
		return
	}
	result := fmt.Sprintf("%s %s", strings.ToLower(verdictWords[x.Outcome.Verdict()]), briefResult(x))
	since := seconds(time.Since(p.began).Round(100 * time.Millisecond))
	switch {
	case r.err.colour:
		r.err.printf("\r\x1b[K%s", r.err.dim(fmt.Sprintf("waiting, %s of %s: %s", since, seconds(p.limit), r.err.safe(result))))
		p.open = true
	case result != p.said && (p.said != "" || x.Outcome.Verdict() != triage.Pass):
		r.err.printf("after %s: %s\n", since, r.err.safe(result))
	}
	p.said = result
}

func (p *waitProgress) close() {
	if p.open {
		p.report.err.printf("\r\x1b[K")
	}
}

// waitJSON is the contract of triage check --wait --json: fields are only ever added.
type waitJSON struct {
	Schema    string            `json:"schema"`
	Target    string            `json:"target"`
	Dialect   triage.Dialect    `json:"dialect"`
	Altered   []string          `json:"altered,omitempty"`
	Healthy   bool              `json:"healthy"` // the load balancer would take it into service
	Checks    int               `json:"checks"`
	Passed    int               `json:"passed"`
	Row       int               `json:"passes_in_a_row"`
	Needed    int               `json:"passes_needed"`
	FirstPass *float64          `json:"first_pass_s,omitempty"`
	Service   *float64          `json:"in_service_s,omitempty"`
	Grace     *float64          `json:"grace_s,omitempty"`
	Outcome   triage.Outcome    `json:"outcome"` // of the last check
	Detail    string            `json:"detail,omitempty"`
	Status    int               `json:"status,omitempty"`
	Reason    dialect.Words     `json:"reason"`
	Warnings  []string          `json:"warnings"`
	Diagnosis *triage.Diagnosis `json:"diagnosis,omitempty"`
}

func (w *wait) json(r *checkReport, found findings, warnings []string, served bool) waitJSON {
	report := waitJSON{
		Schema:    "triage.check-wait/1",
		Target:    r.target(w.last),
		Dialect:   w.spec.Name,
		Altered:   r.question.departs,
		Healthy:   served,
		Checks:    w.checks,
		Passed:    w.passed,
		Row:       w.row,
		Needed:    w.needed(),
		Outcome:   w.last.Outcome,
		Detail:    w.last.Detail,
		Status:    w.last.Status,
		Reason:    r.question.spec.WordsFor(w.last),
		Warnings:  append([]string{}, warnings...),
		Diagnosis: found.diagnosis,
	}
	inSeconds := func(d time.Duration) *float64 {
		s := float64(d.Milliseconds()) / 1000
		return &s
	}
	if w.row > 0 {
		report.FirstPass = inSeconds(w.first)
		if at, ok := w.service(); ok && served {
			report.Service = inSeconds(at)
		}
	}
	if r.command.Grace > 0 {
		report.Grace = inSeconds(r.command.Grace)
	}
	return report
}
