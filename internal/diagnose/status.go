package diagnose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage/internal/dialect"
)

var statusEntries = slices.Concat(codeEntries, gatewayEntries, stateEntries)

// codeEntries are about answers whose code says most.
var codeEntries = []*Entry{
	{
		Code:    "health-path-404",
		Title:   "the server finds no page at the path of the health check",
		Stage:   StageStatus,
		Seen:    "404 at the check's path, with the public host name too, while another path of the same site is answered",
		Cause:   "the server answers, and finds no page {path}: the path of the health check is wrong, the application has no route for this request, or the application behind this path is not deployed",
		Decides: "the same request to / and to a path that nobody has, and with the site's public name as Host",
		Fixes:   noPageFixes[:],
		Wrong:   Wrong{"adding 404 to the success codes", "a server that has lost all its pages passes, and so does one that serves another site"},
		Sources: []string{"nginx 1.22.1, Express 5, Fastify 5, Flask 2.2, Django 3.2, tried", "kubernetes #45438"},

		match: func(c *kase) clue {
			if !c.mismatch(404) || c.goneFromApollo() || c.gitLabMonitoring() || c.server() == "Microsoft-HTTPAPI" {
				return no
			}
			if words, ok := c.routerSays(); ok {
				return maybe(c.statusLine(), words)
			}
			return maybe(c.statusLine())
		},
		prove: (*inquiry).noPageHere,
	},
	{
		Code:    "endpoint-moved",
		Title:   "the health endpoint has moved in a newer version",
		Stage:   StageStatus,
		Seen:    "404 at a path that older versions of the same software answered",
		Cause:   "{path} is where older versions answered health checks; newer ones have moved or dropped it",
		Decides: "which version runs, and what its release notes say of {path}",
		Fixes: []Fix{
			{"", "probe the place of the version that runs:\n    Keycloak: /health/ready on the management port, 9000\n    Apollo Server 4 on: none; write a route of your own\n    Spring Boot: management.server.port and .base-path decide"},
		},
		Wrong:   Wrong{"adding 404 to the success codes", "an application that has lost all its pages passes"},
		Sources: []string{"keycloak #37737", "api.serlo.org #974", "apollo-server #7665"},

		match: func(c *kase) clue {
			if !c.mismatch(404) || !c.goneFromApollo() {
				return no
			}
			if words, ok := c.routerSays(); ok {
				return maybe(c.statusLine(), words, "Apollo Server 3 answered health checks at "+apolloHealth)
			}
			return maybe(c.statusLine(), "Apollo Server 3 answered health checks at "+apolloHealth)
		},
		prove: (*inquiry).noPageHere,
	},
	{
		Code:    "success-code-204",
		Title:   "the target answers 204, and the check wants another code",
		Stage:   StageStatus,
		Seen:    "204 No Content to a check whose success codes do not hold it, with GET and with the public host name too",
		Cause:   "the target answers 204 No Content, which this check does not count as a success",
		Decides: "the same request with GET, and with the site's public name as Host",
		Fixes:   []Fix{{"", answer200}},
		Sources: []string{"Google Cloud: health checks want 200", "AWS: Classic Load Balancer wants 200"},

		match: func(c *kase) clue {
			if !c.mismatch(204) {
				return no
			}
			return certainly(c.statusLine())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesOtherwise(); ok {
				return disproof(text)
			}
			if named, text := in.byName(); named != nil && named.x.Status == 204 {
				return proof(text)
			}
			return undecided("")
		},
		tell: func(c *kase) (cause, fix string) {
			cause = "the target answers 204 No Content, which this check does not count as a success"
			if spec, err := dialect.Lookup(string(c.x.Dialect)); err == nil && spec.LegalCodes.Match(204) {
				return cause, "add 204 to the check's success codes, if a healthy target answers\nso; or " + c.fill("let {path} answer 200 with a short body")
			}
			return cause, c.fill(answer200)
		},
	},
	{
		Code:    "rate-limited",
		Title:   "a rate limit counts the health checks",
		Stage:   StageStatus,
		Seen:    "429, mostly with Retry-After or RateLimit fields, or nginx's own page for 503; answered again after a rest",
		Cause:   "a rate limit refuses the check: its budget is used up, often because all clients behind the load balancer share one address",
		Decides: "the same request after a rest of some seconds, and again right after it",
		Fixes: []Fix{
			{"", "answer {path} before the limit is counted; a limit by address counts\nall clients of a proxy as one unless it reads X-Forwarded-For"},
			{"nginx", "in nginx, beside the location that has limit_req:\n    location = {path} { proxy_pass http://APP; }\nand let a limit show itself: limit_req_status 429;"},
			{"Express", "above app.use(limiter):\n    app.get('{path}', (req, res) => res.send('ok'))"},
			{"Django", "keep the throttle off the view:\n    throttle_classes = []"},
		},
		Wrong:   Wrong{"raising the budget until the check passes", "the limit is then too wide against abuse, and it still fails when traffic grows"},
		Sources: []string{"nginx 1.22.1 (limit_req, 503 and 429), tried", "RFC 6585 section 4", "openverse #1924", "discourse #41569"},

		match: func(c *kase) clue {
			switch {
			case c.mismatch(429) && !c.asksVault():
				evidence := c.withFields(c.statusLine(), limitFields[:]...)
				if len(evidence) == 1 {
					return maybe(evidence...) // firewalls answer so to a User-Agent, applications to a Host
				}
				return fitting(evidence...)
			case c.codeAlone(503):
				return maybe(c.statusLine())
			case c.mismatch(503) && c.nginxPage():
				return maybe(c.statusLine(), "nginx's own page, as limit_req sends it")
			}
			return no
		},
		prove: provesRateLimit,
	},
	{
		Code:    "server-error",
		Title:   "the server answers 500 to this request",
		Stage:   StageStatus,
		Seen:    "500, with GET and with the public host name too",
		Cause:   "what answers {path} fails with 500: mostly the application, sometimes the configuration of the server in front of it, or a Host that it cannot deal with",
		Decides: "the same request with GET and with the site's public name as Host; then the log at the time of the check",
		Fixes:   errorFixes[:],
		Wrong:   Wrong{"a tcp check in place of the http check", "it passes, and users get the 500"},
		Sources: []string{"Django 3.2, Flask 2.2, Express 5, Fastify 5, HAProxy 2.6.12 (tarpit, deny_status 500), tried", "chongkim.org, Health Check on a Django Server, 2018"},

		match: func(c *kase) clue {
			switch {
			case !c.mismatch(500):
				return no
			case c.bodyHas(noWordPressDB):
				return certainly(c.statusLine(), "it says "+noWordPressDB)
			case c.method() != "GET" && c.method() != "":
				return maybe(c.statusLine(), c.method()+" was asked")
			}
			return fitting(c.statusLine())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesOtherwise(); ok {
				return disproof(text) // then it is the method or the Host that it cannot bear
			}
			if question := (dialect.Variation{Host: "localhost"}); in.host() != "localhost" {
				if answer := in.ask(question); answer.passes() {
					return disproof(says(question, answer))
				}
			}
			switch named, text := in.byName(); {
			case in.bodyHas(noWordPressDB):
				return undecided("")
			case named != nil && named.x.Status != in.x.Status:
				return doubt("") // it may be for want of the name
			case named == nil || text == "":
				return undecided("")
			default:
				return proof(text)
			}
		},
		tell: func(c *kase) (cause, fix string) {
			switch {
			case c.nginxPage():
				return c.fill("nginx itself answers 500 at {path}: an internal redirect that never ends or a failed auth_request are usual, and a return 500 is possible"),
					"nginx's error log has a line for each of these answers, unless its\nconfiguration says return 500:\n    tail /var/log/nginx/error.log"
			case c.apachePage("500 Internal Server Error"):
				return c.fill("Apache itself answers 500 at {path}: a .htaccess that it cannot read, or a script that broke off"),
					"Apache's error log has a line for each of these answers:\n    tail /var/log/apache2/error.log"
			case c.bodyHas(haproxy500):
				return "HAProxy itself answers 500, and has asked no application: a rule says so (http-request tarpit, deny), or it is at a limit of its own",
					"which rule is it? HAProxy's log has PR or PT in its termination\nstate for what a rule refused:\n    grep -n 'tarpit\\|deny' /etc/haproxy/haproxy.cfg"
			case c.bodyHas(noWordPressDB):
				return "WordPress cannot reach its database", c.fill("wp-config.php: is DB_HOST right, and does the database run?\n    php -r 'mysqli_connect(HOST, USER, PASSWORD);'")
			}
			return c.fill("what answers {path} fails with 500: mostly the application, sometimes the configuration of the server in front of it, or a Host that it cannot deal with"), c.cure(errorFixes[:])
		},
	},
	{
		Code:    "maintenance-mode",
		Title:   "the site is switched off for maintenance",
		Stage:   StageStatus,
		Seen:    "503 with Retry-After, or with the words of a maintenance page, at every path",
		Cause:   "the application is in maintenance mode: it answers 503 on purpose until somebody switches it on again",
		Decides: "whether somebody has switched the site off: Laravel php artisan up, WordPress the file .maintenance",
		Fixes: []Fix{
			{"", "switch maintenance off; if targets shall stay in rotation meanwhile,\nlet {path} be answered in that mode too:\n    Laravel: php artisan up\n    WordPress: rm .maintenance in its root, if no update runs"},
			{"PHP", "WordPress: remove .maintenance from its root, if no update runs\n    Laravel: php artisan up"},
		},
		Wrong:   Wrong{"adding 503 to the success codes", "503 is also what overloaded and broken targets answer"},
		Sources: []string{"WordPress 6.1, wp-includes/load.php", "RFC 9110 section 15.6.4"},

		match: func(c *kase) clue {
			switch {
			case !c.mismatch(503):
				return no
			case c.bodyHas("Briefly unavailable for scheduled maintenance. Check back in a minute."):
				return certainly(c.withFields(c.statusLine(), "Retry-After")...)
			case c.has("Retry-After"):
				return maybe(c.withFields(c.statusLine(), "Retry-After")...)
			case c.codeAlone(503):
				return maybe(c.statusLine())
			case c.nginxPage() || c.apachePage("503 Service Unavailable"):
				return maybe(c.statusLine(), "the server's own page")
			}
			return no
		},
	},
	{
		Code:    "numeric-host-refused",
		Title:   "a firewall in front refuses a Host that is an address",
		Stage:   StageStatus,
		Seen:    "403 where Host is an address, answered where it is any name; an id of 920350 in the firewall's log",
		Cause:   "a rule of the firewall in front (ModSecurity's is 920350) refuses requests whose Host is an address, and the load balancer asks by the target's address",
		Decides: "the same request with a name that nobody has as Host, and with another address",
		Fixes: []Fix{
			{"", "exempt the path from that one rule, for the load balancer's subnet:\n    SecRule REQUEST_URI \"@streq {path}\" \\\n        \"id:1000,phase:1,nolog,pass,ctl:ruleRemoveById=920350\""},
		},
		Wrong:   Wrong{"removing the rule for all requests", "scanners that go by address are then let through as well"},
		Sources: []string{"ModSecurity with the core rule set 3.3 in Apache 2.4, tried", "coreruleset #3673", "ingress-nginx #8974"},
		Unseen:  true,
	},
}

