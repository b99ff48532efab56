package triage_test

import (
	"net/netip"
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
	window := check
	window.Thresholds.Window = 5 // earlier failures may count
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
		{"in a window", window, 0, 31 * time.Second},
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
	windowed := seldom
	windowed.Thresholds.Window = 5
	for name, tt := range map[string]struct {
		check       triage.HealthCheck
		least, most time.Duration
	}{
		"defaults":          {triage.DefaultHealthCheck(), 5 * time.Second, 12 * time.Second},
		"all paces":         {paced, 3 * 3 * time.Second, time.Minute + 3*3*time.Second + 4*500*time.Millisecond + 2*time.Second},
		"no transition one": {seldom, 2 * time.Minute, 3*time.Minute + 2*time.Second},
		"in a window":       {windowed, 0, 3*time.Minute + 2*time.Second},
	} {
		if least, most := tt.check.Restored(); least != tt.least || most != tt.most {
			t.Errorf("%s: %s to %s, want %s to %s", name, least, most, tt.least, tt.most)
		}
	}
}

// TestChecksThatCannotBe: contradictions between settings, each at the key that somebody would change.
func TestChecksThatCannotBe(t *testing.T) {
	grpc := func(c *triage.HealthCheck) { c.Protocol = triage.GRPC }
	for _, tt := range []struct {
		name   string
		change func(*triage.HealthCheck)
		keys   string // of the problems
	}{
		{"usual", func(*triage.HealthCheck) {}, ""},
		{"gRPC", grpc, ""},
		{"gRPC, its method", func(c *triage.HealthCheck) { grpc(c); c.Path = "/AWS.ALB/healthcheck" }, ""},
		{"gRPC, a path", func(c *triage.HealthCheck) { grpc(c); c.Path = "/health" }, "path"},
		{"gRPC, three parts", func(c *triage.HealthCheck) { grpc(c); c.Path = "/a/b/c" }, "path"},
		{"gRPC, a query", func(c *triage.HealthCheck) { grpc(c); c.Path = "/a/b?c" }, "path"},
		{"gRPC, no path at all", func(c *triage.HealthCheck) { grpc(c); c.Path = "a/b" }, "path"},
		{"gRPC, a service", func(c *triage.HealthCheck) { grpc(c); c.Service = "shop.Cart" }, ""},
		{"gRPC, a service with a line end", func(c *triage.HealthCheck) { grpc(c); c.Service = "a\n" }, "service"},
		{"gRPC, content", func(c *triage.HealthCheck) { grpc(c); c.Expect.Body, c.Expect.Header = "ok", "X" }, "expect_body"},
		{"no gRPC, a service", func(c *triage.HealthCheck) { c.Protocol, c.Service = triage.H2C, "shop.Cart" }, "service"},
		{"no codes", func(c *triage.HealthCheck) { c.GRPCCodes = triage.Matcher{} }, "grpc_codes"},
		{"no answer", func(c *triage.HealthCheck) {
			c.Expect = triage.Expect{Header: "X", Body: "a", BodyRegex: "a", Expression: "true"}
		}, "expect_header expect_body expect_body_regex expect"},
		{"no TLS", func(c *triage.HealthCheck) { c.Protocol, c.TLS.Verify, c.TLS.ServerName = triage.HTTP, triage.No, "a" }, "tls_server_name tls_verify"},
		{"TLS after a redirect", func(c *triage.HealthCheck) { c.As, c.Protocol, c.TLS.Verify = triage.Kubelet, triage.HTTP, triage.No }, ""},
		{"TLS", func(c *triage.HealthCheck) { c.Protocol, c.TLS.Verify = triage.GRPCS, triage.Yes }, ""},
		{"PROXY", func(c *triage.HealthCheck) { c.ProxyProtocol = triage.ProxyV2 }, ""},
		{"PROXY 3", func(c *triage.HealthCheck) { c.ProxyProtocol = "v3" }, "proxy_protocol"},
		{"from here", func(c *triage.HealthCheck) { c.Source = netip.MustParseAddr("fe80::1%eth0") }, ""},
		{"from everywhere", func(c *triage.HealthCheck) { c.Source = netip.MustParseAddr("::ffff:0.0.0.0") }, "source_address"},
		{"from many", func(c *triage.HealthCheck) { c.Source = netip.MustParseAddr("255.255.255.255") }, "source_address"},
		{"window", func(c *triage.HealthCheck) { c.Thresholds = triage.Thresholds{Healthy: 3, Unhealthy: 2, Window: 3} }, ""},
		{"widest window", func(c *triage.HealthCheck) { c.Thresholds.Window = triage.MaxWindow }, ""},
		{"wider", func(c *triage.HealthCheck) { c.Thresholds.Window = triage.MaxWindow + 1 }, "threshold_window"},
		{"too narrow", func(c *triage.HealthCheck) { c.Thresholds = triage.Thresholds{Healthy: 3, Unhealthy: 2, Window: 2} }, "threshold_window"},
		{"held down", func(c *triage.HealthCheck) { c.HoldDown.First = 10 * time.Minute }, ""},
		{"held down above the limit", func(c *triage.HealthCheck) { c.HoldDown.First = 11 * time.Minute }, "hold_down"},
		{"held down for nothing", func(c *triage.HealthCheck) { c.HoldDown = triage.HoldDown{First: -1, Limit: -1, Window: -1} }, "hold_down hold_down_limit hold_down_window"},
		{"not held down", func(c *triage.HealthCheck) { c.HoldDown = triage.HoldDown{Limit: -1} }, ""},
	} {
		c := triage.DefaultHealthCheck()
		tt.change(&c)
		var keys []string
		for _, p := range c.Validate() {
			keys = append(keys, p.Path)
			if p.Warning || p.Message == "" {
				t.Errorf("%s: %+v", tt.name, p)
			}
		}
		if got := strings.Join(keys, " "); got != tt.keys {
			t.Errorf("%s: problems at %q, want %q: %v", tt.name, got, tt.keys, c.Validate())
		}
	}
}
