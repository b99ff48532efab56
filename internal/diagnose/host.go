package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// hostEntries are about names that an application refuses, then about those that a server sorts by. Which of the two it is
// shows in the code alone, so that an answer that has lost its marks still comes to the same entry, or to none.
var hostEntries = slices.Concat(refusedEntries, vhostEntries)

var refusedEntries = []*Entry{
	{
		Code:  "host-not-allowed",
		Title: "the application refuses the Host that the load balancer sends",
		Stage: StageHost,
		Seen:  "400, 403 or 421, where the same request with a Host that the application knows is answered",
		Cause: "the application answers only to names that it knows, and the load balancer asks by the target's private address",

		Decides: "the same request with the site's public name as Host, or localhost",
		Fixes:   hostFixes,
		Wrong:   Wrong{"accepting any Host", "links in mails for a new password, and caches, then carry whatever name an attacker has sent"},
		Sources: []string{
			"Django 3.2, Rails 6.1.7, Starlette 0.26.1, Flask 3.1.3, Symfony 5.4, Vite 8, webpack-dev-server 5 and the MCP SDK 1.32, tried",
			"chongkim.org, Health Check on a Django Server, 2018", "mastodon/mastodon #20238", "basecamp/kamal #992",
			"ASP.NET Core, HostFilteringMiddleware", "dotnet/aspnetcore #41702", "kimai/kimai #5693", "Drupal, DrupalKernel",
			"gethomepage/homepage #6775 and its middleware", "cardstack #2790", "backlog-mcp-server #214", "unrolled/secure, its source",
		},

		match: matchRefused,
		prove: proveRefused,
		tell: func(c *kase) (cause, fix string) {
			r, known := refusalOf(c)
			what := sentHost(c)
			if c.host() == "" {
				what = "a request without Host"
			}
			switch {
			case known:
				cause = fmt.Sprintf("%s refuses %s (%s)", r.who, what, r.setting)
			case c.serverPage() != "":
				cause = fmt.Sprintf("a rule of %s refuses %s", c.serverPage(), what)
			default:
				cause = "the application refuses " + what
			}
			return cause, withHostSetting(c, "", hostFix(c, r))
		},
	},
	{
		Code:  "host-underscore",
		Title: "the Host has an underscore, which no host name may have",
		Stage: StageHost,
		Seen:  "400 for a Host with an underscore, often the name of a container; Tomcat: The character [_] is never valid in a domain name",
		Cause: "Host {host} has an underscore, which is not allowed in host names (RFC 1123 section 2.1), so that the server refuses it whatever its settings",

		Decides: "the same request with a hyphen in place of the underscore",
		Fixes:   underscoreFixes,
		Wrong:   Wrong{"putting the name into the list of allowed hosts", "nothing changes: the name is refused before the list is read"},
		Sources: []string{"Tomcat 10.1.60 and Django 3.2, tried", "flagsmith #63", "komga #152", "spring-cloud-alibaba #3901"},

		match: func(c *kase) clue {
			switch {
			case !c.mismatch(400) || !strings.Contains(c.host(), "_"):
				return no
			case c.bodyHas("The character [_] is never valid in a domain name"): // Tomcat's HttpParser
				return certainly(c.statusLine(), "Host: "+c.host(), "the body says: The character [_] is never valid in a domain name")
			case isDjango400(c) || isDjangoDebug(c): // get_host refuses such a name also with ALLOWED_HOSTS = ["*"]
				return fitting(c.statusLine(), "Host: "+c.host(), "the body is Django's page for a bad request")
			}
			return maybe(c.statusLine(), "Host: "+c.host())
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{Host: strings.ReplaceAll(in.host(), "_", "-")}
			if answer := in.ask(question); answer.passes() {
				return proof(says(question, answer))
			}
			return undecided("")
		},
		tell: func(c *kase) (cause, fix string) {
			cause = fmt.Sprintf("Host %q has an underscore, which no host name may have, and the server refuses it whatever its settings", c.host())
			return cause, withHostSetting(c, "", c.fixFor("", underscoreFixes))
		},
	},
	{
		Code:  "allowed-address-is-another",
		Title: "the address on the list of allowed hosts is not the one that is asked for",
		Stage: StageHost,
		Seen:  "checks fail by turns, or from one checker only, though the target's private address is allowed as Host",
		Cause: "the Host of a check is not always the address that was put on the list: a public address, a second interface, a new instance's",

		Fixes:   []Fix{{"", "answer {path} before the Host is checked: exempt the path, not an\naddress; triage listen shows which Host really comes"}},
		Wrong:   Wrong{"adding one address after the other, then '*'", "the next replaced instance fails again, or every Host is accepted"},
		Sources: []string{"xormedia.com, Elastic Beanstalk and ALLOWED_HOSTS", "thecoderscamp.com"},
		Unseen:  true,
	},
}

