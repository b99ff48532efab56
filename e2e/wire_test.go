package e2e

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// How the peers check: so often, and with this timeout. Both are longer under the race detector.
const (
	interval = badinput.Limit
	limit    = interval - 200*time.Millisecond
)

const wireFolder = "../internal/dialect/testdata/wire"

// capture is one way of one program to ask.
type capture struct {
	program string // and its version
	at      *recorder
	check   func() error // has it check once; nil: it does so by itself
}

// TestWire has the real programs check a server, and holds what they do to the golden files. With -update it writes the
// files anew.
func TestWire(t *testing.T) {
	requireTools(t)
	captures := map[string]capture{}
	captureHAProxy(t, captures)
	captureCaddy(t, captures)
	captureBlackbox(t, captures)
	captureNetClients(t, captures)
	captureGRPCClients(t, captures)
	for _, golden := range wire.Files(t) {
		c, ok := captures[golden.Name]
		if !ok {
			t.Errorf("nothing captures %s.txt", golden.Name)
			continue
		}
		delete(captures, golden.Name)
		t.Run(golden.Name, func(t *testing.T) { compareWire(t, golden, c) })
	}
	for name := range captures {
		t.Errorf("there is no %s.txt", name)
	}
}

// compareWire holds one capture to its file.
func compareWire(t *testing.T, golden wire.File, c capture) {
	if c.check != nil {
		for range 2 {
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "two checks are over", c.at.checkedTwice)
	}
	facts, asked := c.at.facts()
	request, frames := c.shown(golden, asked)
	if *update {
		golden.Bytes, golden.Frames = request, frames
		golden.Set(wire.Program, c.program)
		golden.Set(wire.Captured, time.Now().Format(time.DateOnly))
		for _, key := range wire.Measured() {
			golden.Set(key, facts[key])
		}
		golden.Write(t, wireFolder)
	}
	if !golden.Matches(request) {
		t.Errorf("%s writes\n%sand %s wrote\n%s", c.program, wire.Quote(request), golden.Get(wire.Program), wire.Quote(golden.Bytes))
	}
	if !golden.MatchesFrames(frames) {
		t.Errorf("%s writes\n%s\nand %s wrote\n%s", c.program, strings.Join(frames, "\n"), golden.Get(wire.Program), strings.Join(golden.Frames, "\n"))
	}
	for _, key := range wire.Measured() {
		if want := golden.Get(key); want != "" && facts[key] != want {
			t.Errorf("%s: %s is %q, and of %s was %q", c.program, key, facts[key], golden.Get(wire.Program), want)
		}
	}
}

// shown is a request as its file has it: the address of its target is always the same there.
func (c capture) shown(golden wire.File, asked request) (bytes []byte, frames []string) {
	constant := func(text string) string {
		return strings.ReplaceAll(text, fmt.Sprintf(":%d", c.at.addr.Port()), ":8080")
	}
	if golden.Get(wire.Shuffled) != "" {
		asked.frames = sortFields(asked.frames)
	}
	if asked.bytes != nil {
		bytes = []byte(constant(string(asked.bytes)))
	}
	for _, line := range asked.frames {
		frames = append(frames, constant(line))
	}
	return bytes, frames
}

const well = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func captureHAProxy(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "HAProxy " + number(t, versionOf(t, haproxyPath, "-v"))
	ways := []struct {
		name, lines, words string // of the golden file; of the backend; of its server
		at                 *recorder
	}{
		{"haproxy", httpchk, "", record(t, well, false)},
		{"haproxy-http11", httpchk + sendHTTP11, "", record(t, well, false)},
		{"haproxy-tls", httpchk, "check-ssl verify none", record(t, well, true)},
		{"haproxy-proxy-v1", httpchk, "check-send-proxy", recordProxied(t)},
		{"haproxy-proxy-v2", httpchk, "check-send-proxy send-proxy-v2", recordProxied(t)},
		{"haproxy-tcp-proxy-v1", tcp, "check-send-proxy", recordProxied(t)},
		{"haproxy-h2", httpchk, "check-ssl verify none check-alpn h2", recordH2(t, wellH2(), true)},
		{"haproxy-h2c", httpchk, "check-proto h2", recordH2(t, wellH2(), false)},
		{"haproxy-http11-h2c", httpchk + sendHTTP11, "check-proto h2", recordH2(t, wellH2(), false)},
		{"haproxy-tcp", tcp, "", record(t, well, false)},
	}
	var backends []string
	for _, way := range ways {
		backends = append(backends, fmt.Sprintf("backend %s\n%s  server s %s %s", way.name, way.lines, way.at.addr, way.words))
		captures[way.name] = capture{program: program, at: way.at}
	}
	h := startHAProxy(t, backends...)
	for _, way := range ways {
		if way.name != "haproxy-tcp" {
			h.waitUntil(t, "checks twice as "+way.name, way.at.checkedTwice)
		}
	}
	// By then the server that is only connected to has been checked as often.
	h.waitUntil(t, "has checked by TCP", func() bool { return h.stat()["haproxy-tcp/s"].Check == "L4OK" })
}

