package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	route53Guide = "Route 53 developer guide, How Route 53 determines whether an endpoint is healthy, 2023"
	route53Model = "Route 53 API model, 2013-04-01"
)

// route53 is one of Route 53's health checkers: each asks from another place, and together they decide.
var route53 = Spec{
	Name:      triage.Route53,
	Aliases:   []string{"r53", "route-53", "aws-route53"},
	Title:     "Amazon Route 53",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Host:  HostTyped,
	Agent: "Amazon-Route53-Health-Check-Service",
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Amazon-Route53-Health-Check-Service (ref 00000000-0000-0000-0000-000000000000; report http://amzn.to/1vsZADi)"},
	},
	HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(200, 399),
	Body:       BodyRule{Need: BodyUnread},

	TLS: TLSRule{SNI: true, AgainBare: true, Min: tls.VersionTLS10, Max: tls.VersionTLS12},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 10 * time.Second, MaxInterval: 30 * time.Second,
		Timeout: 6 * time.Second, MinTimeout: 6 * time.Second, MaxTimeout: 6 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 3, Unhealthy: 3},
		MinThreshold: 1, MaxThreshold: 10,
		EndToStart: true,
	},
	First: FirstHealthy,

	Shows: "AWS shows",
	words: checkerStatus,
	Facts: []Fact{
		{"protocols", "TCP, HTTP and HTTPS; string matching, calculated checks and those of metrics and of recovery control are types of their own", Documented, route53Model},
		{"request", "GET over HTTP/1.1 with Host and a User-Agent that names the health check: (ref ID; report http://amzn.to/1vsZADi)", Captured, "several public access logs"},
		{"request", "no other headers; one log behind an AWS edge has accept and accept-encoding too, which may be the edge's", Assumed, ""},
		{"host", "the domain name, followed by the port unless that is 80 for HTTP or 443 for HTTPS; the address if there is no name", Documented, route53Model + ", FullyQualifiedDomainName"},
		{"codes", "2xx and 3xx pass; they cannot be set", Documented, route53Guide},
		{"redirects", "not followed; a 3xx passes", Documented, route53Guide},
		{"body", "the status decides; content is read only to find a string in it", Documented, route53Guide},
		{"tls", "the certificate is not verified: an expired one passes", Documented, route53Guide},
		{"tls", "the name is sent (SNI) if EnableSNI is on", Documented, route53Model},
		{"tls", "with EnableSNI, a handshake that fails because the name does not fit is tried again without the name", Documented, route53Model + ", EnableSNI"},
		{"tls", "EnableSNI is taken as on, and any handshake that fails as one to try again, on a new connection", Assumed, ""},
		{"tls", "TLS 1.0 to 1.2, by the API model; the guide says 1.0 or later", Documented, route53Model},
		{"close", "the connection is closed after the answer", Assumed, ""},
		{"timing", "4 s to connect and then 2 s for the status; 6 s is taken for both together", Documented, route53Guide},
		{"timing", "the interval is 10 s or 30 s, from an answer to the next request", Documented, route53Model},
		{"timing", "one threshold for both directions", Documented, route53Model},
		{"states", "a new check is healthy until there is data, or unhealthy if it is inverted", Documented, route53Guide},
		{"words", "what a checker reports: Success or Failure with the status and its phrase", Captured, "public output of get-health-check-status"},
		{"words", "for a connection not made in time, and for a refused handshake", Documented, "AWS knowledge center, Route 53 health checks; " + route53Model + ", EnableSNI"},
		{"words", "for other failures, the plain words of the outcome", Assumed, ""},
		{"not here", "the vote: healthy while more than 18 % of the checkers say so", Documented, route53Guide},
		{"not here", "string matching in the first 5,120 bytes, within 2 s more; and the 10 s that a TCP check has to connect", Documented, route53Guide},
		{"not here", "private addresses cannot be checked by Route 53, and can by triage", Documented, route53Model + ", IPAddress"},
	},
}
