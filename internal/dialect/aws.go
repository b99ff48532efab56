package dialect

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Sources of more than one fact. The guides on GitHub end in June 2023.
const (
	albGuide     = "ALB user guide, Health checks for your target groups, 2023"
	albHealthLog = "ALB user guide, Health check logs, 2025"
	albLog       = "a server's log of a check to port 80, 2020"
	nlbGuide     = "NLB user guide, Health checks for your target groups, 2023"
	clbGuide     = "CLB user guide, Configure health checks, 2023; elb API model, 2012-06-01"
	clbCaptures  = "two independent captures, on ports 1234 and 8080, 2017 and 2018, which agree"
)

// alb is the Application Load Balancer.
var alb = Spec{
	Name:      triage.AWSALB,
	Aliases:   []string{"alb", "elbv2"},
	Title:     "AWS Application Load Balancer",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS, triage.H2, triage.H2C, triage.GRPC, triage.GRPCS},

	Agent: "ELB-HealthChecker/2.0",
	Form:  true,
	Headers: []Header{
		{"Host", HostValue},
		{"Connection", "close"},
		{"User-Agent", "ELB-HealthChecker/2.0"},
		{"Accept-Encoding", "gzip, compressed"}, // "compressed", not "compress": as seen
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 499),
	GRPC: GRPCRule{
		Method: "/AWS.ALB/healthcheck", Settable: true,
		Codes: triage.MatchGRPC(12, 12), LegalCodes: triage.MatchGRPC(0, 99),
	},

	TLS: TLSRule{Min: tls.VersionTLS10, Max: tls.VersionTLS13, Suites: policy201608},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: 2 * time.Second, MaxTimeout: 120 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 5, Unhealthy: 2},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "AWS shows",
	words: targetHealth,
	Facts: []Fact{
		{"protocols", "HTTP and HTTPS, in the protocol version of the target group: HTTP1, HTTP2 or GRPC", Documented, albGuide},
		{"protocols", "HTTP2 and GRPC without TLS are spoken without asking first (prior knowledge), and in TLS are agreed on by ALPN", Assumed, ""},
		{"protocols", "gRPC is asked for /AWS.ALB/healthcheck, which no server has: 12 passes, and 0-99 can be set, as can the method", Documented, albGuide + "; elbv2 API model, 2026, Matcher"},
		{"request", "GET over HTTP/1.1 with Host, Connection: close, User-Agent ELB-HealthChecker/2.0 and Accept-Encoding: gzip, compressed, in this order", Captured, albLog},
		{"request", "the case of the header names: the capture shows them in lower case, the guide capitalised", Assumed, ""},
		{"request", "unknown: the fields over HTTP/2 and gRPC; the same as over HTTP/1.1, and in gRPC the User-Agent alone, with an empty message", Assumed, ""},
		{"host", "the target's private address, followed by the port of the check", Documented, "ALB user guide, Troubleshoot, 2023"},
		{"host", "on port 80 the address alone, although the guide has the port there too", Captured, albLog},
		{"host", "Host without the port on 443, and on 80 beyond the one capture", Assumed, ""},
		{"codes", "200 passes; 200-499 can be set, as codes, lists and ranges", Documented, albGuide},
		{"redirects", "not followed: a 3xx passes only if it is among the success codes", Documented, albGuide},
		{"body", "an answer without Content-Length and without chunks is accepted, and content is read to its end", Assumed, ""},
		{"tls", "the certificate is not verified: self-signed and expired ones pass", Documented, "ALB user guide, Target groups, 2023"},
		{"tls", "ELBSecurityPolicy-2016-08, or ELBSecurityPolicy-TLS13-1-0-2021-06 where the listener has a TLS 1.3 policy", Documented, "ALB user guide, Target groups, and HTTPS listeners, 2023"},
		{"tls", "no server name (SNI) in the TLS hello; TLS 1.3 offered, as for listeners with a TLS 1.3 policy", Assumed, ""},
		{"close", "a new connection for each check, which the load balancer closes", Documented, albGuide},
		{"timing", "the interval does not depend on how long an answer takes: start to start", Documented, albGuide},
		{"timing", "the timeout must be below the interval", Documented, "error text of the service, public issues of aws-cdk"},
		{"timing", "timeout 5 s by default; the API model of 2026 says 6 s for HTTP and 10 s for HTTPS", Documented, albGuide + "; elbv2 API model, 2026"},
		{"states", "a new target is initial until its first check; one pass makes it healthy", Documented, albGuide},
		{"states", "every node of the load balancer checks every target; if all are unhealthy, requests go to all of them", Documented, albGuide},
		{"words", "reason codes and descriptions of DescribeTargetHealth", Documented, albGuide},
		{"words", "for a gRPC status that does not match, those of a status code that does not", Assumed, ""},
		{"not here", "the health-check log, which has reason codes of its own: TimedOut, ConnectionReset, ResponseCodeMismatch, ResponseStringMismatch, TargetError for 5xx, GRPCStatusHeaderEmpty, GRPCUnexpectedStatus, InternalError", Documented, albHealthLog},
		{"not here", "lambda targets", Documented, albGuide},
	},
}

