package control

import (
	"cmp"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Prediction is how soon the settings of a health check let it act on what targets do. It is computed, not measured.
type Prediction struct {
	Detect   Span   `json:"detect" doc:"from the moment a target fails until it is taken out"`
	Recover  Span   `json:"recover" doc:"from the moment a target works again until it is back"`
	HoldDown string `json:"hold_down,omitempty" doc:"hold-down adds up to this to recover if a target comes and goes; absent: nothing"`
}

// Span is how long something takes in the best and in the worst case, written as in the config file.
type Span struct {
	Best  string `json:"best" example:"5s"`
	Worst string `json:"worst" example:"12s"`
}

// String is the span for people: "5s to 12s".
func (s Span) String() string { return s.Best + " to " + s.Worst }

func spanOf(best, worst time.Duration) Span {
	return Span{triage.DurationText(best), triage.DurationText(worst)}
}

// Predict returns what valid settings lead to.
func Predict(h triage.HealthCheck) Prediction {
	p := Prediction{Detect: spanOf(detected(h)), Recover: spanOf(recovered(h))}
	if h.HoldDown.On() {
		p.HoldDown = triage.DurationText(cmp.Or(h.HoldDown.Limit, triage.DefaultHoldDown))
	}
	return p
}

// detected is how soon a target that fails is taken out. Where the interval counts from the end of a check, each of those
// that fail may put off the next by its timeout, and so may the last that passes.
func detected(h triage.HealthCheck) (best, worst time.Duration) {
	best, worst = h.Noticed()
	return best, worst + time.Duration(h.Thresholds.Unhealthy)*putOff(h)
}

// recovered is how soon a target that works again is back, where HoldDown does not keep it out; likewise.
func recovered(h triage.HealthCheck) (best, worst time.Duration) {
	best, worst = h.Restored()
	return best, worst + time.Duration(h.Thresholds.Healthy)*putOff(h)
}

// putOff is by how much a check that takes all its time puts off the next.
func putOff(h triage.HealthCheck) time.Duration {
	if dialect.Get(cmp.Or(h.As, triage.Own)).Timing.EndToStart {
		return h.Timeout
	}
	return 0
}
