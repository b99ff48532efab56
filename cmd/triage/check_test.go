package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
)

// terminalRun is one run of the program, as a person sees it.
type terminalRun struct {
	code           int
	stdout, stderr string
}

// runTriage runs the program in this process, on a machine with the given private addresses.
func runTriage(t *testing.T, own []netip.Addr, args ...string) terminalRun {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := &environment{
		ctx:       t.Context(),
		getenv:    func(string) string { return "" },
		stdin:     strings.NewReader(""),
		stdout:    &stdout,
		stderr:    &stderr,
		addresses: func() []netip.Addr { return own },
	}
	code := env.run(args)
	for stream, text := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
		if strings.ContainsAny(text, "\x1b\x07\r") {
			t.Errorf("%s of %q holds control bytes: %q", stream, args, text)
		}
	}
	return terminalRun{code, stdout.String(), stderr.String()}
}

// serveOn runs a handler on a loopback address and returns address:port.
func serveOn(t *testing.T, addr string, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// asDjango answers like Django behind ALLOWED_HOSTS = ["localhost"].
func asDjango(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if host != "localhost" {
		w.WriteHeader(400)
		io.WriteString(w, "<h1>Bad Request (400)</h1>\x1b]0;owned\x07")
		return
	}
	io.WriteString(w, "ok")
}

func TestCheckExplainsARejectedHost(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(asDjango))
	r := runTriage(t, nil, "check", "http://"+address+"/health_check")
	if r.code != exitUnhealthy || r.stderr != "" {
		t.Errorf("exit %d, stderr %q", r.code, r.stderr)
	}
	want := regexp.MustCompile(`^UNHEALTHY  aws-alb  127\.0\.1\.5:\d+/health_check  400 in [\d.]+ ms
AWS shows  Target\.ResponseCodeMismatch:
           Health checks failed with these codes: \[400\]
Cause      Django refuses Host "127\.0\.1\.5:\d+" \(ALLOWED_HOSTS\)
Proof      the same request with Host localhost: 200
Fix        settings\.py, below ALLOWED_HOSTS`)
	if !want.MatchString(r.stdout) {
		t.Errorf("stdout:\n%s", r.stdout)
	}
	for line := range strings.Lines(r.stdout) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestCheckVerbosity(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(asDjango))
	quiet := runTriage(t, nil, "check", "-q", address)
	if lines := strings.Count(quiet.stdout, "\n"); lines != 1 || quiet.code != exitUnhealthy {
		t.Errorf("-q: exit %d, %d lines:\n%s", quiet.code, lines, quiet.stdout)
	}
	loud := runTriage(t, nil, "check", "-v", address+"/x")
	for _, want := range []string{
		"> GET /x HTTP/1.1\n", "> Host: " + address + "\n", "> User-Agent: ELB-HealthChecker/2.0\n", "< HTTP/1.1 400 Bad Request\n",
		`<h1>Bad Request (400)</h1>\x1b]0;owned\x07` + "\n",
	} {
		if !strings.Contains(loud.stdout, want) {
			t.Errorf("-v does not show %q:\n%s", want, loud.stdout)
		}
	}
}

