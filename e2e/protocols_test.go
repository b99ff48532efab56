package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/triage-lb/triage"
)

// protocolCase is a check of a real server, as a person asks it and as a group of triage serve.
type protocolCase struct {
	name  string
	url   string   // SCHEME://ADDRESS/PATH; in gRPC the path is the service
	flags []string // of triage check
	keys  string   // of the group's health check, in YAML
	want  triage.Outcome
	shown string // text that triage check --verbose prints; "" for none in particular
}

// TestProtocols asks real servers over every protocol: grpc-go, nginx, Node and Go's own. triage check and triage serve must
// come to the same outcome, which is the one that the server's state calls for.
func TestProtocols(t *testing.T) {
	requireTools(t)
	t.Parallel()
	id := newIdentity(t)
	var cases []protocolCase
	for _, more := range [][]protocolCase{grpcCases(t, id), goCases(t, id), nginxCases(t, id), nodeCases(t, id)} {
		cases = append(cases, more...)
	}
	served := serveCases(t, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, text := checkCase(t, c)
			if got != c.want {
				t.Errorf("triage check: %s, want %s\n%s", got, c.want, text)
			}
			if !strings.Contains(text, c.shown) {
				t.Errorf("triage check does not show %q:\n%s", c.shown, text)
			}
			if served[i] != c.want {
				t.Errorf("triage serve: %s, want %s", served[i], c.want)
			}
		})
	}
}

// checkCase asks by triage check, whose exit code must be that of the outcome's verdict.
func checkCase(t *testing.T, c protocolCase) (triage.Outcome, string) {
	t.Helper()
	args := append([]string{"check", "--timeout", limit.String()}, c.flags...)
	if !slices.Contains(args, "--as") {
		args = append(args, "--as", string(triage.Own)) // as a group that does not say either
	}
	out, err := exec.Command(triagePath(t), append(args, "--json", c.url)...).Output()
	var report struct {
		Healthy bool
		Outcome triage.Outcome
	}
	if json.Unmarshal(out, &report) != nil {
		t.Fatalf("triage %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if passed := err == nil; passed != report.Healthy || passed != (report.Outcome.Verdict() == triage.Pass) {
		t.Errorf("triage %s: %v, healthy %t, and the outcome is %s", strings.Join(args, " "), err, report.Healthy, report.Outcome)
	}
	if c.shown == "" {
		return report.Outcome, string(out)
	}
	out, _ = exec.Command(triagePath(t), append(args, "--verbose", c.url)...).CombinedOutput() // the exit code is the one from above
	return report.Outcome, strings.Join(strings.Fields(string(out)), " ")                      // lines are wrapped
}

// serveCases runs one triage serve with a group for each case, and returns how the groups' last checks ended once all have
// been checked twice.
func serveCases(t *testing.T, cases []protocolCase) []triage.Outcome {
	t.Helper()
	ports, dir := newPorts(), workFolder(t)
	pick := func() netip.AddrPort { return netip.AddrPortFrom(loopback, ports.pick(t, loopback)) }
	admin := pick()
	listeners, groups := "listeners:\n", "groups:\n"
	for i, c := range cases {
		listeners += fmt.Sprintf("  - {name: l%d, listen: %q, protocol: http, default: {forward: g%[1]d}}\n", i, pick())
		groups += fmt.Sprintf("  - name: g%d\n    targets: [%q]\n    health_check: {%s}\n", i, c.target(), c.healthCheck())
	}
	s := newProcess(t, &process{
		name: "triage serve", path: triagePath(t), dir: dir, quit: syscall.SIGTERM,
		args: []string{"serve", "-c", writeFile(t, dir, "triage.yaml", fmt.Sprintf("admin: {listen: %q}\n%s%s", admin, listeners, groups))},
	})
	s.start(t)
	outcomes := make([]triage.Outcome, len(cases))
	s.waitUntil(t, "has checked each target", func() bool {
		groups := statusOf(admin)
		for i := range cases {
			g, ok := groups[fmt.Sprintf("g%d", i)]
			if !ok || g.LastCheck.Outcome == triage.NotChecked || g.State != stateFor(g.LastCheck.Outcome) {
				return false
			}
			outcomes[i] = g.LastCheck.Outcome
		}
		return true
	})
	s.stop(t)
	return outcomes
}

// stateFor is the state of a target whose checks end so.
func stateFor(o triage.Outcome) string {
	switch o.Verdict() {
	case triage.Pass:
		return triage.Healthy.String()
	case triage.Fail:
		return triage.Unhealthy.String()
	}
	return triage.Initial.String()
}

// groupStatus is what is looked at of a group's only target.
type groupStatus struct {
	State     string
	LastCheck struct{ Outcome triage.Outcome } `json:"last_check"`
}

// statusOf asks a triage serve about its groups; nil if it does not answer.
func statusOf(admin netip.AddrPort) map[string]groupStatus {
	var status struct {
		Groups []struct {
			Name    string
			Targets []groupStatus
		}
	}
	resp, err := http.Get("http://" + admin.String() + "/v1/status")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&status) != nil {
		return nil
	}
	groups := map[string]groupStatus{}
	for _, g := range status.Groups {
		groups[g.Name] = g.Targets[0]
	}
	return groups
}

