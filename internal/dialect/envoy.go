package dialect

import (
	"crypto/tls"

	"github.com/triage-lb/triage"
)

const (
	envoyAPI  = "Envoy API, core/v3 HealthCheck, 2026-01"
	envoyGRPC = "Envoy, gRPC health checker, 2026"
)

// envoy is a cluster's HTTP, TCP or gRPC health check.
var envoy = Spec{
	Name:      triage.Envoy,
	Aliases:   []string{"envoy-proxy"},
	Title:     "Envoy",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS, triage.H2, triage.H2C, triage.GRPC, triage.GRPCS},

	Host:  HostCluster,
	Agent: "Envoy/HC",
	Headers: []Header{
		{"host", HostValue},
		{"user-agent", "Envoy/HC"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(100, 599),
	GRPC:       GRPCRule{Deadline: true},
	Proxy:      []triage.ProxyProtocol{triage.ProxyV1, triage.ProxyV2},

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{MinThreshold: 1, EndToStart: true},
	First:  FirstHealthy,

	Shows: "Envoy says",
	words: failureType,
	Facts: []Fact{
		{"protocols", "TCP, HTTP by the codec HTTP1 or HTTP2, and gRPC, each in TLS if the cluster's transport socket says so", Documented, envoyAPI},
		{"protocols", "without TLS the codec HTTP2 is spoken without asking first (prior knowledge)", Assumed, ""},
		{"protocols", "gRPC is POST to the health service with te, content-type, user-agent Envoy/HC, grpc-timeout and the name of the cluster as authority; status 0 and SERVING pass", Documented, envoyGRPC},
		{"protocols", "a PROXY header of version 1 or 2 can come before a check over TCP (proxy_protocol_config)", Documented, envoyAPI},
		{"protocols", "unknown: the addresses in that header; in version 1 the true ones, in version 2 none (LOCAL)", Assumed, ""},
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
		{"words", "in gRPC, whatever is answered and does not pass is ACTIVE, and a stream that is reset is NETWORK", Documented, envoyGRPC},
		{"words", "else which failure is of which type: what is answered and does not pass ACTIVE, a deadline NETWORK_TIMEOUT, all else NETWORK", Assumed, ""},
		{"not here", "a status that is neither expected nor retriable ejects at once, whatever the threshold, and the first pass is enough", Documented, envoyAPI},
		{"not here", "HTTP/3; send and receive texts; degraded hosts; no_traffic_interval; the abortive close of TCP checks", Documented, envoyAPI},
		{"protocols", "gRPC's fields in the order of grpc-go, and the time limit (grpc-timeout) in its units; Envoy writes milliseconds", Assumed, ""},
		{"not here", "panic mode: with fewer than half of the hosts healthy, all are used", Documented, "Envoy documentation, Panic threshold"},
	},
}
