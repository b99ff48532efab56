package capture_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// tapping is a running tap on the port of a server that answers nothing and what it has found.
type tapping struct {
	t       *testing.T
	address string
	tap     *capture.Tap
	records chan capture.Record
	lulls   chan capture.Lull
	stop    func()
}

func tapOn(t *testing.T, network, host string, cfg capture.TapConfig) *tapping {
	t.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	over := make(chan struct{})
	go func() { // the process that has the port
		defer close(over)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	tp := &tapping{t: t, address: l.Addr().String(), records: make(chan capture.Record, 100), lulls: make(chan capture.Lull, 100)}
	cfg.Address = fmt.Sprintf(":%d", l.Addr().(*net.TCPAddr).Port)
	cfg.OnRecord = func(r capture.Record) { tp.records <- r }
	cfg.OnLull = func(l capture.Lull) { tp.lulls <- l }
	if tp.tap, err = capture.OpenTap(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	tp.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		l.Close()
		<-over
	})
	if tp.tap.Blind() != nil {
		tp.tap.Close()
		cancel()
		l.Close()
		<-over
		t.Skipf("packets cannot be seen here: %v", tp.tap.Blind())
	}
	go func() { ended <- tp.tap.Run(ctx) }()
	return tp
}

// send sends pieces on a connection of their own, each in a packet, and closes it.
func (tp *tapping) send(pieces ...string) {
	tp.t.Helper()
	c, err := net.Dial("tcp", tp.address)
	if err != nil {
		tp.t.Fatal(err)
	}
	defer c.Close()
	for _, piece := range pieces {
		if _, err := io.WriteString(c, piece); err != nil { // TCP_NODELAY is Go's default
			tp.t.Fatal(err)
		}
	}
}

func (tp *tapping) record() capture.Record {
	tp.t.Helper()
	select {
	case r := <-tp.records:
		return r
	case <-time.After(patience):
		tp.t.Fatal("nothing was seen")
		return capture.Record{}
	}
}

// TestTapSeesChecks: on loopback, where each packet passes twice, each check is seen once, in IPv4 and IPv6.
func TestTapSeesChecks(t *testing.T) {
	for network, host := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"} {
		t.Run(network, func(t *testing.T) {
			tp := tapOn(t, network, host, capture.TapConfig{Path: "/mine"})
			defer tp.stop()
			const check = "GET /health HTTP/1.1\r\nHost: 10.0.1.5\r\nUser-Agent: kube-probe/1.31\r\n\r\n"
			tp.send("GET /visitor HTTP/1.1\r\nCookie: secret\r\n\r\n")
			tp.send(check[:20], check[20:40], check[40:])
			r := tp.record()
			if string(r.Raw) != check || r.Local.String() != tp.address || r.Sender == nil || len(r.Sender.Dialects) != 1 || r.Sender.Dialects[0] != triage.Kubelet ||
				len(r.Accepts) == 0 || r.Answered != 0 || r.ID != 1 || r.Kind != capture.HTTPRequest {
				t.Errorf("record %+v", r)
			}
			tp.send("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + check + check)
			for range 2 {
				if r := tp.record(); string(r.Raw) != check || r.Proxy == nil {
					t.Errorf("behind a PROXY header: %+v", r)
				}
			}
			tp.send("GET /mine?x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			if r := tp.record(); r.Request == nil || r.Request.Target != "/mine?x" || strings.Contains(string(r.Raw), "abc") {
				t.Errorf("the path: %+v", r)
			}
			tp.send()
			if r := tp.record(); r.Kind != capture.Empty || len(r.Remarks) == 0 {
				t.Errorf("a TCP check: %+v", r)
			}
			tp.stop()
			if n := len(tp.records); n > 0 {
				t.Errorf("%d records more than checks: %+v", n, <-tp.records)
			}
			if n := tp.tap.Others(); n != 1 {
				t.Errorf("%d others, not the one visitor", n)
			}
		})
	}
}

// TestTapLull: visitors are no checks.
func TestTapLull(t *testing.T) {
	tp := tapOn(t, "tcp4", "127.0.0.1", capture.TapConfig{Patience: 500 * time.Millisecond})
	defer tp.stop()
	tp.send("GET /visitor HTTP/1.1\r\nHost: a\r\n\r\n")
	tp.send("\x16\x03\x01\x00\x05hello")
	select {
	case l := <-tp.lulls:
		if l.Others != 2 || !l.Listening || !l.Packets || l.Knocking != 0 || l.For != 500*time.Millisecond {
			t.Errorf("lull %+v", l)
		}
	case <-time.After(patience):
		t.Fatal("nothing was said of the silence")
	}
}

func TestTapErrors(t *testing.T) {
	for _, cfg := range []capture.TapConfig{{Address: ":0"}, {Address: "mysite:80"}, {Address: ":80", Path: "x"}} {
		tap, err := capture.OpenTap(cfg)
		if err == nil {
			tap.Close()
		}
		if triage.KindOf(err) != triage.KindInvalid {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