// nlb is the Network Load Balancer.
var nlb = Spec{
	Name:      triage.AWSNLB,
	Aliases:   []string{"nlb"},
	Title:     "AWS Network Load Balancer",
	Protocols: []triage.Protocol{triage.TCP, triage.HTTP, triage.HTTPS},

	Host: HostNode,
	Headers: []Header{
		{"Host", HostValue},
		{"Connection", "close"},
	},

	Codes:      triage.MatchCodes(200, 399),
	LegalCodes: triage.MatchCodes(200, 599),

	Proxy: []triage.ProxyProtocol{triage.ProxyV2},
	// LOCAL, but with a family, and 84 bytes that a target must skip: a checksum (CRC-32C of the whole header) and padding.
	ProxyLocal: "\r\n\r\n\x00\r\nQUIT\n" + "\x20\x11\x00\x54" + "\x03\x00\x04\xbc\xe5\x95\x1f" + "\x04\x00\x4a" + strings.Repeat("\x00", 74),

	TLS: TLSRule{Min: tls.VersionTLS10, Max: tls.VersionTLS12, Suites: policy201608},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 6 * time.Second, MinTimeout: 2 * time.Second, MaxTimeout: 120 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 5, Unhealthy: 2},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "AWS shows",
	words: networkHealth,
	Facts: []Fact{
		{"protocols", "TCP, HTTP and HTTPS, of UDP services too", Documented, nlbGuide},
		{"protocols", "with proxy protocol version 2 on, a header that names no client comes before each check", Documented, "NLB user guide, Target groups, 2023"},
		{"protocols", "that header is LOCAL with the family of TCP over IPv4, and 84 bytes of checksum and padding behind it", Captured, "kubernetes/kubernetes issue 57250, 2019; its checksum is right"},
		{"request", "unknown: the version, the User-Agent and all headers but Host; HTTP/1.1 with Connection: close and no User-Agent is sent", Assumed, ""},
		{"host", "the address of the load balancer's node and the port of its listener, not those of the target", Documented, nlbGuide},
		{"codes", "200-399 passes; 200-599 can be set", Documented, nlbGuide + "; elbv2 API model, 2026"},
		{"redirects", "not followed; a 3xx passes by default", Assumed, ""},
		{"body", "unknown: how much of an answer is read; it is read to its end", Assumed, ""},
		{"tls", "a check over HTTPS fails if the target speaks TLS 1.3 only", Documented, nlbGuide},
		{"tls", "the certificate is not verified: self-signed and expired ones pass", Documented, "NLB user guide, Target groups, 2023"},
		{"tls", "unknown: the cipher suites, and whether a server name is sent; those of an ALB, and no name (SNI)", Assumed, ""},
		{"close", "the node closes the connection after the check", Documented, nlbGuide},
		{"timing", "timeout 6 s for HTTP, 10 s for TCP and HTTPS; 6 s is taken for all", Documented, nlbGuide},
		{"timing", "the nodes check together, so a target gets more checks than the interval says", Documented, nlbGuide},
		{"timing", "the interval counts from start to start, as an ALB's", Assumed, ""},
		{"states", "a new target is initial until its first check", Documented, "elbv2 API model, 2026"},
		{"states", "if all targets of all zones are unhealthy, connections go to all of them", Documented, nlbGuide},
		{"words", "an unhealthy target has the reason Target.FailedHealthChecks only", Documented, nlbGuide},
		{"not here", "passive checks, and the connectivity tests of TLS listeners", Documented, nlbGuide},
	},
}

