package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	gcpCapture   = "a capture in a GKE pod on port 80, metalbear.com, 2025"
	gcpReference = "gcloud reference, compute health-checks create"
	gcpProvider  = "Terraform provider google, compute_health_check"
)

// gcp is the health check of Google Cloud's load balancers, and of GKE's, which are the same.
var gcp = Spec{
	Name:      triage.GCP,
	Aliases:   []string{"gclb", "gke", "google", "google-cloud"},
	Title:     "Google Cloud Load Balancing",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS, triage.H2, triage.GRPC, triage.GRPCS},

	Host:  HostAddressOnly,
	Agent: "GoogleHC/",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "GoogleHC/1.0"},
		{"Connection", "Keep-alive"},
	},
	HostSettable: true,

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 200),
	Body:       BodyRule{Need: BodyFirst, Limit: 1024},
	Proxy:      []triage.ProxyProtocol{triage.ProxyV1},

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 5 * time.Second, MinInterval: time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: time.Second, MaxTimeout: 300 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 2, Unhealthy: 2},
		MinThreshold: 1, MaxThreshold: 10,
	},

	Shows: "GCP shows",
	words: detailedHealthState,
	Facts: []Fact{
		{"protocols", "TCP, SSL, HTTP, HTTPS, HTTP2, gRPC, and gRPC with TLS", Documented, gcpReference},
		{"protocols", "HTTP2 is HTTP/2 in TLS", Assumed, ""},
		{"protocols", "gRPC asks the health service about the server as a whole, or about the service that is named", Documented, "Compute API, GRPCHealthCheck"},
		{"protocols", "gRPC passes with the status OK and SERVING alone", Assumed, ""},
		{"protocols", "proxy-header PROXY_V1 puts a PROXY header of version 1 before a check, but for gRPC", Documented, gcpReference},
		{"protocols", "unknown: what that header says; the true addresses", Assumed, ""},
		{"request", "unknown: the fields over HTTP/2 and gRPC; the same as over HTTP/1.1, and in gRPC the User-Agent alone", Assumed, ""},
		{"request", "GET over HTTP/1.1 with Host, User-Agent GoogleHC/1.0 and Connection: Keep-alive, in this order and case", Captured, gcpCapture},
		{"host", "the address that the check goes to, without the port on port 80", Captured, gcpCapture},
		{"host", "the address that the check goes to, unless host is set; which one that is depends on the type of load balancer", Documented, gcpReference},
		{"host", "no port on other ports than 80 either", Assumed, ""},
		{"codes", "exactly 200 passes; nothing else can be set", Documented, gcpReference},
		{"redirects", "not followed: a 3xx fails", Assumed, ""},
		{"body", "unknown: whether content is read where no text is asked of it; the first 1,024 bytes are", Assumed, ""},
		{"tls", "the certificate is not verified", Documented, "Google's documentation, as quoted in kubernetes/kubernetes issue 84797"},
		{"tls", "unknown: the versions, and whether a server name is sent; TLS 1.2 and 1.3, and no name (SNI)", Assumed, ""},
		{"close", "closed after each check, although the request says Keep-alive", Captured, gcpCapture},
		{"timing", "interval 5 s, timeout 5 s and not above the interval, both thresholds 2", Documented, gcpProvider},
		{"timing", "the ranges: 1-300 s and 1-10; the interval counts from start to start", Assumed, ""},
		{"states", "a new backend is unhealthy until it has passed", Assumed, ""},
		{"words", "the values of DetailedHealthState; Google does not say why", Documented, "Compute API, DetailedHealthState"},
		{"words", "which failures are TIMEOUT: those whose time ran out", Assumed, ""},
		{"not here", "response: a text that must be in the first 1,024 bytes; request and response of TCP and SSL checks", Documented, gcpReference},
		{"not here", "several probers ask each backend at once", Assumed, ""},
	},
}
