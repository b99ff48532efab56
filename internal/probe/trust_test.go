package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	a.cert = sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"},
		NotBefore: time.Now().Add(-100 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, c *x509.Certificate, by *authority, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	issuer := by.cert
	if issuer == nil {
		issuer = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// issue makes a certificate for names and addresses that ends at a time.
func (a *authority) issue(t *testing.T, until time.Time, names ...string) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "the target"},
		NotBefore: until.Add(-50 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	key := newKey(t)
	return tls.Certificate{Certificate: [][]byte{sign(t, c, a, key).Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// TestVerifiedAsTheDialectDoes asks a real server, which notes the name that it was asked for in the hello.
func TestVerifiedAsTheDialectDoes(t *testing.T) {
	ca := newAuthority(t)
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	var none, verifies, names, sends dialect.TLSRule
	verifies.Verify, names.Verify, names.SNI, sends.SNI = true, true, true, true
	for name, c := range map[string]struct {
		rule   dialect.TLSRule
		host   string // as typed; "" is the address
		cert   tls.Certificate
		roots  *x509.CertPool
		want   triage.Outcome
		detail string
		sni    string
	}{
		"nobody looks":                   {none, "app.example", ca.issue(t, yesterday), nil, triage.Handshaken, "", ""},
		"nobody looks, but a name":       {sends, "app.example", ca.issue(t, yesterday), nil, triage.Handshaken, "", "app.example"},
		"an address is no name":          {sends, "", ca.issue(t, yesterday), nil, triage.Handshaken, "", ""},
		"right":                          {names, "app.example", ca.issue(t, tomorrow, "app.example"), ca.pool(), triage.Handshaken, "", "app.example"},
		"right by a wildcard":            {names, "app.example", ca.issue(t, tomorrow, "*.example"), ca.pool(), triage.Handshaken, "", "app.example"},
		"right for the address":          {names, "", ca.issue(t, tomorrow, "127.0.0.1"), ca.pool(), triage.Handshaken, "", ""},
		"unknown to the system":          {names, "app.example", ca.issue(t, tomorrow, "app.example"), nil, triage.TLSUntrusted, "unknown authority", "app.example"},
		"by another authority":           {names, "app.example", ca.issue(t, tomorrow, "app.example"), newAuthority(t).pool(), triage.TLSUntrusted, "unknown authority", "app.example"},
		"expired":                        {names, "app.example", ca.issue(t, yesterday, "app.example"), ca.pool(), triage.TLSUntrusted, "has expired", "app.example"},
		"not yet":                        {names, "app.example", ca.issue(t, tomorrow.Add(1000*time.Hour), "app.example"), ca.pool(), triage.TLSUntrusted, "not yet valid", "app.example"},
		"for another name":               {names, "app.example", ca.issue(t, tomorrow, "www.example"), ca.pool(), triage.TLSUntrusted, "valid for www.example, not app.example", "app.example"},
		"for a name, not the address":    {names, "", ca.issue(t, tomorrow, "app.example"), ca.pool(), triage.TLSUntrusted, "127.0.0.1", ""},
		"without a name any will do":     {verifies, "app.example", ca.issue(t, tomorrow, "www.example"), ca.pool(), triage.Handshaken, "", ""},
		"without a name, but not anyone": {verifies, "app.example", ca.issue(t, tomorrow, "www.example"), newAuthority(t).pool(), triage.TLSUntrusted, "unknown authority", ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked, told := make(chan string, 1), make(chan error, 1)
			address := serveRaw(t, func(conn net.Conn) {
				config := &tls.Config{Certificates: []tls.Certificate{c.cert}}
				config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					asked <- hello.ServerName
					return nil, nil
				}
				told <- tls.Server(conn, config).Handshake()
			})
			ap := netip.MustParseAddrPort(address)
			key := triage.Key{Target: triage.TargetID(address), Address: ap}
			if c.host != "" {
				key.Target = triage.TargetID(net.JoinHostPort(c.host, "443"))
			}
			p := planOf(&dialect.Spec{Name: "strict", TLS: c.rule}, triage.TLS)
			p.Roots = c.roots
			x := Do(context.Background(), p, key, triage.AddressPolicy{})
			if x.Outcome != c.want || !strings.Contains(x.Detail, c.detail) {
				t.Errorf("%s (%s), want %s (%s)", x.Outcome, x.Detail, c.want, c.detail)
			}
			if got := <-asked; got != c.sni {
				t.Errorf("asked for %q, want %q", got, c.sni)
			}
			if err := <-told; (c.want == triage.TLSUntrusted) != (err != nil && strings.Contains(err.Error(), "bad certificate")) {
				t.Errorf("the target is told %v", err)
			}
			if x.TLS != nil {
				t.Error("facts that nobody wanted")
			}
		})
	}
}

// TestTLSFacts: what a handshake shows is kept, whether the dialect looks at it or not.
func TestTLSFacts(t *testing.T) {
	ca := newAuthority(t)
	until := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ca.issue(t, until, "app.example", "127.0.0.1")}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	key := triage.Key{Target: triage.TargetID(address), Address: netip.MustParseAddrPort(address)}
	for verify, want := range map[bool]triage.Outcome{false: triage.Matched, true: triage.TLSUntrusted} {
		spec := asGo
		spec.TLS.Verify = verify
		p := planOf(&spec, triage.HTTPS)
		p.KeepTLS, p.Roots = true, ca.pool()
		x := Do(context.Background(), p, key, triage.AddressPolicy{})
		if x.Outcome != want || x.TLS == nil {
			t.Fatalf("%s (%s), %+v", x.Outcome, x.Detail, x.TLS)
		}
		f := x.TLS
		if f.Version != "TLS 1.2" || !strings.HasPrefix(f.Cipher, "TLS_ECDHE_ECDSA_") || f.Resumed || f.Subject != "CN=the target" || f.Issuer != "CN=Test CA" ||
			strings.Join(f.Names, " ") != "app.example 127.0.0.1" || !f.NotAfter.Equal(until) || !strings.Contains(f.Untrusted, "expired") {
			t.Errorf("%+v", f)
		}
	}
}

// TestVerifiedAgain: a certificate that is bad now was perhaps good when the session began that is taken up.
func TestVerifiedAgain(t *testing.T) {
	ca := newAuthority(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, time.Now().Add(time.Hour), "127.0.0.1")}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	defer server.Close()
	address := server.Listener.Addr().String()
	key := triage.Key{Target: triage.TargetID(address), Address: netip.MustParseAddrPort(address)}
	spec := asGo
	spec.TLS = dialect.TLSRule{Verify: true, SNI: true, Resume: true}
	p := planOf(&spec, triage.HTTPS)
	p.Roots, p.KeepTLS = ca.pool(), true
	for i, want := range []triage.Outcome{triage.Matched, triage.TLSUntrusted} {
		x := Do(context.Background(), p, key, triage.AddressPolicy{})
		if x.Outcome != want || x.TLS == nil || x.TLS.Resumed != (i > 0) || x.TLS.Subject != "CN=the target" {
			t.Errorf("check %d: %s (%s), %+v", i, x.Outcome, x.Detail, x.TLS)
		}
		p.Roots = x509.NewCertPool()
	}
}

