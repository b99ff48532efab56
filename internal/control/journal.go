package control

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/keyed"
)

// journal turns transitions into numbered events, tells them in the log, and keeps the newest diagnosis of
// each target. It is owned by control's goroutine.
type journal struct {
	log     *slog.Logger
	explain func(*triage.Exchange) *triage.Diagnosis
	suspect func(*groupJournal, *memberJournal, *triage.Exchange) // is told of each check that made a target unhealthy; nil: nobody is

	last   uint64 // number of the newest event
	groups map[triage.GroupName]*groupJournal
	tick   <-chan time.Time // fires when the second is over in which lines were logged, or a wave has begun; nil if there was nothing
	epoch  time.Time        // from which the members' fell counts; of the first fall
}

// groupJournal is what the journal knows of a group.
type groupJournal struct {
	name    triage.GroupName
	check   triage.HealthCheck
	access  triage.AddressPolicy // asked before each connect to a member
	policy  triage.NoneHealthy
	routed  bool
	members []memberJournal // in the roster's order
	byKey   keyed.Set[*memberJournal]

	targets int                         // members that nobody drains
	open    int                         // of them, those with an address: they could take requests if nobody is healthy
	in      [triage.Unavailable + 1]int // how many of targets are in each state, as the checks alone say

	outage string // why no target that is healthy takes requests, as it was told; "" if one does
	wave   wave
	fallen bool // somebody has become unhealthy since a wave was looked for

	starts  second // first checks that passed
	changes second // all other changes of targets
	doubts  second // in their checks; its outcomes are those that are known, of the told ones too
}

// memberJournal is what the journal knows of a target. There are as many as targets.
type memberJournal struct {
	member    *triage.Member // of the roster
	diagnosis *triage.Diagnosis
	state     triage.State   // as the checks alone say
	outcome   triage.Outcome // of the check that says so
	status    uint16         // likewise
	fell      uint32         // when it left rotation, in tenths of a second; 0: it did not, or is back
}

// KeyOf is what the member is found by.
func (m *memberJournal) KeyOf() *triage.Key { return &m.member.Key }

// ill is what a member has that is unhealthy.
func (m *memberJournal) ill() illness { return illness{m.outcome, m.status} }

func (m *memberJournal) drained() bool { return m.member.Person == triage.PersonDrained }

// follow makes the journal know these rosters' members and no others. The levels are read from the engine,
// so that nothing is lost when transitions were.
func (j *journal) follow(rosters []triage.Roster, snapshot func(triage.GroupName) []triage.CheckStatus) {
	old := j.groups
	j.groups = make(map[triage.GroupName]*groupJournal, len(rosters))
	for _, r := range rosters {
		was := old[r.Name]
		if was == nil {
			was = &groupJournal{}
		}
		g := &groupJournal{
			name: r.Name, check: r.HealthCheck, access: r.Policy, policy: r.NoneHealthy, routed: r.Routed,
			members: make([]memberJournal, len(r.Members)),
			outage:  was.outage, wave: was.wave, fallen: was.fallen, starts: was.starts, changes: was.changes, doubts: was.doubts,
		}
		g.byKey.Grow(len(r.Members))
		for i := range g.members {
			m := &g.members[i]
			m.member = &r.Members[i]
			if before := was.byKey.Get(m.member.Key); before != nil {
				member := m.member
				*m = *before
				m.member = member
			}
			g.add(m)
		}
		for _, s := range snapshot(r.Name) {
			if m := g.byKey.Get(s.Key); m != nil {
				g.enter(m, s.Health)
			}
		}
		j.groups[r.Name] = g
		j.tellOutage(g)
	}
}

// add counts a member in.
func (g *groupJournal) add(m *memberJournal) {
	g.byKey.Put(m)
	if m.drained() {
		return
	}
	g.targets++
	g.in[m.state]++
	if m.member.Key.Address.IsValid() {
		g.open++
	}
}

// enter takes over a member's state. A diagnosis explains an unhealthy target only.
func (g *groupJournal) enter(m *memberJournal, h triage.Health) {
	if !m.drained() {
		g.in[m.state]--
		g.in[h.State]++
	}
	m.state, m.outcome, m.status = h.State, h.Outcome, h.Status
	if h.State != triage.Unhealthy {
		m.diagnosis = nil
	}
}

// up is how many targets are in rotation: healthy, and nobody drains them.
func (g *groupJournal) up() int { return g.in[triage.Healthy] }

// rotation says how many of the members that are.
func (g *groupJournal) rotation() string { return fmt.Sprintf("%d of %d", g.up(), len(g.members)) }

