package diagnose

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// trial is a server that answers a check and its second questions, by the question's words; "" stands for all else. An
// answer that is noAnswer never comes; questions that are unheard cannot be put.
type trial struct {
	as      triage.Dialect // AWS's ALB if it is ""
	path    string         // /health if it is ""
	method  string
	expect  triage.Expect
	hosts   []string
	answers map[string]string

	code      string // Undiagnosed if it is ""
	certainty triage.Certainty
	proof     string // this is in the proof, and so on
	cause     string
	fix       string
	suspect   string // what the first look may say, though the questions take it back
}

const (
	noAnswer = "(no answer)"
	unheard  = "(cannot be asked)"
)

func (c trial) run(t *testing.T) {
	t.Helper()
	check := triage.DefaultHealthCheck()
	check.Protocol, check.Path, check.Expect = triage.HTTP, "/health", c.expect
	if c.path != "" {
		check.Path = c.path
	}
	as := triage.AWSALB
	if c.as != "" {
		as = c.as
	}
	p := probe.Compile(dialect.Get(as), check).Vary(dialect.Variation{Method: c.method})
	ask := func(_ context.Context, v dialect.Variation) *triage.Exchange {
		text, known := c.answers[v.String()]
		if !known {
			text = c.answers[""]
		}
		if text == unheard {
			return nil
		}
		x := exchange(p.Vary(v), text)
		if text == noAnswer {
			x = hanging(p.Vary(v))
		}
		x.Dialect = as
		return x
	}
	x := ask(context.Background(), dialect.Variation{})
	d := Ask(context.Background(), x, Means{Ask: ask, Hosts: c.hosts})
	if d == nil {
		t.Fatalf("the check has not failed: %s", Brief(x))
	}
	code, certainty := c.code, c.certainty
	if code == "" {
		code, certainty = Undiagnosed, triage.Unknown
	}
	if d.Code != code || d.Certainty != certainty {
		t.Errorf("%s, %s, asked %q; want %s, %s", d.Code, d.Certainty, d.Asked, code, certainty)
	}
	for what, pair := range map[string][2]string{"proof": {d.Proof, c.proof}, "cause": {d.Cause, c.cause}, "fix": {d.Fix, c.fix}} {
		if !strings.Contains(pair[0], pair[1]) {
			t.Errorf("%s %q, want %q in it", what, pair[0], pair[1])
		}
	}
	if look := Look(x); look.Code != Undiagnosed && look.Code != code && look.Code != c.suspect {
		t.Errorf("the first look says %s", look.Code)
	}
	for line := range strings.SplitSeq(d.Fix, "\n") {
		if len([]rune(line)) > 69 {
			t.Errorf("a line of the fix has %d columns: %s", len([]rune(line)), line)
		}
	}
}

func runAll(t *testing.T, trials map[string]trial) {
	t.Helper()
	for name, c := range trials {
		t.Run(name, c.run)
	}
}

// hanging is what a check sees of a server that takes the request and says nothing.
func hanging(p *probe.Plan) *triage.Exchange {
	at := time.Unix(1, 0)
	s, _ := p.Start(triage.Key{Address: netip.MustParseAddrPort("127.0.1.13:20000")}, at)
	s.Handle(probe.Event{Kind: probe.Connected, At: at})
	s.Handle(probe.Event{Kind: probe.Written, At: at})
	s.Handle(probe.Event{Kind: probe.DeadlinePassed, At: at.Add(p.Timeout)})
	return s.Exchange()
}

// answer is one with content; the fields are lines, each with its end.
func answer(status, fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
}

func jsonAnswer(status, body string) string {
	return answer(status, "Content-Type: application/json\r\n", body)
}

// nginxSays is nginx's own page of an error, as captured from 1.22.1.
func nginxSays(status string) string {
	return answer(status, "Server: nginx/1.22.1\r\nContent-Type: text/html\r\n",
		"<html>\r\n<head><title>"+status+"</title></head>\r\n<body>\r\n<center><h1>"+status+"</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n")
}

