package diagnose

import (
	"bytes"
	"compress/gzip"
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

// planOf is a check of a dialect with its own success codes, or with those that are given.
func planOf(name triage.Dialect, path, codes string) *probe.Plan {
	spec, c := dialect.Get(name), triage.DefaultHealthCheck()
	c.As, c.Protocol, c.Path, c.SuccessCodes = name, triage.HTTP, path, spec.Codes
	if codes != "" {
		c.SuccessCodes, _ = triage.ParseMatcher(codes)
	}
	return probe.Compile(spec, c)
}

func (s server) doubts(t *testing.T, plan *probe.Plan, hosts ...string) []*triage.Diagnosis {
	t.Helper()
	x, asked := exchange(plan, s[""]), 0
	x.Dialect = plan.Dialect.Name
	if x.Outcome.Verdict() != triage.Pass {
		t.Fatalf("the check does not pass: %s %s", x.Outcome, x.Detail)
	}
	all := Doubt(context.Background(), x, Means{Hosts: hosts, Ask: func(_ context.Context, v dialect.Variation) *triage.Exchange {
		asked++
		return exchange(plan.Vary(v), s.of(v))
	}})
	if asked > MaxQuestions {
		t.Errorf("%d questions", asked)
	}
	return all
}

// of is the answer to a question: asked again or by the site's name a path has the same one, unless there is another for it.
func (s server) of(v dialect.Variation) string {
	words := v.String()
	v.Again = 0
	once := v.String()
	for _, key := range []string{words, once, strings.TrimPrefix(once, "Host shop.example and ")} {
		if answer, known := s[key]; known {
			return answer
		}
	}
	return s[""]
}

func page(fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(body), body)
}

