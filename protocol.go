package triage

import (
	"fmt"
	"strings"
)

// Protocol is how a health check or a listener talks.
type Protocol string

// The protocols. AWS's Classic Load Balancer calls TLS "SSL"; [ParseProtocol] takes both.
const (
	TCP   Protocol = "tcp"   // passes when the connection is made
	TLS   Protocol = "tls"   // passes when the TLS handshake completes
	HTTP  Protocol = "http"  // passes when the answer's status code matches
	HTTPS Protocol = "https" // HTTP inside TLS
)

// ParseProtocol reads a protocol's name in any case. "ssl" is AWS's older word for tls.
func ParseProtocol(s string) (Protocol, error) {
	switch p := Protocol(strings.ToLower(s)); p {
	case TCP, TLS, HTTP, HTTPS:
		return p, nil
	case "ssl":
		return TLS, nil
	}
	return "", fmt.Errorf("unknown protocol %q: use tcp, tls, http or https", s)
}

// Encrypted reports whether the protocol begins with a TLS handshake.
func (p Protocol) Encrypted() bool { return p == TLS || p == HTTPS }

// Asks reports whether the protocol sends an HTTP request, so that path, host and success codes mean something.
func (p Protocol) Asks() bool { return p == HTTP || p == HTTPS }
