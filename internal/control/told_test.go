package control

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// TestARefusedReloadIsSaid to whoever asked and in the log, with what is in effect instead.
func TestARefusedReloadIsSaid(t *testing.T) {
	r := start(t, app)
	for text, want := range map[string]string{
		strings.Replace(app, "targets:", "targetz:", 1): ` reason="FILE:6: unknown key \"targetz\" in group \"app\"" hint="did you mean targets?"`,
		app + "admin: {listen: x}\n":                    ` reason="FILE:12: admin address \"x\" has no port: write x:7380"`,
	} {
		write(t, r.path, text)
		_, err := r.Reload(t.Context())
		lines := r.log.lines()
		want = `level=ERROR msg="reload refused: the running config stays as it was" file=FILE` + want
		if got := strings.ReplaceAll(lines[len(lines)-1], r.path, "FILE"); got != want {
			t.Errorf("log: got  %s\nwant %s", got, want)
		}
		if hint := triage.HintOf(err); !strings.HasSuffix("\n"+hint, "\nthe running config stays as it was") {
			t.Errorf("the hint: %q", hint)
		}
	}
}

// TestARelativePathIsTold in full: whoever reads it may be in another folder.
func TestARelativePathIsTold(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "triage.yaml", app)
	w := &world{}
	c, err := New(Config{Path: "triage.yaml", Getenv: env, Engine: worldEngine{w}, Table: worldTable{w}, Listeners: worldListeners{w}, Resolver: worldResolver{w}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if s := c.Status(t.Context()); !filepath.IsAbs(s.Config) || filepath.Base(s.Config) != "triage.yaml" {
		t.Errorf("the status shows %s", s.Config)
	}
}

// TestAnAddedNameWithoutAnAddress is accepted, because it may resolve later, and said.
func TestAnAddedNameWithoutAnAddress(t *testing.T) {
	r := start(t, app)
	result, err := r.AddTarget(t.Context(), "app", triage.Target{ID: "typo.invalid:80"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "warnings", result.Warnings, []string{"lookup typo.invalid: no such host: it takes no requests until the name resolves"})
	r.mu.Lock()
	r.addrs = []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	r.mu.Unlock()
	if result, err = r.AddTarget(t.Context(), "app", triage.Target{ID: "app.internal:80"}); err != nil || len(result.Warnings) != 0 {
		t.Errorf("with an address: %v %v", result.Warnings, err)
	}
}

// TestEditsWarnEachTime: a setting that the protocol does not use is said whenever it is edited.
func TestEditsWarnEachTime(t *testing.T) {
	r := start(t, strings.Replace(app, "protocol: http", "protocol: tcp", 1))
	for _, path := range []string{"/a", "/b"} {
		result, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &path})
		if err != nil || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "triage health-check set app --protocol http") {
			t.Errorf("%s: %q %v", path, result.Warnings, err)
		}
	}
	wrong := "/a b"
	if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &wrong}); triage.KindOf(err) != triage.KindInvalid {
		t.Errorf("%q: %v", wrong, err)
	}
}

// TestFailingOpenNeedsSomebody: a group of which every target drains sends requests to nobody.
func TestFailingOpenNeedsSomebody(t *testing.T) {
	r := start(t, app)
	var warnings []string
	for _, id := range []triage.TargetID{"127.0.0.1:8001", "127.0.0.1:8002", "db.internal:8003"} {
		if g := r.Status(t.Context()).Groups[0]; !g.Routed || g.FailingOpen != (id != "db.internal:8003") {
			t.Errorf("before %s: %+v", id, g)
		}
		result, err := r.Drain(t.Context(), "app", id, true)
		if err != nil {
			t.Fatal(err)
		}
		warnings = result.Warnings
	}
	if g := r.Status(t.Context()).Groups[0]; g.FailingOpen {
		t.Errorf("all drain: %+v", g)
	}
	equal(t, "warnings", warnings, []string{r.path + `:6: every target of group "app" drains: every request to it is answered 503 (triage target undrain app 127.0.0.1:8001)`})
}
