package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Control = (*control.Control)(nil)

// recorder is a Control that writes down what it was asked and answers what the test wants.
type recorder struct {
	status control.Status
	err    error         // of every edit
	hold   chan struct{} // not nil: edits wait for it to be closed

	mu    sync.Mutex
	calls []string // guarded by mu
}

func (r *recorder) note(format string, args ...any) error {
	r.mu.Lock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
	r.mu.Unlock()
	if r.hold != nil {
		<-r.hold
	}
	return r.err
}

// last returns the newest call and forgets all.
func (r *recorder) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) == 0 {
		return ""
	}
	last := r.calls[len(r.calls)-1]
	r.calls = nil
	return last
}

var edited = control.EditResult{Changed: true, File: "triage.yaml", Diff: "-a\n+b\n", Warnings: []string{"triage.yaml:3: doubtful"}}

func (r *recorder) Status(context.Context) control.Status { return r.status }

func (r *recorder) Reload(context.Context) (control.ReloadResult, error) {
	return control.ReloadResult{Changed: true, File: "triage.yaml"}, r.note("reload")
}

func (r *recorder) SetHealthCheck(_ context.Context, g triage.GroupName, e control.HealthCheckEdit) (control.EditResult, error) {
	path, healthy := "-", 0
	if e.Path != nil {
		path = *e.Path
	}
	if e.HealthyThreshold != nil {
		healthy = *e.HealthyThreshold
	}
	return edited, r.note("set %s path=%s healthy=%d protocol=%t", g, path, healthy, e.Protocol != nil)
}

func (r *recorder) AddTarget(_ context.Context, g triage.GroupName, t triage.Target) (control.EditResult, error) {
	return edited, r.note("add %s %s weight=%d", g, t.ID, t.Weight)
}

func (r *recorder) RemoveTarget(_ context.Context, g triage.GroupName, id triage.TargetID) (control.EditResult, error) {
	return edited, r.note("remove %s %s", g, id)
}

func (r *recorder) Drain(_ context.Context, g triage.GroupName, id triage.TargetID, drain bool) (control.EditResult, error) {
	return edited, r.note("drain %s %s %t", g, id, drain)
}

// freeAddress returns a loopback address whose port was free a moment ago: an admin address has a fixed port.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// counted answers scrapes with the groups and metrics that they name. There is a group app, and no metric dwn.
func counted(targets []triage.GroupName, names []string) (http.Handler, error) {
	if slices.Contains(names, "dwn") {
		return nil, &triage.Error{Kind: triage.KindNotFound, Message: `there is no metric "dwn"`}
	}
	for _, g := range targets {
		if g != "app" {
			return nil, &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("there is no group %q", g), Hint: "did you mean app?"}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "targets %v of %s, asked for %s\n", targets, names, r.URL.Query()["name[]"])
	}), nil
}

// start runs a server until the test ends, and returns it with its control. cfg.Control and cfg.Metrics are set here.
func start(t *testing.T, cfg Config) (*Server, *recorder) {
	t.Helper()
	control := &recorder{status: twoGroups()}
	cfg.Control, cfg.Log = control, slog.New(slog.DiscardHandler)
	cfg.Metrics = counted
	if cfg.Address == "" {
		cfg.Address = freeAddress(t)
	}
	s := New(cfg)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, control
}

func twoGroups() control.Status {
	since := time.Date(2026, 11, 22, 14, 2, 0, 0, time.UTC)
	return control.Status{
		Schema: "triage.status/1", Version: "test", Config: "triage.yaml", Since: since,
		Listeners: []control.ListenerStatus{
			{Name: "web", Listen: "127.0.0.1:8080", Protocol: triage.HTTP, Forward: "app"},
			{Name: "inner", Listen: "127.0.0.1:8081", Protocol: triage.HTTP, Forward: "api"},
		},
		Groups: []control.GroupStatus{
			{Name: "app", Targets: []control.TargetStatus{{
				Target: "127.0.1.13:80", Address: "127.0.1.13:80", Weight: 1, State: triage.Unhealthy, Reason: triage.ResponseCodeMismatch,
				Since: &since, Trusted: true,
				LastCheck: &control.CheckView{At: since, Took: 2, Outcome: triage.CodeMismatch, Status: 301},
			}}},
			{Name: "api", Targets: []control.TargetStatus{}},
		},
	}
}