func typed(kind, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

func status(code int, fields string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: 0\r\n\r\n", code, fields)
}

const (
	spaPage   = "<!doctype html><title>Shop</title><div id=root></div><script src=/app.js></script>"
	loginForm = "<!doctype html><title>Log in</title><form method=post><input type=\"password\" name=p></form>"
	random    = "path /nonsense-path"
	impostor  = "Host " + nobody
	caddy200  = "HTTP/1.1 200 OK\r\nServer: Caddy\r\nContent-Length: 0\r\n\r\n"
	nginxPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

// nginxDown is nginx's own answer for an application that it does not reach.
var nginxDown = fmt.Sprintf("HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(nginxPage), nginxPage)

// again is the key of a question that is asked once more.
func again(v dialect.Variation) string {
	v.Again = 1
	return v.String()
}

// elsewhere is a server that has the answer on the health path alone.
func elsewhere(answer string) server {
	return server{"": answer, random: status(404, ""), "path /": status(404, "")}
}

// haproxyNone is HAProxy's answer where it has no server to ask.
var haproxyNone = statusWith("503 Service Unavailable", "Content-Type: text/html\r\n", "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n")

func statusWith(status, fields, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, fields, len(body), body)
}

// laravel is an answer of Laravel's whose second cookie holds the session.
func laravel(session string) string {
	return page("Set-Cookie: laravel_session="+session+"; Path=/\r\nSet-Cookie: Zk3vPq8LwXyT1aBcD5eFgH7iJ9kLmN0oPqRsTuVw="+session+"; Path=/\r\n", "ok")
}

func branded(name string) string {
	return "<html><head><title>" + name + " status</title></head><body><h1>" + name + "</h1><p>All good, for the one application behind all brands, which is this</body></html>"
}

// TestGoodChecksAreNotDoubted: what a well made health path, and a site that is well, may answer.
func TestGoodChecksAreNotDoubted(t *testing.T) {
	zipped := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), &b)
	}
	alb := planOf(triage.AWSALB, "/health", "")
	for name, s := range map[string]server{
		"ok":                           elsewhere(typed("text/plain", "ok")),
		"OK as HTML":                   elsewhere(page("", "OK")),
		"a page about health":          elsewhere(page("", "<title>Status</title><p>All systems are up, none is down, 0 errors</p>")),
		"an empty 200":                 elsewhere(status(200, "")),
		"an empty 200 of Caddy's":      elsewhere(caddy200),
		"204 where 200 is the rule":    elsewhere(typed("text/plain", "")),
		"Spring":                       elsewhere(typed("application/json", `{"status":"UP","components":{"db":{"status":"UP","details":{"database":"PostgreSQL"}},"diskSpace":{"status":"UP","details":{"exists":true,"free":1}}}}`)),
		"Spring's liveness and others": elsewhere(typed("application/json", `{"status":"UP","groups":["liveness","readiness"]}`)),
		"ASP.NET":                      elsewhere(typed("text/plain", "Healthy")),
		"NestJS":                       elsewhere(typed("application/json", `{"status":"ok","info":{"db":{"status":"up"}},"error":{},"details":{"db":{"status":"up"}}}`)),
		"health+json":                  elsewhere(typed("application/health+json", `{"status":"pass","checks":{"db:responseTime":[{"status":"pass","observedValue":3}]}}`)),
		"a warning":                    elsewhere(typed("application/json", `{"status":"warn","checks":{"disk":[{"status":"warn"}]}}`)),
		"counters and flags": elsewhere(typed("application/json", `{"status":"ok","errors":0,"failed":0,"error":null,"down":false,`+
			`"degraded":false,"maintenance":false,"leader":false,"debug":false,"ready":false,"uptime":12,"jobs":{"status":"failed","failed":3},`+
			`"data":{"order":{"state":"failed","ok":false}},"lastError":"database down"}`)),
		"yellow Elasticsearch": elsewhere(typed("application/json", `{"cluster_name":"a","status":"yellow","timed_out":false}`)),
		"a list":               elsewhere(typed("application/json", `["down"]`)),
		"half of a JSON":       elsewhere(typed("application/json", `{"status":"down"`)),
		"GraphQL":              elsewhere(typed("application/json", `{"data":{"__typename":"Query"}}`)),
		"GraphQL with a hint":  elsewhere(typed("application/json", `{"errors":[{"message":"x"}],"data":{"a":1}}`)),
		"compressed":           elsewhere(zipped(`{"status":"ok"}`)),
		"a sentence with down": elsewhere(typed("text/plain", "nothing is down")),
		"a word of HTML":       elsewhere(page("", "degraded")),
		"Age 0, a miss":        elsewhere(page("Age: 0\r\nX-Cache: MISS\r\nCF-Cache-Status: DYNAMIC\r\n", "ok")),
		"Varnish, not stored":  elsewhere(page("Age: 0\r\nX-Varnish: 32775\r\n", "ok")),
		"a miss of two caches": elsewhere(page("X-Cache: MISS, MISS\r\n", "ok")),
		"cookies":              elsewhere(page("Set-Cookie: session=eyJ; Path=/\r\nSet-Cookie: AWSALB=x\r\nSet-Cookie: XSRF-TOKEN=a\r\nSet-Cookie: JSESSIONID=\r\n", "ok")),
		"a constant cookie":    elsewhere(page("Set-Cookie: PHPSESSID=deleted; Max-Age=0\r\n", "ok")),

		// Servers for checks alone, and those that have one answer for all that they do not know.
		"ok to all paths":               {"": typed("text/plain", "ok")},
		"OK to all paths, as HTML":      {"": page("", "<h1>OK</h1>")},
		"UP to all paths":               {"": typed("application/json", `{"status":"UP"}`)},
		"an empty 200 to all":           {"": status(200, "")},
		"500 for every unknown page":    {"": typed("text/plain", "ok"), "path /": status(500, ""), random: status(500, "")},
		"maintenance":                   {"": typed("text/plain", "ok"), "path /": status(503, "Retry-After: 60\r\n"), random: status(404, "")},
		"no such method for /":          {"": typed("text/plain", "ok"), "path /": status(501, "")},
		"a login behind /":              {"": typed("text/plain", "ok"), "path /": status(401, "")},
		"nobody answers /":              {"": typed("text/plain", "ok"), "path /": ""},
		"a page of its own beside many": {"": page("", "<title>Status</title>fine"), random: page("", spaPage), "path /": page("", spaPage)},
		"a page in a frame like others": {"": page("", "<title>Shop</title><p>12 instances serve</p>"), random: page("", "<title>Shop</title><p>There is no such page</p>")},

		// An API's routes, of which / is none.
		"HAProxy without a rule for /": {"": typed("text/plain", "ok"), "path /": haproxyNone, random: haproxyNone},
		"503 by design at /":           {"": typed("text/plain", "ok"), "path /": statusWith("503 Service Unavailable", "", "no front page here"), random: status(404, "")},
		"an application's own 502":     {"": typed("text/plain", "ok"), "path /": status(502, ""), random: status(404, "")},
		"nginx, a dead map for others": {"": typed("text/plain", "ok"), "path /": nginxDown, random: nginxDown, "Host shop.example and path /": page("", spaPage)},
		"500 for an unknown tenant":    {"": typed("text/plain", "ok"), "path /": status(500, ""), random: status(404, ""), "Host shop.example and path /": page("", spaPage)},

		// Targets that come and go.
		"500 once at /": {"": typed("text/plain", "ok"), "path /": status(500, ""), random: status(404, ""), again(dialect.Variation{Host: "shop.example", Path: "/"}): page("", spaPage)},
		"502 once at /": {"": typed("text/plain", "ok"), "path /": nginxDown, random: status(404, ""), again(dialect.Variation{Host: "shop.example", Path: "/"}): page("", spaPage)},
		"502 once at the site": {"": typed("text/plain", "ok"), "Host shop.example": nginxDown, again(dialect.Variation{Host: "shop.example"}): typed("text/plain", "ok"),
			random: status(404, ""), "path /": status(404, "")},

		// Words that say nothing of who answers.
		"a trend":                     elsewhere(typed("application/json", `{"status":"ok","trend":"down"}`)),
		"a trend alone":               elsewhere(typed("application/json", `{"trend":"down","title":"degraded"}`)),
		"what was before":             elsewhere(typed("application/json", `{"status":"ok","previous_status":"down","last_incident":"degraded"}`)),
		"what a monitor watches":      elsewhere(typed("application/json", `{"title":"Uptime monitor","services":[{"name":"customer-website","status":"down"}]}`)),
		"what a monitor checks":       elsewhere(typed("application/json", `{"checks":[{"name":"customer-website","status":"down"}]}`)),
		"a site that is monitored":    elsewhere(typed("application/json", `{"url":"https://customer.example","status":"down"}`)),
		"a job that has failed":       elsewhere(typed("application/json", `{"id":17,"type":"job","state":"failed"}`)),
		"a job's status":              elsewhere(typed("application/json", `{"id":17,"type":"job","status":"failed"}`)),
		"a mouse button":              elsewhere(typed("application/json", `{"button":"mouse","state":"down"}`)),
		"a title":                     elsewhere(typed("application/json", `{"status":"green","title":"degraded"}`)),
		"a standby that is not there": elsewhere(typed("application/json", `{"status":{"ok":true,"leader":{"alive":true},"standby":{"alive":false}}}`)),
		"an optional part, and pass":  elsewhere(typed("application/json", `{"status":"pass","checks":{"optional:smtp":[{"status":"fail"}]}}`)),
		"an optional part of Spring":  elsewhere(typed("application/json", `{"status":"UP","components":{"mail":{"status":"DOWN"}}}`)),
		"an optional part in a list":  elsewhere(typed("application/json", `{"status":"UP","checks":[{"name":"jms","status":"DOWN"}]}`)),
		"an optional cache":           elsewhere(typed("application/json", `{"healthy":true,"redis":"down"}`)),
		"errors of the past":          elsewhere(typed("application/json", `{"status":"ok","errors":[{"message":"was slow at noon"}]}`)),

		// Titles with the letters of a login.
		"Catalog in English":     elsewhere(page("", `<title>Catalog in English</title><form><input type=password></form><h1>Products</h1>`)),
		"Blogging for everyone":  elsewhere(page("", `<title>Blogging for everyone</title><form><input type="password"></form>`)),
		"The captain's log in 3": elsewhere(page("", `<title>The captain's log in three volumes</title><form><input type="password"></form>`)),

		// Marks of a cache that an application writes.
		"its own X-Cache":                 elsewhere(page("X-Cache: HIT\r\n", "ok")),
		"its own Age":                     elsewhere(page("Age: 431\r\n", "ok")),
		"its own X-Cache, new every time": {"": page("X-Cache: HIT\r\n", "ok 1"), again(dialect.Variation{}): page("X-Cache: HIT\r\n", "ok 2"), "path /health?nonsense-path": page("", "ok 3"), random: status(404, ""), "path /": status(404, "")},

		// Sessions that cost the server nothing.
		"Django's signed_cookies": {"": page("Set-Cookie: sessionid=eyJzZWVuIjp0cnVlfQ:1tXyZa:Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4; Path=/\r\n", "ok"), "no change": page("Set-Cookie: sessionid=eyJzZWVuIjp0cnVlfQ:1tXyZb:cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6; Path=/\r\n", "ok"), random: status(404, ""), "path /": status(404, "")},
		"Laravel's driver cookie": {"": laravel("eyJpdiI6IkEifQ"), "no change": laravel("eyJpdiI6IkIifQ"), random: status(404, ""), "path /": status(404, "")},

		// Sites by Host.
		"one application, a brand by Host":         {"": page("", branded("Generic")), "Host shop.example": page("", branded("Shop")), impostor: page("", branded("Generic")), random: status(404, ""), "path /": typed("text/plain", "hi")},
		"a health path for the default site alone": {"": typed("text/plain", "ok"), "Host shop.example": status(404, ""), random: status(404, ""), "path /": status(404, "")},
		"the same site by name":                    {"": page("", "<title>Status</title>all fine"), "Host shop.example": page("", "<title>Status</title>all fine <b>today</b>"), random: status(404, "")},
		"the site by name is redirected":           {"": page("", "<title>Status</title>all fine"), "Host shop.example": status(301, "Location: https://shop.example/health\r\n"), random: status(404, "")},
		"the site by name hangs up":                {"": page("", "<title>Status</title>all fine"), "Host shop.example": "", random: status(404, "")},
		"another page for each Host":               {"": page("", "<title>A</title>10.0.0.5"), "Host shop.example": page("", "<title>B</title>"), impostor: page("", "<title>C</title>"), random: status(404, "")},
		"misdirected":                              {"": page("", "<title>A</title>long enough to be a page of a site"), "Host shop.example": status(421, ""), random: status(404, "")},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range s.doubts(t, alb, "shop.example") {
				t.Errorf("%s: %q, proof %q", d.Code, d.Evidence, d.Proof)
			}
		})
	}
	for name, c := range map[string]struct {
		plan   *probe.Plan
		server server
	}{
		"the front page of a site":            {planOf(triage.AWSALB, "/", ""), server{"": page("Set-Cookie: session=1\r\n", spaPage)}},
		"a login as the front page":           {planOf(triage.AWSALB, "/", ""), server{"": page("", loginForm)}},
		"a page for the kubelet":              {planOf(triage.Kubelet, "/", ""), server{"": page("", strings.Repeat("a site ", 1000))}},
		"HAProxy's OPTIONS":                   {planOf(triage.HAProxy, "/", ""), server{"": status(200, "Allow: GET\r\n")}},
		"HAProxy's OPTIONS of a health path":  {planOf(triage.HAProxy, "/health", ""), server{"": page("", ""), "method GET and path /": status(404, ""), "method GET and path /nonsense-path": status(404, "")}},
		"Vault, standing by":                  {planOf(triage.AWSALB, "/v1/sys/health", "200,429,473"), server{"": status(429, "")}},
		"304, which is no redirect":           {planOf(triage.HAProxy, "/health", ""), server{"": "HTTP/1.1 304 Not Modified\r\n\r\n", "method GET and path /": status(404, "")}},
		"Caddy's own empty 200, other routes": {planOf(triage.Caddy, "/health", ""), elsewhere(caddy200)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range c.server.doubts(t, c.plan, "shop.example") {
				t.Errorf("%s: %q, proof %q", d.Code, d.Evidence, d.Proof)
			}
		})
	}
}

