package diagnose

import (
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestPortOfAnotherProtocol: what a port speaks is named where it says so, with the command that asks that way.
func TestPortOfAnotherProtocol(t *testing.T) {
	const settings = "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"
	const nginx = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<title>400 "
	https := exchange(plan, "")
	https.Outcome, https.Detail, https.Sent = triage.TLSNotSpoken, `it answers with "\x00\x00\x06\x04\x00"`, nil
	grpc := over(triage.H2C, triage.CodeMismatch, 415, "HTTP/2 415\r\ncontent-type: application/grpc\r\n\r\n")
	for name, c := range map[string]struct {
		x          *triage.Exchange
		code, next string
	}{
		"HTTP/2, asked over http":  {exchange(plan, settings), "http2-only", "\n    triage check h2c://127.0.1.13:20000" + plan.Path + "\n    triage check grpc://127.0.1.13:20000"},
		"HTTP/2, asked over https": {https, "tls-to-plain-port", "\n    triage check h2c://127.0.1.13:20000/\n"},
		"nginx with TLS":           {exchange(plan, nginx+"The plain HTTP request was sent to HTTPS port</title>"), "plain-http-to-tls-port", "\n    triage check https://127.0.1.13:20000" + plan.Path},
		"Go with TLS":              {exchange(plan, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), "plain-http-to-tls-port", "\n    triage check https://"},
		"nginx wants to know us":   {exchange(plan, nginx+"No required SSL certificate was sent</title>"), "client-certificate-required", "--cert FILE and --key FILE"},
		"gRPC, asked over h2c":     {grpc, "grpc-server-asked-in-http", "\n    triage check grpc://10.0.0.5:8000"},
	} {
		if d := Look(c.x); d.Code != c.code {
			t.Errorf("%s: %s, want %s", name, d.Code, c.code)
		}
		if next := Next(c.x); !strings.Contains(next, c.next) {
			t.Errorf("%s: next %q, want %q in it", name, next, c.next)
		}
	}
	for _, other := range []string{"\x00\x00\x12\x04\x01\x00\x00\x00\x00", "\x00\x00\x11\x04\x00\x00\x00\x00\x00", "\x00\x00\x12\x04\x00"} {
		if next := Next(exchange(plan, other)); strings.Contains(next, "HTTP/2") {
			t.Errorf("%q: next %q", other, next)
		}
	}
}

// TestRulesOverHTTP2: a Host that is refused and a redirect are found out over HTTP/2 too.
func TestRulesOverHTTP2(t *testing.T) {
	x := over(triage.H2C, triage.CodeMismatch, 400, "HTTP/2 400\r\ncontent-type: text/html\r\n\r\n")
	x.Body = []byte("<h1>Bad Request (400)</h1>")
	if d := Look(x); d.Cause != `Django refuses Host "10.0.0.5" (ALLOWED_HOSTS)` {
		t.Errorf("%q", d.Cause)
	}
	x = over(triage.H2C, triage.CodeMismatch, 301, "HTTP/2 301\r\nlocation: https://10.0.0.5/health\r\n\r\n")
	if d := Look(x); d.Code != "redirect-to-https" || !strings.Contains(d.Fix, "/health") {
		t.Errorf("%s: %q", d.Code, d.Fix)
	}
	x = over(triage.H2C, triage.CodeMismatch, 500, "HTTP/2 500\r\ncontent-type: text/plain\r\n\r\n")
	x.Body = []byte("no database\n")
	if says := Says(x); says != "no database" {
		t.Errorf("says %q", says)
	}
}

// TestNextAboutTheProxyHeader: a target that got one does not want one.
func TestNextAboutTheProxyHeader(t *testing.T) {
	for _, o := range []triage.Outcome{triage.TLSClosed, triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer} {
		x := exchange(plan, "")
		x.Outcome = o
		if next := Next(x); !strings.Contains(next, "a PROXY header") {
			t.Errorf("%s, none sent: %q", o, next)
		}
		x.Proxy = triage.ProxyV2
		if next := Next(x); !strings.Contains(next, "no PROXY header") {
			t.Errorf("%s, one sent: %q", o, next)
		}
	}
	x := over(triage.H2C, triage.ClosedBeforeAnswer, 0, "")
	x.Detail = "after 15 bytes of HTTP/2 without an answer"
	if next := Next(x); !strings.Contains(next, "it speaks HTTP/2 and then hangs up: a crashed worker") || strings.Contains(next, "TLS") {
		t.Errorf("hangs up: %q", next)
	}
	x.Proxy = triage.ProxyV1
	if next := Next(x); !strings.Contains(next, "does it expect no PROXY header?") {
		t.Errorf("hangs up after a PROXY header: %q", next)
	}
	x = exchange(plan, bare400)
	x.Proxy = triage.ProxyV1
	if next := Next(x); !strings.Contains(next, "read it as a request") {
		t.Errorf("400: %q", next)
	}
}

// TestNextInTLS: the alert or what is wrong with the certificate decides what to do.
func TestNextInTLS(t *testing.T) {
	for _, c := range []struct {
		o            triage.Outcome
		detail, want string
	}{
		{triage.TLSRefused, "the target's alert: tls: certificate required", "--cert FILE"},
		{triage.TLSRefused, "the target's alert: tls: protocol version not supported", "another version of TLS"},
		{triage.TLSRefused, "the target's alert: tls: unrecognized name", "--server-name"},
		{triage.TLSRefused, "the target's alert: tls: handshake failure", "may want"},
		{triage.TLSUntrusted, "certificate is valid for app.example, not wrong.example", "--server-name"},
		{triage.TLSUntrusted, "certificate has expired or is not yet valid", "renew it"},
		{triage.TLSUntrusted, "certificate signed by unknown authority", "--cacert FILE"},
	} {
		x := exchange(plan, "")
		x.Outcome, x.Detail = c.o, c.detail
		if next := Next(x); !strings.Contains(next, c.want) {
			t.Errorf("%s: %q, want %q in it", c.detail, next, c.want)
		}
	}
	x := exchange(plan, "")
	x.Timing[triage.PhaseTLS] = time.Millisecond
	if next := Next(x); !strings.Contains(next, "\n    triage check h2://") {
		t.Errorf("closed in TLS: %q", next)
	}
}
