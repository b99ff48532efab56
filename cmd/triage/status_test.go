package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
)

// TestStatusReport is the whole page, with everything on it that can be said about a target.
func TestStatusReport(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 6, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	check := func(outcome triage.Outcome, status int, took float64) *control.CheckView {
		return &control.CheckView{At: now.Add(-3 * time.Second), Took: took, Outcome: outcome, Status: status}
	}
	redirect := &triage.Diagnosis{
		Code:      "redirect-to-https",
		Cause:     "nginx redirects plain http to https, and a load balancer does not follow redirects",
		Fix:       "in nginx, right above the line that redirects:\n    if ($uri = /health_check) { break; }\nthen reload nginx",
		WrongFix:  "301 as a success code: the site may be down and every check passes, because nginx redirects by itself",
		Certainty: triage.Likely,
	}
	target := func(id triage.TargetID, s triage.State, c *control.CheckView) control.TargetStatus {
		return control.TargetStatus{Target: id, Address: string(id), Weight: 1, State: s, Trusted: true, Since: ago(4 * time.Minute), LastCheck: c}
	}
	sick := target("127.0.1.12:8000", triage.Unhealthy, check(triage.CodeMismatch, 301, 2))
	sick.Diagnosis = redirect
	alsoSick := target("127.0.1.13:8000", triage.Unhealthy, check(triage.CodeMismatch, 301, 2))
	proved := *redirect
	proved.Certainty, proved.Proof = triage.Proved, "the same request with X-Forwarded-Proto: https: 200"
	alsoSick.Diagnosis = &proved
	unknown := target("127.0.1.21:8000", triage.Unhealthy, check(triage.CodeMismatch, 400, 2))
	unknown.Diagnosis = &triage.Diagnosis{
		Code: diagnose.Undiagnosed, Cause: "the answer is 400 Bad Request, and that is not one of the success codes",
		Certainty: triage.Unknown, Candidates: []string{"host-not-allowed", "plain-http-to-tls-port"},
	}
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
				Targets: []control.TargetStatus{target("127.0.1.11:8000", triage.Healthy, check(triage.Matched, 200, 12)), sick, alsoSick, silent, drained, nameless, fresh, evil, nearlyOut, nearlyBack, unknown, removed},
			},
			{
				Name: "api", FailingOpen: true,
				Prediction:  control.Prediction{Detect: control.Span{Best: "5s", Worst: "12s"}, Recover: control.Span{Best: "5s", Worst: "12s"}, HoldDown: "10m"},
				Together:    &control.FailingTogether{Description: "3 of 3 targets began to fail the same way within one interval (refused): suspect what they share, or the check itself"},
				HealthCheck: control.HealthCheckView{As: triage.AWSCLB, Protocol: triage.TCP, Port: "traffic-port", Interval: "5s", Timeout: "2s", HealthyThreshold: 2, UnhealthyThreshold: 2},
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

// TestLargeGroup: in a mass failure the status says what is the matter on a screen, whom it concerns, and what to do
// next, and it says the verdict where the eye is.
func TestLargeGroup(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 6, 0, 0, time.UTC)
	since := now.Add(-time.Minute)
	group := control.GroupStatus{
		Name: "app", Routed: true,
		HealthCheck: control.HealthCheckView{Protocol: triage.HTTPS, Port: "traffic-port", Path: "/h?a=1&b=2", SuccessCodes: "200-299", Interval: "5s", Timeout: "2s", HealthyThreshold: 2, UnhealthyThreshold: 2},
	}
	add := func(n int, state triage.State, outcome triage.Outcome, change func(*control.TargetStatus)) {
		for range n {
			at := len(group.Targets)
			address := fmt.Sprintf("10.0.%d.%d:80", at/250, at%250)
			s := control.TargetStatus{
				Target: triage.TargetID(address), Address: address, State: state, Since: &since, Trusted: true,
				LastCheck: &control.CheckView{At: now.Add(-3 * time.Second), Took: 2, Outcome: outcome},
			}
			if change != nil {
				change(&s)
			}
			group.Targets = append(group.Targets, s)
		}
	}
	add(300, triage.Healthy, triage.Matched, nil)
	add(100, triage.Unhealthy, triage.CodeMismatch, func(s *control.TargetStatus) {
		host, _, _ := strings.Cut(s.Address, ":")
		s.Diagnosis = &triage.Diagnosis{Code: "host", Cause: fmt.Sprintf("Django refuses Host %q (ALLOWED_HOSTS)", host), Fix: "allow it"}
	})
	add(50, triage.Unhealthy, triage.Refused, func(s *control.TargetStatus) {
		s.Diagnosis = &triage.Diagnosis{Code: "undiagnosed", Cause: "what the others are said to have"}
	})
	add(850, triage.Unhealthy, triage.Refused, nil)
	add(1, triage.Unhealthy, triage.TLSTimeout, nil)
	add(6, triage.Draining, triage.Matched, func(s *control.TargetStatus) { s.Description = "Drained by hand" })
	add(30, triage.Healthy, triage.CheckerLate, func(s *control.TargetStatus) { s.Trusted = false })
	report := func(all bool) []string {
		var out strings.Builder
		statusReport{terminal: &terminal{w: &out}, now: now, all: all}.print(control.Status{Groups: []control.GroupStatus{group}})
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	lines := report(false)
	want := []string{
		"  STATE        TARGET         LAST CHECK             SINCE",
		"  900 × ◆ unhealthy",
		"    the connection was refused: nothing listens on this port",
		"               10.0.1.150:80  refused, 3 s ago       1 min",
		"               10.0.1.151:80  refused, 3 s ago       1 min",
		"               10.0.1.152:80  refused, 3 s ago       1 min",
		"               10.0.1.153:80  refused, 3 s ago       1 min",
		"               10.0.1.154:80  refused, 3 s ago       1 min",
		"    … 895 more: triage status app --all",
		"    next: triage check --as triage --success-codes 200-299 \\",
		"          'https://10.0.1.150:80/h?a=1&b=2'",
		"  100 × ◆ unhealthy",
		"    Django refuses Host \"ADDRESS\" (ALLOWED_HOSTS)",
		"               10.0.1.50:80   0 in 2 ms, 3 s ago     1 min",
		"               10.0.1.51:80   0 in 2 ms, 3 s ago     1 min",
		"               10.0.1.52:80   0 in 2 ms, 3 s ago     1 min",
		"               10.0.1.53:80   0 in 2 ms, 3 s ago     1 min",
		"               10.0.1.54:80   0 in 2 ms, 3 s ago     1 min",
		"    … 95 more: triage status app --all",
		"    fix: allow it",
		"  ◆ unhealthy  10.0.5.50:80   tls-timeout, 3 s ago   1 min",
		"    connected, but the TLS handshake did not complete in time",
		"    next: triage check --as triage --success-codes 200-299 \\",
		"          'https://10.0.5.50:80/h?a=1&b=2'",
		"  30 × ● healthy",
		"    ? not trustworthy: the last checks ended by our own fault (checker-late), so",
		"    the state is old news. Raise the balancer's limit of open files (ulimit",
		"    -n, or LimitNOFILE= of systemd), or give it fewer targets",
		"               10.0.5.57:80   checker-late, 3 s ago  1 min",
		"               10.0.5.58:80   checker-late, 3 s ago  1 min",
		"               10.0.5.59:80   checker-late, 3 s ago  1 min",
		"               10.0.5.60:80   checker-late, 3 s ago  1 min",
		"               10.0.5.61:80   checker-late, 3 s ago  1 min",
		"    … 25 more: triage status app --all",
		"  6 × ▽ draining",
		"    Drained by hand",
		"               10.0.5.51:80   0 in 2 ms, 3 s ago     -",
		"               10.0.5.52:80   0 in 2 ms, 3 s ago     -",
		"               10.0.5.53:80   0 in 2 ms, 3 s ago     -",
		"               10.0.5.54:80   0 in 2 ms, 3 s ago     -",
		"               10.0.5.55:80   0 in 2 ms, 3 s ago     -",
		"    … 1 more: triage status app --all",
		"  300 × ● healthy",
		"",
		"app: 1001 of 1337 targets unhealthy, 6 draining, 30 not trustworthy",
	}
	if diff := cmp.Diff(want, lines[max(0, len(lines)-len(want)):]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if lines[0] != want[len(want)-1] {
		t.Errorf("the first line is %q", lines[0])
	}
	all := strings.Join(report(true), "\n")
	for _, target := range group.Targets {
		if !strings.Contains(all, "  "+target.Address+" ") {
			t.Fatalf("%s is missing from all", target.Address)
		}
	}
	if i, j := strings.Index(all, "◆ unhealthy"), strings.Index(all, "● healthy"); i > j {
		t.Error("a healthy one comes before the sick")
	}
}

// TestManyWays: where each target is sick in a way of its own, the status still ends.
func TestManyWays(t *testing.T) {
	group := control.GroupStatus{Name: "app"}
	for i := range 1000 {
		group.Targets = append(group.Targets, control.TargetStatus{
			Target: "a:80", Address: "10.0.0.1:80", State: triage.Unhealthy, Trusted: true, Diagnosis: &triage.Diagnosis{Cause: fmt.Sprint("reason ", i)},
		})
	}
	var out strings.Builder
	statusReport{terminal: &terminal{w: &out}}.print(control.Status{Groups: []control.GroupStatus{group}})
	if n := strings.Count(out.String(), "\n"); n > 60 || !strings.Contains(out.String(), "    … 988 more in other ways: triage status app --all\n") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// TestNextCheck: what is proposed asks as the group does.
func TestNextCheck(t *testing.T) {
	target := control.TargetStatus{Address: "[2001:db8::1]:8000"}
	for want, h := range map[string]control.HealthCheckView{
		"triage check --as triage 'tls://[2001:db8::1]:8000'":                                          {Protocol: triage.TLS, Port: "traffic-port"},
		"triage check --as triage 'http://[2001:db8::1]:9000/it'\\''s'":                                {Protocol: triage.HTTP, Port: "9000", Path: "/it's", SuccessCodes: "200"},
		"triage check --as triage --service shop.Cart --success-codes 0-5 'grpc://[2001:db8::1]:8000'": {Protocol: triage.GRPC, Port: "traffic-port", GRPCCodes: "0-5", Service: "shop.Cart"},
		"triage check --as aws-alb 'grpcs://[2001:db8::1]:8000/a.B/C'":                                 {As: triage.AWSALB, Protocol: triage.GRPCS, Port: "traffic-port", GRPCCodes: "12", Path: "/a.B/C"},
		"triage check --as triage --expect-header 'X: a b' --expect-body 'it'\\''s' --expect-regex '^a b$' --expect 'status == 200' --server-name a.example --cacert ca.pem --cert us.pem --key us.key " +
			"--tls-min 1.2 --proxy-protocol v1 --source 10.0.0.9 --no-verify 'https://[2001:db8::1]:8000/'": {
			Protocol: triage.HTTPS, Port: "traffic-port", Path: "/", SuccessCodes: "200", ExpectHeader: "X: a b", ExpectBody: "it's", ExpectBodyRegex: "^a b$", Expect: "status == 200",
			TLSServerName: "a.example", TLSCAFile: "ca.pem", TLSCertFile: "us.pem", TLSKeyFile: "us.key", TLSMinVersion: "1.2", ProxyProtocol: "v1", SourceAddress: "10.0.0.9", TLSVerify: new(bool),
		},
		"triage check --as kubelet --host mysite.com 'http://[2001:db8::1]:8000/live'": {As: triage.Kubelet, Protocol: triage.HTTP, Port: "traffic-port", Path: "/live", SuccessCodes: "200-399", Host: "mysite.com"},
	} {
		if got := strings.Join(nextCheck(h, target), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := nextCheck(control.HealthCheckView{}, control.TargetStatus{Target: "app.internal:80"}); got != nil {
		t.Errorf("a name without an address: %q", got)
	}
}

// TestCommandLines: a long command is broken between its words, as a shell takes it.
func TestCommandLines(t *testing.T) {
	command := []string{"triage check", "--as triage", "--expect-body 'two words'", "--source 10.0.0.9", "http://10.0.0.1:8000/health_check"}
	for width, want := range map[int]string{
		200: "triage check --as triage --expect-body 'two words' --source 10.0.0.9 http://10.0.0.1:8000/health_check",
		60:  "triage check --as triage --expect-body 'two words' \\\n--source 10.0.0.9 http://10.0.0.1:8000/health_check",
		10:  "triage check \\\n--as triage \\\n--expect-body 'two words' \\\n--source 10.0.0.9 \\\nhttp://10.0.0.1:8000/health_check",
	} {
		if got := strings.Join(commandLines(command, width), "\n"); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
	h := located(control.HealthCheckView{TLSCAFile: "ca.pem", TLSKeyFile: "/etc/us.key"}, "/srv/shop")
	if h.TLSCAFile != "/srv/shop/ca.pem" || h.TLSKeyFile != "/etc/us.key" || h.TLSCertFile != "" {
		t.Errorf("%+v", h)
	}
}

// TestCheckInASentence: what is not as usual is said, and nothing else.
func TestCheckInASentence(t *testing.T) {
	yes := true
	usual := control.HealthCheckView{Protocol: triage.TCP, Port: "traffic-port", Interval: "5s", Timeout: "2s", HealthyThreshold: 2, UnhealthyThreshold: 3}
	rpc := usual
	rpc.Protocol, rpc.GRPCCodes, rpc.Service = triage.GRPC, "0", "shop.Cart"
	all := usual
	all.Protocol, all.Path, all.SuccessCodes = triage.HTTPS, "/h", "200"
	all.ExpectHeader, all.ExpectBody, all.ExpectBodyRegex, all.Expect = "X: y", "ok", "^o", "status == 200"
	all.TLSServerName, all.TLSVerify, all.TLSCAFile, all.TLSCertFile, all.TLSKeyFile, all.TLSMinVersion = "a.example", &yes, "ca.pem", "us.pem", "us.key", "1.2"
	all.ProxyProtocol, all.SourceAddress, all.ThresholdWindow = "v2", "10.0.0.9", 5
	all.HoldDown, all.HoldDownLimit, all.HoldDownWindow = "30s", "10m", "20m"
	for want, h := range map[string]control.HealthCheckView{
		"checked over tcp, every 5s, timeout 2s, out after 3, back after 2":                           usual,
		"checked over grpc, service shop.Cart for 0, every 5s, timeout 2s, out after 3, back after 2": rpc,
		"checked over https, /h for 200, expecting header X: y, expecting text ok, expecting match of ^o, expecting status == 200, SNI a.example, trusting ca.pem, showing us.pem, TLS from 1.2, " +
			"PROXY v2, from 10.0.0.9, certificate verified, every 5s, timeout 2s, out after 3, back after 2 of the last 5, held down for 30s to 10m when it returns twice in 20m": all,
	} {
		if got := check(h); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestLastCheckOverGRPC: its codes are not HTTP's.
func TestLastCheckOverGRPC(t *testing.T) {
	r := targetReport{group: control.GroupStatus{HealthCheck: control.HealthCheckView{Protocol: triage.GRPC, GRPCCodes: "0"}}}
	for want, c := range map[string]control.CheckView{
		"0 OK in 2 ms":             {Outcome: triage.Matched, Took: 2},
		"12 UNIMPLEMENTED in 2 ms": {Outcome: triage.GRPCMismatch, Status: 12, Took: 2},
		"not-serving":              {Outcome: triage.NotServing, Took: 2},
	} {
		if got := r.lastCheck(&c); !strings.HasPrefix(got, want+", ") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNearAChange: how near a target is to a change, in a row, in a window, and while it is held down.
func TestNearAChange(t *testing.T) {
	until := time.Date(2026, 11, 23, 14, 5, 9, 0, time.Local)
	row := control.GroupStatus{HealthCheck: control.HealthCheckView{HealthyThreshold: 2, UnhealthyThreshold: 3, HoldDownWindow: "10m"}}
	window := row
	window.HealthCheck.ThresholdWindow = 5
	sick := control.TargetStatus{Address: "127.0.0.1:80", State: triage.Unhealthy, Description: "x", Streak: 1, Trusted: true}
	held := sick
	held.Streak, held.HeldUntil, held.Return = 9, &until, 3
	well := control.TargetStatus{Address: "127.0.0.1:80", State: triage.Healthy, Streak: 2, Trusted: true}
	for _, tt := range []struct {
		group  control.GroupStatus
		target control.TargetStatus
		want   string
	}{
		{row, sick, "the last check passed: 1 of 2 that bring it back"},
		{window, sick, "1 of the last 5 checks passed: 2 bring it back"},
		{row, held, "works again, but is held down until 14:05:09 at the earliest, since it comes and goes: it would be return number 3 within 10m"},
		{row, well, "the last check failed: 2 of 3 that take it out"},
		{window, well, "2 of the last 5 checks failed: 3 take it out"},
	} {
		if lines := notes(tt.group, tt.target); len(lines) == 0 || lines[len(lines)-1] != tt.want {
			t.Errorf("%q, want %q", lines, tt.want)
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
		{"g: 1 of 1 target healthy, 1 not trustworthy", true, false, []control.TargetStatus{{Address: "127.0.0.1:80", State: triage.Healthy}}},
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

// TestDoubtOfTheSource: an address that the machine does not have is cured by another one, not by more descriptors.
func TestDoubtOfTheSource(t *testing.T) {
	const detail = "cannot assign requested address: is the source address 203.0.113.7 one of this machine?"
	c := &control.CheckView{Outcome: triage.OutOfResources, Detail: detail}
	if got := doubt(control.TargetStatus{LastCheck: c}); !strings.Contains(got, detail) || !strings.Contains(got, "Let source_address be") || strings.Contains(got, "ulimit") {
		t.Error(got)
	}
	c.Detail = "too many open files"
	if got := doubt(control.TargetStatus{LastCheck: c}); !strings.Contains(got, "ulimit") {
		t.Error(got)
	}
}
