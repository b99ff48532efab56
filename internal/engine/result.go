package engine

import (
	"time"

	"github.com/triage-lb/triage"
)

// observe counts what a check of the slot saw.
func (l *shard) observe(s *slot, x *triage.Exchange, now time.Time) {
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
	after, change := before.Observe(x.Outcome, x.Status, s.group.check.Thresholds, now)
	s.health = after
	if change == triage.Unchanged && after.State == triage.Healthy && x.Outcome.Verdict() == triage.Pass {
		// One of very many that went well: its bytes are of no use, and would be most of what a target costs.
		x.Sent, x.Head, x.Body = nil, nil, nil
	}
	if change != triage.Unchanged {
		l.batch = append(l.batch, triage.Transition{
			Key: s.key, From: before, To: after, Source: triage.FromCheck, At: now, Evidence: x,
		})
	}
}

func (l *shard) doubt(s *slot, doubted bool, now time.Time) {
	l.batch = append(l.batch, triage.Transition{
		Key: s.key, From: s.health, To: s.health, Source: triage.FromChecker, At: now, Evidence: s.last, Doubted: doubted,
	})
}

// report hands the turn's batch on.
func (l *shard) report() {
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

// placed is a status with its place in the roster.
type placed struct {
	triage.CheckStatus
	order int
}

// snapshot appends what is known of the shard's part of a group.
func (l *shard) snapshot(name triage.GroupName, to []placed) []placed {
	g := l.groups[name]
	if g == nil {
		return to
	}
	for _, s := range g.slots {
		to = append(to, placed{triage.CheckStatus{
			Key: s.key, Health: s.health, Last: s.lastCheck(), Checks: s.checked, Neutral: s.neutral, Doubted: s.doubts >= doubtAfter,
		}, s.order})
	}
	return to
}

// beginWarmUp notes, at the first Set, whose results Warm waits for.
func (l *shard) beginWarmUp(now time.Time) {
	if !l.warmTime.IsZero() {
		return
	}
	l.warming = make(map[*slot]bool, len(l.slots))
	var longest time.Duration
	for _, s := range l.slots {
		l.warming[s] = true
		longest = max(longest, s.group.check.Timeout)
	}
	l.warmTime = now.Add(min(longest, maxWarmUp))
}

func (l *shard) checkWarm(now time.Time) {
	if l.warming != nil && (len(l.warming) == 0 || !now.Before(l.warmTime)) {
		l.warming = nil
		l.engine.shardIsWarm()
	}
}

func (l *shard) untilWarm(now time.Time, wait time.Duration) time.Duration {
	if l.warming == nil {
		return wait
	}
	return max(0, min(wait, l.warmTime.Sub(now)))
}

func (s *slot) lastCheck() triage.LastCheck {
	if s.last == nil {
		return triage.LastCheck{}
	}
	return triage.LastCheck{Started: s.last.Started, Took: s.last.Took, Outcome: s.last.Outcome, Status: s.last.Status, Detail: s.last.Detail}
}
