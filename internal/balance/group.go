package balance

import (
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
)

// group is one group's place in the table. Readers see its pool; the rest is guarded by Table.mu.
type group struct {
	pool atomic.Pointer[Pool]
	turn atomic.Uint64 // shared by the group's pools, so that a new pool does not begin at its first member

	table     *Table
	roster    triage.Roster
	members   map[triage.Key]*member
	order     []*member // those of the roster, in its order
	leaving   []*member // removed ones with requests to finish, oldest first
	disbanded bool      // in no roster any more
}

// member is what the table knows about one address of one target.
type member struct {
	entry        *Entry
	weight       int
	person       triage.Person
	registration triage.Registration
	health       triage.Health
	until        time.Time // of a removed member: when what runs on it is cut off
}

func newGroup(t *Table) *group {
	return &group{table: t, members: make(map[triage.Key]*member)}
}

// enroll makes the group what the roster says.
func (g *group) enroll(r triage.Roster, now time.Time) {
	g.roster, g.disbanded = r, false
	registration := triage.Registered
	if !r.Routed {
		registration = triage.NotRouted
	}
	before := g.order
	g.order = make([]*member, 0, len(r.Members))
	stays := make(map[*member]bool, len(r.Members))
	for _, rm := range r.Members {
		m := g.members[rm.Key]
		switch {
		case m == nil:
			m = &member{entry: newEntry(rm.Key, g.table)}
			g.members[rm.Key] = m
		case m.registration == triage.Deregistered: // it comes back before it had finished leaving
			m.health = triage.Health{}
			m.entry.leaving.Store(false)
		}
		m.weight, m.person, m.registration = max(1, rm.Weight), rm.Person, registration
		g.order = append(g.order, m)
		stays[m] = true
	}
	g.keepLeaving(stays)
	for _, m := range before {
		if !stays[m] {
			g.leave(m, now)
		}
	}
}

// disband removes all members. The group's settings stay: they say how long what runs may take.
func (g *group) disband(now time.Time) {
	for _, m := range g.order {
		g.leave(m, now)
	}
	g.order, g.roster.Members, g.disbanded = nil, nil, true
}

func (g *group) leave(m *member, now time.Time) {
	m.registration = triage.Deregistered
	m.until = now.Add(g.roster.DeregistrationDelay)
	m.entry.leaving.Store(true)
	g.leaving = append(g.leaving, m)
}

// keepLeaving takes members that came back off the list of those who leave.
func (g *group) keepLeaving(back map[*member]bool) {
	var rest []*member
	for _, m := range g.leaving {
		if !back[m] {
			rest = append(rest, m)
		}
	}
	g.leaving = rest
}

// retire lets removed members go that are idle or out of time, and reports whether any went.
func (g *group) retire(now time.Time) bool {
	var rest []*member
	for _, m := range g.leaving {
		if m.entry.retire(!now.Before(m.until)) {
			delete(g.members, m.entry.key)
		} else {
			rest = append(rest, m)
		}
	}
	gone := len(rest) < len(g.leaving)
	g.leaving = rest
	return gone
}

// nextCut returns when the next of the removed members runs out of time.
func (g *group) nextCut() (next time.Time, any bool) {
	for _, m := range g.leaving {
		if !any || m.until.Before(next) {
			next, any = m.until, true
		}
	}
	return next, any
}

// over reports whether nothing is left of a disbanded group.
func (g *group) over() bool { return g.disbanded && len(g.leaving) == 0 }

// build puts a new pool in place.
func (g *group) build() {
	roster := g.roster
	p := &Pool{
		roster: &roster,
		turn:   &g.turn,
		seats:  make([]seat, 0, len(g.order)+len(g.leaving)),
	}
	for _, list := range [...][]*member{g.order, g.leaving} {
		for _, m := range list {
			// Traffic has nothing to say yet: passive ejection will put its word into the entry.
			state, reason := triage.Effective(m.health, triage.TrafficGood, m.person, m.registration)
			p.seats = append(p.seats, seat{m.entry, state, reason, m.registration})
		}
	}
	rotation := g.rotation(p)
	weights := make([]int, len(rotation))
	p.rotation = make([]*Entry, len(rotation))
	for i, m := range rotation {
		p.rotation[i], weights[i] = m.entry, m.weight
	}
	p.wheel = newWheel(weights)
	g.pool.Store(p)
}

// rotation chooses the members that take requests.
func (g *group) rotation(p *Pool) []*member {
	chosen := make([]*member, 0, len(g.order))
	for i, m := range g.order {
		if p.seats[i].state == triage.Healthy && m.entry.key.Address.IsValid() {
			chosen = append(chosen, m)
		}
	}
	p.healthy = len(chosen)
	if len(chosen) > 0 || g.roster.NoneHealthy != triage.FailOpen {
		return chosen
	}
	for _, m := range g.order {
		if m.registration == triage.Registered && m.person == triage.PersonSilent && m.entry.key.Address.IsValid() {
			chosen = append(chosen, m)
		}
	}
	p.failingOpen = len(chosen) > 0
	return chosen
}
