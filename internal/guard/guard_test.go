package guard_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is what the upstream was told about a request.
type seen struct {
	Target, Host, For, Proto, Port string
}

// django answers as Django does with ALLOWED_HOSTS, SECURE_SSL_REDIRECT and SECURE_PROXY_SSL_HEADER: 400 for a
// foreign host, 301 to who did not come by https, else 200 with what it saw.
func django(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	switch {
	case host != "mysite.com" && host != "example.org" && !strings.HasSuffix(host, ".example.org"):
		http.Error(w, "Bad Request (400)", http.StatusBadRequest)
	case r.Header.Get("X-Forwarded-Proto") != "https":
		http.Redirect(w, r, "https://"+host+r.RequestURI, http.StatusMovedPermanently)
	default:
		echo(w, r)
	}
}

// echo answers 200 with what it saw, whatever it was.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(seen{
		Target: r.RequestURI,
		Host:   r.Host,
		For:    strings.Join(r.Header["X-Forwarded-For"], "|"),
		Proto:  strings.Join(r.Header["X-Forwarded-Proto"], "|"),
		Port:   strings.Join(r.Header["X-Forwarded-Port"], "|"),
	})
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// lines returns the log's lines that hold all of the texts.
func (j *journal) lines(texts ...string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []string
line:
	for line := range strings.Lines(j.text.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue line
			}
		}
		found = append(found, line)
	}
	return found
}

// want fails the test unless a line that holds all of the texts is there, or comes.
func (j *journal) want(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, func() bool { return len(j.lines(texts...)) > 0 }, func() string {
		return "no log line has all of " + strings.Join(texts, ", ") + "; the log is\n" + strings.Join(j.lines(), "")
	})
}

const patience = 10 * time.Second

func eventually(t *testing.T, ok func() bool, otherwise func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise())
		}
	}
}

// sidecar is a running guard.
type sidecar struct {
	*guard.Guard
	addr netip.AddrPort
	log  *journal
	stop func() // tells it to stop, and returns when it has
	tell func() // tells it to stop
}

// start runs a guard in front of a handler until the test ends.
func start(t *testing.T, app http.HandlerFunc, c guard.Config) *sidecar {
	t.Helper()
	upstream := httptest.NewServer(app)
	t.Cleanup(upstream.Close)
	c.Upstream = triage.TargetID(upstream.Listener.Addr().String())
	return run(t, c)
}

// run runs a guard, on a port of 127.0.0.1 unless the config says otherwise, until the test ends.
func run(t *testing.T, c guard.Config) *sidecar {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
	s := &sidecar{log: &journal{}}
	c.Log = slog.New(slog.NewTextHandler(s.log, nil))
	var err error
	if s.Guard, err = guard.Listen(c); err != nil {
		t.Fatal(err)
	}
	s.addr = s.Addr().(*net.TCPAddr).AddrPort()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.tell = cancel
	s.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(s.stop)
	return s
}