// apacheSays is Apache's own page of an error, as captured from 2.4.
func apacheSays(status, text string) string {
	return answer(status, "Server: Apache/2.4.71 (Debian)\r\nContent-Type: text/html; charset=iso-8859-1\r\n",
		`<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">`+
			"\n<html><head>\n<title>"+status+"</title>\n</head><body>\n"+text+"</body></html>\n")
}

func cannotGet(path string) string {
	return answer("404 Not Found", "X-Powered-By: Express\r\nContent-Type: text/html; charset=utf-8\r\n",
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n<body>\n<pre>Cannot GET "+path+"</pre>\n</body>\n</html>\n")
}

const (
	nobodys     = "path /health-nonsense"
	rested      = "2s of rest before it"
	flask404    = "HTTP/1.1 404 NOT FOUND\r\nServer: gunicorn\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n"
	goPage404   = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\n404 page not found\n"
	django404On = "HTTP/1.1 404 Not Found\r\nServer: gunicorn\r\nConnection: close\r\n\r\n<p>\nThe current path, <code>health</code>,\n\ndidn’t match any of these."
)

var shopHost = []string{"shop.example"}

func TestNoSuchPage(t *testing.T) {
	fastify404 := jsonAnswer("404 Not Found", `{"message":"Route GET:/health not found","error":"Not Found","statusCode":404}`)
	runAll(t, map[string]trial{
		"nginx, and the public name has no such page either": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("404 Not Found"), "path /": ok},
			code: "health-path-404", certainty: triage.Proved, proof: "path /: 200; with path /health-nonsense: 404", fix: "location = /health",
		},
		"nginx, where nothing is found": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("404 Not Found")},
		},
		"Flask, and the public name has no such page either": {
			hosts: shopHost, answers: map[string]string{"": flask404, "path /": ok},
			code: "health-path-404", certainty: triage.Proved, cause: "or the application behind this path is not deployed",
		},
		// A default site that answers / and has not the path of the health check looks just so.
		"nginx, and no public name is known":            {answers: map[string]string{"": nginxSays("404 Not Found"), "path /": ok}},
		"Flask, and no public name is known":            {answers: map[string]string{"": flask404, "path /": ok}},
		"Go, and no public name is known":               {answers: map[string]string{"": goPage404, "path /": ok}},
		"a server by Host, and no public name is known": {answers: map[string]string{"": answer("404 Not Found", "", "no"), "path /": ok, "Host shop.example": ok}},
		"Express, and no public name is known":          {answers: map[string]string{"": cannotGet("/health"), "path /": ok}},
		"Fastify, and no public name is known":          {answers: map[string]string{"": fastify404, "path /": ok}},
		"Django in development, and no public name":     {answers: map[string]string{"": django404On, "path /": ok}},
		"Express, whose site is another":                {hosts: shopHost, answers: map[string]string{"": cannotGet("/health"), "Host shop.example": otherPlace}},
		"a page that only others have": {
			hosts: shopHost, answers: map[string]string{"": flask404, "path /": ok, nobodys: ok},
		},
		"a thing that is not found, at a path that is": {
			hosts: shopHost, answers: map[string]string{"": jsonAnswer("404 Not Found", `{"detail":"item not found"}`), "path /": ok, nobodys: jsonAnswer("404 Not Found", `{"detail":"Not Found"}`)},
		},
		"Spring, which says path and time": {
			hosts: shopHost, answers: map[string]string{
				"": jsonAnswer("404 Not Found", `{"timestamp":"2026-11-23T01:34:11.120+00:00","status":404,"error":"Not Found","path":"/health"}`), "path /": ok,
				nobodys: jsonAnswer("404 Not Found", `{"timestamp":"2026-11-23T01:34:12.004+00:00","status":404,"error":"Not Found","path":"/health-nonsense"}`)},
			code: "health-path-404", certainty: triage.Proved,
		},
		"Express says so": {
			hosts: shopHost, answers: map[string]string{"": cannotGet("/health")},
			code: "health-path-404", certainty: triage.Proved, proof: "Host shop.example: 404, in the words of its router", fix: "app.get('/health'",
		},
		"Express says so of another path": {hosts: shopHost, answers: map[string]string{"": cannotGet("/elsewhere")}},
		"Fastify says so": {
			hosts: shopHost, answers: map[string]string{"": fastify404}, code: "health-path-404", certainty: triage.Proved,
		},
		"Django says so in development": {
			hosts: shopHost, answers: map[string]string{"": django404On}, code: "health-path-404", certainty: triage.Proved,
		},
		"Apollo Server 4": {
			path: apolloHealth, hosts: shopHost, answers: map[string]string{"": cannotGet(apolloHealth)},
			code: "endpoint-moved", certainty: triage.Proved,
		},
		"Apollo Server 4, or another site": {path: apolloHealth, answers: map[string]string{"": cannotGet(apolloHealth)}},
	})
}

