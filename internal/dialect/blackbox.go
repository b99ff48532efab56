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
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS, triage.GRPC, triage.GRPCS},

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
	GRPC:       GRPCRule{Agent: "grpc-go/1.33.3", Authority: HostServerName},

	TLS: TLSRule{Verify: true, SNI: true, ALPN: offerHTTP2, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{Timeout: 9500 * time.Millisecond},

	Shows: "Metrics",
	words: probeSuccess,
	Facts: []Fact{
		{"protocols", "TCP, with TLS if that is set, HTTP and HTTPS, and gRPC with and without TLS", Documented, blackboxSource},
		{"protocols", "gRPC asks the health service, with service and metadata if they are set; SERVING passes", Documented, blackboxSource},
		{"protocols", "gRPC's fields and their order, User-Agent grpc-go/1.33.3, and the authority with the port, but in TLS without", Measured, blackboxLoopback},
		{"request", "over HTTP/2 the User-Agent alone", Measured, blackboxLoopback},
		{"request", "GET over HTTP/1.1 with Host, User-Agent Blackbox Exporter/0.23.0 and Connection: close", Measured, blackboxLoopback},
		{"request", "later versions write Blackbox-Exporter/VERSION, with a hyphen; headers can be set", Documented, blackboxSource},
		{"host", "host and port of the target; a name stays, although its address is dialled", Documented, blackboxSource},
		{"codes", "2xx passes, or valid_status_codes", Documented, blackboxSource},
		{"redirects", "followed, unless follow_redirects is false", Documented, blackboxSource},
		{"body", "read to its end", Documented, blackboxSource},
		{"tls", "verified; the target's name is sent (SNI)", Documented, blackboxSource},
		{"tls", "TLS 1.2 and 1.3 offered, HTTP/2 too (ALPN) unless enable_http2 is false, and no session taken up again", Measured, blackboxLoopback},
		{"close", "a new connection for each probe, closed with FIN, over TCP after a full handshake", Measured, blackboxLoopback},
		{"timing", "it probes when it is scraped: it has neither interval nor thresholds", Documented, blackboxSource},
		{"timing", "timeout the scrape's less 0.5 s, and 120 s if the scrape does not say", Documented, blackboxSource},
		{"timing", "a scrape timeout of 10 s, as is Prometheus' default", Assumed, ""},
		{"states", "none before the first probe", Documented, blackboxSource},
		{"words", "the names of the metrics", Measured, blackboxLoopback},
		{"words", "probe_failed_due_to_cel, of later versions", Documented, blackboxSource},
		{"not here", "an 11th request: it follows ten redirects, and judges the code of what redirects once more", Documented, blackboxSource},
		{"not here", "cookies that are kept across redirects, and no server name (SNI) after a redirect to another host or port", Documented, blackboxSource},
		{"not here", "a Host header that is set is the server name (SNI) too; here, tls_server_name sets that", Documented, blackboxSource},
		{"not here", "no time limit in gRPC: a target that is silent is waited for", Documented, blackboxSource},
		{"not here", "regular expressions over content and headers that must not match, valid_http_versions, HTTP/3", Documented, blackboxSource},
		{"not here", "query_response of TCP, and ICMP, DNS, Unix and WebSocket probes", Documented, blackboxSource},
	},
}