// TestDoubts: what passes and means little, and that it is told once.
func TestDoubts(t *testing.T) {
	alb := planOf(triage.AWSALB, "/health", "")
	ok := typed("text/plain", "ok")
	for name, c := range map[string]struct {
		plan   *probe.Plan
		server server
		code   string
		proof  string
	}{
		"Spring, mapped to 200":    {alb, elsewhere(typed("application/json", `{"status":"DOWN"}`)), "body-says-down", ""},
		"a part is down":           {alb, elsewhere(typed("application/json", `{"status":"ok","database":"down"}`)), "body-says-down", ""},
		"a part of what says none": {alb, elsewhere(typed("application/json", `{"version":"1","redis":"unreachable"}`)), "body-says-down", ""},
		"a database with details":  {alb, elsewhere(typed("application/json", `{"status":"UP","components":{"db":{"status":"DOWN","details":{"error":"x"}}}}`)), "body-says-down", ""},
		"an error as status":       {alb, elsewhere(typed("application/json", `{"status":"error","message":"x"}`)), "body-says-down", ""},
		"not ok":                   {alb, elsewhere(typed("application/json", `{"ok":false}`)), "body-says-down", ""},
		"red Elasticsearch":        {alb, elsewhere(typed("application/json", `{"cluster_name":"a","status":"red"}`)), "body-says-down", ""},
		"GraphQL":                  {alb, elsewhere(typed("application/json", `{"errors":[{"message":"no database"}]}`)), "body-says-down", ""},
		"ASP.NET":                  {alb, elsewhere(typed("text/plain", "Degraded")), "body-says-down", ""},
		"a redirect":               {planOf(triage.HAProxy, "/health", ""), server{"": status(301, "Location: https://x/health\r\n")}, "redirect-counts-as-healthy", ""},
		"a redirect elsewhere":     {planOf(triage.Kubelet, "/health", ""), server{"": status(302, "Location: http://sso.example/login\r\n")}, "redirect-counts-as-healthy", ""},
		"404":                      {planOf(triage.AWSALB, "/health", "200-404"), server{"": status(404, "")}, "error-counts-as-healthy", ""},
		"Age":                      {alb, server{"": page("Age: 7\r\n", "ok"), "path /health?nonsense-path": ok, random: status(404, ""), "path /": status(404, "")}, "cached-answer", "200, and not from a cache"},
		"Varnish":                  {alb, elsewhere(page("Age: 0\r\nX-Varnish: 32775 32771\r\n", "ok")), "cached-answer", ""},
		"Squid":                    {alb, elsewhere(page("X-Cache: TCP_HIT from p\r\n", "ok")), "cached-answer", ""},
		"every path":               {alb, server{"": page("", spaPage)}, "catch-all-page", "path /nonsense-path: 200, with the same page"},
		"every path, with a token": {alb, server{"": page("", spaPage+"<meta content=abcdefgh12345678>"), random: page("", spaPage+"<meta content=ABCDEFGH87654321>")}, "catch-all-page", "same page"},
		"every path, by its tag":   {planOf(triage.HAProxy, "/health", ""), server{"": "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"6b-7f\"\r\nContent-Length: 127\r\n\r\n"}, "catch-all-page", "same page"},
		"nginx, as it comes":       {alb, server{"": page("", "<title>Welcome to nginx!</title>")}, "default-page", ""},
		"Apache, as it comes":      {alb, server{"": page("", "<html><body><h1>It works!</h1></body></html>\n")}, "default-page", ""},
		"a login":                  {alb, server{"": page("Set-Cookie: connect.sid=1\r\n", loginForm)}, "login-page-is-healthy", ""},
		"Caddy without a site":     {alb, server{"": caddy200}, "empty-200", "200 with nothing too"},
		"a dead application":       {alb, server{"": ok, "path /": nginxDown, random: nginxDown}, "proxy-answers-alone", "path /: 502"},
		"another marketing page":   {alb, server{"": page("", "<title>Hosting</title><h1>Parked</h1><p>This domain waits for its owner"), "Host shop.example": page("", "<title>Shop</title><nav class=menu>Shoes and hats for sale</nav><script src=/app.js></script>"), random: status(404, "")}, "default-vhost-answers", "another answer; with Host nonsense.invalid"},
		"Cloudflare's cache":       {alb, elsewhere(page("Server: cloudflare\r\nCF-Cache-Status: HIT\r\n", "ok")), "cached-answer", ""},
		"nginx's cache":            {alb, server{"": page("Server: nginx\r\nX-Cache: HIT\r\n", "ok"), "path /health?nonsense-path": page("Server: nginx\r\nX-Cache: MISS\r\n", "ok"), random: status(404, ""), "path /": status(404, "")}, "cached-answer", "200, and not from a cache"},
		"a dead front page":        {alb, server{"": ok, "path /": status(500, ""), random: status(404, "")}, "only-health-works", "path /: 500; for a path that nobody has: 404"},
		"another site, for all":    {alb, server{"": page("", "<title>Intranet</title>"), "Host shop.example": ok}, "default-vhost-answers", "Host shop.example: 200, another answer"},
		"another site, 404 there":  {alb, server{"": page("", "<title>Intranet</title>"), "Host shop.example": status(404, ""), random: status(404, "")}, "default-vhost-answers", "Host shop.example: 404"},
		"the site itself is down":  {alb, server{"": ok, "Host shop.example": nginxDown, random: status(404, ""), "path /": status(404, "")}, "default-vhost-answers", "Host shop.example: 502"},
		"no Host at all":           {planOf(triage.HAProxy, "/health", ""), server{"": page("", "ok"), "Host shop.example": status(500, ""), "method GET and path /": status(404, "")}, "default-vhost-answers", ""},
		"a session per check":      {alb, server{"": page("Set-Cookie: JSESSIONID=8A3FB6E71D0C49A5B2E6F7A8C9D0E1F2; Path=/\r\n", "ok"), "no change": page("Set-Cookie: JSESSIONID=1C2D3E4F5A6B7C8D9E0F1A2B3C4D5E6F; Path=/\r\n", "ok"), random: status(404, ""), "path /": status(404, "")}, "session-for-every-check", "another JSESSIONID"},
		"too much for the kubelet": {planOf(triage.Kubelet, "/", ""), server{"": page("", strings.Repeat("a long page ", 1000))}, "body-too-large-for-kubelet", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := c.server.doubts(t, c.plan, "shop.example")
			var said []string
			for _, d := range all {
				said = append(said, d.Code)
			}
			if !slices.Equal(said, []string{c.code}) {
				t.Fatalf("doubts %q, want %s alone", said, c.code)
			}
			d := all[0]
			if !strings.Contains(d.Proof, c.proof) || (c.proof != "") != (d.Certainty == triage.Proved) && name != "no Host at all" || len(d.Evidence) == 0 {
				t.Errorf("%s, proof %q, want %q; evidence %q", d.Certainty, d.Proof, c.proof, d.Evidence)
			}
			if strings.ContainsAny(d.Cause+d.Fix, "<>") {
				t.Errorf("a placeholder is left: %s\n%s", d.Cause, d.Fix)
			}
		})
	}
}

