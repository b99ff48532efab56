package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestBodyRules: how much of an answer decides, however the network has cut it.
func TestBodyRules(t *testing.T) {
	const head, framed = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
	whole, unread := dialect.BodyRule{Need: dialect.BodyWhole}, dialect.BodyRule{Need: dialect.BodyUnread}
	first4 := dialect.BodyRule{Need: dialect.BodyFirst, Limit: 4}
	for name, c := range map[string]struct {
		rule   dialect.BodyRule
		answer string
		want   triage.Outcome // though nothing more comes
		body   string
	}{
		"whole":                         {whole, framed + "ninebytes", triage.Matched, "ninebytes"},
		"whole, half came":              {whole, framed + "nine", triage.BodyTimeout, "nine"},
		"first, and no more":            {first4, framed + "nine", triage.Matched, "nine"},
		"first, and more":               {first4, framed + "ninebytes", triage.Matched, "nine"},
		"first, too few":                {first4, framed + "nin", triage.BodyTimeout, "nin"},
		"first of few":                  {first4, head + "Content-Length: 2\r\n\r\nok", triage.Matched, "ok"},
		"first of chunks":               {first4, head + "Transfer-Encoding: chunked\r\n\r\n2\r\nni\r\n7\r\nnebytes", triage.Matched, "nine"},
		"first, bad chunks after them":  {first4, head + "Transfer-Encoding: chunked\r\n\r\n4\r\nnine!!\r\n", triage.Matched, "nine"},
		"first, bad chunks before them": {first4, head + "Transfer-Encoding: chunked\r\n\r\n3\r\nnin!!\r\n", triage.BodyMalformed, "nin"},
		"first, until the end":          {first4, head + "\r\nninebytes", triage.Matched, "nine"},
		"unread":                        {unread, framed, triage.Matched, ""},
		"unread, and it came":           {unread, framed + "ninebytes", triage.Matched, ""},
		"unread, chunks":                {unread, head + "Transfer-Encoding: chunked\r\n\r\n!!", triage.Matched, ""},
		"unread, two lengths":           {unread, head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", triage.NotHTTP, ""},
		"unread, half a head":           {unread, head, triage.ResponseTimeout, ""},
		"unread, and the wrong code":    {unread, "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n", triage.CodeMismatch, ""},
	} {
		p := httpPlan(triage.Own)
		spec := *p.Dialect
		spec.Body, p.Dialect = c.rule, &spec
		for _, pieces := range [][]string{{c.answer}, strings.Split(c.answer, "")} {
			x := play(t, p, pieces, DeadlinePassed, nil)
			if x.Outcome != c.want || string(x.Body) != c.body || x.BodySize != int64(len(c.body)) {
				t.Errorf("%s, %d pieces: %s (%s), body %q of %d", name, len(pieces), x.Outcome, x.Detail, x.Body, x.BodySize)
			}
		}
	}
}

// TestUnreadConnectionsAreNotKept: what was not waited for would be taken for the next answer.
func TestUnreadConnectionsAreNotKept(t *testing.T) {
	for answer, keep := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n":   false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok": false,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":   true, // as net/http: nothing is left to read
	} {
		c := settings(triage.HTTP)
		c.ReuseConnection = true
		p := Compile(&dialect.Spec{Body: dialect.BodyRule{Need: dialect.BodyUnread}}, c)
		s, _ := p.Start(target, time.Unix(1, 0))
		s.Handle(Event{Kind: Connected, At: time.Unix(1, 0)})
		s.Handle(Event{Kind: Written, At: time.Unix(1, 0)})
		a := s.Handle(Event{Kind: Data, At: time.Unix(1, 0), Data: []byte(answer)})
		if a.Kind != Done || a.Keep != keep {
			t.Errorf("%q: %+v", answer, a)
		}
	}
}

