package e2e

import (
	"crypto/tls"
	"testing"

	"github.com/triage-lb/triage"
)

// TestAgreementTLS is TestAgreement for checks over TLS, and by TCP alone.
func TestAgreementTLS(t *testing.T) {
	requireTools(t)
	t.Parallel()
	trusted := newAuthority(t, "Trusted")
	servers := startSickTLS(t, trusted)
	ca := writeFile(t, workFolder(t), "ca.pem", string(trusted.pem()))
	verified := triage.CheckTLS{Verify: triage.Yes, CA: triage.NewPEM(ca, trusted.pem())}
	byName := verified
	byName.ServerName = "localhost"
	unverified := triage.CheckTLS{Verify: triage.No}

	at := func(name string, settings func(*triage.HealthCheck)) judge {
		return judge{name: name, dialect: triage.HAProxyHTTP11, path: "/health", host: realName, codes: true, settings: settings}
	}
	judges := judgeByHAProxy(t, servers,
		haproxyWay{at("haproxy, verify none", over(triage.HTTPS, unverified)), httpchk + sendHTTP11, "check-ssl verify none"},
		haproxyWay{at("haproxy, verify required", over(triage.HTTPS, triage.CheckTLS{CA: verified.CA})), httpchk + sendHTTP11, "check-ssl verify required ca-file " + ca},
		haproxyWay{at("haproxy, check-sni", over(triage.HTTPS, byName)), httpchk + sendHTTP11, "check-ssl verify required ca-file " + ca + " check-sni localhost"},
		haproxyWay{judge{name: "haproxy, handshake", dialect: triage.HAProxy, codes: true, settings: over(triage.TLS, unverified)}, tcp, "check-ssl verify none"},
		haproxyWay{judge{name: "haproxy, tcp-check", dialect: triage.HAProxy, settings: over(triage.TCP, triage.CheckTLS{})}, tcp + "  option tcp-check\n  tcp-check connect\n", ""},
		haproxyWay{judge{name: "haproxy, tcp", dialect: triage.HAProxy, codes: true, settings: over(triage.TCP, triage.CheckTLS{})}, tcp, ""},
	)
	judges = append(judges, judgeByCaddy(t, servers,
		judge{name: "caddy", dialect: triage.Caddy, path: "/health", named: true, settings: over(triage.HTTPS, verified)},
		caddyGroup{tls: map[string]any{"root_ca_pem_files": []string{ca}}}))
	judges = append(judges, judgeByBlackbox(t, servers,
		[]string{module("https", "http", "tls_config: {ca_file: "+ca+"}"), module("tcp_tls", "tcp", "tls: true, tls_config: {ca_file: "+ca+"}"), module("tcp_tls_any", "tcp", "tls: true, tls_config: {insecure_skip_verify: true}")},
		blackboxWay{judge{name: "blackbox, https", dialect: triage.Blackbox, path: "/health", named: true, settings: over(triage.HTTPS, verified)}, "https", "https"},
		blackboxWay{judge{name: "blackbox, handshake", dialect: triage.Blackbox, named: true, settings: over(triage.TLS, verified)}, "tcp_tls", ""},
		blackboxWay{judge{name: "blackbox, any certificate", dialect: triage.Blackbox, named: true, settings: over(triage.TLS, unverified)}, "tcp_tls_any", ""},
		blackboxWay{judge{name: "blackbox, tcp", dialect: triage.Blackbox, settings: over(triage.TCP, triage.CheckTLS{})}, "tcp_connect", ""})...)
	judges = append(judges, judgeByEach(netClients(t, &tls.Config{RootCAs: trusted.pool()}), func(n *netClient) judge {
		return judgeByNetClient(servers, n, "https", judge{
			name: n.name, dialect: triage.Dialect(n.name), path: "/health", settings: over(triage.HTTPS, triage.CheckTLS{CA: verified.CA}),
			named: n.name != "kubelet", // which knows pods by their addresses alone
		})
	})...)
	compareJudgements(t, judges, servers, tlsDifferences())
}

// tlsDifferences is all that there are over TLS.
func tlsDifferences() []difference {
	haproxy := []string{"haproxy, verify none", "haproxy, verify required", "haproxy, check-sni", "haproxy, handshake"}
	asked := haproxy[:3]
	olderGo := []string{"caddy", "blackbox, https", "blackbox, handshake", "blackbox, any certificate"}
	return []difference{
		{"ciphers without forward secrecy alone", olderGo, "Debian builds it with Go 1.19, which offered them; since Go 1.22 it does not"},
		{"TLS 1.0 alone", haproxy, "it offers TLS 1.0, and Debian's OpenSSL (security level 2) then accepts no signature that TLS 1.0 has"},
		{"TLS 1.1 alone", haproxy, "it offers TLS 1.1, and Debian's OpenSSL (security level 2) then accepts no signature that TLS 1.1 has"},
		{"for a name as its subject alone", []string{"haproxy, check-sni"}, "OpenSSL looks for the name in the subject where there is no other; crypto/x509 does not"},
		{"wants a client certificate, TLS 1.3", asked, "the alert comes after its side of the handshake, and it takes it for an error of the socket; triage says that TLS was refused"},
	}
}