// target is the address in the case's URL.
func (c protocolCase) target() string {
	_, rest, _ := strings.Cut(c.url, "://")
	address, _, _ := strings.Cut(rest, "/")
	return address
}

// healthCheck is the case as settings of a group.
func (c protocolCase) healthCheck() string {
	scheme, rest, _ := strings.Cut(c.url, "://")
	_, path, _ := strings.Cut(rest, "/")
	settings := fmt.Sprintf("protocol: %s, interval: %s, timeout: %s, healthy_threshold: 1, unhealthy_threshold: 1", scheme, interval, limit)
	switch isGRPC := triage.Protocol(scheme).IsGRPC(); {
	case isGRPC && path != "":
		settings += ", service: " + path
	case !isGRPC:
		settings += ", path: /" + path
	}
	if c.keys != "" {
		settings += ", " + c.keys
	}
	return settings
}

// grpcCases are of servers of grpc-go.
func grpcCases(t *testing.T, id identity) []protocolCase {
	t.Helper()
	plain, bare := startGRPC(t, nil, true), startGRPC(t, nil, false)
	secure, mutual := startGRPC(t, id.serverTLS(false), true), startGRPC(t, id.serverTLS(true), true)
	ca, cert, key := id.file("ca.pem"), id.file("own.pem"), id.file("own.key")
	at := func(scheme string, a netip.AddrPort, service string) string {
		return scheme + "://" + a.String() + service
	}
	return []protocolCase{
		{name: "grpc-go", url: at("grpc", plain, ""), want: triage.Matched, shown: "SERVING"},
		{name: "grpc-go, a service", url: at("grpc", plain, "/app.Shop"), want: triage.Matched, shown: "SERVING"},
		{name: "grpc-go, a sick service", url: at("grpc", plain, "/app.Sick"), want: triage.NotServing, shown: "NOT_SERVING"},
		{name: "grpc-go, an unknown service", url: at("grpc", plain, "/app.None"), want: triage.GRPCMismatch, shown: "5 NOT_FOUND"},
		{name: "grpc-go, an unknown service as success", url: at("grpc", plain, "/app.None"), flags: []string{"--success-codes", "0,5"}, keys: `grpc_codes: "0,5"`, want: triage.Matched},
		{name: "grpc-go without health service", url: at("grpc", bare, ""), want: triage.GRPCMismatch, shown: "12 UNIMPLEMENTED"},
		{name: "grpc-go, as ALB", url: at("grpc", plain, ""), flags: []string{"--as", "alb"}, keys: "as: alb", want: triage.Matched, shown: "/AWS.ALB/healthcheck"},
		{name: "grpc-go without health service, as ALB", url: at("grpc", bare, ""), flags: []string{"--as", "alb"}, keys: "as: alb", want: triage.Matched, shown: "12 UNIMPLEMENTED"},
		{name: "grpc-go, as kubelet", url: at("grpc", plain, ""), flags: []string{"--as", "kubelet"}, keys: "as: kubelet", want: triage.Matched, shown: "user-agent: kube-probe/"},
		{name: "grpc-go, as Envoy, sick", url: at("grpc", plain, "/app.Sick"), flags: []string{"--as", "envoy"}, keys: "as: envoy", want: triage.NotServing},
		{name: "grpc-go, asked over HTTP/2", url: at("h2c", plain, "/health"), want: triage.CodeMismatch, shown: "415"},
		{name: "grpc-go, asked over HTTP/1.1", url: at("http", plain, "/health"), want: triage.NotHTTP},
		{name: "grpc-go with TLS, asked without", url: at("grpc", secure, ""), want: triage.ClosedBeforeAnswer},
		{name: "grpc-go with TLS", url: at("grpcs", secure, ""), want: triage.Matched, shown: "SERVING"},
		{name: "grpc-go with TLS, verified", url: at("grpcs", secure, ""), flags: []string{"--verify", "--cacert", ca}, keys: "tls_verify: true, tls_ca_file: " + ca, want: triage.Matched},
		{name: "grpc-go with TLS, of an unknown authority", url: at("grpcs", secure, ""), flags: []string{"--verify"}, keys: "tls_verify: true", want: triage.TLSUntrusted},
		{name: "grpc-go with TLS, for another name", url: at("grpcs", secure, ""), flags: []string{"--verify", "--cacert", ca, "--server-name", "other.example"}, keys: "tls_verify: true, tls_server_name: other.example, tls_ca_file: " + ca, want: triage.TLSUntrusted, shown: "other.example"},
		{name: "grpc-go without TLS, asked with", url: at("grpcs", plain, ""), want: triage.TLSNotSpoken},
		{name: "grpc-go that wants a certificate, without", url: at("grpcs", mutual, ""), want: triage.TLSRefused, shown: "certificate required"},
		{name: "grpc-go that wants a certificate", url: at("grpcs", mutual, ""), flags: []string{"--cert", cert, "--key", key}, keys: "tls_cert_file: " + cert + ", tls_key_file: " + key, want: triage.Matched},
	}
}