// TestMethods: a HEAD's answer has no body, whatever its length says; HAProxy's OPTIONS in HTTP/1.0 has one.
func TestMethods(t *testing.T) {
	const half = "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
	for _, c := range []struct {
		method string
		http10 bool
		line   string
		answer string
		want   triage.Outcome
	}{
		{"", false, "GET /health_check HTTP/1.1\r\n", half, triage.BodyTruncated},
		{"HEAD", false, "HEAD /health_check HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", triage.Matched},
		{"OPTIONS", true, "OPTIONS /health_check HTTP/1.0\r\n", half, triage.BodyTruncated},
		{"OPTIONS", true, "OPTIONS /health_check HTTP/1.0\r\n", "HTTP/1.0 200 OK\r\n\r\nuntil the end", triage.Matched},
	} {
		p := httpPlan(triage.Own)
		spec := *p.Dialect
		spec.Method, spec.HTTP10, p.Dialect = c.method, c.http10, &spec
		if x := play(t, p, []string{c.answer}, EOF, nil); x.Outcome != c.want || !strings.HasPrefix(string(x.Sent), c.line) {
			t.Errorf("%s: %s (%s), sent %q", c.method, x.Outcome, x.Detail, x.Sent)
		}
	}
}

// TestHostRules: what each rule needs is in the question, or what stands in for it.
func TestHostRules(t *testing.T) {
	named := triage.Key{Target: "app.example:8000", Address: target.Address}
	node := netip.MustParseAddrPort("10.0.0.2:443")
	for _, c := range []struct {
		rule    dialect.HostRule
		key     triage.Key
		node    netip.AddrPort
		cluster string
		want    string
	}{
		{dialect.HostAddress, named, node, "web", "10.0.1.5:8000"},
		{dialect.HostTyped, named, node, "web", "app.example:8000"},
		{dialect.HostTyped, target, node, "web", "10.0.1.5:8000"},
		{dialect.HostNode, named, node, "web", "10.0.0.2:443"},
		{dialect.HostNode, named, netip.AddrPort{}, "web", "10.0.0.9:8000"},
		{dialect.HostCluster, named, node, "web", "web"},
		{dialect.HostCluster, named, node, "", "10.0.1.5:8000"},
	} {
		p := planOf(&dialect.Spec{Host: c.rule, Headers: []dialect.Header{{Name: "Host", Value: dialect.HostValue}}, Codes: triage.MatchCodes(200, 200)}, triage.HTTP)
		p.Node, p.Cluster = c.node, c.cluster
		x := travel(t, p, c.key, func(_ int, _ netip.AddrPort, request string) string { return fine })
		if want := fmt.Sprintf("GET /health_check HTTP/1.1\r\nHost: %s\r\n\r\n", c.want); string(x.Sent) != want {
			t.Errorf("rule %d of %s: sent %q, want %q", c.rule, c.key.Target, x.Sent, want)
		}
		if p.NeedsLocal() != (c.rule == dialect.HostNode && !c.node.IsValid()) {
			t.Errorf("rule %d: NeedsLocal %t", c.rule, p.NeedsLocal())
		}
	}
}

// BenchmarkSessionOwn is one check of our own in memory: what the engine does many thousand times a second.
func BenchmarkSessionOwn(b *testing.B) {
	p := httpPlan(triage.Own)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	at := time.Unix(1, 0)
	var s Session
	b.ReportAllocs()
	for b.Loop() {
		s.Begin(p, target, at)
		s.Handle(Event{Kind: Connected, At: at})
		s.Handle(Event{Kind: Written, At: at})
		if a := s.Handle(Event{Kind: Data, At: at, Data: answer}); a.Kind != Done {
			b.Fatal(a.Kind)
		}
	}
}

// TestOurOwnChecksDoNotAllocate: there are ten thousand of them in a second.
func TestOurOwnChecksDoNotAllocate(t *testing.T) {
	p := httpPlan(triage.Own)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	at := time.Unix(1, 0)
	var s Session
	if n := testing.AllocsPerRun(100, func() {
		s.Begin(p, target, at)
		s.Handle(Event{Kind: Connected, At: at})
		s.Handle(Event{Kind: Written, At: at})
		s.Handle(Event{Kind: Data, At: at, Data: answer})
	}); n > 0 {
		t.Errorf("%v allocations for each check", n)
	}
}
