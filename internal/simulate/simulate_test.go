package simulate

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// start runs a server until the test ends, and fails the test if it does not
// stop.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	return s
}

func run(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return after its context was done")
		}
	})
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw sends bytes on a new connection and returns everything that comes back
// until the server closes, without the Date line.
func raw(t *testing.T, s *Server, request string) string {
	t.Helper()
	c := dial(t, s)
	write(t, c, request)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read the answer to %q: %v", request, err)
	}
	return withoutDate(string(b))
}

func withoutDate(answer string) string {
	before, rest, ok := strings.Cut(answer, "Date: ")
	if !ok {
		return answer
	}
	_, after, _ := strings.Cut(rest, "\r\n")
	return before + after
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

// client returns a client that follows no redirect and whose connections end
// with the test.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get returns the status and body of a page.
func get(t *testing.T, c *http.Client, s *Server, path string) (int, string) {
	t.Helper()
	resp, err := c.Get("http://" + s.Address().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func set(t *testing.T, s *Server, illness Illness) {
	t.Helper()
	if err := s.SetIllness(illness); err != nil {
		t.Fatal(err)
	}
}

const django400 = "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Bad Request (400)</title>\n</head>\n" +
	"<body>\n  <h1>Bad Request (400)</h1><p></p>\n</body>\n</html>\n"

// One request to each illness that answers, and the exact bytes that return.
func TestAnswersByteForByte(t *testing.T) {
	s := start(t, Config{Name: "app-1"})
	const ask = " HTTP/1.1\r\nHost: 10.0.1.5:8000\r\nConnection: close\r\n"
	const hello = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n" +
		"Connection: close\r\nX-Instance: app-1\r\n\r\nhello from app-1\n"
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n" +
		"Connection: close\r\nX-Instance: app-1\r\n\r\nok"
	const rejected = "HTTP/1.1 400 Bad Request\r\nServer: gunicorn\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Content-Length: 143\r\nConnection: close\r\nX-Instance: app-1\r\n\r\n" + django400
	const moved = "HTTP/1.1 301 Moved Permanently\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 162\r\n" +
		"Connection: close\r\nLocation: https://10.0.1.5/health_check?x=1\r\nX-Instance: app-1\r\n\r\n" +
		"<html>\r\n<head><title>301 Moved Permanently</title></head>\r\n<body>\r\n" +
		"<center><h1>301 Moved Permanently</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	failed := strings.NewReplacer("400 Bad Request", "500 Internal Server Error",
		"Bad Request (400)", "Server Error (500)", "143", "145").Replace(rejected)

	for _, test := range []struct {
		name    string
		illness Illness
		request string
		want    string
	}{
		{"page", Healthy, "GET /" + ask + "\r\n", hello},
		{"health", Healthy, "GET /health_check" + ask + "\r\n", ok},
		{"head", Healthy, "HEAD /health_check" + ask + "\r\n", strings.TrimSuffix(ok, "ok")},
		{"HTTP/1.0 without Host", Healthy, "GET /health_check HTTP/1.0\r\n\r\n", ok},
		{"unknown page", Healthy, "GET /x" + ask + "\r\n", "HTTP/1.1 404 Not Found\r\n" +
			"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 35\r\n" +
			"Connection: close\r\nX-Instance: app-1\r\n\r\napp-1 has only / and /health_check\n"},
		{"body before the end", Healthy, "POST /" + ask + "Content-Length: 3\r\n\r\nabc", hello},
		{"page", Error500, "GET /" + ask + "\r\n", failed},
		{"health", Error500, "GET /health_check" + ask + "\r\n", failed},
		{"health", RedirectHTTPS, "GET /health_check?x=1" + ask + "\r\n", moved},
		{"http at the balancer", RedirectHTTPS, "GET /health_check?x=1" + ask + "X-Forwarded-Proto: http\r\n\r\n", moved},
		{"https at the balancer", RedirectHTTPS, "GET /health_check" + ask + "X-Forwarded-Proto: https\r\n\r\n", ok},
		{"address as Host", HostRejected, "GET /health_check" + ask + "\r\n", rejected},
		{"no Host", HostRejected, "GET /health_check HTTP/1.0\r\n\r\n", rejected},
		{"allowed Host", HostRejected, "GET /health_check HTTP/1.0\r\nHost: MySite.com.:8000\r\n\r\n", ok},
		{"localhost", HostRejected, "GET /health_check HTTP/1.0\r\nHost: localhost\r\n\r\n", ok},
		{"empty", EmptyReply, "GET /" + ask + "\r\n", ""},
		{"empty after a body", EmptyReply, "POST /" + ask + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", ""},
		{"empty for garbage", EmptyReply, "\x16\x03\x01\x02\x00\x01", ""},
	} {
		t.Run(string(test.illness)+"/"+test.name, func(t *testing.T) {
			set(t, s, test.illness)
			if got := raw(t, s, test.request); got != test.want {
				t.Errorf("request %q\n got %q\nwant %q", test.request, got, test.want)
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	s := start(t, Config{})
	for name, test := range map[string]struct{ request, want string }{
		"TLS hello":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400 "},
		"garbage":               {"hello there\r\n\r\n", "HTTP/1.1 400 "},
		"HTTP/2 preface":        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
		"HTTP/1.1 without Host": {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		"impossible Host":       {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "HTTP/1.1 400 "},
		"impossible port":       {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "HTTP/1.1 400 "},
		"endless head":          {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 2*maxHead), "HTTP/1.1 431 "},
		"endless body": {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" +
			strings.Repeat("x", maxBody+maxHead), "HTTP/1.1 200 "},
	} {
		t.Run(name, func(t *testing.T) {
			got := raw(t, s, test.request)
			if !strings.HasPrefix(got, test.want) || !strings.Contains(got, "Connection: close\r\n") {
				t.Errorf("got %q, want %q and a closed connection", got, test.want)
			}
		})
	}
}

func TestKeepAliveCarriesTheNextIllness(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, s)
	in := bufio.NewReader(c)
	for _, step := range []struct {
		illness Illness
		status  int
	}{{Healthy, 200}, {Error500, 500}, {HostRejected, 400}, {RedirectHTTPS, 301}, {Healthy, 200}} {
		set(t, s, step.illness)
		write(t, c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", step.illness, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != step.status {
			t.Errorf("%s: status %d, want %d", step.illness, resp.StatusCode, step.status)
		}
	}
	if n := s.Requests(); n != 5 {
		t.Errorf("Requests() = %d, want 5", n)
	}
}

func TestExpectContinue(t *testing.T) {
	s := start(t, Config{})
	c := dial(t, s)
	in := bufio.NewReader(c)
	write(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if _, err := in.Discard(2); err != nil {
		t.Fatal(err)
	}
	write(t, c, "abc")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("after the body: %v, %v", resp, err)
	}
}

func TestClientSeesEachIllness(t *testing.T) {
	s := start(t, Config{Name: "app-1", Slow: time.Millisecond})
	c := client(t)
	for illness, want := range map[Illness]int{
		Healthy: 200, Error500: 500, RedirectHTTPS: 301, HostRejected: 400, Slow: 200, Flap: 200,
	} {
		set(t, s, illness)
		if status, _ := get(t, c, s, "/health_check"); status != want {
			t.Errorf("%s: status %d, want %d", illness, status, want)
		}
	}
	set(t, s, EmptyReply)
	// A POST, which the transport does not send again by itself.
	_, err := c.Post("http://"+s.Address().String(), "text/plain", strings.NewReader("x"))
	if !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v, want EOF", EmptyReply, err)
	}
	set(t, s, Refuse)
	_, err = c.Get("http://" + s.Address().String())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %v, want connection refused", Refuse, err)
	}
}

// A hanging server reads, never answers, whatever it is sent, and lets go when
// it is switched.
func TestHangHoldsUntilSwitched(t *testing.T) {
	for name, request := range map[string]string{
		"request":   "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Config{Illness: Hang})
			c := dial(t, s)
			write(t, c, request)
			waitHanging(t, s, 1)
			// Far more than socket buffers hold: it is really read.
			if _, err := c.Write(make([]byte, 32<<20)); err != nil {
				t.Fatal(err)
			}
			setReadDeadline(t, c, 50*time.Millisecond)
			if n, err := c.Read(make([]byte, 1)); !isTimeout(err) {
				t.Fatalf("read %d bytes, %v, want silence", n, err)
			}
			set(t, s, Healthy)
			setReadDeadline(t, c, patience)
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
				t.Fatalf("after the switch: read %d bytes, %v, want a closed connection", n, err)
			}
			if status, _ := get(t, client(t), s, "/"); status != 200 {
				t.Errorf("new connection after the switch: %d", status)
			}
		})
	}
}

func TestHangLetsGoWhenTheClientLeaves(t *testing.T) {
	s := start(t, Config{Illness: Hang})
	c := dial(t, s)
	write(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	waitHanging(t, s, 1)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	waitHanging(t, s, 0)
}

func waitHanging(t *testing.T, s *Server, want int) {
	t.Helper()
	eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := 0
		for c := range s.conns {
			if c.hanging {
				n++
			}
		}
		return n == want
	})
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

func setReadDeadline(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func TestRefuseClosesEverythingAndComesBack(t *testing.T) {
	s := start(t, Config{})
	idle := dial(t, s)
	write(t, idle, "GET /health_check HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	addr := s.Address()

	set(t, s, Refuse)
	if _, err := idle.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("kept connection: %v, want it closed", err)
	}
	if _, err := net.Dial("tcp", addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v, want connection refused", err)
	}

	thief, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetIllness(Healthy); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("switch with the address taken: %v", err)
	}
	if got := s.Illness(); got != Refuse {
		t.Errorf("illness after the failed switch: %s", got)
	}
	if err := thief.Close(); err != nil {
		t.Fatal(err)
	}

	set(t, s, Healthy)
	if s.Address() != addr {
		t.Errorf("came back on %s, not %s", s.Address(), addr)
	}
	if status, _ := get(t, client(t), s, "/"); status != 200 {
		t.Errorf("back, but %d", status)
	}
}

func TestStartsRefusing(t *testing.T) {
	s := start(t, Config{Illness: Refuse})
	if _, err := net.Dial("tcp", s.Address().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial: %v, want connection refused", err)
	}
	set(t, s, Healthy)
	if status, _ := get(t, client(t), s, "/"); status != 200 {
		t.Errorf("switched, but %d", status)
	}
}

func TestSlowIsLate(t *testing.T) {
	const late = 80 * time.Millisecond
	s := start(t, Config{Illness: Slow, Slow: late})
	asked := time.Now()
	status, body := get(t, client(t), s, "/health_check")
	if status != 200 || body != "ok" {
		t.Errorf("%d %q", status, body)
	}
	if took := time.Since(asked); took < late {
		t.Errorf("answered after %v, want at least %v", took, late)
	}
}

// Neither a slow answer nor a hanging connection keeps Run from returning:
// start's cleanup fails otherwise, long before the hour is over.
func TestStopsWithRequestsInside(t *testing.T) {
	for _, illness := range []Illness{Slow, Hang} {
		t.Run(string(illness), func(t *testing.T) {
			entered := make(chan struct{})
			s := start(t, Config{Illness: illness, Slow: time.Hour,
				OnRequest: func(*http.Request, Illness) { close(entered) }})
			write(t, dial(t, s), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-entered
		})
	}
}

func TestFlapPhases(t *testing.T) {
	for elapsed, want := range map[time.Duration]Illness{
		0: Healthy, 9 * time.Second: Healthy, 10 * time.Second: Error500, 19 * time.Second: Error500, 20 * time.Second: Healthy,
	} {
		if got := flapPhase(elapsed, 10*time.Second); got != want {
			t.Errorf("after %v: %s, want %s", elapsed, got, want)
		}
	}
	s := start(t, Config{Illness: Flap, FlapPeriod: 20 * time.Millisecond})
	c := client(t)
	for _, want := range []int{200, 500, 200} {
		eventually(t, func() bool { status, _ := get(t, c, s, "/"); return status == want })
	}
}

func TestOnRequestSeesRequestAndIllness(t *testing.T) {
	seen := make(chan string, 1)
	s := start(t, Config{Illness: Error500, OnRequest: func(r *http.Request, i Illness) {
		_, err := netip.ParseAddrPort(r.RemoteAddr)
		seen <- strings.Join([]string{r.Method, r.RequestURI, r.Host, string(i)}, " ")
		if err != nil {
			t.Errorf("RemoteAddr: %v", err)
		}
	}})
	get(t, client(t), s, "/x?y")
	if got, want := <-seen, "GET /x?y "+s.Address().String()+" error500"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIPv6(t *testing.T) {
	s, err := Listen(Config{Address: netip.MustParseAddrPort("[::1]:0"), Illness: RedirectHTTPS})
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	run(t, s.Run)
	want := "Location: https://[::1]/\r\n"
	if got := raw(t, s, "GET / HTTP/1.0\r\nHost: "+s.Address().String()+"\r\n\r\n"); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := raw(t, s, "GET / HTTP/1.0\r\n\r\n"); !strings.Contains(got, want) {
		t.Errorf("without Host: got %q, want %q", got, want)
	}
}

func TestListenErrors(t *testing.T) {
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"taken":         {Config{Address: s.Address()}, "listen " + s.Address().String() + ": "},
		"taken, refuse": {Config{Address: s.Address(), Illness: Refuse}, "choose another port"},
		"foreign":       {Config{Address: netip.MustParseAddrPort("192.0.2.1:80")}, "does not have that address"},
		"illness":       {Config{Illness: "eror500"}, "did you mean error500?"},
		"far illness":   {Config{Illness: "zzzzz"}, `unknown illness "zzzzz": known are healthy`},
		"name":          {Config{Name: "a\r\nb"}, `name "a\r\nb"`},
		"dots":          {Config{Name: ".."}, "first"},
		"long name":     {Config{Name: strings.Repeat("x", 65)}, "longer"},
		"path":          {Config{HealthPath: "up"}, "must begin with /"},
		"slow":          {Config{Slow: -1}, "slow -1ns"},
		"flap":          {Config{FlapPeriod: -1}, "flap period -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			other, err := Listen(test.cfg)
			if err == nil {
				other.Close()
				t.Fatal("no error")
			}
			if said := err.Error() + "\n" + triage.HintOf(err); !strings.Contains(said, test.want) {
				t.Errorf("got %q, want %q in it", said, test.want)
			}
		})
	}
}

// TestNoPermissionForThePort: whoever tests may be root, so the kernel's answer is played.
func TestNoPermissionForThePort(t *testing.T) {
	err := explainBind(netip.MustParseAddrPort("127.0.0.1:80"), os.NewSyscallError("bind", syscall.EACCES))
	if triage.KindOf(err) != triage.KindDenied || err.Error() != "listen 127.0.0.1:80: no permission for port 80" ||
		!strings.Contains(triage.HintOf(err), "setcap cap_net_bind_service=+ep") {
		t.Errorf("%s: %v, hint %q", triage.KindOf(err), err, triage.HintOf(err))
	}
}

func TestClosedServer(t *testing.T) {
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if err := s.SetIllness(Hang); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetIllness: %v", err)
	}
	if err := s.Run(context.Background()); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAllowedHosts(t *testing.T) {
	patterns := []string{"MySite.com", ".example.org", "[::1]"}
	for header, want := range map[string]bool{
		"mysite.com": true, "MYSITE.COM:80": true, "mysite.com.": true, "www.mysite.com": false,
		"example.org": true, "a.b.example.org:8000": true, "badexample.org": false,
		"[::1]:8000": true, "10.0.1.5:8000": false,
	} {
		host, ok := hostName(header)
		if got := ok && allowed(host, patterns); got != want {
			t.Errorf("%q: %t, want %t", header, got, want)
		}
	}
	if !allowed("10.0.1.5", []string{"*"}) {
		t.Error(`"*" must allow everything`)
	}
}

func TestHostName(t *testing.T) {
	for _, header := range []string{"", "a b", "a/b", "a\rb", "a:b", "a:99999", "[::1", "::1]", "[a]", "[fe80::1%25eth0]", "a,b"} {
		if name, ok := hostName(header); ok {
			t.Errorf("%q passed as %q", header, name)
		}
	}
}

func TestParseIllness(t *testing.T) {
	for _, d := range Illnesses() {
		if got, err := ParseIllness(string(d.Illness)); err != nil || got != d.Illness {
			t.Errorf("%s: %s, %v", d.Illness, got, err)
		}
		// The list at the control address must fit into 80 columns.
		if len(d.Wire) > 64 || len(d.Plays) > 64-len("plays: ") || d.Wire == "" || d.Plays == "" {
			t.Errorf("%s: description of %d and %d letters", d.Illness, len(d.Wire), len(d.Plays))
		}
	}
	for name, want := range map[string]string{
		"eror500": "error500", "500": "error500", "helthy": "healthy", "redirect": "redirect-https",
		"Hang": "hang", "empty": "empty-reply", "refused": "refuse", "flapping": "flap",
	} {
		_, err := ParseIllness(name)
		if err == nil || !strings.Contains(err.Error(), "did you mean "+want+"?") {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		for _, d := range Illnesses() {
			if !strings.Contains(err.Error(), string(d.Illness)) {
				t.Errorf("%s: the error does not list %s", name, d.Illness)
			}
		}
	}
}