func client(t *testing.T, address string) *Client {
	t.Helper()
	c, err := NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ptr[T any](v T) *T { return &v }

// TestClientAsksControl plays every call of the client, over TCP and over a unix socket.
func TestClientAsksControl(t *testing.T) {
	for _, address := range []string{"", "unix:" + filepath.Join(t.TempDir(), "admin.sock")} {
		s, control := start(t, Config{Address: address})
		c := client(t, s.cfg.Address)
		for _, tt := range clientCalls {
			t.Run(s.Addr().Network()+" "+tt.name, func(t *testing.T) {
				got, err := tt.call(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Changed || got.File != "triage.yaml" {
					t.Errorf("answer %+v", got)
				}
				if asked := control.last(); asked != tt.asked {
					t.Errorf("control was asked %q, want %q", asked, tt.asked)
				}
			})
		}
	}
}

var clientCalls = []struct {
	name, asked string
	call        func(ctx context.Context, c *Client) (control.EditResult, error)
}{
	{"reload", "reload", func(ctx context.Context, c *Client) (control.EditResult, error) {
		r, err := c.Reload(ctx)
		return control.EditResult{Changed: r.Changed, File: r.File}, err
	}},
	{"set", "set app path=/health_check healthy=3 protocol=false", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.SetHealthCheck(ctx, "app", control.HealthCheckEdit{Path: ptr("/health_check"), HealthyThreshold: ptr(3)})
	}},
	{"add", "add app 127.0.1.14:80 weight=0", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.AddTarget(ctx, "app", triage.Target{ID: "127.0.1.14:80"})
	}},
	{"add weighted", "add app app.internal:80 weight=7", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.AddTarget(ctx, "app", triage.Target{ID: "app.internal:80", Weight: 7})
	}},
	{"remove IPv6", "remove app [fe80::1%lo]:8000", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.RemoveTarget(ctx, "app", "[fe80::1%lo]:8000")
	}},
	{"drain", "drain app [::1]:8000 true", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.Drain(ctx, "app", "[::1]:8000", true)
	}},
	{"undrain", "drain a/b? 127.0.1.11:8000 false", func(ctx context.Context, c *Client) (control.EditResult, error) {
		return c.Drain(ctx, "a/b?", "127.0.1.11:8000", false)
	}},
}

func TestStatus(t *testing.T) {
	s, _ := start(t, Config{})
	c := client(t, s.cfg.Address)
	whole, err := c.Status(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Groups) != 2 || len(whole.Listeners) != 2 || whole.Groups[0].Name != "app" {
		t.Errorf("whole status: %+v", whole)
	}
	target := whole.Groups[0].Targets[0]
	if target.State != triage.Unhealthy || target.LastCheck.Outcome != triage.CodeMismatch || !target.Since.Equal(whole.Since) {
		t.Errorf("target came back as %+v", target)
	}
	part, err := c.Status(t.Context(), "api")
	if err != nil {
		t.Fatal(err)
	}
	if len(part.Groups) != 1 || part.Groups[0].Name != "api" || len(part.Listeners) != 1 || part.Listeners[0].Name != "inner" {
		t.Errorf("status of api: %+v", part)
	}
	_, err = c.Status(t.Context(), "apo")
	if triage.KindOf(err) != triage.KindNotFound || triage.HintOf(err) != "did you mean app?" {
		t.Errorf("unknown group: %v (%s), hint %q", err, triage.KindOf(err), triage.HintOf(err))
	}
}

// TestErrorsCrossTheWire sends every kind of error from control to the client.
func TestErrorsCrossTheWire(t *testing.T) {
	s, control := start(t, Config{})
	c := client(t, s.cfg.Address)
	for _, k := range kinds {
		sent := &triage.Error{Kind: k.kind, Message: "triage.yaml:3: wrong\ntriage.yaml:4: too", Hint: "do <this> & that", Err: errors.New("secret")}
		control.err = fmt.Errorf("context: %w", sent)
		_, err := c.Reload(t.Context())
		got, ok := errors.AsType[*triage.Error](err)
		if !ok || got.Kind != sent.Kind || got.Message != sent.Message || got.Hint != sent.Hint {
			t.Errorf("%s came back as %#v", k.kind, err)
		}
	}
	control.err = errors.New("secret of the process")
	_, err := c.Reload(t.Context())
	if triage.KindOf(err) != triage.KindInternal || err.Error() != "an internal error" {
		t.Errorf("an error that is not for people came back as %v", err)
	}
}

func TestReady(t *testing.T) {
	state := make(chan error, 1)
	s, _ := start(t, Config{Ready: func() error { return <-state }})
	c := client(t, s.cfg.Address)
	state <- errors.New("starting: 2 of 3 targets have no result yet")
	err := c.Ready(t.Context())
	if triage.KindOf(err) != triage.KindUnavailable || err.Error() != "the balancer at "+s.cfg.Address+" is not ready: starting: 2 of 3 targets have no result yet" {
		t.Errorf("not ready: %v", err)
	}
	state <- nil
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}
