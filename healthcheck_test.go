package triage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestPace shows at which interval a target is checked, by its health.
func TestPace(t *testing.T) {
	const every, unhealthy, transition = 10 * time.Second, time.Minute, 2 * time.Second
	sick := triage.Health{State: triage.Unhealthy}
	recovering := triage.Health{State: triage.Unhealthy, Streak: 1}
	well := triage.Health{State: triage.Healthy}
	failing := triage.Health{State: triage.Healthy, Streak: 1}
	for _, tt := range []struct {
		name                                 string
		check                                triage.HealthCheck
		fresh, well, failing, sick, recovers time.Duration
	}{
		{"one interval", triage.HealthCheck{Interval: every}, every, every, every, every, every},
		{"unhealthy", triage.HealthCheck{Interval: every, UnhealthyInterval: unhealthy}, every, every, every, unhealthy, unhealthy},
		{"transition", triage.HealthCheck{Interval: every, TransitionInterval: transition}, every, every, transition, every, transition},
		{"both", triage.HealthCheck{Interval: every, UnhealthyInterval: unhealthy, TransitionInterval: transition}, every, every, transition, unhealthy, transition},
	} {
		for _, at := range []struct {
			health triage.Health
			want   time.Duration
		}{{triage.Health{}, tt.fresh}, {well, tt.well}, {failing, tt.failing}, {sick, tt.sick}, {recovering, tt.recovers}} {
			if got := tt.check.Pace(at.health); got != at.want {
				t.Errorf("%s: %s with streak %d is checked every %s, want %s", tt.name, at.health.State, at.health.Streak, got, at.want)
			}
		}
	}
}

// TestNoticed: a promise of how soon a failure is noticed counts with the pace of failing checks and with the jitter.
func TestNoticed(t *testing.T) {
	check := triage.HealthCheck{Interval: 10 * time.Second, Timeout: time.Second, Thresholds: triage.Thresholds{Healthy: 2, Unhealthy: 3}}
	faster := check
	faster.TransitionInterval = 2 * time.Second
	jittery := faster
	jittery.Jitter = 500 * time.Millisecond
	once := check
	once.Thresholds.Unhealthy = 1
	sick := check
	sick.UnhealthyInterval = time.Minute // says nothing about healthy targets that fail
	for _, tt := range []struct {
		name        string
		check       triage.HealthCheck
		least, most time.Duration
	}{
		{"one interval", check, 20 * time.Second, 31 * time.Second},
		{"transition", faster, 4 * time.Second, 15 * time.Second},
		{"jitter", jittery, 4 * time.Second, 16500 * time.Millisecond},
		{"one failure is enough", once, 0, 11 * time.Second},
		{"unhealthy interval", sick, 20 * time.Second, 31 * time.Second},
	} {
		if least, most := tt.check.Noticed(); least != tt.least || most != tt.most {
			t.Errorf("%s: noticed after %s to %s, want %s to %s", tt.name, least, most, tt.least, tt.most)
		}
	}
}

// TestPaceIsValidated: no pace lets a check begin before the one before it has ended.
func TestPaceIsValidated(t *testing.T) {
	for _, tt := range []struct {
		edit func(*triage.HealthCheck)
		want string // "key: part of the message"; "" if it is right
	}{
		{func(c *triage.HealthCheck) {
			c.UnhealthyInterval, c.TransitionInterval, c.Jitter, c.ReuseConnection = time.Hour, 3*time.Second, 1500*time.Millisecond, true
		}, ""},
		{func(c *triage.HealthCheck) { c.Jitter = 2500 * time.Millisecond }, ""},
		{func(c *triage.HealthCheck) { c.UnhealthyInterval = 2 * time.Second }, "unhealthy_interval: unhealthy interval 2s must be above the timeout 2s"},
		{func(c *triage.HealthCheck) { c.UnhealthyInterval = 2 * time.Hour }, "unhealthy_interval: unhealthy interval 2h is outside 100ms-1h"},
		{func(c *triage.HealthCheck) { c.UnhealthyInterval = -time.Second }, "unhealthy_interval: unhealthy interval -1s is outside"},
		{func(c *triage.HealthCheck) { c.TransitionInterval = time.Second }, "transition_interval: transition interval 1s must be above"},
		{func(c *triage.HealthCheck) { c.TransitionInterval = time.Millisecond }, "transition_interval: transition interval 1ms is outside"},
		{func(c *triage.HealthCheck) { c.Timeout = 5 * time.Second }, "timeout: timeout 5s must be below the interval 5s"},
		{func(c *triage.HealthCheck) {
			c.As, c.Timeout, c.UnhealthyInterval = triage.GCP, 5*time.Second, 5*time.Second
		}, ""},
		{func(c *triage.HealthCheck) { c.As, c.Timeout = triage.GCP, 6*time.Second }, "timeout: timeout 6s must be at most the interval 5s"},
		{func(c *triage.HealthCheck) { c.As, c.UnhealthyInterval = triage.GCP, time.Second }, "unhealthy_interval: unhealthy interval 1s must be at least the timeout 2s"},
		{func(c *triage.HealthCheck) { c.Jitter = -time.Millisecond }, "jitter: jitter -1ms is outside 0s-2.5s"},
		{func(c *triage.HealthCheck) { c.Jitter = 2501 * time.Millisecond }, "jitter: jitter 2.501s is outside 0s-2.5s, half of the shortest interval"},
		{func(c *triage.HealthCheck) { c.Jitter, c.UnhealthyInterval = 2*time.Second, 3*time.Second }, "jitter: jitter 2s is outside 0s-1.5s"},
		{func(c *triage.HealthCheck) { c.Jitter, c.TransitionInterval = 2*time.Second, 3*time.Second }, "jitter: jitter 2s is outside 0s-1.5s"},
	} {
		c := triage.DefaultHealthCheck()
		tt.edit(&c)
		var found []string
		for _, p := range c.Validate() {
			found = append(found, p.Path+": "+p.Message)
		}
		if got := strings.Join(found, "; "); tt.want == "" && got != "" || tt.want != "" && (!strings.HasPrefix(got, tt.want) || len(found) != 1) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestRestored: how long a target that works again may stay out counts with the paces of a sick one.
func TestRestored(t *testing.T) {
	paced := triage.DefaultHealthCheck()
	paced.UnhealthyInterval, paced.TransitionInterval, paced.Jitter = time.Minute, 3*time.Second, 500*time.Millisecond
	paced.Thresholds.Healthy = 4
	seldom := triage.DefaultHealthCheck()
	seldom.UnhealthyInterval, seldom.Thresholds.Healthy = time.Minute, 3
	for name, tt := range map[string]struct {
		check triage.HealthCheck
		most  time.Duration
	}{
		"defaults":          {triage.DefaultHealthCheck(), 12 * time.Second},
		"all paces":         {paced, time.Minute + 3*3*time.Second + 4*500*time.Millisecond + 2*time.Second},
		"no transition one": {seldom, 3*time.Minute + 2*time.Second},
	} {
		if most := tt.check.Restored(); most != tt.most {
			t.Errorf("%s: %s, want %s", name, most, tt.most)
		}
	}
}
