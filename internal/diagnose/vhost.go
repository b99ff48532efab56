package diagnose

import (
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

var vhostEntries = []*Entry{
	{
		Code:  "host-not-routed",
		Title: "the server has no site for the Host that the load balancer sends",
		Stage: StageHost,
		Seen:  "404 (405 to HAProxy's OPTIONS, HAProxy's own 503, nginx's or Apache's own 400, 403 or 421, or a redirect), where the same request with the site's own name is answered",
		Cause: "the server chooses site or route by Host, and none of those that have {path} belongs to the Host of the check",

		Decides: "the same request with the site's public name as Host, then with one that nobody has",
		Fixes:   siteFixes,
		Wrong:   Wrong{"adding {status} to the success codes", "a server that has lost the site altogether answers just so, and passes"},
		Sources: []string{
			"nginx 1.22.1, Apache 2.4.71, HAProxy 2.6.12 and Go 1.26, tried", "AWS documentation, troubleshooting of Application Load Balancers",
			"fosrl/pangolin #3203", "kubernetes-sigs/aws-load-balancer-controller #4400", "aws/copilot-cli #2817",
			"django-tenants, its middleware", "Laravel 8, exceptions' Handler",
		},

		match: matchNoSite,
		prove: func(in *inquiry) finding {
			if _, ok := in.servedByName(); isRedirect(in.x.Status) && !ok {
				return undecided("") // localhost may be spared from a redirect for other reasons
			}
			found, address := in.hangsOnHost()
			if address && in.refuses() {
				return undecided("") // a rule against addresses as such, not for want of a site
			}
			return found
		},
		tell: func(c *kase) (cause, fix string) {
			s, fixes := siteOf(c), siteFixes
			cause = s.cause
			switch {
			case c.refuses():
				cause, fixes = strings.Replace(cause, "which has no such page", "which refuses the request", 1), refusingSiteFixes
			case isRedirect(c.x.Status):
				cause, fixes = strings.Replace(cause, "which has no such page", "which redirects the request", 1), refusingSiteFixes[:1]
			}
			return fmt.Sprintf("%s; the check sends %s", cause, sentHost(c)), withHostSetting(c, "", c.fixFor(s.software, fixes))
		},
	},
	{
		Code:  "host-not-known-closed",
		Title: "the server hangs up on a Host that it does not know",
		Stage: StageHost,
		Seen:  "no answer at all, where the same request with the site's own name is answered (nginx: return 444)",
		Cause: "the server closes the connection without a word for every Host that is not its own, and the check sends {host}",

		Decides: "the same request with the site's public name as Host, then with one that nobody has",
		Fixes:   closedFixes,
		Wrong:   Wrong{"taking the block with return 444 away, or checking the port over TCP", "scanners reach the first site in the file, or the check is green while nginx has no application behind it"},
		Sources: []string{"nginx 1.22.1, tried", "nginx.org, return: code 444"},

		match: func(c *kase) clue {
			switch c.x.Outcome {
			case triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer:
			default:
				return no
			}
			if len(c.x.Sent) == 0 || len(c.x.Head) > 0 {
				return no
			}
			return maybe(c.x.Outcome.Info().Sentence, "Host: "+c.host())
		},
		prove: func(in *inquiry) finding {
			for _, name := range in.names() {
				question := dialect.Variation{Host: name}
				answer := in.ask(question)
				if answer == nil || answer.x.Status == 0 {
					continue
				}
				switch unknown := in.ask(dialect.Variation{Host: nobody}); {
				case unknown == nil: // other questions came first; the check's own Host is asked again anyway
					return proof(says(question, answer))
				case in.failsLike(unknown):
					return proof(fmt.Sprintf("%s; with Host %s, which nobody has: %s", says(question, answer), nobody, Brief(unknown.x)))
				}
				return undecided("")
			}
			return undecided("")
		},
		tell: func(c *kase) (cause, fix string) {
			cause = "the server closes the connection without a word for every Host that is not its own, and the check sends " + sentHost(c)
			return cause, withHostSetting(c, "", c.cure(closedFixes))
		},
	},
	{
		Code:  "http-sys-404",
		Title: "Windows answers itself: no site is behind this name and port",
		Stage: StageHost,
		Seen:  "404 with a page that says HTTP Error 404. The requested resource is not found, and Server: Microsoft-HTTPAPI/2.0",
		Cause: "http.sys answers in place of a site: the site is stopped, or none is bound to this address, port and Host",

		Decides: "the same request with the site's public name as Host",
		Fixes: []Fix{
			{"", "on the target, in PowerShell:\n    Get-IISSite        # is the site Started?\n    Get-IISSiteBinding -Name SITE\nstart the site, or give it a binding without a host name"},
		},
		Wrong:   Wrong{"adding 404 to the success codes", "that is green on every Windows machine on which no site runs at all"},
		Sources: []string{"n3bbq.org, IIS, SNI and 404 behind a load balancer"},

		match: func(c *kase) clue {
			// The Server field alone says nothing: applications on top of http.sys send it as well.
			if !c.mismatch(404) || !c.bodyHas("<hr><p>HTTP Error 404. The requested resource is not found.</p>") {
				return no
			}
			return certainly(c.statusLine(), "Server: "+c.header("Server"), "the body says: HTTP Error 404. The requested resource is not found")
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.answersTo(in.names()...); ok {
				return disproof(text)
			}
			return undecided("")
		},
	},
	{
		Code:  "check-without-host",
		Title: "the check does not say which site it means",
		Stage: StageHost,
		Seen:  "another site's page, its 404 or its certificate, to a check that sends no Host or one of its own making",
		Cause: "the load balancer cannot or does not send the site's name, so that the server's default site answers",

		Fixes:   []Fix{{"", "give {path} to the default site too, or the site a port of its own;\ntriage listen shows which Host really comes"}},
		Wrong:   Wrong{"adding 404 to the success codes", "a server that has lost the site altogether answers just so, and passes"},
		Sources: []string{"projectkudu/kudu #3184", "envoyproxy/envoy #2450", "MicrosoftDocs/azure-docs #83656"},
		Unseen:  true,
	},
}

// site is a server that sorts requests by Host, as its answer for an unknown one shows.
type site struct {
	software string // of siteFixes
	cause    string
	sure     bool // the words are those of an unknown Host alone
	shows    func(*kase) bool
}

var sites = [...]site{
	{"Laravel", "Laravel takes a Host that it does not trust for a page that it does not have (TrustHosts)", true, bodyShows("Bad hostname provided.")},
	{"Django", "the tenant is chosen by Host (django-tenants), and no tenant has this one", true, bodyShows("No tenant for hostname")},
	{"nginx", "nginx answers from its default server block, which has no such page", false, bodyShows("<center>nginx")},
	{"Apache", "Apache answers from its first VirtualHost, which has no such page", false,
		func(c *kase) bool {
			return c.bodyHas("<p>The requested URL was not found on this server.</p>") || c.serverPage() == "Apache"
		}},
	{"HAProxy", "no rule of HAProxy matches the Host, and there is no default_backend", false,
		func(c *kase) bool {
			return c.x.Status == 503 && c.bodyHas("No server is available to handle this request.")
		}},
	{"Go", "the router matches by Host (Traefik, an ingress, or a Go program's patterns)", false,
		func(c *kase) bool { return c.text() == "404 page not found" && c.kind() == "text/plain" }},
}

// siteOf is what the answer shows of the server.
func siteOf(c *kase) site {
	for _, s := range sites {
		if s.shows(c) {
			return s
		}
	}
	return site{cause: "the server chooses site or route by Host"}
}

func matchNoSite(c *kase) clue {
	s := siteOf(c)
	switch {
	case c.mismatch(404) && s.sure:
		return certainly(c.statusLine(), "Host: "+c.host(), "the body says: "+firstOf(c, "Bad hostname provided.", "No tenant for hostname"))
	case c.mismatch(404, 405), c.mismatch(503) && s.software == "HAProxy":
		return maybe(c.statusLine(), "Host: "+c.host())
	case c.redirectsUnknown():
		return maybe(c.statusLine(), "Host: "+c.host(), "Location: "+c.header("Location"))
	case c.refuses() && !c.encrypted() && c.serverPage() != "":
		return maybe(c.statusLine(), "Host: "+c.host(), "the page is "+c.serverPage()+"'s own")
	}
	return no
}

// redirectsUnknown reports whether the answer may be the redirect of a site for unknown names, where the site's own is known.
func (c *kase) redirectsUnknown() bool {
	_, ok := redirectionOf(c)
	return ok && c.publicHost() != "" && c.host() != c.publicHost()
}

// refuses reports whether the answer's code is one of those by which a site for unknown names refuses whoever comes.
func (c *kase) refuses() bool { return c.mismatch(400, 403, 421) }

// serverPage names the server, of those that serve sites, that has written the page of an error itself; "" if that is not
// certain.
func (c *kase) serverPage() string {
	switch {
	case c.nginxPage():
		return "nginx"
	case strings.EqualFold(c.server(), "Apache") && c.bodyHas(`<!DOCTYPE HTML PUBLIC "-//`): // of IETF, in newer releases of W3C
		return "Apache"
	}
	return ""
}

// perhapsServerPage reports whether the page of an error may be the server's own, not the application's.
func (c *kase) perhapsServerPage() bool {
	switch {
	case c.serverPage() != "":
		return true
	case !c.isPage() || c.x.BodySize == 0 || isSymfonyError(c):
		return false
	}
	return c.servesSites() || c.server() == "" && strings.HasPrefix(c.title(), fmt.Sprint(c.x.Status))
}

// firstOf is the first of the texts that the content has.
func firstOf(c *kase, texts ...string) string {
	for _, t := range texts {
		if c.bodyHas(t) {
			return t
		}
	}
	return ""
}

var closedFixes = []Fix{
	{"", "in nginx, in the server block with return 444, in place of that line:\n    location = {path} { proxy_pass http://APP; }\n    location / { return 444; }"},
}

// refusingSiteFixes are for a site for unknown names that refuses: a rule that stands for all of it refuses {path} as well,
// in nginx a return before any location is looked at. (Tried with nginx 1.22.1 and Apache 2.4.)
var refusingSiteFixes = []Fix{
	{"", "let the site for unknown names answer {path} all the same;\nit must ask the same application, not answer by itself"},
	{"nginx", "in nginx, in the server block with default_server (else the first),\nin place of what refuses there:\n    location = {path} { allow all; proxy_pass http://APP; }\n    location / { return {status}; }"},
	{"Apache", "in Apache, in the first VirtualHost of the port:\n    ProxyPass {path} http://APP{path}\n    <Location {path}>\n        Require all granted\n    </Location>"},
}

var siteFixes = []Fix{
	{"", "give {path} to the site for unknown names too;\nit must ask the same application, not answer by itself"},
	{"nginx", "in nginx, in the server block with default_server (else the first):\n    location = {path} { proxy_pass http://APP; }\na return of its own there goes before all locations: write it as\n    location / { return {status}; }"},
	{"Apache", "in Apache, in the first VirtualHost of the port:\n    ProxyPass {path} http://APP{path}"},
	{"HAProxy", "in HAProxy, in the frontend, above the other use_backend lines:\n    use_backend APP if { path {path} }"},
	{"Go", "a route without a host name. Traefik:\n    rule: Path(`{path}`)\nin a Go program:\n    mux.HandleFunc(\"{path}\", health)"},
	{"Kubernetes", "in the Ingress, a rule without host:\n    - http: {paths: [{path: {path}, pathType: Exact, backend: …}]}"},
	{"Django", "a middleware, above TenantMainMiddleware in MIDDLEWARE:\n    def health(get_response):\n        def middleware(request):\n            if request.path_info == \"{path}\":\n                return HttpResponse(\"ok\")\n            return get_response(request)\n        return middleware"},
	{"Laravel", "app/Http/Middleware/TrustHosts.php, the site and your network:\n    public function hosts() {\n        return [$this->allSubdomainsOfApplicationUrl(),\n                '^10\\.0\\.\\d+\\.\\d+$'];\n    }"},
}
