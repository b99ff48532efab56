package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// asking is a load balancer's check of /health_check, with a Host of its own unless host is "".
func asking(as triage.Dialect, host string) *probe.Plan {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path, c.Host = triage.HTTP, "/health_check", host
	return probe.Compile(dialect.Get(as), c)
}

// askingFor is a check of AWS's for another path.
func askingFor(path string) *probe.Plan {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path = triage.HTTP, path
	return probe.Compile(dialect.Get(triage.AWSALB), c)
}

// testSite answers a check and its second questions, by the question's words; "" stands for everything else.
type testSite struct {
	plan    *probe.Plan
	hosts   []string // public ones
	answers map[string]string
}

func (s testSite) diagnose() *triage.Diagnosis {
	answer := func(v dialect.Variation) *triage.Exchange {
		text, known := s.answers[v.String()]
		if !known {
			text = s.answers[""]
		}
		x := exchange(s.plan.Vary(v), text)
		x.Dialect = s.plan.Dialect.Name
		return x
	}
	ask := func(_ context.Context, v dialect.Variation) *triage.Exchange { return answer(v) }
	return Ask(context.Background(), answer(dialect.Variation{}), Means{Ask: ask, Hosts: s.hosts})
}

// expectation is what must be said of a site. The zero value: nothing about its redirects or its hosts.
type expectation struct {
	code      string
	certainty triage.Certainty
	cause     string // this is in the cause, and so on
	proof     string
	fix       string
}

func (want expectation) check(t *testing.T, d *triage.Diagnosis) {
	t.Helper()
	if want.code == "" {
		if d.Stage == string(StageRedirect) || d.Stage == string(StageHost) {
			t.Errorf("%s, %s: %s (%s)", d.Code, d.Certainty, d.Cause, d.Proof)
		}
		return
	}
	if d.Code != want.code || d.Certainty != want.certainty {
		t.Errorf("%s, %s, asked %q; want %s, %s", d.Code, d.Certainty, d.Asked, want.code, want.certainty)
	}
	for what, pair := range map[string][2]string{"cause": {d.Cause, want.cause}, "proof": {d.Proof, want.proof}, "fix": {d.Fix, want.fix}} {
		if !strings.Contains(pair[0], pair[1]) || pair[1] == "" && pair[0] != "" {
			t.Errorf("%s %q, want %q", what, pair[0], pair[1])
		}
	}
	for line := range strings.SplitSeq(d.Fix, "\n") {
		if len(line) > 69 {
			t.Errorf("a line of the fix has %d columns: %s", len(line), line)
		}
	}
}

// redirecting is an answer as many programs write it: without content, or with one of their own.
func redirecting(status int, location string, body ...string) string {
	text := strings.Join(body, "")
	return fmt.Sprintf("HTTP/1.1 %d Moved\r\nContent-Type: text/html\r\nLocation: %s\r\nContent-Length: %d\r\n\r\n%s", status, location, len(text), text)
}

func withField(header, answer string) string {
	return strings.Replace(answer, "\r\n", "\r\n"+header+"\r\n", 1)
}

const (
	checked   = "127.0.1.13:20000"
	forwarded = "X-Forwarded-Proto: https"
	bare404   = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

	apachePage  = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<p>The document has moved <a href=\"x\">here</a>.</p>\n"
	expressPage = "Moved Permanently. Redirecting to https://127.0.1.13:20000/health_check"
)

