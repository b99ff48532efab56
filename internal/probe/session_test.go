package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

var target = triage.Key{Group: "app", Target: "10.0.1.5:8000", Address: netip.MustParseAddrPort("10.0.1.5:8000")}

func httpPlan(name triage.Dialect) *Plan {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path = triage.HTTP, "/health_check"
	return Compile(dialect.Get(name), c)
}

// play drives a session with what a server sends, split into pieces, and then closes as told.
func play(t interface{ Fatalf(string, ...any) }, p *Plan, pieces []string, last EventKind, err error) *triage.Exchange {
	start := time.Unix(1_000_000, 0)
	now := start
	tick := func() time.Time { now = now.Add(time.Millisecond); return now }
	s, a := p.Start(target, start)
	if a.Kind != Dial {
		t.Fatalf("the first action is %v", a.Kind)
	}
	a = s.Handle(Event{Kind: Connected, At: tick()})
	if a.Kind != Write {
		t.Fatalf("after the connect: %v", a.Kind)
	}
	a = s.Handle(Event{Kind: Written, At: tick()})
	for _, piece := range pieces {
		if a.Kind == Done {
			break
		}
		if a.Kind != Wait {
			t.Fatalf("before data: %v", a.Kind)
		}
		a = s.Handle(Event{Kind: Data, At: tick(), Data: []byte(piece)})
	}
	if a.Kind != Done {
		a = s.Handle(Event{Kind: last, At: tick(), Err: err})
	}
	if a.Kind != Done {
		t.Fatalf("the session did not end: %v", a.Kind)
	}
	return s.Exchange()
}

