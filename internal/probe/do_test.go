package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func settings(p triage.Protocol) triage.HealthCheck {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path, c.Timeout = p, "/health_check", 5*time.Second
	return c
}

func do(t *testing.T, address string, c triage.HealthCheck) *triage.Exchange {
	t.Helper()
	ap := netip.MustParseAddrPort(address)
	key := triage.Key{Group: "app", Target: triage.TargetID(address), Address: ap}
	return Do(context.Background(), Compile(dialect.Get(triage.Own), c), key, triage.AddressPolicy{})
}

// serveRaw answers every connection with a func, and returns the address.
func serveRaw(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
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
			handle(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// untilHead reads a request's head.
func untilHead(c net.Conn) {
	var got strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(got.String(), "\r\n\r\n") {
		if _, err := c.Read(b); err != nil {
			return
		}
		got.Write(b)
	}
}

func TestDoPlain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() {
			t.Errorf("Host %q", r.Host)
		}
		w.WriteHeader(map[string]int{"/health_check": 200, "/sick": 500}[r.URL.Path])
		io.WriteString(w, "body")
	}))
	defer server.Close()
	address := server.Listener.Addr().String()

	x := do(t, address, settings(triage.HTTP))
	if x.Outcome != triage.Matched || x.Status != 200 || string(x.Body) != "body" || !x.Local.IsValid() {
		t.Errorf("%s %d %q from %s: %s", x.Outcome, x.Status, x.Body, x.Local, x.Detail)
	}
	for _, phase := range []triage.Phase{triage.PhaseConnect, triage.PhaseFirstByte, triage.PhaseBody} {
		if x.Timing[phase] < 0 || x.Timing[phase] > x.Took {
			t.Errorf("phase %s took %s of %s", phase, x.Timing[phase], x.Took)
		}
	}
	c := settings(triage.HTTP)
	c.Path = "/sick"
	if x := do(t, address, c); x.Outcome != triage.CodeMismatch || x.Status != 500 {
		t.Errorf("sick: %s %d", x.Outcome, x.Status)
	}
	if x := do(t, address, settings(triage.TCP)); x.Outcome != triage.Connected || x.Sent != nil {
		t.Errorf("tcp: %s", x.Outcome)
	}
	if x := do(t, address, settings(triage.TLS)); x.Outcome != triage.TLSNotSpoken {
		t.Errorf("tls to a plain port: %s (%s)", x.Outcome, x.Detail)
	}
}

// TestDoAnotherPort: the check may have a port of its own, and the Host follows it.
func TestDoAnotherPort(t *testing.T) {
	var host atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host.Store(r.Host) }))
	defer server.Close()
	checked := netip.MustParseAddrPort(server.Listener.Addr().String())
	c := settings(triage.HTTP)
	c.Port = checked.Port()
	x := do(t, "127.0.0.1:1", c)
	if x.Outcome != triage.Matched || x.Address != checked || x.Key.Address.Port() != 1 || host.Load() != checked.String() {
		t.Errorf("%s, asked %s of %s with Host %v", x.Outcome, x.Address, x.Key, host.Load())
	}
}

func TestDoTLS(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.0": tls.VersionTLS10, "TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			handshakes := make(chan error, 8)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, strings.Repeat("x", 100<<10)) // several records
			}))
			server.TLS = &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{certificate(t)}}
			server.StartTLS()
			defer server.Close()
			x := do(t, server.Listener.Addr().String(), settings(triage.HTTPS))
			if x.Outcome != triage.Matched || x.BodySize != 100<<10 || x.Timing[triage.PhaseTLS] <= 0 {
				t.Errorf("https: %s %d (%s), %d bytes", x.Outcome, x.Status, x.Detail, x.BodySize)
			}

			address := serveRaw(t, func(c net.Conn) {
				handshakes <- tls.Server(c, server.TLS).Handshake()
			})
			if x := do(t, address, settings(triage.TLS)); x.Outcome != triage.Handshaken {
				t.Errorf("tls: %s (%s)", x.Outcome, x.Detail)
			}
			if err := <-handshakes; err != nil {
				t.Errorf("the server saw a handshake that broke off: %v", err)
			}
		})
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	expired := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, expired, expired, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestDoSickServers(t *testing.T) {
	quick := settings(triage.HTTP)
	quick.Timeout = 300 * time.Millisecond
	overTLS := quick
	overTLS.Protocol = triage.HTTPS
	hang := func(c net.Conn) { io.Copy(io.Discard, c) }
	for name, c := range map[string]struct {
		check  triage.HealthCheck
		server func(net.Conn)
		want   triage.Outcome
	}{
		"hangs":            {quick, hang, triage.ResponseTimeout},
		"hangs in TLS":     {overTLS, hang, triage.TLSTimeout},
		"closes":           {quick, func(c net.Conn) { untilHead(c) }, triage.ClosedBeforeAnswer},
		"closes in TLS":    {overTLS, func(c net.Conn) { c.Read(make([]byte, 4096)) }, triage.TLSClosed},
		"refuses TLS":      {overTLS, func(c net.Conn) { tls.Server(c, &tls.Config{}).Handshake() }, triage.TLSRefused},
		"resets":           {quick, func(c net.Conn) { untilHead(c); c.(*net.TCPConn).SetLinger(0) }, triage.ResetBeforeAnswer},
		"answers early":    {settings(triage.HTTP), func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); untilHead(c) }, triage.Matched},
		"drips":            {quick, drip, triage.ResponseTimeout},
		"floods the body":  {settings(triage.HTTP), flood("HTTP/1.1 200 OK\r\n\r\n"), triage.Matched},
		"floods the head":  {settings(triage.HTTP), flood("HTTP/1.1 200 OK\r\nX: "), triage.HeadTooLarge},
		"floods with junk": {settings(triage.HTTP), flood(""), triage.NotHTTP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := do(t, serveRaw(t, c.server), c.check)
			if x.Outcome != c.want {
				t.Errorf("%s (%s), want %s", x.Outcome, x.Detail, c.want)
			}
		})
	}
}

