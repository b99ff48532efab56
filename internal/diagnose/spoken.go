package diagnose

import (
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
)

// speaksHTTP2 reports whether a question in something else was answered with how HTTP/2 begins: with a frame of settings
// on stream 0 that acknowledges nothing (RFC 9113 section 3.4). Go's TLS stops after five bytes, which the detail quotes.
func (c *kase) speaksHTTP2() bool {
	came := c.x.Head
	switch c.x.Outcome {
	case triage.NotHTTP:
		return len(came) >= 9 && came[0] == 0 && came[1] == 0 && came[2]%6 == 0 && string(came[3:9]) == "\x04\x00\x00\x00\x00\x00"
	case triage.TLSNotSpoken:
		return strings.Contains(c.x.Detail, `"\x00\x00`) && strings.HasSuffix(c.x.Detail, `\x04\x00"`)
	}
	return false
}

// expectsTLS reports whether an answer in plain http says that the port expects TLS, in the words of nginx, Go or Apache.
func (c *kase) expectsTLS() bool {
	return c.x.Status == 400 && !c.encrypted() && (c.bodyHas("plain HTTP request was sent to HTTPS port") ||
		c.bodyHas("Client sent an HTTP request to an HTTPS server") || c.bodyHas("speaking plain HTTP to an SSL-enabled server port"))
}

// wantsCertificate reports whether the target wants a certificate of its clients, in the words of nginx or by an alert of
// TLS 1.3 (RFC 8446 section 6.2).
func (c *kase) wantsCertificate() bool {
	return c.x.Status == 400 && c.bodyHas("No required SSL certificate was sent") ||
		c.x.Outcome == triage.TLSRefused && strings.Contains(c.x.Detail, "certificate required")
}

// answersGRPC reports whether a question that is no call of gRPC was answered in gRPC.
func (c *kase) answersGRPC() bool {
	return c.overHTTP2() && !c.overGRPC() && strings.Contains(string(c.x.Head), "\r\ncontent-type: application/grpc")
}

// asking is the sentence for a port that was asked in another protocol than its own; "" where that is not known.
func (c *kase) asking() string {
	switch {
	case c.answersInTLS():
		return "the port answers in TLS, and this check asks " + c.plainly()
	case c.expectsTLS():
		return "the port expects TLS, and this check asks " + c.plainly()
	case c.speaksHTTP2() && c.x.Outcome == triage.TLSNotSpoken:
		return "the port speaks HTTP/2 without TLS, and this check speaks TLS"
	case c.speaksHTTP2():
		return "the port speaks HTTP/2, and this check asks in HTTP/1.1"
	}
	return ""
}

// inHTTP2 proposes to ask a port that speaks HTTP/2 so. Servers of gRPC cannot be told apart before they are asked.
func (c *kase) inHTTP2() string {
	return fmt.Sprintf("ask in HTTP/2, or in gRPC if it is that:\n    triage check %s://%s%s\n    triage check %s://%s",
		c.overTLS(triage.H2C, triage.H2), c.x.Address, c.target(), c.overTLS(triage.GRPC, triage.GRPCS), c.x.Address)
}

// overTLS is the second protocol where the check went through TLS, else the first.
func (c *kase) overTLS(plain, encrypted triage.Protocol) triage.Protocol {
	if c.encrypted() {
		return encrypted
	}
	return plain
}

// proxyHeader names what the target may expect before the request, and does not get.
func (c *kase) proxyHeader() string {
	if c.x.Proxy != triage.NoProxy {
		return "no PROXY header"
	}
	return "a PROXY header"
}

// nextAfterTLSRefused is for an alert of the target during the handshake.
func nextAfterTLSRefused(c *kase) string {
	switch {
	case c.wantsCertificate():
		return showCertificate
	case strings.Contains(c.x.Detail, "protocol version"):
		return "it wants another version of TLS than this check offers; to see which:\n    openssl s_client -connect " + c.x.Address.String()
	case strings.Contains(c.x.Detail, "unrecognized name"):
		return "it does not know the server name (SNI), or wants one: --server-name NAME sends another"
	}
	return "the target may want another version of TLS, a server name (SNI) or a certificate of the client"
}

const showCertificate = "the target wants a certificate of its clients: --cert FILE and --key FILE show one, if the load balancer has one"

// nextAfterUntrusted is for a certificate that the check does not accept.
func nextAfterUntrusted(c *kase) string {
	switch {
	case strings.Contains(c.x.Detail, "valid for"), strings.Contains(c.x.Detail, "IP SANs"):
		return "it is for another name than the check expects: --server-name NAME asks for another"
	case strings.Contains(c.x.Detail, "expired"):
		return "renew it; or is a clock wrong?"
	}
	return "if the issuer is your own: --cacert FILE tries with its certificate"
}