// ask sends bytes and returns the answer and its content.
func (s *sidecar) ask(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// saw sends a request that is to be answered with 200, and returns what the upstream saw.
func (s *sidecar) saw(t *testing.T, request string) seen {
	t.Helper()
	answer, body := s.ask(t, request)
	var got seen
	if err := json.Unmarshal([]byte(body), &got); answer.StatusCode != 200 || err != nil {
		t.Fatalf("%q: %s %s, %s", request, answer.Status, answer.Header.Get("Location"), body)
	}
	return got
}

// get writes a GET request.
func get(target, host string, headers ...string) string {
	lines := append([]string{"GET " + target + " HTTP/1.1", "Host: " + host, "Connection: close"}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func prefixes(t *testing.T, items ...string) []netip.Prefix {
	t.Helper()
	trusted, err := guard.ParseTrusted(items)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// story is the guard of the story, with the upstream left out.
func story() guard.Config {
	return guard.Config{
		AllowedHosts:  []string{"mysite.com", ".example.org"},
		HTTPSRedirect: true,
		HealthPath:    "/health_check",
	}
}

// TestHealthChecksPass asks the health path as load balancers do; the application, which was not changed for them,
// says 200.
func TestHealthChecksPass(t *testing.T) {
	s := start(t, django, story())
	ask := func(name triage.Dialect, path string) string {
		return string(dialect.Get(name).AppendRequest(nil, dialect.Question{Protocol: triage.HTTP, Address: s.addr, Path: path}))
	}
	for name, c := range map[string]struct{ request, target string }{
		"ALB":                   {ask(triage.AWSALB, "/health_check"), "/health_check"},
		"CLB":                   {ask(triage.AWSCLB, "/health_check"), "/health_check"},
		"CLB with a query":      {ask(triage.AWSCLB, "/health_check?from=elb&x"), "/health_check?from=elb&x"},
		"triage":                {ask(triage.Own, "/health_check"), "/health_check"},
		"HAProxy":               {"OPTIONS /health_check HTTP/1.0\r\n\r\n", "/health_check"},
		"HAProxy with GET":      {"GET /health_check HTTP/1.0\r\n\r\n", "/health_check"},
		"NLB, its own address":  {get("/health_check", "10.0.7.7"), "/health_check"},
		"IPv6":                  {get("/health_check", "[2001:db8::5]:8000"), "/health_check"},
		"a client by name":      {get("/health_check", "mysite.com"), "/health_check"},
		"a user of a subdomain": {get("/health_check", "www.example.org", "X-Forwarded-Proto: http"), "/health_check"},
	} {
		want := seen{Target: c.target, Host: "mysite.com", For: "127.0.0.1", Proto: "https", Port: "443"}
		if diff := cmp.Diff(want, s.saw(t, c.request)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestUsers: everything but the health path, and what is almost the health path.
func TestUsers(t *testing.T) {
	s := start(t, django, story())
	const https = "X-Forwarded-Proto: https"
	for _, c := range []struct {
		request  string
		status   int
		location string
	}{
		{get("/a?b=c", "mysite.com", https), 200, ""},
		{get("/", "www.example.org:8080", https), 200, ""},
		{get("/a?b=c", "mysite.com"), 301, "https://mysite.com/a?b=c"},
		{get("/", "mysite.com:80", "X-Forwarded-Proto: http"), 301, "https://mysite.com/"},
		{"POST /form HTTP/1.1\r\nHost: mysite.com\r\nContent-Length: 0\r\n\r\n", 308, "https://mysite.com/form"},
		{get("/health_check/", "mysite.com"), 301, "https://mysite.com/health_check/"},
		{get("/health%5Fcheck", "mysite.com"), 301, "https://mysite.com/health%5Fcheck"},

		{get("/", "evil.example"), 400, ""},
		{get("/", "evil.example", https), 400, ""},
		{get("/", "mysite.com.evil.example", https), 400, ""},
		{get("/", "127.0.0.1", https), 400, ""},
		{"GET / HTTP/1.0\r\n\r\n", 400, ""},
		{get("/health_check", "evil.example"), 400, ""},
		{get("/health_check?x", "evil.example", https), 400, ""},
		{get("http://evil.example/health_check", "10.0.1.5"), 400, ""},
		{get("/health_check/", "10.0.1.5"), 400, ""},
		{get("/x/../health_check", "10.0.1.5"), 400, ""},
		{get("//health_check", "10.0.1.5"), 400, ""},
	} {
		answer, _ := s.ask(t, c.request)
		if location := answer.Header.Get("Location"); answer.StatusCode != c.status || location != c.location {
			t.Errorf("%q: %d %q, want %d %q", c.request, answer.StatusCode, location, c.status, c.location)
		}
	}
	s.log.want(t, "level=INFO", "refused a host", "host=evil.example", "--allowed-hosts")
	s.log.want(t, "level=WARN", "on the health path", "host=evil.example", "--health-hosts")
	if n := len(s.log.lines("refused a host with 400\"", "host=evil.example ")); n != 1 {
		t.Errorf("%d lines about one host", n)
	}
}

// TestHostStaysOffTheHealthPath: only the health path's Host is changed.
func TestHostStaysOffTheHealthPath(t *testing.T) {
	s := start(t, echo, guard.Config{HealthPath: "/health_check", UpstreamHost: "site.internal:8000", UpstreamProto: "http"})
	want := seen{Target: "/health_check", Host: "site.internal:8000", For: "127.0.0.1", Proto: "http", Port: "80"}
	if diff := cmp.Diff(want, s.saw(t, get("/health_check", "10.0.1.5"))); diff != "" {
		t.Error(diff)
	}
	if got := s.saw(t, get("/", "10.0.1.5:8000")); got.Host != "10.0.1.5:8000" || got.Proto != "http" {
		t.Errorf("%+v", got)
	}
	s.log.want(t, "policy: health path", "upstream_host=site.internal:8000", "upstream_proto=http")
}

// TestForgedPath: what the health path is let through with must not open another page. Applications and the servers in
// front of them take the path from these headers, some of them from whoever sends them.
func TestForgedPath(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) }, story())
	_, body := s.ask(t, get("/health_check", "10.0.1.5", "SCRIPT_NAME: /health_check", "Path-Info: /admin", "PATH_INFO: /admin",
		"X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X_Custom: /admin", "X.Custom: /admin", "X-Custom: stays"))
	if strings.Contains(body, "/admin") || strings.Contains(body, "/health_check") || !strings.Contains(body, "stays") {
		t.Error(body)
	}
}

// TestSiteHost: with which Host the health path goes to the upstream unless somebody says so.
func TestSiteHost(t *testing.T) {
	for _, c := range []struct {
		allowed []string
		want    string
	}{
		{[]string{".example.org", "mysite.com", "other.example"}, "mysite.com"},
		{[]string{"10.0.1.5", "[::1]", ".example.org", ".other.example"}, "example.org"},
		{[]string{"10.0.1.5"}, "10.0.7.7:80"}, // kept
		{nil, "10.0.7.7:80"},
	} {
		s := start(t, echo, guard.Config{AllowedHosts: c.allowed, HealthPath: "/up"})
		if got := s.saw(t, get("/up", "10.0.7.7:80")); got.Host != c.want {
			t.Errorf("%v: %s, want %s", c.allowed, got.Host, c.want)
		}
		if kept := strings.HasPrefix(c.want, "10."); kept != (len(s.log.lines("level=WARN", "--upstream-host")) == 1) {
			t.Errorf("%v: a warning if and only if the Host is kept:\n%s", c.allowed, s.log.lines())
		}
	}
}

// TestTrustedClaims: what the load balancer in front says is kept for the application.
func TestTrustedClaims(t *testing.T) {
	s := start(t, echo, guard.Config{})
	for _, c := range []struct {
		headers []string
		want    seen
	}{
		{[]string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"},
			seen{For: "198.51.100.7, 127.0.0.1", Proto: "https", Port: "443"}},
		{[]string{"X-Forwarded-For: 192.0.2.1, 198.51.100.7", "X-Forwarded-For: 10.0.0.9", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80"},
			seen{For: "192.0.2.1, 198.51.100.7, 10.0.0.9, 127.0.0.1", Proto: "http", Port: "80"}},
		{[]string{"X-Forwarded-Proto: http, https", "X-Forwarded-Port: 80, 8443"},
			seen{For: "127.0.0.1", Proto: "https", Port: "8443"}},
		{[]string{"X-Forwarded-Proto: https"}, seen{For: "127.0.0.1", Proto: "https"}},
		{[]string{"X-Forwarded-Proto: https", "X-Forwarded-Port: 443; evil"}, seen{For: "127.0.0.1", Proto: "https"}},
		{[]string{"X_Forwarded_Proto: https", "X-Forwarded-Host: evil.example", "Forwarded: for=192.0.2.1"},
			seen{For: "127.0.0.1", Proto: "http", Port: port(s.addr)}},
	} {
		c.want.Target, c.want.Host = "/", "mysite.com"
		if diff := cmp.Diff(c.want, s.saw(t, get("/", "mysite.com", c.headers...))); diff != "" {
			t.Errorf("%q: %s", c.headers, diff)
		}
	}
}

// TestUntrustedClaims: whoever is not trusted is described as we see it; an https claim is logged with its cure, once.
func TestUntrustedClaims(t *testing.T) {
	claims := []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"}
	t.Run("forwarded", func(t *testing.T) {
		s := start(t, echo, guard.Config{Trusted: prefixes(t, "none")})
		for range 3 {
			want := seen{Target: "/", Host: "mysite.com", For: "127.0.0.1", Proto: "http", Port: port(s.addr)}
			if diff := cmp.Diff(want, s.saw(t, get("/", "mysite.com", claims...))); diff != "" {
				t.Error(diff)
			}
		}
		if n := len(s.log.lines("level=WARN", "peer=127.0.0.1", "add its address to --trusted, as in --trusted 127.0.0.1\"")); n != 1 {
			t.Errorf("%d lines:\n%s", n, s.log.lines())
		}
		s.stop()
		s.log.want(t, "not trusted", "again=2")
	})
	t.Run("redirected", func(t *testing.T) {
		c := story()
		c.Trusted = prefixes(t, "10.0.0.0/8")
		s := start(t, django, c)
		answer, _ := s.ask(t, get("/", "mysite.com", claims...))
		if answer.StatusCode != 301 {
			t.Error(answer.Status)
		}
		s.log.want(t, "level=WARN", "peer=127.0.0.1", "for ever", "--trusted 10.0.0.0/8,127.0.0.1")
		s.log.want(t, "policy: X-Forwarded-For", "trusted=10.0.0.0/8")
		s.saw(t, get("/health_check", "10.0.1.5", claims...))
	})
}

func port(a netip.AddrPort) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}
