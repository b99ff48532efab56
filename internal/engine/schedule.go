package engine

import (
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/keyed"
	"github.com/triage-lb/triage/internal/loop"
)

// set takes over what is to be checked.
func (l *shard) set(tasks []task) {
	now := l.now()
	old, groups := l.slots, l.groups
	for s := range old.All() {
		s.gone = true
	}
	size := 0
	for _, t := range tasks {
		size += len(t.members)
	}
	l.slots, l.order = keyed.Set[*slot]{}, make([]*slot, 0, size)
	l.slots.Grow(size)
	l.groups = make(map[triage.GroupName]*group, len(tasks))
	fresh := 0
	for _, t := range tasks {
		g := &group{check: t.roster.HealthCheck, plan: t.plan, policy: &t.roster.Policy, counts: &counts{}}
		if was := groups[t.roster.Name]; was != nil {
			g.counts = was.counts
			if !g.check.HoldDown.On() {
				g.flaps = nil
			}
			if was.policy.Equal(*g.policy) {
				g.policy = was.policy
			}
			if was.check == g.check {
				g.plan = was.plan // so that the checks under way count
			}
		}
		l.groups[t.roster.Name] = g
		from := len(l.order)
		for _, m := range t.members {
			if l.slots.Get(m.member.Key) != nil {
				continue // named twice
			}
			s := l.enroll(old.Get(m.member.Key), m, g)
			l.slots.Put(s)
			l.order = append(l.order, s)
			if s.due == 0 { // new, or to be checked by new settings
				l.beginSoon(s, now+time.Duration(fresh)*l.engine.firstPace)
				fresh++
			}
		}
		g.slots = l.order[from:len(l.order):len(l.order)]
	}
	for s := range old.All() {
		if s.gone {
			l.drop(s)
		}
	}
	l.beginWarmUp(now)
}

// enroll returns the slot of a member, which may be known already. If it has to be checked soon it is not due at any time.
func (l *shard) enroll(s *slot, m taskMember, g *group) *slot {
	if s == nil {
		s = &slot{}
		s.timer.Owner = s
	} else if s.group.check != g.check {
		s.health = s.health.Undecided()
		if f, flaps := g.flaps[s]; flaps {
			g.flaps[s] = f.Undecided(l.time(l.now()))
		}
		if s.line == notFlying { // else it is due already
			s.due = 0
		}
		if s.flying() {
			l.driver.cancel(s)
		} else {
			l.release(s) // the connection is for another question
		}
	} else if s.group.policy != g.policy && !s.flying() {
		l.release(s) // the connection may lead where it must not any more
	}
	s.member, s.group, s.order, s.gone = m.member, g, int32(m.order), false
	l.room.move(s)
	return s
}

// beginSoon makes a slot due for its first check, or its first by new settings: whoever edits a check waits for the
// answer. If one is under way it is being canceled, and finish sees to the next.
func (l *shard) beginSoon(s *slot, due moment) {
	s.due = due
	if !s.flying() {
		l.wait(s)
	}
}

// wait sets the timer of a slot without a check under way.
func (l *shard) wait(s *slot) {
	if s.line == notFlying { // else its turn comes as soon as there is room
		l.wheel.Set(&s.timer, s.due)
	}
}

// drop ends what runs for a slot that was removed.
func (l *shard) drop(s *slot) {
	l.awaited(s)
	delete(s.group.flaps, s)
	l.wheel.Stop(&s.timer)
	l.room.leave(s)
	if s.flying() {
		l.driver.cancel(s)
	} else {
		l.release(s)
	}
}

// release ends a connection that was kept for the slot.
func (l *shard) release(s *slot) {
	if s.flight != nil {
		l.driver.release(s)
		l.lost(s)
	}
}

// lost notes that a kept connection is no more.
func (l *shard) lost(s *slot) {
	s.flight = nil
	l.room.unkeep(s)
	l.room.move(s)
}