func TestCodesThatSpeakForThemselves(t *testing.T) {
	limited := answer("429 Too Many Requests", "Retry-After: 1\r\n", "")
	failing := answer("500 Internal Server Error", "", "")
	haproxy500 := answer("500 Internal Server Error", "Content-Type: text/html\r\n", "<html><body><h1>500 Internal Server Error</h1>\nAn internal server error occurred.\n</body></html>\n")
	runAll(t, map[string]trial{
		"204": {
			answers: map[string]string{"": "HTTP/1.1 204 No Content\r\n\r\n"},
			code:    "success-code-204", certainty: triage.Likely, fix: "add 204 to the check's success codes",
		},
		"204 where the codes cannot be set": {
			as: triage.GCP, answers: map[string]string{"": "HTTP/1.1 204 No Content\r\n\r\n"},
			code: "success-code-204", certainty: triage.Likely, fix: "answer 200 with a short body at /health",
		},
		"204 for an unknown tenant": {
			hosts: shopHost, answers: map[string]string{"": "HTTP/1.1 204 No Content\r\n\r\n", "Host shop.example": ok},
			suspect: "success-code-204",
		},
		"204, and by the public name": {
			hosts: shopHost, answers: map[string]string{"": "HTTP/1.1 204 No Content\r\n\r\n"},
			code: "success-code-204", certainty: triage.Proved, proof: "Host shop.example: 204",
		},
		"429, then not": {
			answers: map[string]string{"": limited, rested: ok},
			code:    "rate-limited", certainty: triage.Proved, proof: rested + ": 200",
		},
		"429 for ever": {answers: map[string]string{"": limited}, code: "rate-limited", certainty: triage.Likely},
		"429 for a while, in no more words": {
			answers: map[string]string{"": answer("429 Too Many Requests", "", ""), rested: ok}, code: "rate-limited", certainty: triage.Proved,
		},
		"429 for a User-Agent":      {answers: map[string]string{"": answer("429 Too Many Requests", "", "<title>Just a moment...</title>")}},
		"429 for an unknown tenant": {hosts: shopHost, answers: map[string]string{"": limited, "Host shop.example": ok}, suspect: "rate-limited"},
		"503 of nginx's limit_req": {
			answers: map[string]string{"": nginxSays("503 Service Temporarily Unavailable"), rested: ok},
			code:    "rate-limited", certainty: triage.Proved, proof: "right after it 503 again", fix: "limit_req_status 429",
		},
		"503 that was over after a while": {
			answers: map[string]string{"": nginxSays("503 Service Temporarily Unavailable"), rested: ok, "method HEAD": ok},
		},
		"503 that stays": {answers: map[string]string{"": nginxSays("503 Service Temporarily Unavailable")}},
		"503 of an application, then not": {
			answers: map[string]string{"": answer("503 Service Unavailable", "Server: nginx/1.22.1\r\n", "busy"), rested: ok},
		},
		"500": {
			hosts: shopHost, answers: map[string]string{"": failing},
			code: "server-error", certainty: triage.Proved, proof: "Host shop.example: 500", cause: "what answers /health fails with 500",
		},
		"500, and no name is known": {
			answers: map[string]string{"": failing}, // whoever it is that fails
			code:    "server-error", certainty: triage.Likely, cause: "mostly the application",
		},
		"500 for an unknown tenant": {hosts: shopHost, answers: map[string]string{"": failing, "Host shop.example": ok}, suspect: "server-error"},
		"500 for an address":        {answers: map[string]string{"": failing, "Host localhost": ok}, suspect: "server-error"},
		"500 to OPTIONS": {
			as: triage.HAProxy, hosts: shopHost, answers: map[string]string{"": failing, "method GET": ok},
			code: "method-not-allowed", certainty: triage.Proved, proof: "method GET: 200",
		},
		"500 to OPTIONS and GET": {
			as: triage.HAProxy, hosts: shopHost, answers: map[string]string{"": failing}, code: "server-error", certainty: triage.Proved,
		},
		"a tarpit of HAProxy": {
			hosts: shopHost, answers: map[string]string{"": haproxy500, "path /": ok},
			code: "server-error", certainty: triage.Proved, cause: "HAProxy itself answers 500, and has asked no application",
		},
		"a tarpit of HAProxy, and no name is known": {
			answers: map[string]string{"": haproxy500, "path /": ok},
			code:    "server-error", certainty: triage.Likely, cause: "HAProxy itself answers 500",
		},
		"500 of nginx": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("500 Internal Server Error")},
			code: "server-error", certainty: triage.Proved, cause: "nginx itself", fix: "error.log",
		},
		"500 of Apache": {
			hosts: shopHost, answers: map[string]string{"": apacheSays("500 Internal Server Error", "<h1>Internal Server Error</h1>\n")},
			code: "server-error", certainty: triage.Proved, cause: "Apache itself", fix: "error.log",
		},
		"500 of WordPress": {
			answers: map[string]string{"": answer("500 Internal Server Error", "", "<h1>Error establishing a database connection</h1>")},
			code:    "server-error", certainty: triage.Likely, cause: "WordPress cannot reach its database",
		},
		"WordPress in maintenance": {
			answers: map[string]string{"": answer("503 Service Unavailable", "Retry-After: 600\r\n", "<p>Briefly unavailable for scheduled maintenance. Check back in a minute.</p>")},
			code:    "maintenance-mode", certainty: triage.Likely,
		},
		"503 with Retry-After": {answers: map[string]string{"": answer("503 Service Unavailable", "Retry-After: 600\r\n", "")}},
	})
}

