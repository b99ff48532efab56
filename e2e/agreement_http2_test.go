package e2e

import (
	"crypto/tls"
	"net/http"
	"slices"
	"testing"

	"github.com/triage-lb/triage"
)

// sparedHAProxy are the servers that HAProxy is not asked about: by the first, 2.6.12 ends with SIGSEGV; what it says of the
// other depends on whether the reset meets its writing or its reading.
func sparedHAProxy() []string { return []string{"DATA before HEADERS", "nothing, and resets"} }

// TestAgreementHTTP2 is TestAgreement for checks over HTTP/2 without TLS.
func TestAgreementHTTP2(t *testing.T) {
	requireTools(t)
	t.Parallel()
	servers := startSickHTTP2(t, nil)
	h2c := over(triage.H2C, triage.CheckTLS{})
	judges := judgeByHAProxy(t, servers,
		haproxyWay{judge{name: "haproxy", dialect: triage.HAProxyHTTP11, path: "/health", host: realName, codes: true, settings: h2c, spared: sparedHAProxy()}, httpchk + sendHTTP11, "check-proto h2"})
	judges = append(judges, judgeByCaddy(t, servers, judge{name: "caddy", dialect: triage.Caddy, path: "/health", settings: h2c}, caddyGroup{h2c: true}))
	for _, n := range netClients(t, &tls.Config{}) {
		if n.name == "traefik" { // the only one of them that knows h2c://
			n.transport.Protocols = new(http.Protocols)
			n.transport.Protocols.SetUnencryptedHTTP2(true)
			judges = append(judges, judgeByNetClient(servers, n, "http", judge{name: n.name, dialect: triage.Traefik, path: "/health", settings: h2c}))
		}
	}
	compareJudgements(t, judges, servers, http2Differences("caddy", "traefik"))
}

// TestAgreementHTTP2TLS is the same for servers that agree on HTTP/2 in a TLS handshake.
func TestAgreementHTTP2TLS(t *testing.T) {
	requireTools(t)
	t.Parallel()
	trusted := newAuthority(t, "Trusted")
	servers := startSickHTTP2(t, &tls.Config{Certificates: []tls.Certificate{trusted.issue(t, nil)}})
	ca := writeFile(t, workFolder(t), "ca.pem", string(trusted.pem()))
	https := over(triage.HTTPS, triage.CheckTLS{CA: triage.NewPEM(ca, trusted.pem())})
	judges := judgeByHAProxy(t, servers,
		haproxyWay{judge{name: "haproxy", dialect: triage.HAProxyHTTP11, path: "/health", host: realName, codes: true, settings: over(triage.H2, triage.CheckTLS{Verify: triage.No}), spared: sparedHAProxy()},
			httpchk + sendHTTP11, "check-ssl verify none check-alpn h2"})
	judges = append(judges, judgeByCaddy(t, servers,
		judge{name: "caddy", dialect: triage.Caddy, path: "/health", named: true, settings: https},
		caddyGroup{tls: map[string]any{"root_ca_pem_files": []string{ca}}}))
	judges = append(judges, judgeByBlackbox(t, servers, []string{module("https", "http", "tls_config: {ca_file: "+ca+"}")},
		blackboxWay{judge{name: "blackbox", dialect: triage.Blackbox, path: "/health", named: true, settings: https}, "https", "https"})...)
	judges = append(judges, judgeByEach(netClients(t, &tls.Config{RootCAs: trusted.pool()}), func(n *netClient) judge {
		return judgeByNetClient(servers, n, "https", judge{
			name: n.name, dialect: triage.Dialect(n.name), path: "/health", settings: https, named: n.name != "kubelet",
		})
	})...)
	known := append(http2Differences("caddy", "blackbox", "kubelet", "traefik", "consul"),
		difference{"a frame larger than was agreed on", []string{"blackbox"}, "Debian builds it with Go 1.19, which took frames of any size"})
	compareJudgements(t, judges, servers, slices.DeleteFunc(known, func(d difference) bool { return d.server == "HTTP/1.1 alone" }))
}

// http2Differences is all that there are over HTTP/2, with and without TLS. The judges named are written in Go.
func http2Differences(inGo ...string) []difference {
	haproxy := []string{"haproxy"}
	return []difference{
		{"103, then 200", haproxy, "it takes an interim answer for the answer; triage waits for the answer"},
		{"connection: close", haproxy, "of all that is not valid HTTP/2, this alone is to it an invalid answer and no error of the socket"},
		{"connection: close", inGo, "Go's client overlooks a field that RFC 9113 section 8.2.2 calls malformed in HTTP/2; triage says so"},
	}
}
