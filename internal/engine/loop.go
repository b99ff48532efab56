package engine

import (
	"container/heap"
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe"
)

// loop is the state of Run. Everything in it is owned by Run's goroutine.
type loop struct {
	ctx     context.Context
	engine  *Engine
	checks  *sync.WaitGroup
	results chan result
	seed    maphash.Seed

	slots    map[triage.Key]*slot
	groups   map[triage.GroupName][]*slot // the same, in the order of the rosters
	queue    queue                        // slots that wait for their time
	inFlight int
	batch    []triage.Transition

	late     time.Duration // the worst late start since it was told
	lateTold time.Time

	warming  map[*slot]bool // slots of the first Set without a result; nil once warm
	warmTime time.Time      // when we stop waiting for them
}

// slot is one target of one group: its check and what came of it.
type slot struct {
	key        triage.Key
	check      triage.HealthCheck
	plan       *probe.Plan
	policy     triage.AddressPolicy
	unresolved string
	cancel     context.CancelFunc // of the check under way; nil if there is none

	due   time.Time
	index int // in the queue; -1 if it is not there

	health  triage.Health
	last    *triage.Exchange
	started time.Time // of the last check
	checked uint64
	neutral uint64
	doubts  int // neutral results in a row
}

// result is a check that ended.
type result struct {
	slot     *slot
	plan     *probe.Plan // that it was made with
	exchange *triage.Exchange
}

func newLoop(ctx context.Context, e *Engine, checks *sync.WaitGroup) *loop {
	return &loop{
		ctx:     ctx,
		engine:  e,
		checks:  checks,
		results: make(chan result, e.cfg.MaxInFlight), // a check that ends never waits for the loop
		seed:    maphash.MakeSeed(),
		slots:   map[triage.Key]*slot{},
	}
}

// set takes over what is to be checked.
func (l *loop) set(rosters []triage.Roster) {
	now := time.Now()
	old := l.slots
	l.slots = make(map[triage.Key]*slot, len(old))
	l.groups = make(map[triage.GroupName][]*slot, len(rosters))
	fresh := 0
	for _, r := range rosters {
		if !r.Routed {
			continue
		}
		shared := plan(r.HealthCheck)
		for _, m := range r.Members {
			s := old[m.Key]
			delete(old, m.Key)
			if s == nil {
				s = &slot{key: m.Key, check: r.HealthCheck, plan: shared, index: -1}
				s.due = now.Add(time.Duration(fresh) * firstChecksPace)
				fresh++
				heap.Push(&l.queue, s)
			}
			l.slots[m.Key] = s
			l.groups[r.Name] = append(l.groups[r.Name], s)
			s.policy, s.unresolved = r.Policy, m.Unresolved
			if s.check != r.HealthCheck {
				l.changePlan(s, r.HealthCheck, shared, now.Add(time.Duration(fresh)*firstChecksPace))
				fresh++
			}
		}
	}
	for _, gone := range old {
		l.drop(gone)
	}
	l.beginWarmUp(now)
}

// changePlan gives a slot new settings. They are tried soon: whoever edits a check waits for the answer.
func (l *loop) changePlan(s *slot, c triage.HealthCheck, p *probe.Plan, due time.Time) {
	s.check, s.plan = c, p
	s.health = s.health.Undecided()
	if s.cancel != nil {
		s.cancel()
	}
	s.due = due
	if s.index >= 0 {
		heap.Fix(&l.queue, s.index)
	}
}

func (l *loop) drop(s *slot) {
	if s.cancel != nil {
		s.cancel()
	}
	if s.index >= 0 {
		heap.Remove(&l.queue, s.index)
	}
	delete(l.warming, s)
}

// kick makes a slot due now.
func (l *loop) kick(key triage.Key) {
	s := l.slots[key]
	if s == nil || s.index < 0 {
		return
	}
	now := time.Now()
	if at := s.started.Add(minKick); at.After(now) {
		return
	}
	s.due = now
	heap.Fix(&l.queue, s.index)
}

// startDue starts what is due and says how long nothing else will be.
func (l *loop) startDue(now time.Time) time.Duration {
	for len(l.queue) > 0 && l.inFlight < l.engine.cfg.MaxInFlight {
		s := l.queue[0]
		if wait := s.due.Sub(now); wait > 0 {
			return l.untilWarm(now, wait)
		}
		heap.Pop(&l.queue)
		l.start(s, now)
	}
	return l.untilWarm(now, time.Hour)
}