func TestRedirects(t *testing.T) {
	const public = "Host shop.example"
	alb, shop := asking(triage.AWSALB, ""), []string{"shop.example"}
	for name, c := range map[string]struct {
		site testSite
		want expectation
	}{
		"Apache redirects to https": {
			testSite{answers: map[string]string{"": redirecting(301, "https://127.0.1.13/health_check", apachePage), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "Apache redirects plain http to https", "https: 200", "RewriteCond %{REQUEST_URI} !=/health_check"},
		},
		"Express redirects to https": {
			testSite{answers: map[string]string{"": redirecting(301, "https://"+checked+"/health_check", expressPage), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "the Express application redirects", "200", `app.get("/health_check"`},
		},
		"Starlette redirects to https": {
			testSite{answers: map[string]string{"": withField("server: uvicorn", redirecting(307, "https://"+checked+"/health_check")), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "the application redirects", "200", `Route("/health_check", health)`},
		},
		"to https at the site's name, for whoever has not come over TLS": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/health_check"), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "redirects plain http to https", "200", "answer /health_check"},
		},
		"to https at the site's name, for whoever does not know that name": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/health_check"), "Host shop.example": ok}},
			expectation{"redirect-to-host", triage.Proved, `Host "127.0.1.13:20000" on to shop.example`, "Host shop.example: 200", "site's name"},
		},
		"to https at the site's name, for both reasons": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/health_check"), "Host shop.example and " + forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "redirects plain http to https", "Host shop.example and X-Forwarded-Proto: https: 200", "answer"},
		},
		"to https at the site's name, whatever is said": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/health_check")}},
			expectation{"redirect-to-https", triage.Likely, "redirects plain http to https", "unconditional", "answer"},
		},
		"Apache redirects to www": {
			testSite{answers: map[string]string{"": withField("Server: Apache/2.4.71 (Debian)", redirecting(301, "http://www.shop.example/health_check", apachePage)), "Host www.shop.example": ok}},
			expectation{"redirect-to-host", triage.Proved, "on to www.shop.example", "Host www.shop.example: 200", "RewriteCond"},
		},
		"the leader is elsewhere": {
			testSite{answers: map[string]string{"": redirecting(307, "http://10.0.0.2:8080/health_check")}}, expectation{},
		},
		"the leader is elsewhere, over https": {
			testSite{answers: map[string]string{"": redirecting(307, "https://10.0.0.2:8443/health_check")}}, expectation{},
		},
		"a node is elsewhere, over https": {
			testSite{answers: map[string]string{"": redirecting(307, "https://node-2.internal:8443/health_check")}}, expectation{},
		},
		"a mirror for this part of the world": {
			testSite{answers: map[string]string{"": redirecting(302, "http://eu.shop.example/health_check")}}, expectation{},
		},
		"a page of refusal, over https": {
			testSite{answers: map[string]string{"": redirecting(302, "https://"+checked+"/blocked?why=geo")}}, expectation{},
		},
		"another port, over https": {
			testSite{answers: map[string]string{"": redirecting(302, "https://127.0.1.13:8443/health_check")}},
			expectation{"redirect-to-https", triage.Likely, "redirects plain http to https", "unconditional", "answer /health_check"},
		},
		"to https for unknown names": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(301, "https://"+checked+"/health_check"), public: ok}},
			expectation{"host-not-routed", triage.Proved, "chooses site or route by Host", public + ": 200", "let the site for unknown names answer"},
		},
		"a loop for unknown names": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(302, "/health_check"), public: ok}},
			expectation{"host-not-routed", triage.Proved, "chooses site or route by Host", public + ": 200", "let the site for unknown names answer"},
		},
		"triage itself can be told the name": {
			testSite{plan: asking(triage.Own, ""), answers: map[string]string{"": redirecting(301, "http://www.shop.example/health_check"), "Host www.shop.example": ok}},
			expectation{"redirect-to-host", triage.Proved, "on to www.shop.example", "200", "    host: www.shop.example\nor\n"},
		},
		"Django puts www before an address": {
			testSite{answers: map[string]string{"": withField("Server: gunicorn", redirecting(301, "http://www."+checked+"/health_check")), "Host www." + checked: bare400}},
			expectation{"redirect-to-host", triage.Likely, "puts www. before every name", "", "site's name"},
		},
		"WordPress has no site of that name": {
			testSite{hosts: []string{"shop.example"}, answers: map[string]string{
				"": withField("X-Redirect-By: WordPress", redirecting(302, "http://shop.example/wp-signup.php?new=127.0.1.13")), "Host shop.example": ok}},
			expectation{"redirect-to-host", triage.Proved, "on to shop.example", "200", "$_SERVER['HTTP_HOST'] = 'shop.example';"},
		},
		"another page of another host, and no proof": {
			testSite{answers: map[string]string{"": redirecting(302, "http://parked.example/for-sale")}},
			expectation{},
		},
		"Flask wants a slash": {
			testSite{answers: map[string]string{"": redirecting(308, "http://"+checked+"/health_check/"), "path /health_check/": ok}},
			expectation{"redirect-slash", triage.Proved, "the page is at /health_check/, and the check asks for /health_check", "path /health_check/: 200", "ask for /health_check/, exactly so"},
		},
		"Go wants a slash, and the page behind it a login": {
			testSite{answers: map[string]string{"": redirecting(307, "/health_check/"), "path /health_check/": "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"}},
			expectation{"redirect-slash", triage.Proved, "/health_check/", "401, no longer this redirect", "/health_check/"},
		},
		"a slash, and then nothing": {
			testSite{answers: map[string]string{"": redirecting(301, "/health_check/"), "path /health_check/": bare404}},
			expectation{},
		},
		"a slash, and back": {
			testSite{answers: map[string]string{"": redirecting(301, "/health_check/"), "path /health_check/": redirecting(301, "/health_check")}},
			expectation{},
		},
		"a slash for unknown names": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(302, "/health_check/"), public: ok}},
			expectation{"host-not-routed", triage.Proved, "chooses site or route by Host", "which nobody has: 302", "let the site for unknown names answer"},
		},
		"nginx shows its inner port": {
			testSite{answers: map[string]string{"": withField("Server: nginx/1.22.1", redirecting(301, "http://127.0.1.13:8081/health_check/")), "path /health_check/": ok}},
			expectation{"redirect-slash", triage.Proved, "inner port 8081", "200", "absolute_redirect off;"},
		},
		"a login before everything": {
			testSite{answers: map[string]string{"": redirecting(302, "/accounts/login/?next=/health_check")}},
			expectation{"redirect-to-login", triage.Proved, "wants a login for /health_check", "to the same page", "answer without a login"},
		},
		"a login for unknown names": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(302, "/login"), public: ok}},
			expectation{"host-not-routed", triage.Proved, "chooses site or route by Host", public + ": 200", "let the site for unknown names answer"},
		},
		"a login for each name but localhost": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(302, "/login"), "Host localhost": ok}},
			expectation{"redirect-to-login", triage.Proved, "wants a login", "to the same page", "answer without a login"},
		},
		"a login at somebody else's, over https": {
			testSite{answers: map[string]string{"": redirecting(302, "https://id.example/tenant/oauth2/v2.0/authorize?client_id=1"), "path /health_check-nonsense": bare404}},
			expectation{"redirect-to-login", triage.Likely, "wants a login", "", "answer without a login"},
		},
		"a login at Auth0 is not a redirect to https": {
			testSite{answers: map[string]string{"": redirecting(302, "https://tenant.auth0.com/authorize?client_id=1&redirect_uri=http%3A%2F%2Fshop.example%2Fcallback")}},
			expectation{"redirect-to-login", triage.Proved, "wants a login for /health_check", "to the same page", "answer without a login"},
		},
		"a login at Authelia is not a redirect to https": {
			testSite{answers: map[string]string{"": redirecting(302, "https://auth.example.com/?rd=http%3A%2F%2F127.0.1.13%2Fhealth_check&rm=GET")}},
			expectation{"redirect-to-login", triage.Proved, "wants a login for /health_check", "to the same page", "answer without a login"},
		},
		"a redirect to https keeps a query that has such a key": {
			testSite{plan: askingFor("/health_check?rd=1"), answers: map[string]string{"": redirecting(301, "https://"+checked+"/health_check?rd=1"), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "redirects plain http to https", "200", "answer"},
		},
		"a page elsewhere is not a redirect to https, though it has TLS": {
			testSite{answers: map[string]string{"": redirecting(302, "https://status.example/down.html")}},
			expectation{},
		},
		"to https at the site's front page": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/"), forwarded: ok}},
			expectation{"redirect-to-https", triage.Proved, "redirects plain http to https", "https: 200", "answer"},
		},
		"a limit in between is no proof that it was the scheme": {
			testSite{answers: map[string]string{"": redirecting(301, "https://"+checked+"/health_check"), forwarded: "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"}},
			expectation{"redirect-to-https", triage.Likely, "redirects plain http to https", "", "answer"},
		},
		"a server in trouble is no proof that it was the scheme": {
			testSite{answers: map[string]string{"": redirecting(301, "https://"+checked+"/health_check"), forwarded: busy503}},
			expectation{"redirect-to-https", triage.Likely, "redirects plain http to https", "", "answer"},
		},
		"a server in trouble is no proof against it either": {
			testSite{answers: map[string]string{"": redirecting(301, "https://shop.example/health_check"), "Host shop.example": busy503}},
			expectation{"redirect-to-https", triage.Likely, "redirects plain http to https", "unconditional", "answer"},
		},
		"a name that is misdirected is no proof that it was the name": {
			testSite{answers: map[string]string{"": redirecting(302, "http://parked.example/for-sale"),
				"Host parked.example": "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n"}},
			expectation{},
		},
		"a server in trouble is no proof that it was the name": {
			testSite{answers: map[string]string{"": redirecting(302, "http://parked.example/for-sale"), "Host parked.example": busy503}},
			expectation{},
		},
		"a page that tests for cookies is no loop for everybody": {
			testSite{answers: map[string]string{"": withField("Set-Cookie: test=1", redirecting(302, "/health_check"))}},
			expectation{"redirect-loop", triage.Likely, "whoever keeps no cookies never arrives", "", "above what looks for cookies"},
		},
		"a first set-up": {
			testSite{answers: map[string]string{"": redirecting(303, "/install")}},
			expectation{"redirect-to-setup", triage.Proved, "as one does that is not set up", "nothing else is served", "see what is at /install"},
		},
		"a set-up for unknown names": {
			testSite{hosts: shop, answers: map[string]string{"": redirecting(303, "/install"), public: ok}},
			expectation{"host-not-routed", triage.Proved, "chooses site or route by Host", public + ": 200", "let the site for unknown names answer"},
		},
		"a page that happens to be called so": {
			testSite{answers: map[string]string{"": redirecting(303, "/install"), "path /health_check-nonsense": bare404}},
			expectation{},
		},
		"a page that redirects to itself": {
			testSite{answers: map[string]string{"": redirecting(302, "http://"+checked+"/health_check")}},
			expectation{"redirect-loop", triage.Likely, "/health_check redirects to itself", "", "answer by itself"},
		},
		"another page of the same site": {
			testSite{answers: map[string]string{"": redirecting(302, "/en/health_check")}},
			expectation{},
		},
		"another port of the same site": {
			testSite{answers: map[string]string{"": redirecting(302, "http://127.0.1.13:8081/health_check")}},
			expectation{},
		},
		"a redirect that leads nowhere": {
			testSite{answers: map[string]string{"": "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}},
			expectation{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.site.plan == nil {
				c.site.plan = alb
			}
			c.want.check(t, c.site.diagnose())
		})
	}
}

