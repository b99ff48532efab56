package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// survey is one target, asked as several load balancers.
type survey struct {
	command *checkCommand
	rows    []*surveyRow
	silent  []triage.Dialect // that have no check of the URL's protocol
	refused []refusal
	out     *terminal
	err     *terminal
}

// surveyRow is one load balancer's view of the target.
type surveyRow struct {
	question *question
	target   checkTarget
	bare     bool // -H was left away: this load balancer sends no such lines
	x        *triage.Exchange
}

// refusal is a load balancer that cannot be asked with the options that were typed.
type refusal struct {
	as  triage.Dialect
	err error
}

const (
	surveyWidth   = 4                // checks at once: the target may have few workers, and must not be the slower for our asking
	surveyCauses  = 2                // causes that are told
	surveyTries   = 4                // sorts of failure that are looked into
	surveyInquiry = 20 * time.Second // for all second questions
)

// checkAll asks as several load balancers and shows them in one table.
func (c *checkCommand) checkAll(env *environment) error {
	s := &survey{command: c, out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}
	if err := s.prepare(); err != nil {
		return err
	}
	// The longest timeout is for the one look-up of the name, which is the same for all.
	slowest := slices.MaxFunc(s.rows, func(a, b *surveyRow) int {
		return cmp.Compare(a.question.plan.Timeout, b.question.plan.Timeout)
	})
	targets, err := slowest.question.resolve(env)
	if err != nil {
		return err
	}
	worst := exitOK
	for i, t := range targets {
		if i > 0 && !c.JSON {
			s.out.printf("\n")
		}
		code, err := s.run(env.ctx, t)
		if err != nil {
			return err
		}
		worst = max(worst, code)
	}
	if worst != exitOK {
		return exit(worst)
	}
	return nil
}

// prepare makes a question for each load balancer that has such a check.
func (s *survey) prepare() error {
	e, err := parseEndpoint(s.command.URL)
	if err != nil {
		return err
	}
	specs, err := s.command.chosen()
	if err != nil {
		return err
	}
	for _, spec := range specs {
		if !spec.Speaks(e.protocol) {
			s.silent = append(s.silent, spec.Name)
			continue
		}
		row, err := s.command.rowFor(spec)
		if err != nil {
			s.refused = append(s.refused, refusal{spec.Name, err})
			continue
		}
		s.rows = append(s.rows, row)
	}
	switch {
	case len(s.rows) > 0:
		return nil
	case len(s.refused) > 0:
		return s.refused[0].err
	}
	return usagef("triage dialects shows what each can ask", "none of %s has a %s check", s.command.As, e.protocol)
}