// goCases are of Go's own web server.
func goCases(t *testing.T, id identity) []protocolCase {
	t.Helper()
	plain, secure, mutual := startGo(t, nil), startGo(t, id.serverTLS(false)), startGo(t, id.serverTLS(true))
	cert, key := id.file("own.pem"), id.file("own.key")
	return []protocolCase{
		{name: "Go, h2c", url: "h2c://" + plain.String() + "/health", flags: []string{"--expect-body", "HTTP/2.0"}, keys: "expect_body: HTTP/2.0", want: triage.Matched, shown: "HTTP/2 200"},
		{name: "Go, HTTP/1.1 beside h2c", url: "http://" + plain.String() + "/health", flags: []string{"--expect-body", "HTTP/1.1"}, keys: "expect_body: HTTP/1.1", want: triage.Matched},
		{name: "Go, h2", url: "h2://" + secure.String() + "/health", flags: []string{"--expect-header", "X-Server: go"}, keys: `expect_header: "X-Server: go"`, want: triage.Matched},
		{name: "Go, h2, another header", url: "h2://" + secure.String() + "/health", flags: []string{"--expect-header", "X-Server: node"}, keys: `expect_header: "X-Server: node"`, want: triage.HeaderMismatch},
		{name: "Go, https as the kubelet, which speaks HTTP/2", url: "https://" + secure.String() + "/health", flags: []string{"--as", "kubelet"}, keys: "as: kubelet", want: triage.Matched, shown: "HTTP/2 200"},
		{name: "Go, https as triage, which does not", url: "https://" + secure.String() + "/health", want: triage.Matched, shown: "HTTP/1.1 200"},
		{name: "Go that wants a certificate, without", url: "h2://" + mutual.String() + "/health", want: triage.TLSRefused},
		{name: "Go that wants a certificate", url: "h2://" + mutual.String() + "/health", flags: []string{"--cert", cert, "--key", key}, keys: "tls_cert_file: " + cert + ", tls_key_file: " + key, want: triage.Matched},
		{name: "Go, asked by gRPC", url: "grpc://" + plain.String(), want: triage.NotGRPC},
	}
}

