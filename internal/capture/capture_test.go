package capture_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
	"github.com/triage-lb/triage/internal/dialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// listening is a running server and what it has recorded.
type listening struct {
	t       *testing.T
	server  *capture.Server
	records chan capture.Record
	stop    func() // stops it and waits
}

func listen(t *testing.T, cfg capture.Config) *listening {
	t.Helper()
	l := &listening{t: t, records: make(chan capture.Record, 1000)}
	if cfg.Addresses == nil {
		cfg.Addresses = []string{"127.0.0.1:0"}
	}
	cfg.OnRecord = func(r capture.Record) { l.records <- r }
	var err error
	if l.server, err = capture.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.server.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return after its context was done")
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *listening) dial() *net.TCPConn {
	l.t.Helper()
	c, err := net.Dial("tcp", l.server.Addresses()[0].String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// send dials, writes, and leaves the connection open.
func (l *listening) send(bytes string) *net.TCPConn {
	l.t.Helper()
	c := l.dial()
	if _, err := io.WriteString(c, bytes); err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *listening) record() capture.Record {
	l.t.Helper()
	select {
	case r := <-l.records:
		return r
	case <-time.After(patience):
		l.t.Fatal("nothing was recorded")
		return capture.Record{}
	}
}

func request(t *testing.T, name triage.Dialect, to netip.AddrPort) string {
	t.Helper()
	return string(dialect.Get(name).AppendRequest(nil, dialect.Question{Protocol: triage.HTTP, Address: to, Path: "/health_check"}))
}

func TestCountEndsRun(t *testing.T) {
	var records []capture.Record
	s, err := capture.Listen(capture.Config{
		Addresses: []string{"127.0.0.1:0", "localhost:0"},
		Count:     3,
		OnRecord:  func(r capture.Record) { records = append(records, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	idle, err := net.Dial("tcp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	for i := range 3 {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.Addresses()[i%2].String())
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Run did not return after its records")
	}
	if len(records) != 3 || records[2].ID != 3 {
		t.Errorf("%d records", len(records))
	}
	if _, err := net.Dial("tcp", s.Addresses()[0].String()); err == nil {
		t.Error("it still listens")
	}
}

func TestStopRecordsWhatCame(t *testing.T) {
	l := listen(t, capture.Config{Silence: time.Hour})
	l.dial() // says nothing, and nothing is said about it
	// The beginning of a second request comes together with the first, so it has been read once that is recorded.
	l.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n")
	if r := l.record(); r.Answered != 200 {
		t.Errorf("record %+v", r)
	}
	l.stop()
	if r := l.record(); r.End != capture.Stopped || string(r.Raw) != "GET / HTTP/1.1\r\n" || r.Answered != 0 {
		t.Errorf("record %+v", r)
	}
	if len(l.records) > 0 {
		t.Errorf("one more record: %+v", l.record())
	}
}

// TestMoreConnectionsThanSlots: those beyond the bound wait, and are served when others have gone.
func TestMoreConnectionsThanSlots(t *testing.T) {
	t.Parallel()
	l := listen(t, capture.Config{Silence: 200 * time.Millisecond})
	for range capture.MaxConnections + 5 {
		l.dial()
	}
	for range capture.MaxConnections + 5 {
		if r := l.record(); r.Kind != capture.Silence {
			t.Fatalf("record %+v", r)
		}
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name string
		cfg  capture.Config
		kind triage.Kind
		text string
	}{
		{"no port", capture.Config{Addresses: []string{"127.0.0.1"}}, triage.KindInvalid, "not an address and a port"},
		{"a bad port", capture.Config{Addresses: []string{":99999"}}, triage.KindInvalid, "0 to 65535"},
		{"a name", capture.Config{Addresses: []string{"mysite.com:80"}}, triage.KindInvalid, "not an address of this machine"},
		{"another's address", capture.Config{Addresses: []string{"192.0.2.1:8080"}}, triage.KindInvalid, "192.0.2.1:8080"},
		{"a port in use", capture.Config{Addresses: []string{"127.0.0.1:0", taken.Addr().String()}}, triage.KindConflict, "address already in use"},
		{"a status", capture.Config{Status: 100}, triage.KindInvalid, "status 100"},
		{"a count", capture.Config{Count: -1}, triage.KindInvalid, "count -1"},
		{"a time", capture.Config{Silence: -1}, triage.KindInvalid, "silence"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := capture.Listen(tt.cfg)
			if err == nil {
				s.Close()
			}
			if triage.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v of kind %s", err, triage.KindOf(err))
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for in, isRight := range map[string]func(netip.Addr) bool{
		"0":           netip.Addr.IsUnspecified,
		":0":          netip.Addr.IsUnspecified,
		"localhost:0": netip.Addr.Is4,
		"[::1]:0":     netip.Addr.Is6,
	} {
		t.Run(in, func(t *testing.T) {
			s, err := capture.Listen(capture.Config{Addresses: []string{in}})
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Skip("no IPv6 here")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := s.Addresses()[0]; !isRight(got.Addr()) || got.Port() == 0 {
				t.Errorf("it listens on %v", got)
			}
		})
	}
}
