package diagnose

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// answered is what a check that sent this request saw of an answer.
func answered(request, answer string) *triage.Exchange {
	x := exchange(plan, answer)
	x.Sent = []byte(request)
	return x
}

const (
	get10    = "GET /health_check HTTP/1.0\r\n\r\n"
	get11    = "GET /health_check HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n"
	hostless = "GET /health_check HTTP/1.1\r\nConnection: close\r\n\r\n"
	slashed  = "GET health HTTP/1.1\r\nHost: 10.0.0.5\r\n\r\n"
	nameless = "GET /health_check HTTP/1.1\r\nHost: \r\n\r\n"
)

// responded is an answer with a body of text.
func responded(code int, fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\n\r\n%s", code, "Reason", fields, len(body), body)
}

func TestRequestsThatAreDisliked(t *testing.T) {
	const current = "HTTP/1.1 and a Host header"
	with := func(name string, x *triage.Exchange) map[string]*triage.Exchange {
		return map[string]*triage.Exchange{name: x}
	}
	good := exchange(plan, ok)
	for name, c := range map[string]struct {
		x       *triage.Exchange
		answers map[string]*triage.Exchange
		code    string
		how     triage.Certainty
	}{
		"HTTP/1.0 to Envoy":                {answered(get10, responded(426, "Server: envoy\r\n", "")), with(current, good), "http10-refused", triage.Proved},
		"HTTP/1.0 to Istio, not asked":     {answered(get10, responded(426, "server: istio-envoy\r\n", "")), nil, "http10-refused", triage.Likely},
		"426 whatever is asked":            {answered(get10, responded(426, "Server: envoy\r\n", "")), with(current, exchange(plan, responded(426, "", ""))), Undiagnosed, triage.Unknown},
		"a WebSocket":                      {answered(get11, responded(426, "Upgrade: websocket\r\n", "")), nil, "websocket-only", triage.Likely},
		"a WebSocket by its body":          {answered(get11, responded(426, "", "this is an endpoint of WebSockets")), nil, "websocket-only", triage.Likely},
		"an upgrade to who knows what":     {answered(get11, responded(426, "", "Upgrade Required")), nil, Undiagnosed, triage.Unknown},
		"an upgrade to TLS":                {answered(get11, responded(426, "Upgrade: TLS/1.2\r\n", "Upgrade Required")), nil, Undiagnosed, triage.Unknown},
		"426 of somebody":                  {answered(get10, responded(426, "", "")), nil, Undiagnosed, triage.Unknown},
		"no Host":                          {answered(hostless, responded(400, "", "")), with(current, good), "host-header-missing", triage.Proved},
		"no Host, by Go's words":           {answered("", responded(400, "", "400 Bad Request: missing required Host header")), nil, "host-header-missing", triage.Likely},
		"an empty Host":                    {answered(nameless, responded(400, "", "")), nil, "host-header-empty", triage.Likely},
		"no slash":                         {answered(slashed, responded(400, "", "")), nil, "path-without-slash", triage.Likely},
		"a URL for a path":                 {answered("GET /https://shop.example/health HTTP/1.1\r\nHost: a\r\n\r\n", responded(404, "", "")), nil, "url-as-path", triage.Likely},
		"a version that is not known":      {answered(get10, responded(505, "", "")), nil, "http-version-refused", triage.Likely},
		"421 without TLS":                  {answered(get11, responded(421, "", "")), nil, Undiagnosed, triage.Unknown},
		"Jetty and the name of the site":   {answered(get11, responded(400, "Server: Jetty(11)\r\n", "<h2>HTTP ERROR 400 Invalid SNI</h2>")), nil, "invalid-sni", triage.Likely},
		"Apollo":                           {answered(get11, responded(400, "", `{"errors":[{"message":"This operation has been blocked as a potential Cross-Site Request Forgery (CSRF)."}]}`)), nil, "graphql-refuses-plain-get", triage.Likely},
		"nginx wants a client certificate": {answered(get11, responded(400, "", "<title>400 No required SSL certificate was sent</title>")), nil, "client-certificate-required", triage.Likely},
		"Tomcat speaks TLS":                {answered(get11, responded(400, "", "Bad Request\nThis combination of host and port requires TLS.\n")), nil, "plain-http-to-tls-port", triage.Likely},
		"Node speaks HTTP/2 inside TLS":    {answered(get11, responded(403, "", "Missing ALPN Protocol, expected `h2` to be available.")), nil, "http2-only", triage.Likely},
	} {
		if d := ask(c.x, c.answers); d.Code != c.code || d.Certainty != c.how {
			t.Errorf("%s: %s, %s, asked %q; want %s", name, d.Code, d.Certainty, d.Asked, c.code)
		}
	}
}

