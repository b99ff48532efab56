package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/proxy"
)

// TestClientThatReadsNothing: whoever makes the answer, a client that does not take it is cut off, and its requests
// do not stay for ever.
func TestClientThatReadsNothing(t *testing.T) {
	const short = 100 * time.Millisecond
	for what, o := range map[string]options{
		"our own answer": {
			group:  func(r *triage.Roster) { r.Members = nil },
			config: func(c *proxy.Config) { c.ClientIdle = short },
		},
		"an answer made in front": {config: func(c *proxy.Config) {
			c.ClientIdle = short
			c.Wrap = func(http.Handler) http.Handler { return name("no") }
		}},
		"the last bytes of a target's answer": {group: func(r *triage.Roster) { r.IdleTimeout = short }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			config := o.config
			o.config = func(c *proxy.Config) {
				c.ShutdownTimeout = time.Hour // a running request is waited for
				if config != nil {
					config(c)
				}
			}
			r := start(t, o, target(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "3000") // fits into what net/http's server holds back
				_, _ = w.Write(make([]byte, 3000))
			}))
			c := r.dial()
			_ = c.SetWriteDeadline(time.Now().Add(time.Second)) // by which nothing fits in any more
			requests := strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1000)
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, requests)
			}
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				r.stop() // waits for the request that runs
			}()
			select {
			case <-stopped:
			case <-time.After(patience):
				t.Error("still served")
			}
		})
	}
}

// TestHeadHasATime: a client that drips its head must not keep a connection for ever. Waiting for it would take long.
func TestHeadHasATime(t *testing.T) {
	r := start(t, options{})
	if d := proxy.HeadTimeout(r.proxy, "web"); d <= 0 || d > 10*time.Second {
		t.Errorf("%v", d)
	}
}

// TestClientsFaultIsNotTheTargets: what net/http refuses to send on is the client's fault.
func TestClientsFaultIsNotTheTargets(t *testing.T) {
	r := start(t, options{}, target(t, name("ok")))
	got := r.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: foo bar\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 400 ") || r.suspected() != 0 {
		t.Errorf("suspected %d times, answered %q", r.suspected(), got)
	}
}

// TestUnaskedSwitchWhileTheClientSends: a target that switches protocols unasked ends the exchange at once, though the
// client is still busy with its content.
func TestUnaskedSwitchWhileTheClientSends(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	})
	r := start(t, options{group: func(r *triage.Roster) { r.IdleTimeout = time.Hour }}, addr)
	got := r.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nab")
	if !strings.HasPrefix(got, "HTTP/1.1 502 ") || r.suspected() != 1 {
		t.Errorf("suspected %d times, answered %q", r.suspected(), got)
	}
}

// TestRepeatOfEmptyChunks: the second try of a request whose content has ended waits for an answer, not for content.
func TestRepeatOfEmptyChunks(t *testing.T) {
	addr := rawTarget(t, func(n int, c net.Conn) {
		br := bufio.NewReader(c)
		_, _ = readHead(br)
		if n == 0 {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = readHead(br) // of the second request, and then it closes
			_, _ = readHead(br) // with its content read, else it would be a reset
			return
		}
		_, _ = io.Copy(io.Discard, br)
	})
	r := start(t, options{group: func(r *triage.Roster) {
		r.ResponseTimeout, r.IdleTimeout = 200*time.Millisecond, time.Hour
	}}, addr)
	if status, _ := r.get(client(t), "/"); status != 200 {
		t.Fatal(status)
	}
	if got := r.say("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 504 ") {
		t.Errorf("answered %q", got)
	}
}

// TestTargetIsOurselves: a request must not go round until no descriptor is left.
func TestTargetIsOurselves(t *testing.T) {
	for _, wildcard := range []string{"127.0.0.1", "0.0.0.0", ""} {
		own := nobody(t)
		_, port, _ := net.SplitHostPort(own)
		r := start(t, options{listen: net.JoinHostPort(wildcard, port)}, own)
		r.addr = own
		if status, _ := r.get(client(t), "/"); status != 502 {
			t.Errorf("listening on %s: %d", net.JoinHostPort(wildcard, port), status)
		}
		if n := r.table.Snapshot("app")[0].Requests; n != 1 {
			t.Errorf("listening on %s: %d requests", net.JoinHostPort(wildcard, port), n)
		}
		r.stop()
	}
}

// TestTargetOnOurPort: another address with a listener's port is another server.
func TestTargetOnOurPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	s := &http.Server{Handler: name("other")}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r := start(t, options{listen: "127.0.0.1:" + port}, l.Addr().String())
	if status, body := r.get(client(t), "/"); status != 200 || body != "other" {
		t.Errorf("%d %q", status, body)
	}
}