var noPageFixes = [...]Fix{
	{"", "set the check's path to one that the application has, up to its last\nslash, or give the application a route {path}"},
	{"nginx", "in nginx, in the server block of the site:\n    location = {path} { proxy_pass http://APP; }"},
	{"Apache", "is the file in DocumentRoot, or the path in a ProxyPass?\n    ProxyPass {path} http://127.0.0.1:PORT{path}"},
	{"Express", "above the routes that need a session:\n    app.get('{path}', (req, res) => res.send('ok'))"},
	{"Django", "urls.py:\n    path('NAME', lambda request: HttpResponse('ok'))"},
	{"Flask", "@app.get('{path}')\ndef health(): return 'ok'"},
	{"Starlette", "@app.get('{path}')\ndef health(): return {'status': 'ok'}"},
	{"Rails", "config/routes.rb (Rails 7.1 on has the controller):\n    get '{path}' => 'rails/health#show'"},
	{"Spring Boot", "with spring-boot-starter-actuator the path is /actuator/health;\nmanagement.endpoints.web.base-path moves it"},
	{"Kubernetes", "declare a readinessProbe with the path: an ingress of GKE takes\nits health check from there"},
}

var errorFixes = [...]Fix{
	{"", "read the application's log at the time of the check, and that of a\nserver in front of it; what the check gets, users may get too"},
	{"Django", "the traceback is in the log of the process (logger django.request)\nand in mails to ADMINS"},
	{"Flask", "the traceback is on the standard error of the process"},
	{"Express", "the stack trace is on the standard error of the process"},
	{"Rails", "log/production.log, by the X-Request-Id of the answer"},
}