// TestWebSocketsOfAnotherSite: the default site of a server is a gateway of WebSockets; the path is a page of another one.
func TestWebSocketsOfAnotherSite(t *testing.T) {
	x := answered(get11, responded(426, "Upgrade: websocket\r\n", ""))
	byName := func(_ context.Context, v dialect.Variation) *triage.Exchange {
		if v.Host == "shop.example" {
			return exchange(plan.Vary(v), ok)
		}
		return x
	}
	if d := Ask(context.Background(), x, Means{Ask: byName, Hosts: []string{"shop.example"}}); d.Code == "websocket-only" {
		t.Errorf("%s, %s, asked %q", d.Code, d.Certainty, d.Asked)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct{ answer, code, cause string }{
		"SSH":           {"SSH-2.0-OpenSSH_9.2p1\r\n", "other-protocol", "an SSH server"},
		"SMTP":          {"220 mail.example.org ESMTP\r\n", "other-protocol", "a mail (SMTP) or FTP server"},
		"IMAP":          {"* OK [CAPABILITY IMAP4rev1] ready\r\n", "other-protocol", "an IMAP server"},
		"Redis":         {"-ERR wrong number of arguments for 'get' command\r\n", "other-protocol", "Redis"},
		"POP3":          {"-ERR bad\r\n", "other-protocol", "a POP3 server"},
		"MySQL":         {"J\x00\x00\x00\x0a8.0.36\x00", "other-protocol", "MySQL"},
		"RabbitMQ":      {"AMQP\x00\x00\x09\x01", "other-protocol", "AMQP"},
		"who knows":     {"hello there\r\n", Undiagnosed, "not valid HTTP"},
		"a broken head": {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed-answer", "not valid HTTP"},
		"half a body":   {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "body-truncated", "ends before it is complete"},
		"bad chunks":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunks-malformed", "chunks"},
		"a huge head":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n", "head-too-large", "header lines"},
		"TLS":           {"\x15\x03\x01\x00\x02\x02\x46", "plain-http-to-tls-port", "speaks TLS"},
	} {
		if d := Look(exchange(plan, c.answer)); d.Code != c.code || !strings.Contains(d.Cause, c.cause) {
			t.Errorf("%s: %s, %q; want %s, %q", name, d.Code, d.Cause, c.code, c.cause)
		}
	}
	ssh := exchange(plan, "")
	ssh.Sent, ssh.Outcome, ssh.Detail = nil, triage.TLSNotSpoken, `it answers with "SSH-2"`
	if d := Look(ssh); d.Code != "other-protocol" {
		t.Errorf("SSH where TLS was asked: %s", d.Code)
	}
}

// TestWhatAnEmptyReplyMayBe: it is one of many, and the first look says so.
func TestWhatAnEmptyReplyMayBe(t *testing.T) {
	d := Look(exchange(plan, ""))
	for _, code := range []string{"plain-http-to-tls-port", "proxy-header-expected", "http2-only", "closed-on-purpose"} {
		if !slices.Contains(d.Candidates, code) {
			t.Errorf("%s is not among %q", code, d.Candidates)
		}
	}
	if d.Code != Undiagnosed || len(d.Decides) < 3 {
		t.Errorf("%s, decided by %q", d.Code, d.Decides)
	}
}

// TestMethodOrSite: a server's default site may refuse a method that the site itself takes.
func TestMethodOrSite(t *testing.T) {
	const options, public, get = "OPTIONS / HTTP/1.0\r\n\r\n", "Host shop.example", "method GET"
	refused := responded(405, "", "")
	for name, c := range map[string]struct {
		answers map[string]string
		code    string
	}{
		"the page":             {map[string]string{public: refused, get: ok}, "method-not-allowed"},
		"the default site":     {map[string]string{public: ok, get: ok, unknownHost: refused}, "host-not-routed"},
		"both, or neither":     {map[string]string{public: refused, get: refused}, Undiagnosed},
		"something else again": {map[string]string{public: refused, get: bare400}, Undiagnosed},
	} {
		x := answered(options, refused)
		d := Ask(context.Background(), x, Means{Hosts: []string{"shop.example"}, Ask: func(_ context.Context, v dialect.Variation) *triage.Exchange {
			answer, known := c.answers[v.String()]
			if !known {
				return nil
			}
			return exchange(plan, answer)
		}})
		if d.Code != c.code {
			t.Errorf("%s: %s, asked %q", name, d.Code, d.Asked)
		}
	}
}

// TestCompressedWords: AWS's Application Load Balancer asks for gzip, and what a server says so counts like any words.
func TestCompressedWords(t *testing.T) {
	zip := func(words string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(words))
		w.Close()
		return responded(400, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", b.String())
	}
	x := exchange(plan, zip("Invalid host header"))
	if d := Look(x); d.Code != "host-not-allowed" || !strings.Contains(d.Cause, "Starlette") {
		t.Errorf("%s: %s", d.Code, d.Cause)
	}
	if says := Says(x); says != "Invalid host header" {
		t.Errorf("it says %q", says)
	}
	bomb := newCase(exchange(plan, zip(strings.Repeat("x", 4<<20))))
	if n := len(bomb.content()); n > 256<<10 {
		t.Errorf("%d bytes of content", n)
	}
	broken := newCase(exchange(plan, strings.Replace(zip("Invalid host header"), "\x1f\x8b", "??", 1)))
	if broken.content() != "" {
		t.Errorf("content %q", broken.content())
	}
}
