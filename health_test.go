package triage_test

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// naiveHealth is the model: it keeps every result and looks back over all of them.
type naiveHealth struct {
	results []triage.Outcome // that were not neutral, since the state was entered or the thresholds were edited
	state   triage.State
}

func (n *naiveHealth) observe(o triage.Outcome, t triage.Thresholds) {
	if o.Verdict() == triage.Neutral {
		return
	}
	if n.state == triage.Initial {
		n.state = stateOf(o)
		return
	}
	n.results = append(n.results, o)
	if n.met(t) {
		n.state, n.results = stateOf(o), nil
	}
}

// met reports whether the results ask for the other state.
func (n *naiveHealth) met(t triage.Thresholds) bool {
	if n.state == triage.Healthy {
		return n.disagree(t) >= t.Unhealthy
	}
	return n.disagree(t) >= t.Healthy
}

// disagree is how many results disagree with the state: in a row, or of the window.
func (n *naiveHealth) disagree(t triage.Thresholds) (count int) {
	for back := 1; back <= len(n.results); back++ {
		disagrees := stateOf(n.results[len(n.results)-back]) != n.state
		switch {
		case t.Window == 0 && !disagrees, t.Window > 0 && back > t.Window:
			return count
		case disagrees:
			count++
		}
	}
	return count
}

func stateOf(o triage.Outcome) triage.State {
	if o.Verdict() == triage.Pass {
		return triage.Healthy
	}
	return triage.Unhealthy
}

// anyOutcome gives passes and failures alike often, and now and then whatever else the table has.
func anyOutcome() *rapid.Generator[triage.Outcome] {
	var all []triage.Outcome
	for o := range triage.Outcomes {
		all = append(all, o)
	}
	pass, fail := rapid.Just(triage.Matched), rapid.Just(triage.Refused)
	return rapid.OneOf(pass, pass, fail, fail, rapid.SampledFrom(all))
}

// inARow are thresholds without a window, ofTheLast those with one.
func inARow(t *rapid.T) triage.Thresholds {
	return triage.Thresholds{Healthy: rapid.IntRange(1, 5).Draw(t, "healthy"), Unhealthy: rapid.IntRange(1, 5).Draw(t, "unhealthy")}
}

func ofTheLast(t *rapid.T) triage.Thresholds {
	window := rapid.IntRange(1, triage.MaxWindow).Draw(t, "window")
	return triage.Thresholds{
		Healthy: rapid.IntRange(1, window).Draw(t, "healthy"), Unhealthy: rapid.IntRange(1, window).Draw(t, "unhealthy"), Window: window,
	}
}

func eitherWay(t *rapid.T) triage.Thresholds {
	if rapid.Bool().Draw(t, "windowed") {
		return ofTheLast(t)
	}
	return inARow(t)
}

// TestConsecutiveMeansConsecutive compares the counter with a model that remembers everything.
func TestConsecutiveMeansConsecutive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { followHealth(t, inARow, 0) })
}

// TestWindowIsOfTheLastResults: so does this, for thresholds of the last few results.
func TestWindowIsOfTheLastResults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { followHealth(t, ofTheLast, 0) })
}

// TestEditedThresholds: whatever is edited in between, also from a window to none, old results do not count.
func TestEditedThresholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { followHealth(t, eitherWay, 10) })
}

// lengths are how many results there are: few, so that a counterexample is short, and many, so that there is one.
var lengths = []int{5, 10, 20, 50, 100, 200}

// followHealth compares health and model over many results, with an edit of the thresholds after one in so many of them.
func followHealth(t *rapid.T, draw func(*rapid.T) triage.Thresholds, edits int) {
	thresholds := draw(t)
	var h triage.Health
	var model naiveHealth
	now := time.Unix(1_000_000, 0)
	outcome := anyOutcome()
	for range rapid.SampledFrom(lengths).Draw(t, "length") {
		o, before := outcome.Draw(t, "outcome"), h
		var change triage.Change
		now = now.Add(time.Second)
		h, change = h.Observe(o, 0, thresholds, now)
		model.observe(o, thresholds)
		if h.State != model.state {
			t.Fatalf("after %s: %s, the model says %s", o, h.State, model.state)
		}
		if int(h.Streak) != model.disagree(thresholds) {
			t.Fatalf("after %s: %d disagree, the model says %d", o, h.Streak, model.disagree(thresholds))
		}
		if (change == triage.StateChanged) != (before.State != h.State) {
			t.Fatalf("change %v, but %s became %s", change, before.State, h.State)
		}
		if change == triage.StateChanged && !h.Since.Equal(now) {
			t.Fatalf("entered %s at %v, now is %v", h.State, h.Since, now)
		}
		if change != triage.StateChanged && h.State != triage.Initial && !h.Since.Equal(before.Since) {
			t.Fatal("Since moved without a change of state")
		}
		if o.Verdict() == triage.Neutral && h != before {
			t.Fatalf("neutral %s changed the health", o)
		}
		if h.State != triage.Initial && stateOf(h.Outcome) != h.State {
			t.Fatalf("%s because of %s", h.State, h.Outcome)
		}
		if edits > 0 && rapid.IntRange(1, edits).Draw(t, "edit") == 1 {
			thresholds, h, model.results = draw(t), h.Undecided(), nil
		}
	}
}