// clb is the Classic Load Balancer.
var clb = Spec{
	Name:      triage.AWSCLB,
	Aliases:   []string{"clb", "elb", "aws-elb", "classic"},
	Title:     "AWS Classic Load Balancer",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS},

	Agent: "ELB-HealthChecker/1.0",
	Form:  true,
	Headers: []Header{
		{"host", HostValue}, // in lower case, the others not: as captured
		{"User-Agent", "ELB-HealthChecker/1.0"},
		{"Accept", "*/*"},
		{"Connection", "keep-alive"},
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 200),
	Body:       BodyRule{Need: BodyFramed},

	TLS: TLSRule{Min: tls.VersionTLS10, Max: tls.VersionTLS12, Suites: policy201608},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: 2 * time.Second, MaxTimeout: 60 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 10, Unhealthy: 2},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "AWS shows",
	words: instanceHealth,
	Facts: []Fact{
		{"protocols", "TCP, SSL, HTTP and HTTPS", Documented, clbGuide},
		{"request", "GET over HTTP/1.1 with host, User-Agent ELB-HealthChecker/1.0, Accept and Connection: keep-alive, in this order and case", Captured, clbCaptures},
		{"host", "the target's private address and the port of the check", Captured, clbCaptures},
		{"host", "Host without the port on 80 and 443: the captures are of other ports", Assumed, ""},
		{"codes", "exactly 200 passes; nothing else can be set", Documented, clbGuide},
		{"redirects", "not followed: any answer but 200 fails", Documented, clbGuide},
		{"body", "an answer with content must say its length or come in chunks", Documented, "CLB user guide, Troubleshoot: health checks, 2023"},
		{"tls", "the certificate is not verified, unless a policy for back-end authentication compares its public key", Documented, "CLB user guide, Troubleshoot: health checks, 2023"},
		{"tls", "no server name (SNI) in the TLS hello; TLS 1.0 to 1.2 offered", Assumed, ""},
		{"close", "the connection is closed after the answer: AWS documents neither that nor the reuse of it", Assumed, ""},
		{"timing", "a check each interval, however long the answer takes: start to start; the timeout must be below the interval", Documented, clbGuide},
		{"timing", "thresholds are reached at their number of results in a row; one sentence of the guide says exceeded", Documented, clbGuide},
		{"states", "a new instance is OutOfService until one check has passed; one that has failed needs the healthy threshold", Documented, "CLB user guide, Troubleshoot: registering instances, 2023"},
		{"states", "each node of the load balancer decides alone; if no instance is healthy, clients get 503", Documented, "CLB user guide, CloudWatch metrics, 2023"},
		{"words", "state and description of DescribeInstanceHealth, which never says why", Documented, "elb API model, 2012-06-01"},
		{"not here", "back-end server authentication", Documented, "CLB user guide, Troubleshoot: health checks, 2023"},
	},
}

// policy201608 is ELBSecurityPolicy-2016-08, which the guide names for connections to targets, as far as
// crypto/tls can speak it. It holds the RSA key exchanges that Go leaves out by default: a target that offers
// nothing better passes the real check, so it must pass ours.
var policy201608 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}
