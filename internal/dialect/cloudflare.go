package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const cloudflareGuide = "Cloudflare documentation, Load Balancing monitors, 2026"

// cloudflare is a monitor of Cloudflare Load Balancing, as one data centre asks.
var cloudflare = Spec{
	Name:      triage.Cloudflare,
	Aliases:   []string{"cf", "cloudflare-lb", "cloudflare-load-balancing"},
	Title:     "Cloudflare Load Balancing",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Host:  HostTyped,
	Agent: "Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/",
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/1.0; +https://www.cloudflare.com/traffic-manager/; pool-id: 0123456789abcdef)"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyFirst, Limit: 100_000_000},

	TLS: TLSRule{Verify: true, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 60 * time.Second, MinInterval: 10 * time.Second,
		Timeout:      5 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1,
	},

	Shows: "Reason",
	words: failureReason,
	Facts: []Fact{
		{"protocols", "TCP, HTTP and HTTPS; ICMP-PING, UDP-ICMP and SMTP, which are not here", Documented, "Cloudflare provider of Terraform, load_balancer_monitor"},
		{"request", "GET with a User-Agent that ends in the first 16 characters of the pool's id and cannot be changed; method and headers can be set", Documented, cloudflareGuide},
		{"request", "unknown: other headers, and their order; none but Host, before the User-Agent, over HTTP/1.1", Assumed, ""},
		{"host", "the endpoint's host header, else the monitor's, else the endpoint's address as it is written", Documented, cloudflareGuide},
		{"host", "with the port unless that is 80 or 443", Assumed, ""},
		{"codes", "expected_codes: a code, a class such as 2xx, or a list", Documented, cloudflareGuide},
		{"codes", "unknown: the default; 200", Assumed, ""},
		{"redirects", "not followed, so 301 and 302 are unhealthy, unless follow_redirects is on", Documented, cloudflareGuide},
		{"body", "the first 100 MB are looked at where expected_body is set", Documented, cloudflareGuide},
		{"body", "unknown: whether they are read where it is not; they are", Assumed, ""},
		{"tls", "verified unless allow_insecure is on", Documented, cloudflareGuide},
		{"tls", "unknown: the versions, and whether a server name is sent; TLS 1.2 and 1.3, no name (SNI), and so the certificate may be for any", Assumed, ""},
		{"close", "for TCP, by FIN or RST; here, in order", Documented, cloudflareGuide},
		{"timing", "at least 60 s, 15 s or 10 s between checks, by plan; 10 s is taken", Documented, cloudflareGuide},
		{"timing", "interval 60 s, timeout 5 s; unknown: consecutive_up and consecutive_down, 1 each, and what the interval counts from, start to start", Assumed, ""},
		{"states", "unknown until the first result", Documented, cloudflareGuide},
		{"states", "an endpoint that is unknown gets no traffic", Assumed, ""},
		{"words", "the reasons of health monitor events", Documented, "Cloudflare documentation, Load Balancing common error codes, 2026"},
		{"words", "for failures of TLS and malformed answers, the plain words of the outcome", Assumed, ""},
		{"not here", "the vote: three data centres of a region, then a majority of regions", Documented, cloudflareGuide},
		{"not here", "expected_body, and retries, which follow a timeout at once", Documented, cloudflareGuide},
	},
}
