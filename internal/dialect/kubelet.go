package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	kubeCapture = "a capture of kube-probe/1.32 in a pod on port 80, metalbear.com, 2025"
	kubeHTTP    = "kubernetes, pkg/probe/http, 2026"
	kubeGRPC    = "kubernetes, pkg/probe/grpc, 2026"
	kubeAPI     = "Kubernetes API, core/v1 Probe, 2026"
)

// kubelet is an httpGet, a tcpSocket or a grpc probe of a Kubernetes node.
var kubelet = Spec{
	Name:      triage.Kubelet,
	Aliases:   []string{"k8s", "kubernetes", "kube", "kube-probe"},
	Title:     "Kubernetes kubelet",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS, triage.H2C, triage.GRPC, triage.GRPCS},

	Host:  HostAddressPort,
	Agent: "kube-probe/",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "kube-probe/1.32"},
		{"Accept", "*/*"},
		{"Connection", "close"},
	},
	Settable: true, HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(200, 399),
	Redirects:  RedirectsSameHost,
	Body:       BodyRule{Need: BodyFirst, Limit: 10 << 10},
	GRPC:       GRPCRule{Agent: "kube-probe/1.32 grpc-go/1.65.0", Deadline: true},

	TLS: TLSRule{ALPN: offerHTTP2, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 10 * time.Second, MinInterval: time.Second,
		Timeout: time.Second, MinTimeout: time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 3},
		MinThreshold: 1,
	},

	Shows: "Event",
	words: podEvent,
	Facts: []Fact{
		{"protocols", "tcpSocket, httpGet with the scheme HTTP or HTTPS, and grpc, without TLS", Documented, kubeAPI},
		{"protocols", "grpc asks the health service; SERVING passes", Documented, kubeGRPC},
		{"protocols", "grpc's fields and their order", Measured, grpcClient},
		{"protocols", "grpc's User-Agent is kube-probe/MAJOR.MINOR and that of grpc-go, of which Kubernetes 1.32 has 1.65.0", Documented, kubeGRPC + "; k8s.io/apiserver 0.32, go.mod"},
		{"protocols", "httpGet over HTTP/2 without TLS, and grpc in TLS that is not verified: newer, and behind feature gates", Documented, "kubernetes, pkg/probe/h2c, 2026; " + kubeAPI},
		{"request", "over HTTP/2 user-agent and accept, in either order", Measured, goClient},
		{"request", "GET over HTTP/1.1 with Host, User-Agent kube-probe/MAJOR.MINOR, Accept and Connection: close, in this order and case", Captured, kubeCapture},
		{"request", "httpHeaders adds header lines, and an empty value removes User-Agent or Accept", Documented, kubeHTTP},
		{"host", "the pod's address with the port, on port 80 too", Captured, kubeCapture},
		{"host", "unless httpHeaders has a Host", Documented, kubeHTTP},
		{"codes", "200-399 passes; nothing else can be set", Documented, kubeHTTP},
		{"redirects", "followed to the same host name; one to another host passes with the event ProbeWarning", Documented, kubeHTTP},
		{"redirects", "a 10th answer that redirects fails (stopped after 10 redirects); Kubernetes' documentation says that an 11th passes with a warning, and its own test of the code says that a loop fails", Documented, kubeHTTP + ", http_test.go"},
		{"body", "10 KiB at most are read, then the connection is closed", Documented, kubeHTTP},
		{"tls", "the certificate is not verified", Documented, kubeHTTP},
		{"tls", "no server name (SNI) to an address; TLS 1.2 and 1.3 offered", Measured, goClient},
		{"tls", "HTTP/2 is offered (ALPN) unless the node's environment has DISABLE_HTTP2", Documented, "kubernetes, apimachinery pkg/util/net, 2026"},
		{"close", "a new connection for each probe, closed with SO_LINGER of 1 s", Documented, "kubernetes, pkg/probe/http and pkg/probe, 2026"},
		{"timing", "every 10 s, timeout 1 s, healthy after 1, unhealthy after 3; each 1 at least", Documented, kubeAPI},
		{"timing", "by a ticker: start to start", Documented, "kubernetes, pkg/kubelet/prober, 2026"},
		{"states", "before its first result a readiness probe counts as failed, a liveness probe as passed, a startup probe as unknown; readiness is taken", Documented, "kubernetes, pkg/kubelet/prober, 2026"},
		{"words", "HTTP probe failed with statuscode, in an event Unhealthy", Documented, kubeHTTP},
		{"words", "service unhealthy (responded with …) and the errors of grpc probes", Documented, kubeGRPC},
		{"words", "where there was no answer the event has Go's error text; here, the plain words of the outcome", Assumed, ""},
		{"not here", "host: in a probe, which changes the address too", Documented, kubeHTTP},
		{"not here", "a probe that ends in the kubelet's own error is tried up to 3 times and then dropped", Documented, "kubernetes, pkg/kubelet/prober, 2026"},
	},
}
