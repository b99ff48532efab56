package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// TestStatusReport is the whole page, with everything on it that can be said about a target.
func TestStatusReport(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 6, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	check := func(outcome triage.Outcome, status int, took float64) *control.CheckView {
		return &control.CheckView{At: now.Add(-3 * time.Second), Took: took, Outcome: outcome, Status: status}
	}
	redirect := &triage.Diagnosis{
		Code:  "redirect-to-https",
		Cause: "nginx redirects plain http to https, and a load balancer does not follow redirects",
		Fix:   "in nginx, right above the line that redirects:\n    if ($uri = /health_check) { break; }\nthen reload nginx",
	}
	target := func(id triage.TargetID, s triage.State, c *control.CheckView) control.TargetStatus {
		return control.TargetStatus{Target: id, Address: string(id), Weight: 1, State: s, Trusted: true, Since: ago(4 * time.Minute), LastCheck: c}
	}
	sick := target("127.0.1.12:8000", triage.Unhealthy, check(triage.CodeMismatch, 301, 2))
	sick.Diagnosis = redirect
	alsoSick := target("127.0.1.13:8000", triage.Unhealthy, check(triage.CodeMismatch, 301, 2))
	alsoSick.Diagnosis = redirect
	silent := target("127.0.1.14:8000", triage.Unhealthy, check(triage.ConnectTimeout, 0, 2000))
	silent.Description, silent.Trusted = "Request timed out", false
	drained := target("127.0.1.15:8000", triage.Draining, check(triage.Matched, 200, 0.4))
	drained.Reason, drained.Description, drained.InFlight = triage.AdministrativelyDraining, "Drained by hand", 1
	removed := target("127.0.1.16:8000", triage.Draining, nil)
	removed.Reason, removed.Description = triage.DeregistrationInProgress, "Target deregistration is in progress"
	nameless := target("app.internal:8000", triage.Unhealthy, nil)
	nameless.Address, nameless.Since = "", nil
	fresh := target("app.internal.example.org:8000", triage.Initial, nil)
	fresh.Address, fresh.Since = "[2001:db8::1]:8000", nil
	nearlyOut := target("127.0.1.19:8000", triage.Healthy, check(triage.CodeMismatch, 500, 2))
	nearlyOut.Streak = 1
	nearlyBack := target("127.0.1.20:8000", triage.Unhealthy, check(triage.Matched, 200, 2))
	nearlyBack.Description, nearlyBack.Streak = "Health checks failed with these codes: [500]", 2
	evil := target("127.0.1.18:8000", triage.Unhealthy, check(triage.NotHTTP, 0, 1))
	evil.Description, evil.LastCheck.Detail = "Health checks failed", "\x1b[2Jboo"

	var out strings.Builder
	statusReport{terminal: &terminal{w: &out}, now: now}.print(control.Status{
		Version: "1.2.3", Config: "/srv/www/mysite.com/production/config/triage.yaml", Since: now.Add(-50 * time.Hour), Draining: true,
		Listeners: []control.ListenerStatus{{Name: "web", Listen: ":8080", Protocol: triage.HTTP, Forward: "app"}},
		Groups: []control.GroupStatus{
			{
				Name: "app",
				HealthCheck: control.HealthCheckView{Protocol: triage.HTTP, Port: "9000", Path: "/health_check", SuccessCodes: "200", Host: "mysite.com",
					Interval: "5s", Timeout: "2s", HealthyThreshold: 3, UnhealthyThreshold: 2,
					UnhealthyInterval: "30s", TransitionInterval: "3s", Jitter: "500ms", ReuseConnection: true},
				Targets: []control.TargetStatus{target("127.0.1.11:8000", triage.Healthy, check(triage.Matched, 200, 12)), sick, alsoSick, silent, drained, nameless, fresh, evil, nearlyOut, nearlyBack, removed},
			},
			{
				Name: "api", FailingOpen: true,
				HealthCheck: control.HealthCheckView{Protocol: triage.TCP, Port: "traffic-port", Interval: "5s", Timeout: "2s", HealthyThreshold: 2, UnhealthyThreshold: 2},
				Targets:     []control.TargetStatus{target("[::1]:8000", triage.Unhealthy, check(triage.Refused, 0, 1)), nameless, drained},
			},
		},
	})
	golden := filepath.Join("testdata", "status.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (UPDATE_GOLDEN=1 writes it anew): -want +got\n%s", golden, diff)
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestVerdicts(t *testing.T) {
	of := func(states ...triage.State) []control.TargetStatus {
		ts := make([]control.TargetStatus, len(states))
		for i, s := range states {
			ts[i] = control.TargetStatus{Address: "127.0.0.1:80", State: s, Trusted: true}
		}
		return ts
	}
	for _, tt := range []struct {
		verdict string
		bad     bool
		open    bool
		targets []control.TargetStatus
	}{
		{"g: no targets: requests are answered 503", true, false, nil},
		{"g: 2 of 2 targets healthy", false, false, of(triage.Healthy, triage.Healthy)},
		{"g: 1 of 1 target healthy", false, false, of(triage.Healthy)},
		{"g: 1 of 2 targets not checked yet", false, false, of(triage.Healthy, triage.Initial)},
		{"g: 1 of 3 targets unhealthy, 1 draining", true, false, of(triage.Healthy, triage.Unhealthy, triage.Draining)},
		{"g: all 2 targets unhealthy: requests are answered 503", true, false, of(triage.Unhealthy, triage.UnhealthyDraining)},
		{"g: FAILING OPEN: no target is healthy, requests go to 2 of 3, 1 draining", true, true, of(triage.Unhealthy, triage.Draining, triage.Initial)},
		{"g: all targets drain: requests are answered 503", true, true, of(triage.Draining, triage.Draining)},
		{"g: unused: no listener leads to it", false, false, of(triage.Unused)},
	} {
		n := tallyOf(control.GroupStatus{Name: "g", Routed: true, FailingOpen: tt.open, Targets: tt.targets})
		if n.verdict() != tt.verdict || n.isBad() != tt.bad {
			t.Errorf("%q, bad %t; want %q, bad %t", n.verdict(), n.isBad(), tt.verdict, tt.bad)
		}
	}
	if n := tallyOf(control.GroupStatus{Name: "g"}); n.verdict() != "g: no targets" || n.isBad() {
		t.Errorf("a group that no client reaches: %q, bad %t", n.verdict(), n.isBad())
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 59 * time.Minute: "59 min", 47 * time.Hour: "47 h", 48 * time.Hour: "2 days",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// TestBrokenAdmin finds the balancer of a file that is no config any more.
func TestBrokenAdmin(t *testing.T) {
	for text, want := range map[string]string{
		"admin: {listen: 127.0.0.1:7999}\nlisteners: [\n":              "127.0.0.1:7999",
		"# mine\nadmin: # here\n  listen: \"[::1]:7999\" # v6\n\tbad:": "[::1]:7999",
		"admin:\r\n  listen: unix:/run/triage/admin.sock\r\nx: y\r\n":  "unix:/run/triage/admin.sock",
		"listeners:\n  - listen: 127.0.0.1:8080\n":                     "",
		"admin: {listen: 10.0.0.5:7380}":                               "", // not one that triage serves
		"admin: {listen: \"127.0.0.1:${PORT}\"}":                       "",
	} {
		path := filepath.Join(t.TempDir(), "triage.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := brokenAdmin(path); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
