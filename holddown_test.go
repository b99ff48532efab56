package triage_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// flapping is a target that is held down, told in seconds.
type flapping struct {
	t          *testing.T
	thresholds triage.Thresholds
	hold       triage.HoldDown
	health     triage.Health
	flaps      triage.Flaps
}

var secondZero = time.Unix(1_000_000, 0)

func newFlapping(t *testing.T) *flapping {
	return &flapping{
		t: t, thresholds: triage.Thresholds{Healthy: 2, Unhealthy: 1},
		hold: triage.HoldDown{First: 10 * time.Second, Limit: 30 * time.Second, Window: 100 * time.Second},
	}
}

// sees counts a result at each of the seconds.
func (f *flapping) sees(o triage.Outcome, seconds ...int) {
	for _, second := range seconds {
		f.flaps, f.health, _ = f.flaps.Observe(f.health, o, 0, f.thresholds, f.hold, secondZero.Add(time.Duration(second)*time.Second))
	}
}

// is checks the state, and the second until which the target is held for its which-th return; 0: it is not.
func (f *flapping) is(state triage.State, until, which int) {
	f.t.Helper()
	at, n := f.flaps.Held(f.hold)
	second := 0
	if !at.IsZero() {
		second = int(at.Sub(secondZero) / time.Second)
	}
	if f.health.State != state || second != until || n != which {
		f.t.Errorf("%s, held until second %d for return %d; want %s, %d, %d", f.health.State, second, n, state, until, which)
	}
}

const (
	pass = triage.Matched
	fail = triage.Refused
)

// TestEachReturnDoublesTheWait, up to the limit.
func TestEachReturnDoublesTheWait(t *testing.T) {
	f := newFlapping(t)
	f.sees(pass, 0)
	f.is(triage.Healthy, 0, 0)
	f.sees(fail, 1)
	f.sees(pass, 2)
	f.is(triage.Unhealthy, 0, 0)
	f.sees(pass, 3) // the first return
	f.is(triage.Healthy, 0, 0)

	f.sees(fail, 4)
	f.sees(pass, 5)
	f.is(triage.Unhealthy, 0, 0) // not held: it does not meet its threshold
	f.sees(pass, 6)
	f.is(triage.Unhealthy, 15, 2)
	f.sees(pass, 14)
	f.is(triage.Unhealthy, 15, 2)
	f.sees(pass, 15) // the second
	f.is(triage.Healthy, 0, 0)

	f.sees(fail, 16)
	f.sees(pass, 20, 21)
	f.is(triage.Unhealthy, 40, 3)
	f.sees(pass, 41) // the third
	f.is(triage.Healthy, 0, 0)

	f.sees(fail, 42)
	f.sees(pass, 50, 60)
	f.is(triage.Unhealthy, 80, 4)
	f.sees(pass, 80)
	f.sees(fail, 81)
	f.sees(pass, 90, 91)
	f.is(triage.Unhealthy, 120, 5)
}

// TestFailureBeginsTheWaitAnew, and a neutral result does not.
func TestFailureBeginsTheWaitAnew(t *testing.T) {
	f := newFlapping(t)
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	f.sees(fail, 3)
	f.sees(pass, 4, 5)
	f.is(triage.Unhealthy, 14, 2)
	f.sees(triage.OutOfResources, 6, 7)
	f.is(triage.Unhealthy, 14, 2)
	f.sees(fail, 13)
	f.is(triage.Unhealthy, 0, 0)
	f.sees(pass, 20)
	f.is(triage.Unhealthy, 0, 0)
	f.sees(pass, 21)
	f.is(triage.Unhealthy, 30, 2) // as long as before: it was no return
	f.sees(triage.OutOfResources, 31)
	f.is(triage.Unhealthy, 30, 2) // time alone brings nobody back
	f.sees(pass, 32)
	f.is(triage.Healthy, 0, 0)
}

// TestQuietWindowForgets: who was long well, or long ill, does not come and go.
func TestQuietWindowForgets(t *testing.T) {
	f := newFlapping(t)
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	f.sees(fail, 90)
	f.sees(pass, 102, 103) // the threshold is met 101 seconds after the return
	f.is(triage.Healthy, 0, 0)
	f.sees(fail, 104)
	f.sees(pass, 202, 203) // 100 seconds after it
	f.is(triage.Unhealthy, 212, 2)
}

