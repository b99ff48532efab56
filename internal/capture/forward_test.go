package capture_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// app is a server that answers each connection with the same bytes, once a whole head has come.
type app struct {
	address netip.AddrPort
	asked   chan string // what came on each connection
}

// newApp starts an application. An empty answer closes the connection; hang keeps it open without one.
func newApp(t *testing.T, answer string, hang bool) *app {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{address: l.Addr().(*net.TCPAddr).AddrPort(), asked: make(chan string, 100)}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				a.asked <- readHead(c)
				_, _ = io.WriteString(c, answer)
				if hang {
					<-over
				}
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		l.Close()
		wg.Wait()
	})
	return a
}

func readHead(c net.Conn) string {
	var got []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(got, []byte("\r\n\r\n")) || bytes.HasPrefix(got, []byte("PROXY")) && bytes.Count(got, []byte("\r\n")) < 3 {
		if _, err := c.Read(b); err != nil {
			break
		}
		got = append(got, b[0])
	}
	return string(got)
}

func (a *app) forward(t *testing.T) *listening {
	return listen(t, capture.Config{Forward: capture.Forward{To: a.address, Path: "/mine"}})
}

const alb = "GET /health?x=%2e HTTP/1.1\r\nhost: 10.0.1.5\r\nConnection: keep-alive\r\nUser-Agent: ELB-HealthChecker/2.0\r\nX-Odd:  a\t b \r\n\r\n"

