package diagnose

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// The Location is the whole diagnosis of a redirect: the same host and another scheme, another host, the same path and a
// slash, a page to log in. Each entry below takes one shape of it, and no two take the same, but for an address that has
// both another scheme and another name. What the server is decides the cure alone.
var redirectEntries = []*Entry{
	{
		Code:  "redirect-to-https",
		Title: "the health check is redirected to https",
		Stage: StageRedirect,
		Seen:  "301, 302, 307 or 308 with a Location that begins with https://, to a check over plain http; where the check follows (kubelet), no TLS at that port, or nobody",
		Cause: "the server redirects plain http to https, and a load balancer does not follow redirects",
		// A user's browser follows; a load balancer, which ends TLS itself and asks the target in plain http, does not.
		Decides: "the same request with X-Forwarded-Proto: https, as from a load balancer that has ended TLS",
		Fixes:   httpsFixes,
		Wrong:   Wrong{"adding {status} to the success codes", "any answer of the redirecting server passes, also while the application behind it is down"},
		Sources: []string{
			"nginx 1.22.1, Apache 2.4.71, HAProxy 2.6.12, Django 3.2, Rails 6.1.7 and Starlette 0.26.1, tried",
			"docs.djangoproject.com, SECURE_REDIRECT_EXEMPT", "rails/rails #51680", "dotnet/aspnetcore #25221",
			"nerves-hub/nerves_hub_web #2738", "unrolled/secure #28",
		},

		match: func(c *kase) clue {
			if to, lost := lostAfterRedirect(c); lost {
				return fitting("redirected to "+to.String(), c.x.Outcome.Info().Sentence)
			}
			r, ok := redirectionOf(c)
			switch {
			case !ok || !r.upgrades() || r.toLogin() || r.toSetup():
				return no
			case r.samePage():
				return fitting(c.statusLine(), "Location: "+r.given.String())
			}
			return maybe(c.statusLine(), "Location: "+r.given.String()) // a page elsewhere, which has TLS as all have
		},
		prove: proveHTTPS,
		tell: func(c *kase) (cause, fix string) {
			if to, lost := lostAfterRedirect(c); lost {
				at := *c
				at.asked.Target = []byte(to.RequestURI())
				return fmt.Sprintf("the server redirects the check to %s, and the check, which follows, ends there: %s", to, c.x.Outcome.Info().Sentence), at.fixFor("", httpsFixes)
			}
			who, fix := redirectFix(c)
			return fmt.Sprintf("%s redirects plain http to https, and a load balancer does not follow redirects", who), fix
		},
	},
	{
		Code:  "redirect-to-host",
		Title: "the health check is redirected to the site's own name",
		Stage: StageRedirect,
		Seen:  "a redirect whose Location has another host name than the request, mostly with the same path",
		Cause: "the server sends whoever asks by another name than its own on to {location}, and the load balancer asks by the target's address",

		Decides: "the same request with the name of the Location as Host",
		Fixes:   hostRedirectFixes,
		Wrong:   Wrong{"adding {status} to the success codes, or checking the port over TCP", "whatever the redirecting server still answers passes, also while the site behind it is down"},
		Sources: []string{
			"Apache 2.4.71, nginx 1.22.1, HAProxy 2.6.12, Django 3.2 and Starlette 0.26.1, tried",
			"serverdevworker.com/13271fe882", "dylanbarlett.com, health check for WordPress networks", "kubernetes/ingress-gce #937",
			"MicrosoftDocs/azure-docs #99256",
		},

		match: func(c *kase) clue {
			r, ok := redirectionOf(c)
			switch {
			case !ok || r.sameName() || r.toLogin() || r.toSetup():
				return no
			case r.samePath() && !r.upgrades() && !isAddress(r.to.Host): // an address is no site's name, but another machine
				return fitting(c.statusLine(), "Host: "+c.host(), "Location: "+r.given.String())
			}
			return maybe(c.statusLine(), "Host: "+c.host(), "Location: "+r.given.String())
		},
		prove: func(in *inquiry) finding {
			r, _ := redirectionOf(in.kase)
			question := dialect.Variation{Host: r.to.Host}
			switch answer := in.ask(question); {
			case answer.passes():
				return proof(says(question, answer))
			case answer != nil && isRedirect(answer.x.Status) && answer.header("Location") == in.header("Location"):
				return disproof(says(question, answer) + ", to the same place") // it is not the name: a mirror, a leader
			}
			return undecided("") // whoever refuses the name as well redirects for a reason of his own
		},
		tell: func(c *kase) (cause, fix string) {
			r, _ := redirectionOf(c)
			fix = c.cure(hostRedirectFixes)
			if r.to.Hostname() == "www."+r.from.Hostname() {
				return fmt.Sprintf("the application puts www. before every name, also before Host %q, and redirects to it", c.host()), fix
			}
			cause = fmt.Sprintf("the server sends whoever asks for Host %q on to %s, and the load balancer does not follow", c.host(), r.to.Host)
			return cause, withHostSetting(c, r.to.Hostname(), fix)
		},
	},
	{
		Code:  "redirect-slash",
		Title: "the health path has a slash too few or too many",
		Stage: StageRedirect,
		Seen:  "a redirect to the same host and the same path but for its slashes: Flask 308, Django and nginx 301, Starlette and Go 307, Express 301",
		Cause: "the page is at {location}, and the check asks for {path}",

		Decides: "the same request for the path with the slash",
		Fixes: []Fix{
			{"", "let the check ask for the path of the Location, to its last slash:\n    {location}"},
			{"Django", "let the check ask for the path with its slash, or in urls.py:\n    re_path(r\"^health_check/?$\", health)"},
			{"Flask", "let the check ask for the path with its slash, or in the app:\n    @app.route(\"{path}\", strict_slashes=False)"},
			{"Starlette", "let the check ask for the path with its slash, or in the app:\n    app.router.redirect_slashes = False  # and a route for {path}"},
			{"Express", "ask for the path with its slash, or above express.static:\n    app.get(\"{path}\", (req, res) => res.send(\"ok\"))"},
		},
		Wrong: Wrong{"adding {status} to the success codes", "a redirect of the router passes without the page behind it ever being asked"},
		Sources: []string{
			"nginx 1.22.1, Apache 2.4.71, Django 3.2, Flask 2.2.2, Starlette 0.26.1, Go 1.26 and Express 5, tried",
			"fabric8-services #697", "developer-portal #329",
		},

		match: func(c *kase) clue {
			r, ok := redirectionOf(c)
			if !ok || !r.sameName() || r.upgrades() || !r.slash() {
				return no
			}
			return fitting(c.statusLine(), "Location: "+r.given.String())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.servedByName(); ok {
				return disproof(text)
			}
			r, _ := redirectionOf(in.kase)
			question := dialect.Variation{Path: r.to.RequestURI()}
			answer := in.ask(question)
			switch {
			case answer == nil || answer.x.Status == 0:
				return undecided("")
			case answer.x.Status == 404:
				return doubt("") // there is nothing
			case isRedirect(answer.x.Status):
				if next, ok := redirectionOf(answer); ok && next.to.Path == r.from.Path {
					return doubt("") // and back
				}
				return undecided("")
			}
			return proof(withNext(says(question, answer), answer))
		},
		tell: func(c *kase) (cause, fix string) {
			r, _ := redirectionOf(c)
			cause = fmt.Sprintf("the page is at %s, and the check asks for %s", r.to.EscapedPath(), c.path())
			fix = fmt.Sprintf("let the check ask for %s, exactly so", r.to.RequestURI())
			if inner, leaks := r.innerPort(); leaks {
				cause += fmt.Sprintf("; the redirect also shows users the server's inner port %s", inner)
				fix += ";\nin nginx, against the inner port in redirects:\n    absolute_redirect off;"
			}
			return cause, fix
		},
	},
	{
		Code:  "redirect-to-login",
		Title: "the health check is sent to a login page",
		Stage: StageRedirect,
		Seen:  "a redirect to /login, /signin, /oauth2/…, /sso or the like, or one that says where to return to (redirect_uri=, rd=)",
		Cause: "the application wants a login for {path} and sends the check to {location}; a load balancer cannot log in",

		Decides: "the same request with the site's public name as Host, and a path that nobody has: if that goes to the same login, it stands before everything",
		Fixes: []Fix{
			{"", "let {path} answer without a login, and without secrets,\nor check a path that is public already"},
			{"Django", "views.py: no login_required for this view. With a middleware for all\n(Django 5.1 LoginRequiredMiddleware):\n    @login_not_required\n    def health(request): ..."},
			{"ASP.NET", "Program.cs:\n    app.MapHealthChecks(\"{path}\").AllowAnonymous();"},
			{"Spring Boot", "in the SecurityFilterChain, before anyRequest():\n    .requestMatchers(\"{path}\").permitAll()"},
			{"oauth2-proxy", "in oauth2-proxy's settings:\n    skip_auth_routes = [\"GET=^{path}$\"]\nits own /ping says only that the proxy runs"},
		},
		Wrong:   Wrong{"adding {status} to the success codes, or checking the login page", "the login's redirect passes for ever, also while the application behind it is down"},
		Sources: []string{"Django 3.2 and Express 5, tried", "oauth2-proxy/oauth2-proxy #86", "kibana-proxy #6", "kafka-webview #209", "kubernetes/ingress-gce #1768"},

		match: func(c *kase) clue {
			r, ok := redirectionOf(c)
			if !ok || !r.toLogin() {
				return no
			}
			return fitting(c.statusLine(), "Location: "+r.given.String())
		},
		prove: func(in *inquiry) finding { return in.catchesAll("the login stands before everything") },
	},
	{
		Code:  "redirect-to-setup",
		Title: "every path leads to a page for setting up",
		Stage: StageRedirect,
		Seen:  "each path redirects to /install, /setup or the like",
		Cause: "whatever is asked for, the application redirects to {location}, as one does that is not set up, or has lost its state",

		Decides: "a path that nobody has: if that leads to the set-up too, the application knows of nothing else",
		Fixes: []Fix{
			{"", "see what is at {location}; if it is the first set-up, finish it.\nIf it was finished before, look for a lost volume or database first:\nanother set-up may overwrite what is left"},
		},
		Wrong:   Wrong{"adding {status} to the success codes", "users are sent to what may be an open installer, where the first to come becomes the administrator"},
		Sources: []string{"Leantime's source, its first-run redirect"},

		match: func(c *kase) clue {
			r, ok := redirectionOf(c)
			if !ok || !r.toSetup() {
				return no
			}
			return maybe(c.statusLine(), "Location: "+r.given.String())
		},
		prove: func(in *inquiry) finding { return in.catchesAll("nothing else is served") },
	},
	{
		Code:  "redirect-loop",
		Title: "the redirects lead back to where they began",
		Stage: StageRedirect,
		Seen:  "a Location that is the very address asked for, or one that was asked before",
		Cause: "the pages redirect to each other without end",

		Decides: "the same request with the site's public name as Host",
		Fixes:   loopFixes,
		Wrong:   Wrong{"adding {status} to the success codes", "the check is green though it never arrives at a page, as perhaps nobody does"},
		Sources: []string{"Express 5, tried", "kubernetes/kubernetes #61831", "kubernetes.io, probes"},

		match: func(c *kase) clue {
			if seen, ok := wentInCircles(c); ok {
				return certainly(c.statusLine(), seen)
			}
			if c.x.Outcome == triage.RedirectFailed && len(c.x.Redirects) >= longChain {
				return fitting(c.statusLine(), fmt.Sprintf("%d redirects followed", len(c.x.Redirects)))
			}
			return no
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.servedByName(); ok {
				return disproof(text)
			}
			return undecided("")
		},
		tell: func(c *kase) (cause, fix string) {
			r, ok := redirectionOf(c)
			switch {
			case ok && r.toItself() && c.has("Set-Cookie"):
				return fmt.Sprintf("%s redirects to itself with a cookie, so that whoever keeps no cookies never arrives, a load balancer's check among them", c.path()), c.fixFor("", cookieFixes)
			case ok && r.toItself():
				return fmt.Sprintf("%s redirects to itself, so that nobody ever arrives", c.path()), c.fixFor("", loopFixes)
			case !swings(c.x.Redirects) && c.has("Set-Cookie"):
				return "the pages redirect to each other without end for whoever keeps no cookies, a load balancer's check among them", c.fixFor("", cookieFixes)
			case !swings(c.x.Redirects):
				return "the pages redirect to each other without end", c.fixFor("", loopFixes)
			}
			return "the pages swing between http and https without end: one side does not know that TLS has ended", c.cure(loopFixes)
		},
	},
	{
		Code:  "redirect-broken",
		Title: "the redirect leads to no address",
		Stage: StageRedirect,
		Seen:  "a Location that is no URL, has no host, or is not http or https, to a load balancer that follows redirects",
		Cause: "the application redirects to {location}, which nobody can ask over http",

		Fixes: []Fix{
			{"", "correct the application's base address, the setting of which it makes\nits links (APP_URL, BASE_URL, SITE_URL);\nlet {path} answer by itself"},
		},
		Wrong:   Wrong{"checking the port over TCP", "users meet the same broken address, and the check no longer sees it"},
		Sources: []string{"net/http, Client: what it cannot follow"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.RedirectFailed || !unaskable(c) {
				return no
			}
			return certainly(c.statusLine(), fmt.Sprintf("Location: %q", c.header("Location")))
		},
	},
}

