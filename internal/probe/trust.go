package probe

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// tlsConfig is the configuration of the handshake that begins now. Where all targets are asked alike it is shared.
func (s *Session) tlsConfig(now time.Time) *tls.Config {
	p, rule := s.plan, s.plan.Dialect.TLS
	if !rule.SNI && !rule.Verify && !p.KeepTLS {
		return p.tls
	}
	c := p.tls.Clone()
	name := s.x.Address.Addr().Unmap().WithZone("").String()
	switch {
	case s.journey != nil:
		name = s.journey.url.Hostname()
	case p.typed(s.x.Key) != "":
		name = p.typed(s.x.Key)
	}
	if rule.SNI {
		c.ServerName = name // crypto/tls sends none for an address
	}
	if rule.Verify || p.KeepTLS {
		c.VerifyConnection = func(state tls.ConnectionState) error { return s.inspect(state, name, now) }
	}
	return c
}

// inspect looks at what the handshake has shown. It returns an error where the dialect would end the handshake for it.
func (s *Session) inspect(state tls.ConnectionState, name string, now time.Time) error {
	if !s.plan.Dialect.TLS.SNI {
		name = "" // as HAProxy 2.6.12 was measured to do: without check-sni it looks at the chain alone
	}
	err := verify(state.PeerCertificates, name, s.plan.Roots, now)
	if s.plan.KeepTLS {
		s.x.TLS = tlsFacts(state, err)
	}
	if err == nil || !s.plan.Dialect.TLS.Verify {
		return nil
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
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
