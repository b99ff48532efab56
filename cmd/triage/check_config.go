package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// rehearsal is the checks of one group of a config, run once from here.
type rehearsal struct {
	group    triage.Group
	question *question
	policy   triage.AddressPolicy
	rows     []*rehearsalRow
	findings []rehearsalFinding
	out, err *terminal
	command  *checkCommand
}

// rehearsalRow is one address of one target.
type rehearsalRow struct {
	target checkTarget
	drain  bool
	x      *triage.Exchange
}

// rehearsalFinding is why some targets of a group fail, or what a pass is worth.
type rehearsalFinding struct {
	rows []*rehearsalRow
	findings
}

const (
	rehearsalWidth  = 64 // checks at once
	rehearsalCauses = 4  // sorts of failure of one group about which second questions are asked
	rehearsalNames  = 5 * time.Second
)

// checkConfig runs the checks of a config file, before anything serves.
func (c *checkCommand) checkConfig(env *environment) error {
	file, err := control.Load(c.Config, env.getenv)
	if err != nil {
		return err
	}
	groups, err := c.groupsOf(file.Config)
	if err != nil {
		return err
	}
	var all []*rehearsal
	for _, g := range groups {
		r, err := c.rehearse(env, g, file.Config.Policy())
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	code := exitOK
	report := configCheckJSON{Schema: "triage.check-config/1", File: c.Config, Groups: []groupCheckJSON{}}
	for i, r := range all {
		if err := r.run(env.ctx); err != nil {
			return err
		}
		if !c.JSON {
			if i > 0 {
				r.out.printf("\n")
			}
			r.table()
		}
		r.inquire(env.ctx)
		if err := env.ctx.Err(); err != nil {
			return err
		}
		if c.JSON {
			report.Groups = append(report.Groups, r.json())
		} else {
			r.explain()
		}
		code = max(code, r.code())
	}
	if c.JSON {
		report.Healthy = code == exitOK
		if err := printJSON(env.stdout, report); err != nil {
			return err
		}
	}
	if code != exitOK {
		return exit(code)
	}
	return nil
}

// groupsOf are the groups to check: the one that is named, else all.
func (c *checkCommand) groupsOf(config triage.Config) ([]triage.Group, error) {
	if c.URL == "" {
		return config.Groups, nil
	}
	var names []string
	for _, g := range config.Groups {
		if string(g.Name) == c.URL {
			return []triage.Group{g}, nil
		}
		names = append(names, string(g.Name))
	}
	hint := "its groups: " + strings.Join(names, ", ")
	if near := triage.Nearest(c.URL, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return nil, usagef(hint, "%s has no group %q", c.Config, c.URL)
}

// rehearse prepares the checks of a group. Its names are looked up when they are run.
func (c *checkCommand) rehearse(env *environment, g triage.Group, policy triage.AddressPolicy) (*rehearsal, error) {
	h := g.HealthCheck
	spec := dialect.Get(cmp.Or(h.As, triage.Own))
	q := &question{
		endpoint: endpoint{protocol: h.Protocol, path: h.Path},
		spec:     spec,
		plan:     probe.Compile(spec, h),
		once:     c.NoFollowUp,
	}
	if h.Protocol.IsGRPC() {
		q.endpoint.path = ""
		if h.Service != "" {
			q.endpoint.path = "/" + h.Service
		}
	}
	q.plan.Cluster = string(g.Name)
	q.plan.KeepBody, q.plan.KeepTLS, q.plan.Reuse = 64<<10, true, false
	if err := c.applyPublic(q, nil); err != nil {
		return nil, err
	}
	return &rehearsal{group: g, question: q, policy: policy, command: c, out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}, nil
}

// run asks every target once.
func (r *rehearsal) run(ctx context.Context) error {
	if r.err.colour {
		defer afterAWhile(r.err, fmt.Sprintf("checking %s of group %s, %s each at most", count(len(r.group.Targets), "target"), r.group.Name, r.question.plan.Timeout))()
	}
	perTarget := make([][]*rehearsalRow, len(r.group.Targets))
	looks, _ := errgroup.WithContext(ctx)
	looks.SetLimit(rehearsalWidth)
	for i, t := range r.group.Targets {
		looks.Go(func() error {
			perTarget[i] = r.rowsOf(ctx, t)
			return nil
		})
	}
	_ = looks.Wait() // none returns an error
	r.rows = slices.Concat(perTarget...)
	checks, _ := errgroup.WithContext(ctx)
	checks.SetLimit(rehearsalWidth)
	for _, row := range r.rows {
		checks.Go(func() error {
			if row.x = row.target.fault; row.x == nil {
				row.x = probe.Do(ctx, r.question.plan, row.target.key, r.policy)
			}
			return nil
		})
	}
	_ = checks.Wait()
	return ctx.Err()
}

// rowsOf are the addresses of a target, each a row; one row if there is none.
func (r *rehearsal) rowsOf(ctx context.Context, t triage.Target) []*rehearsalRow {
	key := triage.Key{Group: r.group.Name, Target: t.ID}
	if address, ok := t.ID.AddrPort(); ok {
		key.Address = address
		return []*rehearsalRow{{target: checkTarget{key: key, took: -1}, drain: t.Drain}}
	}
	ctx, cancel := context.WithTimeout(ctx, rehearsalNames)
	defer cancel()
	started := time.Now()
	host, port, err := t.ID.Split()
	var addresses []netip.Addr
	if err == nil {
		addresses, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	took := time.Since(started)
	var rows []*rehearsalRow
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	for _, a := range slices.Compact(addresses) {
		key.Address = netip.AddrPortFrom(a, port)
		rows = append(rows, &rehearsalRow{target: checkTarget{key: key, took: took}, drain: t.Drain})
	}
	if rows == nil {
		fault := &triage.Exchange{Key: key, Dialect: r.question.spec.Name, Started: started, Took: took, Timing: triage.NoTiming(), Outcome: triage.ResolveFailed}
		if err != nil {
			fault.Detail = err.Error()
		}
		rows = append(rows, &rehearsalRow{target: checkTarget{key: key, took: took, fault: fault}, drain: t.Drain})
	}
	return rows
}

// healthy counts the rows that passed.
func (r *rehearsal) healthy() (n int) {
	for _, row := range r.rows {
		if row.x.Outcome.Verdict() == triage.Pass {
			n++
		}
	}
	return n
}

// code is the exit code of the group: a failure weighs more than a check without a verdict.
func (r *rehearsal) code() int {
	code := exitOK
	for _, row := range r.rows {
		switch row.x.Outcome.Verdict() {
		case triage.Fail:
			return exitUnhealthy
		case triage.Neutral:
			code = exitFault
		}
	}
	if r.command.Strict && slices.ContainsFunc(r.findings, func(f rehearsalFinding) bool { return len(f.doubts) > 0 }) {
		return max(code, exitUnhealthy)
	}
	return code
}

// table prints the group, and the targets that do not pass; with -v all of them.
func (r *rehearsal) table() {
	word, healthy := r.out.green, r.healthy()
	if healthy < len(r.rows) {
		word = r.out.red
	}
	h := r.group.HealthCheck
	how := fmt.Sprintf("as %s over %s", r.question.spec.Name, h.Protocol)
	if h.Protocol.Asks() && !h.Protocol.IsGRPC() {
		how += ", " + h.Path
	}
	if h.Port != 0 {
		how += fmt.Sprintf(", port %d", h.Port)
	}
	sum := fmt.Sprintf("%d of %d healthy", healthy, len(r.rows))
	r.out.printf("%s  %s  %s\n", r.out.bold(string(r.group.Name)), word(sum), r.out.dim(shorten(r.out.safe(how), lineWidth-len(r.group.Name)-len(sum)-4)))
	if r.command.Quiet {
		return
	}
	names := 0
	for _, row := range r.rows {
		if r.shows(row) {
			names = max(names, utf8.RuneCountInString(row.name()))
		}
	}
	names = min(names, 44)
	for _, row := range r.rows {
		if !r.shows(row) {
			continue
		}
		word := fmt.Sprintf("  %-*s", labelWidth, strings.ToLower(verdictWords[row.x.Outcome.Verdict()]))
		switch row.x.Outcome.Verdict() {
		case triage.Pass:
			word = r.out.green(word)
		case triage.Fail:
			word = r.out.red(word)
		}
		r.out.printf("%s%-*s  %s\n", word, names, shorten(r.out.safe(row.name()), names), r.out.safe(fmt.Sprintf("%s in %s", briefResult(row.x), milliseconds(row.x.Took))))
	}
}

// shows reports whether a row stands in the table.
func (r *rehearsal) shows(row *rehearsalRow) bool {
	return r.command.Verbose || row.x.Outcome.Verdict() != triage.Pass
}

// name is the target as it is written, with the address behind it, and whether a person has taken it out.
func (r *rehearsalRow) name() string {
	name := r.target.key.String()
	if r.drain {
		name += " (drained)"
	}
	return name
}

// inquire finds out why targets fail. Those that fail alike share the inquiry; where there are many sorts, the rarer ones
// are explained without second questions.
func (r *rehearsal) inquire(ctx context.Context) {
	if r.command.Quiet && !r.command.JSON && !r.command.Strict {
		return
	}
	if r.err.colour {
		defer afterAWhile(r.err, "asking on to find out why; Ctrl-C ends it")()
	}
	for i, rows := range r.alike() {
		q := *r.question
		first := rows[0]
		q.endpoint.host, q.endpoint.port, _ = first.target.key.Target.Split()
		q.once = q.once || i >= rehearsalCauses || first.x.Outcome == triage.AddressForbidden
		f := q.inquire(ctx, first.x, &first.target)
		same := func(other rehearsalFinding) bool {
			return other.diagnosis != nil && f.diagnosis != nil && other.diagnosis.Code == f.diagnosis.Code && f.diagnosis.Code != diagnose.Undiagnosed
		}
		if at := slices.IndexFunc(r.findings, same); at >= 0 {
			r.findings[at].rows = append(r.findings[at].rows, rows...)
		} else if f.diagnosis != nil || len(f.doubts) > 0 {
			r.findings = append(r.findings, rehearsalFinding{rows, f})
		}
	}
}

// alike are the rows that failed, those together that can share an inquiry, and at the end those that passed: all of a
// group's passes are worth the same.
func (r *rehearsal) alike() [][]*rehearsalRow {
	var failed, passed []*rehearsalRow
	for _, row := range r.rows {
		switch row.x.Outcome.Verdict() {
		case triage.Fail:
			failed = append(failed, row)
		case triage.Pass:
			passed = append(passed, row)
		}
	}
	groups := alike(failed, func(row *rehearsalRow) *triage.Exchange { return row.x })
	if passed != nil {
		groups = append(groups, passed)
	}
	return groups
}

// explain prints what was found out: for which targets, the cause and the cure.
func (r *rehearsal) explain() {
	if r.command.Quiet {
		return
	}
	for _, f := range r.findings {
		report := &checkReport{command: r.command, question: r.question, out: r.out, err: r.err}
		r.out.printf("\n")
		if d := f.diagnosis; d != nil {
			report.paragraph("For", f.names())
			report.vendorWords(f.rows[0].x)
			report.why(f.rows[0].x, d)
		} else {
			asked := f.rows[0].name()
			if n := len(f.rows); n > 1 {
				asked += fmt.Sprintf(", asked for all %d that pass", n)
			}
			report.paragraph("For", asked)
		}
		for _, d := range f.doubts {
			report.doubt(d)
		}
	}
}

// names are the targets that a finding is about, the first few by name.
func (f rehearsalFinding) names() string {
	const most = 5
	var names []string
	for _, row := range f.rows[:min(most, len(f.rows))] {
		names = append(names, row.name())
	}
	text := strings.Join(names, ", ")
	if more := len(f.rows) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// configCheckJSON is the contract of triage check -c --json: fields are only ever added.
type configCheckJSON struct {
	Schema  string           `json:"schema"`
	File    string           `json:"file"`
	Healthy bool             `json:"healthy"` // every target of every group
	Groups  []groupCheckJSON `json:"groups"`
}

type groupCheckJSON struct {
	Group     triage.GroupName  `json:"group"`
	Dialect   triage.Dialect    `json:"dialect"`
	Healthy   int               `json:"healthy"`
	Targets   []targetCheckJSON `json:"targets"`
	Diagnoses []targetCauseJSON `json:"diagnoses"`
	Doubts    []targetCauseJSON `json:"doubts"`
}

// targetCheckJSON has the names of checkJSON.
type targetCheckJSON struct {
	At      time.Time       `json:"at"`
	Took    float64         `json:"took_ms"`
	Target  triage.TargetID `json:"target"`
	Address string          `json:"address,omitempty"`
	Drained bool            `json:"drained"`
	Healthy bool            `json:"healthy"`
	Outcome triage.Outcome  `json:"outcome"`
	Detail  string          `json:"detail,omitempty"`
	Status  int             `json:"status,omitempty"`
	Reason  dialect.Words   `json:"reason"`
}

type targetCauseJSON struct {
	Targets   []string          `json:"targets"`
	Diagnosis *triage.Diagnosis `json:"diagnosis"`
}

func (r *rehearsal) json() groupCheckJSON {
	report := groupCheckJSON{Group: r.group.Name, Dialect: r.question.spec.Name, Healthy: r.healthy(),
		Targets: []targetCheckJSON{}, Diagnoses: []targetCauseJSON{}, Doubts: []targetCauseJSON{}}
	for _, row := range r.rows {
		t := targetCheckJSON{
			At:      row.x.Started,
			Took:    float64(row.x.Took.Microseconds()) / 1000,
			Target:  row.target.key.Target,
			Drained: row.drain,
			Healthy: row.x.Outcome.Verdict() == triage.Pass,
			Outcome: row.x.Outcome,
			Detail:  row.x.Detail,
			Status:  row.x.Status,
			Reason:  r.question.spec.WordsFor(row.x),
		}
		if row.x.Address.IsValid() {
			t.Address = row.x.Address.String()
		}
		report.Targets = append(report.Targets, t)
	}
	for _, f := range r.findings {
		var names []string
		for _, row := range f.rows {
			names = append(names, row.target.key.String())
		}
		if f.diagnosis != nil {
			report.Diagnoses = append(report.Diagnoses, targetCauseJSON{names, f.diagnosis})
		}
		for _, d := range f.doubts {
			report.Doubts = append(report.Doubts, targetCauseJSON{names, d})
		}
	}
	return report
}
