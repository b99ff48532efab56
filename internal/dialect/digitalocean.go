package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	digitalOceanController = "digitalocean-cloud-controller-manager, service annotations, 2026"
	digitalOceanSupport    = "DigitalOcean documentation, support article and glossary"
)

// digitalOcean is the health check of a DigitalOcean Load Balancer.
var digitalOcean = Spec{
	Name:      triage.DigitalOcean,
	Aliases:   []string{"do", "doks", "digital-ocean"},
	Title:     "DigitalOcean Load Balancer",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Headers: []Header{{"Host", HostValue}},

	Codes:      triage.MatchCodes(200, 299),
	LegalCodes: triage.MatchCodes(200, 299),
	Proxy:      []triage.ProxyProtocol{triage.ProxyV1},

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 10 * time.Second, MinInterval: 3 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: 3 * time.Second, MaxTimeout: 300 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 5, Unhealthy: 3},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "Result",
	words: plain,
	Facts: []Fact{
		{"protocols", "TCP, HTTP and HTTPS", Documented, "DigitalOcean API, load balancer health check"},
		{"protocols", "with PROXY protocol on, the port of the check gets the header too", Documented, digitalOceanController},
		{"protocols", "unknown: its version, and its bytes; version 1 with the true addresses", Assumed, ""},
		{"request", "GET over HTTP/1.1", Documented, digitalOceanSupport},
		{"request", "unknown: the User-Agent and all headers; Host alone is sent", Assumed, ""},
		{"host", "unknown: address and port, the port left out on 80 and 443", Assumed, ""},
		{"codes", "200-299 by the support article, 200-399 by the glossary; the narrower is taken", Documented, digitalOceanSupport},
		{"redirects", "unknown: not followed, so a 3xx fails", Assumed, ""},
		{"body", "unknown: how much of an answer is read; it is read to its end", Assumed, ""},
		{"tls", "unknown: whether the certificate is verified, the versions, and whether a name is sent; not verified, TLS 1.2 and 1.3, no name (SNI)", Assumed, ""},
		{"close", "unknown: an orderly close", Assumed, ""},
		{"timing", "interval 10 s in the API's example, 3 s by the Kubernetes controller, 3-300 s", Documented, "DigitalOcean API, load balancer health check; " + digitalOceanController},
		{"timing", "timeout 5 s (3-300 s), healthy after 5, unhealthy after 3 (2-10)", Documented, digitalOceanController},
		{"timing", "unknown: what the interval counts from; start to start", Assumed, ""},
		{"states", "down until passed; if no droplet is healthy, clients get 503", Documented, digitalOceanSupport},
		{"words", "unknown: what DigitalOcean shows for a failed check; the plain words of the outcome", Assumed, ""},
		{"not here", "a PROXY header that is on for traffic and off for checks is what an API field of 2024 is for; here it is on where it is asked for", Documented, "godo pull request 700, 2024"},
	},
}
