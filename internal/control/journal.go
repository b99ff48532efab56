package control

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/triage-lb/triage"
)

// linesPerSecond is how many transitions of a group are logged one by one in each second. In a mass failure
// the rest is one line.
const linesPerSecond = 100

// journal turns transitions into numbered events, tells them in the log, and keeps the newest diagnosis of
// each target. It is owned by control's goroutine.
type journal struct {
	log     *slog.Logger
	explain func(*triage.Exchange) *triage.Diagnosis

	last   uint64 // number of the newest event
	groups map[triage.GroupName]*groupJournal
	tick   <-chan time.Time // fires when the second is over in which lines were logged; nil if none were
}

// groupJournal is what the journal knows of a group.
type groupJournal struct {
	name    triage.GroupName
	policy  triage.NoneHealthy
	routed  bool
	members map[triage.Key]*memberJournal
	up      int    // members in rotation: healthy and not drained
	outage  string // why no target that is healthy takes requests, as it was told; "" if one does

	told      int // transitions logged in this second
	healthy   int // transitions not logged in this second: to healthy
	unhealthy int // and the others
}

type memberJournal struct {
	state     triage.State // as the checks alone say
	drained   bool
	named     bool // has an address
	diagnosis *triage.Diagnosis
}

// follow makes the journal know these rosters' members and no others. The levels are read from the engine,
// so that nothing is lost when transitions were.
func (j *journal) follow(rosters []triage.Roster, snapshot func(triage.GroupName) []triage.CheckStatus) {
	old := j.groups
	j.groups = make(map[triage.GroupName]*groupJournal, len(rosters))
	for _, r := range rosters {
		g := &groupJournal{members: make(map[triage.Key]*memberJournal, len(r.Members))}
		was := old[r.Name]
		if was != nil {
			*g = *was
			g.members = make(map[triage.Key]*memberJournal, len(r.Members))
		}
		g.name, g.policy, g.routed = r.Name, r.NoneHealthy, r.Routed
		for _, m := range r.Members {
			member := &memberJournal{drained: m.Person == triage.PersonDrained, named: m.Key.Address.IsValid()}
			if was != nil && was.members[m.Key] != nil {
				member.state, member.diagnosis = was.members[m.Key].state, was.members[m.Key].diagnosis
			}
			g.members[m.Key] = member
		}
		for _, s := range snapshot(r.Name) {
			if member := g.members[s.Key]; member != nil {
				member.enter(s.Health.State)
			}
		}
		g.up = 0
		for _, m := range g.members {
			g.up += m.takes()
		}
		j.groups[r.Name] = g
		j.tellOutage(g)
	}
}

// enter takes over a state. A diagnosis explains an unhealthy target only.
func (m *memberJournal) enter(s triage.State) {
	m.state = s
	if s != triage.Unhealthy {
		m.diagnosis = nil
	}
}

// takes is how many targets in rotation the member is: 1 or 0.
func (m *memberJournal) takes() int {
	if m.state == triage.Healthy && !m.drained {
		return 1
	}
	return 0
}

// tell explains and logs a batch of transitions. Those of targets that are gone are left out.
func (j *journal) tell(batch []triage.Transition) {
	touched := map[*groupJournal]bool{}
	for _, t := range batch {
		g := j.groups[t.Key.Group]
		if g == nil || g.members[t.Key] == nil {
			continue
		}
		if t.Source == triage.FromChecker {
			j.last++
			j.logDoubt(triage.Event{ID: j.last, Transition: t})
			continue
		}
		touched[g] = true
		m := g.members[t.Key]
		g.up -= m.takes()
		m.enter(t.To.State)
		g.up += m.takes()
		if t.To.State == triage.Unhealthy {
			m.diagnosis = nil
			if t.Evidence != nil {
				m.diagnosis = j.explain(t.Evidence)
			}
		}
		j.last++
		j.logEvent(g, triage.Event{ID: j.last, Transition: t, Diagnosis: m.diagnosis})
	}
	for g := range touched {
		j.tellOutage(g)
	}
}