func TestCheckJSON(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(asDjango))
	r := runTriage(t, nil, "check", "--json", "--as", "clb", address+"/health_check")
	var got struct {
		Schema, Target, Address, Dialect, Outcome, Sent string
		At                                              time.Time
		Took                                            float64 `json:"took_ms"`
		Healthy                                         bool
		Status                                          int
		Reason                                          struct{ Code, Description string }
		Received                                        struct {
			Head, Body string
			Truncated  bool
		}
		Assumed, Warnings []string
		Phases            map[string]float64
		Diagnosis         *triage.Diagnosis
	}
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("%v:\n%s", err, r.stdout)
	}
	if got.Schema != "triage.check/1" || got.Target != address+"/health_check" || got.Dialect != "aws-clb" || got.Healthy || got.Outcome != "code-mismatch" ||
		got.Status != 400 || got.Took <= 0 || time.Since(got.At) > time.Hour || got.Reason.Code != "OutOfService" || !strings.HasPrefix(got.Received.Head, "HTTP/1.1 400 ") ||
		!strings.HasSuffix(got.Received.Body, "\x1b]0;owned\x07") || len(got.Assumed) == 0 || got.Warnings == nil {
		t.Errorf("%+v", got)
	}
	if want := "GET /health_check HTTP/1.1\r\nhost: " + address + "\r\nUser-Agent: ELB-HealthChecker/1.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"; got.Sent != want {
		t.Errorf("sent %q", got.Sent)
	}
	if got.Diagnosis == nil || got.Diagnosis.Code != "host-not-allowed" || got.Diagnosis.Certainty != triage.Proved || len(got.Diagnosis.Asked) != 3 {
		t.Errorf("diagnosis %+v", got.Diagnosis)
	}
	for _, phase := range []string{"connect", "first_byte", "body"} {
		if _, there := got.Phases[phase]; !there {
			t.Errorf("phase %s is missing: %v", phase, got.Phases)
		}
	}

	healthy := runTriage(t, nil, "check", "--json", "--host", "localhost", address+"/health_check")
	if healthy.code != exitOK || !strings.Contains(healthy.stdout, `"healthy": true`) || strings.Contains(healthy.stdout, `"diagnosis"`) {
		t.Errorf("exit %d:\n%s", healthy.code, healthy.stdout)
	}
	if !strings.Contains(healthy.stdout, `"altered": [`) {
		t.Error("--host is not told as a departure from the dialect")
	}

	binary := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0xff, 0xfe, 0}) }))
	if r := runTriage(t, nil, "check", "--json", binary); !strings.Contains(r.stdout, `"body_base64": "//4A"`) || strings.Contains(r.stdout, `"body": "`) {
		t.Errorf("bytes that are not text:\n%s", r.stdout)
	}
}

