package diagnose

import (
	"slices"
	"strings"

	"github.com/triage-lb/triage/internal/dialect"
)

var authEntries = []*Entry{
	{
		Code:  "auth-required",
		Title: "the health check is asked to log in",
		Stage: StageAuth,
		Seen:  "401, mostly with WWW-Authenticate; or 403 with words that miss credentials",
		Cause: "the path wants credentials, and a load balancer has none",

		Decides: "the same request with the site's public name as Host: is that asked to log in as well?",
		Fixes:   authFixes[:],
		Wrong:   Wrong{"adding 401 to the success codes", "the login answers so whatever state the application behind it is in"},
		Sources: []string{"nginx 1.22.1 (auth_basic), tried", "RFC 9110 section 11", "kafka-ui #1257", "kairosdb #279",
			"FastAPI 0.92 (HTTPBearer), tried", "Django REST framework 3.14, exceptions.py"},

		match: func(c *kase) clue {
			switch {
			case !c.missesCredentials() && c.mismatch(401):
				return fitting(c.statusLine())
			case !c.missesCredentials():
				return no
			case c.mismatch(401):
				return certainly(c.withFields(c.statusLine(), "WWW-Authenticate")...)
			}
			return certainly(c.statusLine(), "it says "+c.missing())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesOtherwise(); ok {
				return disproof(text)
			}
			// A bare 401 by any name may be for a User-Agent.
			if named, text := in.byName(); named != nil && text != "" && named.missesCredentials() {
				return proof(text)
			}
			return undecided("")
		},
		tell: func(c *kase) (cause, fix string) {
			cause = c.fill("{path} wants credentials, and a load balancer has none")
			if scheme, _, _ := strings.Cut(c.header("WWW-Authenticate"), " "); scheme != "" {
				cause = c.fill("{path} wants credentials (") + scheme + "), and a load balancer has none"
			}
			return cause, c.cure(authFixes[:])
		},
	},
	{
		Code:    "management-port-secured",
		Title:   "an upgrade has put the management port behind the login",
		Stage:   StageAuth,
		Seen:    "401 at the management port since an upgrade to Spring Boot 4",
		Cause:   "since Spring Boot 4 the application's security filters also guard the management port, where health was open before",
		Decides: "whether the 401 began with the upgrade",
		Fixes:   []Fix{{"Spring Boot", "in the SecurityFilterChain:\n    http.authorizeHttpRequests(r -> r.requestMatchers(\n        EndpointRequest.to(\"health\")).permitAll());"}},
		Wrong:   Wrong{"permitting all endpoints of the actuator", "env, heapdump and loggers are then open to whoever reaches the port"},
		Sources: []string{"faf-java-api #1138"},
		Unseen:  true,
	},
	{
		Code:    "directory-listing-denied",
		Title:   "the path is a directory without an index page",
		Stage:   StageAuth,
		Seen:    "nginx's or Apache's 403 at a path that ends with a slash, where a file that nobody has is 404",
		Cause:   "{path} is a directory that has no index page, and the server does not list directories",
		Decides: "the same request to a file in that directory which nobody has: 404 means that the directory itself is not forbidden",
		Fixes: []Fix{
			{"", "put an index page there, or let the check ask for a file that exists"},
			{"nginx", "in nginx: an index.html in the root, or a path for the check:\n    location = /health { proxy_pass http://APP; }\nthe error log has: directory index of \"…\" is forbidden"},
			{"Apache", "an index.html in DocumentRoot, or a path that exists; the error log\nhas AH01276: Cannot serve directory"},
		},
		Wrong:   Wrong{"adding 403 to the success codes", "a firewall's refusal passes as well, and so does an empty document root after a failed deployment"},
		Sources: []string{"nginx 1.22.1 and Apache 2.4, tried", "dev.classmethod.jp"},

		match: func(c *kase) clue {
			if !c.mismatch(403) || !strings.HasSuffix(c.path(), "/") || c.lister() == "" {
				return c.perhaps(403)
			}
			return maybe(c.statusLine(), "the path ends with a slash", "the page is "+c.lister()+"'s own")
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{Path: in.sibling()}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.x.Status == 404 && answer.lister() == in.lister():
				return proof(says(question, answer))
			case answer.x.Status == 403:
				return disproof(says(question, answer))
			}
			return undecided("")
		},
	},
	{
		Code:    "source-not-allowed",
		Title:   "the server answers only to addresses that it knows",
		Stage:   StageAuth,
		Seen:    "403 (GitLab: 404) from afar, answered from the machine itself",
		Cause:   "the server answers the same request to its own machine and refuses it from elsewhere: an allow-list that does not hold the load balancer's addresses",
		Decides: "the same request on the target itself, at 127.0.0.1",
		Fixes: []Fix{
			{"", "let the load balancer's subnets ask for {path}, and nothing else;\nbehind a proxy the list may see the proxy's address alone"},
			{"nginx", "in nginx:\n    location = {path} {\n        allow LB-SUBNET; deny all;\n        proxy_pass http://APP;\n    }"},
			{"Apache", "in Apache:\n    <Location {path}>\n        Require ip LB-SUBNET\n    </Location>"},
			{"GitLab", "gitlab.rb:\n    gitlab_rails['monitoring_whitelist'] =\n        ['127.0.0.0/8', 'LB-SUBNET']"},
		},
		Wrong:   Wrong{"allowing everybody, or adding 403 to the success codes", "the list was there for a reason; and a refusal says nothing about the application"},
		Sources: []string{"nginx 1.22.1 and Apache 2.4, tried", "docker-gitlab #2766", "posthog #3027", "frankframework #7633"},

		match: func(c *kase) clue {
			switch {
			case c.mismatch(403):
				return maybe(c.statusLine())
			case c.mismatch(404) && c.gitLabMonitoring():
				return maybe(c.statusLine(), "GitLab answers 404 here to whoever is not on its monitoring list")
			}
			return no
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{At: dialect.Loopback, Host: in.host()} // a guard may know 127.0.0.1 as Host
			// Another program may have the port on loopback: that would show nothing.
			if answer := in.ask(question); answer.passes() && answer.x.Status != 0 && answer.server() == in.server() {
				return proof(says(question, answer))
			}
			return undecided("")
		},
	},
}

