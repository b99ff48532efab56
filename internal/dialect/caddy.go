package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	caddyLoopback = "Caddy 2.6.2 on loopback"
	caddySource   = "caddy, reverseproxy health checks, 2026"
)

// caddy is the active health check of reverse_proxy.
var caddy = Spec{
	Name:      triage.Caddy,
	Aliases:   []string{"caddyserver"},
	Title:     "Caddy",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS, triage.H2C},

	Host:  HostTypedPort,
	Agent: "Go-http-client/",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Go-http-client/1.1"},
		{"Accept-Encoding", "gzip"},
	},
	HTTP2:    HTTP2Rule{Headers: goClientHTTP2},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 299),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyUnread},

	TLS: TLSRule{Verify: true, SNI: true, ALPN: offerHTTP2, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 30 * time.Second, Timeout: 5 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1,
	},
	First: FirstHealthy,

	Shows: "Log says",
	words: hostEvent,
	Facts: []Fact{
		{"protocols", "HTTP and HTTPS; with h2c among the transport's versions, HTTP/2 without asking first (prior knowledge)", Measured, caddyLoopback},
		{"request", "over HTTP/2 accept-encoding, and User-Agent Go-http-client/2.0", Measured, caddyLoopback},
		{"request", "GET over HTTP/1.1 with Host, User-Agent Go-http-client/1.1 and Accept-Encoding: gzip", Measured, caddyLoopback},
		{"request", "method and headers can be set", Documented, caddySource},
		{"host", "the upstream as it is dialled, host and port, on port 80 too", Measured, caddyLoopback},
		{"codes", "2xx passes, or expect_status: one code, or a class of them", Documented, caddySource},
		{"redirects", "not followed, so a 3xx fails, unless follow_redirects is on", Documented, caddySource},
		{"redirects", "the older 2.6.2 follows 10 at most, dialling the same upstream", Measured, caddyLoopback},
		{"body", "the head decides; the body is read only after the verdict, unless expect_body is set", Measured, caddyLoopback},
		{"tls", "as the proxy's transport says; verified by default", Documented, "caddy, reverseproxy HTTP transport, 2026"},
		{"tls", "TLS 1.2 and 1.3 offered, HTTP/2 too (ALPN), and the name sent (SNI)", Measured, caddyLoopback},
		{"close", "kept for the next check; here, closed in order", Measured, caddyLoopback},
		{"timing", "interval 30 s, timeout 5 s, passes 1, fails 1, by a ticker: start to start; all upstreams at once", Documented, caddySource},
		{"states", "healthy before the first check, which is at start", Documented, caddySource},
		{"words", "the events healthy and unhealthy; the log's host is up and HTTP request failed", Documented, caddySource},
		{"words", "status code out of tolerances for a wrong status, unexpected status code where expect_status is set; response body failed expectations, failed to read response body", Documented, caddySource},
		{"words", "for other failures of an answer, the plain words of the outcome", Assumed, ""},
		{"not here", "passes and fails are counted without regard to the results between them, although they are documented as consecutive", Documented, caddySource},
		{"not here", "HTTP/3; and a PROXY header, for which a check has no client: with proxy_protocol set, checks fail", Documented, "caddy, reverseproxy HTTP transport, 2026"},
		{"not here", "expect_body, a request body, and an upstream other than the one that gets traffic", Documented, caddySource},
	},
}