// diagnosis returns the newest diagnosis of a member, or nil.
func (j *journal) diagnosis(k triage.Key) *triage.Diagnosis {
	if g := j.groups[k.Group]; g != nil && g.members[k] != nil {
		return g.members[k].diagnosis
	}
	return nil
}

// logEvent writes the one line of a transition, or counts it if the group's second is full.
func (j *journal) logEvent(g *groupJournal, e triage.Event) {
	t := e.Transition
	if j.tick == nil {
		j.tick = time.After(time.Second)
	}
	if g.told >= linesPerSecond {
		if t.To.State == triage.Healthy {
			g.healthy++
		} else {
			g.unhealthy++
		}
		return
	}
	g.told++
	level, message := slog.LevelInfo, "target "+t.To.State.String()
	if t.To.State == triage.Unhealthy {
		level = slog.LevelWarn
		if t.From.State == triage.Unhealthy {
			message = "target still unhealthy, other cause"
		}
	}
	rotation := slog.String("in_rotation", fmt.Sprintf("%d of %d", g.up, len(g.members)))
	j.log.LogAttrs(context.Background(), level, message, append(eventAttrs(e), rotation)...)
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
	if x := t.Evidence; x != nil {
		attrs = append(attrs, slog.String("outcome", x.Outcome.String()), slog.String("cause", seen(x.Outcome, x)))
	}
	j.log.LogAttrs(context.Background(), slog.LevelError, "checks not trustworthy, the last state stays", attrs...)
}

// seen is what a check saw, for people; x may be nil.
func seen(o triage.Outcome, x *triage.Exchange) string {
	if x == nil || x.Detail == "" {
		return o.Info().Sentence
	}
	return o.Info().Sentence + ": " + x.Detail
}

func eventAttrs(e triage.Event) []slog.Attr {
	t := e.Transition
	attrs := []slog.Attr{
		slog.Uint64("event", e.ID),
		slog.String("group", string(t.Key.Group)),
		slog.String("target", string(t.Key.Target)),
	}
	if t.Key.Address.IsValid() {
		attrs = append(attrs, slog.String("address", t.Key.Address.String()))
	}
	attrs = append(attrs,
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

// summarise ends a second of logging: what was not told one by one is told in one line for each group.
func (j *journal) summarise() {
	j.tick = nil
	for _, g := range j.groups {
		if more := g.healthy + g.unhealthy; more > 0 {
			j.log.Warn("and more targets of the group changed", "group", string(g.name), "more", more, "to_healthy", g.healthy, "to_unhealthy", g.unhealthy)
		}
		g.told, g.healthy, g.unhealthy = 0, 0, 0
	}
}

// tellOutage says when a group that clients reach has lost its last healthy target, and when it has one again.
func (j *journal) tellOutage(g *groupJournal) {
	if g.up > 0 {
		if g.outage != "" {
			j.log.Info("the group has a healthy target again", "group", string(g.name), "healthy", g.up, "targets", len(g.members))
		}
		g.outage = ""
		return
	}
	why, targets := g.whyOut()
	if why != "" && why != g.outage {
		g.outage = why
		j.log.Error(why, "group", string(g.name), "targets", targets)
	}
}

// whyOut says what becomes of requests while nobody is in rotation, and how many targets that is about. It is ""
// if no client reaches the group, or one of its targets has no first result yet: then nothing is lost.
func (g *groupJournal) whyOut() (why string, targets int) {
	open := 0 // could take requests, if there is no other
	for _, m := range g.members {
		if m.drained {
			continue
		}
		if m.state == triage.Initial {
			return "", 0
		}
		targets++
		if m.named {
			open++
		}
	}
	switch {
	case !g.routed:
		return "", 0
	case len(g.members) == 0:
		return "the group has no targets: requests are answered 503", 0
	case targets == 0:
		return "every target of the group drains: requests are answered 503", len(g.members)
	case g.policy == triage.FailOpen && open > 0:
		return "no healthy target in the group: requests go to all of them (fail-open)", targets
	}
	return "no healthy target in the group: requests are answered 503", targets
}
