package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/loop"
)

// slack is how late a check may begin in a test where nothing else is late: at the next beat, a tick of a timer later.
const slack = pulse + 2*loop.Resolution

// virtual is a driver without a network: each check takes the time and has the outcome that script says. In a bubble of
// synctest, where sleeping costs nothing, a shard lives through hours with it.
type virtual struct {
	shard  *shard
	script func(s *slot, n uint32) (took time.Duration, o triage.Outcome) // of the slot's n-th check
	starts map[*slot][]moment
	ends   map[*slot]moment
	fault  string
}

func (d *virtual) start(s *slot) {
	if _, twice := d.ends[s]; twice {
		d.fault = "two checks of one target at once"
	}
	now := d.shard.now()
	took, _ := d.script(s, s.checked)
	d.starts[s] = append(d.starts[s], now)
	d.ends[s] = now + took
	s.flight = d
}

func (d *virtual) wait(most time.Duration) error {
	until := d.shard.now() + most
	for _, end := range d.ends {
		until = min(until, end)
	}
	time.Sleep(max(until-d.shard.now(), 0))
	for s, end := range d.ends {
		if end <= d.shard.now() {
			delete(d.ends, s)
			took, o := d.script(s, s.checked)
			d.shard.finish(result{slot: s, plan: s.plan(), exchange: &triage.Exchange{Outcome: o, Took: took}})
		}
	}
	return nil
}

func (d *virtual) cancel(*slot)  {}
func (d *virtual) release(*slot) {}
func (d *virtual) wake()         {}
func (d *virtual) close()        {}

// live runs a shard of one group for a while in a bubble of virtual time, and returns when each target was checked.
func live(t *testing.T, c triage.HealthCheck, targets int, span time.Duration, script func(*slot, uint32) (time.Duration, triage.Outcome)) *virtual {
	var d *virtual
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Shards: 1, OnTransitions: func([]triage.Transition) {}}).shards[0]
		d = &virtual{shard: l, script: script, starts: map[*slot][]moment{}, ends: map[*slot]moment{}}
		l.driver = d
		l.take(many(c, netip.MustParseAddrPort("127.0.0.1:1"), targets))
		for l.now() < span {
			most := l.startDue(l.now())
			l.report()
			d.wait(min(most, span-l.now()))
		}
	})
	return d
}

// TestSchedule: whatever the settings and however the checks end, each target is checked at the pace that its state
// asks for, from start to start, and never twice at once.
func TestSchedule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		duration := func(name string, least, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(rt, name))
		}
		c := fastCheck()
		c.Timeout = duration("timeout", triage.MinInterval, 2*time.Second)
		c.Interval = c.Timeout + duration("interval", time.Millisecond, 10*time.Second)
		c.Thresholds = triage.Thresholds{Healthy: rapid.IntRange(1, 4).Draw(rt, "healthy"), Unhealthy: rapid.IntRange(1, 4).Draw(rt, "unhealthy")}
		if rapid.Bool().Draw(rt, "unhealthy_interval") {
			c.UnhealthyInterval = c.Timeout + duration("unhealthy", time.Millisecond, 20*time.Second)
		}
		if rapid.Bool().Draw(rt, "transition_interval") {
			c.TransitionInterval = c.Timeout + duration("transition", time.Millisecond, 5*time.Second)
		}
		if rapid.Bool().Draw(rt, "jitter?") {
			c.Jitter = duration("jitter", 0, c.Interval/2)
		}
		seed := rapid.Uint64().Draw(rt, "seed")
		type end struct {
			took time.Duration
			o    triage.Outcome
		}
		ends := map[string]end{}
		paces := map[*slot][]time.Duration{}
		script := func(s *slot, n uint32) (time.Duration, triage.Outcome) {
			at := fmt.Sprint(s.member.Key.Target, n)
			if _, known := ends[at]; !known {
				r := rand.New(rand.NewPCG(seed, uint64(s.order)<<32|uint64(n)))
				o := []triage.Outcome{triage.Matched, triage.Matched, triage.Matched, triage.CodeMismatch, triage.OutOfResources}[r.IntN(5)]
				ends[at] = end{time.Duration(r.Int64N(int64(c.Timeout))), o}
			} else { // it ends now; the pace is that of the health after it
				h, _ := s.health.Observe(ends[at].o, 0, c.Thresholds, time.Time{})
				paces[s] = append(paces[s], c.Pace(h))
			}
			return ends[at].took, ends[at].o
		}
		d := live(t, c, 3, 40*max(c.Interval, c.UnhealthyInterval, c.TransitionInterval), script)
		if d.fault != "" {
			rt.Fatal(d.fault)
		}
		for s, starts := range d.starts {
			if len(starts) < 5 {
				rt.Fatalf("only %d checks in 40 of the longest intervals", len(starts))
			}
			for i := 1; i < len(starts); i++ {
				gap, pace := starts[i]-starts[i-1], paces[s][i-1]
				least, most := pace, pace
				point := d.shard.onGrid(s, starts[i-1]) - c.Interval // of the grid, at the start or before it
				if pace == c.Interval && starts[i-1]-point > c.Jitter+slack {
					least, most = pace/4, pace*5/4 // a step onto the grid
				}
				least, most = least-c.Jitter, most+c.Jitter
				if gap < least-slack || gap > most+slack {
					rt.Fatalf("check %d of %s came %s after the one before, want %s to %s (%+v)", i, s.member.Key, gap, least, most, c)
				}
			}
		}
	})
}

