//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const metricsBefore = `# HELP triage_checks_total Health checks.
# TYPE triage_checks_total counter
triage_checks_total{group="app",outcome="matched",verdict="pass"} 100
triage_check_start_lag_seconds_bucket{le="0.001"} 90
triage_check_start_lag_seconds_bucket{le="1"} 100
triage_check_start_lag_seconds_bucket{le="10"} 100
triage_check_start_lag_seconds_bucket{le="+Inf"} 100
triage_targets{group="app",state="healthy"} 50
go_goroutines 12
`

const metricsAfter = `triage_checks_total{group="app",outcome="matched",verdict="pass"} 100
triage_checks_total{group="app",outcome="refused",verdict="fail"} 50
triage_checks_total{group="b,\"}",outcome="refused",verdict="fail"} 7
triage_check_start_lag_seconds_bucket{le="0.001"} 130
triage_check_start_lag_seconds_bucket{le="1"} 145
triage_check_start_lag_seconds_bucket{le="10"} 150
triage_check_start_lag_seconds_bucket{le="+Inf"} 150
triage_targets{group="app",state="healthy"} 0
triage_targets{group="app",state="unhealthy"} 5e+01
`

func TestScrape(t *testing.T) {
	before, err := parseMetrics(metricsBefore)
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseMetrics(metricsAfter)
	if err != nil {
		t.Fatal(err)
	}
	if before.inState("healthy") != 50 || after.inState("healthy") != 0 || after.inState("unhealthy") != 50 {
		t.Errorf("targets by state: %v", after.by("triage_targets", "state"))
	}
	if diff := cmp.Diff(map[string]int{"refused": 57}, after.since(before, "triage_checks_total", "outcome")); diff != "" {
		t.Errorf("outcomes: (-want +got)\n%s", diff)
	}
	for interval, want := range map[time.Duration]startLag{
		time.Second:      {worst: 10 * time.Second, late: 5, lateBound: time.Second},
		2 * time.Second:  {worst: 10 * time.Second, lateBound: 10 * time.Second},
		10 * time.Second: {worst: 10 * time.Second, lateBound: 10 * time.Second},
	} {
		if got := after.lagSince(before, interval); got != want {
			t.Errorf("lag at %s: %+v, want %+v", interval, got, want)
		}
	}
	for _, bad := range []string{"x", "x{a=b} 1", `x{a="b} 1`, "x much"} {
		if got, err := parseMetrics(bad); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

// TestLagBeyondTheBounds: the worst that the histogram can say is not taken for the worst that there was.
func TestLagBeyondTheBounds(t *testing.T) {
	now, err := parseMetrics("triage_check_start_lag_seconds_bucket{le=\"1\"} 3\ntriage_check_start_lag_seconds_bucket{le=\"+Inf\"} 5\n")
	if err != nil {
		t.Fatal(err)
	}
	got := now.lagSince(nil, time.Second)
	if want := (startLag{worst: time.Second, beyond: true, late: 2, lateBound: time.Second}); got != want || got.String() != "> 1s" {
		t.Errorf("%+v, %s", got, got)
	}
}

func TestLog(t *testing.T) {
	const log = `time=2026-11-22T10:00:00Z level=INFO msg=serving version=x gc="GOGC 40"
time=2026-11-22T10:00:01Z level=WARN msg="a target \"x\" is sick" target=127.0.0.1:1
time=2026-11-22T10:00:01Z level=WARN msg="a target \"x\" is sick" target=127.0.0.1:2 msg2=no
panic: x
`
	want := map[string]int{"INFO serving": 1, `WARN a target \"x\" is sick`: 2, "(another sort of line)": 1}
	got := messages([]byte(log))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := collector([]byte(log)); got != "GOGC 40" {
		t.Errorf("collector %q", got)
	}
	if got := most(got, 2); got != `2 × WARN a target \"x\" is sick; 1 × (another sort of line); …` {
		t.Error(got)
	}
}