// TestFlappingWhileHeldIsNotForgotten: who cannot pass for as long as it has to does not come back because the window is over.
func TestFlappingWhileHeldIsNotForgotten(t *testing.T) {
	f := newFlapping(t)
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	for second := 3; second < 1000; second += 5 {
		f.sees(fail, second)
		f.sees(pass, second+2, second+4)
		f.is(triage.Unhealthy, second+12, 2)
	}
	f.sees(fail, 1003)
	f.sees(pass, 1104, 1105)
	f.is(triage.Healthy, 0, 0)
}

// TestLimitAboveTheWindow: the window's end does not end a wait.
func TestLimitAboveTheWindow(t *testing.T) {
	f := newFlapping(t)
	f.hold = triage.HoldDown{First: time.Minute, Limit: time.Hour, Window: 10 * time.Second}
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	f.sees(fail, 3)
	f.sees(pass, 4, 5, 30, 63)
	f.is(triage.Unhealthy, 64, 2)
	f.sees(pass, 64)
	f.is(triage.Healthy, 0, 0)
	f.sees(fail, 65)
	f.sees(pass, 66, 67)
	f.is(triage.Unhealthy, 66+120, 3)
}

// TestHoldDownDefaults: a limit and a window that are not set are ten minutes.
func TestHoldDownDefaults(t *testing.T) {
	f := newFlapping(t)
	f.hold = triage.HoldDown{First: 4 * time.Minute}
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	f.sees(fail, 3)
	f.sees(pass, 599, 602)
	f.is(triage.Unhealthy, 599+240, 2)
	f.sees(pass, 900)
	f.sees(fail, 901)
	f.sees(pass, 902, 903)
	f.is(triage.Unhealthy, 902+480, 3)
	f.sees(pass, 2000)
	f.sees(fail, 2001)
	f.sees(pass, 2002, 2003)
	f.is(triage.Unhealthy, 2002+600, 4)
}

// TestOffForgetsTheFlaps, and while it is off nothing is remembered.
func TestOffForgetsTheFlaps(t *testing.T) {
	f := newFlapping(t)
	on := f.hold
	f.sees(fail, 0)
	f.sees(pass, 1, 2)
	f.sees(fail, 3)
	f.sees(pass, 4, 5)
	f.is(triage.Unhealthy, 14, 2)
	f.hold = triage.HoldDown{}
	f.sees(pass, 6)
	f.is(triage.Healthy, 0, 0)
	if f.flaps != (triage.Flaps{}) {
		t.Errorf("remembers %+v", f.flaps)
	}
	f.sees(fail, 7)
	f.hold = on
	f.sees(pass, 8, 9)
	f.is(triage.Healthy, 0, 0)
}

// naiveFlapping is the model of a target that is held down: it keeps all that happened in lists, and asks them.
type naiveFlapping struct {
	naiveHealth
	seen    []naiveResult // results that were not neutral and edits, all of them
	returns []naiveReturn // since hold-down is on
	broken  []time.Time   // when waits came to nothing, since then
}

type naiveResult struct {
	at    time.Time
	pass  bool
	began bool // it is an edit, or the result that entered the state
	met   bool // the threshold of the other state was met
}

type naiveReturn struct {
	at      time.Time
	follows bool // another one, within the window
}

// run is the passes since the last failure, edit or change of state.
func (n *naiveFlapping) run() []naiveResult {
	begin := len(n.seen)
	for begin > 0 && n.seen[begin-1].pass && !n.seen[begin-1].began {
		begin--
	}
	return n.seen[begin:]
}

// held says until when the target is held, and for which return it waits; zero if it may return or has not met its threshold.
func (n *naiveFlapping) held(d triage.HoldDown) (until time.Time, which int) {
	run := n.run()
	if n.state != triage.Unhealthy {
		return time.Time{}, 0
	}
	for _, r := range run {
		if !r.met {
			continue
		}
		which = 1 // it tried to return then
		if n.restless(r.at.Add(-d.Window)) {
			which++
			for i := len(n.returns) - 1; n.returns[i].follows; i-- {
				which++
			}
			wait := min(d.First.Seconds()*math.Pow(2, float64(which-2)), d.Limit.Seconds())
			until = run[0].at.Add(time.Duration(wait * float64(time.Second)))
		}
		return until, which
	}
	return time.Time{}, 0
}