// What WordPress (wp-includes/functions.php, dead_db) and HAProxy 2.6.12 (its own page, tried) say with 500.
const (
	noWordPressDB = "Error establishing a database connection"
	haproxy500    = "<h1>500 Internal Server Error</h1>\nAn internal server error occurred.\n"
)

// limitFields are what a limit says of itself: RFC 6585, draft-ietf-httpapi-ratelimit-headers, and what was usual before.
var limitFields = [...]string{"Retry-After", "RateLimit", "RateLimit-Policy", "RateLimit-Limit", "X-RateLimit-Limit"}

const answer200 = "answer 200 with a short body at {path}: every load balancer takes it"

// routerSays are the words by which a router says that it has no such route, naming the path: then the path was read by
// the application itself, and no other site has answered in its place. (Express: finalhandler; NestJS wraps the same words
// in JSON; Fastify; Django's page with DEBUG on, which lists the patterns that it tried.)
func (c *kase) routerSays() (words string, ok bool) {
	method, path := cmp.Or(c.method(), "GET"), c.path()
	if path == "" || method != "GET" && method != "HEAD" {
		return "", false
	}
	for _, words := range [...]string{
		"<pre>Cannot " + method + " " + path + "</pre>",
		`"message":"Cannot ` + method + " " + path + `"`,
		`"message":"Route ` + method + ":" + string(c.asked.Target) + ` not found"`,
		"The current path, <code>" + strings.TrimPrefix(path, "/") + "</code>,",
	} {
		if c.bodyHas(words) {
			return strings.NewReplacer("<pre>", "", "</pre>", "", "<code>", "", "</code>,", " matches no URL pattern").Replace(words), true
		}
	}
	return "", false
}

