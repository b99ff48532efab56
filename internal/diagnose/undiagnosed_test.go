package diagnose

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// TestNextAfterAnAnswer: what cannot be explained has a next step all the same, and it fits what was seen.
func TestNextAfterAnAnswer(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"a code of its own":     {"HTTP/1.1 204 No Content\r\n\r\n", "add 204 to the success codes"},
		"a slash too few":       {"HTTP/1.1 301 Moved Permanently\r\nLocation: /health_check/\r\nContent-Length: 0\r\n\r\n", "ask for /health_check/"},
		"a login page":          {otherPlace, "\n    /login"},
		"a redirect to nowhere": {"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "answer by itself"},
		"a login":               {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "does not log in"},
		"a wrong path":          {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "is the path right"},
		"a rate limit":          {"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "rate limit"},
		"an error":              {"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "the application's log"},
		"a proxy's error":       {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "look behind it"},
		"nothing":               {"", "nginx's 444"},
		"another protocol":      {"220 mail.example.org ESMTP\r\n", "another service"},
	} {
		t.Run(name, func(t *testing.T) {
			if next := Next(exchange(plan, c.answer)); !strings.Contains(next, c.want) {
				t.Errorf("%q, want %q in it", next, c.want)
			}
		})
	}
}

// TestNextForEachFailure: none is left without a word, but for those whose sentence says it all.
func TestNextForEachFailure(t *testing.T) {
	selfEvident := map[triage.Outcome]bool{
		triage.AddressForbidden: true, triage.ConnectFailed: true, triage.HeadTooLarge: true, triage.BodyUnframed: true,
	}
	for o, info := range triage.Outcomes {
		x := exchange(plan, "")
		x.Outcome, x.Address = o, netip.MustParseAddrPort("10.0.0.5:8000")
		next := Next(x)
		if want := info.Verdict == triage.Fail && !selfEvident[o]; (next != "") != want {
			t.Errorf("%s: %q", o, next)
		}
		for line := range strings.SplitSeq(next, "\n") {
			if strings.HasPrefix(line, " ") && len(line) > 80-11 {
				t.Errorf("%s: a command has %d columns beside its label: %s", o, len(line), line)
			}
		}
	}
	refused := exchange(plan, "")
	refused.Outcome, refused.Address = triage.Refused, netip.MustParseAddrPort("10.0.0.5:8000")
	if next := Next(refused); !strings.Contains(next, "\n    ss -ltnp 'sport = :8000'") {
		t.Errorf("refused: %q", next)
	}
}

// TestTLSIsNotSuspectedWhereItWasSpoken: over https the port does expect TLS.
func TestTLSIsNotSuspectedWhereItWasSpoken(t *testing.T) {
	x := exchange(plan, "")
	x.Timing[triage.PhaseTLS] = time.Millisecond
	if next := Next(x); strings.Contains(next, "TLS") || !strings.Contains(next, "444") {
		t.Errorf("%q", next)
	}
}

// TestTLSWhereHTTPWasAsked: what answers in TLS says so by its first bytes, and then it is no guess.
func TestTLSWhereHTTPWasAsked(t *testing.T) {
	for name, answer := range map[string]string{
		"an alert":     "\x15\x03\x01\x00\x02\x02\x46",
		"a handshake":  "\x16\x03\x03\x00\x7a\x02\x00\x00\x76",
		"a bare alert": "\x15\x03",
	} {
		x := exchange(plan, answer)
		if next := Next(x); next != "it answers in TLS:\n    triage check https://127.0.1.13:20000"+plan.Path {
			t.Errorf("%s: next %q", name, next)
		}
		if d := Look(x); d.Code != "plain-http-to-tls-port" || !strings.HasPrefix(d.Cause, "port 20000 speaks TLS, and the health check asks in plain text") {
			t.Errorf("%s: %s, cause %q", name, d.Code, d.Cause)
		}
	}
	for _, answer := range []string{"\x15\x02\x01", "\x17\x03\x03\x00", "SSH-2.0-OpenSSH_9.2p1\r\n"} {
		if next := Next(exchange(plan, answer)); strings.Contains(next, "TLS") {
			t.Errorf("%q: next %q", answer, next)
		}
	}
}

// over is a failed check as it is kept where the request went over HTTP/2.
func over(protocol triage.Protocol, o triage.Outcome, status int, head string) *triage.Exchange {
	x := &triage.Exchange{Address: netip.MustParseAddrPort("10.0.0.5:8000"), Outcome: o, Status: status, Timing: triage.NoTiming(), Head: []byte(head)}
	x.Sent = []byte("GET /health HTTP/2\r\nhost: 10.0.0.5\r\n\r\n")
	if protocol.IsGRPC() {
		x.Sent = []byte("POST /grpc.health.v1.Health/Check HTTP/2\r\nhost: 10.0.0.5\r\ncontent-type: application/grpc\r\n\r\n")
	}
	if protocol.Encrypted() {
		x.Timing[triage.PhaseTLS] = time.Millisecond
	}
	return x
}

// TestNextOverHTTP2: the command that is proposed asks what was asked, the way that the port answers.
func TestNextOverHTTP2(t *testing.T) {
	const alert, old = "\x15\x03\x01\x00\x02\x02\x46", "HTTP/1.1 400 Bad Request\r\n"
	for name, c := range map[string]struct {
		x    *triage.Exchange
		want string
	}{
		"TLS, asked over h2c":      {over(triage.H2C, triage.NotHTTP2, 0, alert), "\n    triage check h2://10.0.0.5:8000/health"},
		"TLS, asked over gRPC":     {over(triage.GRPC, triage.NotHTTP2, 0, alert), "\n    triage check grpcs://10.0.0.5:8000"},
		"HTTP/1, asked over h2c":   {over(triage.H2C, triage.NotHTTP2, 0, old), "\n    triage check http://10.0.0.5:8000/"},
		"HTTP/1, asked over h2":    {over(triage.H2, triage.NotHTTP2, 0, old), "\n    triage check https://10.0.0.5:8000/"},
		"a banner":                 {over(triage.GRPC, triage.NotHTTP2, 0, "SSH-2.0-a\r\n"), "another service"},
		"closed":                   {over(triage.H2C, triage.ClosedBeforeAnswer, 0, ""), "does not speak HTTP/2"},
		"closed in TLS":            {over(triage.H2, triage.ClosedBeforeAnswer, 0, ""), "nginx's 444"},
		"no HTTP/2 in TLS":         {over(triage.H2, triage.HTTP2NotOffered, 0, ""), "\n    triage check https://10.0.0.5:8000/"},
		"reset":                    {over(triage.H2, triage.StreamReset, 0, ""), "REFUSED_STREAM"},
		"no health service":        {over(triage.GRPC, triage.GRPCMismatch, 12, ""), "register the health service"},
		"an unknown service":       {over(triage.GRPC, triage.GRPCMismatch, 5, ""), "is the name as registered"},
		"a login":                  {over(triage.GRPC, triage.GRPCMismatch, 16, ""), "does not log in"},
		"a method that should not": {over(triage.GRPC, triage.GRPCMismatch, 0, ""), "add 0 to the success codes"},
		"an error":                 {over(triage.GRPC, triage.GRPCMismatch, 13, ""), "the target's log"},
		"not serving":              {over(triage.GRPC, triage.NotServing, 0, ""), "says so"},
	} {
		if next := Next(c.x); !strings.Contains(next, c.want) {
			t.Errorf("%s: %q, want %q in it", name, next, c.want)
		}
	}
	if d := Look(over(triage.GRPC, triage.GRPCMismatch, 12, "")); !strings.HasPrefix(d.Cause, "the gRPC status is 12 UNIMPLEMENTED") {
		t.Errorf("%q", d.Cause)
	}
	if d := Look(over(triage.GRPC, triage.NotHTTP2, 0, alert)); d.Code != "plain-http-to-tls-port" || !strings.HasPrefix(d.Cause, "port 8000 speaks TLS, and the gRPC check asks without") {
		t.Errorf("%s: %q", d.Code, d.Cause)
	}
}

// TestHTTPWhereTLSWasAsked: plain http is proposed only where it was seen.
func TestHTTPWhereTLSWasAsked(t *testing.T) {
	check := triage.DefaultHealthCheck()
	check.Protocol = triage.HTTPS
	encrypted := probe.Compile(dialect.Get(triage.AWSALB), check)
	for answer, want := range map[string]string{
		bare400:                     "it answers in plain http:\n    triage check http://127.0.1.13:20000/",
		"SSH-2.0-OpenSSH_9.2p1\r\n": "another service may have this port: what it answers is neither TLS nor HTTP",
	} {
		x := exchange(encrypted, answer)
		if x.Outcome != triage.TLSNotSpoken {
			t.Fatalf("%q: %s %s", answer, x.Outcome, x.Detail)
		}
		if next := Next(x); next != want {
			t.Errorf("%q: next %q, want %q", answer, next, want)
		}
	}
}

func TestSays(t *testing.T) {
	answer := func(kind, body string) string {
		return "HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Type: " + kind + "\r\n\r\n" + body
	}
	for _, c := range []struct{ kind, body, want string }{
		{"text/plain; charset=utf-8", "\n this host is not served here\nsecond line", "this host is not served here"},
		{"application/problem+json", `{"status":"DOWN"}`, `{"status":"DOWN"}`},
		{"text/plain", strings.Repeat("é", 61), strings.Repeat("é", 59) + "…"},
		{"text/plain", strings.Repeat("é", 60), strings.Repeat("é", 60)},
		{"text/html", "<h1>Oops</h1>", ""},
		{"", "who knows", ""},
		{"text/plain", "", ""},
	} {
		if got := Says(exchange(plan, answer(c.kind, c.body))); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.body, got, c.want)
		}
	}
}

// TestUndiagnosedNamesTheLimit: "not in time" says little without the time.
func TestUndiagnosedNamesTheLimit(t *testing.T) {
	at := time.Unix(1, 0)
	s, _ := plan.Start(triage.Key{Address: netip.MustParseAddrPort("127.0.1.13:20000")}, at)
	s.Handle(probe.Event{Kind: probe.Connected, At: at})
	s.Handle(probe.Event{Kind: probe.DeadlinePassed, At: at.Add(plan.Timeout)})
	if d := Look(s.Exchange()); !strings.HasSuffix(d.Cause, "in time (the limit is 2s)") {
		t.Errorf("%q", d.Cause)
	}
}
