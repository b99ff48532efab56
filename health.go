package triage

import "time"

// Thresholds are the numbers of consecutive results that change a decided state.
type Thresholds struct {
	Healthy   int // passes in a row that bring an unhealthy target back
	Unhealthy int // failures in a row that take a healthy target out
}

// Health is what the checks of one target add up to. The zero value is a target that was never checked.
type Health struct {
	State   State     // Initial, Healthy or Unhealthy; see Effective for the others
	Outcome Outcome   // of the newest check that agrees with State: why it is what it is
	Status  uint16    // HTTP status code of that check; 0 if there was none
	Streak  uint16    // results in a row, up to now, that disagree with State
	Since   time.Time // when State was entered; zero while Initial
}

// Change is what an observation did to a target's health.
type Change uint8

// The changes.
const (
	Unchanged    Change = iota
	CauseChanged        // still unhealthy, but for another reason than before
	StateChanged
)

// Observe counts one result and returns the health after it.
//
// The streak counts results that disagree with the state, and the first one that agrees sets it back to
// zero, so "consecutive" means consecutive. The first result decides at once, either way (AWS: a new target
// "must pass one health check", user guide, "Health checks for your target groups"). A neutral outcome
// changes nothing. status is 0 where the check saw none.
func (h Health) Observe(o Outcome, status int, t Thresholds, now time.Time) (Health, Change) {
	verdict := o.Verdict()
	if verdict == Neutral {
		return h, Unchanged
	}
	state, need := Healthy, t.Healthy
	if verdict == Fail {
		state, need = Unhealthy, t.Unhealthy
	}
	if h.State == state {
		cause := o != h.Outcome || uint16(status) != h.Status
		h.Outcome, h.Status, h.Streak = o, uint16(status), 0
		if cause && state == Unhealthy {
			return h, CauseChanged
		}
		return h, Unchanged
	}
	h.Streak++
	if h.State != Initial && int(h.Streak) < need {
		return h, Unchanged
	}
	return Health{State: state, Outcome: o, Status: uint16(status), Since: now}, StateChanged
}

// Undecided returns the health with its state kept and its streak forgotten: what an edit of the check's
// settings leaves, so that old results do not count against new rules.
func (h Health) Undecided() Health {
	h.Streak = 0
	return h
}

// Reason is AWS's reason code for the state that the checks alone would give.
func (h Health) Reason() Reason {
	switch h.State {
	case Initial:
		return InitialHealthChecking
	case Unhealthy:
		return h.Outcome.Info().Reason
	}
	return NoReason
}
