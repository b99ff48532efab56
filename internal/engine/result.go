package engine

import (
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/loop"
)

// observe counts what a check of the slot saw.
func (l *shard) observe(s *slot, x *triage.Exchange, now moment) {
	s.checked++
	s.last, s.took = s.started, uint32(x.Took.Microseconds())
	s.outcome, s.status, s.detail = x.Outcome, uint16(x.Status), x.Detail
	counts := s.group.counts
	counts.outcomes[x.Outcome]++
	if x.Outcome.Verdict() == triage.Neutral {
		s.neutral++
		if s.doubts++; s.doubts == doubtAfter {
			l.doubt(s, x, true, now)
		}
		s.doubts = min(s.doubts, doubtAfter)
		return
	}
	if s.doubts == doubtAfter {
		l.doubt(s, x, false, now)
	}
	s.doubts = 0
	counts.took.Observe(x.Took)
	l.awaited(s)
	if x.Outcome.Info().Layer == triage.LayerConnect && x.Outcome != triage.Connected && l.engine.cfg.OnConnectFailure != nil {
		l.engine.cfg.OnConnectFailure(s.member.Key)
	}
	at := l.time(now)
	before := s.health
	if change := s.judge(x, at); change != triage.Unchanged {
		l.batch = append(l.batch, triage.Transition{
			Key: s.member.Key, From: before, To: s.health, Source: triage.FromCheck, At: at, Evidence: counts.evidence(x, now),
		})
	}
}

// judge moves the slot's health on by one result. Only an unhealthy target can be held down, so the others' checks do not
// pay for it.
func (s *slot) judge(x *triage.Exchange, at time.Time) (change triage.Change) {
	check := &s.group.check
	if s.health.State != triage.Unhealthy || !check.HoldDown.On() {
		s.health, change = s.health.Observe(x.Outcome, x.Status, check.Thresholds, at)
		return change
	}
	before := s.group.flaps[s]
	after, health, change := before.Observe(s.health, x.Outcome, x.Status, check.Thresholds, check.HoldDown, at)
	s.health = health
	if after != before {
		s.group.remember(s, after)
	}
	return change
}

// excuse makes a time-out neutral if the check began late by more than a tenth of its timeout: then we have more checks
// than we can carry, and what did not answer may be the one too many. Every other failure counts, however late. So does
// every failure of a check that only waited for others' handshakes, since that bound is our own choice; and what the
// beat and its timer take is no lateness.
func (l *shard) excuse(s *slot, x *triage.Exchange) {
	late := s.started - s.due
	choice := s.takes == needHandshake && l.room.fullEncrypted >= s.due
	if x.Outcome.TimedOut() && !choice && late > max(s.plan().Timeout/10, pulse+2*loop.Resolution) {
		x.Outcome, x.Detail = triage.CheckerLate, "it began "+late.Round(time.Millisecond).String()+" late"
	}
}

func (l *shard) doubt(s *slot, x *triage.Exchange, doubted bool, now moment) {
	l.batch = append(l.batch, triage.Transition{
		Key: s.member.Key, From: s.health, To: s.health, Source: triage.FromChecker, At: l.time(now),
		Evidence: s.group.evidence(x, now), Doubted: doubted,
	})
}

// counts is what is counted of one group, for as long as it exists.
type counts struct {
	outcomes [triage.NumOutcomes]uint64
	took     triage.Histogram
	shown    [triage.NumOutcomes]uint8 // exchanges handed on in this minute
	minute   int
	flaps    map[*slot]triage.Flaps // of those that have returned while HoldDown was on; nil while it is off
}

// remember notes the flaps of a slot.
func (c *counts) remember(s *slot, f triage.Flaps) {
	if c.flaps == nil {
		c.flaps = map[*slot]triage.Flaps{}
	}
	c.flaps[s] = f
}

// maxEvidence is how many exchanges of one outcome a shard hands on of a group each minute. In a mass failure the next ones
// say what these have said.
const maxEvidence = 100

// evidence returns a copy of the exchange that outlives it, or nil if there were many like it.
func (c *counts) evidence(x *triage.Exchange, now moment) *triage.Exchange {
	if minute := int(now / time.Minute); minute != c.minute {
		c.minute, c.shown = minute, [triage.NumOutcomes]uint8{}
	}
	if c.shown[x.Outcome] == maxEvidence {
		return nil
	}
	c.shown[x.Outcome]++
	return x.Clone()
}

