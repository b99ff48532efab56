package control

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestCheckIsShownAsWritten: what is not set or means nothing is left out, so that the answer of a check with
// the usual settings stays short.
func TestCheckIsShownAsWritten(t *testing.T) {
	usual := triage.DefaultHealthCheck()
	paced := usual
	paced.Protocol, paced.ReuseConnection = triage.HTTP, true
	paced.UnhealthyInterval, paced.TransitionInterval, paced.Jitter = time.Minute, 3*time.Second, 500*time.Millisecond
	alb := defaultsOf(triage.AWSALB)
	unasked := paced
	unasked.Protocol = triage.TCP
	rpc := usual
	rpc.Protocol, rpc.Service, rpc.Expect.Header, rpc.ProxyProtocol, rpc.Source = triage.GRPCS, "shop.Cart", "X", triage.ProxyV1, netip.MustParseAddr("10.0.0.9")
	rpc.TLS = triage.CheckTLS{ServerName: "a.example", Verify: triage.No, MinVersion: tls.VersionTLS12, CA: triage.NewPEM("ca.pem", []byte("secret"))}
	rpc.Thresholds.Window, rpc.HoldDown = 5, triage.HoldDown{First: time.Minute, Limit: time.Hour}
	for _, tt := range []struct {
		name  string
		check triage.HealthCheck
		want  string
	}{
		{"usual", usual, `{"protocol":"tcp","port":"traffic-port","interval":"5s","timeout":"2s","healthy_threshold":2,"unhealthy_threshold":2}`},
		{"paced", paced, `{"protocol":"http","port":"traffic-port","path":"/","success_codes":"200","interval":"5s","timeout":"2s","healthy_threshold":2,"unhealthy_threshold":2,` +
			`"unhealthy_interval":"1m","transition_interval":"3s","jitter":"500ms","reuse_connection":true}`},
		{"in another dialect", alb, `{"as":"aws-alb","protocol":"http","port":"traffic-port","path":"/","success_codes":"200","interval":"30s","timeout":"5s","healthy_threshold":5,"unhealthy_threshold":2}`},
		{"no request to send", unasked, `{"protocol":"tcp","port":"traffic-port","interval":"5s","timeout":"2s","healthy_threshold":2,"unhealthy_threshold":2,` +
			`"unhealthy_interval":"1m","transition_interval":"3s","jitter":"500ms"}`},
		{"gRPC", rpc, `{"protocol":"grpcs","port":"traffic-port","grpc_codes":"0","service":"shop.Cart","expect_header":"X","tls_server_name":"a.example","tls_verify":false,` +
			`"tls_ca_file":"ca.pem","tls_min_version":"1.2","proxy_protocol":"v1","source_address":"10.0.0.9","interval":"5s","timeout":"2s","healthy_threshold":2,"unhealthy_threshold":2,` +
			`"threshold_window":5,"hold_down":"1m","hold_down_limit":"1h","hold_down_window":"10m"}`},
	} {
		if got := jsonOf(t, viewOf(tt.check)); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