// TestAnswers plays recorded answers: whole, then byte by byte. The verdict must not depend on how the
// network cut them.
func TestAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	many := strings.Repeat("X-Filler: yes\r\n", 10_000)
	for name, c := range map[string]struct {
		dialect triage.Dialect
		answer  string
		last    EventKind
		err     error
		want    triage.Outcome
		status  int
		body    string
	}{
		"ok":                               {answer: ok, want: triage.Matched, status: 200, body: "ok"},
		"ok, nothing after it is read":     {answer: ok + "garbage", want: triage.Matched, status: 200, body: "ok"},
		"no body":                          {answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want: triage.Matched, status: 200},
		"no content":                       {answer: "HTTP/1.1 204 No Content\r\n\r\n", want: triage.CodeMismatch, status: 204},
		"chunked":                          {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", want: triage.Matched, status: 200, body: "ok"},
		"HTTP/1.0":                         {answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", want: triage.Matched, status: 200, body: "ok"},
		"interim answers first":            {answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, want: triage.Matched, status: 200, body: "ok"},
		"interim answers for ever":         {answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20), want: triage.NotHTTP},
		"until the end":                    {answer: "HTTP/1.1 200 OK\r\n\r\nok", last: EOF, want: triage.Matched, status: 200, body: "ok"},
		"until the end, that never comes":  {answer: "HTTP/1.1 200 OK\r\n\r\nok", last: DeadlinePassed, want: triage.BodyTimeout, status: 200, body: "ok"},
		"until the end, for a Classic ELB": {dialect: triage.AWSCLB, answer: "HTTP/1.1 200 OK\r\n\r\nok", last: EOF, want: triage.BodyUnframed, status: 200},
		"redirect":                         {answer: "HTTP/1.1 301 Moved Permanently\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n", want: triage.CodeMismatch, status: 301},
		"wrong code outweighs its body":    {answer: "HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nhalf", last: EOF, want: triage.CodeMismatch, status: 500, body: "half"},
		"wrong code, body never ends":      {answer: "HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\nhalf", last: DeadlinePassed, want: triage.CodeMismatch, status: 500, body: "half"},
		"no answer":                        {last: DeadlinePassed, want: triage.ResponseTimeout},
		"half a head":                      {answer: "HTTP/1.1 200 OK\r\nConte", last: DeadlinePassed, want: triage.ResponseTimeout},
		"half a body":                      {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", last: DeadlinePassed, want: triage.BodyTimeout, status: 200, body: "half"},
		"our own lateness":                 {last: Late, want: triage.CheckerLate},
		"canceled":                         {answer: "HTTP/1.1 200 OK\r\n", last: Canceled, want: triage.Canceled},
		"empty reply":                      {last: EOF, want: triage.ClosedBeforeAnswer},
		"closed in the head":               {answer: "HTTP/1.1 200 OK\r\n", last: EOF, want: triage.ClosedBeforeAnswer},
		"reset":                            {last: Reset, err: syscall.ECONNRESET, want: triage.ResetBeforeAnswer},
		"reset in the head":                {answer: "HTTP/1.1 2", last: Reset, err: syscall.ECONNRESET, want: triage.ResetBeforeAnswer},
		"reset in the body":                {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", last: Reset, err: syscall.ECONNRESET, want: triage.BodyTruncated, status: 200, body: "half"},
		"closed in the body":               {answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", last: EOF, want: triage.BodyTruncated, status: 200, body: "half"},
		"no memory here":                   {last: Reset, err: syscall.ENOBUFS, want: triage.OutOfResources},
		"bad chunks":                       {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", want: triage.BodyMalformed, status: 200},
		"lengths that differ":              {answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", want: triage.NotHTTP, status: 200},
		"bare line feeds":                  {answer: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", last: EOF, want: triage.NotHTTP},
		"an SSH server":                    {answer: "SSH-2.0-OpenSSH_9.2p1\r\n", want: triage.NotHTTP},
		"a TLS alert":                      {answer: "\x15\x03\x01\x00\x02\x02\x46", want: triage.NotHTTP},
		"an HTTP/2 server":                 {answer: "\x00\x00\x12\x04\x00\x00\x00\x00\x00", want: triage.NotHTTP},
		"HTTP/0.9":                         {answer: "<html>hello</html>", want: triage.NotHTTP},
		"an endless head":                  {answer: "HTTP/1.1 200 OK\r\n" + many, want: triage.HeadTooLarge},
		"an endless body":                  {answer: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2<<20), want: triage.Matched, status: 200},
	} {
		if c.dialect == "" {
			c.dialect = triage.Own
		}
		single := make([]string, 0, 4096)
		for i := range min(len(c.answer), 4096) {
			single = append(single, c.answer[i:i+1])
		}
		if len(c.answer) > len(single) {
			single = append(single, c.answer[len(single):])
		}
		for cut, pieces := range map[string][]string{"whole": {c.answer}, "byte by byte": single} {
			t.Run(name+"/"+cut, func(t *testing.T) {
				if c.answer == "" {
					pieces = nil
				}
				x := play(t, httpPlan(c.dialect), pieces, c.last, c.err)
				if x.Outcome != c.want || x.Status != c.status {
					t.Errorf("%s %d (%s), want %s %d", x.Outcome, x.Status, x.Detail, c.want, c.status)
				}
				if got := string(x.Body); len(c.body) > 0 && got != c.body {
					t.Errorf("body %q, want %q", got, c.body)
				}
				if len(x.Body) > DefaultKeepBody || len(x.Head) > maxHead {
					t.Errorf("kept %d bytes of body and %d of head", len(x.Body), len(x.Head))
				}
				if x.Took <= 0 {
					t.Errorf("took %s", x.Took)
				}
			})
		}
	}
}

// TestRequestBytes holds each dialect to the bytes of checkers' captures.
func TestRequestBytes(t *testing.T) {
	for name, want := range map[triage.Dialect]string{
		triage.AWSALB: "GET /health_check HTTP/1.1\r\nHost: 10.0.1.5:8000\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n",
		triage.AWSCLB: "GET /health_check HTTP/1.1\r\nhost: 10.0.1.5:8000\r\nUser-Agent: ELB-HealthChecker/1.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
		triage.Own:    "GET /health_check HTTP/1.1\r\nHost: 10.0.1.5:8000\r\nUser-Agent: triage-health-check/1\r\nAccept: */*\r\nConnection: close\r\n\r\n",
	} {
		x := play(t, httpPlan(name), nil, EOF, nil)
		if string(x.Sent) != want {
			t.Errorf("%s sends\n%q, want\n%q", name, x.Sent, want)
		}
	}
	second := httpPlan(triage.AWSALB).Vary(dialect.Variation{Host: "localhost", Header: dialect.Header{Name: "X-Forwarded-Proto", Value: "https"}})
	x := play(t, second, nil, EOF, nil)
	if want := "GET /health_check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\nX-Forwarded-Proto: https\r\n\r\n"; string(x.Sent) != want {
		t.Errorf("the second question is\n%q, want\n%q", x.Sent, want)
	}
}

func TestConnectOutcomes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want triage.Outcome
	}{
		{syscall.ECONNREFUSED, triage.Refused},
		{syscall.EHOSTUNREACH, triage.Unreachable},
		{syscall.ENETUNREACH, triage.Unreachable},
		{syscall.ETIMEDOUT, triage.ConnectTimeout},
		{syscall.ECONNRESET, triage.ConnectFailed},
		{syscall.EACCES, triage.ConnectFailed},
		{syscall.EMFILE, triage.OutOfResources},
		{syscall.EADDRNOTAVAIL, triage.OutOfResources},
		{triage.AddressPolicy{}.Check(netip.MustParseAddrPort("169.254.169.254:80")), triage.AddressForbidden},
		{errors.New("something"), triage.ConnectFailed},
	} {
		s, _ := httpPlan(triage.Own).Start(target, time.Unix(1, 0))
		if a := s.Handle(Event{Kind: ConnectFailed, At: time.Unix(1, 1), Err: fmt.Errorf("dial: %w", c.err)}); a.Kind != Done {
			t.Fatalf("%v: %v", c.err, a.Kind)
		}
		if got := s.Exchange().Outcome; got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	for _, protocol := range []triage.Protocol{triage.TCP, triage.HTTP, triage.TLS} {
		c := triage.DefaultHealthCheck()
		c.Protocol = protocol
		s, _ := Compile(dialect.Get(triage.Own), c).Start(target, time.Unix(1, 0))
		s.Handle(Event{Kind: DeadlinePassed, At: time.Unix(3, 0)})
		if got := s.Exchange().Outcome; got != triage.ConnectTimeout {
			t.Errorf("%s: deadline before the connect: %s", protocol, got)
		}
	}
}

// TestAnyBytesEndInAVerdict: whatever a server sends, however it is cut, the check ends with an outcome and
// with bounded memory.
func TestAnyBytesEndInAVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fragment := rapid.SampledFrom([]string{
			"HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "Content-Length: 5\r\n", "Content-Length: 99999999999999999999\r\n",
			"Transfer-Encoding: chunked\r\n", "\r\n", "5\r\nhello\r\n", "0\r\n\r\n", "\n", ": ", "\x00", "ok", " x\r\n", "HTTP/2 200\r\n",
		})
		pieces := rapid.SliceOfN(rapid.OneOf(fragment, rapid.String()), 0, 12).Draw(t, "pieces")
		var sent []string
		for _, p := range pieces {
			if p != "" {
				sent = append(sent, p)
			}
		}
		last := rapid.SampledFrom([]EventKind{EOF, Reset, DeadlinePassed}).Draw(t, "last")
		split := play(t, httpPlan(triage.Own), sent, last, syscall.ECONNRESET)
		whole := split
		if joined := strings.Join(sent, ""); joined != "" {
			whole = play(t, httpPlan(triage.Own), []string{joined}, last, syscall.ECONNRESET)
		}
		if split.Outcome.Verdict() == triage.Neutral {
			t.Fatalf("neutral %s", split.Outcome)
		}
		if split.Outcome != whole.Outcome || split.Status != whole.Status {
			t.Fatalf("in pieces %s %d, whole %s %d", split.Outcome, split.Status, whole.Outcome, whole.Status)
		}
	})
}

// TestTargetsLogsStayQuiet: only a connection that both sides are done with is aborted. A TCP check that ended
// in a reset filled the targets' logs with stack traces.
func TestTargetsLogsStayQuiet(t *testing.T) {
	end := func(protocol triage.Protocol, events ...Event) dialect.Close {
		t.Helper()
		c := triage.DefaultHealthCheck()
		c.Protocol = protocol
		s, a := Compile(dialect.Get(triage.Own), c).Start(target, time.Unix(1, 0))
		for _, e := range events {
			e.At = time.Unix(2, 0)
			a = s.Handle(e)
		}
		if a.Kind != Done {
			t.Fatalf("%s: not done", protocol)
		}
		return a.Close
	}
	answer := func(s string) Event { return Event{Kind: Data, Data: []byte(s)} }
	asked := []Event{{Kind: Connected}, {Kind: Written}}
	if end(triage.TCP, Event{Kind: Connected}) != dialect.CloseFIN {
		t.Error("a tcp check ends in a reset")
	}
	if end(triage.HTTP, append(asked, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))...) != dialect.CloseRST {
		t.Error("a complete answer does not end in a reset")
	}
	if end(triage.HTTP, append(asked, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"), Event{Kind: DeadlinePassed})...) != dialect.CloseFIN {
		t.Error("half an answer ends in a reset")
	}
}