// noPageHere proves that the site itself has no page at this path: by its public name the path is unknown as well, and its
// router says so; or another path is answered, and one that nobody has is answered like this one. Without a public name
// another site of the same server may have answered, be it of the same software: then nothing is proved.
func (in *inquiry) noPageHere() finding {
	if method := in.method(); method != "GET" && method != "" {
		question := dialect.Variation{Method: "GET"}
		if answer := in.ask(question); answer != nil && answer.x.Status != in.x.Status {
			return disproof(says(question, answer))
		}
	}
	named, text := in.byName()
	switch {
	case named == nil || in.path() == "/":
		return undecided("")
	case named.passes():
		return disproof(text)
	case named.x.Status != in.x.Status:
		return undecided("")
	}
	if _, ok := named.routerSays(); ok && text != "" {
		return proof(text + ", in the words of its router")
	}
	// An application that looks a thing up and does not find it says so in other words than its router.
	root, sibling := dialect.Variation{Path: "/"}, dialect.Variation{Path: in.sibling()}
	atRoot, atSibling := in.ask(root), in.ask(sibling)
	if !atRoot.passes() || atRoot.x.Status/100 != 2 || atSibling == nil || atSibling.x.Status != in.x.Status || !in.saysTheSame(atSibling) {
		return undecided("")
	}
	return proof(says(root, atRoot) + "; with " + sibling.String() + ": " + Brief(atSibling.x))
}

// saysTheSame reports whether two answers differ by no more than their paths, with or without the slash, and what is new in
// each: times, lengths, tokens.
func (c *kase) saysTheSame(other *kase) bool {
	words := func(of *kase) string {
		return passing.ReplaceAllString(strings.ReplaceAll(of.text(), strings.Trim(of.path(), "/"), "path"), "0")
	}
	return words(c) == words(other)
}

var passing = regexp.MustCompile(`[A-Za-z0-9+/=_-]{16,}|[0-9]+`)