// TestCheckOutcomes: what each failure is called, and the exit code that goes with it.
func TestCheckOutcomes(t *testing.T) {
	plain := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elb":
			w.Header().Set("Server", "awselb/2.0")
			w.WriteHeader(503)
		case "/moved":
			http.Redirect(w, r, "/health_check", http.StatusFound)
		case "/no-content":
			w.WriteHeader(204)
		}
	}))
	encrypted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer encrypted.Close()
	overTLS := encrypted.Listener.Addr().String()
	for _, c := range []struct {
		args   string
		code   int
		stdout string // in it
		stderr string
	}{
		{plain, 0, "HEALTHY    aws-alb", ""},
		{"http://" + plain + "/no-content", 1, "204 in", ""},
		{"--success-codes 200,204 " + plain + "/no-content", 0, "HEALTHY    aws-alb  ", ""},
		{"--success-codes 200-599 " + plain, 0, "aws-alb (altered)", ""},
		{"--as clb --success-codes 200,204 " + plain + "/no-content", 0, "aws-clb (altered)", ""},
		{plain + "/moved", 1, "302", ""}, // and not followed
		{plain + "/elb", 1, "503", "you asked the load balancer itself"},
		{"-q tcp://" + plain, 0, "HEALTHY    aws-clb  " + plain, "also while the site throws 500s"},
		{"tls://" + plain, 1, "tls-not-spoken", ""},
		{"tls://127.0.1.5:" + portOf(overTLS), 1, "refused", ""},
		{"--path /no-content " + plain, 1, "204", ""},
		{"--timeout 50ms " + plain, 0, "aws-alb (altered)", ""},
		{"http://127.0.1.5:1/", 1, "on 127.0.1.5 port 1", ""},
		{"http://no-such-name.invalid/", 1, "resolve", ""},
		{"--count 2 -q " + plain, 0, "HEALTHY", ""},
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(c.args)...)...)
		if r.code == exitFault && strings.Contains(c.args, ".invalid") {
			continue // this machine has no resolver that would say no
		}
		if r.code != c.code || !strings.Contains(r.stdout, c.stdout) || !strings.Contains(joined(r.stderr), c.stderr) || (c.stderr == "" && r.stderr != "") {
			t.Errorf("check %s: exit %d, want %d\n%s%s", c.args, r.code, c.code, r.stdout, r.stderr)
		}
	}
	// localhost is asked as such, so this part stays on 127.0.0.1.
	if r := runTriage(t, nil, "check", "--as", "aws-clb", "tls://"+overTLS); r.code != 0 || !strings.Contains(r.stdout, "handshaken") {
		t.Errorf("tls: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runTriage(t, nil, "check", "https://"+overTLS); r.code != 0 || !strings.Contains(r.stdout, "200 in") {
		t.Errorf("https: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// TestLocalhostIsNotWhatTheLoadBalancerAsks: an app that is fine on 127.0.0.1 may refuse its private address,
// or not listen there at all.
func TestLocalhostIsNotWhatTheLoadBalancerAsks(t *testing.T) {
	private := netip.MustParseAddr("127.0.1.6")
	onLoopback := serveOn(t, "127.0.0.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := runTriage(t, []netip.Addr{private}, "check", "http://"+onLoopback+"/")
	if r.code != exitOK || !strings.Contains(joined(r.stderr), "127.0.0.1: 200, 127.0.1.6: the connection was refused: nothing listens on this port; the load balancer asks 127.0.1.6") {
		t.Errorf("exit %d, stderr %q", r.code, r.stderr)
	}

	everywhere := serveOn(t, "0.0.0.0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "127.0.1.6") {
			w.WriteHeader(400)
		}
	}))
	port := portOf(everywhere)
	r = runTriage(t, []netip.Addr{private}, "check", "http://localhost:"+port+"/")
	if r.code != exitOK || !strings.Contains(joined(r.stderr), ": 200, 127.0.1.6: 400; the load balancer asks 127.0.1.6") {
		t.Errorf("exit %d, stderr %q", r.code, r.stderr)
	}
	r = runTriage(t, []netip.Addr{private}, "check", ":"+port+"/health_check")
	if r.code != exitUnhealthy || !strings.Contains(r.stdout, "127.0.1.6:"+port+"/health_check  400") {
		t.Errorf(":PORT: exit %d\n%s", r.code, r.stdout)
	}
	if r := runTriage(t, nil, "check", ":8000/"); r.code != exitUsage || !strings.Contains(r.stderr, "no private address") {
		t.Errorf("no private address: exit %d, %q", r.code, r.stderr)
	}
}

// joined undoes the wrapping of a message.
func joined(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestCheckUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                                 "expected \"<URL>\"",
		"ftp://x/":                         "ftp is not a scheme of a health check",
		"http://":                          "has no host",
		"http://u:p@x/":                    "does not log in",
		"http://0.0.0.0:8000/":             "0.0.0.0 is not the address of one machine",
		"[::]:8000":                        ":: is not the address of one machine",
		"http://::1/":                      "brackets",
		"127.0.1.5:0":                      "1 to 65535",
		"127.0.1.5:99999":                  "1 to 65535",
		"http://127.0.1.5/%zz":             "not valid",
		"tcp://127.0.1.5:80/path":          "has a path",
		"tcp://127.0.1.5":                  "has no port",
		"--as aws-abl http://127.0.1.5/":   "did you mean aws-alb?",
		"--as alb tcp://127.0.1.5:80":      "has no tcp check",
		"--as alb tls://127.0.1.5:443":     "--as aws-clb has tcp and tls",
		"--host x tcp://127.0.1.5:80":      "sends no request",
		"--host a/b http://127.0.1.5/":     "no host name has",
		"--success-codes 2xx 127.0.1.5:80": "not a status code",
		"--timeout 5 127.0.1.5:80":         "write 5s",
		"--timeout 2h 127.0.1.5:80":        "outside",
		"--count 0 127.0.1.5:80":           "--count 0",
		"-q -v 127.0.1.5:80":               "can't be used together",
		"-k https://127.0.1.5/":            "-k is not needed",
		"-I 127.0.1.5:80":                  "HEAD",
		"-L 127.0.1.5:80":                  "never do",
		"-H Host:x 127.0.1.5:80":           "--host NAME",
		"--resolve a:80:b 127.0.1.5:80":    "--host",
		"--max-time 3 127.0.1.5:80":        "--timeout 3s",
		"--nonsense 127.0.1.5:80":          "unknown flag --nonsense",
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(joined(r.stderr), want) || r.stdout != "" || !strings.Contains(r.stderr, "\nhint: ") {
			t.Errorf("check %s: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}

func TestCheckInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(context.Background())
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	}))
	var out bytes.Buffer
	if code := run(ctx, []string{"check", address}, os.Getenv, strings.NewReader(""), &out, &out); code != exitInterrupted {
		t.Errorf("exit %d\n%s", code, &out)
	}
}