// chosen are the load balancers that --as names, each once.
func (c *checkCommand) chosen() ([]*dialect.Spec, error) {
	var specs []*dialect.Spec
	every := false
	for name := range strings.SplitSeq(c.As, ",") {
		name = strings.TrimSpace(name)
		switch name {
		case everyDialect:
			every = true
			continue
		case "":
			return nil, usagef("write --as aws-alb,kubelet", "--as %s names nothing at one place", c.As)
		}
		spec, err := dialect.Lookup(name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(specs, spec) {
			specs = append(specs, spec)
		}
	}
	if every {
		return dialect.All(), nil
	}
	return specs, nil
}

// rowFor makes the question of one load balancer. Where that can send no header lines, it is asked without.
func (c *checkCommand) rowFor(spec *dialect.Spec) (*surveyRow, error) {
	alone := *c
	alone.As = string(spec.Name)
	q, err := alone.question()
	if err == nil || len(c.Header) == 0 {
		return &surveyRow{question: q}, err
	}
	alone.Header = nil
	q, bareErr := alone.question()
	if bareErr != nil {
		return nil, err
	}
	return &surveyRow{question: q, bare: true}, nil
}

// at makes a target that was resolved for one question one of another's.
func (r *surveyRow) at(t checkTarget) {
	if e := r.question.endpoint; t.key.Address.IsValid() && e.host != "" {
		t.key.Target = triage.TargetID(t.key.Address.String())
		if r.question.plan.Named() {
			t.key.Target = triage.TargetID(net.JoinHostPort(e.host, strconv.Itoa(int(e.port))))
		}
	}
	if t.fault != nil {
		fault := *t.fault
		fault.Dialect = r.question.spec.Name
		t.fault = &fault
	}
	r.target = t
}

// run asks as each of them, prints the table, and finds out why some fail.
func (s *survey) run(ctx context.Context, t checkTarget) (code int, err error) {
	for _, row := range s.rows {
		row.at(t)
	}
	done := s.waiting()
	err = s.ask(ctx)
	done()
	if err != nil {
		return 0, err
	}
	if !s.command.JSON {
		s.table()
	}
	found := s.inquire(ctx)
	if s.command.JSON {
		err = s.json(found)
	} else {
		s.explain(found)
	}
	s.warn(ctx, found)
	return s.code(found), cmp.Or(err, ctx.Err())
}

// ask asks as each load balancer, a few at once. Who ran out of time while others were asking too is asked again alone, if
// the target answers at all: it must not fail for our own haste.
func (s *survey) ask(ctx context.Context) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(surveyWidth)
	for _, row := range s.rows {
		group.Go(func() (err error) {
			row.x, err = row.question.ask(within, &row.target)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	late := func(row *surveyRow) bool { return row.x.Outcome.TimedOut() }
	if slices.IndexFunc(s.rows, func(row *surveyRow) bool { return !late(row) }) < 0 {
		return nil
	}
	for _, row := range s.rows {
		if !late(row) {
			continue
		}
		var err error
		if row.x, err = row.question.ask(ctx, &row.target); err != nil {
			return err
		}
	}
	return nil
}

// waiting tells somebody who sits there what takes so long, until the func that it returns is called.
func (s *survey) waiting() (done func()) {
	if !s.err.colour {
		return func() {}
	}
	longest := time.Duration(0)
	for _, row := range s.rows {
		longest = max(longest, row.question.plan.Timeout)
	}
	return afterAWhile(s.err, fmt.Sprintf("asking as %s, each with its own timeout, %s at most", count(len(s.rows), "load balancer"), longest))
}

// afterAWhile prints a line after a second of waiting, and takes it back when the func that it returns is called.
func afterAWhile(t *terminal, text string) (done func()) {
	told := make(chan struct{})
	timer := time.AfterFunc(time.Second, func() {
		defer close(told)
		t.printf("%s", t.dim(text))
	})
	return func() {
		if !timer.Stop() {
			<-told
			t.printf("\r\x1b[K")
		}
	}
}

// code is the exit code: a failure weighs more than a check without a verdict.
func (s *survey) code(found []surveyFinding) int {
	code := exitOK
	for _, row := range s.rows {
		switch row.x.Outcome.Verdict() {
		case triage.Fail:
			return exitUnhealthy
		case triage.Neutral:
			code = exitFault
		}
	}
	if s.command.Strict && code == exitOK && slices.ContainsFunc(found, func(f surveyFinding) bool { return len(f.doubts) > 0 }) {
		return exitUnhealthy
	}
	return code
}

// surveyFinding is what was found out about rows that fail, or pass, alike.
type surveyFinding struct {
	rows []*surveyRow
	findings
}

// inquire finds out why rows fail, the commonest failures first, and what a pass is worth. Rows that look alike share the
// inquiry.
func (s *survey) inquire(ctx context.Context) []surveyFinding {
	if s.command.Quiet && !s.command.JSON && !s.command.Strict {
		return nil
	}
	done := func() {}
	if s.err.colour {
		done = afterAWhile(s.err, fmt.Sprintf("asking on to find out why, %s at most; Ctrl-C ends it", surveyInquiry))
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, surveyInquiry)
	defer cancel()
	var found []surveyFinding
	causes := 0
	for i, rows := range s.alike(triage.Fail) {
		if i == surveyTries || causes == surveyCauses || ctx.Err() != nil {
			break
		}
		first := rows[0]
		f := first.question.inquire(ctx, first.x, &first.target)
		if at := slices.IndexFunc(found, func(other surveyFinding) bool { return other.diagnosis.Code == f.diagnosis.Code }); at >= 0 {
			found[at].rows = append(found[at].rows, rows...)
			continue
		}
		found = append(found, surveyFinding{rows, f})
		if f.diagnosis.Code != diagnose.Undiagnosed {
			causes++
		}
	}
	if causes > 0 {
		found = slices.DeleteFunc(found, func(f surveyFinding) bool { return f.diagnosis.Code == diagnose.Undiagnosed })
	}
	if passes := s.alike(triage.Pass); len(passes) > 0 && ctx.Err() == nil {
		first := passes[0][0]
		if f := first.question.inquire(ctx, first.x, &first.target); len(f.doubts) > 0 {
			found = append(found, surveyFinding{passes[0], f})
		}
	}
	return found
}

// alike are the rows of a verdict that can share an inquiry, most rows first. The first of each is who is asked on, and
// whose cure is told.
func (s *survey) alike(verdict triage.Verdict) [][]*surveyRow {
	rows := slices.DeleteFunc(slices.Clone(s.rows), func(row *surveyRow) bool { return row.x.Outcome.Verdict() != verdict })
	slices.SortStableFunc(rows, func(a, b *surveyRow) int { return cmp.Compare(a.rank(), b.rank()) })
	return alike(rows, func(row *surveyRow) *triage.Exchange { return row.x })
}

// alike puts those together that ended in the same way and look as if they had the same cause, most first.
func alike[R any](rows []R, exchange func(R) *triage.Exchange) [][]R {
	type look struct {
		outcome triage.Outcome
		status  int
		code    string
	}
	var looks []look
	found := map[look][]R{}
	for _, row := range rows {
		x := exchange(row)
		l := look{outcome: x.Outcome, status: x.Status}
		if d := diagnose.Look(x); d != nil {
			l.code = d.Code
		}
		if found[l] == nil {
			looks = append(looks, l)
		}
		found[l] = append(found[l], row)
	}
	var groups [][]R
	for _, l := range looks {
		groups = append(groups, found[l])
	}
	slices.SortStableFunc(groups, func(a, b []R) int { return cmp.Compare(len(b), len(a)) })
	return groups
}

// rank puts those first that were asked as they are, and our own dialect last: its cure is for a config of triage, which few
// who ask for all have.
func (r *surveyRow) rank() int {
	switch {
	case r.question.spec.Name == triage.Own:
		return 2
	case len(r.question.departs) > 0 || r.bare:
		return 1
	}
	return 0
}
