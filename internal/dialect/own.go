package dialect

import (
	"crypto/tls"
	"time"

	"github.com/triage-lb/triage"
)

// own is how triage serve asks.
var own = Spec{
	Name:      triage.Own,
	Title:     "triage",
	Protocols: triage.Protocols(),

	Agent:        "triage-health-check/1",
	Form:         true,
	HostSettable: true,
	Headers: []Header{
		{"Host", HostValue},
		{"User-Agent", "triage-health-check/1"},
		{"Accept", "*/*"},
		{"Connection", "close"},
	},

	Codes:      triage.MatchCodes(200, 200),
	LegalCodes: triage.MatchCodes(100, 599),
	GRPC:       GRPCRule{LegalCodes: triage.MatchGRPC(0, 99)},
	Proxy:      []triage.ProxyProtocol{triage.ProxyV1, triage.ProxyV2},

	TLS: TLSRule{
		Min: tls.VersionTLS10, Max: tls.VersionTLS13,
		// Without the post-quantum exchange, which protects a secret that a health check does not have, costs a fifth of
		// a handshake's time and makes the first message too long for some servers' one read.
		Curves: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521},
		Resume: true,
	},
	Close: CloseRST,

	Timing: Timing{
		Interval: 5 * time.Second, MinInterval: triage.MinInterval, MaxInterval: triage.MaxInterval,
		Timeout: 2 * time.Second, MinTimeout: triage.MinTimeout, MaxTimeout: triage.MaxInterval,
		Thresholds:   triage.Thresholds{Healthy: 2, Unhealthy: 2},
		MinThreshold: 1, MaxThreshold: triage.MaxThreshold,
	},

	Shows: "Reason",
	words: targetHealth,
	Facts: []Fact{
		{"words", "the reasons of an AWS target group", Documented, "elbv2 API model, 2026"},
	},
}
