package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = `# the shop
listeners:
  - {name: web, listen: 127.0.0.1:8080, default: {forward: app}}
groups:
  - name: app
    targets:
      - 127.0.0.1:8001 # one
      - 127.0.0.1:8002
      - db.internal:8003
    health_check:
      protocol: http
`

// world is the parts that control works on, and what they were told, in order.
type world struct {
	mu       sync.Mutex
	told     []string
	given    []triage.Roster // to the engine
	checks   []triage.CheckStatus
	balances []triage.BalanceStatus
	addrs    []netip.Addr
	bindErr  error
}

func (w *world) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// heard returns what was told since the last call.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

// roster is the only group that the engine was given.
func (w *world) roster() triage.Roster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.given[0]
}

type (
	worldEngine    struct{ *world }
	worldTable     struct{ *world }
	worldListeners struct{ *world }
	worldResolver  struct{ *world }
)

func (w worldEngine) Set(rosters []triage.Roster) {
	w.tell("engine")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.given = rosters
}

func (w worldEngine) Snapshot(triage.GroupName) []triage.CheckStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.checks)
}

func (w worldTable) Publish([]triage.Roster) { w.tell("table") }

func (w worldTable) Snapshot(triage.GroupName) []triage.BalanceStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.balances)
}

func (w worldListeners) Prepare([]triage.Listener) (commit, abort func(), err error) {
	w.mu.Lock()
	err = w.bindErr
	w.mu.Unlock()
	w.tell("prepare")
	return func() { w.tell("commit") }, func() { w.tell("abort") }, err
}

func (w worldResolver) Set(names []string, _ time.Duration) { w.tell("names %v", names) }

func (w worldResolver) Lookup(name string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.addrs) == 0 {
		return nil, fmt.Errorf("lookup %s: no such host", name)
	}
	return w.addrs, nil
}

// logBook collects log lines; several goroutines may write.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type running struct {
	*Control
	*world
	path string
	log  *logBook
	stop func() error
}

