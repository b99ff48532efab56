package diagnose

import "strings"

// mark is how a kind of software shows itself in an answer.
type mark struct {
	software string
	shows    func(*kase) bool
}

// marks are in no order: an answer may show several, the proxy in front and the application behind it.
var marks = [...]mark{
	{"nginx", serverIs("nginx")},
	{"nginx", bodyShows("<center>nginx")}, // nginx's own page, not one that it passes on
	{"Apache", serverIs("Apache")},
	{"Caddy", serverIs("Caddy")},
	{"Envoy", serverIs("envoy")},
	{"Envoy", serverIs("istio-envoy")},
	{"HAProxy", bodyShows("No server is available to handle this request.")},
	{"gunicorn", serverIs("gunicorn")},
	{"Django", func(c *kase) bool { return c.bodyHas("<h1>Bad Request (400)</h1>") }},
	{"Django", func(c *kase) bool {
		return c.has("Cross-Origin-Opener-Policy") && c.header("X-Frame-Options") == "DENY"
	}},
	{"Express", func(c *kase) bool { return c.header("X-Powered-By") == "Express" }},
	{"Flask", serverIs("Werkzeug")},
	{"Starlette", serverIs("uvicorn")},
	{"ASP.NET", serverIs("Kestrel")},
	{"ASP.NET", serverIs("Microsoft-IIS")},
	{"Jetty", func(c *kase) bool { return strings.HasPrefix(c.header("Server"), "Jetty(") }},
	{"Next.js", func(c *kase) bool { return c.header("X-Powered-By") == "Next.js" }},
	{"PHP", func(c *kase) bool { return strings.HasPrefix(c.header("X-Powered-By"), "PHP/") }},
	{"WordPress", func(c *kase) bool { return c.header("X-Redirect-By") == "WordPress" }}, // wp_redirect, since WordPress 5.1
	{"HAProxy", bodyShows("The server didn't respond in time.")},                          // this and the next: HAProxy 2.6.12, its own 504 and 502
	{"HAProxy", bodyShows("The server returned an invalid or incomplete response.")},
	{"Django", bodyShows("<p>The requested resource was not found on this server.</p>")},                                // Django 3.2, django/views/defaults.py
	{"Django", bodyShows("<h1>Server Error (500)</h1>")},                                                                // likewise
	{"Django", bodyShows("<code>DEBUG = True</code> in")},                                                               // Django 3.2, its pages with DEBUG on
	{"Flask", bodyShows("If you entered the URL manually please check your spelling")},                                  // Werkzeug 2.2, exceptions.NotFound
	{"Spring Boot", func(c *kase) bool { return strings.HasPrefix(c.kind(), "application/vnd.spring-boot.actuator.") }}, // ApiVersion.java
}

// is reports whether the answer shows this software.
func (c *kase) is(software string) bool {
	for _, m := range marks {
		if m.software == software && m.shows(c) {
			return true
		}
	}
	return false
}

// serverIs recognises the name before the slash of a Server field, in any case.
func serverIs(name string) func(*kase) bool {
	return func(c *kase) bool { return strings.EqualFold(c.server(), name) }
}

func bodyShows(text string) func(*kase) bool {
	return func(c *kase) bool { return c.bodyHas(text) }
}
