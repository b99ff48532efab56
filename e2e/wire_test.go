package e2e

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
)

// How the peers check: so often, and with this timeout.
const (
	interval = 1200 * time.Millisecond
	limit    = time.Second
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
	facts, request := c.at.facts()
	request = bytes.ReplaceAll(request, fmt.Appendf(nil, ":%d", c.at.addr.Port()), []byte(":8080"))
	if *update {
		golden.Bytes = request
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
	for _, key := range wire.Measured() {
		if want := golden.Get(key); want != "" && facts[key] != want {
			t.Errorf("%s: %s is %q, and of %s was %q", c.program, key, facts[key], golden.Get(wire.Program), want)
		}
	}
}

const well = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func captureHAProxy(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "HAProxy " + number(t, versionOf(t, haproxyPath, "-v"))
	bare, sent, tcp, secure := record(t, well, false), record(t, well, false), record(t, well, false), record(t, well, true)
	h := startHAProxy(t,
		fmt.Sprintf("backend bare\n  mode http\n  option httpchk\n  server s %s", bare.addr),
		fmt.Sprintf("backend sent\n  mode http\n  option httpchk\n  http-check send meth GET uri /health ver HTTP/1.1 hdr Host www.example.test\n  server s %s", sent.addr),
		fmt.Sprintf("backend tcp\n  mode tcp\n  server s %s", tcp.addr),
		fmt.Sprintf("backend secure\n  mode http\n  option httpchk\n  server s %s check-ssl verify none", secure.addr))
	for _, r := range []*recorder{bare, sent, secure} {
		h.waitUntil(t, "checks twice", r.checkedTwice)
	}
	// By then the server that is only connected to has been checked as often.
	h.waitUntil(t, "has checked by TCP", func() bool { return h.stat()["tcp/s"].Check == "L4OK" })
	captures["haproxy"] = capture{program: program, at: bare}
	captures["haproxy-http11"] = capture{program: program, at: sent}
	captures["haproxy-tcp"] = capture{program: program, at: tcp}
	captures["haproxy-tls"] = capture{program: program, at: secure}
}

func captureCaddy(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "Caddy " + number(t, versionOf(t, caddyPath, "version"))
	plain, secure := record(t, well, false), record(t, well, true)
	c := startCaddy(t, "/health",
		caddyGroup{upstreams: []string{plain.addr.String()}},
		caddyGroup{upstreams: []string{named(secure)}, tls: true})
	for _, r := range []*recorder{plain, secure} {
		c.waitUntil(t, "checks twice", r.checkedTwice)
	}
	captures["caddy"] = capture{program: program, at: plain}
	captures["caddy-tls"] = capture{program: program, at: secure}
}

func captureBlackbox(t *testing.T, captures map[string]capture) {
	t.Helper()
	program := "Prometheus blackbox_exporter " + number(t, versionOf(t, blackboxPath, "--version"))
	b := startBlackbox(t)
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
}

func captureNetClients(t *testing.T, captures map[string]capture) {
	t.Helper()
	by := func(name string, n *netClient, answer string) {
		r := record(t, answer, false)
		captures[name] = capture{program: "net/http of " + runtime.Version(), at: r, check: func() error {
			ok, code, err := n.check("http://" + r.addr.String() + "/health")
			if err == nil && !ok {
				err = fmt.Errorf("%s judges %d a failure", n.name, code)
			}
			return err
		}}
	}
	for _, n := range netClients(t) {
		by(n.name, n, well)
		if n.read == 0 {
			by(n.name+"-empty", n, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
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