// start runs a control over a config file with this text, until the test ends.
func start(t *testing.T, text string) running {
	t.Helper()
	r := running{world: &world{}, log: &logBook{}, path: filepath.Join(t.TempDir(), "triage.yaml")}
	write(t, r.path, text)
	c, err := New(Config{
		Path: r.path, Getenv: env, Version: "v1", Log: r.log.logger(),
		Explain: func(x *triage.Exchange) *triage.Diagnosis {
			return &triage.Diagnosis{Code: "test", Cause: fmt.Sprintf("the server says %d", x.Status)}
		},
		Engine: worldEngine{r.world}, Table: worldTable{r.world}, Listeners: worldListeners{r.world}, Resolver: worldResolver{r.world},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Control = c
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-c.Started():
	case <-time.After(10 * time.Second):
		t.Fatal("control does not start")
	}
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

func TestStartAppliesTheConfig(t *testing.T) {
	r := start(t, app)
	equal(t, "order", r.heard(), []string{"prepare", "names [db.internal]", "table", "commit", "table", "engine"})
	roster := r.roster()
	if !roster.Routed || !roster.Policy.Admin.IsValid() || len(roster.Members) != 3 {
		t.Fatalf("got %+v", roster)
	}
	if m := roster.Members[2]; m.Key.Address.IsValid() || m.Unresolved != "lookup db.internal: no such host" || m.Weight != 1 {
		t.Errorf("the name without an address is %+v", m)
	}
}

// TestNeverHalfAStart: a listener that cannot be bound ends Run before anything else was touched.
func TestNeverHalfAStart(t *testing.T) {
	w := &world{bindErr: &triage.Error{Kind: triage.KindUnavailable, Message: "listen 127.0.0.1:8080: address in use", Hint: "stop the other one"}}
	path := filepath.Join(t.TempDir(), "triage.yaml")
	write(t, path, app)
	c, err := New(Config{Path: path, Getenv: env, Engine: worldEngine{w}, Table: worldTable{w}, Listeners: worldListeners{w}, Resolver: worldResolver{w}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	if err == nil || err.Error() != path+":3: listen 127.0.0.1:8080: address in use" || triage.HintOf(err) != "stop the other one" || triage.KindOf(err) != triage.KindUnavailable {
		t.Errorf("got %v", err)
	}
	equal(t, "touched", w.heard(), []string{"prepare"})
	if _, err := c.Reload(t.Context()); triage.KindOf(err) != triage.KindUnavailable {
		t.Errorf("a reload after the end: %v", err)
	}
	if s := c.Status(t.Context()); len(s.Listeners) != 1 {
		t.Errorf("status after the end: %+v", s)
	}
}

// TestMarkIsNoEndlessConflict: an editor saved the file with a byte order mark. After a reload it is not "changed on
// disk" any more.
func TestMarkIsNoEndlessConflict(t *testing.T) {
	r := start(t, app)
	write(t, r.path, "\ufeff"+app)
	if _, err := r.Drain(t.Context(), "app", "127.0.0.1:8001", true); triage.KindOf(err) != triage.KindConflict {
		t.Errorf("before a reload: %v", err)
	}
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Drain(t.Context(), "app", "127.0.0.1:8001", true); err != nil {
		t.Errorf("after a reload: %v (%s)", err, triage.HintOf(err))
	}
}

// TestListenerMovesBetweenGroups: until the listener has moved, requests ask for the old group, so it must still
// be in the table.
func TestListenerMovesBetweenGroups(t *testing.T) {
	old := []triage.Roster{{Group: triage.Group{Name: "old"}, Routed: true}, {Group: triage.Group{Name: "both"}, Routed: true}}
	now := []triage.Roster{{Group: triage.Group{Name: "both"}}, {Group: triage.Group{Name: "new"}, Routed: true}}
	names := map[triage.GroupName]bool{}
	for _, r := range together(old, now) {
		names[r.Name] = r.Routed
	}
	if len(names) != 3 || !names["old"] || !names["both"] || !names["new"] {
		t.Errorf("reached in between: %v", names)
	}
	if now[0].Routed {
		t.Error("the new rosters were written to")
	}
}

func TestReload(t *testing.T) {
	r := start(t, app)
	r.heard()
	result, err := r.Reload(t.Context())
	if err != nil || result.Changed {
		t.Errorf("nothing changed: %+v %v", result, err)
	}
	write(t, r.path, strings.Replace(app, "      - 127.0.0.1:8002\n", "", 1))
	if result, err = r.Reload(t.Context()); err != nil || !result.Changed || result.File != r.path {
		t.Errorf("got %+v %v", result, err)
	}
	equal(t, "order", r.heard(), []string{"prepare", "names [db.internal]", "table", "commit", "table", "engine"})
	if n := len(r.roster().Members); n != 2 {
		t.Errorf("%d members", n)
	}
	if last := r.log.lines(); !strings.Contains(last[len(last)-1], `changes="group app: 0 targets added, 1 removed, 0 changed"`) {
		t.Errorf("log: %q", last)
	}
}

// TestReloadKeepsTheOldConfig: whatever is wrong with a new file, nothing is touched.
func TestReloadKeepsTheOldConfig(t *testing.T) {
	r := start(t, app)
	for name, text := range map[string]string{
		"broken":  "groups: [",
		"invalid": strings.Replace(app, "protocol: http", "protocol: htpp", 1),
		"admin":   app + "admin: {listen: 127.0.0.1:7399}\n",
	} {
		r.heard()
		write(t, r.path, text)
		if _, err := r.Reload(t.Context()); triage.KindOf(err) != triage.KindInvalid || !strings.HasPrefix(err.Error(), r.path+":") {
			t.Errorf("%s: %v", name, err)
		}
		equal(t, name, r.heard(), nil)
	}
	write(t, r.path, strings.Replace(app, "8080", "8081", 1))
	r.mu.Lock()
	r.bindErr = errors.New("listen tcp 127.0.0.1:8081: bind: in use")
	r.mu.Unlock()
	if _, err := r.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), r.path+":3: ") {
		t.Errorf("bind: %v", err)
	}
	equal(t, "bind", r.heard(), []string{"prepare"})
	if s := r.Status(t.Context()); s.Listeners[0].Listen != "127.0.0.1:8080" {
		t.Errorf("the status shows %s", s.Listeners[0].Listen)
	}
}

func TestEditReachesTheFileAndTheParts(t *testing.T) {
	r := start(t, app)
	r.heard()
	path := "/health_check"
	result, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &path})
	if err != nil || !result.Changed || result.File != r.path {
		t.Fatalf("got %+v %v", result, err)
	}
	want := app + "      path: /health_check\n"
	if got := content(t, r.path); got != want {
		t.Errorf("the file:\n%s", got)
	}
	if want := fmt.Sprintf("--- %s\n+++ %s\n@@ -9,3 +9,4 @@\n       - db.internal:8003\n     health_check:\n       protocol: http\n+      path: /health_check\n", r.path, r.path); result.Diff != want {
		t.Errorf("the diff:\n%s", result.Diff)
	}
	equal(t, "order", r.heard(), []string{"names [db.internal]", "table", "engine"})
	if got := r.roster().HealthCheck.Path; got != path {
		t.Errorf("the engine checks %q", got)
	}
	if result, err = r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &path}); err != nil || result.Changed || result.Diff != "" {
		t.Errorf("the same again: %+v %v", result, err)
	}
	equal(t, "the same again", r.heard(), nil)
	if result, err := r.Drain(t.Context(), "app", "127.0.0.1:8001", true); err != nil || !result.Changed || r.roster().Members[0].Person != triage.PersonDrained {
		t.Errorf("drain: %+v %v", result, err)
	}
	if !strings.Contains(content(t, r.path), "      - {address: 127.0.0.1:8001, drain: true} # one\n") {
		t.Errorf("the file:\n%s", content(t, r.path))
	}
}