// restless reports whether a return or the end of a wait was at that time or later.
func (n *naiveFlapping) restless(since time.Time) bool {
	for _, r := range n.returns {
		if !r.at.Before(since) {
			return true
		}
	}
	for _, at := range n.broken {
		if !at.Before(since) {
			return true
		}
	}
	return false
}

func (n *naiveFlapping) observe(o triage.Outcome, t triage.Thresholds, d triage.HoldDown, now time.Time) {
	passed := o.Verdict() == triage.Pass
	switch {
	case o.Verdict() == triage.Neutral:
		return
	case n.state != triage.Unhealthy || d.First == 0:
		was := n.state
		n.naiveHealth.observe(o, t)
		n.seen = append(n.seen, naiveResult{at: now, pass: passed, began: n.state != was})
		return
	case !passed:
		n.endWait(d, now)
	}
	n.results = append(n.results, o)
	n.seen = append(n.seen, naiveResult{at: now, pass: passed, met: passed && n.met(t)})
	if until, which := n.held(d); which > 0 && !now.Before(until) {
		n.returns = append(n.returns, naiveReturn{now, which > 1})
		n.state, n.results = triage.Healthy, nil
		n.seen[len(n.seen)-1].began = true
	}
}

func (n *naiveFlapping) endWait(d triage.HoldDown, now time.Time) {
	if _, which := n.held(d); which > 0 {
		n.broken = append(n.broken, now)
	}
}

func (n *naiveFlapping) edit(from, to triage.HoldDown, now time.Time) {
	n.endWait(from, now)
	n.seen = append(n.seen, naiveResult{at: now, began: true})
	n.results = nil
	if to.First == 0 {
		n.returns, n.broken = nil, nil
	}
}

// TestHoldDown compares the flaps with the model, over windows and none, and edits of everything.
func TestHoldDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Second
		}
		draw := func() (triage.Thresholds, triage.HoldDown) {
			t1 := triage.Thresholds{Healthy: rapid.IntRange(1, 3).Draw(t, "healthy"), Unhealthy: rapid.IntRange(1, 2).Draw(t, "unhealthy")}
			if rapid.Bool().Draw(t, "windowed") {
				t1.Window = rapid.IntRange(3, 6).Draw(t, "window")
			}
			if rapid.IntRange(0, 4).Draw(t, "off") == 4 {
				return t1, triage.HoldDown{}
			}
			return t1, triage.HoldDown{First: seconds("first", 1, 20), Limit: seconds("limit", 1, 90), Window: seconds("memory", 1, 120)}
		}
		outcome := rapid.SampledFrom([]triage.Outcome{pass, pass, pass, pass, pass, fail, fail, triage.Canceled})
		thresholds, hold := draw()
		var h triage.Health
		var f triage.Flaps
		var model naiveFlapping
		now := secondZero
		for range rapid.SampledFrom(lengths).Draw(t, "length") {
			now = now.Add(seconds("step", 1, 6))
			if rapid.IntRange(0, 39).Draw(t, "edit") == 39 {
				was := hold
				thresholds, hold = draw()
				h = h.Undecided()
				if f = f.Undecided(now); !hold.On() {
					f = triage.Flaps{}
				}
				model.edit(was, hold, now)
				continue
			}
			o, before := outcome.Draw(t, "outcome"), h
			var change triage.Change
			f, h, change = f.Observe(h, o, 0, thresholds, hold, now)
			model.observe(o, thresholds, hold, now)
			until, which := f.Held(hold)
			wantUntil, wantWhich := model.held(hold)
			if hold.First == 0 {
				wantUntil, wantWhich = time.Time{}, 0
			}
			if h.State != model.state || !until.Equal(wantUntil) || which != wantWhich {
				t.Fatalf("after %s: %s, held until %s for return %d; the model says %s, %s, %d", o, h.State, until, which, model.state, wantUntil, wantWhich)
			}
			if int(h.Streak) != model.disagree(thresholds) {
				t.Fatalf("after %s: %d disagree, the model says %d", o, h.Streak, model.disagree(thresholds))
			}
			if (change == triage.StateChanged) != (before.State != h.State) {
				t.Fatalf("change %v, but %s became %s", change, before.State, h.State)
			}
			if which == 1 {
				t.Fatal("held for a first return")
			}
		}
	})
}
