package engine

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/triage-lb/triage"
)

// TestEveryProtocol: both drivers carry what the sessions do beyond one request and one answer: acknowledgements in the
// middle of reading, a header before TLS, a source address.
func TestEveryProtocol(t *testing.T) {
	large := strings.Repeat("a page that is larger than what is read at once ", 4000)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, large) })
	http2 := func(secure bool) netip.AddrPort {
		s := httptest.NewUnstartedServer(page)
		s.Config.Protocols = &http.Protocols{}
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Config.Protocols.SetHTTP2(true)
		s.EnableHTTP2, s.Config.ErrorLog = true, log.New(io.Discard, "", 0)
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return netip.MustParseAddrPort(s.Listener.Addr().String())
	}
	service := health.NewServer()
	g := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(g, service)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { defer close(served); g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	grpcAt := netip.MustParseAddrPort(l.Addr().String())

	for name, c := range map[string]struct {
		at     netip.AddrPort
		change func(*triage.HealthCheck)
	}{
		"h2c":  {http2(false), func(c *triage.HealthCheck) { c.Protocol = triage.H2C }},
		"h2":   {http2(true), func(c *triage.HealthCheck) { c.Protocol = triage.H2 }},
		"grpc": {grpcAt, func(c *triage.HealthCheck) { c.Protocol = triage.GRPC }},
		"proxy": {introduced(t, "PROXY TCP4 127.0.0.8 127.0.0.1 "), func(c *triage.HealthCheck) {
			c.ProxyProtocol, c.Source = triage.ProxyV1, netip.MustParseAddr("127.0.0.8")
		}},
		"tcp": {introduced(t, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"), func(c *triage.HealthCheck) { c.Protocol, c.ProxyProtocol = triage.TCP, triage.ProxyV2 }},
	} {
		check := fastCheck()
		check.Interval, check.Timeout = 200*time.Millisecond, 5*time.Second
		check.As = triage.Own // so that the timeout may outlast the interval
		c.change(&check)
		e, _ := start(t, Config{})
		e.Set([]triage.Roster{roster(check, c.at)})
		eventually(t, name+": the first check", func() bool { return e.Snapshot("app")[0].Checks > 0 })
		if s := e.Snapshot("app")[0]; s.Health.State != triage.Healthy {
			t.Errorf("%s: %s (%s)", name, s.Last.Outcome, s.Last.Detail)
			continue
		}
		service.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		if name == "grpc" {
			eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
			if s := e.Snapshot("app")[0]; s.Health.Outcome != triage.NotServing {
				t.Errorf("grpc: %s", s.Health.Outcome)
			}
		}
		service.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	}
}

// introduced is a server that hangs up unless a connection begins with these bytes.
func introduced(t *testing.T, want string) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err == nil && string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			} else if err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}
