package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	haproxyLoopback = "HAProxy 2.6.12 on loopback"
	haproxyManual   = "HAProxy configuration manual, 3.5-dev, 2026"
)

// haproxy is a server with check, and with option httpchk alone where the check is over HTTP.
var haproxy = Spec{
	Name:      triage.HAProxy,
	Aliases:   []string{"httpchk", "option-httpchk", "haproxy-http10", "hap"},
	Title:     "HAProxy, option httpchk",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS, triage.H2, triage.H2C},

	Method: "OPTIONS",
	HTTP10: true,
	Host:   HostNone,
	HTTP2:  HTTP2Rule{NoAuthority: true},
	Form:   true, // nobody else asks without any header

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyUnread},

	Proxy: haproxyProxy,
	TLS:   haproxyTLS,
	Close: CloseRST,

	Timing: haproxyTiming,
	First:  FirstHealthy,

	Shows: "Log says",
	words: checkStatus,
	Facts: append([]Fact{
		{"request", "OPTIONS over HTTP/1.0 without any header, and with the path / if none is given: 22 bytes", Measured, haproxyLoopback},
		{"host", "there is no Host header", Measured, haproxyLoopback},
		{"not here", "over TCP alone the last step of the handshake is held back, so that the server's accept never returns; triage completes the handshake, as HAProxy does where it has a PROXY header to send", Measured, haproxyLoopback},
	}, haproxyFacts...),
}

// haproxyHTTP11 is what most configurations of today have: http-check send with a method, a path, HTTP/1.1 and Host.
var haproxyHTTP11 = Spec{
	Name:      triage.HAProxyHTTP11,
	Aliases:   []string{"haproxy-send", "http-check-send", "haproxy-http", "haproxy-get"},
	Title:     "HAProxy, http-check send over HTTP/1.1",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS, triage.H2, triage.H2C},

	Host: HostTyped,
	Headers: []Header{
		{"host", HostValue},
		{"connection", "close"},
	},
	HTTP2:    HTTP2Rule{NoAuthority: true},
	Form:     true,
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyUnread},

	Proxy: haproxyProxy,
	TLS:   haproxyTLS,
	Close: CloseRST,

	Timing: haproxyTiming,
	First:  FirstHealthy,

	Shows: "Log says",
	words: checkStatus,
	Facts: append([]Fact{
		{"request", "http-check send meth GET uri PATH ver HTTP/1.1 hdr Host NAME: header names in lower case, connection: close, no User-Agent and no Accept", Measured, haproxyLoopback},
		{"host", "what is written after hdr Host, and nothing if nothing is, to which most servers answer 400", Measured, haproxyLoopback},
		{"host", "the name as typed is taken, with the port unless that is 80 or 443", Assumed, ""},
		{"not here", "http-check send-state, which adds the header x-haproxy-server-state", Measured, haproxyLoopback},
	}, haproxyFacts...),
}

// haproxyProxy is what check-send-proxy sends, by the server's send-proxy or send-proxy-v2.
var haproxyProxy = []triage.ProxyProtocol{triage.ProxyV1, triage.ProxyV2}

// OpenSSL offers the RSA key exchanges too, which crypto/tls does not unless it is told to.
var haproxyTLS = TLSRule{
	Verify: true, Min: tls.VersionTLS10, Max: tls.VersionTLS13, Resume: true,
	Suites: append([]uint16{
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}, policy201608...),
}

var haproxyTiming = Timing{
	Interval: 2 * time.Second, Timeout: 2 * time.Second,
	Thresholds:   triage.Thresholds{Healthy: 2, Unhealthy: 3},
	MinThreshold: 1,
	EndToStart:   true,
}

// haproxyFacts is what holds for every check of HAProxy.
var haproxyFacts = []Fact{
	{"protocols", "TCP, or HTTP with httpchk, each in TLS with check-ssl or for a server that has ssl", Documented, haproxyManual},
	{"protocols", "HTTP/2 with check-proto h2, or in TLS with check-alpn h2", Documented, haproxyManual},
	{"protocols", "over HTTP/2 there is no :authority, :scheme is https without TLS too, and host is a field where the check has one", Measured, haproxyLoopback},
	{"protocols", "check-send-proxy puts the server's PROXY header before a check: of version 1 with the true addresses and ports, of version 2 the 16 bytes of LOCAL without any", Measured, haproxyLoopback},
	{"codes", "200-399 passes unless http-check expect says otherwise", Documented, haproxyManual},
	{"codes", "302 passes", Measured, haproxyLoopback},
	{"redirects", "never followed", Documented, haproxyManual},
	{"body", "the head decides: content that does not come, is cut short, or has no length changes nothing", Measured, haproxyLoopback},
	{"tls", "the certificate is verified unless the server says verify none", Documented, haproxyManual},
	{"tls", "a server name (SNI) only with check-sni, or check-sni-auto in newer versions", Documented, haproxyManual},
	{"tls", "TLS 1.0 to 1.3 offered, no server name; a session is taken up again by the thread that had it", Measured, haproxyLoopback},
	{"tls", "the certificate must lead to a root of ca-file; its names are compared with check-sni only", Measured, haproxyLoopback},
	{"close", "by a reset (RST) once there is an answer", Measured, haproxyLoopback},
	{"timing", "inter 2 s, fall 3, rise 2; without timeout check, inter bounds the whole check", Documented, haproxyManual},
	{"timing", "from the end of a check to the next: with an answer after 1 s, 3 s from start to start", Measured, haproxyLoopback},
	{"timing", "fastinter and downinter while the state changes and while down: the interval unless they are set", Documented, haproxyManual},
	{"states", "up before the first check", Measured, haproxyLoopback},
	{"words", "codes and descriptions of check_status", Documented, "HAProxy management guide, 3.5-dev, 2026"},
	{"words", "L4CON for a refused connection, L7TOUT for silence, SOCKERR for a reset, L7RSP for a close, garbage or a head too large, L7STS for a wrong status or header, L7RSP for a wrong content; L6RSP for all that ends a TLS handshake, L6TOUT for silence in it", Measured, haproxyLoopback},
	{"words", "L4TOUT and all other failures, by the layer that they are of", Assumed, ""},
	{"not here", "a chunk that is malformed and comes with the head fails (L7RSP)", Measured, haproxyLoopback},
	{"not here", "one failure before the first pass takes a server down at once, and the first pass brings it fully up", Measured, haproxyLoopback},
	{"not here", "http-check expect that must not match, tcp-check scripts, agent-check, observe, spread-checks", Documented, haproxyManual},
}