func (l *loop) start(s *slot, now time.Time) {
	if late := now.Sub(s.due); late > s.check.Interval {
		l.late = max(l.late, late)
	}
	s.started = now
	if s.unresolved != "" {
		l.finish(result{s, s.plan, unresolved(s, now)})
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	s.cancel = cancel
	l.inFlight++
	p, policy, key := s.plan, s.policy, s.key
	l.checks.Go(func() {
		x := probe.Do(ctx, p, key, policy)
		cancel()
		l.results <- result{s, p, x}
	})
}

// unresolved is the exchange of a check that had no address to go to.
func unresolved(s *slot, now time.Time) *triage.Exchange {
	return &triage.Exchange{
		Key:     s.key,
		Dialect: s.plan.Dialect.Name,
		Started: now,
		Timing:  triage.NoTiming(),
		Outcome: triage.ResolveFailed,
		Detail:  s.unresolved,
	}
}

// finish counts a result and makes the slot wait for its next check.
func (l *loop) finish(r result) {
	s := r.slot
	if s.cancel != nil {
		s.cancel = nil
		l.inFlight--
	}
	if l.slots[s.key] != s {
		return // removed meanwhile
	}
	now := time.Now()
	if r.plan == s.plan {
		s.due = l.after(s, now)
		l.observe(s, r.exchange, now)
	} // else the settings changed meanwhile, and changePlan has made it due by the new ones
	heap.Push(&l.queue, s)
}

// finishWaiting takes the other results that are there already, so that they share a batch.
func (l *loop) finishWaiting() {
	for range len(l.results) {
		l.finish(<-l.results)
	}
}

func (l *loop) observe(s *slot, x *triage.Exchange, now time.Time) {
	s.checked++
	s.last = x
	if x.Outcome.Verdict() == triage.Neutral {
		s.neutral++
		s.doubts++
		if s.doubts == doubtAfter {
			l.doubt(s, true, now)
		}
		return
	}
	if s.doubts >= doubtAfter {
		l.doubt(s, false, now)
	}
	s.doubts = 0
	delete(l.warming, s)
	if x.Outcome.Info().Layer == triage.LayerConnect && x.Outcome != triage.Connected && l.engine.cfg.OnConnectFailure != nil {
		l.engine.cfg.OnConnectFailure(s.key)
	}
	before := s.health
	after, change := before.Observe(x.Outcome, x.Status, s.check.Thresholds, now)
	s.health = after
	if change != triage.Unchanged {
		l.batch = append(l.batch, triage.Transition{
			Key: s.key, From: before, To: after, Source: triage.FromCheck, At: now, Evidence: x,
		})
	}
}

func (l *loop) doubt(s *slot, doubted bool, now time.Time) {
	l.batch = append(l.batch, triage.Transition{
		Key: s.key, From: s.health, To: s.health, Source: triage.FromChecker, At: now, Evidence: s.last, Doubted: doubted,
	})
}

// after is when the slot's next check begins. Checks run at a fixed rate, start to start, as AWS's do, each
// target at its own point of the interval: a hash of its key spreads them, and stays over reloads. The first
// step onto that grid may be shorter than the interval, but never shorter than half of it.
func (l *loop) after(s *slot, now time.Time) time.Time {
	interval := s.check.Interval
	offset := time.Duration(maphash.Comparable(l.seed, s.key) % uint64(interval))
	from := s.started.Add(interval / 2)
	if from.Before(now) {
		from = now
	}
	since := time.Duration(from.UnixNano()) - offset
	return from.Add(interval - since%interval)
}

// report hands the turn's batch on.
func (l *loop) report() {
	if len(l.batch) > 0 {
		l.engine.cfg.OnTransitions(l.batch)
		l.batch = nil
	}
	now := time.Now()
	if l.late > 0 && now.Sub(l.lateTold) >= time.Second && l.engine.cfg.OnBehind != nil {
		l.engine.cfg.OnBehind(l.late)
		l.late, l.lateTold = 0, now
	}
	l.checkWarm(now)
}

func (l *loop) snapshot(group triage.GroupName) []triage.CheckStatus {
	var all []triage.CheckStatus
	for _, s := range l.groups[group] {
		all = append(all, triage.CheckStatus{
			Key: s.key, Health: s.health, Last: s.last, Checks: s.checked, Neutral: s.neutral, Doubted: s.doubts >= doubtAfter,
		})
	}
	return all
}

// beginWarmUp notes, at the first Set, whose results Warm waits for.
func (l *loop) beginWarmUp(now time.Time) {
	if !l.warmTime.IsZero() {
		return
	}
	l.warming = make(map[*slot]bool, len(l.slots))
	var longest time.Duration
	for _, s := range l.slots {
		l.warming[s] = true
		longest = max(longest, s.check.Timeout)
	}
	l.warmTime = now.Add(min(longest, maxWarmUp))
}

func (l *loop) checkWarm(now time.Time) {
	if l.warming != nil && (len(l.warming) == 0 || !now.Before(l.warmTime)) {
		l.warming = nil
		close(l.engine.warm)
	}
}

func (l *loop) untilWarm(now time.Time, wait time.Duration) time.Duration {
	if l.warming == nil {
		return wait
	}
	return max(0, min(wait, l.warmTime.Sub(now)))
}

// queue is a heap of slots by due time.
type queue []*slot

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	s := x.(*slot)
	s.index = len(*q)
	*q = append(*q, s)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	s.index = -1
	return s
}