var authFixes = [...]Fix{
	{"", "let {path}, that path exactly, be answered before the login, with a\nshort text that gives nothing away"},
	{"nginx", "in nginx, beside the location that has auth_basic:\n    location = {path} { auth_basic off; proxy_pass http://APP; }"},
	{"Apache", "in Apache:\n    <Location {path}>\n        Require all granted\n    </Location>"},
	{"Django", "the view of {path} (Django REST framework):\n    @authentication_classes([])\n    @permission_classes([AllowAny])"},
	{"Spring Boot", "in the SecurityFilterChain:\n    http.authorizeHttpRequests(r -> r.requestMatchers(\n        EndpointRequest.to(\"health\")).permitAll());"},
	{"ASP.NET", "Program.cs:\n    app.MapHealthChecks(\"{path}\").AllowAnonymous();"},
	{"Express", "above the middleware that wants a login:\n    app.get('{path}', (req, res) => res.send('ok'))"},
	{"Rails", "in the controller of {path}:\n    skip_before_action :authenticate_user!"},
	{"Kubernetes", "the API server answers /livez and /readyz to nobody in particular\nunless --anonymous-auth=false"},
}

// credentialWords are what software says in a 403 that is about missing credentials: Django REST framework, FastAPI
// (HTTPBearer), and the API server of Kubernetes for a request without a token.
var credentialWords = [...]string{
	"Authentication credentials were not provided.",
	`{"detail":"Not authenticated"}`,
	`User \"system:anonymous\" cannot get path`,
}

// missesCredentials reports whether an answer says that credentials are missing: by a challenge (RFC 9110 section 11.6.1),
// or in words.
func (c *kase) missesCredentials() bool {
	switch {
	case c.mismatch(401):
		return c.has("WWW-Authenticate")
	case c.mismatch(403):
		return c.missing() != ""
	}
	return false
}

// missing are the credentialWords that the content has; "" if it has none.
func (c *kase) missing() string {
	for _, words := range credentialWords {
		if c.bodyHas(words) {
			return words
		}
	}
	return ""
}

// lister is the server, of those that serve directories, that has written the page of an error itself; "" if none has.
func (c *kase) lister() string {
	switch {
	case c.nginxPage():
		return "nginx"
	case slices.Contains([]int{403, 404}, c.x.Status) && strings.EqualFold(c.server(), "Apache") && c.bodyHas(`"-//`):
		return "Apache"
	}
	return ""
}