// TestRedirectsThatWereFollowed: what ends a check of a load balancer that goes after redirects.
func TestRedirectsThatWereFollowed(t *testing.T) {
	chain := func(format string, n int) (urls []string) {
		for i := range n {
			urls = append(urls, fmt.Sprintf(format, i))
		}
		return urls
	}
	for name, c := range map[string]struct {
		location  string
		followed  []string
		code      string
		certainty triage.Certainty
	}{
		"to and fro":                {"http://a/x", []string{"https://a/x", "http://a/x", "https://a/x", "http://a/x"}, "redirect-loop", triage.Likely},
		"on and on":                 {"http://a/9", chain("http://a/%d", longChain), "redirect-loop", triage.Likely},
		"a scheme that is not http": {"app://open", nil, "redirect-broken", triage.Likely},
		"no host":                   {"http:///x", nil, "redirect-broken", triage.Likely},
		"no URL":                    {"http://a:b:c/%zz", nil, "redirect-broken", triage.Likely},
		"for a reason not known":    {"http://a/x", []string{"http://a/y"}, Undiagnosed, triage.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			x := exchange(asking(triage.AWSALB, ""), redirecting(302, c.location))
			x.Outcome, x.Redirects = triage.RedirectFailed, c.followed
			d := Look(x)
			if d.Code != c.code || d.Certainty != c.certainty {
				t.Errorf("%s, %s, want %s, %s", d.Code, d.Certainty, c.code, c.certainty)
			}
			if strings.Contains(d.Cause, "TLS has ended") != (name == "to and fro") {
				t.Errorf("cause %q", d.Cause)
			}
		})
	}
	elsewhere := exchange(asking(triage.AWSALB, ""), redirecting(302, "http://b/x"))
	elsewhere.Outcome = triage.RedirectElsewhere
	if d := Look(elsewhere); d != nil {
		t.Errorf("a redirect that is nobody's fault was diagnosed as %s", d.Code)
	}
}