// kick makes a slot due now.
func (l *shard) kick(key triage.Key) {
	s := l.slots.Get(key)
	now := l.now()
	if s == nil || s.flying() || s.checked > 0 && s.started+minKick > now {
		return
	}
	s.due = min(s.due, now) // one that waits in line has been due for longer
	l.wait(s)
}

// pulse is the beat on which checks begin. Those of one beat leave together: the loop sleeps once for all of them, the
// next answers find it awake, and a server that is asked for many targets wakes up once as well. It costs each check a
// delay of half a beat, and saves up to a third of the CPU time where there are thousands a second.
const pulse = 8 * loop.Resolution

// startDue starts what is due and says how long nothing else will be.
func (l *shard) startDue(now moment) time.Duration {
	if now >= l.pulse {
		l.wheel.Advance(now, l.fire)
		l.pulse = now - now%pulse + pulse
	}
	for begun := 0; ; begun++ {
		if begun == maxBegin {
			return 0
		}
		now = l.now()
		s := l.room.next(now)
		if s == nil {
			break
		}
		l.start(s, now)
	}
	wait := time.Hour
	if next, ok := l.wheel.Next(); ok {
		wait = max(next, l.pulse) - now
	}
	return l.untilNews(now, wait)
}

// maxBegin is how many checks begin before the loop looks at its sockets again: some 5 ms of work.
const maxBegin = 256

func (l *shard) start(s *slot, now moment) {
	late := max(0, now-s.due)
	l.lag.Observe(late)
	if late > s.group.check.Interval {
		l.late = max(l.late, late)
	}
	s.started = now
	l.room.begin(s)
	if s.member.Unresolved != "" {
		l.finish(result{slot: s, plan: s.plan(), policy: s.group.policy, exchange: l.unresolved(s)})
		return
	}
	l.driver.start(s)
}

// unresolved is the exchange of a check that had no address to go to.
func (l *shard) unresolved(s *slot) *triage.Exchange {
	return &triage.Exchange{
		Key:     s.member.Key,
		Dialect: s.plan().Dialect.Name,
		Started: l.time(s.started),
		Timing:  triage.NoTiming(),
		Outcome: triage.ResolveFailed,
		Detail:  s.member.Unresolved,
	}
}

// finish counts a result and makes the slot wait for its next check. It reports whether the slot keeps the connection,
// which is idle from now on; else the driver ends it and forgets the slot.
func (l *shard) finish(r result) (keep bool) {
	s := r.slot
	l.excuse(s, r.exchange)
	l.room.end(s)
	valid := !s.gone && r.plan == s.plan()
	keep = r.reusable && valid && r.policy == s.group.policy && l.room.keep(s)
	if !keep {
		s.flight = nil
	}
	if s.gone {
		return keep
	}
	if valid {
		now := l.now()
		l.observe(s, r.exchange, now)
		s.due = l.next(s, now)
	} // else the settings changed meanwhile, and beginSoon has made it due by the new ones
	l.wait(s)
	return keep
}

// next is when the slot's next check begins. Checks run at a fixed rate, start to start, as AWS's do, each target at
// its own point of the interval: a hash of its key spreads them, and stays over reloads. A step onto that grid, the first
// or the one after a kick, is a quarter of the interval at least, and five quarters at most.
//
// An interval that is used for some states only is kept from one start to the next without a grid: whoever sets it wants a
// result after this time, and targets that fail together may be asked together a few times.
func (l *shard) next(s *slot, now moment) (due moment) {
	check := &s.group.check
	pace := check.Pace(s.health)
	switch {
	case s.plan().Dialect.Timing.EndToStart:
		due = now + pace
	case pace == check.Interval:
		due = l.onGrid(s, s.started+pace/4)
	default:
		due = s.started + pace
	}
	if check.Jitter > 0 {
		due += rand.N(check.Jitter)
	}
	return max(now, due)
}

// onGrid is the slot's point of the interval that comes next after a moment.
func (l *shard) onGrid(s *slot, after moment) moment {
	interval := s.group.check.Interval
	offset := moment(maphash.Comparable(l.engine.seed, s.member.Key) % uint64(interval))
	return after + interval - (after+interval-offset)%interval
}