// nginxCases are of nginx.
func nginxCases(t *testing.T, id identity) []protocolCase {
	t.Helper()
	at := startNginxProtocols(t, id)
	ca, cert, key := id.file("ca.pem"), id.file("own.pem"), id.file("own.key")
	health := func(scheme string, a netip.AddrPort) string { return scheme + "://" + a.String() + "/health" }
	return []protocolCase{
		{name: "nginx, h2c", url: health("h2c", at.H2C), want: triage.Matched},
		{name: "nginx, h2c, a redirect", url: "h2c://" + at.H2C.String() + "/old", want: triage.CodeMismatch, shown: "301"},
		{name: "nginx, h2c, asked over HTTP/1.1", url: health("http", at.H2C), want: triage.NotHTTP},
		{name: "nginx, h2", url: health("h2", at.H2), want: triage.Matched},
		{name: "nginx, h2, as ALB", url: health("h2", at.H2), flags: []string{"--as", "alb"}, keys: "as: alb", want: triage.Matched, shown: "user-agent: ELB-HealthChecker/2.0"},
		{name: "nginx, h2c, as HAProxy", url: health("h2c", at.H2C), flags: []string{"--as", "haproxy-http11", "--host", realName}, keys: "as: haproxy-http11, host: " + realName, want: triage.Matched, shown: "host: " + realName},
		{name: "nginx, h2, asked over https", url: health("https", at.H2), want: triage.Matched},
		{name: "nginx without http2, asked over h2c", url: health("h2c", at.Plain), want: triage.NotHTTP2, shown: "HTTP/1.1 400"},
		{name: "nginx without http2, asked over h2", url: health("h2", at.TLS), want: triage.HTTP2NotOffered},
		{name: "nginx, h2, verified", url: health("h2", at.H2), flags: []string{"--verify", "--cacert", ca}, keys: "tls_verify: true, tls_ca_file: " + ca, want: triage.Matched},
		{name: "nginx, h2, of an unknown authority", url: health("h2", at.H2), flags: []string{"--verify"}, keys: "tls_verify: true", want: triage.TLSUntrusted},
		{name: "nginx, TLS 1.2 alone", url: health("h2", at.TLS12), flags: []string{"--expect-body", "TLSv1.2"}, keys: "expect_body: TLSv1.2", want: triage.Matched},
		{name: "nginx, TLS 1.2 alone, and TLS 1.3 wanted", url: health("h2", at.TLS12), flags: []string{"--tls-min", "1.3"}, keys: `tls_min_version: "1.3"`, want: triage.TLSRefused},
		{name: "nginx that wants a certificate, without", url: health("h2", at.Mutual), want: triage.CodeMismatch, shown: "400"},
		{name: "nginx that wants a certificate", url: health("h2", at.Mutual), flags: []string{"--cert", cert, "--key", key, "--expect-body", "known as CN=localhost"}, keys: "expect_body: known as CN=localhost, tls_cert_file: " + cert + ", tls_key_file: " + key, want: triage.Matched},
		{name: "nginx, PROXY protocol, without a header", url: health("http", at.Proxied), want: triage.ClosedBeforeAnswer},
		{name: "nginx, PROXY protocol, v1", url: health("http", at.Proxied), flags: []string{"--proxy-protocol", "v1", "--expect-body", "for [127.0.0.1]"}, keys: `proxy_protocol: v1, expect_body: "for [127.0.0.1]"`, want: triage.Matched},
		{name: "nginx, PROXY protocol, v1 from another address", url: health("http", at.Proxied), flags: []string{"--proxy-protocol", "v1", "--source", "127.0.0.2", "--expect-body", "by 127.0.0.2 for [127.0.0.2]"}, keys: `proxy_protocol: v1, source_address: 127.0.0.2, expect_body: "by 127.0.0.2 for [127.0.0.2]"`, want: triage.Matched},
		{name: "nginx, PROXY protocol, v2", url: health("http", at.Proxied), flags: []string{"--proxy-protocol", "v2", "--expect-body", "for []"}, keys: `proxy_protocol: v2, expect_body: "for []"`, want: triage.Matched},
		{name: "nginx, PROXY protocol, v2 as HAProxy", url: health("http", at.Proxied), flags: []string{"--as", "haproxy-http11", "--host", realName, "--proxy-protocol", "v2"}, keys: "as: haproxy-http11, proxy_protocol: v2, host: " + realName, want: triage.Matched},
		{name: "nginx, PROXY protocol, v1 and TLS", url: health("https", at.ProxiedTLS), flags: []string{"--proxy-protocol", "v1"}, keys: "proxy_protocol: v1", want: triage.Matched},
		{name: "nginx, PROXY protocol, v2 and h2", url: health("h2", at.ProxiedTLS), flags: []string{"--proxy-protocol", "v2"}, keys: "proxy_protocol: v2", want: triage.Matched},
		{name: "nginx, PROXY protocol and TLS, without a header", url: health("h2", at.ProxiedTLS), want: triage.TLSClosed},
		{name: "nginx without PROXY protocol, and a header", url: health("http", at.Plain), flags: []string{"--proxy-protocol", "v1"}, keys: "proxy_protocol: v1", want: triage.CodeMismatch, shown: "400"},
		{name: "nginx, from another address", url: health("h2c", at.H2C), flags: []string{"--source", "127.0.0.3", "--expect-body", "by 127.0.0.3"}, keys: "source_address: 127.0.0.3, expect_body: by 127.0.0.3", want: triage.Matched},
		{name: "nginx, asked by gRPC", url: "grpc://" + at.H2C.String(), want: triage.NotGRPC},
	}
}