// refusal is how an application says that it does not know a Host.
type refusal struct {
	software string // of hostFixes
	who      string
	setting  string // that holds the names
	says     string // what the answer shows, for people
	weight   func(evidence ...string) clue
	shows    func(*kase) bool
}

// refusals are words that only a refused Host has, but for Django's page, which has mostly that reason.
var refusals = [...]refusal{
	{"Django", "Django", "ALLOWED_HOSTS", "the body is Django's page for a bad request", fitting, isDjango400},
	{"Django", "Django", "ALLOWED_HOSTS", "the body says: DisallowedHost", certainly, isDjangoDebug},
	{"Starlette", "Starlette", "TrustedHostMiddleware", "the body says: Invalid host header", certainly,
		func(c *kase) bool { return c.x.Status == 400 && c.text() == "Invalid host header" }},
	{"Flask", "Flask", "TRUSTED_HOSTS", "the body says: Host … is not trusted", certainly,
		func(c *kase) bool {
			return c.x.Status == 400 && c.bodyHas("<p>Host &#39;") && c.bodyHas("&#39; is not trusted.</p>")
		}},
	{"ASP.NET", "ASP.NET Core's host filtering, or http.sys,", "AllowedHosts, or the bindings of IIS", "the body says: Bad Request - Invalid Hostname", certainly,
		func(c *kase) bool { return c.x.Status == 400 && c.bodyHas("Bad Request - Invalid Hostname") }},
	{"Symfony", "Symfony", "trusted_hosts", "the body says: Untrusted Host", certainly,
		func(c *kase) bool { return c.x.Status == 400 && c.bodyHas("Untrusted Host &quot;") }},
	{"Drupal", "Drupal", "trusted_host_patterns", "the body says: The provided host name is not valid for this server", certainly,
		func(c *kase) bool {
			return c.x.Status == 400 && c.bodyHas("The provided host name is not valid for this server.")
		}},
	{"Homepage", "Homepage", "HOMEPAGE_ALLOWED_HOSTS", "the body says: Host validation failed", certainly,
		func(c *kase) bool { return c.x.Status == 400 && c.bodyHas(`"Host validation failed. `) }},
	{"Vite", "the dev or preview server of Vite", "allowedHosts", "the body says: Blocked request. This host … is not allowed", certainly,
		func(c *kase) bool { return c.x.Status == 403 && c.bodyHas("Blocked request. This host (") }},
	{"webpack", "webpack-dev-server", "allowedHosts", "the body says: Invalid Host header", certainly,
		func(c *kase) bool { return c.x.Status == 403 && c.text() == "Invalid Host header" }},
	{"MCP", "the guard of an MCP server", "its allowed hosts", "the body says: Invalid Host", certainly,
		func(c *kase) bool {
			return c.x.Status == 403 && c.bodyHas(`"Invalid Host: `) || c.x.Status == 403 && c.bodyHas(`"Invalid Host header: `) ||
				c.x.Status == 421 && c.text() == "Invalid Host header"
		}},
	{"Rails", "Rails", "config.hosts", "the body says: Blocked host", certainly,
		func(c *kase) bool {
			return c.x.Status == 403 && (c.bodyHas("<h1>Blocked host: ") || c.bodyHas("<h1>Blocked hosts: "))
		}},
	{"Ember", "Ember's FastBoot", "hostAllowList", "the body says: The host header did not match", certainly,
		func(c *kase) bool {
			return c.bodyHas("The host header did not match a hostWhitelist entry") || c.bodyHas("The host header did not match a hostAllowList entry")
		}},
	{"Go", "the program's host check (unrolled/secure)", "AllowedHosts", "the body says: Bad Host", certainly,
		func(c *kase) bool { return c.x.Status == 500 && c.text() == "Bad Host" }},
}

// refusalOf finds the words of a refused Host in an answer.
func refusalOf(c *kase) (refusal, bool) {
	for _, r := range refusals {
		if r.shows(c) {
			return r, true
		}
	}
	return refusal{}, false
}