// TestChecksOfConnections: a tcp or tls check is doubted where the port answers HTTP, and nowhere else.
func TestChecksOfConnections(t *testing.T) {
	const alert = "\x15\x03\x01\x00\x02\x02\x46"
	ask := func(x *triage.Exchange, answers map[triage.Protocol]string) Asker {
		return func(_ context.Context, v dialect.Variation) *triage.Exchange {
			if v.Protocol == "" {
				return x
			}
			return exchange(plan, answers[v.Protocol]) // as over http: the alert of a TLS port, or what is inside TLS
		}
	}
	for name, c := range map[string]struct {
		outcome triage.Outcome
		port    uint16
		answers map[triage.Protocol]string
		proof   string // "" is silence
	}{
		"a site":            {triage.Connected, 8080, map[triage.Protocol]string{triage.HTTP: ok}, "over http: 200"},
		"a site that fails": {triage.Connected, 8080, map[triage.Protocol]string{triage.HTTP: status(500, "")}, "500 X, and the check passes"},
		"https":             {triage.Connected, 8443, map[triage.Protocol]string{triage.HTTP: alert, triage.HTTPS: ok}, "over https: 200"},
		"nginx with TLS":    {triage.Connected, 8443, map[triage.Protocol]string{triage.HTTP: typed("text/html", "The plain HTTP request was sent to HTTPS port"), triage.HTTPS: ok}, "over http"},
		"inside TLS":        {triage.Handshaken, 8443, map[triage.Protocol]string{triage.HTTPS: ok}, "over https: 200"},
		"a mail server":     {triage.Connected, 2525, map[triage.Protocol]string{triage.HTTP: "220 mail ESMTP\r\n"}, ""},
		"a silent one":      {triage.Connected, 7000, map[triage.Protocol]string{}, ""},
		"MySQL's port":      {triage.Connected, 3306, map[triage.Protocol]string{triage.HTTP: ok}, ""},
		"TLS without HTTP":  {triage.Handshaken, 8883, map[triage.Protocol]string{}, ""},

		// Who only speaks of HTTP has no page that a check could ask for.
		"MongoDB":                 {triage.Connected, 37017, map[triage.Protocol]string{triage.HTTP: typed("text/plain", "It looks like you are trying to access MongoDB over HTTP on the native driver port.\r\n")}, ""},
		"MongoDB, a shard":        {triage.Connected, 27018, map[triage.Protocol]string{triage.HTTP: ok}, ""},
		"a forward proxy":         {triage.Connected, 3128, map[triage.Protocol]string{triage.HTTP: status(400, "Server: squid\r\n")}, ""},
		"WebSockets alone":        {triage.Connected, 9001, map[triage.Protocol]string{triage.HTTP: status(426, "Upgrade: websocket\r\n")}, ""},
		"WebSockets, inside TLS":  {triage.Handshaken, 9001, map[triage.Protocol]string{triage.HTTPS: status(400, "")}, ""},
		"Tor":                     {triage.Connected, 9050, map[triage.Protocol]string{triage.HTTP: status(501, "")}, ""},
		"an API without a page /": {triage.Connected, 8080, map[triage.Protocol]string{triage.HTTP: status(404, "")}, "over http: 404"},
	} {
		t.Run(name, func(t *testing.T) {
			x := &triage.Exchange{Outcome: c.outcome, Timing: triage.NoTiming(), Address: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), c.port)}
			all := Doubt(context.Background(), x, Means{Ask: ask(x, c.answers)})
			if len(all) != min(len(c.proof), 1) {
				t.Fatalf("%d doubts", len(all))
			}
			if c.proof != "" && (all[0].Code != "tcp-check-on-http-port" || !strings.Contains(all[0].Proof, c.proof)) {
				t.Errorf("%s: %s, want %q", all[0].Code, all[0].Proof, c.proof)
			}
		})
	}
	x := &triage.Exchange{Outcome: triage.Connected, Timing: triage.NoTiming(), Address: netip.MustParseAddrPort("10.0.0.5:80")}
	if all := Doubt(context.Background(), x, Means{}); len(all) != 0 {
		t.Errorf("without a question: %s", all[0].Code)
	}
}