// nodeCases are of Node's http2 module.
func nodeCases(t *testing.T, id identity) []protocolCase {
	t.Helper()
	h2c, h2 := startNode(t, id)
	page := func(path string) string { return "h2c://" + h2c.String() + path }
	return []protocolCase{
		{name: "Node, h2c", url: page("/health"), flags: []string{"--expect", `json.database.connected && header["x-server"] == "node"`}, keys: `expect: 'json.database.connected && header["x-server"] == "node"'`, want: triage.Matched},
		{name: "Node, h2c, an expression that is false", url: page("/health"), flags: []string{"--expect", `json.status == "down"`}, keys: `expect: 'json.status == "down"'`, want: triage.ExpressionFalse},
		{name: "Node, h2", url: "h2://" + h2.String() + "/health", want: triage.Matched},
		{name: "Node, h2, asked over https", url: "https://" + h2.String() + "/health", want: triage.CodeMismatch, shown: "403"},
		{name: "Node, h2, asked over https as Consul", url: "https://" + h2.String() + "/health", flags: []string{"--as", "consul", "--no-verify"}, keys: "as: consul, tls_verify: false", want: triage.Matched, shown: "HTTP/2 200"},
		{name: "Node, h2c, as Traefik", url: page("/health"), flags: []string{"--as", "traefik"}, keys: "as: traefik", want: triage.Matched, shown: "user-agent: Go-http-client/2.0"},
		{name: "Node, h2c, as Envoy", url: page("/sick"), flags: []string{"--as", "envoy"}, keys: "as: envoy", want: triage.CodeMismatch, shown: "user-agent: Envoy/HC"},
		{name: "Node, h2c, sick", url: page("/sick"), want: triage.CodeMismatch, shown: "503"},
		{name: "Node, h2c, no such page", url: page("/none"), want: triage.CodeMismatch, shown: "404"},
		{name: "Node, h2c, trailers", url: page("/trailers"), want: triage.Matched},
		{name: "Node, h2c, an interim answer first", url: page("/early"), want: triage.Matched},
		{name: "Node, h2c, 4 MiB", url: page("/large"), want: triage.Matched},
		{name: "Node, h2c, RST_STREAM", url: page("/reset"), want: triage.StreamReset, shown: "INTERNAL_ERROR"},
		{name: "Node, h2c, GOAWAY", url: page("/goaway"), want: triage.ClosedBeforeAnswer},
		{name: "Node, h2c, hangs", url: page("/hang"), want: triage.ResponseTimeout},
		{name: "Node, h2c, asked over HTTP/1.1", url: "http://" + h2c.String() + "/health", want: triage.NotHTTP},
		{name: "Node, asked by gRPC", url: "grpc://" + h2c.String(), want: triage.NotGRPC, shown: "404"},
	}
}