// report hands the turn's batch on.
func (l *shard) report() {
	if len(l.batch) > 0 {
		l.engine.cfg.OnTransitions(l.batch)
		l.batch = nil
	}
	now := l.now()
	if l.late > 0 && now-l.lateTold >= time.Second && l.engine.cfg.OnBehind != nil {
		l.engine.cfg.OnBehind(l.late)
		l.late, l.lateTold = 0, now
	}
	l.offerLevels(now)
	l.checkWarm(now)
}

// levelParts is how many parts the targets are told in, a part each second.
const levelParts = 64

// offerLevels tells the health of the next part of the targets again, for whoever has missed a transition.
func (l *shard) offerLevels(now moment) {
	if l.engine.cfg.OnLevels == nil || len(l.order) == 0 || now < l.offerDue {
		return
	}
	l.offerDue = now + time.Second
	if l.offered >= len(l.order) {
		l.offered = 0
	}
	part := l.order[l.offered:]
	part = part[:min(len(part), (len(l.order)+levelParts-1)/levelParts)]
	l.offered += len(part)
	levels := make([]triage.HealthLevel, len(part))
	for i, s := range part {
		levels[i] = triage.HealthLevel{Key: s.member.Key, Health: s.health}
	}
	l.engine.cfg.OnLevels(levels)
}

// untilNews is how long the shard may wait, if checks leave it this time.
func (l *shard) untilNews(now moment, wait time.Duration) time.Duration {
	if l.warmTime > 0 && !l.isWarm {
		wait = min(wait, l.warmTime-now)
	}
	if l.engine.cfg.OnLevels != nil && len(l.order) > 0 {
		wait = min(wait, l.offerDue-now)
	}
	return max(0, wait)
}

// placed is a status with its place in the roster.
type placed struct {
	triage.CheckStatus
	order int32
}

// snapshot appends what is known of the shard's part of a group.
func (l *shard) snapshot(name triage.GroupName, to []placed) []placed {
	g := l.groups[name]
	if g == nil {
		return to
	}
	for _, s := range g.slots {
		status := triage.CheckStatus{
			Key: s.member.Key, Health: s.health, Checks: uint64(s.checked), Neutral: uint64(s.neutral), Doubted: s.doubts >= doubtAfter,
		}
		if f, flaps := g.flaps[s]; flaps {
			status.HeldUntil, status.Return = f.Held(g.check.HoldDown)
		}
		if s.checked > 0 {
			status.Last = triage.LastCheck{
				Started: l.time(s.last), Took: time.Duration(s.took) * time.Microsecond,
				Outcome: s.outcome, Status: int(s.status), Detail: s.detail,
			}
		}
		to = append(to, placed{status, s.order})
	}
	return to
}

// stats adds what the shard has counted.
func (l *shard) stats(to *triage.CheckStats, groups map[triage.GroupName]*triage.GroupCheckStats) {
	to.InFlight += l.room.inFlight
	to.Connections += l.room.idle
	to.Waiting += l.room.waiting
	to.MaxInFlight += l.room.most
	to.Lag.Add(l.lag)
	for name, g := range l.groups {
		sum := groups[name]
		if sum == nil {
			sum = &triage.GroupCheckStats{Group: name}
			groups[name] = sum
		}
		for o, n := range g.outcomes {
			sum.Outcomes[o] += n
		}
		sum.Took.Add(g.took)
		for _, s := range g.slots {
			if s.doubts == doubtAfter {
				sum.Doubted++
			}
		}
	}
}

// beginWarmUp notes, at the first Set, whose results Warm waits for.
func (l *shard) beginWarmUp(now moment) {
	if l.warmTime > 0 {
		return
	}
	var longest time.Duration
	for _, s := range l.order {
		s.warming = true
		longest = max(longest, s.group.check.Timeout)
	}
	l.warming = len(l.order)
	l.warmTime = now + min(longest, maxWarmUp)
}

// awaited notes that nobody needs to wait for the slot any more.
func (l *shard) awaited(s *slot) {
	if s.warming {
		s.warming = false
		l.warming--
	}
}

func (l *shard) checkWarm(now moment) {
	if l.warmTime > 0 && !l.isWarm && (l.warming == 0 || now >= l.warmTime) {
		l.isWarm = true
		l.engine.shardIsWarm()
	}
}