// tell explains and logs a batch of transitions. Those of targets that are gone are left out.
func (j *journal) tell(batch []triage.Transition) {
	touched := map[*groupJournal]bool{}
	for i := range batch {
		t := &batch[i]
		g, m := j.find(t.Key)
		if m == nil {
			continue
		}
		j.last++
		if j.tick == nil {
			j.tick = time.After(time.Second)
		}
		if t.Source == triage.FromChecker {
			j.tellDoubt(g, t)
			continue
		}
		touched[g] = true
		j.tellChange(g, m, t)
	}
	for g := range touched {
		j.tellOutage(g)
		g.ebb()
	}
}

// tellChange takes over what a transition says of a member, and logs it.
//
// A check without evidence is one of very many (see [triage.Transition]), and gets no diagnosis: that of another
// target with the same outcome may name that one's address, or be the explanation of something else.
func (j *journal) tellChange(g *groupJournal, m *memberJournal, t *triage.Transition) {
	g.enter(m, t.To)
	j.fall(g, m, t)
	if t.To.State == triage.Unhealthy {
		m.diagnosis = nil
		if t.Evidence != nil {
			m.diagnosis = j.explain(t.Evidence)
			if j.suspect != nil {
				j.suspect(g, m, t.Evidence)
			}
		}
	}
	good := t.To.State == triage.Healthy
	if good && t.From.State == triage.Initial {
		if g.starts.claim(good, startsPerSecond) {
			j.logEvent(g, triage.Event{ID: j.last, Transition: *t})
		}
		return
	}
	switch {
	case g.changes.claim(good, linesPerSecond):
		j.logEvent(g, triage.Event{ID: j.last, Transition: *t, Diagnosis: m.diagnosis})
	case !good:
		g.changes.outcomes[t.To.Outcome]++
	}
}

// tellDoubt logs that checks have stopped saying anything about a target, or do again.
func (j *journal) tellDoubt(g *groupJournal, t *triage.Transition) {
	if t.Doubted && t.Evidence != nil {
		g.doubts.outcomes[t.Evidence.Outcome]++
	}
	if g.doubts.claim(!t.Doubted, linesPerSecond) {
		j.logDoubt(triage.Event{ID: j.last, Transition: *t})
	}
}

// diagnosis returns the newest diagnosis of a member, or nil.
func (j *journal) diagnosis(k triage.Key) *triage.Diagnosis {
	if _, m := j.find(k); m != nil {
		return m.diagnosis
	}
	return nil
}

// find returns a member and its group, or nil if there is no such member.
func (j *journal) find(k triage.Key) (*groupJournal, *memberJournal) {
	g := j.groups[k.Group]
	if g == nil {
		return nil, nil
	}
	return g, g.byKey.Get(k)
}

// logEvent writes the one line of a transition.
func (j *journal) logEvent(g *groupJournal, e triage.Event) {
	t := e.Transition
	level, message := slog.LevelInfo, "target "+t.To.State.String()
	if t.To.State == triage.Unhealthy {
		level = slog.LevelWarn
		if t.From.State == triage.Unhealthy {
			message = "target still unhealthy, other cause"
		}
	}
	rotation := slog.String("in_rotation", fmt.Sprintf("%d of %d", g.up(), len(g.members)))
	j.log.LogAttrs(context.Background(), level, message, append(eventAttrs(g, e), rotation)...)
}

// tellDiagnosed takes over what second questions have found out about a member, and logs it.
func (j *journal) tellDiagnosed(g *groupJournal, m *memberJournal, d *triage.Diagnosis) {
	m.diagnosis = d
	j.last++
	attrs := append(targetAttrs(g, j.last, m.member.Key), slog.String("code", d.Code), slog.String("certainty", string(d.Certainty)), slog.String("cause", d.Cause))
	asked := strings.Join(d.Asked, "; ")
	if d.Certainty == triage.Proved {
		asked = "" // the proof is the one that counts
	}
	for _, more := range []struct{ key, text string }{
		{"proof", d.Proof}, {"candidates", strings.Join(d.Candidates, ",")}, {"asked", asked},
	} {
		if more.text != "" {
			attrs = append(attrs, slog.String(more.key, more.text))
		}
	}
	j.log.LogAttrs(context.Background(), slog.LevelInfo, "target diagnosed", attrs...)
}

