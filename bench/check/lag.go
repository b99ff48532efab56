//go:build linux

package main

import (
	"cmp"
	"slices"
	"time"
)

// arrival is a check that came in.
type arrival struct {
	target int
	at     time.Duration // since the recording began
}

// lags returns how late checks came, compared with a schedule at a fixed rate, sorted.
//
// The server cannot know when a checker meant to begin, so each target's schedule is taken from its checks: the
// grid of whole intervals on which none of them is early. The check that the grid goes through would count as
// on time by definition, and is left out; so are targets with one check. A check that is late by more than
// half an interval counts as the next one: look at the checks done against those due as well.
func lags(arrivals []arrival, interval time.Duration) []time.Duration {
	sorted := slices.Clone(arrivals)
	slices.SortFunc(sorted, func(a, b arrival) int {
		return cmp.Or(cmp.Compare(a.target, b.target), cmp.Compare(a.at, b.at))
	})
	var late []time.Duration
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].target == sorted[0].target {
			n++
		}
		late = appendLags(late, sorted[:n], interval)
		sorted = sorted[n:]
	}
	slices.Sort(late)
	return late
}

// appendLags adds one target's lags.
func appendLags(late []time.Duration, arrivals []arrival, interval time.Duration) []time.Duration {
	begin := len(late)
	first := arrivals[0].at
	for _, a := range arrivals {
		since := a.at - first
		late = append(late, since-since.Round(interval))
	}
	offsets := late[begin:]
	slices.Sort(offsets)
	grid := offsets[0]
	for i, offset := range offsets[1:] {
		offsets[i] = offset - grid
	}
	return late[:len(late)-1]
}

// overdue returns the largest time that passed between two checks of one target, less the interval: how late the
// latest check came after the one before it. Unlike a lag it does not fold: a check that is two intervals late
// counts as that. Negative if no check was late, 0 if no target was asked twice.
func overdue(arrivals []arrival, interval time.Duration) time.Duration {
	last := make(map[int]time.Duration)
	var worst time.Duration
	asked := false
	for _, a := range arrivals {
		if before, known := last[a.target]; known && (!asked || a.at-before > worst) {
			worst, asked = a.at-before, true
		}
		last[a.target] = a.at
	}
	if !asked {
		return 0
	}
	return worst - interval
}

// quantile returns the value below which a share q of the sorted values lies; 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
