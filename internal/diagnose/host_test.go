package diagnose

import (
	"context"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestServerThatFailsNowAndThen: what passes with one name and fails with another may be chance, as the check itself shows
// when it is asked again.
func TestServerThatFailsNowAndThen(t *testing.T) {
	for name, answer := range map[string]string{"a code": bare403, "a page that is not there": bare404, "nothing": ""} {
		ask := func(_ context.Context, v dialect.Variation) *triage.Exchange {
			if v.Host == "shop.example" || v.Again == 2 {
				return exchange(plan.Vary(v), ok)
			}
			return exchange(plan.Vary(v), answer)
		}
		d := Ask(context.Background(), exchange(plan, answer), Means{Ask: ask, Hosts: []string{"shop.example"}})
		if d.Stage == string(StageHost) || len(d.Asked) > MaxQuestions {
			t.Errorf("%s: %s, asked %q", name, d.Code, d.Asked)
		}
	}
}

const (
	unknownHost = "Host nonsense.invalid"

	rails403 = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 0\r\n\r\n"
	nginx403 = "HTTP/1.1 403 Forbidden\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
		"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
	apache403 = "HTTP/1.1 403 Forbidden\r\nServer: Apache/2.4.71 (Debian)\r\nConnection: close\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n" +
		"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html><head>\n<title>403 Forbidden</title>\n</head><body>\n<h1>Forbidden</h1>\n<p>You don't have permission to access this resource.</p>\n</body></html>\n"
	bare403      = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	starlette400 = "HTTP/1.1 400 Bad Request\r\nserver: uvicorn\r\ncontent-length: 19\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nInvalid host header"
	flask400     = "HTTP/1.1 400 BAD REQUEST\r\nServer: gunicorn\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n" +
		"<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n<p>Host &#39;127.0.1.13:20000&#39; is not trusted.</p>"
	httpSys400 = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=us-ascii\r\nServer: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\n\r\n" +
		"<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD>\r\n<BODY><h2>Bad Request - Invalid Hostname</h2>\r\n<hr><p>HTTP Error 400. The request hostname is invalid.</p>\r\n</BODY></HTML>\r\n"
	symfony400 = "HTTP/1.1 400 Bad Request\r\nX-Powered-By: PHP/8.2.36\r\nContent-Type: text/html; charset=UTF-8\r\nConnection: close\r\n\r\n" +
		"<div class=\"container\">\n    <h1>Oops! An Error Occurred</h1>\n    <h2>The server returned a \"400 Bad Request\".</h2>\n</div>"
	symfonyDebug = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=UTF-8\r\nConnection: close\r\n\r\n" +
		"<!-- Untrusted Host &quot;127.0.1.13&quot;. (400 Bad Request) -->\n<!DOCTYPE html>"
	drupal400   = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 52\r\n\r\nThe provided host name is not valid for this server."
	homepage400 = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
		`{"error":"Host validation failed. See logs for more details."}`
	vite403 = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
		"Blocked request. This host (\"web1\") is not allowed.\nTo allow this host, add \"web1\" to `preview.allowedHosts` in vite.config.js."
	webpack403 = "HTTP/1.1 403 Forbidden\r\nX-Powered-By: Express\r\nContent-Length: 19\r\n\r\nInvalid Host header"
	mcp403     = "HTTP/1.1 403 Forbidden\r\nX-Powered-By: Express\r\nContent-Type: application/json; charset=utf-8\r\nConnection: close\r\n\r\n" +
		`{"jsonrpc":"2.0","error":{"code":-32000,"message":"Invalid Host: 127.0.1.13"},"id":null}`
	mcp421      = "HTTP/1.1 421 Misdirected Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 19\r\n\r\nInvalid Host header"
	badHost500  = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 9\r\n\r\nBad Host\n"
	djangoDebug = "HTTP/1.1 400 Bad Request\r\nServer: gunicorn\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n  <title>DisallowedHost\n          at /health_check</title>"
	tomcat400 = "HTTP/1.1 400 \r\nContent-Type: text/html;charset=utf-8\r\nConnection: close\r\n\r\n" +
		"<h1>HTTP Status 400 – Bad Request</h1><p><b>Message</b> The character [_] is never valid in a domain name.</p>"
	django400 = "HTTP/1.1 400 Bad Request\r\nServer: gunicorn\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
		"\n<!doctype html>\n<html lang=\"en\">\n<body>\n  <h1>Bad Request (400)</h1><p></p>\n</body>\n</html>\n"
)

func TestRefusedHosts(t *testing.T) {
	alb := asking(triage.AWSALB, "")
	shop := []string{"shop.example"}
	known := func(answer string) testSite {
		return testSite{alb, shop, map[string]string{"": answer, "Host shop.example": ok}}
	}
	const public = "Host shop.example: 200"
	for name, c := range map[string]struct {
		site testSite
		want expectation
	}{
		"Starlette": {known(starlette400), expectation{"host-not-allowed", triage.Proved, `Starlette refuses Host "127.0.1.13:20000" (TrustedHostMiddleware)`, public, `Route("/health_check", health)`}},
		"Flask":     {known(flask400), expectation{"host-not-allowed", triage.Proved, "Flask refuses Host", public, "get_host(request.environ, HOSTS)"}},
		"http.sys":  {known(httpSys400), expectation{"host-not-allowed", triage.Proved, "http.sys, refuses Host", public, "UseHostFiltering"}},
		"Symfony in production": {known(symfony400),
			expectation{"host-not-allowed", triage.Proved, "the application refuses Host", public + "; with Host nonsense.invalid, which nobody has: 400", "trusted_hosts"}},
		"Symfony in development":    {known(symfonyDebug), expectation{"host-not-allowed", triage.Proved, "Symfony refuses Host", public, "trusted_hosts"}},
		"Drupal":                    {known(drupal400), expectation{"host-not-allowed", triage.Proved, "Drupal refuses Host", public, "trusted_host_patterns"}},
		"Homepage":                  {known(homepage400), expectation{"host-not-allowed", triage.Proved, "Homepage refuses Host", public, "HOMEPAGE_ALLOWED_HOSTS=shop.example,127.0.1.13:20000"}},
		"Vite":                      {known(vite403), expectation{"host-not-allowed", triage.Proved, "server of Vite refuses Host", public, "allowedHosts"}},
		"webpack":                   {known(webpack403), expectation{"host-not-allowed", triage.Proved, "webpack-dev-server refuses Host", public, "allowedHosts"}},
		"an MCP server":             {known(mcp403), expectation{"host-not-allowed", triage.Proved, "guard of an MCP server refuses Host", public, "above the guard"}},
		"an MCP server in Python":   {known(mcp421), expectation{"host-not-allowed", triage.Proved, "guard of an MCP server refuses Host", public, "above the guard"}},
		"a program in Go":           {known(badHost500), expectation{"host-not-allowed", triage.Proved, "host check", public, "outside the handler"}},
		"Django in development":     {known(djangoDebug), expectation{"host-not-allowed", triage.Proved, "Django refuses Host", public, "ALLOWED_HOSTS.append"}},
		"Rails":                     {known(rails403), expectation{"host-not-allowed", triage.Proved, "the application refuses Host", public + "; with Host nonsense", "if it is Rails, in config/environments/production.rb"}},
		"a 403 that says nothing":   {known(bare403), expectation{"host-not-allowed", triage.Proved, "the application refuses Host", public, "before the Host is checked"}},
		"no public name is known":   {testSite{alb, nil, map[string]string{"": starlette400}}, expectation{"host-not-allowed", triage.Likely, "Starlette", "none yet: Host localhost is refused too. Ask again with --public-host and a name from TrustedHostMiddleware", "Route"}},
		"two public names, no more": {testSite{alb, []string{"a.example", "b.example", "c.example"}, map[string]string{"": bare400, "Host c.example": ok}}, expectation{}},
		"an address as such is refused": {
			testSite{alb, shop, map[string]string{"": bare403, "Host shop.example": ok, unknownHost: ok, "Host 127.0.0.1": bare403}},
			expectation{"host-not-allowed", triage.Proved, "the application refuses Host", "and so with any name; with Host 127.0.0.1, an address as well: 403", "machine's own address"}},
		"it was chance": {
			testSite{alb, shop, map[string]string{"": bare403, "Host shop.example": ok, unknownHost: ok, "Host 127.0.0.1": ok}},
			expectation{}},
		"it fails in another way now": {
			testSite{alb, shop, map[string]string{"": bare403, "Host shop.example": ok, unknownHost: bare400}},
			expectation{}},
		"Django refuses the site's own name too: another bad request": {
			testSite{alb, shop, map[string]string{"": django400}}, expectation{}},
		"Django refuses this path alone: another bad request": {
			testSite{alb, nil, map[string]string{"": django400, "path /": ok}}, expectation{}},
		"a limit in between says nothing of the path": {
			testSite{alb, nil, map[string]string{"": django400, "path /": "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"}},
			expectation{"host-not-allowed", triage.Likely, "Django refuses Host", "none yet", "ALLOWED_HOSTS.append"}},
		"a list that wants the port": {
			testSite{alb, nil, map[string]string{"": bare403, "Host localhost:20000": ok}},
			expectation{"host-not-allowed", triage.Proved, "the application refuses Host", "Host localhost:20000: 200", "machine's own address"}},
		"Django's words for a refused Host stay, whatever else is refused": {
			testSite{alb, shop, map[string]string{"": djangoDebug}},
			expectation{"host-not-allowed", triage.Likely, "Django refuses Host", "none yet", "ALLOWED_HOSTS.append"}},
		"the default site of nginx refuses, not the application": {
			known(nginx403), expectation{"host-not-routed", triage.Proved, "default server block, which refuses the request", "which nobody has: 403", "default_server"}},
		"the first site of Apache refuses, not the application": {
			known(apache403), expectation{"host-not-routed", triage.Proved, "first VirtualHost, which refuses the request", "which nobody has: 403", "VirtualHost"}},
		"somebody's page behind nginx refuses": {
			known("HTTP/1.1 403 Forbidden\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\n<h1>no</h1>"), expectation{}},
		"a rule of nginx against addresses": {
			testSite{alb, shop, map[string]string{"": nginx403, "Host shop.example": ok, unknownHost: ok, "Host 127.0.0.1": nginx403}},
			expectation{"host-not-allowed", triage.Proved, "a rule of nginx refuses Host", "an address as well: 403", "machine's own address"}},
		"each Host is refused": {testSite{alb, shop, map[string]string{"": bare400}}, expectation{}},
		"an error of the application": {
			testSite{alb, shop, map[string]string{"": "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "Host shop.example": ok}},
			expectation{}},
		"the same words with another code": {
			testSite{alb, shop, map[string]string{"": strings.Replace(starlette400, "400 Bad Request", "500 Error", 1)}},
			expectation{}},

		"Tomcat, of an underscore": {
			testSite{asking(triage.Traefik, "web_1:8080"), shop, map[string]string{"": tomcat400, "Host web-1:8080": ok}},
			expectation{"host-underscore", triage.Proved, `Host "web_1:8080" has an underscore`, "Host web-1:8080: 200", "without underscores"}},
		"Django, of an underscore": {
			testSite{asking(triage.Kubelet, "web_1"), shop, map[string]string{"": django400, "Host shop.example": ok}},
			expectation{"host-underscore", triage.Likely, "has an underscore", "", "without underscores"}},
		"somebody, of an underscore or of the name": {
			testSite{asking(triage.Envoy, "web_1"), shop, map[string]string{"": bare400, "Host shop.example": ok}},
			expectation{}},
		"Vite, of a name with an underscore": {
			testSite{asking(triage.Consul, "web_1"), shop, map[string]string{"": vite403, "Host shop.example": ok}},
			expectation{"host-not-allowed", triage.Proved, `Vite refuses Host "web_1"`, public, "allowedHosts"}},
	} {
		t.Run(name, func(t *testing.T) { c.want.check(t, c.site.diagnose()) })
	}
}

// TestCureOfTheChecker: where a load balancer can be told which Host to send, that comes first; AWS's cannot, and nobody
// else is told to ask AWS's metadata service.
func TestCureOfTheChecker(t *testing.T) {
	for as, want := range map[triage.Dialect]string{
		triage.AWSALB: "settings.py", triage.AWSCLB: "settings.py", triage.AzureLB: "a middleware, first of all", triage.DigitalOcean: "a middleware",
		triage.Own: "in triage's config, in the group's health_check:\n    host: shop.example\nor\na middleware", triage.GCP: "--host=shop.example",
		triage.Kubelet: "httpHeaders:\n      - {name: Host, value: shop.example}", triage.HAProxy: "http-check send hdr Host shop.example",
		triage.Envoy: "http_health_check: { path: /health_check, host: shop.example }", triage.Traefik: "hostname: shop.example",
		triage.AzureAppGW: "host = shop.example", triage.Blackbox: "headers: {Host: shop.example}",
	} {
		t.Run(string(as), func(t *testing.T) {
			d := testSite{asking(as, ""), []string{"shop.example"}, map[string]string{"": django400, "Host shop.example": ok}}.diagnose()
			if d.Code != "host-not-allowed" || !strings.Contains(d.Fix, want) {
				t.Errorf("%s, fix %q, want %q", d.Code, d.Fix, want)
			}
			aws := as == triage.AWSALB || as == triage.AWSCLB
			if strings.Contains(d.Fix, "169.254.169.254") != aws {
				t.Errorf("the fix for a check by %s: %s", as, d.Fix)
			}
		})
	}
}

// TestWhereTheHostComesFrom: a Host that is nobody's name is said to be what it is.
func TestWhereTheHostComesFrom(t *testing.T) {
	for _, c := range []struct {
		as          triage.Dialect
		host, cause string
	}{
		{triage.AWSALB, "", `refuses Host "127.0.1.13:20000" (`},
		{triage.Kubelet, "", `refuses Host "127.0.1.13:20000" (`},
		{triage.Envoy, "webcluster", `refuses Host "webcluster", which is Envoy's name for the cluster unless the check sets one (`},
		{triage.Envoy, "old.example", `refuses Host "old.example" (`},
		{triage.AzureAppGW, "", `refuses Host "127.0.0.1", as every probe of Application Gateway does that sets none (`},
		{triage.HAProxy, "", "refuses a request without Host"},
	} {
		d := testSite{asking(c.as, c.host), []string{"shop.example"}, map[string]string{"": django400, "Host shop.example": ok}}.diagnose()
		if !strings.Contains(d.Cause, c.cause) {
			t.Errorf("%s: %s, want %s", c.as, d.Cause, c.cause)
		}
	}
}

// TestRefusedOverTLS: there, 400 and 421 may be about the server name of the handshake, which a Host that fits it may please
// as well.
func TestRefusedOverTLS(t *testing.T) {
	for answer, want := range map[string]weight{bare400: none, bare403: possible, starlette400: sure} {
		x := exchange(asking(triage.AWSALB, ""), answer)
		x.Timing[triage.PhaseTLS] = 0
		if got := matchRefused(newCase(x)).weight; got != want {
			t.Errorf("%q: %d, want %d", answer, got, want)
		}
	}
}