func TestRefusedEdits(t *testing.T) {
	r := start(t, app)
	r.heard()
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name string
		edit func() (EditResult, error)
		kind triage.Kind
		says string
	}{
		{"group", func() (EditResult, error) { return r.RemoveTarget(t.Context(), "apps", "a:1") }, triage.KindNotFound, `there is no group "apps"`},
		{"target", func() (EditResult, error) { return r.RemoveTarget(t.Context(), "app", "a:1") }, triage.KindNotFound, `group "app" has no target a:1`},
		{"drain", func() (EditResult, error) { return r.Drain(t.Context(), "app", "a:1", true) }, triage.KindNotFound, "no target"},
		{"address", func() (EditResult, error) { return r.AddTarget(t.Context(), "app", triage.Target{ID: "a"}) }, triage.KindInvalid, "no port"},
		{"twice", func() (EditResult, error) {
			return r.AddTarget(t.Context(), "app", triage.Target{ID: "127.0.0.1:8001", Weight: 3})
		}, triage.KindConflict, "already"},
		{"metadata", func() (EditResult, error) {
			return r.AddTarget(t.Context(), "app", triage.Target{ID: "169.254.169.254:80"})
		}, triage.KindInvalid, "link-local"},
		{"value", func() (EditResult, error) {
			return r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Protocol: text("htpp")})
		}, triage.KindInvalid, "unknown protocol"},
		{"range", func() (EditResult, error) {
			return r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Timeout: text("9s")})
		}, triage.KindInvalid, "below the interval"},
		{"bytes", func() (EditResult, error) {
			return r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: text("/\xff")})
		}, triage.KindInvalid, "UTF-8"},
	} {
		result, err := c.edit()
		if err == nil || triage.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || result.Changed {
			t.Errorf("%s: %v (%s)", c.name, err, triage.KindOf(err))
		}
	}
	if got := content(t, r.path); got != app {
		t.Errorf("the file:\n%s", got)
	}
	equal(t, "told", r.heard(), nil)
}