// longChain is how many redirects a check follows before it gives up, but for the last.
const longChain = 9

// wentInCircles says where a redirect leads back to, if it does.
func wentInCircles(c *kase) (seen string, circles bool) {
	if r, ok := redirectionOf(c); ok && r.toItself() {
		return "Location: " + r.given.String() + ", which is what was asked for", true
	}
	if c.x.Outcome != triage.RedirectFailed {
		return "", false
	}
	before := map[string]bool{}
	for _, u := range c.x.Redirects {
		if before[u] {
			return "asked for twice: " + u, true
		}
		before[u] = true
	}
	return "", false
}

// swings reports whether the redirects go to http as well as to https.
func swings(urls []string) bool {
	schemes := map[string]bool{}
	for _, u := range urls {
		scheme, _, _ := strings.Cut(u, ":")
		schemes[scheme] = true
	}
	return schemes["http"] && schemes["https"]
}

// unaskable reports whether the Location is none that can be asked over HTTP.
func unaskable(c *kase) bool {
	location := c.header("Location")
	to, err := url.Parse(location)
	if err != nil {
		return true
	}
	return location != "" && (to.Scheme != "" && to.Scheme != "http" && to.Scheme != "https" || to.IsAbs() && to.Hostname() == "")
}

// proveHTTPS asks as a load balancer does that has ended TLS. Where the redirect leads to another name as well, either may
// be the reason.
func proveHTTPS(in *inquiry) finding {
	forwarded := dialect.Header{Name: "X-Forwarded-Proto", Value: "https"}
	question := dialect.Variation{Header: forwarded}
	answer := in.ask(question)
	switch {
	case !answer.settles():
		return undecided("")
	case !redirectsToHTTPS(answer):
		return proof(withNext(says(question, answer), answer))
	}
	none := fmt.Sprintf("none: with %s it answers %d too, so the redirect is unconditional", question, answer.x.Status)
	r, ok := redirectionOf(in.kase)
	if text, passes := in.servedByName(); passes && (!ok || r.sameName()) {
		return disproof(text)
	}
	if !ok || r.sameName() {
		return undecided(none)
	}
	named := dialect.Variation{Host: r.to.Host}
	if answer := in.ask(named); answer.settles() && !redirectsToHTTPS(answer) {
		return disproof(says(named, answer))
	}
	named.Header = forwarded
	if answer := in.ask(named); answer.settles() && !redirectsToHTTPS(answer) {
		return proof(withNext(says(named, answer), answer))
	}
	return undecided(none)
}

