package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

const (
	azureLBGuide    = "Azure documentation, Load Balancer health probes"
	azureAppGWGuide = "Azure documentation, Application Gateway health monitoring"
)

// azureLB is Azure Load Balancer's health probe.
var azureLB = Spec{
	Name:      triage.AzureLB,
	Aliases:   []string{"azure", "azurelb", "azure-load-balancer", "aks"},
	Title:     "Azure Load Balancer",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Agent: "Load Balancer Agent",
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "Load Balancer Agent"},
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 200),

	TLS: TLSRule{Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 15 * time.Second, MinInterval: 5 * time.Second,
		Timeout: 15 * time.Second, MaxTimeout: 30 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 1},
		MinThreshold: 1,
	},

	Shows: "Result",
	words: plain,
	Facts: []Fact{
		{"protocols", "TCP, HTTP and, by the Standard SKU, HTTPS", Documented, azureLBGuide},
		{"request", "GET over HTTP/1.1 with User-Agent Load Balancer Agent, from 168.63.129.16", Captured, "a public access log"},
		{"request", "unknown: other headers; none is sent but Host, before the User-Agent", Assumed, ""},
		{"host", "unknown: address and port, the port left out on 80 and 443", Assumed, ""},
		{"codes", "exactly 200 passes; nothing else can be set", Documented, azureLBGuide},
		{"redirects", "not followed: any answer but 200 fails", Documented, azureLBGuide},
		{"body", "unknown: how much of an answer is read; it is read to its end", Assumed, ""},
		{"tls", "unknown: whether the certificate is verified, the versions, and whether a name is sent; not verified, TLS 1.2 and 1.3, no name (SNI)", Assumed, ""},
		{"close", "an orderly close in four steps, for TCP", Documented, azureLBGuide},
		{"timing", "interval 15 s by the API and as logged, 5 s by the guide; 5 s at least", Documented, azureLBGuide + "; API, ProbePropertiesFormat"},
		{"timing", "timeout the interval, 30 s at most", Documented, azureLBGuide},
		{"timing", "unknown: the default of probeThreshold, which counts in both directions; 1", Assumed, ""},
		{"timing", "unknown: what the interval counts from; start to start", Assumed, ""},
		{"states", "down until a probe has passed", Documented, azureLBGuide},
		{"words", "unknown: what Azure shows for a failed probe; the plain words of the outcome", Assumed, ""},
		{"not here", "all certificates of the chain need SHA-256 or better; longer waits for an endpoint that comes and goes", Documented, azureLBGuide},
		{"not here", "no HTTP probes on ports 19, 21, 25, 70, 110, 119, 143, 220 and 993", Documented, azureLBGuide},
	},
}

// azureAppGW is Application Gateway's default probe.
var azureAppGW = Spec{
	Name:      triage.AzureAppGW,
	Aliases:   []string{"appgw", "agw", "appgateway", "application-gateway", "azure-application-gateway"},
	Title:     "Azure Application Gateway",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS},

	Host:         HostLoopback,
	Headers:      []Header{{"Host", HostValue}},
	HostSettable: true,

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(100, 599),
	Body:       BodyRule{Need: BodyFirst, Limit: 4090},

	TLS: TLSRule{Verify: true, Min: tls.VersionTLS12, Max: tls.VersionTLS13},

	Timing: Timing{
		Interval: 30 * time.Second, Timeout: 30 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 1, Unhealthy: 3},
		MinThreshold: 1,
	},

	Shows: "Result",
	words: plain,
	Facts: []Fact{
		{"protocols", "HTTP and HTTPS", Documented, azureAppGWGuide},
		{"request", "unknown: the User-Agent, the version and all headers but Host; HTTP/1.1 with Host alone is sent", Assumed, ""},
		{"host", "127.0.0.1 by the default probe; a custom probe has its own host, or that of the backend setting", Documented, azureAppGWGuide},
		{"codes", "200-399 passes; others can be set", Documented, azureAppGWGuide},
		{"codes", "unknown: which codes can be set; 100-599", Assumed, ""},
		{"redirects", "not followed; a 3xx passes by default", Assumed, ""},
		{"body", "unknown: whether content is read where no text is asked of it; the first 4,090 bytes are", Assumed, ""},
		{"tls", "by version 2 the certificate is verified; here, its chain and not its names", Assumed, ""},
		{"tls", "by version 2 the probe's host is the server name (SNI); with 127.0.0.1 there is none, since an address never is one", Documented, azureAppGWGuide},
		{"tls", "unknown: the versions; TLS 1.2 and 1.3", Assumed, ""},
		{"close", "unknown: an orderly close", Assumed, ""},
		{"timing", "interval 30 s, timeout 30 s, unhealthy after 3, healthy after 1", Documented, azureAppGWGuide},
		{"timing", "unknown: the ranges, and what the interval counts from; start to start", Assumed, ""},
		{"states", "unknown: the state before the first probe; no traffic", Assumed, ""},
		{"words", "unknown: what Azure shows for a failed probe; the plain words of the outcome", Assumed, ""},
		{"not here", "a text that must be in the first 4,090 characters; version 1, which asks again at once after a failure", Documented, azureAppGWGuide},
		{"not here", "the name (SNI) of a custom probe's host", Documented, azureAppGWGuide},
	},
}
