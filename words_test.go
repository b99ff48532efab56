package triage_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

var update = flag.Bool("update", false, "write generated documents anew")

// TestOutcomesDocument keeps docs/outcomes.md equal to the table. Run with -update to write it.
func TestOutcomesDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Outcomes\n\nHow a check can end. Written from the table in outcome.go by `go test . -update`; do not edit.\n\n" +
		"A neutral outcome says nothing about the target and never changes its state.\n\n" +
		"| outcome | layer | verdict | AWS's reason | what was seen |\n|---|---|---|---|---|\n")
	names := map[string]bool{}
	for o, info := range triage.Outcomes {
		reason := string(info.Reason)
		if info.Verdict != triage.Fail {
			reason = "-"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", info.Name, info.Layer, info.Verdict, reason, info.Sentence)
		if names[info.Name] || info.Name == "" || info.Sentence == "" {
			t.Errorf("outcome %d: name %q is empty or used twice, or it has no sentence", o, info.Name)
		}
		names[info.Name] = true
		var back triage.Outcome
		if err := back.UnmarshalText([]byte(info.Name)); err != nil || back != o {
			t.Errorf("%s reads back as %s (%v)", info.Name, back, err)
		}
		if (info.Verdict == triage.Pass) != (info.Reason == triage.NoReason) {
			t.Errorf("%s: a %s with reason %q", info.Name, info.Verdict, info.Reason)
		}
	}
	const file = "docs/outcomes.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("%s is old; run go test . -update:\n%s", file, diff)
	}
}

func TestMatcherReadsItsOwnWriting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []string
		want := map[int]bool{}
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			lo := rapid.IntRange(100, 599).Draw(t, "lo")
			hi := rapid.IntRange(lo, min(lo+20, 599)).Draw(t, "hi")
			if lo == hi {
				parts = append(parts, fmt.Sprint(lo))
			} else {
				parts = append(parts, fmt.Sprintf("%d-%d", lo, hi))
			}
			for c := lo; c <= hi; c++ {
				want[c] = true
			}
		}
		m, err := triage.ParseMatcher(strings.Join(parts, ","))
		if err != nil {
			t.Fatal(err)
		}
		for c := 0; c < 1000; c++ {
			if m.Match(c) != want[c] {
				t.Fatalf("%s matches %d: %v", m, c, m.Match(c))
			}
		}
		again, err := triage.ParseMatcher(m.String())
		if err != nil || again != m {
			t.Fatalf("%s reads back as %s (%v)", m, again, err)
		}
	})
}

func TestMatcherRefuses(t *testing.T) {
	for _, s := range []string{"", "2xx", "200-", "-200", "299-200", "99", "600", "200,,201", "0200", "200-299-300", "+20"} {
		if m, err := triage.ParseMatcher(s); err == nil {
			t.Errorf("%q was read as %s", s, m)
		}
	}
}

func TestSplitHostPort(t *testing.T) {
	for s, want := range map[string]string{
		"127.0.0.1:80":     "127.0.0.1 80",
		"[::1]:8000":       "::1 8000",
		"app.internal:443": "app.internal 443",
		"web_1:80":         "web_1 80",
		"localhost:1":      "localhost 1",
	} {
		host, port, err := triage.SplitHostPort(s)
		if got := fmt.Sprint(host, " ", port); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "127.0.0.1", ":80", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "::1:80", "[::1]", "[127.0.0.1]:80",
		"1.2.3:80", "1.2.3.4.5:80", "a b:80", "-a:80", "a..b:80", "user@host:80", "http://host:80", "[::1%eth0:80", strings.Repeat("a", 64) + ":80",
	} {
		if host, port, err := triage.SplitHostPort(s); err == nil {
			t.Errorf("%q was read as host %q, port %d", s, host, port)
		}
	}
}

