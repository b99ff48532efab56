package guard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/guard"
	"github.com/triage-lb/triage/internal/resolve"
)

// TestWebSocketPasses through the whole policy, as a browser behind a load balancer opens one.
func TestWebSocketPasses(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("X-Forwarded-Proto") != "https" {
			http.Error(w, "no upgrade", http.StatusTeapot)
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := rw.ReadString('\n')
		fmt.Fprint(conn, "echo "+line)
	}, story())
	conn, err := net.Dial("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET /live HTTP/1.1\r\nHost: mysite.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Forwarded-Proto: https\r\n\r\n")
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// TestStopFinishesWhatRuns: a request that runs when the guard is told to stop gets its whole answer.
func TestStopFinishesWhatRuns(t *testing.T) {
	running, release := make(chan struct{}), make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		close(running)
		<-release
		_, _ = io.WriteString(w, "the whole answer")
	}, guard.Config{})
	var client sync.WaitGroup
	client.Go(func() {
		if answer, body := s.ask(t, get("/", "mysite.com")); answer.StatusCode != 200 || body != "the whole answer" {
			t.Errorf("%s %q", answer.Status, body)
		}
	})
	<-running
	s.tell()
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", s.addr.String())
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, func() string { return "it still accepts" })
	close(release)
	client.Wait()
	s.stop()
	s.log.want(t, "stopping")
	s.log.want(t, "stopped")
}

// TestUpstreamDown: the client gets 502 in words that it can understand, and the log says why, once.
func TestUpstreamDown(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	s := run(t, guard.Config{Upstream: triage.TargetID(closed.Listener.Addr().String())})
	for range 3 {
		answer, body := s.ask(t, get("/", "mysite.com"))
		if answer.StatusCode != http.StatusBadGateway || body != "triage: no connection to the upstream could be made\n" {
			t.Errorf("%s %q", answer.Status, body)
		}
	}
	upstream := "target=" + closed.Listener.Addr().String()
	if n := len(s.log.lines("level=WARN", "requests fail", upstream, "connection refused", "answered=502")); n != 1 {
		t.Errorf("%d lines:\n%s", n, s.log.lines())
	}
	s.stop()
	s.log.want(t, "requests fail", upstream, "again=2")
}

// names is a name service for one name.
type names struct {
	mu    sync.Mutex
	addrs []netip.Addr // guarded by mu
}

func (n *names) set(addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs = addrs
}

func (n *names) lookup(context.Context, string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: "app.internal", IsNotFound: true}
	}
	return n.addrs, nil
}

// TestUpstreamName: a name that does not resolve is 503 and no refused start; its addresses are followed.
func TestUpstreamName(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(echo))
	defer upstream.Close()
	var dns names
	var s *sidecar
	r := resolve.New(resolve.Config{
		LookupNetIP: dns.lookup,
		Every:       5 * time.Millisecond,
		OnChange:    func() { s.Resolved() },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	_, port, _ := net.SplitHostPort(upstream.Listener.Addr().String())
	s = run(t, guard.Config{Upstream: triage.TargetID("app.internal:" + port), Resolver: r})
	running.Go(func() { _ = r.Run(ctx) })

	s.log.want(t, "level=WARN", "does not resolve", "upstream=app.internal:"+port)
	answer, body := s.ask(t, get("/", "mysite.com"))
	if answer.StatusCode != http.StatusServiceUnavailable || body != "triage: the upstream's name does not resolve\n" {
		t.Errorf("unresolved: %s %q", answer.Status, body)
	}
	dns.set(netip.MustParseAddr("127.0.0.1"))
	s.log.want(t, "level=INFO", "resolved", "addresses=127.0.0.1:"+port)
	s.saw(t, get("/", "mysite.com"))

	// Of two addresses one refuses: no request suffers.
	dns.set(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.77"))
	s.log.want(t, "127.0.0.77:"+port)
	for range 4 {
		s.saw(t, get("/", "mysite.com"))
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	upstream := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(django)}}
	upstream.Start()
	defer upstream.Close()
	c := story()
	c.Listen, c.Upstream = "[::1]:0", triage.TargetID(l.Addr().String())
	s := run(t, c)
	got := s.saw(t, get("/health_check", s.addr.String()))
	if got.For != "::1" || got.Host != "mysite.com" {
		t.Errorf("%+v", got)
	}
}

// TestPolicyIsLogged: who reads the log at night sees what is admitted.
func TestPolicyIsLogged(t *testing.T) {
	s := start(t, django, story())
	s.log.want(t, "serving", "listen="+s.addr.String(), "upstream=127.0.0.1:")
	s.log.want(t, "policy: hosts", `allowed="mysite.com .example.org"`, "others=400")
	s.log.want(t, "policy: health path", "path=/health_check", "any IP address", "redirect=never", "upstream_host=mysite.com", "upstream_proto=https")
	s.log.want(t, "redirect=on")
	s.log.want(t, "believed", "127.0.0.0/8", "192.168.0.0/16", "fe80::/10")
	if lines := s.log.lines("level=WARN"); len(lines) > 0 {
		t.Error("the story's guard has nothing doubtful:", lines)
	}
}

func TestDoubtfulPolicies(t *testing.T) {
	for want, c := range map[string]guard.Config{
		"nothing is guarded":  {},
		"no --health-path":    {HTTPSRedirect: true},
		"everybody is truste": {HTTPSRedirect: true, HealthPath: "/up", Trusted: prefixes(t, "0.0.0.0/0")},
	} {
		start(t, echo, c).log.want(t, "level=WARN", want)
	}
	s := start(t, echo, guard.Config{HTTPSRedirect: true, Trusted: prefixes(t, "none")})
	s.log.want(t, "policy: every host is let through")
	s.log.want(t, "trusted=none")
}

func TestListenRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		listen, says string
		kind         triage.Kind
	}{
		{taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": the port is in use", triage.KindConflict},
		{"203.0.113.1:8080", "does not have the address", triage.KindInvalid},
		{"127.0.0.1:80", "no permission", triage.KindDenied},
	} {
		if os.Geteuid() == 0 && c.kind == triage.KindDenied {
			continue // root may
		}
		_, err := guard.Listen(guard.Config{Listen: c.listen, Upstream: "127.0.0.1:8000"})
		if triage.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "listener") || triage.HintOf(err) == "" {
			t.Errorf("%s: %s, %v (%s)", c.listen, triage.KindOf(err), err, triage.HintOf(err))
		}
	}
}