// TestRenewedCertificateIsSeen: a session that is taken up again used to show the certificate of the handshake that began
// it, for as long as the target took the ticket.
func TestRenewedCertificateIsSeen(t *testing.T) {
	ca := newAuthority(t)
	var current atomic.Pointer[tls.Certificate]
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}
	address := serveRaw(t, func(c net.Conn) {
		secure := tls.Server(c, config)
		untilHead(secure)
		io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, secure)
	})
	looks, verifies := settings(triage.HTTPS), settings(triage.HTTPS)
	looks.Expect.Expression = "tls.days_left > 0"
	verifies.TLS.Verify = triage.Yes
	for name, check := range map[string]triage.HealthCheck{"looks": looks, "verifies": verifies} {
		p := Compile(dialect.Get(triage.Own), check)
		p.Roots = ca.pool()
		good, bad := ca.issue(t, time.Now().Add(49*time.Hour), "127.0.0.1"), newAuthority(t).issue(t, time.Now().Add(time.Hour), "127.0.0.1")
		for i, cert := range []*tls.Certificate{&good, &good, &bad} {
			current.Store(cert)
			x := Do(context.Background(), p, keyOf(address), triage.AddressPolicy{})
			if passed := x.Outcome == triage.Matched; passed != (cert == &good) {
				t.Errorf("%s, check %d: %s (%s)", name, i, x.Outcome, x.Detail)
			}
		}
	}
}

// TestServerNameThatIsSetOutlivesRedirects: the name used to be that of the redirect's URL, which may be an address.
func TestServerNameThatIsSetOutlivesRedirects(t *testing.T) {
	var names []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/there", http.StatusFound)
		}
	}))
	s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		names = append(names, h.ServerName)
		return nil, nil
	}}
	s.StartTLS()
	defer s.Close()
	check := settings(triage.HTTPS)
	check.Path, check.TLS.ServerName, check.TLS.Verify = "/", "app.example", triage.No
	for _, as := range []triage.Dialect{triage.Consul, triage.Traefik, triage.Blackbox} {
		names = nil
		x := Do(context.Background(), Compile(dialect.Get(as), check), keyOf(s.Listener.Addr().String()), triage.AddressPolicy{})
		if x.Outcome != triage.Matched || !slices.Equal(names, []string{"app.example", "app.example"}) {
			t.Errorf("%s: %s (%s), names %q", as, x.Outcome, x.Detail, names)
		}
	}
}
