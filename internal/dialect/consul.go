package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const consulSource = "consul, agent/checks, 2026"

// consul is an HTTP, TCP or gRPC check of a Consul agent.
var consul = Spec{
	Name:      triage.Consul,
	Aliases:   []string{"hashicorp-consul"},
	Title:     "Consul",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS, triage.GRPC, triage.GRPCS},

	Host:  HostTyped,
	Agent: "Consul Health Check",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Consul Health Check"},
		{"Accept", "text/plain, text/*, */*"},
		{"Accept-Encoding", "gzip"},
		{"Connection", "close"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 299),
	LegalCodes: triage.MatchCodes(200, 299),
	Redirects:  RedirectsFollowed,
	GRPC:       GRPCRule{Agent: grpcGo, Authority: HostTypedPort, Deadline: true},

	TLS: TLSRule{Verify: true, SNI: true, ALPN: offerHTTP2, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		MinInterval:  time.Second,
		Timeout:      10 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1,
		EndToStart:   true,
	},

	Shows: "Status",
	words: catalogStatus,
	Facts: []Fact{
		{"protocols", "TCP and gRPC, each with TLS if that is set, and HTTP and HTTPS", Documented, consulSource},
		{"protocols", "gRPC asks the health service about what stands behind the slash of the target; SERVING passes", Documented, consulSource},
		{"protocols", "gRPC's fields and their order", Measured, grpcClient},
		{"request", "GET with User-Agent Consul Health Check and Accept: text/plain, text/*, */*; method, headers and content can be set", Documented, consulSource},
		{"request", "the order of the headers, and Accept-Encoding and Connection", Measured, goClient},
		{"host", "host and port of the check's URL", Documented, consulSource},
		{"codes", "200-299 is passing; nothing else can be set", Documented, consulSource},
		{"redirects", "followed, 10 at most, unless disable_redirects is set", Documented, consulSource},
		{"body", "read to its end; the last 4 KB are kept", Documented, consulSource},
		{"tls", "verified unless tls_skip_verify is set", Documented, consulSource},
		{"tls", "HTTP/2 is offered (ALPN)", Documented, "go-cleanhttp, DefaultTransport, 2026, which Consul's checks use"},
		{"tls", "the name as typed is sent (SNI), an address never; TLS 1.2 and 1.3", Measured, goClient},
		{"close", "a new connection for each check", Measured, goClient},
		{"timing", "the interval has no default and is 1 s at least; timeout 10 s", Documented, consulSource},
		{"timing", "from the end of a check to the next; the first at a random point of the interval", Documented, consulSource},
		{"timing", "failures_before_critical and success_before_passing are 0: one result decides", Documented, consulSource},
		{"states", "critical before the first check", Assumed, ""},
		{"words", "passing, warning for 429, critical for all else, with the serving status of gRPC", Documented, consulSource},
		{"not here", "warning is a state of its own in Consul; here 429 fails", Documented, consulSource},
		{"not here", "h2ping, which sends a PING frame of HTTP/2 and no request; script, TTL, UDP, Docker and alias checks", Documented, consulSource},
	},
}