// settles reports whether the answer to a second question shows what the server does with it: not where a limit or a
// server in trouble has answered in its place.
func (c *kase) settles() bool {
	return c.passes() || c != nil && c.x.Status != 0 && c.x.Status != 429 && c.x.Status < 500
}

func redirectsToHTTPS(c *kase) bool {
	to, redirected := redirectTarget(c)
	_, lost := lostAfterRedirect(c)
	return lost || redirected && to.Scheme == "https"
}

// lostAfterRedirect is where a check was redirected over https, if it has followed and found nobody who speaks TLS.
func lostAfterRedirect(c *kase) (to *url.URL, lost bool) {
	if !c.followed() || c.x.Status != 0 {
		return nil, false
	}
	switch c.x.Outcome {
	case triage.Refused, triage.ConnectTimeout, triage.TLSNotSpoken, triage.TLSClosed, triage.TLSTimeout:
	default:
		return nil, false
	}
	to, err := url.Parse(c.x.Redirects[len(c.x.Redirects)-1])
	return to, err == nil && to.Scheme == "https"
}

// followed reports whether what is seen is not of the address and port that the check names, but of where a redirect has
// led it.
func (c *kase) followed() bool { return len(c.x.Redirects) > 0 }

// withNext adds to a proof that the redirect is gone, though the check still fails.
func withNext(proof string, answer *kase) string {
	if answer.x.Outcome.Verdict() == triage.Fail {
		proof += ", no longer this redirect, but the next thing to look at"
	}
	return proof
}

// servedByName reports whether the site's public name, if one is known, makes the check pass with a page: then a site for
// unknown names has redirected. (A kubelet's check passes as well where that name is redirected to.)
func (in *inquiry) servedByName() (text string, ok bool) {
	named, text := in.byName()
	return text, named.passes() && !isRedirect(named.x.Status)
}

// catchesAll proves that a path which nobody has leads to the same page as the check's own. Where it does not, that shows
// nothing: the page may be meant for this path alone.
func (in *inquiry) catchesAll(therefore string) finding {
	if text, ok := in.servedByName(); ok {
		return disproof(text)
	}
	own, _ := redirectionOf(in.kase)
	question := dialect.Variation{Path: in.path() + "-nonsense"}
	answer := in.ask(question)
	if answer == nil {
		return undecided("")
	}
	other, ok := redirectionOf(answer)
	if !ok || other.to.Host != own.to.Host || other.to.Path != own.to.Path {
		return undecided("")
	}
	return proof(fmt.Sprintf("%s, to the same page: %s", says(question, answer), therefore))
}
