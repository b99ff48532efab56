// Package balance decides which target takes the next request.
//
// A [Table] holds one immutable [Pool] per group, with members and their health in one value so that the two
// cannot disagree. [Table.Pick] is what a request calls; it takes no lock. [Table.Publish]
// and [Table.Observe] bring news of the two inputs, the rosters that control wants and the health that the
// engine sees; states come from triage.Effective and from nowhere else.
//
// The package opens no connection and knows no protocol. Whoever sends a request picks an [Entry], which
// counts it, and calls [Entry.Done] when it is over; that is how a removed target can be let go gently.
//
// Everything exported may be called from any goroutine.
package balance

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
)

// Table is the pools of all groups. Make one with [New].
type Table struct {
	groups atomic.Pointer[map[triage.GroupName]*group] // the map is never written to, only replaced

	mu sync.Mutex // held by whoever writes pools: Publish, or Run's goroutine

	newsMu sync.Mutex
	news   map[triage.Key]verdict // what Observe and Level brought since the last round, newest only; may be nil

	wake chan struct{} // there is news, or a removed target became idle
}

// verdict is what of a health decides about requests, and why.
type verdict struct {
	state   triage.State
	outcome triage.Outcome
}

func verdictOf(h triage.Health) verdict { return verdict{h.State, h.Outcome} }

// New returns an empty table.
func New() *Table {
	t := &Table{wake: make(chan struct{}, 1)}
	t.groups.Store(&map[triage.GroupName]*group{})
	return t
}

// Pool returns the group's pool of this moment, or nil if there is no such group.
func (t *Table) Pool(name triage.GroupName) *Pool {
	g := (*t.groups.Load())[name]
	if g == nil {
		return nil
	}
	return g.pool.Load()
}

// Pick returns the target that takes the next request of the group, and counts the request as in flight there:
// call [Entry.Done] when it is over. The pool is the one that named the target; its settings hold for this
// request. The entry is nil if nobody can take it, the pool is nil if there is no such group.
func (t *Table) Pick(name triage.GroupName, w Want) (*Pool, *Entry) {
	pool := t.Pool(name)
	for pool != nil {
		if e := pool.pick(w); e != nil {
			return pool, e
		}
		// Everybody in the pool may have left since it was read. Then there is another one.
		now := t.Pool(name)
		if now == pool {
			break
		}
		pool = now
	}
	return pool, nil
}

// Snapshot returns what is known about the group's members at this moment, in the roster's order, followed by
// removed targets that still have requests to finish. It is nil for a group that does not exist.
func (t *Table) Snapshot(name triage.GroupName) []triage.BalanceStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := (*t.groups.Load())[name]
	if g == nil {
		return nil
	}
	return g.snapshot()
}

// States is a group in numbers.
type States struct {
	Members     [triage.Unavailable + 1]int // how many members are in each effective state, by the state's number
	InRotation  int                         // how many take requests at this moment; 0: clients are answered 503
	FailingOpen bool                        // as [Pool.FailingOpen]
}

// States returns how many of the group's members are in which state, those included that [Table.Snapshot] names as
// removed. It costs the same for any number of members. Of a group that does not exist it is the zero value.
func (t *Table) States(name triage.GroupName) States {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := (*t.groups.Load())[name]
	if g == nil {
		return States{}
	}
	p := g.pool.Load()
	s := States{Members: p.states, InRotation: len(p.rotation), FailingOpen: p.failingOpen}
	s.Members[triage.Draining] += len(g.leaving)
	return s
}

// Publish replaces all rosters, and returns when the new pools are in place. It does not need [Table.Run].
//
// A member that stays keeps its health and its counts. A new one is initial. One that is gone takes no new
// request from now on; it stays in [Table.Snapshot] as draining while requests run on it, for the group's
// DeregistrationDelay at most. Health of members that are in no roster is forgotten.
//
// The rosters must have passed triage's validation. The table keeps their members, so they are not written to
// afterwards.
func (t *Table) Publish(rosters []triage.Roster) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.learn() // what was observed up to now belongs to the members of up to now

	old := *t.groups.Load()
	groups := make(map[triage.GroupName]*group, len(rosters))
	for _, r := range rosters {
		g := old[r.Name]
		if g == nil {
			g = &group{table: t}
		}
		g.enroll(r, now)
		groups[r.Name] = g
	}
	for name, g := range old {
		if groups[name] == nil {
			g.disband(now)
			groups[name] = g
		}
	}
	build(groups)
	t.groups.Store(&groups)
	// Only now that no pool sends requests to them, those who leave may go.
	t.settle(now)
	t.stir()
}