// TestEndOfACertificate: a certificate is spoken of when who renews them should have done so, however long it lives.
func TestEndOfACertificate(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		age, left time.Duration
		says      string
	}{
		"a year, half over":      {180 * day, 185 * day, ""},
		"a year, a month left":   {335 * day, 30 * day, ""},
		"a year, ten days left":  {355 * day, 10*day + time.Hour, "expires in 10 days"},
		"90 days, 20 left":       {70 * day, 20 * day, ""},
		"90 days, 5 left":        {85 * day, 5*day + time.Hour, "expires in 5 days"},
		"6 days, new":            {time.Hour, 6 * day, ""},
		"6 days, a third left":   {4 * day, 2 * day, ""},
		"a day, 8 hours left":    {16 * time.Hour, 8 * time.Hour, ""},
		"a day, an hour left":    {23 * time.Hour, time.Hour + time.Minute, "expires in 1 hours"},
		"over since an hour":     {90 * day, -time.Hour, "has expired"},
		"over since three weeks": {90 * day, -21 * day, "expired 21 days ago"},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange(plan, ok)
			x.Started, x.TLS = now, &triage.TLSFacts{Subject: "CN=a", NotBefore: now.Add(-c.age), NotAfter: now.Add(c.left)}
			all := Doubt(context.Background(), x, Means{})
			if len(all) != min(len(c.says), 1) {
				t.Fatalf("%d doubts", len(all))
			}
			if c.says != "" && (all[0].Code != "certificate-expires" || !strings.Contains(all[0].Cause, c.says)) {
				t.Errorf("%s: %s, want %q", all[0].Code, all[0].Cause, c.says)
			}
		})
	}
}

