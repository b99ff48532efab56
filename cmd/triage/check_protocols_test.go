package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/triage-lb/triage"
)

// serveProtocols runs a handler on a loopback address over HTTP/1.1 and HTTP/2, without TLS.
func serveProtocols(t *testing.T, addr string, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, Protocols: &protocols}}
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// serveHealth runs a gRPC server with the health service, of which shop.Cart serves and shop.Till does not.
func serveHealth(t *testing.T, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server, status := grpc.NewServer(), health.NewServer()
	status.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
	status.SetServingStatus("shop.Till", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(server, status)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return l.Addr().String()
}

// TestCheckGRPC: by the health service, and by the method of an ALB.
func TestCheckGRPC(t *testing.T) {
	address := serveHealth(t, "127.0.1.5")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"grpc://" + address, exitOK, "HEALTHY    triage  " + address + "  SERVING in "},
		{"grpc://" + address + "/shop.Cart", exitOK, "HEALTHY    triage  " + address + "/shop.Cart  SERVING in "},
		{"grpc://" + address + "/shop.Till", exitUnhealthy, "UNHEALTHY  triage  " + address + "/shop.Till  NOT_SERVING in "},
		{"--service shop.Till grpc://" + address + "/shop.Cart", exitUnhealthy, "/shop.Till  NOT_SERVING in "},
		{"grpc://" + address + "/shop.None", exitUnhealthy, "/shop.None  5 NOT_FOUND in "},
		{"grpc://" + address + "/shop.None", exitUnhealthy, "(5 NOT_FOUND: unknown service)"},
		{"--as alb grpc://" + address, exitOK, "ALB/healthcheck  12 UNIMPLEMENTED in "},
		{"--as alb grpc://" + address + "/shop.Cart/Ping", exitOK, address + "/shop.Cart/Ping  12 UNIMPLEMENTED in "},
		{"--as alb grpc://" + address + "/shop.Cart/Ping", exitOK, `gRPC       12 UNIMPLEMENTED: "unknown service shop.Cart"`},
		{"--as alb --success-codes 0 grpc://" + address, exitUnhealthy, "ALB/healthcheck  12 UNIMPLEMENTED in "},
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(joined(r.stdout), joined(c.want)) {
			t.Errorf("check %s: exit %d\n%s%s", c.args, r.code, r.stdout, r.stderr)
		}
	}
	if r := runTriage(t, nil, "check", "--as", "alb", "grpc://"+address); !strings.Contains(r.stdout, "does not know the method") {
		t.Errorf("a pass of any server is not doubted: %s", r.stdout)
	}
	r := runTriage(t, nil, "check", "--json", "grpc://"+address+"/shop.Till")
	var got struct {
		Healthy bool
		Outcome string
		Target  string
		GRPC    *triage.GRPCFacts
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.Healthy || got.Outcome != "not-serving" || got.Target != address+"/shop.Till" ||
		got.GRPC == nil || got.GRPC.Status != 0 || got.GRPC.Serving != "NOT_SERVING" {
		t.Errorf("%v %+v\n%s", err, got, r.stdout)
	}
	// A server that speaks something else.
	plain := serveOn(t, "127.0.1.5", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if r := runTriage(t, nil, "check", "grpc://"+plain); r.code != exitUnhealthy || !strings.Contains(r.stdout, "  not-http2 in ") {
		t.Errorf("HTTP/1: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckHTTP2: without TLS by prior knowledge, with TLS by ALPN.
func TestCheckHTTP2(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ready", "yes")
		io.WriteString(w, r.Proto)
	})
	address := serveProtocols(t, "127.0.1.5", handler)
	r := runTriage(t, nil, "check", "-v", "--expect-body", "HTTP/2.0", "h2c://"+address+"/health")
	for _, want := range []string{"> GET /health HTTP/2\n", "< HTTP/2 200\n", "  HTTP/2.0\n", "/health  200 in ", "Over       HTTP/2\n"} {
		if r.code != exitOK || !strings.Contains(r.stdout, want) {
			t.Errorf("h2c: exit %d, no %q in\n%s%s", r.code, want, r.stdout, r.stderr)
		}
	}
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	if r := runTriage(t, nil, "check", "--expect-body", "HTTP/2.0", "h2://"+server.Listener.Addr().String()); r.code != exitOK || !strings.Contains(r.stdout, "Over       HTTP/2\n") {
		t.Errorf("h2: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	old := httptest.NewUnstartedServer(handler)
	old.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused handshake is the point
	old.StartTLS()
	defer old.Close()
	if r := runTriage(t, nil, "check", "h2://"+old.Listener.Addr().String()); r.code != exitUnhealthy || !strings.Contains(r.stdout, "  http2-not-offered in ") || strings.Contains(r.stdout, "Over ") {
		t.Errorf("HTTP/1: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckExpectations: what is not as expected is said with what came instead.
func TestCheckExpectations(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ready", "soon")
		io.WriteString(w, `{"status":"starting"}`)
	}))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--expect-header", "x-ready: soon"}, exitOK, "200 in"},
		{[]string{"--expect-header", "X-Ready: yes"}, exitUnhealthy, `header-mismatch in`},
		{[]string{"--expect-header", "X-Ready: yes"}, exitUnhealthy, `"soon"`},
		{[]string{"--expect-body", "starting"}, exitOK, "200 in"},
		{[]string{"--expect-body", `"ok"`}, exitUnhealthy, "body-mismatch in"},
		{[]string{"--expect-body", "nonsense"}, exitUnhealthy, `"nonsense" is not in`},
		{[]string{"--expect-regex", `"status":"s\w+"`}, exitOK, "200 in"},
		{[]string{"--expect-regex", `^ok`}, exitUnhealthy, "body-mismatch in"},
		{[]string{"--expect", `json.status == "starting" && latency < duration("5s")`}, exitOK, "200 in"},
		{[]string{"--expect", `json.status == "ok"`}, exitUnhealthy, "expression-false in"},
		{[]string{"--expect", `json.nothing == "ok"`}, exitUnhealthy, "expression-failed in"},
		{[]string{"--as", "aws-alb", "--expect-body", "starting"}, exitOK, "Altered    aws-alb itself has no --expect-body starting"},
		{[]string{"--as", "aws-alb", "--expect", "status == 200"}, exitOK, "Altered    aws-alb itself has no --expect 'status == 200'"},
	} {
		args := append([]string{"check", "--as", "triage"}, c.args...)
		r := runTriage(t, nil, append(args, address)...)
		if r.code != c.code || !strings.Contains(joined(r.stdout), joined(c.want)) {
			t.Errorf("%q: exit %d, want %q\n%s%s", c.args, r.code, c.want, r.stdout, r.stderr)
		}
	}
}

// TestCheckConnection: from which address, and after which header.
func TestCheckConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.1.5:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type first struct{ line, from string }
	seen := make(chan first, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			r := bufio.NewReader(c)
			line, _ := r.ReadString('\n')
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			seen <- first{line, c.RemoteAddr().(*net.TCPAddr).AddrPort().String()}
			c.Close()
		}
	}()
	address := l.Addr().String()
	r := runTriage(t, nil, "check", "--no-follow-up", "--proxy-protocol", "v1", "--source", "127.0.1.9", address)
	got := <-seen
	from := netip.MustParseAddrPort(got.from)
	want := "PROXY TCP4 127.0.1.9 127.0.1.5 "
	if r.code != exitOK || !strings.HasPrefix(got.line, want) || from.Addr().String() != "127.0.1.9" ||
		!strings.Contains(r.stdout, "Over       after a header of the PROXY protocol (v1), from 127.0.1.9\n") ||
		!strings.Contains(joined(r.stdout), "aws-alb itself has no --proxy-protocol v1") || !strings.Contains(joined(r.stdout), "aws-alb itself has no --source 127.0.1.9") {
		t.Errorf("exit %d, %q from %s\n%s%s", r.code, got.line, got.from, r.stdout, r.stderr)
	}
	r = runTriage(t, nil, "check", "--no-follow-up", "-v", "--as", "haproxy-http11", "--proxy-protocol", "v1", "--source", "127.0.1.9", address)
	got = <-seen
	if r.code != exitOK || strings.Contains(r.stdout, "Altered") || !strings.Contains(r.stdout, "* PROXY header "+strconv.Quote(got.line)+"\n") {
		t.Errorf("exit %d, %q\n%s%s", r.code, got.line, r.stdout, r.stderr)
	}
}

// TestCheckTLSSettings: whom we trust, what we show, and what name we send.
func TestCheckTLSSettings(t *testing.T) {
	names := make(chan string, 8)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.TLS.ServerName
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(403)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MaxVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	folder := t.TempDir()
	pemFile := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := pemFile("roots.pem", "CERTIFICATE", server.Certificate().Raw)
	cert, key := ownPair(t, pemFile)

	if r := runTriage(t, nil, "check", "--no-follow-up", server.URL); r.code != exitUnhealthy || !strings.Contains(r.stdout, "403 in") || <-names != "" {
		t.Errorf("without: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := runTriage(t, nil, "check", "--no-follow-up", "--as", "triage", "--verify", "--cacert", roots, "--server-name", "example.com", "--cert", cert, "--key", key, server.URL)
	if r.code != exitOK || r.stderr != "" && !strings.Contains(r.stderr, "127.0.0.1") || <-names != "example.com" {
		t.Errorf("with all: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for want, args := range map[string][]string{
		"tls-untrusted in": {"--verify", "--server-name", "other.example", "--cacert", roots},
		"tls-refused in":   {"--tls-min", "1.3"},
	} {
		if r := runTriage(t, nil, append(append([]string{"check", "--no-follow-up", "--as", "triage"}, args...), server.URL)...); r.code != exitUnhealthy || !strings.Contains(r.stdout, want) {
			t.Errorf("%q: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := runTriage(t, nil, "check", "--as", "consul", "--no-verify", "--cert", cert, "--key", key, server.URL); r.code != exitOK || strings.Contains(r.stdout, "Altered") {
		t.Errorf("not verified: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runTriage(t, nil, "check", "--cert", key, "--key", cert, server.URL); r.code != exitUsage || !strings.Contains(joined(r.stderr), "holds no certificate in PEM but a private key") {
		t.Errorf("mistaken for each other: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// ownPair writes a certificate of our own and its key.
func ownPair(t *testing.T, write func(name, kind string, der []byte) string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return write("us.pem", "CERTIFICATE", der), write("us.key", "PRIVATE KEY", secret)
}

// TestCheckUsageOfProtocols: what a check cannot have, with what to write instead.
func TestCheckUsageOfProtocols(t *testing.T) {
	for args, want := range map[string]string{
		"grpc://127.0.1.5":                                       "has no port",
		"grpc://127.0.1.5:1/a?b":                                 "has a query",
		"--path /x grpc://127.0.1.5:1":                           "--service NAME asks about a service",
		"--service x http://127.0.1.5:1":                         "ask over grpc://",
		"--service x tcp://127.0.1.5:1":                          "sends no request",
		"--as alb --service x grpc://127.0.1.5:1":                "asks a method",
		"--as alb grpc://127.0.1.5:1/health":                     "is no method of gRPC",
		"--as haproxy grpc://127.0.1.5:1":                        "has no grpc check",
		"--success-codes 200 grpc://127.0.1.5:1":                 "200 is outside 0-99",
		"--success-codes 0 http://127.0.1.5:1":                   "not a status code",
		"--expect-body x grpc://127.0.1.5:1":                     "--expect-body means nothing to a check over grpc",
		"--expect-body x tls://127.0.1.5:1":                      "sends no request",
		"--expect-header a/b http://127.0.1.5:1":                 "--expect-header: \"a/b\" holds '/'",
		"--expect-regex (a http://127.0.1.5:1":                   "--expect-regex \"(a\": missing closing )",
		"--expect statsu==200 http://127.0.1.5:1":                "did you mean status?",
		"--expect tls.days_left>3 http://127.0.1.5:1":            "looks at tls, and a check over http is not encrypted",
		"--expect json.ok grpc://127.0.1.5:1":                    "looks at the content, and the answer of a check over grpc is no text",
		"--verify http://127.0.1.5:1":                            "is not encrypted",
		"--server-name x grpc://127.0.1.5:1":                     "is not encrypted",
		"--server-name 10.0.0.1 https://127.0.1.5:1":             "--server-name \"10.0.0.1\" is an address",
		"--tls-min 1.4 https://127.0.1.5:1":                      "write 1.0, 1.1, 1.2 or 1.3",
		"--cert check_test.go https://127.0.1.5:1":               "of no use without --key",
		"--cert none.pem --key none.key https://127.0.1.5:1":     "--cert none.pem: there is no such file",
		"--key check_test.go --cert /dev/null tls://127.0.1.5:1": "/dev/null holds no certificate in PEM but nothing at all",
		"--proxy-protocol v3 http://127.0.1.5:1":                 "write v1",
		"--source 0.0.0.0 http://127.0.1.5:1":                    "stands for every address",
		"--source ::1 http://127.0.1.5:1":                        "one is an IPv4 address, the other is not",
		"http://127.0.1.5:1 --proxy-protocol":                    "--proxy-protocol needs a value",
		"http://127.0.1.5:1 --timeout":                           "--timeout needs a value",
		"--source eth0 http://127.0.1.5:1":                       "is no address",
		"--source 203.0.113.7 http://127.0.1.5:1":                "203.0.113.7 is not an address of this machine",
		"http://127.0.1.5:1/" + strings.Repeat("a", 2000):        "a…a",
		"--as consul -k https://127.0.1.5:1":                     "--no-verify any",
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(joined(r.stderr), want) || r.stdout != "" || !strings.Contains(r.stderr, "\nhint: ") {
			t.Errorf("check %s: exit %d, want %q\n%s%s", args, r.code, want, r.stdout, r.stderr)
		}
	}
}