// TestAddressPolicy: a config or a DNS answer must not turn the balancer against the machine it runs on.
func TestAddressPolicy(t *testing.T) {
	policy := triage.AddressPolicy{Admin: netip.MustParseAddrPort("127.0.0.1:7380")}
	for _, refused := range []string{
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fd00:ec2::254]:80", "169.254.170.2:80", "168.63.129.16:80",
		"100.100.100.200:80", "169.254.1.1:80", "[fe80::1]:80", "[fe80::1%eth0]:80", "127.0.0.1:7380", "[::ffff:127.0.0.1]:7380",
		"0.0.0.0:80", "[::]:80", "224.0.0.1:80",
	} {
		err := policy.Check(netip.MustParseAddrPort(refused))
		if triage.KindOf(err) != triage.KindDenied || triage.HintOf(err) == "" {
			t.Errorf("%s: %v", refused, err)
		}
	}
	for _, allowed := range []string{"127.0.0.1:8000", "127.0.0.2:7380", "10.0.0.1:80", "[::1]:7380", "192.0.2.1:443"} {
		if err := policy.Check(netip.MustParseAddrPort(allowed)); err != nil {
			t.Errorf("%s: %v", allowed, err)
		}
	}
	policy.Allowed = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")}
	if err := policy.Check(netip.MustParseAddrPort("169.254.169.254:80")); err != nil {
		t.Errorf("allow_targets did not help: %v", err)
	}
}

func TestValidate(t *testing.T) {
	good := func() triage.Config {
		g := triage.DefaultGroup()
		g.Name, g.Targets = "app", []triage.Target{{ID: "127.0.0.1:8000"}}
		return triage.Config{
			Admin:     triage.DefaultAdmin,
			Listeners: []triage.Listener{{Name: "web", Listen: ":8080", Protocol: triage.HTTP, Default: triage.Action{Forward: "app"}}},
			Groups:    []triage.Group{g},
		}
	}
	if ps := good().Validate(); len(ps) != 0 {
		t.Fatalf("the good config has problems: %v", ps)
	}
	for path, spoil := range map[string]func(*triage.Config){
		"admin.listen":                               func(c *triage.Config) { c.Admin = "0.0.0.0:7380" },
		"listeners[0].listen":                        func(c *triage.Config) { c.Listeners[0].Listen = "8080" },
		"listeners[0].protocol":                      func(c *triage.Config) { c.Listeners[0].Protocol = triage.TCP },
		"listeners[0].default":                       func(c *triage.Config) { c.Listeners[0].Default.Forward = "nobody" },
		"groups[0].name":                             func(c *triage.Config) { c.Groups[0].Name = "a b" },
		"groups[1].name":                             func(c *triage.Config) { c.Groups = append(c.Groups, c.Groups[0]) },
		"groups[0].targets[0]":                       func(c *triage.Config) { c.Groups[0].Targets[0].ID = "127.0.0.1" },
		"groups[0].targets[1]":                       func(c *triage.Config) { c.Groups[0].Targets = append(c.Groups[0].Targets, c.Groups[0].Targets[0]) },
		"groups[0].targets[0].weight":                func(c *triage.Config) { c.Groups[0].Targets[0].Weight = 257 },
		"groups[0].none_healthy":                     func(c *triage.Config) { c.Groups[0].NoneHealthy = "502" },
		"groups[0].connect_timeout":                  func(c *triage.Config) { c.Groups[0].ConnectTimeout = 0 },
		"groups[0].health_check.interval":            func(c *triage.Config) { c.Groups[0].HealthCheck.Interval = 2 * time.Hour },
		"groups[0].health_check.timeout":             func(c *triage.Config) { c.Groups[0].HealthCheck.Timeout = 5 * time.Second },
		"groups[0].health_check.healthy_threshold":   func(c *triage.Config) { c.Groups[0].HealthCheck.Thresholds.Healthy = 0 },
		"groups[0].health_check.unhealthy_threshold": func(c *triage.Config) { c.Groups[0].HealthCheck.Thresholds.Unhealthy = 101 },
		"groups[0].health_check.path": func(c *triage.Config) {
			c.Groups[0].HealthCheck.Protocol, c.Groups[0].HealthCheck.Path = triage.HTTP, "health\r\nEvil: yes"
		},
		"groups[0].health_check.host": func(c *triage.Config) {
			c.Groups[0].HealthCheck.Protocol, c.Groups[0].HealthCheck.Host = triage.HTTP, "a\r\nEvil: yes"
		},
	} {
		c := good()
		spoil(&c)
		found := false
		for _, p := range c.Validate().Errors() {
			found = found || p.Path == path
		}
		if !found {
			t.Errorf("no error at %s: %v", path, c.Validate())
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"aws-alb", "aws-clb", "triage", "alb", "clb"}
	for typed, want := range map[string]string{"aws-abl": "aws-alb", "CLB": "aws-clb", "triag": "triage", "C": "aws-clb", "aws_clb": "aws-clb"} {
		if got := triage.Nearest(typed, words); got != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}
