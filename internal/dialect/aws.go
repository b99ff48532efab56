package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

// alb is the Application Load Balancer. Sources: Elastic Load Balancing User Guide for Application Load
// Balancers, "Health checks for your target groups" and "Troubleshoot" (2023); elbv2 API model, 2015-12-01;
// a server's log of a check to port 80 from 2020.
var alb = Spec{
	Name:      triage.AWSALB,
	Aliases:   []string{"alb"},
	Title:     "AWS Application Load Balancer",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS},

	Agent: "ELB-HealthChecker/2.0",
	Headers: []Header{
		{"Host", HostValue},
		{"Connection", "close"},
		{"User-Agent", "ELB-HealthChecker/2.0"},
		{"Accept-Encoding", "gzip, compressed"}, // "compressed", not "compress": as seen
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 499),

	TLS: TLSRule{Min: tls.VersionTLS10, Max: tls.VersionTLS13, Suites: policy201608},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: 2 * time.Second, MaxTimeout: 120 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 5, Unhealthy: 2},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "AWS shows",
	words: targetHealth,
	Assumed: []string{
		"the case of the header names: the capture shows them in lower case, the guide capitalised",
		"Host without the port on 443, and on 80 beyond the one capture",
		"an answer without Content-Length and without chunks is accepted",
		"no server name (SNI) in the TLS hello; TLS 1.3 offered, as for listeners with a TLS 1.3 policy",
	},
}

// clb is the Classic Load Balancer. Sources: User Guide for Classic Load Balancers, "Configure health checks"
// and "Troubleshoot: health checks" (2023); elb API model, 2012-06-01; two independent captures, 2017 and
// 2018, on ports 1234 and 8080, which agree on names, order and case.
var clb = Spec{
	Name:      triage.AWSCLB,
	Aliases:   []string{"clb", "elb", "aws-elb", "classic"},
	Title:     "AWS Classic Load Balancer",
	Protocols: []triage.Protocol{triage.TCP, triage.TLS, triage.HTTP, triage.HTTPS},

	Agent: "ELB-HealthChecker/1.0",
	Headers: []Header{
		{"host", HostValue}, // in lower case, the others not: as captured
		{"User-Agent", "ELB-HealthChecker/1.0"},
		{"Accept", "*/*"},
		{"Connection", "keep-alive"},
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(200, 200),
	FramedBody: true, // "Troubleshoot: health checks", cause 2

	TLS: TLSRule{Min: tls.VersionTLS10, Max: tls.VersionTLS12, Suites: policy201608},

	Timing: Timing{
		Interval: 30 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 300 * time.Second,
		Timeout: 5 * time.Second, MinTimeout: 2 * time.Second, MaxTimeout: 60 * time.Second,
		Thresholds:   triage.Thresholds{Healthy: 10, Unhealthy: 2},
		MinThreshold: 2, MaxThreshold: 10,
	},

	Shows: "AWS shows",
	words: instanceHealth,
	Assumed: []string{
		"Host without the port on 80 and 443: the captures are of other ports",
		"the connection is closed after the answer: AWS documents neither that nor the reuse of it",
		"no server name (SNI) in the TLS hello; TLS 1.0 to 1.2 offered",
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

// targetHealth speaks as DescribeTargetHealth of the elbv2 API does.
func targetHealth(o triage.Outcome, status int) Words {
	info := o.Info()
	w := Words{Code: string(info.Reason), Description: info.Reason.Describe(status)}
	if info.Verdict == triage.Pass {
		w = Words{Code: "healthy"}
	}
	return w
}

// instanceHealth speaks as DescribeInstanceHealth of the elb API does: it never says why.
func instanceHealth(o triage.Outcome, _ int) Words {
	switch o.Verdict() {
	case triage.Pass:
		return Words{Code: "InService"}
	case triage.Fail:
		return Words{"OutOfService", "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."}
	}
	return Words{"Unknown", "A transient error occurred. Please try again later."}
}
