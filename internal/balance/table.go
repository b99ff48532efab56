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
	news   map[triage.Key]triage.Health // what Observe brought since the last round, newest only; may be nil

	wake chan struct{} // there is news, or a removed target became idle
}

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
	p := t.Pool(name)
	if p == nil {
		return nil
	}
	return p.snapshot()
}

// Publish replaces all rosters, and returns when the new pools are in place. It does not need [Table.Run].
//
// A member that stays keeps its health and its counts. A new one is initial. One that is gone takes no new
// request from now on; it stays in [Table.Snapshot] as draining while requests run on it, for the group's
// DeregistrationDelay at most. Health of members that are in no roster is forgotten.
//
// The rosters must have passed triage's validation, and are not written to afterwards.
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
			g = newGroup(t)
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
	for _, g := range groups {
		g.build()
	}
	t.groups.Store(&groups)
	// Only now that no pool sends requests to them, those who leave may go.
	t.settle(now)
	t.stir()
}

// Observe takes note of changed health and returns at once; [Table.Run] brings it into the pools. Only the
// newest health of a key counts. Health of a key that is in no roster is dropped.
func (t *Table) Observe(transitions []triage.Transition) {
	t.newsMu.Lock()
	if t.news == nil {
		t.news = make(map[triage.Key]triage.Health, len(transitions))
	}
	for _, tr := range transitions {
		t.news[tr.Key] = tr.To
	}
	t.newsMu.Unlock()
	t.stir()
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
		if next, any := t.round(time.Now()); any {
			timer.Reset(time.Until(next))
		}
	}
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

// round does what is due, and returns when the next removed target runs out of time, if one does.
func (t *Table) round(now time.Time) (next time.Time, any bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for g := range t.learn() {
		g.build()
	}
	return t.settle(now)
}

// settle lets those go who have left, and returns when the next one has to. The caller holds mu.
func (t *Table) settle(now time.Time) (next time.Time, any bool) {
	groups := *t.groups.Load()
	left := groups
	for name, g := range groups {
		if g.retire(now) {
			g.build()
		}
		if until, leaving := g.nextCut(); leaving && (!any || until.Before(next)) {
			next, any = until, true
		}
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
	return next, any
}

// learn takes over the news and returns the groups whose pools it changes.
func (t *Table) learn() map[*group]bool {
	t.newsMu.Lock()
	news := t.news
	t.news = nil
	t.newsMu.Unlock()

	groups := *t.groups.Load()
	touched := make(map[*group]bool)
	for key, health := range news {
		g := groups[key.Group]
		if g == nil {
			continue
		}
		m := g.members[key]
		if m == nil || m.registration == triage.Deregistered {
			continue
		}
		m.health = health
		touched[g] = true
	}
	return touched
}