// Observe takes note of changed health and returns at once; [Table.Run] brings it into the pools. Only the
// newest health of a key counts. Health of a key that is in no roster is dropped.
func (t *Table) Observe(transitions []triage.Transition) {
	t.newsMu.Lock()
	news := t.openNews(len(transitions))
	for i := range transitions {
		news[transitions[i].Key] = verdictOf(transitions[i].To)
	}
	t.newsMu.Unlock()
	t.stir()
}

// Level takes note of health that is told again, as [Table.Observe] does of health that has changed: where the table
// missed a change it is made up for, and all else stays.
func (t *Table) Level(levels []triage.HealthLevel) {
	t.newsMu.Lock()
	news := t.openNews(len(levels))
	for i := range levels {
		news[levels[i].Key] = verdictOf(levels[i].Health)
	}
	t.newsMu.Unlock()
	t.stir()
}

// openNews returns where to write about n more keys. The caller holds newsMu.
func (t *Table) openNews(n int) map[triage.Key]verdict {
	if t.news == nil {
		t.news = make(map[triage.Key]verdict, n)
	}
	return t.news
}

// Run brings observed health into the pools, each touched group at most once per round, and lets removed
// targets go. It returns nil when ctx is done.
func (t *Table) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		case <-timer.C:
		}
		next, built := t.round(time.Now())
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		if pause := rest(built); pause > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
	}
}

// rest is how long Run waits after pools with so many members in all were built, while news add up. A pool of
// 100,000 takes half a millisecond and 800 KB: built for each batch of a mass failure, that would be most of a core
// and a gigabyte of garbage in each second. So it is built 50 times a second at most; pools of less than 5,000 are
// never waited for.
func rest(built int) time.Duration {
	return (time.Duration(built) * 200 * time.Nanosecond).Truncate(time.Millisecond)
}

// Settle returns when everything that was observed before the call is in the pools. It does not need [Table.Run].
func (t *Table) Settle() {
	t.round(time.Now())
	t.stir()
}

// stir wakes Run. It never blocks.
func (t *Table) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// round does what is due. It returns when the next removed target runs out of time, zero if none does, and how many
// members the pools have that were built.
func (t *Table) round(now time.Time) (next time.Time, built int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learn()
	built = build(*t.groups.Load())
	return t.settle(now), built
}

// learn takes over the news. The caller holds mu.
func (t *Table) learn() {
	t.newsMu.Lock()
	news := t.news
	t.news = nil // not cleared: a map keeps the memory of its largest moment
	t.newsMu.Unlock()

	groups := *t.groups.Load()
	for key, v := range news {
		if g := groups[key.Group]; g != nil {
			g.learn(key, v)
		}
	}
}

// build replaces the pools that are not right any more, and returns how many members they have in all.
func build(groups map[triage.GroupName]*group) (members int) {
	for _, g := range groups {
		if g.stale {
			g.build()
			members += len(g.order)
		}
	}
	return members
}

// settle lets those go who have left, and returns when the next one has to; zero if nobody is left. The caller
// holds mu.
func (t *Table) settle(now time.Time) (next time.Time) {
	groups := *t.groups.Load()
	left := groups
	for name, g := range groups {
		g.retire(now)
		next = earlier(next, g.nextCut())
		if g.over() {
			if len(left) == len(groups) {
				left = maps.Clone(groups)
			}
			delete(left, name)
		}
	}
	if len(left) < len(groups) {
		t.groups.Store(&left)
	}
	return next
}

// earlier returns the earlier of two times; zero is no time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
