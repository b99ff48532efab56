package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// quiet is for servers whose troubles are what is tested.
var quiet = log.New(io.Discard, "", 0)

func TestWhoSpeaksTLS(t *testing.T) {
	ca, _ := authority(t)
	goTLS := serve(t, fine, &tls.Config{}, nil)
	silentTLS := accept(t, func(c net.Conn) { // as Node: whatever is not TLS is closed without a word
		if s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{ca}}); s.Handshake() == nil {
			s.Read(make([]byte, 4096))
			s.Write([]byte(ok))
			s.Close()
		}
	})
	plain := serve(t, fine, nil, nil)
	closing := serve(t, abort, nil, nil)
	silent := accept(t, func(c net.Conn) { c.Read(make([]byte, 4096)) })
	sayingSettings := accept(t, func(c net.Conn) { // as nginx, Node and gRPC do when the connection is made
		c.Write([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"))
		c.Read(make([]byte, 4096))
	})
	behind := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: goTLS.String()})
	proxied, proxiedTLS := serve(t, behind, nil, nil), serve(t, behind, &tls.Config{}, nil)
	for name, c := range map[string]struct {
		live
		at netip.AddrPort
	}{
		"a proxy, plain to Go's TLS": {live{protocol: triage.HTTP, code: "proxy-asks-tls-port-plainly", certainty: triage.Proved, proof: "the port does not speak TLS"}, proxied},
		"a proxy inside TLS":         {live{protocol: triage.HTTPS, code: "proxy-asks-tls-port-plainly", certainty: triage.Proved, proof: "came through it"}, proxiedTLS},
		"plain to Go's TLS":          {live{protocol: triage.HTTP, code: "plain-http-to-tls-port", certainty: triage.Proved, proof: "with https: 200"}, goTLS},
		"plain to silent TLS":        {live{protocol: triage.HTTP, code: "plain-http-to-tls-port", certainty: triage.Proved, proof: "with https: 200"}, silentTLS},
		"gRPC to TLS":                {live{as: triage.Kubelet, protocol: triage.GRPC, code: "plain-http-to-tls-port", certainty: triage.Proved, proof: "the port does speak TLS"}, goTLS},
		"h2c to TLS":                 {live{as: triage.Envoy, protocol: triage.H2C, code: "plain-http-to-tls-port", certainty: triage.Proved, proof: "the port does speak TLS"}, silentTLS},
		"TLS to plain":               {live{protocol: triage.HTTPS, code: "tls-to-plain-port", certainty: triage.Proved, proof: "with http: 200"}, plain},
		"a TLS handshake to plain":   {live{as: triage.AWSCLB, protocol: triage.TLS, code: "tls-to-plain-port", certainty: triage.Proved, proof: "with http: 200"}, plain},
		"gRPC in TLS to plain":       {live{as: triage.Envoy, protocol: triage.GRPCS, code: "tls-to-plain-port", certainty: triage.Proved, proof: "with http: 200"}, plain},
		"TLS to a plain application": {live{protocol: triage.HTTPS, code: "tls-to-plain-port", certainty: triage.Likely}, closing},
		"TLS to what speaks HTTP/2":  {live{protocol: triage.HTTPS, code: "tls-to-plain-port", certainty: triage.Likely}, sayingSettings},
		"TLS to who says nothing":    {live{protocol: triage.HTTPS, code: Undiagnosed, certainty: triage.Unknown, among: []string{"tls-to-plain-port", "sni-required"}}, silent},
		"who says nothing":           {live{protocol: triage.HTTP, code: Undiagnosed, certainty: triage.Unknown, among: []string{"closed-on-purpose"}}, silent},
		"who closes every request":   {live{protocol: triage.HTTP, code: Undiagnosed, certainty: triage.Unknown, among: []string{"closed-on-purpose"}}, closing},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, c.at) })
	}
}