// TestEditsNeverNameVariables: an edit's text is text. What comes over the admin address must not read the
// environment of the balancer.
func TestEditsNeverNameVariables(t *testing.T) {
	r := start(t, app)
	path := "/${HOST}"
	if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &path}); err != nil {
		t.Fatal(err)
	}
	if got := r.roster().HealthCheck.Path; got != path {
		t.Errorf("the path is %q", got)
	}
}

func TestEditOfAFileThatChangedOnDisk(t *testing.T) {
	r := start(t, app)
	add := func() error {
		_, err := r.AddTarget(t.Context(), "app", triage.Target{ID: "127.0.0.1:8009"})
		return err
	}
	write(t, r.path, strings.Replace(app, ":8002", ":8004", 1))
	if err := add(); triage.KindOf(err) != triage.KindConflict || !strings.HasPrefix(err.Error(), r.path+":8: ") || !strings.Contains(triage.HintOf(err), "triage reload") {
		t.Errorf("changed: %v (%s)", err, triage.HintOf(err))
	}
	write(t, r.path, "groups:\n  - name: [\n")
	if err := add(); triage.KindOf(err) != triage.KindConflict || !strings.Contains(err.Error(), r.path+":2: not valid YAML") {
		t.Errorf("broken: %v", err)
	}
	if got := content(t, r.path); got != "groups:\n  - name: [\n" {
		t.Errorf("the person's file became %q", got)
	}
	write(t, r.path, app)
	if err := add(); err != nil {
		t.Errorf("changed back: %v", err)
	}
}