// provesRateLimit asks after a rest: what is answered then was refused for the number of requests. What is not may have been
// refused for its Host or method. nginx's page for 503 has other reasons too: then the next question, right after the one
// that was answered, has to fail again.
func provesRateLimit(in *inquiry) finding {
	const rest = 2 * time.Second
	rested := dialect.Variation{Pause: rest}
	var answer *kase
	if wait, err := strconv.Atoi(in.header("Retry-After")); err != nil || time.Duration(wait)*time.Second <= rest {
		answer = in.ask(rested)
	}
	if !answer.passes() {
		if text, ok := in.passesOtherwise(); ok {
			return disproof(text)
		}
		return undecided("")
	}
	text := says(rested, answer)
	if in.x.Status == 429 {
		return proof(text)
	}
	again := dialect.Variation{Method: "HEAD"}
	if in.method() == "HEAD" {
		again.Method = "GET"
	}
	if next := in.ask(again); next != nil && next.x.Status == in.x.Status {
		return proof(text + "; and right after it " + Brief(next.x) + " again")
	}
	return undecided("none: " + text + ", so it comes and goes")
}

// apolloHealth is the health endpoint of Apollo Server until version 3.
const apolloHealth = "/.well-known/apollo/server-health"

func (c *kase) goneFromApollo() bool { return c.path() == apolloHealth }

// gitLabMonitoring reports whether the path is one that GitLab answers to its monitoring list alone, with 404 to all others.
func (c *kase) gitLabMonitoring() bool {
	return slices.Contains([]string{"/-/health", "/-/liveness", "/-/readiness"}, c.path())
}

// sibling is a path beside the check's that nobody has.
func (c *kase) sibling() string { return c.path() + "-nonsense" }

// withFields adds those fields of the answer that are there to what else is evidence.
func (c *kase) withFields(evidence string, names ...string) []string {
	all := []string{evidence}
	for _, name := range names {
		if c.has(name) {
			all = append(all, name+": "+c.header(name))
		}
	}
	return all
}

// nginxPage reports whether nginx itself has written the page of an error.
func (c *kase) nginxPage() bool {
	return c.bodyHas("<center>nginx") && c.bodyHas(fmt.Sprintf("<title>%d ", c.x.Status))
}

// apachePage reports whether Apache itself has written the page of an error, which has this title.
func (c *kase) apachePage(title string) bool {
	return strings.EqualFold(c.server(), "Apache") && c.bodyHas("<title>"+title+"</title>") && c.bodyHas(`"-//`)
}

// servesSites reports whether a server has answered that keeps several sites apart by Host.
func (c *kase) servesSites() bool {
	if c.bodyHas("<center>nginx") || c.bodyHas("<center>openresty") {
		return true
	}
	return slices.Contains([]string{"nginx", "openresty", "apache", "caddy", "litespeed", "microsoft-iis", "lighttpd", "traefik", "envoy", "istio-envoy"},
		strings.ToLower(c.server()))
}

// publicHost is the first public host name that is no address and not this machine; "" if none is known.
func (c *kase) publicHost() string {
	for _, host := range c.hosts {
		if host != "localhost" && !isAddress(host) {
			return host
		}
	}
	return ""
}

// byName is the answer to the site's public name at the check's path, and the words for it. Where the check itself asks by
// that name it is the check's, without words; it is nil if no name is known, or nobody has answered.
func (in *inquiry) byName() (named *kase, text string) {
	public := in.publicHost()
	if public == "" {
		return nil, ""
	}
	if public == in.host() {
		return in.kase, ""
	}
	question := dialect.Variation{Host: public}
	if named = in.ask(question); named == nil {
		return nil, ""
	}
	return named, says(question, named)
}

// passesByName reports whether the site's public name, if one is known, makes the check pass: then another site has
// answered in its place.
func (in *inquiry) passesByName() (text string, ok bool) {
	named, text := in.byName()
	return text, named.passes()
}

// passesOtherwise reports whether GET, where the check asks with another method, or the site's public name make it pass:
// then the answer says nothing of the target.
func (in *inquiry) passesOtherwise() (text string, ok bool) {
	if method := in.method(); method != "GET" && method != "" {
		question := dialect.Variation{Method: "GET"}
		if answer := in.ask(question); answer.passes() {
			return says(question, answer), true
		}
	}
	return in.passesByName()
}
