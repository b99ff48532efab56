package triage

import (
	"cmp"
	"math"
	"time"
)

// DefaultHoldDown is the Limit and the Window of a [HoldDown] that names none.
const DefaultHoldDown = 10 * time.Minute

// HoldDown keeps a target out that comes and goes: each return to health that follows another within Window doubles the
// time for which the target must pass without a failure before it may return, from First up to Limit. The zero value is
// off. What exactly counts is said at [Flaps].
type HoldDown struct {
	First  time.Duration // what the second return within Window has to wait; 0: off
	Limit  time.Duration // 0: DefaultHoldDown
	Window time.Duration // 0: DefaultHoldDown
}

// On reports whether targets are held down at all.
func (d HoldDown) On() bool { return d.First > 0 }

// wait is how long a target must pass without a failure before it returns, after so many returns close to each other.
func (d HoldDown) wait(returns int) time.Duration {
	if returns == 0 {
		return 0
	}
	wait, limit := d.First, cmp.Or(d.Limit, DefaultHoldDown)
	for ; returns > 1 && wait < limit; returns-- {
		wait += min(wait, limit-wait)
	}
	return min(wait, limit)
}

// Flaps is what [HoldDown] remembers of one target, beside its [Health]. The zero value is a target that has never
// returned. It is a plain value: compare with ==, copy freely.
//
// A return is a change from unhealthy to healthy, also the first one of a target that began as unhealthy. An unhealthy
// target tries to return when it meets its threshold. If that is within HoldDown.Window of its last return, or of the last
// wait that came to nothing, its returns add up, and it waits until it has passed without any failure for as long as their
// number asks for: First after one, twice as long after two, and so on, up to Limit. Else its returns are forgotten, and
// it is back at once. Once it waits the passing of the window does not end the wait.
//
// The time begins with the first pass after the last failure, so that the passes which meet the threshold are part of it,
// and ends with the first pass that comes when it is over: time alone brings nobody back. A failure ends the wait: the
// target has to meet its threshold again, and then to wait as long again. That is no return, so it doubles nothing; but the
// target still comes and goes, so its returns are not forgotten for another Window. Neutral results change nothing.
type Flaps struct {
	returns int       // that add up
	since   time.Time // from when Window counts: the last return, or the end of the last wait that came to nothing
	well    time.Time // when the first pass since the last failure or edit came; zero: none has, or no return adds up
	waits   bool      // the threshold is met
}

// Observe counts one result as [Health.Observe] does, but that a target that has met its threshold is held down for as
// long as it has to wait: it stays unhealthy, and its streak goes on. Only results of an unhealthy target change the flaps.
// If hold-down is off they are forgotten.
func (f Flaps) Observe(h Health, o Outcome, status int, t Thresholds, d HoldDown, now time.Time) (Flaps, Health, Change) {
	after, change := h.Observe(o, status, t, now)
	verdict := o.Verdict()
	switch {
	case !d.On():
		return Flaps{}, after, change
	case h.State != Unhealthy || verdict == Neutral:
		return f, after, change
	case verdict == Fail:
		return f.Undecided(now), after, change
	}
	if f.returns > 0 && f.well.IsZero() {
		f.well = now
	}
	if change != StateChanged {
		return f, after, change
	}
	if !f.waits && now.Sub(f.since) > cmp.Or(d.Window, DefaultHoldDown) {
		f.returns = 0
	}
	if now.Sub(f.well) >= d.wait(f.returns) {
		return Flaps{returns: f.returns + 1, since: now}, after, change
	}
	f.waits = true
	t.Healthy = math.MaxInt // out of reach
	after, change = h.Observe(o, status, t, now)
	return f, after, change
}

// Undecided returns the flaps after something that ends a wait without a return: a failure, or an edit of the check's
// settings, by which [Health.Undecided] forgets the passes so far.
func (f Flaps) Undecided(now time.Time) Flaps {
	if f.waits {
		f.since = now
	}
	f.well, f.waits = time.Time{}, false
	return f
}

// Held returns when a target that is held down may return at the earliest, which it does if it goes on passing, and which
// return that will be of those that add up: 2 or more. Both are zero if it is not held down. d must be what it was held
// down by.
func (f Flaps) Held(d HoldDown) (until time.Time, which int) {
	if !f.waits {
		return time.Time{}, 0
	}
	return f.well.Add(d.wait(f.returns)), f.returns + 1
}
