//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLags(t *testing.T) {
	const ms = time.Millisecond
	series := func(target int, at ...time.Duration) []arrival {
		var all []arrival
		for _, d := range at {
			all = append(all, arrival{target, d * ms})
		}
		return all
	}
	for _, c := range []struct {
		name     string
		arrivals []arrival
		want     []time.Duration
	}{
		{"nothing", nil, nil},
		{"one check has no grid", series(0, 300), []time.Duration{}},
		{"on time", series(0, 300, 1300, 2300), []time.Duration{0, 0}},
		{"one is late, the next is not", series(0, 300, 1340, 2300), []time.Duration{0, 40 * ms}},
		{"the first is late", series(0, 340, 1300, 2300), []time.Duration{0, 40 * ms}},
		{"a check is missing", series(0, 300, 2310), []time.Duration{10 * ms}},
		{"end to start drifts", series(0, 300, 1302, 2304, 3306), []time.Duration{2 * ms, 4 * ms, 6 * ms}},
		{"each target has its own grid", append(series(1, 600, 1605), series(0, 5, 1006)...), []time.Duration{1 * ms, 5 * ms}},
	} {
		if diff := cmp.Diff(c.want, lags(c.arrivals, time.Second)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

// TestLagsAreInNoOrder: the server writes checks down as they come, all targets mixed.
func TestLagsAreInNoOrder(t *testing.T) {
	var mixed []arrival
	for i := range 10 {
		for target := range 100 {
			at := time.Duration(i)*time.Second + time.Duration(target)*time.Millisecond
			if i == 7 && target == 42 {
				at += 100 * time.Millisecond
			}
			mixed = append(mixed, arrival{target, at})
		}
	}
	late := lags(mixed, time.Second)
	if len(late) != 900 || quantile(late, 0.99) != 0 || quantile(late, 1) != 100*time.Millisecond {
		t.Errorf("%d lags, p99 %s, largest %s", len(late), quantile(late, 0.99), quantile(late, 1))
	}
}

// TestOverdue: a check that is very late does not count as the next one in time.
func TestOverdue(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		arrivals []arrival
		want     time.Duration
	}{
		{"nothing", nil, 0},
		{"each asked once", []arrival{{0, 0}, {1, 900 * ms}}, 0},
		{"in time", []arrival{{0, 0}, {1, 10 * ms}, {0, 1000 * ms}, {1, 1009 * ms}}, 0},
		{"two intervals late", []arrival{{0, 0}, {1, 10 * ms}, {1, 1010 * ms}, {0, 3000 * ms}}, 2000 * ms},
	} {
		if got := overdue(c.arrivals, time.Second); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
