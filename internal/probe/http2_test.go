package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// serveH2 serves HTTP/2, inside TLS or by prior knowledge, and returns the address.
func serveH2(t *testing.T, secure bool, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP2(true)
	s.EnableHTTP2 = true
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// keyOf is the key of a target that is an address.
func keyOf(address string) triage.Key {
	return triage.Key{Group: "app", Target: triage.TargetID(address), Address: netip.MustParseAddrPort(address)}
}

// TestHTTP2 asks net/http's server in both ways, and compares with what the handler saw.
func TestHTTP2(t *testing.T) {
	for _, p := range []triage.Protocol{triage.H2C, triage.H2} {
		var saw string
		address := serveH2(t, p.Encrypted(), func(w http.ResponseWriter, r *http.Request) {
			saw = fmt.Sprintf("%s %s %s %s %s", r.Proto, r.Method, r.RequestURI, r.Host, r.UserAgent())
			w.Header().Set("X-App", "shop")
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, strings.Repeat("tea ", 30_000)) // more than one window of the default size
		})
		c := settings(p)
		c.SuccessCodes = triage.MatchCodes(418, 418)
		x := do(t, address, c)
		if x.Outcome != triage.Matched || x.Status != 418 || x.BodySize != 120_000 {
			t.Fatalf("%s: %s (%s) %d, %d bytes", p, x.Outcome, x.Detail, x.Status, x.BodySize)
		}
		if want := "HTTP/2.0 GET /health_check " + address + " triage-health-check/1"; saw != want {
			t.Errorf("%s: the server saw %q, want %q", p, saw, want)
		}
		for _, want := range []string{"GET /health_check HTTP/2\r\n", "host: " + address + "\r\n"} {
			if !bytes.Contains(x.Sent, []byte(want)) {
				t.Errorf("%s: sent %q", p, x.Sent)
			}
		}
		if !bytes.HasPrefix(x.Head, []byte("HTTP/2 418\r\n")) || !bytes.Contains(x.Head, []byte("\r\nx-app: shop\r\n")) {
			t.Errorf("%s: head %q", p, x.Head)
		}
	}
}

// TestHTTP2IsNotSpoken: servers of HTTP/1 asked over HTTP/2.
func TestHTTP2IsNotSpoken(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if x := do(t, plain.Listener.Addr().String(), settings(triage.H2C)); x.Outcome != triage.NotHTTP2 && x.Outcome != triage.ClosedBeforeAnswer {
		t.Errorf("h2c: %s (%s)", x.Outcome, x.Detail)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // offers http/1.1 only
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	if x := do(t, secure.Listener.Addr().String(), settings(triage.H2)); x.Outcome != triage.HTTP2NotOffered {
		t.Errorf("h2: %s (%s)", x.Outcome, x.Detail)
	}
	deaf := httptest.NewUnstartedServer(http.NotFoundHandler())
	deaf.TLS = &tls.Config{NextProtos: []string{"imap"}}
	deaf.Config.ErrorLog = log.New(io.Discard, "", 0)
	deaf.StartTLS()
	defer deaf.Close()
	if x := do(t, deaf.Listener.Addr().String(), settings(triage.H2)); x.Outcome != triage.HTTP2NotOffered {
		t.Errorf("no common protocol: %s (%s)", x.Outcome, x.Detail)
	}
}

// TestTargetChoosesHTTP2: an https check whose dialect offers both.
func TestTargetChoosesHTTP2(t *testing.T) {
	spec := *dialect.Get(triage.Own)
	spec.TLS.ALPN = []string{"h2", "http/1.1"}
	for _, h2 := range []bool{true, false} {
		var proto string
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto }))
		s.EnableHTTP2 = h2
		s.StartTLS()
		x := Do(context.Background(), Compile(&spec, settings(triage.HTTPS)), keyOf(s.Listener.Addr().String()), triage.AddressPolicy{})
		s.Close()
		if x.Outcome != triage.Matched || (proto == "HTTP/2.0") != h2 || bytes.HasPrefix(x.Head, []byte("HTTP/2 ")) != h2 {
			t.Errorf("%v: %s (%s), %s, %q", h2, x.Outcome, x.Detail, proto, x.Head)
		}
	}
}

// odd is a health service that answers what no health service should.
type odd struct {
	grpc_health_v1.UnimplementedHealthServer
	answer func(context.Context) (*grpc_health_v1.HealthCheckResponse, error)
}

func (o odd) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return o.answer(ctx)
}

