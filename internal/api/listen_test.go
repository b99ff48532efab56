package api

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// wantError fails the test unless err is of the kind and its message and hint hold the texts.
func wantError(t *testing.T, err error, kind triage.Kind, message, hint string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if triage.KindOf(err) != kind || !strings.Contains(err.Error(), message) || !strings.Contains(triage.HintOf(err), hint) {
		t.Errorf("got %s: %s\nhint: %s", triage.KindOf(err), err, triage.HintOf(err))
	}
}

func TestListenRefuses(t *testing.T) {
	first, _ := start(t, Config{})
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, address string
		kind          triage.Kind
		message, hint string
	}{
		{"taken", first.cfg.Address, triage.KindConflict, "admin address " + first.cfg.Address + " is taken", "triage status --admin " + first.cfg.Address},
		{"every address", "0.0.0.0:7380", triage.KindInvalid, "not a loopback address", "admin.listen"},
		{"address of the network", "10.0.0.5:7380", triage.KindInvalid, "not a loopback address", "admin.listen"},
		{"no port", "127.0.0.1", triage.KindInvalid, "has no port", "admin.listen"},
		{"no folder", "unix:" + dir + "/none/admin.sock", triage.KindInvalid, "the folder " + dir + "/none does not exist", "make the folder"},
		{"not a socket", "unix:" + file, triage.KindConflict, file + " is there and is not a socket", "move it away"},
		{"path too long", "unix:/" + strings.Repeat("x", 200), triage.KindInvalid, "longer than", "shorter"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, New(Config{Address: tt.address, Control: &recorder{}}).Listen(), tt.kind, tt.message, tt.hint)
		})
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file that is not a socket was touched: %q, %v", b, err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	address := "unix:" + path

	// What a process leaves that was killed: a socket's file that nobody listens on.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}

	s := New(Config{Address: address, Control: &recorder{}})
	if err := s.Listen(); err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != fs.ModeSocket {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if err := client(t, address).Ready(t.Context()); err != nil {
		t.Error(err)
	}
	wantError(t, New(Config{Address: address, Control: &recorder{}}).Listen(), triage.KindConflict, "is taken", "triage status --admin unix:")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file is still there: %v", err)
	}
	_, err = client(t, address).Status(t.Context(), "")
	wantError(t, err, triage.KindUnavailable, "no balancer answers at "+address+": there is no such socket", "--admin OLD, where it still answers")
}

// TestStopFinishesRequests stops the server while an edit runs: its answer still comes.
func TestStopFinishesRequests(t *testing.T) {
	held := &recorder{hold: make(chan struct{})}
	s := New(Config{Address: freeAddress(t), Control: held})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	answered := make(chan error, 1)
	go func() {
		_, err := client(t, s.cfg.Address).Reload(t.Context())
		answered <- err
	}()
	for held.last() == "" {
		if len(answered) > 0 {
			t.Fatal(<-answered)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	close(held.hold)
	if err := <-answered; err != nil {
		t.Errorf("the edit that ran: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestClientErrors(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // a client that asked it would fail
	t.Run("nobody listens", func(t *testing.T) {
		address := freeAddress(t)
		_, err := client(t, address).Status(t.Context(), "")
		wantError(t, err, triage.KindUnavailable, "no balancer answers at "+address+": the connection is refused", "is triage serve running? --admin, TRIAGE_ADMIN or -c FILE say where")
	})
	t.Run("another user's socket", func(t *testing.T) {
		c := client(t, "unix:/run/triage/admin.sock")
		err := c.unanswered(t.Context(), time.Second, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)})
		wantError(t, err, triage.KindUnavailable, "no balancer answers at unix:/run/triage/admin.sock: you may not use this socket", "run it as the socket's owner or as root")
	})
	t.Run("empty names", func(t *testing.T) {
		c := client(t, freeAddress(t)) // asked, nobody would answer
		_, err := c.SetHealthCheck(t.Context(), "", control.HealthCheckEdit{})
		wantError(t, err, triage.KindInvalid, "the group's name is empty", "triage status")
		_, err = c.Drain(t.Context(), "app", "", true)
		wantError(t, err, triage.KindInvalid, "the target's address is empty", "triage status")
	})
	t.Run("something else listens", func(t *testing.T) {
		other := httptest.NewServer(http.NotFoundHandler())
		defer other.Close()
		address := strings.TrimPrefix(other.URL, "http://")
		_, err := client(t, address).Status(t.Context(), "")
		wantError(t, err, triage.KindUnavailable, "what answers at "+address+" is not a triage", "")
	})
	t.Run("redirect is not followed", func(t *testing.T) {
		var asked []string
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Path)
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}))
		defer other.Close()
		_, err := client(t, strings.TrimPrefix(other.URL, "http://")).Status(t.Context(), "")
		wantError(t, err, triage.KindUnavailable, "is not a triage", "")
		if len(asked) != 1 {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := client(t, freeAddress(t)).Status(ctx, ""); err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("bad address", func(t *testing.T) {
		_, err := NewClient("10.0.0.5:7380")
		wantError(t, err, triage.KindInvalid, "not a loopback address", "ssh -L")
		_, err = NewClient("localhost")
		wantError(t, err, triage.KindInvalid, "has no port: write localhost:7380", "")
	})
}