// TestUndiagnosedSaysWhatWasSeen: nothing is invented.
func TestUndiagnosedSaysWhatWasSeen(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }))
	r := runTriage(t, nil, "check", address)
	if want := "Seen       the answer is 418 I'm a teapot, and that is not one of the success\n"; !strings.Contains(r.stdout, want) || strings.Contains(r.stdout, "Cause") || strings.Contains(r.stdout, "Fix") {
		t.Errorf("stdout:\n%s", r.stdout)
	}
	if strings.Contains(r.stdout, diagnose.Undiagnosed) {
		t.Error("a code for machines is shown to people")
	}
}

func TestShorten(t *testing.T) {
	long := strings.Repeat("abcdefghij", 20)
	for _, width := range []int{0, 20, 21, 60, 300} {
		if got := shorten(long, width); utf8.RuneCountInString(got) > max(width, 20) {
			t.Errorf("width %d: %s", width, got)
		}
	}
	if fmt.Sprint(shorten("short", 30)) != "short" {
		t.Error("short text was cut")
	}
}

// TestCheckOfEveryAddress: a server listens on 0.0.0.0, but nobody can be asked there; the hint says who can.
func TestCheckOfEveryAddress(t *testing.T) {
	r := runTriage(t, nil, "check", "http://0.0.0.0:8000/health_check")
	if want := "hint: write :8000/health_check for this machine at its own private addresses"; r.code != exitUsage || !strings.Contains(joined(r.stderr), want) {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}

// TestQuietCheckAsksOnce: nobody sees the answers to second questions, so the target is spared them.
func TestQuietCheckAsksOnce(t *testing.T) {
	var requests atomic.Int32
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		asDjango(w, r)
	}))
	if r := runTriage(t, nil, "check", "-q", address); r.code != exitUnhealthy || requests.Load() != 1 {
		t.Errorf("-q: exit %d after %d requests", r.code, requests.Load())
	}
	requests.Store(0)
	for _, args := range []string{"", "--json -q"} { // a program reads the diagnosis, however quiet it wants the rest
		requests.Store(0)
		if runTriage(t, nil, append([]string{"check", address}, strings.Fields(args)...)...); requests.Load() < 2 {
			t.Errorf("%q: %d requests, and the cause is not proved", args, requests.Load())
		}
	}
}

// TestURLWithinAQuery: only what stands before the first colon is a scheme.
func TestURLWithinAQuery(t *testing.T) {
	asked := make(chan string, 1)
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.RequestURI }))
	const path = "/login?next=http://x/"
	if r := runTriage(t, nil, "check", "--no-follow-up", address+path); r.code != exitOK {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := <-asked; got != path {
		t.Errorf("asked for %s", got)
	}
}

// TestUndiagnosedHasEveryField: a program that reads the lists must not meet null.
func TestUndiagnosedHasEveryField(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }))
	r := runTriage(t, nil, "check", "--json", address)
	for _, want := range []string{`"candidates": []`, `"asked": []`, `"proof": ""`, `"fix": ""`, `"code": "undiagnosed"`} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %s in\n%s", want, r.stdout)
		}
	}
}

// TestBridgesAreNotWhatTheLoadBalancerAsks: a machine has addresses, of containers for one, that no load balancer
// knows. One own address that answers alike is enough.
func TestBridgesAreNotWhatTheLoadBalancerAsks(t *testing.T) {
	everywhere := serveOn(t, "0.0.0.0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "127.0.1.6:") || strings.HasPrefix(r.Host, "127.0.1.7:") {
			w.WriteHeader(400)
		}
	}))
	url := "http://127.0.0.1:" + portOf(everywhere) + "/"
	bridge, other, private := netip.MustParseAddr("127.0.1.6"), netip.MustParseAddr("127.0.1.7"), netip.MustParseAddr("127.0.1.8")
	if r := runTriage(t, []netip.Addr{bridge, other, private}, "check", url); r.code != exitOK || r.stderr != "" {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
	r := runTriage(t, []netip.Addr{bridge, other}, "check", url)
	if want := "127.0.0.1: 200, 127.0.1.6: 400, 127.0.1.7: 400; the load balancer asks 127.0.1.6 or 127.0.1.7"; r.code != exitOK || !strings.Contains(joined(r.stderr), want) {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}
