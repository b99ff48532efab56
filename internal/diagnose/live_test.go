package diagnose

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// live is a check of a server that runs.
type live struct {
	as       triage.Dialect // "": aws-alb
	protocol triage.Protocol
	proxy    triage.ProxyProtocol
	roots    *x509.CertPool // not nil: the certificate is verified
	name     string         // in the handshake; "": shop.example
	hosts    []string
	codes    triage.Matcher // of gRPC; empty: 0

	code      string
	certainty triage.Certainty
	proof     string   // in the proof
	among     []string // the candidates
}

// check asks the server, and then why it fails.
func (l live) check(t *testing.T, address netip.AddrPort) {
	t.Helper()
	key := triage.Key{Target: triage.TargetID(address.String()), Address: address}
	plan := l.plan()
	x := probe.Do(t.Context(), plan, key, triage.AddressPolicy{}).Clone()
	d := Ask(t.Context(), x, Means{Hosts: l.hosts, Ask: func(ctx context.Context, v dialect.Variation) *triage.Exchange {
		if v.At != dialect.SamePlace {
			return nil
		}
		return probe.Do(ctx, plan.Vary(v), key, triage.AddressPolicy{}).Clone()
	}})
	if d == nil {
		t.Fatalf("the check passed: %s", x.Outcome)
	}
	if d.Code != l.code || d.Certainty != l.certainty || !strings.Contains(d.Proof, l.proof) {
		t.Errorf("%s (%s): %s, %s, proof %q, asked %q; want %s, %s, %q", x.Outcome, x.Detail, d.Code, d.Certainty, d.Proof, d.Asked, l.code, l.certainty, l.proof)
	}
	if (d.Certainty == triage.Proved) != (d.Proof != "") {
		t.Errorf("%s by the proof %q", d.Certainty, d.Proof)
	}
	for _, code := range l.among {
		if !slices.Contains(d.Candidates, code) {
			t.Errorf("%s is not among %q", code, d.Candidates)
		}
	}
}

func (l live) plan() *probe.Plan {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path, c.Timeout, c.ProxyProtocol = l.protocol, "/health", 2*time.Second, l.proxy
	c.GRPCCodes = triage.MatchGRPC(0, 0)
	if !l.codes.Empty() {
		c.GRPCCodes = l.codes
	}
	if l.protocol.IsGRPC() {
		c.Path = "/"
	}
	if l.roots != nil {
		c.TLS.Verify, c.TLS.ServerName = triage.Yes, cmp.Or(l.name, "shop.example")
	}
	as := l.as
	if as == "" {
		as = triage.AWSALB
	}
	p := probe.Compile(dialect.Get(as), c)
	p.Roots, p.KeepTLS = l.roots, l.roots != nil
	return p
}

// fine answers everything with 200.
var fine = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })

// abort ends every connection without an answer.
var abort = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })

// serve runs a web server until the test ends: in plain text, unless there is a configuration of TLS.
func serve(t *testing.T, handler http.Handler, config *tls.Config, protocols func(*http.Protocols)) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = quiet
	var p http.Protocols
	p.SetHTTP1(true)
	if protocols != nil {
		p = http.Protocols{}
		protocols(&p)
	}
	s.Config.Protocols = &p
	if config == nil {
		s.Start()
	} else {
		if p.HTTP2() && config.NextProtos == nil {
			config.NextProtos = []string{"h2"}
		}
		s.TLS = config
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func onlyHTTP2(p *http.Protocols)            { p.SetHTTP2(true) }
func onlyUnencryptedHTTP2(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }

// accept runs a server that talks as it likes, until the test ends.
func accept(t *testing.T, talk func(net.Conn)) netip.AddrPort {
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
			c.SetDeadline(time.Now().Add(5 * time.Second))
			talk(c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// certify makes a certificate for shop.example. It is signed by parent, or by itself without one.
func certify(t *testing.T, parent *tls.Certificate, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "shop.example"},
		DNSNames:     []string{"shop.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	change(template)
	signer, by := template, any(key)
	if parent != nil {
		signer, by = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// authority makes a certificate that may sign others, and a pool that holds it.
func authority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	ca := certify(t, nil, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames = "authority", nil
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	return ca, pool
}