// TestWhatACodeMayBe: where a console shows a code and no more, all that has this code is looked at.
func TestWhatACodeMayBe(t *testing.T) {
	for code, want := range map[int][]string{
		401: {"auth-required"},
		403: {"directory-listing-denied", "source-not-allowed"},
		404: {"health-path-404"},
		429: {"rate-limited", "vault-standby"},
		500: {"server-error"},
		501: {"vault-not-initialized"},
		502: {"app-down-behind-proxy"},
		503: {"rate-limited", "maintenance-mode", "app-down-behind-proxy", "no-server-behind-proxy", "health-reports-down", "no-local-endpoints", "vault-sealed", "patroni-role"},
		504: {"app-slow-behind-proxy"},
	} {
		r := Reading{Outcome: triage.CodeMismatch, Status: code}
		var suspects []string
		for _, e := range r.Suspects() {
			suspects = append(suspects, e.Code)
		}
		for _, entry := range want {
			if !slices.Contains(suspects, entry) {
				t.Errorf("%d: %s is not among %q", code, entry, suspects)
			}
		}
	}
	var slow []string
	for _, e := range (Reading{Outcome: triage.ResponseTimeout}).Suspects() {
		slow = append(slow, e.Code)
	}
	if !slices.Contains(slow, "health-path-slow") || !slices.Contains(slow, "workers-busy") || !slices.Contains(slow, "timeout-too-short") {
		t.Errorf("no answer in time: %q", slow)
	}
}