// logDoubt writes that the checks of a target have stopped saying anything about it, or do again.
func (j *journal) logDoubt(e triage.Event) {
	t := e.Transition
	attrs := []slog.Attr{
		slog.Uint64("event", e.ID),
		slog.String("group", string(t.Key.Group)),
		slog.String("target", string(t.Key.Target)),
		slog.String("state", t.To.State.String()),
	}
	if !t.Doubted {
		j.log.LogAttrs(context.Background(), slog.LevelInfo, "checks trustworthy again", attrs...)
		return
	}
	cause := "the last three checks ended by our own fault, as very many do at the moment"
	if x := t.Evidence; x != nil {
		attrs = append(attrs, slog.String("outcome", x.Outcome.String()))
		cause = seen(x.Outcome, x)
	}
	attrs = append(attrs, slog.String("cause", cause))
	j.log.LogAttrs(context.Background(), slog.LevelError, "checks not trustworthy, the last state stays", attrs...)
}

// seen is what a check saw, for people; x may be nil.
func seen(o triage.Outcome, x *triage.Exchange) string {
	if x == nil || x.Detail == "" {
		return o.Info().Sentence
	}
	return o.Info().Sentence + ": " + x.Detail
}

// targetAttrs say which event of which target a line is.
func targetAttrs(g *groupJournal, event uint64, k triage.Key) []slog.Attr {
	attrs := []slog.Attr{
		slog.Uint64("event", event),
		slog.String("group", string(k.Group)),
		slog.String("target", string(k.Target)),
	}
	if k.Address.IsValid() {
		attrs = append(attrs, slog.String("address", k.Address.String()))
	}
	if g.check.As != "" {
		attrs = append(attrs, slog.String("as", string(g.check.As)))
	}
	return attrs
}

func eventAttrs(g *groupJournal, e triage.Event) []slog.Attr {
	t := e.Transition
	attrs := append(targetAttrs(g, e.ID, t.Key),
		slog.String("from", t.From.State.String()),
		slog.String("to", t.To.State.String()),
	)
	if reason := t.To.Reason(); reason != triage.NoReason {
		attrs = append(attrs, slog.String("reason", string(reason)))
	}
	attrs = append(attrs, slog.String("outcome", t.To.Outcome.String()))
	if t.To.Status != 0 {
		attrs = append(attrs, slog.Int("status", int(t.To.Status)))
	}
	if t.To.State == triage.Unhealthy {
		if d := e.Diagnosis; d != nil && d.Code != "" {
			attrs = append(attrs, slog.String("code", d.Code), slog.String("certainty", string(d.Certainty)))
		}
		attrs = append(attrs, slog.String("cause", causeOf(e)))
	}
	if !t.From.Since.IsZero() {
		attrs = append(attrs, slog.Duration("after", t.At.Sub(t.From.Since).Round(time.Millisecond)))
	}
	return attrs
}

// causeOf is the diagnosis' sentence, or else what the check saw.
func causeOf(e triage.Event) string {
	if e.Diagnosis != nil && e.Diagnosis.Cause != "" {
		return e.Diagnosis.Cause
	}
	return seen(e.Transition.To.Outcome, e.Transition.Evidence)
}

// tellOutage says when a group that clients reach has lost its last healthy target, and when it has one again.
func (j *journal) tellOutage(g *groupJournal) {
	if g.up() > 0 {
		if g.outage != "" {
			j.log.Info("the group has a healthy target again", "group", string(g.name), "healthy", g.up(), "targets", len(g.members))
		}
		g.outage = ""
		return
	}
	why, targets := g.whyOut()
	if why != "" && why != g.outage {
		g.outage = why
		attrs := []slog.Attr{slog.String("group", string(g.name)), slog.Int("targets", targets)}
		if outcomes := g.illnesses(); outcomes != "" {
			attrs = append(attrs, slog.String("outcomes", outcomes))
		}
		j.log.LogAttrs(context.Background(), slog.LevelError, why, attrs...)
	}
}

// illnesses says what the unhealthy members have, as [outcomeCounts.String] does. It looks at each of them.
func (g *groupJournal) illnesses() string {
	var counts outcomeCounts
	for i := range g.members {
		if m := &g.members[i]; m.state == triage.Unhealthy && !m.drained() {
			counts[m.outcome]++
		}
	}
	return counts.String()
}

// whyOut says what becomes of requests while nobody is in rotation, and how many targets that is about. It is ""
// if no client reaches the group, or one of its targets has no first result yet: then nothing is lost.
func (g *groupJournal) whyOut() (why string, targets int) {
	switch {
	case !g.routed || g.in[triage.Initial] > 0:
		return "", 0
	case len(g.members) == 0:
		return "the group has no targets: requests are answered 503", 0
	case g.targets == 0:
		return "every target of the group drains: requests are answered 503", len(g.members)
	case g.policy == triage.FailOpen && g.open > 0:
		return "no healthy target in the group: requests go to all of them (fail-open)", g.targets
	}
	return "no healthy target in the group: requests are answered 503", g.targets
}
