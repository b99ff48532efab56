package capture_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

func TestClassicELBKeepsItsConnection(t *testing.T) {
	l := listen(t, capture.Config{})
	sent := request(t, triage.AWSCLB, l.server.Addresses()[0])
	c := l.dial()
	answers := bufio.NewReader(c)
	for i := range 3 {
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != 200 || string(body) != "ok\n" || answer.Header.Get("Content-Type") != "text/plain" || answer.ContentLength != 3 {
			t.Fatalf("answer %d: %v %q %v", i, answer, body, err)
		}
		r := l.record()
		if r.ID != i+1 || r.Connection != 1 || r.Kind != capture.HTTPRequest || r.End != capture.Complete || r.Answered != 200 || r.Problem != "" {
			t.Errorf("record %+v", r)
		}
		if string(r.Raw) != sent {
			t.Errorf("raw %q, want %q", r.Raw, sent)
		}
		if r.Peer.String() != c.LocalAddr().String() || r.Local.String() != c.RemoteAddr().String() {
			t.Errorf("from %v to %v", r.Peer, r.Local)
		}
		want := capture.Host{Value: l.server.Addresses()[0].String(), Form: capture.HostAddress, Port: fmt.Sprint(l.server.Addresses()[0].Port()), Own: true}
		if r.Request == nil || r.Request.Host != want || r.Request.Headers[0].Name != "host" || r.Request.Target != "/health_check" {
			t.Fatalf("request %+v", r.Request)
		}
		if r.Sender == nil || !r.Sender.Sure || !strings.Contains(r.Sender.Title, "Classic") {
			t.Errorf("sender %+v", r.Sender)
		}
		if len(r.Remarks) != 2 || !strings.Contains(r.Remarks[0], "ALLOWED_HOSTS") || !strings.Contains(r.Remarks[1], "X-Forwarded-Proto") {
			t.Errorf("remarks %q", r.Remarks)
		}
	}
}

func TestALBClosesAfterItsAnswer(t *testing.T) {
	l := listen(t, capture.Config{Status: 503})
	c := l.send(request(t, triage.AWSALB, l.server.Addresses()[0]))
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 503 Service Unavailable\r\n") || !strings.Contains(string(got), "\r\nConnection: close\r\n") {
		t.Errorf("answer %q, %v", got, err)
	}
	if r := l.record(); r.Sender == nil || !r.Sender.Sure || !strings.Contains(r.Sender.Title, "Application") || r.Answered != 503 {
		t.Errorf("record %+v", r)
	}
}

func TestRequests(t *testing.T) {
	l := listen(t, capture.Config{})
	for _, tt := range []struct {
		name, in string
		host     capture.Host
		remark   string // a part of one; "" where there are none
		status   string // the answer's first line
		body     int64
	}{
		{name: "HAProxy's default", in: "OPTIONS / HTTP/1.0\r\n\r\n",
			host: capture.Host{Form: capture.HostAbsent}, remark: "OPTIONS", status: "200 OK"},
		{name: "no address of this machine", in: "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n\r\n",
			host: capture.Host{Value: "192.0.2.1", Form: capture.HostAddress}, remark: "none that this machine has", status: "200 OK"},
		{name: "IPv6", in: "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
			host: capture.Host{Value: "[::1]:80", Form: capture.HostAddress, Port: "80", Own: true}, remark: "this machine's address", status: "200 OK"},
		{name: "a name", in: "GET / HTTP/1.1\r\nHost: mysite.com:80\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n",
			host: capture.Host{Value: "mysite.com:80", Form: capture.HostName, Port: "80"}, status: "200 OK"},
		{name: "an empty Host", in: "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
			host: capture.Host{Form: capture.HostEmpty}, remark: "Host is empty", status: "200 OK"},
		{name: "HEAD", in: "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			host: capture.Host{Value: "a", Form: capture.HostName}, remark: "HEAD", status: "200 OK"},
		{name: "CONNECT makes no tunnel", in: "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
			host: capture.Host{Value: "a", Form: capture.HostName}, remark: "X-Forwarded-Proto", status: "405 Method Not Allowed"},
		{name: "a body of known length", in: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
			host: capture.Host{Value: "a", Form: capture.HostName}, remark: "X-Forwarded-Proto", status: "200 OK", body: 5},
		{name: "chunks", in: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n1;x\r\n!\r\n0\r\nA: b\r\n\r\n",
			host: capture.Host{Value: "a", Form: capture.HostName}, remark: "X-Forwarded-Proto", status: "200 OK", body: 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := l.send(tt.in)
			answer, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+tt.status+"\r\n") {
				t.Errorf("answer %q, %v", answer, err)
			}
			if strings.HasPrefix(tt.in, "HEAD") != strings.HasSuffix(string(answer), "\r\n\r\n") {
				t.Errorf("a body with HEAD, or none without: %q", answer)
			}
			r := l.record()
			if r.Kind != capture.HTTPRequest || r.End != capture.Complete || string(r.Raw) != tt.in || r.Request == nil {
				t.Fatalf("record %+v, raw %q", r, r.Raw)
			}
			if r.Request.Host != tt.host || r.Request.BodyBytes != tt.body {
				t.Errorf("request %+v", r.Request)
			}
			if tt.remark == "" && len(r.Remarks) > 0 || tt.remark != "" && !strings.Contains(strings.Join(r.Remarks, "\n"), tt.remark) {
				t.Errorf("remarks %q", r.Remarks)
			}
		})
	}
}

func TestPipelinedRequests(t *testing.T) {
	l := listen(t, capture.Config{})
	requests := []string{
		"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
		"GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /4 HTTP/1.0\r\n\r\n",
	}
	c := l.send(strings.Join(requests, ""))
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	for _, want := range requests {
		if r := l.record(); string(r.Raw) != want || r.Problem != "" || r.Connection != 1 {
			t.Errorf("record %+v, raw %q, want %q", r, r.Raw, want)
		}
	}
}

func TestExpectContinue(t *testing.T) {
	l := listen(t, capture.Config{})
	c := l.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	answers := bufio.NewReader(c)
	line, err := answers.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(c, "hi"); err != nil {
		t.Fatal(err)
	}
	if r := l.record(); r.Request == nil || r.Request.BodyBytes != 2 || r.Answered != 200 {
		t.Errorf("record %+v", r)
	}
}