func TestHandshakes(t *testing.T) {
	ca, pool := authority(t)
	own := certify(t, &ca, func(*x509.Certificate) {})
	one := []tls.Certificate{own}
	byName := serve(t, fine, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "shop.example" {
			return nil, errors.New("no certificate")
		}
		return nil, nil
	}}, nil)
	mutual := serve(t, fine, &tls.Config{Certificates: one, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, nil)
	mutual12 := serve(t, fine, &tls.Config{Certificates: one, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12}, nil)
	modern := serve(t, fine, &tls.Config{Certificates: one, MinVersion: tls.VersionTLS13}, nil)
	otherCipher := serve(t, fine, &tls.Config{Certificates: one, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, nil)
	names := []string{"shop.example"}
	for name, c := range map[string]struct {
		live
		at netip.AddrPort
	}{
		"a name is wanted":               {live{protocol: triage.HTTPS, hosts: names, code: "sni-required", certainty: triage.Proved, proof: "server name (SNI) shop.example: 200"}, byName},
		"a name is wanted, by tls":       {live{as: triage.AWSCLB, protocol: triage.TLS, hosts: names, code: "sni-required", certainty: triage.Proved, proof: "server name (SNI) shop.example"}, byName},
		"a name that we do not know":     {live{protocol: triage.HTTPS, code: Undiagnosed, certainty: triage.Unknown, among: []string{"sni-required", "tls-version"}}, byName},
		"a client certificate, TLS 1.3":  {live{protocol: triage.HTTPS, hosts: names, code: "client-certificate-required", certainty: triage.Likely}, mutual},
		"a client certificate, TLS 1.2":  {live{protocol: triage.HTTPS, hosts: names, code: "client-certificate-required", certainty: triage.Proved, proof: "after the target had shown its own certificate"}, mutual12},
		"a version that we do not speak": {live{as: triage.AWSCLB, protocol: triage.HTTPS, code: "tls-version", certainty: triage.Likely}, modern},
		"a cipher that we do not speak":  {live{protocol: triage.HTTPS, hosts: names, code: Undiagnosed, certainty: triage.Unknown, among: []string{"no-common-cipher", "tls-version"}}, otherCipher},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, c.at) })
	}
}

func TestCertificates(t *testing.T) {
	ca, pool := authority(t)
	stranger, _ := authority(t)
	alone := certify(t, nil, func(*x509.Certificate) {})
	for name, c := range map[string]struct {
		live
		certificate tls.Certificate
	}{
		"expired": {live{code: "certificate-expired", certainty: triage.Proved, proof: "valid until"},
			certify(t, &ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		"not valid yet": {live{code: "certificate-not-yet-valid", certainty: triage.Proved, proof: "valid from"},
			certify(t, &ca, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })},
		"for another name": {live{code: "certificate-for-another-name", certainty: triage.Proved, proof: "a certificate for www.example"},
			certify(t, &ca, func(c *x509.Certificate) { c.DNSNames = []string{"www.example"} })},
		"for no name": {live{code: "certificate-without-names", certainty: triage.Likely},
			certify(t, &ca, func(c *x509.Certificate) { c.DNSNames = nil })},
		"for clients": {live{code: "certificate-not-acceptable", certainty: triage.Likely},
			certify(t, &ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })},
		"signed by itself": {live{code: "certificate-self-signed", certainty: triage.Proved, proof: "issuer and subject are both CN=shop.example"}, alone},
		"signed by a stranger": {live{code: Undiagnosed, certainty: triage.Unknown, among: []string{"certificate-chain-incomplete", "certificate-of-private-authority"}},
			certify(t, &stranger, func(c *x509.Certificate) {})},
	} {
		t.Run(name, func(t *testing.T) {
			c.protocol, c.roots = triage.HTTPS, pool
			c.check(t, serve(t, fine, &tls.Config{Certificates: []tls.Certificate{c.certificate}}, nil))
		})
	}
}

