package triage

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// CheckTLS is how a check speaks TLS where that is not as its dialect does. The zero value is as the dialect does.
type CheckTLS struct {
	ServerName  string // SNI to send, and the name that the certificate must be for where it is verified
	Verify      Choice // whether the target's certificate must lead to a trusted root and be for the name
	CA          PEM    // certificates to trust instead of the system's
	Certificate PEM    // ours, for targets that want one of their clients; its chain behind it
	Key         PEM    // of Certificate
	MinVersion  uint16 // tls.VersionTLS10 … tls.VersionTLS13; 0: the dialect's
}

// Validate returns what is wrong with the settings, each problem at the name of its key in a health check. It looks into
// the files, but not at the clock: a certificate that is no longer valid is the target's to judge.
func (t CheckTLS) Validate() Problems {
	var ps Problems
	if t.Verify > No {
		ps.errorf("tls_verify", "tls_verify is neither true nor false")
	}
	if err := checkServerName(t.ServerName); err != nil {
		ps.hintf("tls_server_name", "write the name that the target's certificate is for, without port", "%s", err)
	}
	if t.MinVersion != 0 && (t.MinVersion < tls.VersionTLS10 || t.MinVersion > tls.VersionTLS13) {
		ps.hintf("tls_min_version", tlsVersionHint, "tls_min_version %#04x is unknown", t.MinVersion)
	}
	if t.CA.File != "" {
		if err := CheckCA(t.CA); err != nil {
			ps.hintf("tls_ca_file", HintOf(err), "%s", err)
		}
	}
	t.ownCertificate(&ps)
	return ps
}

