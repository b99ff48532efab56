package triage

import "time"

// CheckStats is what the engine has counted since it began.
type CheckStats struct {
	InFlight    int       // checks under way
	Waiting     int       // checks that are due and have no room yet
	MaxInFlight int       // the room
	Connections int       // kept from one check to the next, see HealthCheck.ReuseConnection
	Lag         Histogram // how late checks started
	Groups      []GroupCheckStats
}

// GroupCheckStats is what the engine has counted of one group. A group that is removed is forgotten.
type GroupCheckStats struct {
	Group    GroupName
	Doubted  int                 // members that are not trustworthy right now, see CheckStatus.Doubted
	Outcomes [NumOutcomes]uint64 // checks that ended, by outcome
	Took     Histogram           // how long the checks took that passed or failed; neutral ones are left out
}

// HistogramBounds are the upper bounds of a [Histogram]'s buckets; one more bucket takes what is above the last.
var HistogramBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations. The zero value is empty. It is a plain value without a lock.
type Histogram struct {
	Counts [len(HistogramBounds) + 1]uint64 // each bucket's own, not cumulative
	Sum    time.Duration
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(HistogramBounds) && d > HistogramBounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += d
}

// Add counts what another histogram has counted.
func (h *Histogram) Add(other Histogram) {
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Sum += other.Sum
}
