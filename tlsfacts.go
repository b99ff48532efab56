package triage

import "time"

// TLSFacts is what a target showed of itself in a TLS handshake. It is read-only once it is in an [Exchange].
type TLSFacts struct {
	Version   string    `json:"version"`        // "TLS 1.3"
	Cipher    string    `json:"cipher"`         // IANA's name of the suite
	ALPN      string    `json:"alpn,omitempty"` // the protocol that was agreed on; "" if none was
	Resumed   bool      `json:"resumed"`        // the session of an earlier handshake; the certificate is that one's
	Subject   string    `json:"subject"`        // of the target's own certificate, as RFC 2253 writes it; often "CN=name", may be empty
	Names     []string  `json:"names"`          // the host names and addresses that it is issued for
	Issuer    string    `json:"issuer"`         // who signed it, as Subject
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Untrusted string    `json:"untrusted,omitempty"` // why whoever verifies certificates would refuse it; "" if nobody would
}
