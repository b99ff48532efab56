package diagnose

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

var plan = func() *probe.Plan {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path = triage.HTTP, "/health_check"
	return probe.Compile(dialect.Get(triage.AWSALB), c)
}()

// exchange is what a check sees of a server that answers so.
func exchange(p *probe.Plan, answer string) *triage.Exchange {
	key := triage.Key{Target: "127.0.1.13:20000", Address: netip.MustParseAddrPort("127.0.1.13:20000")}
	at := time.Unix(1, 0)
	s, _ := p.Start(key, at)
	s.Handle(probe.Event{Kind: probe.Connected, At: at})
	s.Handle(probe.Event{Kind: probe.Written, At: at})
	if a := s.Handle(probe.Event{Kind: probe.Data, At: at, Data: []byte(answer)}); a.Kind != probe.Done {
		s.Handle(probe.Event{Kind: probe.EOF, At: at})
	}
	return s.Exchange()
}

// captured is an answer that the real software gave; see e2e/testdata/captured.
func captured(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../e2e/testdata/captured/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	ok         = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	bare400    = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	otherPlace = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"
	djangoSSL  = "HTTP/1.1 301 Moved Permanently\r\nServer: gunicorn\r\nLocation: https://127.0.1.13:20000/health_check\r\nContent-Length: 0\r\n\r\n"
)

// server answers second questions: by Host, or by a header that was added; "" stands for everything else.
type server map[string]string

func (s server) ask(_ context.Context, v dialect.Variation) *triage.Exchange {
	answer, known := s[v.String()]
	if !known {
		answer = s[""]
	}
	return exchange(plan.Vary(v), answer)
}

func TestDiagnoses(t *testing.T) {
	nginx301, django400 := captured(t, "nginx-301.http"), captured(t, "django-400.http")
	for name, c := range map[string]struct {
		server    server
		code      string
		certainty triage.Certainty
		cause     string // these texts are in the fields
		proof     string
		fix       string
		asked     int
	}{
		"nginx redirects": {
			server: server{"": nginx301, "X-Forwarded-Proto: https": ok},
			code:   "redirect-to-https", certainty: triage.Proved, asked: 3,
			cause: "nginx redirects plain http to https", proof: "the same request with X-Forwarded-Proto: https: 200",
			fix: "\n    if ($uri = /health_check) { break; }\n",
		},
		"nginx redirects, and Django refuses behind it": {
			server: server{"": nginx301, "X-Forwarded-Proto: https": django400},
			code:   "redirect-to-https", certainty: triage.Proved, asked: 3,
			cause: "nginx", proof: "400, no longer this redirect",
			fix: "break",
		},
		"nginx redirects whatever it is told": {
			server: server{"": nginx301},
			code:   "redirect-to-https", certainty: triage.Likely, asked: 1,
			cause: "nginx", proof: "none", fix: "break",
		},
		"nginx redirects, and the application wants a login": {
			server: server{"": nginx301, "X-Forwarded-Proto: https": otherPlace},
			code:   "redirect-to-https", certainty: triage.Proved, asked: 3,
			cause: "nginx", proof: "302, no longer this redirect, but the next thing to look at", fix: "break",
		},
		"Django redirects": {
			server: server{"": djangoSSL, "X-Forwarded-Proto: https": ok},
			code:   "redirect-to-https", certainty: triage.Proved, asked: 3,
			cause: "Django (SECURE_SSL_REDIRECT)", proof: "200", fix: `SECURE_REDIRECT_EXEMPT = [r"^health_check$"]`,
		},
		"a redirect to somewhere else": {
			server: server{"": strings.Replace(otherPlace, "/login", "/en/", 1)},
			code:   Undiagnosed, certainty: triage.Unknown, cause: "302 Found",
		},
		"Django refuses the Host": {
			server: server{"": django400, "Host localhost": ok},
			code:   "host-not-allowed", certainty: triage.Proved, asked: 3,
			cause: `Django refuses Host "127.0.1.13:20000" (ALLOWED_HOSTS)`, proof: "the same request with Host localhost: 200",
			fix: "ALLOWED_HOSTS.append",
		},
		"Django refuses every Host that we know": {
			server: server{"": django400},
			code:   "host-not-allowed", certainty: triage.Likely, asked: 4,
			cause: "Django refuses Host", proof: "none yet", fix: "ALLOWED_HOSTS",
		},
		"somebody refuses the Host": {
			server: server{"": bare400, "Host localhost": ok},
			code:   "host-not-allowed", certainty: triage.Proved, asked: 4,
			cause: `the application refuses Host "127.0.1.13:20000"`, proof: "Host localhost: 200", fix: "/health_check",
		},
		"a 400 for another reason": {
			server: server{"": bare400},
			code:   Undiagnosed, certainty: triage.Unknown, asked: 3, cause: "400 Bad Request",
		},
		"closed at once": {
			server: server{"": ""},
			code:   Undiagnosed, certainty: triage.Unknown, asked: 4, cause: "closed without a complete answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange(plan, c.server[""])
			d := Ask(context.Background(), x, Means{Ask: c.server.ask})
			if d.Code != c.code || d.Certainty != c.certainty || len(d.Asked) != c.asked {
				t.Errorf("%s, %s, asked %q; want %s, %s, %d questions", d.Code, d.Certainty, d.Asked, c.code, c.certainty, c.asked)
			}
			for what, pair := range map[string][2]string{"cause": {d.Cause, c.cause}, "proof": {d.Proof, c.proof}, "fix": {d.Fix, c.fix}} {
				if !strings.Contains(pair[0], pair[1]) || (pair[1] == "" && pair[0] != "") {
					t.Errorf("%s %q, want %q", what, pair[0], pair[1])
				}
			}
			if len(d.Evidence) == 0 {
				t.Error("no evidence")
			}
			for line := range strings.SplitSeq(d.Fix, "\n") {
				if len(line) > 80-11 {
					t.Errorf("a line of the fix has %d columns beside its label: %s", len(line), line)
				}
			}
		})
	}
}