// drip sends a head that never ends, a byte at a time: there is always progress, and never an answer.
func drip(c net.Conn) {
	io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
	for range 10_000 {
		time.Sleep(time.Millisecond)
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

// flood sends a beginning and then as much as is taken, up to 64 MiB.
func flood(start string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, start)
		junk := []byte(strings.Repeat("x", 64<<10))
		for range 1024 {
			if _, err := c.Write(junk); err != nil {
				return
			}
		}
	}
}

func TestDoRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if x := do(t, address, settings(triage.HTTP)); x.Outcome != triage.Refused {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

func TestDoAsksNobodyForbidden(t *testing.T) {
	if x := do(t, "169.254.169.254:80", settings(triage.HTTP)); x.Outcome != triage.AddressForbidden || !strings.Contains(x.Detail, "169.254.169.254") {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

func TestDoCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	address := serveRaw(t, func(c net.Conn) {
		untilHead(c)
		cancel()
		io.Copy(io.Discard, c)
	})
	key := triage.Key{Address: netip.MustParseAddrPort(address)}
	x := Do(ctx, Compile(dialect.Get(triage.Own), settings(triage.HTTP)), key, triage.AddressPolicy{})
	if x.Outcome != triage.Canceled {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

// TestProxyVariablesAreIgnored: a check goes to the target, whatever the environment says.
func TestProxyVariablesAreIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	if x := do(t, server.Listener.Addr().String(), settings(triage.HTTP)); x.Outcome != triage.Matched {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

// TestDoThroughATunnel: somebody else makes the connection, and takes longer for it than a check may.
func TestDoThroughATunnel(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) }))
	defer server.Close()
	c := settings(triage.HTTP)
	c.Timeout = 200 * time.Millisecond
	dug := 0
	client := Client{Dial: func(ctx context.Context) (net.Conn, error) {
		dug++
		time.Sleep(2 * c.Timeout) // a tunnel is slow to come up
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}
	defer client.Close()
	x := client.Do(context.Background(), Compile(dialect.Get(triage.Own), c), keyOf("203.0.113.9:8000"), triage.AddressPolicy{})
	if x.Outcome != triage.Matched || string(x.Body) != "203.0.113.9:8000" || dug != 1 {
		t.Errorf("%s (%s), %q, %d connections", x.Outcome, x.Detail, x.Body, dug)
	}
	client.Dial = func(context.Context) (net.Conn, error) { return nil, io.ErrUnexpectedEOF }
	x = client.Do(context.Background(), Compile(dialect.Get(triage.Own), c), keyOf("203.0.113.9:8000"), triage.AddressPolicy{})
	if x.Outcome != triage.ConnectFailed || !strings.Contains(x.Detail, "unexpected EOF") {
		t.Errorf("no tunnel: %s (%s)", x.Outcome, x.Detail)
	}
}

// TestDeadlineOfTheContextIsNotTheTargets: whoever allows less time than the check's timeout has stopped the check.
func TestDeadlineOfTheContextIsNotTheTargets(t *testing.T) {
	address := serveRaw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
		x := Do(ctx, Compile(dialect.Get(triage.Own), settings(triage.HTTP)), keyOf(address), triage.AddressPolicy{})
		cancel()
		if x.Outcome != triage.Canceled {
			t.Fatalf("%s (%s)", x.Outcome, x.Detail)
		}
	}
}