// TestRedirectThatIsFollowedToTLS: a kubelet follows to where nobody speaks TLS. Its check is plain, and stays so.
func TestRedirectThatIsFollowedToTLS(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := closed.Addr().String()
	closed.Close()
	to := func(host string, unless bool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if unless && r.Header.Get("X-Forwarded-Proto") == "https" {
				return
			}
			http.Redirect(w, r, "https://"+cmp.Or(host, r.Host)+r.URL.Path, http.StatusMovedPermanently)
		})
	}
	l := live{as: triage.Kubelet, protocol: triage.HTTP, code: "redirect-to-https", certainty: triage.Likely}
	l.check(t, serve(t, to("", false), nil, nil))
	l.check(t, serve(t, to(elsewhere, false), nil, nil))
	l.certainty, l.proof = triage.Proved, "X-Forwarded-Proto: https: 200"
	l.check(t, serve(t, to("", true), nil, nil))
	l.check(t, serve(t, to(elsewhere, true), nil, nil))

	x := ended(triage.Refused, "", "10.0.0.5:80", "10.0.0.5:443")
	x.Redirects = []string{"https://10.0.0.5/health"}
	if d := Look(x); !strings.Contains(d.Cause, "to https://10.0.0.5/health, and the check, which follows, ends there") || !strings.Contains(d.Fix, "answer /health before") {
		t.Errorf("cause %q, fix %q", d.Cause, d.Fix)
	}
	x.Redirects = []string{"http://10.0.0.5:443/health"}
	if d := Look(x); d.Code != Undiagnosed {
		t.Errorf("another port, refused: %s", d.Code)
	}
}