// TestDefaultCertificate: the name in the handshake brings the right certificate.
func TestDefaultCertificate(t *testing.T) {
	ca, pool := authority(t)
	other := certify(t, &ca, func(c *x509.Certificate) { c.DNSNames = []string{"default.example"} })
	own := certify(t, &ca, func(*x509.Certificate) {})
	at := serve(t, fine, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen := other
		if h.ServerName == "shop.example" {
			chosen = own
		}
		return &tls.Config{Certificates: []tls.Certificate{chosen}}, nil
	}}, nil)
	l := live{protocol: triage.HTTPS, roots: pool, name: "app.internal", hosts: []string{"shop.example"}, code: "certificate-for-another-name", certainty: triage.Proved, proof: "the certificate is for that name"}
	l.check(t, at)
}

// TestExpiredWhere: the chain may be what has expired.
func TestExpiredWhere(t *testing.T) {
	x := exchange(plan, "")
	x.Outcome, x.Detail = triage.TLSUntrusted, "certificate has expired or is not yet valid: current time 2026-11-01T00:00:00Z is after 2026-10-01T00:00:00Z"
	for cause, facts := range map[string]*triage.TLSFacts{
		"a certificate that the target shows has expired":    nil,
		"the target's certificate has expired on 1969-12-31": {NotAfter: x.Started.Add(-time.Hour)},
		"not the target's own but an intermediate or a root": {NotAfter: x.Started.Add(time.Hour)},
	} {
		x.TLS = facts
		if d := Look(x); d.Code != "certificate-expired" || !strings.Contains(d.Cause, cause) {
			t.Errorf("%s: %q, want %q", d.Code, d.Cause, cause)
		}
	}
}

// TestMisdirected: where the Host alone is what was missing, the name in the handshake is not.
func TestMisdirected(t *testing.T) {
	const misdirected = "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"
	const both = "Host shop.example and server name (SNI) shop.example"
	for name, c := range map[string]struct {
		encrypted bool
		answers   server
		code      string
		certainty triage.Certainty
	}{
		"both names":        {true, server{"": misdirected, both: ok}, "misdirected-request", triage.Proved},
		"no name will do":   {true, server{"": misdirected}, "misdirected-request", triage.Likely},
		"the Host alone":    {true, server{"": misdirected, "Host shop.example": ok, both: ok}, Undiagnosed, triage.Unknown},
		"without TLS":       {false, server{"": misdirected, both: ok}, Undiagnosed, triage.Unknown},
		"without TLS, Host": {false, server{"": misdirected, "Host shop.example": ok, both: ok}, "host-not-allowed", triage.Proved},
	} {
		over := func(v dialect.Variation) *triage.Exchange {
			x := c.answers.ask(t.Context(), v)
			if c.encrypted {
				x.Timing[triage.PhaseTLS] = time.Millisecond
			}
			return x
		}
		d := Ask(t.Context(), over(dialect.Variation{}), Means{Hosts: []string{"shop.example"}, Ask: func(_ context.Context, v dialect.Variation) *triage.Exchange { return over(v) }})
		if d.Code != c.code || d.Certainty != c.certainty {
			t.Errorf("%s: %s, %s, asked %q", name, d.Code, d.Certainty, d.Asked)
		}
	}
}

// TestPlainAnswerOfATLSPort: a port that speaks TLS may say so in plain text, in words that nobody knows.
func TestPlainAnswerOfATLSPort(t *testing.T) {
	for answer, want := range map[string]string{
		responded(400, "", "this port expects TLS"): Undiagnosed,
		responded(404, "", ""):                      "tls-to-plain-port",
		ok:                                          "tls-to-plain-port",
	} {
		x := exchange(plan, "")
		x.Sent, x.Outcome, x.Detail = nil, triage.TLSClosed, ""
		if d := ask(x, map[string]*triage.Exchange{"http": exchange(plan, answer)}); d.Code != want {
			t.Errorf("%q: %s, %s, proof %q", answer, d.Code, d.Certainty, d.Proof)
		}
	}
}