// TestUnimplementedPasses: the method that no server has is told from the health service.
func TestUnimplementedPasses(t *testing.T) {
	x := func(code int) *triage.Exchange {
		return &triage.Exchange{Outcome: triage.Matched, Status: code, GRPC: &triage.GRPCFacts{Status: code}, Timing: triage.NoTiming()}
	}
	ask := func(_ context.Context, v dialect.Variation) *triage.Exchange {
		if v == (dialect.Variation{Again: v.Again}) {
			return x(12)
		}
		if v.Path != dialect.HealthMethod {
			t.Errorf("asked %s", v)
		}
		return x(0)
	}
	all := Doubt(context.Background(), x(12), Means{Ask: ask})
	if len(all) != 1 || all[0].Code != "grpc-unimplemented-passes" || !strings.Contains(all[0].Proof, "Health/Check: 0 OK") {
		t.Errorf("%+v", all)
	}
	if all := Doubt(context.Background(), x(0), Means{Ask: ask}); len(all) != 0 {
		t.Errorf("0 is doubted: %s", all[0].Code)
	}
}

// TestTitlesOfLogins: a login is a phrase of its own in the title of a page or in its path.
func TestTitlesOfLogins(t *testing.T) {
	for title, want := range map[string]bool{
		"Log in": true, "Sign in · GitLab": true, "Log in | Django site admin": true, "Please sign in": true, "Login - Grafana": true, "Log In ‹ Shop": true,
		"Sign in to your account": true, "Anmeldung": true, "Connexion": true, "Admin-Login": true, "SignIn": true,
		"Catalog in English": false, "Blogging for everyone": false, "Change log in detail": false, "Weblogin_in": false, "Design in wood": false, "Analog on tape": false,
	} {
		if loginTitle.MatchString(title) != want {
			t.Errorf("title %q: want %v", title, want)
		}
	}
	for path, want := range map[string]bool{
		"/login": true, "/users/sign_in": true, "/wp-login.php": true, "/user_login": true, "/accounts/login/": true, "/log-in": true,
		"/catalog-in-english": false, "/blog_in": false, "/log-in-depth": false, "/health": false,
	} {
		if loginPath.MatchString(path) != want {
			t.Errorf("path %q: want %v", path, want)
		}
	}
}
