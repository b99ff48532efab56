package balance

import (
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/keyed"
)

// group is one group's place in the table. Readers see its pool; the rest is guarded by Table.mu.
type group struct {
	pool atomic.Pointer[Pool]
	turn atomic.Uint64 // shared by the group's pools, so that a new pool does not begin at its first member

	table     *Table
	roster    *triage.Roster    // never written to, only replaced
	order     []*Entry          // of the roster's members, in its order; pools share it, so it is only replaced
	entries   keyed.Set[*Entry] // those in order
	even      bool              // they weigh the same
	leaving   []leaver          // removed ones with requests to finish, oldest first
	disbanded bool              // in no roster any more
	stale     bool              // the pool is not what the entries say
}

// leaver is a removed target.
type leaver struct {
	*Entry
	until time.Time // when what runs on it is cut off
}

// registration is how those in order belong to the group.
func (g *group) registration() triage.Registration {
	if !g.roster.Routed {
		return triage.NotRouted
	}
	return triage.Registered
}

// enroll makes the group what the roster says.
func (g *group) enroll(r triage.Roster, now time.Time) {
	g.roster, g.disbanded, g.stale = &r, false, true
	if !g.isSeated(r.Members) {
		g.seat(r.Members, now.Add(r.DeregistrationDelay))
	}
	g.even = true
	as := g.registration()
	for i, e := range g.order {
		e.register(&r.Members[i], as)
		g.even = g.even && r.Members[i].Weight == r.Members[0].Weight
	}
}

// isSeated reports whether order already is these members. Most rosters differ from the last in settings only, and
// looking up 100,000 members takes longer than all else.
func (g *group) isSeated(members []triage.Member) bool {
	if len(g.order) != len(members) {
		return false
	}
	for i, e := range g.order {
		if *e.KeyOf() != members[i].Key {
			return false
		}
	}
	return true
}

// seat brings order and entries in line with the members of a new roster. Who is not among them leaves.
func (g *group) seat(members []triage.Member, until time.Time) {
	before, known, leaving := g.order, g.entries, g.leaving
	for _, l := range leaving {
		known.Put(l.Entry)
	}
	g.order, g.entries, g.leaving = make([]*Entry, len(members)), keyed.Set[*Entry]{}, nil
	g.entries.Grow(len(members))
	for i := range members {
		e := known.Get(members[i].Key)
		switch {
		case e == nil:
			e = new(Entry)
			e.member.Store(&members[i])
		case e.leaving.Load() != nil: // it comes back before it had finished leaving
			e.check, e.outcome = triage.Initial, triage.NotChecked
			e.leaving.Store(nil)
		}
		e.seat = uint32(i)
		g.order[i] = e
		g.entries.Put(e)
	}
	for _, l := range leaving {
		if !g.has(l.Entry) {
			g.leaving = append(g.leaving, l)
		}
	}
	for _, e := range before {
		if !g.has(e) {
			g.leave(e, until)
		}
	}
}

// has reports whether the entry is in order.
func (g *group) has(e *Entry) bool { return int(e.seat) < len(g.order) && g.order[e.seat] == e }

// disband removes all members. The group's settings stay: they say how long what runs may take.
func (g *group) disband(now time.Time) {
	for _, e := range g.order {
		g.leave(e, now.Add(g.roster.DeregistrationDelay))
	}
	settings := *g.roster
	settings.Targets, settings.Members = nil, nil
	g.roster, g.order, g.entries = &settings, nil, keyed.Set[*Entry]{}
	g.disbanded, g.stale = true, true
}

func (g *group) leave(e *Entry, until time.Time) {
	own := *e.member.Load() // or one target that takes long to leave would hold the whole old roster in memory
	e.register(&own, triage.Deregistered)
	e.leaving.Store(g.table)
	g.leaving = append(g.leaving, leaver{e, until})
}

// retire lets removed members go that are idle or out of time.
func (g *group) retire(now time.Time) {
	var rest []leaver
	for _, l := range g.leaving {
		if !l.retire(!now.Before(l.until)) {
			rest = append(rest, l)
		}
	}
	g.leaving = rest
}

// nextCut returns when the next of the removed members runs out of time; the zero time if none is left.
func (g *group) nextCut() time.Time {
	var next time.Time
	for _, l := range g.leaving {
		next = earlier(next, l.until)
	}
	return next
}

// over reports whether nothing is left of a disbanded group.
func (g *group) over() bool { return g.disbanded && len(g.leaving) == 0 }

// learn takes over what the checks say of a member. Of others it is old news.
func (g *group) learn(k triage.Key, v verdict) {
	if e := g.entries.Get(k); e != nil && e.learn(v, g.registration()) {
		g.stale = true
	}
}

// build puts a new pool in place.
func (g *group) build() {
	g.stale = false
	p := &Pool{roster: g.roster, turn: &g.turn}
	healthy, open := 0, 0
	for _, e := range g.order {
		p.states[e.state]++
		if e.isOpen {
			open++
		}
		if e.inRotation() {
			healthy++
		}
	}
	switch {
	case healthy > 0:
		p.healthy = healthy
		p.rotation = g.choose(healthy, (*Entry).inRotation)
	case open > 0 && g.roster.Routed && g.roster.NoneHealthy == triage.FailOpen:
		p.failingOpen = true
		p.rotation = g.choose(open, func(e *Entry) bool { return e.isOpen })
	}
	if g.even {
		p.wheel = evenWheel(len(p.rotation))
	} else {
		p.wheel = newWheel(weights(p.rotation))
	}
	g.pool.Store(p)
}

// choose returns those n of order that are wanted. If that is everybody it is order itself: nearly always everybody
// is healthy, and then a pool of 100,000 takes no memory.
func (g *group) choose(n int, wanted func(*Entry) bool) []*Entry {
	if n == len(g.order) {
		return g.order
	}
	chosen := make([]*Entry, 0, n)
	for _, e := range g.order {
		if wanted(e) {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

func weights(entries []*Entry) []int {
	all := make([]int, len(entries))
	for i, e := range entries {
		all[i] = max(1, e.member.Load().Weight)
	}
	return all
}

// snapshot is the members as they are, then those who leave.
func (g *group) snapshot() []triage.BalanceStatus {
	all := make([]triage.BalanceStatus, 0, len(g.order)+len(g.leaving))
	as := g.registration()
	for _, e := range g.order {
		all = append(all, e.status(as))
	}
	for _, l := range g.leaving {
		all = append(all, l.status(triage.Deregistered))
	}
	return all
}