// TestLongStreakStaysLong: a target that is held down passes for days, and its streak must not come round to zero.
func TestLongStreakStaysLong(t *testing.T) {
	never := triage.Thresholds{Healthy: math.MaxInt, Unhealthy: 1}
	now := time.Unix(1_000_000, 0)
	h, _ := triage.Health{}.Observe(triage.Refused, 0, never, now)
	for range math.MaxUint16 + 10 {
		h, _ = h.Observe(triage.Matched, 200, never, now)
	}
	if h.Streak != math.MaxUint16 || h.State != triage.Unhealthy {
		t.Errorf("%s, streak %d", h.State, h.Streak)
	}
}

// TestHealthIsSmall: there is one for each target, and several of them in each transition.
func TestHealthIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(triage.Health{}); size != 32 {
		t.Errorf("%d bytes, want 32", size)
	}
}

// BenchmarkObserve is what counting costs each check, which nearly always is a pass of a healthy target.
func BenchmarkObserve(b *testing.B) {
	now := time.Unix(1_000_000, 0)
	row, window := triage.Thresholds{Healthy: 2, Unhealthy: 2}, triage.Thresholds{Healthy: 2, Unhealthy: 2, Window: 5}
	hold := triage.HoldDown{First: time.Hour}
	well := [4]triage.Outcome{triage.Matched, triage.Matched, triage.Matched, triage.Matched}
	flapping := [4]triage.Outcome{triage.Matched, triage.Matched, triage.Refused, triage.Refused}
	for _, bench := range []struct {
		name       string
		thresholds triage.Thresholds
		outcomes   [4]triage.Outcome
	}{{"well", row, well}, {"flapping", row, flapping}, {"well in a window", window, well}, {"flapping in a window", window, flapping}} {
		b.Run(bench.name, func(b *testing.B) {
			var h triage.Health
			for i := range b.N {
				h, _ = h.Observe(bench.outcomes[i%4], 200, bench.thresholds, now)
			}
		})
	}
	b.Run("held down", func(b *testing.B) {
		var h triage.Health
		var f triage.Flaps
		for i := range b.N {
			f, h, _ = f.Observe(h, flapping[i%4], 200, row, hold, now)
		}
	})
}

// TestAnotherCauseIsTold: a target that stays unhealthy for a new reason is news to who mends it.
func TestAnotherCauseIsTold(t *testing.T) {
	thresholds := triage.Thresholds{Healthy: 2, Unhealthy: 2}
	now := time.Unix(1_000_000, 0)
	var h triage.Health
	for i, step := range []struct {
		outcome triage.Outcome
		status  int
		want    triage.Change
	}{
		{triage.CodeMismatch, 301, triage.StateChanged},
		{triage.CodeMismatch, 301, triage.Unchanged},
		{triage.CodeMismatch, 400, triage.CauseChanged},
		{triage.Matched, 200, triage.Unchanged},      // one pass of two
		{triage.CodeMismatch, 400, triage.Unchanged}, // same cause as before that pass
		{triage.Refused, 0, triage.CauseChanged},
		{triage.Matched, 200, triage.Unchanged},
		{triage.Matched, 204, triage.StateChanged},
		{triage.Matched, 200, triage.Unchanged}, // healthy for another reason is no news
	} {
		var got triage.Change
		h, got = h.Observe(step.outcome, step.status, thresholds, now)
		if got != step.want {
			t.Errorf("step %d, %s %d: change %v, want %v", i, step.outcome, step.status, got, step.want)
		}
	}
}

func TestUndecidedKeepsTheState(t *testing.T) {
	thresholds := triage.Thresholds{Healthy: 2, Unhealthy: 2}
	now := time.Unix(1_000_000, 0)
	var h triage.Health
	h, _ = h.Observe(triage.Matched, 200, thresholds, now)
	h, _ = h.Observe(triage.Refused, 0, thresholds, now) // one of two
	h, change := h.Undecided().Observe(triage.Refused, 0, thresholds, now)
	if change != triage.Unchanged || h.State != triage.Healthy {
		t.Errorf("a failure from before the edit counted: %s", h.State)
	}
	if h, _ = h.Observe(triage.Refused, 0, thresholds, now); h.State != triage.Unhealthy {
		t.Errorf("two failures after the edit: %s", h.State)
	}
}

// TestEffective walks through every combination of the four inputs.
func TestEffective(t *testing.T) {
	checks := map[triage.State]triage.Health{
		triage.Initial:   {},
		triage.Healthy:   {State: triage.Healthy, Outcome: triage.Matched},
		triage.Unhealthy: {State: triage.Unhealthy, Outcome: triage.ResponseTimeout},
	}
	for state, check := range checks {
		for _, traffic := range []triage.Traffic{triage.TrafficGood, triage.TrafficEjected} {
			for _, person := range []triage.Person{triage.PersonSilent, triage.PersonDrained} {
				for _, registration := range []triage.Registration{triage.Registered, triage.Deregistered, triage.NotRouted} {
					got, reason := triage.Effective(check, traffic, person, registration)
					good := state == triage.Healthy && traffic == triage.TrafficGood &&
						person == triage.PersonSilent && registration == triage.Registered
					if (got == triage.Healthy) != good {
						t.Errorf("%s, traffic %v, person %v, registration %v: %s", state, traffic, person, registration, got)
					}
					if (reason == triage.NoReason) != (got == triage.Healthy) {
						t.Errorf("%s with reason %q", got, reason)
					}
					if reason != triage.NoReason && reason.Describe(500) == "" {
						t.Errorf("reason %s has no sentence", reason)
					}
				}
			}
		}
	}
	if _, reason := triage.Effective(checks[triage.Unhealthy], 0, 0, 0); reason != triage.Timeout {
		t.Errorf("a response timeout is told as %q", reason)
	}
}
