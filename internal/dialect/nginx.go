package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const nginxModule = "nginx documentation, ngx_http_upstream_hc_module, 2026"

// nginxPlus is the directive health_check. Open-source nginx has no active checks: whoever asks for nginx means this, or
// has no health check.
var nginxPlus = Spec{
	Name:      triage.NginxPlus,
	Aliases:   []string{"nginx", "nginxplus"},
	Title:     "NGINX Plus",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS, triage.GRPC, triage.GRPCS},

	HTTP10: true,
	Host:   HostCluster,
	Headers: []Header{
		{"Host", HostValue},
		{"Connection", "close"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyFirst, Limit: 256 << 10},
	GRPC:       GRPCRule{LegalCodes: triage.MatchGRPC(0, 99)},

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 5 * time.Second, Timeout: 60 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1,
		EndToStart:   true,
	},
	First: FirstHealthy,

	Shows: "Result",
	words: plain,
	Facts: []Fact{
		{"protocols", "HTTP, and gRPC with type=grpc, which asks the health service; grpc_service names a service in it", Documented, nginxModule},
		{"protocols", "grpc_status takes one code, such as 12, that passes as well, for servers without the health service", Documented, nginxModule},
		{"protocols", "TCP in the stream module", Documented, "nginx documentation, ngx_stream_upstream_hc_module, 2026"},
		{"protocols", "gRPC in TLS where the location has grpc_pass grpcs://, codes of 0-99, and no User-Agent", Assumed, ""},
		{"request", "GET of uri, / by default", Documented, nginxModule},
		{"request", "over HTTP/1.0 with Host and Connection: close and no User-Agent, and with what proxy_set_header of the location adds; the product is commercial, and nobody has captured it here", Assumed, ""},
		{"host", "the name of the upstream, unless proxy_set_header says otherwise", Assumed, ""},
		{"codes", "2xx and 3xx pass, unless match has a status", Documented, nginxModule},
		{"redirects", "not followed; a 3xx passes by default", Assumed, ""},
		{"body", "the first 256 KB are looked at where match has a body", Documented, nginxModule},
		{"body", "unknown: whether they are read where it has none; they are", Assumed, ""},
		{"tls", "as proxy_ssl_ settings of the location say; by default not verified and no server name (SNI); TLS 1.2 and 1.3", Assumed, ""},
		{"close", "a new connection for each check unless keepalive_time is set", Documented, nginxModule},
		{"timing", "interval 5 s, fails 1, passes 1", Documented, nginxModule},
		{"timing", "timeout 60 s, as proxy_connect_timeout and proxy_read_timeout", Assumed, ""},
		{"timing", "unknown: what the interval counts from; the end of a check", Assumed, ""},
		{"states", "healthy, unless the check is mandatory", Documented, nginxModule},
		{"words", "unknown: what NGINX Plus shows for a failed check; the plain words of the outcome", Assumed, ""},
		{"not here", "open-source nginx, which has no active checks: it only counts failed requests (max_fails)", Documented, "nginx documentation, Using nginx as HTTP load balancer"},
		{"not here", "match with headers and texts, mandatory and persistent, jitter", Documented, nginxModule},
	},
}
