package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// listening is a triage listen that runs in the background.
type listening struct {
	t       *testing.T
	address string
	stdout  bytes.Buffer // to be read after it has ended
	stop    context.CancelFunc
	ended   chan int
}

func startListen(t *testing.T, args ...string) *listening {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &listening{t: t, stop: stop, ended: make(chan int, 1)}
	stderr, w := io.Pipe()
	go func() {
		code := run(ctx, append([]string{"listen", "127.0.0.1:0"}, args...), func(string) string { return "" }, nil, &l.stdout, w)
		w.Close()
		l.ended <- code
	}()
	lines := bufio.NewScanner(stderr)
	pattern := regexp.MustCompile(`^listening on (\S+);`)
	for l.address == "" {
		if !lines.Scan() {
			t.Fatal("triage listen ended before it listened")
		}
		if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
			l.address = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return l
}

// send sends bytes on a connection of their own, and returns once they have been dealt with.
func (l *listening) send(s string) {
	l.t.Helper()
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, s); err != nil {
		l.t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c) // the answer, or a reset: how it ends is not the point here
}

// wait returns the exit code.
func (l *listening) wait() int {
	l.t.Helper()
	select {
	case code := <-l.ended:
		return code
	case <-time.After(10 * time.Second):
		l.t.Fatal("triage listen did not end")
		return -1
	}
}

func TestListenShowsAClassicELB(t *testing.T) {
	l := startListen(t, "--count", "1")
	l.send("GET /health_check HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nUser-Agent: ELB-HealthChecker/1.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n")
	if code := l.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d\d\d  127\.0\.0\.1:\d+  HTTP request
Sender     AWS Classic Load Balancer's health check \(User-Agent
           ELB-HealthChecker/1\.0, and exactly its headers in its order\)
    GET /health_check HTTP/1\.1\\r\\n
    host: 127\.0\.0\.1:8080\\r\\n  <-- Host: this machine's address, with port
    User-Agent: ELB-HealthChecker/1\.0\\r\\n
    Accept: \*/\*\\r\\n
    Connection: keep-alive\\r\\n
    \\r\\n
Accepts    The app must answer GET /health_check with Host "127\.0\.0\.1:8080",
             whatever it answers to others\.
(?s:.*)
           200 passes; others cannot be set\.
(?s:.*)timeout 5s \(2s-60s\)\.
Note       Host is "127\.0\.0\.1:8080": this machine's address, not your site's
           name\. (?s:.*ALLOWED_HOSTS.*)
Answered   200
$`)
	if got := l.stdout.String(); !want.MatchString(got) {
		t.Errorf("printed\n%s", got)
	}
}

// hostile is what a sender may try: terminal sequences in each place, C1 controls, wrong UTF-8, text that runs
// backwards, lines without end.
var hostile = []string{
	"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b]0;owned\x07\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \u009b31m\u202e\x7f\xff\r\nUser-Agent: curl/\u009b\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n\x1b[2J\x9b31m",
	"\x1b[2J\x1b[H",
	"\x16\x03\x01\x1b[2J\x9b31m",
	"PROXY \x1b[2J\r\n",
	"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n\x1b[2J",
	"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10\xc0\x00\x02\x01\x0a\x00\x00\x01\x04\xd2\x00\x50\x1b[2JGET / HTTP/1.0\r\n\r\n",
	"GET /" + strings.Repeat("a\x1b", 5000) + " HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: 10.0.0.1:" + strings.Repeat("0", 5000) + "80\r\nX: " + strings.Repeat("\xff", 50_000) + "\r\n\r\n",
	"GET / HTTP/1.0\r\nX: " + strings.Repeat("a\\", 50) + "\n\n" + strings.Repeat("\n", 500),
}

func TestListenLetsNoEscapeThrough(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		args := []string{"--count", "12"}
		if format == "json" {
			args = append(args, "--json")
		}
		l := startListen(t, args...)
		for _, s := range hostile {
			l.send(s)
		}
		if code := l.wait(); code != 0 {
			t.Errorf("%s: exit code %d", format, code)
		}
		for line := range strings.Lines(l.stdout.String()) {
			line = strings.TrimSuffix(line, "\n")
			for _, c := range line {
				if c < ' ' || c >= 0x7f && c != '…' {
					t.Errorf("%s: %q in %q", format, c, line)
					break
				}
			}
			if format == "text" && utf8.RuneCountInString(line) > lineWidth {
				t.Errorf("more than %d columns: %q", lineWidth, line)
			}
		}
	}
}

func TestListenJSON(t *testing.T) {
	l := startListen(t, "--json", "--count", "3")
	texts := []string{
		"GET / HTTP/1.1\r\nHost: mysite.com\r\nX: \u009b\U0001f600<&>\r\n\r\n",
		"\xff\xfe",
		"",
	}
	for _, s := range texts {
		l.send(s)
	}
	if code := l.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSuffix(l.stdout.String(), "\n"), "\n")
	if len(lines) != len(texts) {
		t.Fatalf("%d lines: %q", len(lines), lines)
	}
	for i, line := range lines {
		var got struct {
			Schema   string `json:"schema"`
			ID       int    `json:"id"`
			Kind     string `json:"kind"`
			Raw      string `json:"raw"`
			RawBytes []byte `json:"raw_base64"`
			Request  *struct {
				Host struct {
					Value, Form string
					Own         bool
				}
			}
			Answered int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got.Schema != "triage.listen/1" || got.ID != i+1 || got.Raw+string(got.RawBytes) != texts[i] {
			t.Errorf("record %d: %s", i, line)
		}
		if i == 0 && (got.Kind != "http-request" || got.Request == nil || got.Request.Host.Form != "name" || got.Answered != 200) {
			t.Errorf("request: %s", line)
		}
	}
}

func TestListenRawAppends(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raw")
	var want string
	for _, s := range []string{"GET /1 HTTP/1.0\r\n\r\n", "\x00\xff\x1b"} {
		l := startListen(t, "--count", "1", "--raw", file)
		l.send(s)
		if code := l.wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		want += s
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("file has %q, %v", got, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestListenInterrupted(t *testing.T) {
	l := startListen(t)
	l.stop()
	if code := l.wait(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}

func TestListenPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"listen", taken.Addr().String()}, func(string) string { return "" }, nil, &stdout, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "address already in use\nhint: stop the process that has port") {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}

// TestListenKnowsOurOwnChecks: what triage check sends as a load balancer is recognised as that load balancer's, if anybody
// knows what that one sends.
func TestListenKnowsOurOwnChecks(t *testing.T) {
	for _, s := range dialect.All() {
		if !s.Speaks(triage.HTTP) {
			continue
		}
		l := startListen(t, "--count", "1")
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"check", "--as", string(s.Name), "http://" + l.address + "/health_check"}, func(string) string { return "" }, nil, &stdout, &stderr)
		if code != 0 {
			t.Errorf("check as %s: exit code %d, %s%s", s.Name, code, stdout.String(), stderr.String())
		}
		l.wait()
		product, _, _ := strings.Cut(s.Title, ",")
		known := s.Agent != "" || s.Form
		got := strings.Join(strings.Fields(l.stdout.String()), " ")
		if strings.Contains(got, "Sender ") != known || known && !strings.Contains(got, product+"'s") {
			t.Errorf("as %s: %s", s.Name, got)
		}
	}
}