// ownCertificate checks the certificate that we show, and its key.
func (t CheckTLS) ownCertificate(ps *Problems) {
	const certificate, key = "tls_cert_file", "tls_key_file"
	switch {
	case t.Certificate.File == "" && t.Key.File == "":
		return
	case t.Key.File == "":
		ps.hintf(certificate, "write tls_key_file with the private key of the certificate", "tls_cert_file %s is of no use without tls_key_file", t.Certificate)
		return
	case t.Certificate.File == "":
		ps.hintf(key, "write tls_cert_file with the certificate of the key", "tls_key_file %s is of no use without tls_cert_file", t.Key)
		return
	}
	if !t.Certificate.holds(isCertificate) {
		ps.hintf(certificate, "it must hold the certificate that the target is shown, and behind it those that it was issued by", "%s holds no certificate in PEM but %s", t.Certificate, t.Certificate.contents())
		return
	}
	if !t.Key.holds(isKey) {
		hint := "private keys begin with -----BEGIN PRIVATE KEY-----"
		if t.Key.holds(isEncrypted) {
			hint = "triage asks for no password: openssl pkey -in " + t.Key.File + " writes the key without one"
		}
		ps.hintf(key, hint, "%s holds no private key in PEM but %s", t.Key, t.Key.contents())
		return
	}
	if _, err := tls.X509KeyPair(t.Certificate.Text(), t.Key.Text()); err != nil {
		ps.hintf(key, "the key must be the one that the certificate was asked for with",
			"%s and %s do not go together: %s", t.Certificate, t.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// CheckCA returns an error unless the file holds certificates to trust, and no other certificates that are broken.
func CheckCA(p PEM) error {
	n := 0
	for b := range p.blocks {
		if !isCertificate(b) {
			continue
		}
		n++
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return &Error{
				Kind:    KindInvalid,
				Message: fmt.Sprintf("%s: certificate %d cannot be read: %s", p, n, strings.TrimPrefix(err.Error(), "x509: ")),
				Hint:    "is the file whole?",
			}
		}
	}
	if n == 0 {
		return &Error{
			Kind:    KindInvalid,
			Message: fmt.Sprintf("%s holds no certificate in PEM but %s", p, p.contents()),
			Hint:    "certificates begin with -----BEGIN CERTIFICATE-----",
		}
	}
	return nil
}

// tlsVersions are the versions that can be written.
var tlsVersions = [...]struct {
	name    string
	version uint16
}{{"1.0", tls.VersionTLS10}, {"1.1", tls.VersionTLS11}, {"1.2", tls.VersionTLS12}, {"1.3", tls.VersionTLS13}}

const tlsVersionHint = "write 1.0, 1.1, 1.2 or 1.3"

// ParseTLSVersion reads a version of TLS: "1.0" to "1.3".
func ParseTLSVersion(s string) (uint16, error) {
	for _, v := range tlsVersions {
		if v.name == s {
			return v.version, nil
		}
	}
	return 0, &Error{Kind: KindInvalid, Message: fmt.Sprintf("TLS version %q is unknown", s), Hint: tlsVersionHint}
}

// TLSVersionText is a version as [ParseTLSVersion] reads it; "" for 0, which is none.
func TLSVersionText(version uint16) string {
	for _, v := range tlsVersions {
		if v.version == version {
			return v.name
		}
	}
	return ""
}

// checkServerName returns an error unless the text can be sent as a server name. "" is allowed.
func checkServerName(name string) error {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return fmt.Errorf("tls_server_name %q is an address, and those are not sent (RFC 6066 section 3)", name)
	}
	if len(name) > 253 {
		return fmt.Errorf("tls_server_name is longer than the 253 bytes of a name")
	}
	for _, c := range name {
		if !isWord(c, "-_.") {
			return fmt.Errorf("tls_server_name %q holds %q, which no host name has", name, c)
		}
	}
	return nil
}

// keys are the names of what is set, as they stand in a health check.
func (t CheckTLS) keys() []string {
	var keys []string
	for _, k := range [...]struct {
		key string
		set bool
	}{
		{"tls_server_name", t.ServerName != ""}, {"tls_verify", t.Verify != AsUsual}, {"tls_ca_file", t.CA.File != ""},
		{"tls_cert_file", t.Certificate.File != ""}, {"tls_key_file", t.Key.File != ""}, {"tls_min_version", t.MinVersion != 0},
	} {
		if k.set {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// Choice is a yes, a no, or neither.
type Choice uint8

// The choices.
const (
	AsUsual Choice = iota
	Yes
	No
)

// PEM is a file in the PEM format, read whole. It is comparable; two are equal if path and text are.
type PEM struct {
	File string // as a person has written it; "" if there is none
	text string
}

// NewPEM returns what a file holds.
func NewPEM(file string, text []byte) PEM { return PEM{file, string(text)} }

// Text is what the file holds. A private key may be in it: it belongs into no log.
func (p PEM) Text() []byte { return []byte(p.text) }

// String is the file's name, so that a value that is printed never shows a key.
func (p PEM) String() string { return p.File }

// GoString is as String.
func (p PEM) GoString() string { return p.File }

// blocks yields what the file holds, in its order.
func (p PEM) blocks(yield func(*pem.Block) bool) {
	for rest := p.Text(); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || !yield(block) {
			return
		}
	}
}

// isCertificate and isKey tell the blocks that [tls.X509KeyPair] takes for one and the other.
func isCertificate(b *pem.Block) bool { return b.Type == "CERTIFICATE" }

func isKey(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") && !isEncrypted(b) }

// isEncrypted reports whether a block is a key that wants a password, in the way of PKCS #8 or in the older one.
func isEncrypted(b *pem.Block) bool {
	return strings.HasPrefix(b.Type, "ENCRYPTED") || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
}

// holds reports whether one of the blocks is such.
func (p PEM) holds(is func(*pem.Block) bool) bool {
	for b := range p.blocks {
		if is(b) {
			return true
		}
	}
	return false
}

// contents names what the file holds, by the types of its blocks alone: what is in them may be a secret.
func (p PEM) contents() string {
	if p.text == "" {
		return "nothing at all"
	}
	var types []string
	for b := range p.blocks {
		what := "a block of " + strconv.QuoteToASCII(b.Type[:min(len(b.Type), 40)])
		switch {
		case isCertificate(b):
			what = "a certificate"
		case isKey(b):
			what = "a private key"
		case isEncrypted(b):
			what = "a private key with a password"
		}
		if !slices.Contains(types, what) {
			types = append(types, what)
		}
		if len(types) == 3 {
			break
		}
	}
	switch {
	case len(types) > 0:
		return strings.Join(types, " and ")
	case p.text[0] == 0x30: // an ASN.1 SEQUENCE
		return "something in DER, which openssl x509 or openssl pkey turn into PEM"
	}
	return "something else"
}