func captureCaddy(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "Caddy " + number(t, versionOf(t, caddyPath, "version"))
	plain, secure := record(t, well, false), record(t, well, true)
	h2, h2c := recordH2(t, wellH2(), true), recordH2(t, wellH2(), false)
	c := startCaddy(t, "/health",
		caddyGroup{upstreams: []string{plain.addr.String()}},
		caddyGroup{upstreams: []string{named(secure), named(h2)}, tls: anyCertificate()},
		caddyGroup{upstreams: []string{h2c.addr.String()}, h2c: true})
	for _, r := range []*recorder{plain, secure, h2, h2c} {
		c.waitUntil(t, "checks twice", r.checkedTwice)
	}
	captures["caddy"] = capture{program: program, at: plain}
	captures["caddy-tls"] = capture{program: program, at: secure}
	captures["caddy-h2"] = capture{program: program, at: h2}
	captures["caddy-h2c"] = capture{program: program, at: h2c}
}

func captureBlackbox(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "Prometheus blackbox_exporter " + number(t, versionOf(t, blackboxPath, "--version"))
	const unverified = "tls: true, tls_config: {insecure_skip_verify: true}"
	b := startBlackbox(t, module("tcp_tls", "tcp", unverified), module("grpc", "grpc", ""), module("grpc_service", "grpc", "service: app.Shop"), module("grpcs", "grpc", unverified))
	by := func(r *recorder, module, target string) capture {
		return capture{program: program, at: r, check: func() error {
			ok, log, err := b.probe(module, target)
			if err == nil && !ok {
				err = fmt.Errorf("%s does not pass: %s", target, log)
			}
			return err
		}}
	}
	plain, tcp, secure := record(t, well, false), record(t, well, false), record(t, well, true)
	captures["blackbox"] = by(plain, "http_2xx", "http://"+plain.addr.String()+"/health")
	captures["blackbox-tcp"] = by(tcp, "tcp_connect", tcp.addr.String())
	captures["blackbox-tls"] = by(secure, "http_2xx_any_certificate", "https://"+named(secure)+"/health")
	handshake, h2 := record(t, well, true), recordH2(t, wellH2(), true)
	captures["blackbox-tcp-tls"] = by(handshake, "tcp_tls", named(handshake))
	captures["blackbox-h2"] = by(h2, "http_2xx_any_certificate", "https://"+named(h2)+"/health")
	bare, service, grpcs := recordH2(t, wellGRPC(), false), recordH2(t, wellGRPC(), false), recordH2(t, wellGRPC(), true)
	captures["blackbox-grpc"] = by(bare, "grpc", bare.addr.String())
	captures["blackbox-grpc-service"] = by(service, "grpc_service", named(service))
	captures["blackbox-grpcs"] = by(grpcs, "grpcs", named(grpcs))
}

func captureNetClients(t *testing.T, captures map[string]capture) {
	t.Helper()
	by := func(name string, n *netClient, r *recorder, scheme string) {
		captures[name] = capture{program: "net/http of " + runtime.Version(), at: r, check: func() error {
			ok, code, err := n.check(scheme + "://" + r.addr.String() + "/health")
			if err == nil && !ok {
				err = fmt.Errorf("%s judges %d a failure", n.name, code)
			}
			return err
		}}
	}
	for _, n := range netClients(t, &tls.Config{InsecureSkipVerify: true}) {
		by(n.name, n, record(t, well, false), "http")
		by(n.name+"-h2", n, recordH2(t, wellH2(), true), "https")
		if n.read == 0 {
			by(n.name+"-empty", n, record(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false), "http")
		}
	}
}

func captureGRPCClients(t *testing.T, captures map[string]capture) {
	t.Helper()
	for _, g := range grpcClients() {
		r := recordH2(t, wellGRPC(), false)
		captures[g.name+"-grpc"] = capture{program: "grpc-go " + grpc.Version, at: r, check: func() error {
			status, err := g.check(t.Context(), r.addr.String())
			if err == nil && status != health.HealthCheckResponse_SERVING {
				err = fmt.Errorf("%s is told %s", g.name, status)
			}
			return err
		}}
	}
}

// named is a recorder's address with the name of this machine.
func named(r *recorder) string { return fmt.Sprintf("localhost:%d", r.addr.Port()) }

// number finds the version in a line.
func number(t *testing.T, line string) string {
	t.Helper()
	found := regexp.MustCompile(`\d+(\.\d+)+`).FindString(line)
	if found == "" {
		t.Fatalf("no version in %q", line)
	}
	return found
}