// TestGridStays: a reload does not move anybody's point of the interval.
func TestGridStays(t *testing.T) {
	l := parkedShard()
	c := fastCheck()
	c.Interval = 10 * time.Second
	r := many(c, netip.MustParseAddrPort("127.0.0.1:1"), 100)
	l.take(r)
	now := l.now()
	point := map[triage.Key]moment{}
	for _, s := range l.order {
		point[s.member.Key] = l.onGrid(s, now) % c.Interval
	}
	r = many(c, netip.MustParseAddrPort("127.0.0.1:1"), 200)
	l.take()
	l.take(r)
	for _, s := range l.order {
		if was, known := point[s.member.Key]; known && l.onGrid(s, now)%c.Interval != was {
			t.Errorf("%s moved", s.member.Key)
		}
	}
}

// TestEndToStart: where a dialect counts the interval from the end of a check, a slow target is asked less often.
func TestEndToStart(t *testing.T) {
	c := fastCheck()
	c.Interval, c.Timeout = 3*time.Second, 2*time.Second
	d := live(t, c, 1, time.Minute, func(s *slot, _ uint32) (time.Duration, triage.Outcome) {
		plan := *s.group.plan
		spec := *plan.Dialect
		spec.Timing.EndToStart = true
		plan.Dialect = &spec
		s.group.plan = &plan
		return time.Second, triage.Matched
	})
	for _, starts := range d.starts {
		for i := 1; i < len(starts); i++ {
			if gap := starts[i] - starts[i-1]; gap < 4*time.Second || gap > 4*time.Second+slack {
				t.Errorf("%s from start to start, want 4s", gap)
			}
		}
	}
}

// TestLevelsComeRound: who has missed every transition knows every target's health after a minute and a bit.
func TestLevelsComeRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := map[triage.Key]triage.State{}
		most := 0
		l := New(Config{Shards: 1, OnTransitions: func([]triage.Transition) {}, OnLevels: func(levels []triage.HealthLevel) {
			most = max(most, len(levels))
			for _, level := range levels {
				told[level.Key] = level.Health.State
			}
		}}).shards[0]
		d := &virtual{shard: l, starts: map[*slot][]moment{}, ends: map[*slot]moment{}}
		d.script = func(*slot, uint32) (time.Duration, triage.Outcome) { return 0, triage.Matched }
		l.driver = d
		c := fastCheck()
		c.Interval = time.Hour
		l.take(many(c, netip.MustParseAddrPort("127.0.0.1:1"), 1000))
		for l.now() < 70*time.Second {
			wait := l.startDue(l.now())
			l.report()
			d.wait(wait)
		}
		healthy := 0
		for _, state := range told {
			if state == triage.Healthy {
				healthy++
			}
		}
		if healthy != 1000 || most > 1000/64+1 {
			t.Errorf("%d of 1000 were told as healthy, %d at once", healthy, most)
		}
	})
}