// serveGRPC serves gRPC with the health service, or without one if it is nil.
func serveGRPC(t *testing.T, service grpc_health_v1.HealthServer) string {
	t.Helper()
	s := grpc.NewServer()
	if service != nil {
		grpc_health_v1.RegisterHealthServer(s, service)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// TestGRPC asks grpc-go's own server.
func TestGRPC(t *testing.T) {
	service := health.NewServer()
	service.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
	service.SetServingStatus("cart", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	healthy, none := serveGRPC(t, service), serveGRPC(t, nil)
	tired := serveGRPC(t, odd{answer: func(ctx context.Context) (*grpc_health_v1.HealthCheckResponse, error) {
		grpc.SetTrailer(ctx, metadata.Pairs("x-note", "tired"))
		return nil, status.Error(codes.Unavailable, "the database is ä bit away\n100%")
	}})
	strange := serveGRPC(t, odd{answer: func(context.Context) (*grpc_health_v1.HealthCheckResponse, error) {
		return &grpc_health_v1.HealthCheckResponse{Status: 77}, nil
	}})
	web := serveH2(t, false, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	gone := serveH2(t, false, http.NotFound)

	for name, c := range map[string]struct {
		address, service string
		as               triage.Dialect
		codes            triage.Matcher
		want             triage.Outcome
		status           int
		serving, detail  string
	}{
		"serving":             {healthy, "shop", triage.Own, triage.MatchGRPC(0, 0), triage.Matched, 0, "SERVING", ""},
		"the whole server":    {healthy, "", triage.Own, triage.MatchGRPC(0, 0), triage.Matched, 0, "SERVING", ""},
		"not serving":         {healthy, "cart", triage.Own, triage.MatchGRPC(0, 0), triage.NotServing, 0, "NOT_SERVING", "NOT_SERVING"},
		"not known":           {healthy, "ship", triage.Own, triage.MatchGRPC(0, 0), triage.GRPCMismatch, 5, "", "5 NOT_FOUND: unknown service"},
		"not known, accepted": {healthy, "ship", triage.Own, triage.MatchGRPC(0, 5), triage.Matched, 5, "", ""},
		"no health service":   {none, "", triage.Own, triage.MatchGRPC(0, 0), triage.GRPCMismatch, 12, "", "12 UNIMPLEMENTED: unknown service grpc.health.v1.Health"},
		"an ALB's question":   {healthy, "", triage.AWSALB, triage.MatchGRPC(12, 12), triage.Matched, 12, "", ""},
		"an error with words": {tired, "", triage.Own, triage.MatchGRPC(0, 0), triage.GRPCMismatch, 14, "", "14 UNAVAILABLE: the database is ä bit away\n100%"},
		"an unknown status":   {strange, "", triage.Own, triage.MatchGRPC(0, 0), triage.NotServing, 0, "77", "77"},
		"a web server":        {web, "", triage.Own, triage.MatchGRPC(0, 0), triage.NotGRPC, 200, "", `the content type is "text/plain; char"`},
		"a web server's 404":  {gone, "", triage.Own, triage.MatchGRPC(0, 0), triage.NotGRPC, 404, "", "the HTTP status is 404"},
	} {
		check := settings(triage.GRPC)
		check.Service, check.GRPCCodes, check.Path = c.service, c.codes, "/"
		x := Do(context.Background(), Compile(dialect.Get(c.as), check), keyOf(c.address), triage.AddressPolicy{})
		if x.Outcome != c.want || x.Status != c.status || !strings.Contains(x.Detail, c.detail) || x.GRPC == nil || x.GRPC.Serving != c.serving {
			t.Errorf("%s: %s (%s) %d, %+v", name, x.Outcome, x.Detail, x.Status, x.GRPC)
		}
	}
}

// TestGRPCIsNotSpoken: a server of HTTP/1, and one that says nothing.
func TestGRPCIsNotSpoken(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	if x := do(t, plain.Listener.Addr().String(), settings(triage.GRPC)); x.Outcome != triage.NotHTTP2 && x.Outcome != triage.ClosedBeforeAnswer {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

// TestSecondTryWithoutServerName: as Route 53 does, where the first handshake fails.
func TestSecondTryWithoutServerName(t *testing.T) {
	var asked []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked = append(asked, h.ServerName)
		if h.ServerName != "" {
			return nil, fmt.Errorf("no certificate for %s", h.ServerName)
		}
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	spec := *dialect.Get(triage.Own)
	spec.TLS.SNI = true
	key := keyOf(s.Listener.Addr().String())
	key.Target = triage.TargetID(fmt.Sprintf("app.example:%d", key.Address.Port()))
	for _, again := range []bool{false, true} {
		asked = nil
		spec.TLS.AgainBare = again
		x := Do(context.Background(), Compile(&spec, settings(triage.HTTPS)), key, triage.AddressPolicy{})
		switch {
		case again && (x.Outcome != triage.Matched || len(asked) != 2 || asked[0] != "app.example" || asked[1] != ""):
			t.Errorf("%s (%s), names %q", x.Outcome, x.Detail, asked)
		case again && !strings.HasPrefix(x.Detail, "without a server name (SNI); with app.example: the target's alert"):
			t.Errorf("detail %q", x.Detail)
		case !again && (x.Outcome != triage.TLSRefused || len(asked) != 1):
			t.Errorf("once: %s (%s), names %q", x.Outcome, x.Detail, asked)
		}
	}
}

// TestExpressionSeesTheStatusOfTheCall: it used to see HTTP's 200 in a gRPC check.
func TestExpressionSeesTheStatusOfTheCall(t *testing.T) {
	service := health.NewServer()
	address := serveGRPC(t, service)
	for name, code := range map[string]int{"": 0, "ship": 5} {
		check := settings(triage.GRPC)
		check.Service, check.GRPCCodes = name, triage.MatchGRPC(0, 5)
		check.Expect.Expression = fmt.Sprintf("status == %d", code)
		if x := do(t, address, check); x.Outcome != triage.Matched || x.Status != code {
			t.Errorf("service %q: %s (%s) %d", name, x.Outcome, x.Detail, x.Status)
		}
	}
}
