package probe

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// compileTLS takes over how the dialect speaks TLS, and what the settings change of that.
func (p *Plan) compileTLS(c triage.CheckTLS) {
	rule := p.Dialect.TLS
	p.tls = rule.Config()
	p.name, p.sni, p.verify = c.ServerName, rule.SNI || c.ServerName != "", rule.Verify
	switch c.Verify {
	case triage.Yes:
		p.verify, p.strict = true, true
	case triage.No:
		p.verify = false
	}
	if p.KeepTLS || p.verify && !rule.Verify {
		// A session that is taken up again shows the certificate of the handshake that began it, and never one that the
		// target has got since. Where the dialect verifies by itself, it is as the dialect does.
		p.tls.ClientSessionCache = nil
	}
	if c.MinVersion > 0 {
		p.tls.MinVersion, p.tls.MaxVersion = c.MinVersion, max(c.MinVersion, rule.Max)
	}
	if pair, err := tls.X509KeyPair(c.Certificate.Text(), c.Key.Text()); err == nil {
		p.tls.Certificates = []tls.Certificate{pair}
	}
	if ca := c.CA.Text(); len(ca) > 0 {
		p.Roots = x509.NewCertPool()
		p.Roots.AppendCertsFromPEM(ca)
	}
	switch {
	case p.Protocol.IsHTTP2():
		p.tls.NextProtos = []string{alpnHTTP2}
	case p.Protocol != triage.TLS:
		p.tls.NextProtos = rule.ALPN
	}
}

// tlsProtocols are those that a handshake offers.
func (p *Plan) tlsProtocols() []string {
	if p.tls == nil {
		return nil
	}
	return p.tls.NextProtos
}

// alpnHTTP2 is the protocol's name in ALPN (RFC 9113 section 3.2).
const alpnHTTP2 = "h2"

// tlsConfig is the configuration of the handshake that begins now. Where all targets are asked alike it is shared.
func (s *Session) tlsConfig(now time.Time) *tls.Config {
	p := s.plan
	if !p.sni && !p.verify && !p.KeepTLS {
		return p.tls
	}
	c := p.tls.Clone()
	name := s.serverName()
	if p.sni && s.bare == "" {
		c.ServerName = name // crypto/tls sends none for an address
	}
	if p.verify || p.KeepTLS {
		c.VerifyConnection = func(state tls.ConnectionState) error { return s.inspect(state, name, now) }
	}
	return c
}

// serverName is what the target is called, for its certificate: its address if nobody has given it a name.
func (s *Session) serverName() string {
	switch {
	case s.plan.name != "":
		return s.plan.name // net/http's clients keep it where redirects lead
	case s.journey != nil:
		return s.journey.url.Hostname()
	}
	return cmp.Or(s.plan.typed(s.x.Key), s.x.Address.Addr().Unmap().WithZone("").String())
}

// inspect looks at what the handshake has shown. It returns an error where the check ends for it.
func (s *Session) inspect(state tls.ConnectionState, name string, now time.Time) error {
	if !s.plan.sni && !s.plan.strict {
		name = "" // as HAProxy 2.6.12 was measured to do: without check-sni it looks at the chain alone
	}
	err := verify(state.PeerCertificates, name, s.plan.Roots, now)
	if s.plan.KeepTLS {
		s.tls.facts = tlsFacts(state, err)
		s.x.TLS = s.tls.facts
	}
	if err == nil || !s.plan.verify {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
}

// withoutName is a second try of a handshake that has failed, for dialects that then leave the server's name away.
func (s *Session) withoutName(o triage.Outcome, detail string, at time.Time) (a Action, again bool) {
	name := s.serverName()
	if _, err := netip.ParseAddr(name); err == nil || !s.plan.Dialect.TLS.AgainBare || s.bare != "" {
		return Action{}, false
	}
	s.bare = fmt.Sprintf("without a server name (SNI); with %s: %s", name, cmp.Or(detail, o.Info().Sentence))
	return s.again(at), true
}

// verify reports whether a chain of certificates, the target's own first, leads to a root, is valid now, and is for the
// name. With "" the name does not matter.
func verify(chain []*x509.Certificate, name string, roots *x509.CertPool, now time.Time) error {
	o := x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}

// tlsFacts is what of a handshake an exchange keeps.
func tlsFacts(state tls.ConnectionState, untrusted error) *triage.TLSFacts {
	own := state.PeerCertificates[0]
	f := &triage.TLSFacts{
		Version:   tls.VersionName(state.Version),
		Cipher:    tls.CipherSuiteName(state.CipherSuite),
		ALPN:      state.NegotiatedProtocol,
		Resumed:   state.DidResume,
		Subject:   own.Subject.String(),
		Names:     append([]string{}, own.DNSNames...),
		Issuer:    own.Issuer.String(),
		NotBefore: own.NotBefore,
		NotAfter:  own.NotAfter,
	}
	for _, a := range own.IPAddresses {
		f.Names = append(f.Names, a.String())
	}
	if untrusted != nil {
		f.Untrusted = untrusting(untrusted)
	}
	return f
}

// untrusting is why a certificate is not accepted.
func untrusting(err error) string { return strings.TrimPrefix(err.Error(), "x509: ") }
