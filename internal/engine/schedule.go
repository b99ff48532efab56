package engine

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/triage-lb/triage"
)

// set takes over what is to be checked.
func (l *shard) set(tasks []task) {
	now := time.Now()
	old := l.slots
	l.slots = make(map[triage.Key]*slot, len(old))
	fresh := 0
	groups := l.groups
	l.groups = make(map[triage.GroupName]*group, len(tasks))
	for _, t := range tasks {
		g := &group{check: t.roster.HealthCheck, plan: t.plan, policy: t.roster.Policy, slots: make([]*slot, 0, len(t.members))}
		if was := groups[t.roster.Name]; was != nil && was.check == g.check {
			g.plan = was.plan // so that the checks under way count
		}
		l.groups[t.roster.Name] = g
		for _, m := range t.members {
			s := old[m.key]
			delete(old, m.key)
			known := s != nil
			if !known {
				s = &slot{key: m.key}
				s.timer.Owner = s
			}
			changed := known && s.group.check != g.check
			s.group, s.unresolved, s.order = g, m.unresolved, m.order
			l.slots[m.key] = s
			g.slots = append(g.slots, s)
			if known && !changed {
				continue
			}
			due := now.Add(time.Duration(fresh) * firstChecksPace)
			fresh++
			if changed {
				l.changePlan(s, due)
			} else {
				l.wait(s, due)
			}
		}
	}
	for _, gone := range old {
		l.drop(gone)
	}
	l.beginWarmUp(now)
}

// wait makes a slot without a check under way due at a time.
func (l *shard) wait(s *slot, due time.Time) {
	s.due = due
	if !s.queued { // else its turn comes as soon as there is room
		l.wheel.Set(&s.timer, l.since(due))
	}
}

// changePlan follows up new settings of a slot. They are tried soon: whoever edits a check waits for the answer.
func (l *shard) changePlan(s *slot, due time.Time) {
	s.health = s.health.Undecided()
	if s.flight == nil {
		l.wait(s, due)
		return
	}
	s.due = due // see finish
	l.driver.cancel(s)
}

func (l *shard) drop(s *slot) {
	delete(l.warming, s)
	l.wheel.Stop(&s.timer)
	if s.flight != nil {
		l.driver.cancel(s)
	}
}

// kick makes a slot due now.
func (l *shard) kick(key triage.Key) {
	s := l.slots[key]
	now := time.Now()
	if s == nil || s.flight != nil || s.started.Add(minKick).After(now) {
		return
	}
	l.wait(s, now)
}

// startDue starts what is due and says how long nothing else will be.
func (l *shard) startDue(now time.Time) time.Duration {
	l.wheel.Advance(l.since(now), l.fire)
	started := 0
	for started < len(l.queue) && l.inFlight < l.engine.cfg.MaxInFlight {
		s := l.queue[started]
		started++
		s.queued = false
		if l.slots[s.key] == s { // else it was removed while it was in line
			l.start(s, now)
		}
	}
	l.queue = slices.Delete(l.queue, 0, started)
	wait := time.Hour
	if next, ok := l.wheel.Next(); ok {
		wait = max(0, next-l.since(now))
	}
	return l.untilWarm(now, wait)
}

func (l *shard) start(s *slot, now time.Time) {
	if late := now.Sub(s.due); late > s.group.check.Interval {
		l.late = max(l.late, late)
	}
	s.started = now
	if s.unresolved != "" {
		l.finish(result{s, s.plan(), unresolved(s, now)})
		return
	}
	l.inFlight++
	l.driver.start(s)
}

// unresolved is the exchange of a check that had no address to go to.
func unresolved(s *slot, now time.Time) *triage.Exchange {
	return &triage.Exchange{
		Key:     s.key,
		Dialect: s.plan().Dialect.Name,
		Started: now,
		Timing:  triage.NoTiming(),
		Outcome: triage.ResolveFailed,
		Detail:  s.unresolved,
	}
}

// finish counts a result and makes the slot wait for its next check.
func (l *shard) finish(r result) {
	s := r.slot
	if s.flight != nil {
		s.flight = nil
		l.inFlight--
	}
	if l.slots[s.key] != s {
		return // removed meanwhile
	}
	now := time.Now()
	if r.plan == s.plan() {
		s.due = l.after(s, now)
		l.observe(s, r.exchange, now)
	} // else the settings changed meanwhile, and changePlan has made it due by the new ones
	l.wait(s, s.due)
}

// after is when the slot's next check begins. Checks run at a fixed rate, start to start, as AWS's do, each
// target at its own point of the interval: a hash of its key spreads them, and stays over reloads. The first
// step onto that grid may be shorter than the interval, but never shorter than half of it.
func (l *shard) after(s *slot, now time.Time) time.Time {
	interval := s.group.check.Interval
	offset := time.Duration(maphash.Comparable(l.engine.seed, s.key) % uint64(interval))
	from := s.started.Add(interval / 2)
	if from.Before(now) {
		from = now
	}
	since := time.Duration(from.UnixNano()) - offset
	return from.Add(interval - since%interval)
}