// matchRefused takes no answer of 400 or 421 over TLS, which may be about the server name (SNI) beside the Host.
func matchRefused(c *kase) clue {
	r, known := refusalOf(c)
	switch {
	case c.x.Outcome != triage.CodeMismatch:
		return no
	case c.mismatch(400) && strings.Contains(c.host(), "_") && (!known || r.software == "Django"):
		return no // the underscore may be the reason by itself: host-underscore asks
	case known:
		return r.weight(c.statusLine(), "Host: "+c.host(), r.says)
	case c.mismatch(403) && c.x.BodySize == 0 && c.kind() == "text/html":
		return maybe(c.statusLine(), "Host: "+c.host(), "the page is empty, as of Rails for a Host that is not in config.hosts")
	case c.mismatch(403) || c.mismatch(400, 421) && !c.encrypted():
		return maybe(c.statusLine(), "Host: "+c.host())
	}
	return no
}

// proveRefused asks for a Host that the application knows. Where the answer's own words do not say that the Host is the
// reason, one that nobody knows must fail as before: else it is chance, or the address as such.
func proveRefused(in *inquiry) finding {
	r, known := refusalOf(in.kase)
	if !known {
		found, address := in.hangsOnHost()
		if found.kind == proved && !address && in.perhapsServerPage() {
			return undecided("") // the server in front has a site for other names that refuses: host-not-routed
		}
		return found
	}
	if text, ok := in.answersTo(in.names()...); ok {
		return proof(text)
	}
	if r.weight().weight < sure && in.refusesOtherwise() {
		return doubt("")
	}
	if _, asked := in.asked[dialect.Variation{Host: "localhost"}]; !asked {
		return undecided("")
	}
	return undecided("none yet: Host localhost is refused too. Ask again with --public-host and a name from " + r.setting + "; a 200 proves it")
}

// refusesOtherwise reports whether a page that an application sends for other reasons too is not about the Host: where it
// answers the site's public name, and where it is not the page of other paths, whose Host is the same.
func (in *inquiry) refusesOtherwise() bool {
	if public := in.publicHost(); public != "" {
		return in.failsLike(in.asked[dialect.Variation{Host: public}])
	}
	question := dialect.Variation{Path: "/"}
	if in.isRoot() {
		question = in.pathBeside()
	}
	answer := in.ask(question)
	return answer != nil && answer.x.Status != 0 && answer.x.Status != 429 && !in.failsLike(answer)
}

// names are the Host values to try: of the public ones the best known, then those that many lists have. Where no public one
// is known there is time for a list that wants the port as well.
func (in *inquiry) names() []string {
	const public = 2
	names := append(in.hosts[:min(len(in.hosts), public):min(len(in.hosts), public)], "localhost", "127.0.0.1")
	if port := in.x.Address.Port(); len(in.hosts) == 0 && port != 0 && port != 80 {
		names = append(names, fmt.Sprintf("localhost:%d", port))
	}
	return names
}

// nobody is a name that no server knows (RFC 2606).
const nobody = "nonsense.invalid"

// hangsOnHost proves that the Host decides: with a name that is known the check passes, and with one that nobody has it
// fails as it did. Where that one passes too, the Host may have been refused because it is an address: then another address
// must fail. One of the two must fail, or it may all have been chance.
func (in *inquiry) hangsOnHost() (found finding, address bool) {
	const other = "127.0.0.1"
	text, ok := in.answersTo(in.names()...)
	if !ok {
		return undecided(""), false
	}
	unknown := in.ask(dialect.Variation{Host: nobody})
	switch {
	case in.failsLike(unknown):
		text = fmt.Sprintf("%s; with Host %s, which nobody has: %s", text, nobody, Brief(unknown.x))
	case unknown.passes() && isAddress(in.host()):
		answer := in.ask(dialect.Variation{Host: other})
		if !in.failsLike(answer) {
			return undecided(""), false
		}
		text, address = fmt.Sprintf("%s, and so with any name; with Host %s, an address as well: %s", text, other, Brief(answer.x)), true
	default:
		return undecided(""), false
	}
	return proof(text), address
}

// failsLike reports whether an answer to a second question is as the check's own.
func (in *inquiry) failsLike(answer *kase) bool {
	return answer != nil && answer.x.Outcome == in.x.Outcome && answer.x.Status == in.x.Status
}

// answersTo asks with one Host after the other until the check passes.
func (in *inquiry) answersTo(hosts ...string) (text string, ok bool) {
	for _, host := range hosts {
		if host == in.host() {
			continue
		}
		question := dialect.Variation{Host: host}
		if answer := in.ask(question); answer.passes() {
			return says(question, answer), true
		}
	}
	return "", false
}

// isDjango400 recognises the page that Django sends for every bad request when DEBUG is off; DisallowedHost is
// by far the most common.
func isDjango400(c *kase) bool { return c.bodyHas("<h1>Bad Request (400)</h1>") }

// isDjangoDebug recognises the page that Django sends for a refused Host when DEBUG is on.
func isDjangoDebug(c *kase) bool { return c.bodyHas("<title>DisallowedHost") }
