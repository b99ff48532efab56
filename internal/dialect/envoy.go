package dialect

import (
	"crypto/tls"

	"github.com/triage-lb/triage"
)

const envoyAPI = "Envoy API, core/v3 HealthCheck, 2026-01"

// envoy is a cluster's HTTP or TCP health check.
var envoy = Spec{
	Name:      triage.Envoy,
	Aliases:   []string{"envoy-proxy"},
	Title:     "Envoy",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Host:  HostCluster,
	Agent: "Envoy/HC",
	Headers: []Header{
		{"host", HostValue},
		{"user-agent", "Envoy/HC"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(100, 599),

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{MinThreshold: 1, EndToStart: true},
	First:  FirstHealthy,

	Shows: "Envoy says",
	words: failureType,
	Facts: []Fact{
		{"request", "GET over HTTP/1.1 unless another codec is chosen, with host and user-agent Envoy/HC", Documented, "Envoy, HTTP health checker, 2026; " + envoyAPI},
		{"request", "the order of the two headers, and that there are no more", Assumed, ""},
		{"host", "the name of the cluster, unless the endpoint's hostname or the check's host is set", Documented, envoyAPI},
		{"codes", "exactly 200 passes; expected_statuses takes ranges from 100 to 599", Documented, envoyAPI},
		{"redirects", "not followed: a 3xx fails", Documented, "Envoy, HTTP health checker, 2026"},
		{"body", "the answer must come to its end", Documented, envoyAPI},
		{"tls", "as the cluster's transport socket says", Documented, envoyAPI},
		{"tls", "a transport socket that names neither a CA nor a name: the certificate is not verified, and there is no server name (SNI); TLS 1.2 and 1.3", Assumed, ""},
		{"close", "kept for the next check, unless reuse_connection is false; here, closed in order", Documented, envoyAPI},
		{"timing", "timeout, interval and both thresholds have no default and must be set", Documented, envoyAPI},
		{"timing", "the timer starts again after a result: end to start", Documented, "Envoy, health checker base, 2026"},
		{"states", "unknown, which counts as healthy", Documented, envoyAPI},
		{"words", "the failure types ACTIVE, NETWORK and NETWORK_TIMEOUT of health check events, and the health status", Documented, "Envoy API, data/core/v3 HealthCheckEvent, 2026-01"},
		{"words", "which failure is of which type: a wrong status ACTIVE, a deadline NETWORK_TIMEOUT, all else NETWORK", Assumed, ""},
		{"not here", "a status that is neither expected nor retriable ejects at once, whatever the threshold, and the first pass is enough", Documented, envoyAPI},
		{"not here", "HTTP/2, HTTP/3 and gRPC; send and receive texts; degraded hosts; no_traffic_interval; the abortive close of TCP checks", Documented, envoyAPI},
		{"not here", "panic mode: with fewer than half of the hosts healthy, all are used", Documented, "Envoy documentation, Panic threshold"},
	},
}
