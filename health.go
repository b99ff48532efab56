package triage

import (
	"math"
	"math/bits"
	"time"
)

// MaxWindow is the most results that [Thresholds.Window] may look back over.
const MaxWindow = 16

// Thresholds are the numbers of results that change a decided state: in a row, or of the last few.
type Thresholds struct {
	Healthy   int // passes that bring an unhealthy target back
	Unhealthy int // failures that take a healthy target out
	Window    int // of so many last results, MaxWindow at most; 0: in a row
}

// Health is what the checks of one target add up to. The zero value is a target that was never checked.
type Health struct {
	State   State     // Initial, Healthy or Unhealthy; see Effective for the others
	Outcome Outcome   // of the newest check that agrees with State: why it is what it is
	Status  uint16    // HTTP status code of that check; 0 if there was none
	Streak  uint16    // results that disagree with State: in a row up to now, or in the window
	window  uint16    // a bit for each of the last results since State was entered, the newest lowest; 1: it disagrees
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
// Without a window the streak counts results that disagree with the state, and the first one that agrees sets it
// back to zero, so "consecutive" means consecutive. With one, the streak is how many of the last Window results
// disagree, of those since the state was entered: results that have not come yet disagree with nothing, and none counts for
// two changes. Either way it is a result that disagrees which changes the state, once the threshold of the other state is
// met. The first result decides at once, either way (AWS: a new target "must pass one health check", user guide,
// "Health checks for your target groups"). A neutral outcome changes nothing. status is 0 where the check saw none.
//
// Between two sets of thresholds lies [Health.Undecided].
func (h Health) Observe(o Outcome, status int, t Thresholds, now time.Time) (Health, Change) {
	verdict := o.Verdict()
	if verdict == Neutral {
		return h, Unchanged
	}
	state, need := Healthy, t.Healthy
	if verdict == Fail {
		state, need = Unhealthy, t.Unhealthy
	}
	agrees := h.State == state
	h.count(agrees, t.Window)
	if agrees {
		cause := o != h.Outcome || uint16(status) != h.Status
		h.Outcome, h.Status = o, uint16(status)
		if cause && state == Unhealthy {
			return h, CauseChanged
		}
		return h, Unchanged
	}
	if h.State != Initial && int(h.Streak) < need {
		return h, Unchanged
	}
	return Health{State: state, Outcome: o, Status: uint16(status), Since: now}, StateChanged
}

// count moves the streak on by one result.
func (h *Health) count(agrees bool, window int) {
	switch {
	case window > 0:
		h.window <<= 1
		if !agrees {
			h.window |= 1
		}
		h.window &= 1<<min(window, MaxWindow) - 1
		h.Streak = uint16(bits.OnesCount16(h.window))
	case agrees:
		h.Streak = 0
	case h.Streak < math.MaxUint16: // a target that is held down may pass for long
		h.Streak++
	}
}

// Undecided returns the health with its state kept and its streak and window forgotten: what an edit of the check's
// settings leaves, so that old results do not count against new rules.
func (h Health) Undecided() Health {
	h.Streak, h.window = 0, 0
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
