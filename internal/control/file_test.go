package control

import (
	"crypto/tls"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/triage-lb/triage"
)

var update = flag.Bool("update", false, "write the expected outcomes of testdata/files.txtar")

// env is the environment of the tests' files.
func env(name string) string {
	return map[string]string{"GROUP": "app", "HOST": "10.0.0.1", "PORT": "8000", "THREE": "3", "LB": "elb"}[name]
}

func TestFiles(t *testing.T) {
	const archive = "testdata/files.txtar"
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	files := a.Files
	for _, f := range files {
		want[f.Name] = string(f.Data)
	}
	a.Files = nil
	for _, f := range files {
		name, isYAML := strings.CutSuffix(f.Name, ".yaml")
		if !isYAML {
			continue
		}
		says := outcome(t, f)
		a.Files = append(a.Files, f, txtar.File{Name: name + ".says", Data: []byte(says)})
		if *update {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(want[name+".says"], says); d != "" {
				t.Error(d)
			}
		})
	}
	if *update {
		if err := os.WriteFile(archive, txtar.Format(a), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is what a person sees of a file that is loaded.
func outcome(t *testing.T, f txtar.File) string {
	t.Helper()
	file, err := Parse(f.Name, f.Data, env)
	if err == nil {
		return strings.Join(append([]string{"accepted"}, file.Warnings...), "\n") + "\n"
	}
	if triage.KindOf(err) != triage.KindInvalid {
		t.Errorf("%s: kind %s", f.Name, triage.KindOf(err))
	}
	says := err.Error() + "\n"
	if hint := triage.HintOf(err); hint != "" {
		says += "hint: " + hint + "\n"
	}
	return says
}

func TestEveryKeyIsRead(t *testing.T) {
	a, err := txtar.ParseFile("testdata/files.txtar")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse("right.yaml", a.Files[0].Data, env)
	if err != nil {
		t.Fatal(err)
	}
	want := triage.Config{
		Admin:        "unix:/run/triage/admin.sock",
		AllowTargets: []netip.Prefix{netip.MustParsePrefix("169.254.7.0/24"), netip.MustParsePrefix("fd00:ec2::254/128")},
		Listeners: []triage.Listener{
			{Name: "web", Listen: "127.0.0.1:8080", Protocol: triage.HTTP, Default: triage.Action{Forward: "app"}},
			{Name: "web6", Listen: "[::1]:8080", Protocol: triage.HTTP, Default: triage.Action{Forward: "app"}},
		},
		Groups: []triage.Group{{
			Name: "app", Protocol: triage.HTTP, NoneHealthy: triage.Answer503,
			DeregistrationDelay: 30 * time.Second, ConnectTimeout: 500 * time.Millisecond, ResponseTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			Targets: []triage.Target{
				{ID: "127.0.1.11:8000"}, {ID: "127.0.1.12:8000", Weight: 2, Drain: true}, {ID: "127.0.1.13:8000"}, {ID: "app.example.org:8000"}, {ID: "169.254.7.9:80"},
			},
			HealthCheck: triage.HealthCheck{
				Protocol: triage.HTTPS, Port: 8443, Path: "/health_check", Host: "example.org",
				SuccessCodes: mustMatcher(t, "200,204"), Interval: time.Second, Timeout: 500 * time.Millisecond,
				GRPCCodes: triage.MatchGRPC(0, 0), Thresholds: triage.Thresholds{Healthy: 3, Unhealthy: 4, Window: 5},
				HoldDown: triage.HoldDown{First: 30 * time.Second, Limit: 20 * time.Minute, Window: 15 * time.Minute},
				Expect: triage.Expect{
					Header: "X-Ready: yes", Body: `"ok"`, BodyRegex: `up(time)?: \d+$`, Within: 1000, Expression: `json.status == "ok" && latency < duration("1s")`,
				},
				TLS:           triage.CheckTLS{ServerName: "app.example.org", Verify: triage.Yes, MinVersion: tls.VersionTLS12},
				ProxyProtocol: triage.ProxyV2, Source: netip.MustParseAddr("127.0.1.9"),
				UnhealthyInterval: time.Minute, TransitionInterval: 600 * time.Millisecond, Jitter: 100 * time.Millisecond, ReuseConnection: true,
			},
		}},
	}
	asked := triage.DefaultGroup()
	asked.Name, asked.Targets = "rpc", []triage.Target{{ID: "[::1]:8000"}}
	asked.HealthCheck.Protocol, asked.HealthCheck.Service, asked.HealthCheck.GRPCCodes = triage.GRPCS, "shop.Cart", triage.MatchGRPC(0, 5)
	asked.HealthCheck.TLS.Verify, asked.HealthCheck.ProxyProtocol = triage.No, triage.ProxyV1
	want.Groups = append(want.Groups, asked)
	if !sameConfig(f.Config, want) {
		t.Errorf("got  %+v\nwant %+v", f.Config, want)
	}
}

func mustMatcher(t *testing.T, s string) triage.Matcher {
	t.Helper()
	m, err := triage.ParseMatcher(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDefaults(t *testing.T) {
	f, err := Parse("f", []byte(web+"groups: [{name: app}]\nadmin:\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	want := triage.DefaultGroup()
	want.Name = "app"
	if !sameConfig(f.Config, triage.Config{Admin: triage.DefaultAdmin, Listeners: f.Config.Listeners, Groups: []triage.Group{want}}) {
		t.Errorf("got %+v", f.Config)
	}
}

func TestEnvironment(t *testing.T) {
	f, err := Parse("f", []byte(web+"groups: [{name: \"${GROUP}\", targets: [\"${HOST}:${PORT}\"], health_check: {path: \"/$${HOST}/$$${PORT}/$x\", healthy_threshold: \"${THREE}\"}}]\n"), env)
	if err != nil {
		t.Fatal(err)
	}
	g := f.Config.Groups[0]
	if g.Name != "app" || g.Targets[0].ID != "10.0.0.1:8000" || g.HealthCheck.Path != "/${HOST}/$${PORT}/$x" || g.HealthCheck.Thresholds.Healthy != 3 {
		t.Errorf("got %+v", g)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), env)
	if triage.KindOf(err) != triage.KindNotFound || triage.HintOf(err) == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v (%s)", err, triage.KindOf(err))
	}
	if _, err := Load(dir, env); triage.KindOf(err) != triage.KindInvalid || triage.HintOf(err) != "name the config file in it: -c "+filepath.Join(dir, "triage.yaml") {
		t.Errorf("a folder: %v (%s)", err, triage.KindOf(err))
	}
}

// TestHostileFiles reads files that are made to hurt: each is an error within the time that a test has.
func TestHostileFiles(t *testing.T) {
	const size = 1 << 17
	repeat := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for name, src := range map[string]string{
		"lists":        repeat("["),
		"mappings":     repeat("{a: "),
		"dashes":       repeat("- "),
		"colons":       repeat(":"),
		"keys":         repeat("a: "),
		"keys below":   repeat("a:\n "),
		"questions":    repeat("? "),
		"anchors":      repeat("&a "),
		"many keys":    repeat("a: b\n"),
		"documents":    repeat("---\n"),
		"open quote":   "a: \"" + repeat("x\n"),
		"long key":     repeat("a") + ": b",
		"wide list":    "groups: [" + repeat("1,") + "]",
		"nul":          repeat("\x00"),
		"not utf-8":    "groups:\n" + repeat("\xff\xfe"),
		"long value":   "admin: {listen: " + repeat("x") + "}",
		"long message": repeat("ä") + ": 1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(src), env)
			if triage.KindOf(err) != triage.KindInvalid || !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("got %v", err)
			}
			if len(err.Error()) > 500*maxFaults {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	if _, err := Parse("f", make([]byte, maxFile+1), env); triage.KindOf(err) != triage.KindInvalid {
		t.Errorf("too large: %v", err)
	}
}