func TestForwardChangesNothing(t *testing.T) {
	const answer = "HTTP/1.1 200 Fine\r\nTRANSFER-encoding: chunked\r\nx:y\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: 1\r\n\r\n"
	a := newApp(t, answer, true)
	l := a.forward(t)
	c := l.send(alb)
	for i := range 2 { // on one connection
		if got := <-a.asked; got != alb {
			t.Errorf("the application was asked %q", got)
		}
		got := make([]byte, len(answer))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != answer {
			t.Fatalf("the sender was answered %q, %v", got, err)
		}
		r := l.record()
		if r.Answered != 200 || r.Forwarded == nil || !r.Forwarded.Whole || string(r.Forwarded.Answer) != answer || r.Refused != "" {
			t.Errorf("record %+v", r)
		}
		if i == 0 {
			if _, err := io.WriteString(c, alb); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestForwardKeepsThePROXYHeader(t *testing.T) {
	a := newApp(t, "HTTP/1.1 204 No Content\r\n\r\n", false)
	l := a.forward(t)
	const proxy = "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"
	c := l.send(proxy + alb)
	if got := <-a.asked; got != proxy+alb {
		t.Errorf("asked %q", got)
	}
	l.record()
	if _, err := io.WriteString(c, alb); err != nil {
		t.Fatal(err)
	}
	if got := <-a.asked; got != proxy+alb { // each request has a connection of its own
		t.Errorf("then asked %q", got)
	}
	if r := l.record(); r.Forwarded.Judged[0].Exchange.Proxy != triage.NoProxy {
		t.Errorf("the second request had no PROXY header: %+v", r.Forwarded.Judged[0].Exchange)
	}
}

func TestForwardRefuses(t *testing.T) {
	a := newApp(t, "HTTP/1.1 200 OK\r\n\r\n", false)
	l := a.forward(t)
	const agent = " HTTP/1.1\r\nHost: a\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
	for request, why := range map[string]string{
		"POST /" + agent + "\r\n":                                     "GET and HEAD",
		"OPTIONS / HTTP/1.0\r\n\r\n":                                  "GET and HEAD", // HAProxy's
		"GET http://169.254.169.254/" + agent + "\r\n":                "not a path",
		"GET /" + agent + "Content-Length: 1\r\n\r\nx":                "has a body",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n":     "not a health check",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla\r\n\r\n":    "not for /mine",
		"GET /mine2 HTTP/1.1\r\nHost: a\r\n\r\n":                      "not for /mine",
		"GET /x/../mine HTTP/1.1\r\nHost: a\r\n\r\n":                  "not for /mine",
		"POST /mine HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n": "GET and HEAD",
	} {
		c := l.send(request)
		r := l.record()
		if r.Answered != 403 || r.Forwarded != nil || !strings.Contains(r.Refused, why) {
			t.Errorf("%q: answered %d, refused %q", request, r.Answered, r.Refused)
		}
		c.Close()
	}
	l.send("GET /mine?a=b HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := l.record(); r.Forwarded == nil || r.Forwarded.Judged[0].Dialect != triage.Own || !r.Forwarded.Judged[0].Healthy {
		t.Errorf("the path was not passed on: %+v", r)
	}
	<-a.asked
	if n := len(a.asked); n != 0 {
		t.Errorf("the application was asked %d times more", n)
	}
}

func TestForwardJudges(t *testing.T) {
	request := func(method, path, agent string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: %s\r\n\r\n", method, path, agent)
	}
	for _, tt := range []struct {
		name, request, answer string
		outcome               triage.Outcome
		as                    triage.Dialect
		answered              int
		code, follows         string
	}{
		{"200 to an ALB", request("GET", "/", "ELB-HealthChecker/2.0"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", triage.Matched, triage.AWSALB, 200, "", ""},
		{"204 to an ALB", request("GET", "/", "ELB-HealthChecker/2.0"), "HTTP/1.1 204 OK\r\n\r\n", triage.CodeMismatch, triage.AWSALB, 204, "?", ""},
		{"204 to a kubelet", request("GET", "/", "kube-probe/1.31"), "HTTP/1.1 204 OK\r\n\r\n", triage.Matched, triage.Kubelet, 204, "", ""},
		{"HEAD has no body", request("HEAD", "/", "kube-probe/1.31"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", triage.Matched, triage.Kubelet, 200, "", ""},
		{"an interim answer", request("GET", "/", "GoogleHC/1.0"), "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", triage.Matched, triage.GCP, 200, "", ""},
		{"https to an ALB", request("GET", "/", "ELB-HealthChecker/2.0"), "HTTP/1.1 301 Moved Permanently\r\nServer: nginx\r\nLocation: https://127.0.0.1:8080/\r\n\r\n", triage.CodeMismatch, triage.AWSALB, 301, "redirect-to-https", ""},
		{"a redirect that is followed", request("GET", "/", "kube-probe/1.31"), "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", triage.NotChecked, triage.Kubelet, 302, "", "/login"},
		{"a redirect to another host", request("GET", "/", "kube-probe/1.31"), "HTTP/1.1 302 Found\r\nLocation: http://shop.example/\r\nContent-Length: 0\r\n\r\n", triage.Matched, triage.Kubelet, 302, "", ""},
		{"no HTTP", request("GET", "/", "ELB-HealthChecker/1.0"), "SSH-2.0-OpenSSH\r\n", triage.NotHTTP, triage.AWSCLB, 0, "?", ""},
		{"nothing", request("GET", "/", "ELB-HealthChecker/1.0"), "", triage.ClosedBeforeAnswer, triage.AWSCLB, 502, "?", ""},
		{"half a body", request("GET", "/", "ELB-HealthChecker/1.0"), "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", triage.BodyTruncated, triage.AWSCLB, 200, "?", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newApp(t, tt.answer, false).forward(t)
			c := l.send(tt.request)
			r := l.record()
			if r.Forwarded == nil || len(r.Forwarded.Judged) != 1 {
				t.Fatalf("record %+v", r)
			}
			j := r.Forwarded.Judged[0]
			if j.Outcome != tt.outcome || j.Dialect != tt.as || j.Healthy != (tt.outcome.Verdict() == triage.Pass) || !strings.HasSuffix(j.Follows, tt.follows) {
				t.Errorf("judged %+v", j)
			}
			if r.Answered != tt.answered || string(r.Forwarded.Answer) != tt.answer {
				t.Errorf("answered %d after %q", r.Answered, r.Forwarded.Answer)
			}
			if (j.Diagnosis != nil) != (tt.code != "") || len(tt.code) > 1 && j.Diagnosis.Code != tt.code {
				t.Errorf("diagnosis %+v", j.Diagnosis)
			}
			if string(j.Exchange.Sent) != tt.request {
				t.Errorf("the exchange has %q as sent", j.Exchange.Sent)
			}
			_ = c.CloseWrite()
			if got, _ := io.ReadAll(c); tt.answer != "" && string(got) != tt.answer {
				t.Errorf("the sender was sent %q", got)
			}
		})
	}
}

// TestForwardToSeveralSenders: Traefik and Caddy ask alike, and judge in different ways.
func TestForwardToSeveralSenders(t *testing.T) {
	l := newApp(t, "HTTP/1.1 304 Not Modified\r\n\r\n", false).forward(t)
	l.send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n")
	r := l.record()
	verdicts := map[triage.Dialect]bool{}
	for _, j := range r.Forwarded.Judged {
		verdicts[j.Dialect] = j.Healthy
	}
	if len(verdicts) != 2 || !verdicts[triage.Traefik] || verdicts[triage.Caddy] {
		t.Errorf("judged %v", verdicts)
	}
	for _, says := range []string{"traefik: 200-399 passes", "caddy: 200-299 passes", "Content is not waited for", `GET / with Host "a"`} {
		if !strings.Contains(strings.Join(r.Accepts, " "), says) {
			t.Errorf("accepts %q lacks %q", r.Accepts, says)
		}
	}
}

func TestForwardToNobody(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := gone.Addr().(*net.TCPAddr).AddrPort()
	gone.Close()
	l := listen(t, capture.Config{Forward: capture.Forward{To: to}})
	l.send(alb)
	r := l.record()
	if j := r.Forwarded.Judged[0]; r.Answered != 502 || j.Outcome != triage.Refused || j.Exchange.Address != to || j.Diagnosis == nil {
		t.Errorf("answered %d, judged %+v", r.Answered, j)
	}
}

func TestForwardToTheSlow(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"} {
		a := newApp(t, answer, true)
		l := listen(t, capture.Config{Forward: capture.Forward{To: a.address, Timeout: 100 * time.Millisecond}})
		l.send(alb)
		want, status := triage.ResponseTimeout, 504
		if answer != "" {
			want, status = triage.BodyTimeout, 200
		}
		if r := l.record(); r.Answered != status || r.Forwarded.Whole || r.Forwarded.Judged[0].Outcome != want {
			t.Errorf("answered %d, judged %+v", r.Answered, r.Forwarded.Judged)
		}
	}
}

func TestForwardStops(t *testing.T) {
	a := newApp(t, "", true)
	l := a.forward(t)
	l.send(alb)
	<-a.asked
	l.stop()
	if r := l.record(); r.Answered != 0 || r.Forwarded.Judged[0].Outcome != triage.Canceled {
		t.Errorf("record %+v", r.Forwarded)
	}
}

func TestForwardCutsWhatIsTooLarge(t *testing.T) {
	a := newApp(t, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", capture.MaxAnswer+10), false)
	l := a.forward(t)
	c := l.send(alb)
	got, err := io.ReadAll(c)
	r := l.record()
	if err != nil || len(got) != capture.MaxAnswer || len(r.Forwarded.Answer) != capture.MaxAnswer || r.Forwarded.Whole {
		t.Errorf("the sender got %d bytes, %v; %d are recorded", len(got), err, len(r.Forwarded.Answer))
	}
}

func TestForwardErrors(t *testing.T) {
	for _, tt := range []struct {
		to, path string
		remote   bool
		kind     triage.Kind
		text     string
	}{
		{"10.0.0.1:80", "", false, triage.KindDenied, "not on this machine's loopback"},
		{"169.254.169.254:80", "", true, triage.KindDenied, "169.254.169.254"},
		{"0.0.0.0:80", "", true, triage.KindDenied, "not the address of one machine"},
		{"127.0.0.1:0", "", false, triage.KindInvalid, "no port 0"},
		{"127.0.0.1:80", "mine", false, triage.KindInvalid, "begins with /"},
		{"127.0.0.1:80", "/a?b", false, triage.KindInvalid, "no query"},
	} {
		s, err := capture.Listen(capture.Config{
			Addresses: []string{"127.0.0.1:0"},
			Forward:   capture.Forward{To: netip.MustParseAddrPort(tt.to), Path: tt.path, Remote: tt.remote},
		})
		if err == nil {
			s.Close()
		}
		if triage.KindOf(err) != tt.kind || err == nil || !strings.Contains(err.Error(), tt.text) || strings.Contains(triage.HintOf(err), "allow_targets") {
			t.Errorf("to %s: error %v of kind %s, hint %q", tt.to, err, triage.KindOf(err), triage.HintOf(err))
		}
	}
}

func TestForwardToItself(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := free.Addr().(*net.TCPAddr).AddrPort()
	free.Close()
	for _, address := range []string{to.String(), fmt.Sprintf(":%d", to.Port())} {
		s, err := capture.Listen(capture.Config{Addresses: []string{address}, Forward: capture.Forward{To: to}})
		if err == nil {
			s.Close()
			t.Fatalf("%s passes on to itself", address)
		}
		if !strings.Contains(err.Error(), "where triage itself listens") {
			t.Error(err)
		}
	}
}
