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

// TestAddressesAreCorrected: what an error says to write is an address, and the one that was meant.
func TestAddressesAreCorrected(t *testing.T) {
	target := func(s string) error { _, _, err := triage.SplitHostPort(s); return err }
	for _, tt := range []struct {
		check func(string) error
		wrong string
		write string
	}{
		{target, "", "127.0.0.1:8000"},
		{target, "app", "app:8000"},
		{target, "8001", "127.0.0.1:8001"},
		{target, ":80", "127.0.0.1:80"},
		{target, "http://127.0.1.13:8000", "127.0.1.13:8000"},
		{target, "http://app.internal/health_check", "app.internal:80"},
		{target, "https://[::1]", "[::1]:443"},
		{target, "app:8000/", "app:8000"},
		{target, "/health_check", "127.0.0.1:8000"},
		{triage.CheckAdmin, "", "127.0.0.1:7380"},
		{triage.CheckAdmin, "localhost", "localhost:7380"},
		{triage.CheckAdmin, "7381", "127.0.0.1:7381"},
		{triage.CheckAdmin, "http://127.0.0.1:7381", "127.0.0.1:7381"},
		{triage.CheckAdmin, "/run/admin.sock", "unix:/run/admin.sock"},
	} {
		err := tt.check(tt.wrong)
		if err == nil || !strings.HasSuffix(err.Error(), " "+tt.write) {
			t.Errorf("%q: %v, want …%s", tt.wrong, err, tt.write)
		}
		if err := tt.check(tt.write); err != nil {
			t.Errorf("%q is told to write %q: %v", tt.wrong, tt.write, err)
		}
	}
}

// TestCharactersAreNamed: a letter outside ASCII is one character, however many bytes it has.
func TestCharactersAreNamed(t *testing.T) {
	named := func(name triage.GroupName) string {
		for _, p := range (triage.Group{Name: name}).Validate() {
			if p.Path == "name" {
				return p.Message
			}
		}
		return ""
	}
	for want, got := range map[string]string{
		`path "/ü" holds 'ü', which cannot travel in a request line: write %C3%BC`: fmt.Sprint(triage.CheckPath("/ü")),
		`path "/a b" holds ' ', which cannot travel in a request line: write %20`:  fmt.Sprint(triage.CheckPath("/a b")),
		`path "/\xff" holds '�', which cannot travel in a request line: write %FF`: fmt.Sprint(triage.CheckPath("/\xff")),
		`host "müller.de" holds 'ü', which no host name has`:                       fmt.Sprint(triage.CheckHostHeader("müller.de")),
		`the group's name "größe" holds 'ö': use letters, digits, - _ and .`:       named("größe"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestAdminAndClientsApart: a listener must not take the admin address.
func TestAdminAndClientsApart(t *testing.T) {
	for _, tt := range []struct {
		admin, listen string
		apart         bool
	}{
		{"127.0.0.1:7380", "127.0.0.1:7380", false},
		{"127.0.0.1:7380", ":7380", false},
		{"127.0.0.1:7380", "0.0.0.0:7380", false},
		{"127.0.0.1:7380", "localhost:7380", false},
		{"localhost:7380", "127.0.0.1:7380", false},
		{"[::1]:7380", "[::]:7380", false},
		{"127.0.0.1:7380", "[::]:7380", true},
		{"127.0.0.1:7380", "127.0.0.2:7380", true},
		{"127.0.0.1:7380", "127.0.0.1:7381", true},
		{"unix:/run/admin.sock", ":7380", true},
	} {
		c := triage.Config{Admin: tt.admin, Listeners: []triage.Listener{{Name: "web", Listen: tt.listen, Protocol: triage.HTTP}}}
		apart := true
		for _, p := range c.Validate() {
			apart = apart && p.Path != "listeners[0].listen"
		}
		if apart != tt.apart {
			t.Errorf("admin at %s, clients at %s: apart is %t", tt.admin, tt.listen, apart)
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
		"admin.listen":          func(c *triage.Config) { c.Admin = "0.0.0.0:7380" },
		"listeners[0].listen":   func(c *triage.Config) { c.Listeners[0].Listen = "8080" },
		"listeners[0].protocol": func(c *triage.Config) { c.Listeners[0].Protocol = triage.TCP },
		"listeners[0].default":  func(c *triage.Config) { c.Listeners[0].Default.Forward = "nobody" },
		"groups[0].name":        func(c *triage.Config) { c.Groups[0].Name = "a b" },
		"groups[1].name":        func(c *triage.Config) { c.Groups = append(c.Groups, c.Groups[0]) },
		"groups[0].targets[2]": func(c *triage.Config) {
			c.Groups[0].Targets = append(c.Groups[0].Targets, triage.Target{ID: "127.0.0.1:8081"}, triage.Target{ID: "127.0.0.1:8080"})
		},
		"groups[0].targets[0]":                       func(c *triage.Config) { c.Groups[0].Targets[0].ID = "127.0.0.1" },
		"groups[0].targets[1]":                       func(c *triage.Config) { c.Groups[0].Targets = append(c.Groups[0].Targets, c.Groups[0].Targets[0]) },
		"groups[0].targets[0].weight":                func(c *triage.Config) { c.Groups[0].Targets[0].Weight = 257 },
		"groups[0].none_healthy":                     func(c *triage.Config) { c.Groups[0].NoneHealthy = "502" },
		"groups[0].connect_timeout":                  func(c *triage.Config) { c.Groups[0].ConnectTimeout = 0 },
		"groups[0].health_check.interval":            func(c *triage.Config) { c.Groups[0].HealthCheck.Interval = 2 * time.Hour },
		"groups[0].health_check.timeout":             func(c *triage.Config) { c.Groups[0].HealthCheck.Timeout = 5 * time.Second },
		"groups[0].health_check.healthy_threshold":   func(c *triage.Config) { c.Groups[0].HealthCheck.Thresholds.Healthy = 0 },
		"groups[0].health_check.unhealthy_threshold": func(c *triage.Config) { c.Groups[0].HealthCheck.Thresholds.Unhealthy = 101 },
		// over tcp, which asks for no path: the protocol may be edited later
		"groups[0].health_check.path":          func(c *triage.Config) { c.Groups[0].HealthCheck.Path = "health\r\nEvil: yes" },
		"groups[0].health_check.host":          func(c *triage.Config) { c.Groups[0].HealthCheck.Host = "a\r\nEvil: yes" },
		"groups[0].health_check.success_codes": func(c *triage.Config) { c.Groups[0].HealthCheck.SuccessCodes = triage.Matcher{} },
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
	if got := triage.Nearest("grcp", []string{"tcp", "http", "grpc"}); got != "grpc" {
		t.Errorf("grcp: %s", got)
	}
	words := []string{"aws-alb", "aws-clb", "triage", "alb", "clb"}
	for typed, want := range map[string]string{"aws-abl": "aws-alb", "CLB": "aws-clb", "triag": "triage", "C": "aws-clb", "aws_clb": "aws-clb", "nlb": "alb", "gcp": "", "haproxy": "", "": ""} {
		if got := triage.Nearest(typed, words); got != want {
			t.Errorf("%s: %s, want %s", typed, got, want)
		}
	}
}
