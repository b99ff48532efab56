package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	blackboxLoopback = "blackbox_exporter 0.23.0 on loopback"
	blackboxSource   = "blackbox_exporter, prober, 2026"
)

// blackbox is Prometheus' exporter for probes from outside: no load balancer, but often the one whose alarm it is.
var blackbox = Spec{
	Name:      triage.Blackbox,
	Aliases:   []string{"blackbox_exporter", "blackbox-exporter", "prometheus"},
	Title:     "Prometheus blackbox_exporter",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS},

	Host:  HostTyped,
	Agent: "Blackbox",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Blackbox Exporter/0.23.0"},
		{"Connection", "close"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 299),
	LegalCodes: triage.MatchCodes(100, 599),
	Redirects:  RedirectsFollowed,

	TLS: TLSRule{Verify: true, SNI: true, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{Timeout: 9500 * time.Millisecond},

	Shows: "Metrics",
	words: probeSuccess,
	Facts: []Fact{
		{"request", "GET over HTTP/1.1 with Host, User-Agent Blackbox Exporter/0.23.0 and Connection: close", Measured, blackboxLoopback},
		{"request", "later versions write Blackbox-Exporter/VERSION, with a hyphen; headers can be set", Documented, blackboxSource},
		{"host", "host and port of the target; a name stays, although its address is dialled", Documented, blackboxSource},
		{"codes", "2xx passes, or valid_status_codes", Documented, blackboxSource},
		{"redirects", "followed, 10 at most, unless follow_redirects is false", Documented, blackboxSource},
		{"body", "read to its end", Documented, blackboxSource},
		{"tls", "verified; the Host header, else the target's name is sent (SNI)", Documented, blackboxSource},
		{"tls", "TLS 1.2 and 1.3 offered, and no session taken up again", Measured, blackboxLoopback},
		{"close", "a new connection for each probe, closed with FIN, over TCP after a full handshake", Measured, blackboxLoopback},
		{"timing", "it probes when it is scraped: it has neither interval nor thresholds", Documented, blackboxSource},
		{"timing", "timeout the scrape's less 0.5 s, and 120 s if the scrape does not say", Documented, blackboxSource},
		{"timing", "a scrape timeout of 10 s, as is Prometheus' default", Assumed, ""},
		{"states", "none before the first probe", Documented, blackboxSource},
		{"words", "the names of the metrics", Assumed, ""},
		{"not here", "HTTP/2, which it speaks where the target does; regular expressions over content and headers; valid_http_versions", Documented, blackboxSource},
		{"not here", "query_response of TCP, ICMP, DNS and gRPC probes; cookies that are kept across redirects", Documented, blackboxSource},
	},
}