// TestLookNeverAsks: the first look at a weak signature claims nothing, and names what a question would decide.
func TestLookNeverAsks(t *testing.T) {
	d := Look(exchange(plan, bare400))
	if d.Code != Undiagnosed || len(d.Candidates) != 1 || d.Candidates[0] != "host-not-allowed" {
		t.Errorf("%s, candidates %v", d.Code, d.Candidates)
	}
	if d := Look(exchange(plan, ok)); d != nil {
		t.Errorf("a healthy answer was diagnosed as %s", d.Code)
	}
}

func TestNginxRuleForOddPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/health_check":   "if ($uri = /health_check) {",
		"/health%20check": `if ($uri = "/health check") {`,
		"/a;b":            `if ($uri = "/a;b") {`,
		"/a$b":            "",
		"/a%22b":          "",
		"/a%0ab":          "",
	} {
		rule, ok := nginxRule(path)
		if ok != (want != "") || !strings.Contains(rule, want) {
			t.Errorf("%s: %q, %v", path, rule, ok)
		}
	}
}

func TestLoadBalancerIsRecognised(t *testing.T) {
	if name, ok := LoadBalancer(exchange(plan, "HTTP/1.1 503 Service Unavailable\r\nServer: awselb/2.0\r\nContent-Length: 0\r\n\r\n")); !ok || name != "awselb/2.0" {
		t.Errorf("%q, %v", name, ok)
	}
	if _, ok := LoadBalancer(exchange(plan, ok)); ok {
		t.Error("a target was taken for a load balancer")
	}
}

// TestOnlyTheCodeOfARedirectCounts: where 301 passes, something else has failed.
func TestOnlyTheCodeOfARedirectCounts(t *testing.T) {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path, c.SuccessCodes = triage.HTTP, "/health_check", triage.MatchCodes(200, 399)
	lenient := probe.Compile(dialect.Get(triage.AWSALB), c)
	d := Look(exchange(lenient, strings.Replace(captured(t, "nginx-301.http"), "Content-Length: ", "Content-Length: 9", 1)))
	if d == nil || d.Code != "body-truncated" || !strings.Contains(d.Cause, "ends before it is complete") {
		t.Errorf("a redirect that passes, with half a body: %+v", d)
	}
}

// TestRedirectOfAnEncryptedCheck: whoever asked over TLS already is not redirected to https, but elsewhere.
func TestRedirectOfAnEncryptedCheck(t *testing.T) {
	x := exchange(plan, captured(t, "nginx-301.http"))
	if d := Look(x); d.Code != "redirect-to-https" {
		t.Fatalf("over plain http: %s", d.Code)
	}
	x.Timing[triage.PhaseTLS] = time.Millisecond
	if d := Look(x); d.Code != Undiagnosed {
		t.Errorf("over https: %s", d.Code)
	}
}

func TestDjangoExemptionForOddPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/health_check":    `[r"^health_check$"]`,
		"/health.check(1)": `[r"^health\.check\(1\)$"]`,
		"/health+check":    `[r"^health\+check$"]`,
		"/health%2Echeck":  `[r"^health\.check$"]`,
		"/":                `[r"^$"]`,
		"/a%22b":           "", // would end the string
		"/a%0ab":           "",
		"/%C3%A9":          "",
		"/%zz":             "",
	} {
		setting, ok := djangoExempt(path)
		if ok != (want != "") || !strings.Contains(setting, want) {
			t.Errorf("%s: %q, %v", path, setting, ok)
		}
	}
}

// TestBrief: a code that matched is no news where the body has failed.
func TestBrief(t *testing.T) {
	for answer, want := range map[string]string{
		ok:      "200",
		bare400: "400",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf": "200, the connection ended before the body that the head announced",
		"": "the connection was closed without a complete answer",
	} {
		if got := Brief(exchange(plan, answer)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
