package diagnose

import (
	"fmt"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// siteDoubts are about answers that pass while the site behind or beside them does not work, or is another one.
var siteDoubts = []*Entry{
	{
		Code:     "proxy-answers-alone",
		Title:    "the health path answers, and for the front page the proxy gets no answer",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the check passes while / is answered 502 or 504 with the proxy's own page",
		Cause:    "{path} is answered by the proxy itself, or from elsewhere than the front page, for which the proxy gets no valid answer from behind it",

		Decides: "a GET of /, by the public name where one is known",
		Fixes: []Fix{
			{"", "let the proxy pass {path} on to the application, which answers it"},
			{"nginx", "in place of return 200:\n    location = {path} { proxy_pass http://APP; }"},
			{"HAProxy", "in place of monitor-uri or http-request return, in the frontend:\n    monitor fail if { nbsrv(BACKEND) eq 0 }"},
			{"Caddy", "in place of respond {path}:\n    handle {path} {\n        reverse_proxy APP\n    }"},
			{"Apache", "in place of a file:\n    ProxyPass \"{path}\" \"http://APP{path}\""},
		},
		Wrong:   Wrong{"a second check of the proxy's port over TCP", "the proxy is well; it is the application that nobody asks"},
		Sources: []string{"nginx 1.22.1, tried", "markmhendrickson/neotoma #2141"},

		match: matchBesideRoot,
		prove: func(in *inquiry) finding {
			question, answer := in.ofSite("/")
			if answer == nil {
				return undecided("")
			}
			if !gatewayFault(answer) || !in.persists(question, gatewayFault) {
				return disproof("")
			}
			return proof(says(question, answer))
		},
	},
	{
		Code:     "only-health-works",
		Title:    "the health path passes, and the front page fails",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the check passes while / is answered 500 by the site's public name, and a path that nobody has is not",
		Cause:    "the front page ends in an error, and the check, which asks for {path}, does not meet it",

		Decides: "a GET of / by the public name, then of a path that nobody has",
		Fixes: []Fix{
			{"", "see the application's log for what / says; then let the path by which\ntraffic is routed use what every page needs (a path that decides\nabout restarts should not)"},
		},
		Wrong:   Wrong{"putting every dependency into the health path", "when a shared one has a bad minute all targets leave at once"},
		Sources: []string{"markmhendrickson/neotoma #2141", "8gears/n8n-helm-chart #308", "n8n-io/n8n-hosting #124"},

		match: matchBesideRoot,
		prove: func(in *inquiry) finding {
			if in.publicHost() == "" {
				return undecided("") // for a Host that it does not know an application may fail by design
			}
			fails := func(c *kase) bool { return c.x.Status == 500 && !c.has("Retry-After") }
			question, answer := in.ofSite("/")
			switch {
			case answer == nil:
				return undecided("")
			case !fails(answer):
				return disproof("")
			}
			// Many programs have one handler for all that goes wrong, and answer 500 for a page that they do not have.
			_, unknown := in.ofSite(in.pathBeside().Path)
			if unknown == nil || unknown.x.Status == answer.x.Status {
				return undecided("")
			}
			if !in.persists(question, fails) {
				return disproof("")
			}
			return proof(fmt.Sprintf("%s; for a path that nobody has: %s", says(question, answer), Brief(unknown.x)))
		},
	},
	{
		Code:     "default-vhost-answers",
		Title:    "the check is answered as an unknown Host is, and the site's name otherwise",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the check gets what a Host that nobody has gets, and the site's own name gets something else",
		Cause:    "the server sorts requests by Host, and answers the check as one that names no site: where another application stands behind the public name, the check says nothing of it",

		Decides: "the same request with the site's public name as Host, then with one that nobody has",
		Fixes: []Fix{
			{"", "let the check send the site's name as Host, where the load balancer\ncan; else answer {path} in the default site from the same application\nas the site's own, and compare a word of it"},
			{"nginx", "in the server block of the site, which becomes the default one:\n    listen {port} default_server;"},
		},
		Wrong:   Wrong{"taking the page for a sign of life", "it comes from files of the server itself, with no application behind it"},
		Sources: []string{"nginx 1.22.1, tried", "n3bbq.org, IIS, SNI and 404 behind a load balancer"},

		match: func(c *kase) clue {
			if !c.succeeds() || len(c.hosts) == 0 || c.stockPage() != "" || sameHost(c.host(), c.hosts[0]) {
				return no
			}
			return maybe(c.statusLine(), sentHost(c))
		},
		prove: (*inquiry).otherSite,
		tell: func(c *kase) (cause, fix string) {
			return "the server answers the check, which sends " + sentHost(c) + ", as any Host that it does not know: where another application stands behind " +
					c.hosts[0] + ", the check says nothing of it",
				c.cure(siteHostFixes)
		},
	},
	{
		Code:     "empty-200",
		Title:    "Caddy answers for a site that it does not have",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "an empty 200 of Caddy's, also for a path and for a Host that nobody has",
		Cause:    "Caddy answers 200 with nothing where no site and no route matches, so that this check passes without any",

		Decides: "a path that nobody has, then a Host that nobody has",
		Fixes: []Fix{
			{"", "in the Caddyfile, a site for every Host on the check's port:\n    :{port} {\n        handle {path} {\n            reverse_proxy APP\n        }\n        respond 404\n    }"},
		},
		Wrong:   Wrong{"taking 200 for an answer of the application", "Caddy gives it with no site at all"},
		Sources: []string{"Caddy 2.6.2, tried", "caddyserver/caddy #7448", "caddyserver/caddy #5729"},

		match: func(c *kase) clue {
			if !c.succeeds() || !c.is("Caddy") || c.header("Content-Length") != "0" || c.get() != "" {
				return no
			}
			return maybe(c.statusLine(), "Server: Caddy", "Content-Length: 0")
		},
		prove: func(in *inquiry) finding {
			empty := func(a *kase) bool {
				return a != nil && a.x.Status == in.x.Status && a.is("Caddy") && a.header("Content-Length") == "0"
			}
			question := in.pathBeside()
			if answer := in.ask(question); answer == nil {
				return undecided("")
			} else if !empty(answer) {
				return disproof("")
			}
			if !empty(in.ask(dialect.Variation{Host: nobody})) {
				return undecided("")
			}
			return proof(fmt.Sprintf("the same request with %s, or with Host %s: 200 with nothing too", question, nobody))
		},
	},
}

var siteHostFixes = []Fix{
	{"", "let the check send the site's name as Host, where the load balancer\ncan: {public}; else answer {path} in the default site\nfrom the same application, and compare a word of it"},
	{"nginx", "in the server block of {public}, which becomes the default one:\n    listen {port} default_server;"},
	{"Apache", "the VirtualHost of {public} first in the order of the files,\nor in it:\n    ServerAlias {address}"},
}

// matchBesideRoot is for a check that passes with a path of its own, so that there is a front page to compare with.
func matchBesideRoot(c *kase) clue {
	if !c.succeeds() || c.isRoot() {
		return no
	}
	return maybe(c.statusLine())
}

// ofSite asks for another path of the site: by its public name, where one is known, since a Host that the server does not
// know may lead elsewhere. The answer is nil if there is none over HTTP.
func (in *inquiry) ofSite(path string) (dialect.Variation, *kase) {
	question := dialect.Variation{Path: path, Method: in.get()}
	var answer *kase
	if public := in.publicHost(); public != "" && !sameHost(in.host(), public) {
		named := question
		named.Host = public
		if in.encrypted() {
			named.ServerName = public
		}
		if answer = in.ask(named); answer != nil {
			question = named
		}
	}
	if answer == nil {
		answer = in.ask(question)
	}
	if answer == nil || answer.x.Status == 0 {
		return question, nil
	}
	return question, answer
}

// persists asks a question once more: a target that comes and goes fails here and there, whatever it is asked. Where no
// question is left it stays open, and is not told.
func (in *inquiry) persists(question dialect.Variation, fails func(*kase) bool) bool {
	question.Again = 1
	answer := in.ask(question)
	if answer == nil {
		return len(in.log) < MaxQuestions && in.ctx.Err() == nil // who cannot be asked twice is believed once
	}
	return fails(answer)
}

// gatewayFault reports whether an answer is certainly a proxy's own, for an application that it does not reach. Where a
// proxy has no server to ask, perhaps none is meant to answer.
func gatewayFault(c *kase) bool {
	says, _, sure := c.behindGateway()
	return sure && (says == brokenBehind || says == slowBehind)
}

// otherSite proves that the check's answer is not that of the site behind the public name, but of one for all Hosts.
func (in *inquiry) otherSite() finding {
	question := dialect.Variation{Host: in.hosts[0]}
	if in.encrypted() {
		question.ServerName = in.hosts[0]
	}
	site := in.ask(question)
	if site == nil || site.x.Status == 0 {
		return undecided("")
	}
	failing := func(c *kase) bool { return c.x.Status == 500 || gatewayFault(c) }
	fails := failing(site)
	switch {
	case fails: // whatever the check's own answer is
	case in.saysHealth() || !in.isPage():
		return disproof("") // a health path of the default site's own may well be meant so
	case site.x.Status >= 300 && site.x.Status < 400 || site.x.Status == 421:
		return undecided("")
	case site.x.Status < 300 && (!in.otherPage(site) || site.isPage() && in.kin(site)):
		return disproof("")
	}
	unknown := in.ask(dialect.Variation{Host: nobody})
	switch {
	case fails && unknown.passes():
		if !in.persists(question, failing) {
			return disproof("")
		}
		return proof(fmt.Sprintf("%s; with Host %s, which nobody has: %s", says(question, site), nobody, Brief(unknown.x)))
	case !fails && in.alike(unknown):
		return proof(fmt.Sprintf("%s, another answer; with Host %s, which nobody has: the check's own", says(question, site), nobody))
	}
	return undecided("")
}

// sameHost reports whether a Host header names a host.
func sameHost(header, name string) bool {
	return header == name || len(header) > len(name) && header[:len(name)] == name && header[len(name)] == ':'
}

// pageDoubts are about pages that pass for an answer to a check.
var pageDoubts = []*Entry{
	{
		Code:     "default-page",
		Title:    "the page of a fresh installation passes for the site",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the page that nginx, Apache, Caddy, Tomcat, IIS or another server shows before it has a site",
		Cause:    "the server answers with the page that it was installed with: no site of yours is behind this Host and port",

		Fixes: []Fix{
			{"", "give the server the site for the Host and the port of the check, or\nlet the check ask for a path that only the application answers"},
			{"nginx", "remove the stock site, and make yours the one for all Hosts:\n    rm /etc/nginx/sites-enabled/default\n    listen {port} default_server;"},
			{"Apache", "remove the stock site:\n    a2dissite 000-default && systemctl reload apache2"},
		},
		Wrong:   Wrong{"taking the page for a sign of life", "the application may never have been installed"},
		Sources: []string{"nginx 1.22.1, Apache 2.4.71 and Caddy 2.6.2 of Debian, tried", "the pages in Debian's lighttpd 1.4.69 and Tomcat 10.1", "dev.classmethod.jp, ALB health check and 403"},

		match: func(c *kase) clue {
			if software := c.stockPage(); c.succeeds() && software != "" {
				return certainly(c.statusLine(), "the page that comes with "+software+": "+shownValue(c.title()))
			}
			return no
		},
	},
	{
		Code:     "login-page-is-healthy",
		Title:    "a login page passes for a healthy answer",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a pass with a page whose form asks for a password, on another path than /",
		Cause:    "the check is answered with the form of a login: what lies behind it is never asked, and a page is made for nobody",

		Fixes: []Fix{
			{"", "let a path of its own answer the check without a login, a form or a\nsession, and nothing but 200 pass"},
		},
		Wrong:   Wrong{"checking the login page because all else redirects to it", "it is green while everything behind the login fails"},
		Sources: []string{"grokability/snipe-it #8931", "jetstack/kube-lego #27", "Django 3.2, tried"},

		match: func(c *kase) clue {
			if !c.succeeds() || !c.loginPage() || c.isRoot() && len(c.x.Redirects) == 0 {
				return no
			}
			return certainly(c.statusLine(), "a form with a field for a password, under "+c.path())
		},
	},
	{
		Code:     "catch-all-page",
		Title:    "every path is answered with the same page",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the check gets an HTML page, and a path beside it that nobody has gets the same with the same code",
		Cause:    "the server answers any path with one page, as single-page applications want it: the check passes with no health path behind it",

		Decides: "a path beside the check's own that nobody has",
		Fixes: []Fix{
			{"", "answer {path} by a route of its own, before the one for all\npaths, with a short text, and let the check look for that text"},
			{"nginx", "beside the location with try_files:\n    location = {path} { proxy_pass http://APP; }"},
			{"Express", "above the route for all paths:\n    app.get('{path}', (req, res) => res.json({status: 'ok'}));"},
			{"Caddy", "around try_files, so that it has what is left:\n    handle {path} {\n        reverse_proxy APP\n    }\n    handle {\n        try_files {http.request.uri.path} /index.html\n        file_server\n    }"},
			{"Apache", "above FallbackResource or the rewrite to index.html:\n    ProxyPass \"{path}\" \"http://APP{path}\""},
		},
		Wrong:   Wrong{"looking for a word of that page", "it is a file, and is there while the application is not"},
		Sources: []string{"nginx 1.22.1 with try_files and Express, tried", "iumalabs/flightdeck #75", "reckoning/reckoning #1021"},

		match: func(c *kase) clue {
			if !c.succeeds() || c.isRoot() || !c.isPage() || c.saysHealth() || c.stockPage() != "" || c.loginPage() || len(c.x.Redirects) > 0 {
				return no
			}
			return maybe(c.statusLine(), "Content-Type: "+c.header("Content-Type"))
		},
		prove: func(in *inquiry) finding {
			question := in.pathBeside()
			answer := in.ask(question)
			if answer == nil {
				return undecided("")
			}
			// With another method the check's own answer is asked for again, to compare with.
			own := in.kase
			if question.Method != "" {
				own = in.ask(dialect.Variation{Method: question.Method})
			}
			if own == nil || answer.x.Outcome != triage.Matched || !own.alike(answer) {
				return disproof("")
			}
			if len(in.hosts) > 0 && !sameHost(in.host(), in.hosts[0]) && in.otherSite().kind == proved {
				return disproof("") // it is the page of another site, and is told as that
			}
			return proof(says(question, answer) + ", with the same page")
		},
	},
}
