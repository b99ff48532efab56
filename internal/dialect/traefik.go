package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	// goClient is the source of what was measured of Go's HTTP client, for products that are built on it.
	goClient = "a client of Go 1.26's net/http with the same settings, not the product itself"

	// grpcClient is the source of what was measured of Go's gRPC client.
	grpcClient = "a client of grpc-go 1.85 with the same settings, not the product itself"

	// grpcGo is the User-Agent of grpc-go where a program sets none. Products come with one version or another.
	grpcGo = "grpc-go/1.72.2"

	traefikSource    = "traefik, pkg/healthcheck, v3.7"
	traefikTransport = "traefik, pkg/server/service, v3.7"
)

// offerHTTP2 is what net/http's client offers by ALPN where HTTP/2 has been switched on: with a TLS configuration or a
// dialer of its own that takes ForceAttemptHTTP2, Protocols or golang.org/x/net/http2's ConfigureTransports.
var offerHTTP2 = []string{"h2", "http/1.1"}

// goClientHTTP2 is what net/http's client adds to a request over HTTP/2 that has no header lines of its own.
var goClientHTTP2 = []Header{{"accept-encoding", "gzip"}, {"user-agent", "Go-http-client/2.0"}}

// traefik is the health check of a service.
var traefik = Spec{
	Name:      triage.Traefik,
	Title:     "Traefik",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS, triage.H2C, triage.GRPC},

	Host:  HostTyped,
	Agent: "Go-http-client/",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Go-http-client/1.1"},
		{"Accept-Encoding", "gzip"},
	},
	HTTP2:    HTTP2Rule{Headers: goClientHTTP2},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(100, 599),
	Redirects:  RedirectsFollowed,
	Body:       BodyRule{Need: BodyUnread},
	GRPC:       GRPCRule{Agent: grpcGo, Authority: HostTypedPort, Deadline: true},

	TLS: TLSRule{Verify: true, SNI: true, ALPN: offerHTTP2, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 30 * time.Second, Timeout: 5 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1, MaxThreshold: 1,
	},
	First: FirstHealthy,

	Shows: "Log says",
	words: serverStatus,
	Facts: []Fact{
		{"protocols", "TCP and HTTP; a server or a scheme h2c is spoken to in HTTP/2 without asking first (prior knowledge)", Documented, traefikTransport},
		{"protocols", "mode grpc asks the health service, without TLS alone; status 0 and SERVING pass", Documented, traefikSource},
		{"protocols", "gRPC's fields and their order", Measured, grpcClient},
		{"request", "over HTTP/2 accept-encoding, and User-Agent Go-http-client/2.0", Measured, goClient},
		{"request", "GET over HTTP/1.1 with Host, User-Agent Go-http-client/1.1 and Accept-Encoding: gzip", Measured, goClient},
		{"request", "method and headers can be set", Documented, traefikSource},
		{"host", "host and port of the server's URL, or hostname", Documented, traefikSource},
		{"codes", "200-399 passes, or exactly the one status that is set", Documented, traefikSource},
		{"redirects", "followed, 10 at most, unless followRedirects is false", Documented, "traefik, HTTP dynamic configuration, v3.7"},
		{"body", "closed unread", Documented, traefikSource},
		{"tls", "verified unless the service's serversTransport says insecureSkipVerify", Documented, "traefik, service transport, v3.7"},
		{"tls", "HTTP/2 is offered (ALPN) unless disableHTTP2 is set", Documented, traefikTransport},
		{"tls", "the name as typed is sent (SNI), an address never; TLS 1.2 and 1.3", Measured, goClient},
		{"close", "after an answer with content, since that is left unread; kept after one without", Measured, goClient},
		{"timing", "interval 30 s, timeout 5 s, by a ticker: start to start; no thresholds, one result decides", Documented, traefikSource},
		{"states", "UP, and the first check comes after one whole interval", Documented, traefikSource},
		{"words", "UP and DOWN, and the error texts for a wrong status and for what the health service of gRPC answers", Documented, traefikSource},
		{"words", "for other failures, the plain words of the outcome", Assumed, ""},
		{"not here", "the servers of a service are checked one after another, so one that hangs delays the others", Documented, traefikSource},
		{"not here", "send and expect of TCP checks, and their thresholds; proxies of the environment; a gRPC check's service, which cannot be named", Documented, traefikSource},
	},
}