func TestSlash(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"/health", "/health/"}: true, {"/health/", "/health"}: true, {"//health", "/health"}: true,
		{"/health", "/health"}: false, {"/health", "/Health/"}: false, {"/", "/health/"}: false, {"/a/../b", "/b"}: false,
	} {
		r := redirection{from: &url.URL{Path: pair[0]}, to: &url.URL{Path: pair[1]}}
		if r.slash() != want {
			t.Errorf("%s to %s: %v", pair[0], pair[1], !want)
		}
	}
}

func TestLoginAndSetupPages(t *testing.T) {
	for p, want := range map[string][2]bool{
		"/login": {true, false}, "/users/sign_in": {true, false}, "/wp-login.php": {true, false}, "/Account/Login": {true, false},
		"/oauth2/start": {true, false}, "/realms/a/protocol/openid-connect/auth": {true, false},
		"/install": {false, true}, "/wp-admin/setup-config.php": {false, true}, "/setup/wizard": {false, true},
		"/blogin": {false, false}, "/installed": {false, false}, "/catalog/in": {false, false}, "/": {false, false},
	} {
		r := redirection{from: &url.URL{Path: "/health"}, to: &url.URL{Path: p}}
		if got := [2]bool{r.toLogin(), r.toSetup()}; got != want {
			t.Errorf("%s: login and set-up %v, want %v", p, got, want)
		}
	}
	r := redirection{from: &url.URL{Path: "/login"}, to: &url.URL{Path: "/login/"}}
	if r.toLogin() {
		t.Error("whoever asks for the login page is not sent to it")
	}
}
