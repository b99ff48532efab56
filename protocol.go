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
	H2    Protocol = "h2"    // HTTP/2 inside TLS, agreed on by ALPN
	H2C   Protocol = "h2c"   // HTTP/2 without TLS, and without asking first ("prior knowledge", RFC 9113 section 3.3)
	GRPC  Protocol = "grpc"  // a gRPC health check, without TLS
	GRPCS Protocol = "grpcs" // a gRPC health check inside TLS
)

var protocols = []Protocol{TCP, TLS, HTTP, HTTPS, H2, H2C, GRPC, GRPCS}

// Protocols returns the protocols that a health check can have.
func Protocols() []Protocol { return append([]Protocol(nil), protocols...) }

// ParseProtocol reads a protocol's name in any case. "ssl" is AWS's older word for tls.
func ParseProtocol(s string) (Protocol, error) {
	lower := Protocol(strings.ToLower(s))
	if lower == "ssl" {
		return TLS, nil
	}
	for _, p := range protocols {
		if p == lower {
			return p, nil
		}
	}
	return "", fmt.Errorf("unknown protocol %q: use tcp, tls, http, https, h2, h2c, grpc or grpcs", s)
}

// Encrypted reports whether the protocol begins with a TLS handshake.
func (p Protocol) Encrypted() bool { return p == TLS || p == HTTPS || p == H2 || p == GRPCS }

// Asks reports whether the protocol sends an HTTP request, so that path and host mean something.
func (p Protocol) Asks() bool { return p != "" && p != TCP && p != TLS }

// IsGRPC reports whether the protocol is a gRPC health check, so that a service and gRPC's status codes mean something.
func (p Protocol) IsGRPC() bool { return p == GRPC || p == GRPCS }

// IsHTTP2 reports whether the protocol is HTTP/2 whatever the target would like better.
func (p Protocol) IsHTTP2() bool { return p == H2 || p == H2C || p.IsGRPC() }
