package triage_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// naiveHealth is the model: it keeps every result and looks back over all of them.
type naiveHealth struct {
	results []triage.Outcome // that were not neutral, since the state was entered
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
	need := t.Healthy
	if n.state == triage.Healthy {
		need = t.Unhealthy
	}
	if len(n.results) < need {
		return
	}
	for _, last := range n.results[len(n.results)-need:] {
		if stateOf(last) == n.state {
			return
		}
	}
	n.state, n.results = stateOf(o), nil
}

func stateOf(o triage.Outcome) triage.State {
	if o.Verdict() == triage.Pass {
		return triage.Healthy
	}
	return triage.Unhealthy
}

func anyOutcome() *rapid.Generator[triage.Outcome] {
	var all []triage.Outcome
	for o := range triage.Outcomes {
		all = append(all, o)
	}
	return rapid.SampledFrom(all)
}

// TestConsecutiveMeansConsecutive compares the counter with a model that remembers everything.
func TestConsecutiveMeansConsecutive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		thresholds := triage.Thresholds{
			Healthy:   rapid.IntRange(1, 5).Draw(t, "healthy"),
			Unhealthy: rapid.IntRange(1, 5).Draw(t, "unhealthy"),
		}
		var h triage.Health
		var model naiveHealth
		now := time.Unix(1_000_000, 0)
		for _, o := range rapid.SliceOfN(anyOutcome(), 1, 60).Draw(t, "outcomes") {
			before := h
			var change triage.Change
			now = now.Add(time.Second)
			h, change = h.Observe(o, 0, thresholds, now)
			model.observe(o, thresholds)
			if h.State != model.state {
				t.Fatalf("after %s: %s, the model says %s", o, h.State, model.state)
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