func TestNewAddressesReachTheParts(t *testing.T) {
	r := start(t, app)
	r.heard()
	r.mu.Lock()
	r.addrs = []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.1")}
	r.mu.Unlock()
	r.Resolved()
	eventually(t, "new members", func() bool { return len(r.Status(t.Context()).Groups[0].Targets) == 4 })
	equal(t, "told", r.heard(), []string{"table", "engine"})
	if got := r.roster().Members[3].Key.String(); got != "db.internal:8003 (10.0.0.2:8003)" {
		t.Errorf("the last member is %s", got)
	}
	r.Resolved() // and nothing new
	r.Status(t.Context())
	r.Status(t.Context())
	equal(t, "told again", r.heard(), nil)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestStatus(t *testing.T) {
	r := start(t, app)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	key := func(id triage.TargetID) triage.Key {
		ap, _ := id.AddrPort()
		return triage.Key{Group: "app", Target: id, Address: ap}
	}
	sick := triage.Health{State: triage.Unhealthy, Outcome: triage.CodeMismatch, Status: 301, Streak: 1, Since: now}
	x := &triage.Exchange{Key: key("127.0.0.1:8001"), Started: now, Took: 1500 * time.Microsecond, Status: 301, Outcome: triage.CodeMismatch}
	r.mu.Lock()
	r.checks = []triage.CheckStatus{{Key: key("127.0.0.1:8001"), Health: sick, Doubted: true, HeldUntil: now.Add(time.Minute), Return: 2,
		Last: triage.LastCheck{Started: x.Started, Took: x.Took, Status: x.Status, Outcome: x.Outcome}}}
	r.balances = []triage.BalanceStatus{
		{Key: key("127.0.0.1:8001"), State: triage.Unhealthy, Reason: triage.ResponseCodeMismatch, Requests: 7},
		{Key: key("127.0.0.1:8000"), State: triage.Draining, Reason: triage.DeregistrationInProgress, Registration: triage.Deregistered, InFlight: 3},
	}
	r.mu.Unlock()
	r.Observe([]triage.Transition{{Key: key("127.0.0.1:8001"), To: sick, Source: triage.FromCheck, At: now, Evidence: x}})
	eventually(t, "a diagnosis", func() bool { return r.Status(t.Context()).Groups[0].Targets[0].Diagnosis != nil })
	s := r.Status(t.Context())
	if s.Schema != "triage.status/1" || s.Version != "v1" || s.Config != r.path || s.Draining || s.Listeners[0].Forward != "app" {
		t.Errorf("got %+v", s)
	}
	g := s.Groups[0]
	if want := (Prediction{Detect: Span{"5s", "12s"}, Recover: Span{"5s", "12s"}}); g.Prediction != want || g.Together != nil {
		t.Errorf("the check's settings lead to %+v; together: %+v", g.Prediction, g.Together)
	}
	if len(g.Targets) != 4 || !g.FailingOpen {
		t.Fatalf("got %+v", g)
	}
	if want := (HealthCheckView{Protocol: "http", Port: "traffic-port", Path: "/", SuccessCodes: "200", Interval: "5s", Timeout: "2s", HealthyThreshold: 2, UnhealthyThreshold: 2}); g.HealthCheck != want {
		t.Errorf("got %+v", g.HealthCheck)
	}
	if got, want := jsonOf(t, g.Targets[0]), `{"target":"127.0.0.1:8001","address":"127.0.0.1:8001","weight":1,"state":"unhealthy","reason":"Target.ResponseCodeMismatch",`+
		`"description":"Health checks failed with these codes: [301]","since":"2026-01-02T03:04:05Z","streak":1,"held_until":"2026-01-02T03:05:05Z","return":2,"trusted":false,"in_flight":0,"requests":7,`+
		`"last_check":{"at":"2026-01-02T03:04:05Z","took_ms":1.5,"outcome":"code-mismatch","status":301},`+
		`"diagnosis":{"code":"test","title":"","stage":"","cause":"the server says 301","proof":"","fix":"","wrong_fix":"","evidence":null,"certainty":"","candidates":null,"decides":null,"asked":null}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if unknown := g.Targets[1]; unknown.State != triage.Initial || unknown.Reason != triage.InitialHealthChecking || !unknown.Trusted {
		t.Errorf("a target without a check is %+v", unknown)
	}
	if gone := g.Targets[3]; gone.Target != "127.0.0.1:8000" || gone.State != triage.Draining || gone.InFlight != 3 {
		t.Errorf("the removed target is %+v", gone)
	}
	r.Stopping()
	if !r.Status(t.Context()).Draining {
		t.Error("the balancer stops and does not say so")
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestManyCallers is for the race detector: everything at once, from everywhere.
func TestManyCallers(t *testing.T) {
	r := start(t, app)
	var callers sync.WaitGroup
	key := triage.Key{Group: "app", Target: "127.0.0.1:8001", Address: netip.MustParseAddrPort("127.0.0.1:8001")}
	for i := range 8 {
		callers.Go(func() {
			id := triage.TargetID(fmt.Sprintf("127.0.0.1:90%02d", i))
			for range 5 {
				if _, err := r.AddTarget(t.Context(), "app", triage.Target{ID: id}); err != nil {
					t.Error(err)
				}
				r.Observe([]triage.Transition{{Key: key, To: triage.Health{State: triage.Unhealthy, Outcome: triage.Refused}, Evidence: &triage.Exchange{}}})
				r.Resolved()
				r.Status(t.Context())
				if _, err := r.Reload(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := r.RemoveTarget(t.Context(), "app", id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if got := content(t, r.path); got != app {
		t.Errorf("after all that:\n%s", got)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if s := r.Status(t.Context()); len(s.Groups) != 1 || !s.Draining {
		t.Errorf("status after the end: %+v", s)
	}
}

func TestCallersThatGiveUp(t *testing.T) {
	c := &Control{requests: make(chan func()), stopped: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Reload(ctx); triage.KindOf(err) != triage.KindUnavailable || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s := c.Status(ctx); s.Schema != "triage.status/1" || s.Groups == nil {
		t.Errorf("got %+v", s)
	}
}
