package diagnose

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

var httpsFixes = []Fix{
	{"", "answer {path} before the rule that redirects to https;\ndo not add {status} to the success codes: that is green\nwhile the site is down"},
	{"nginx", nginxRuleFor("{path}")},
	{"Apache", "in Apache, right above the RewriteRule that redirects:\n    RewriteCond %{REQUEST_URI} !={path}"},
	{"HAProxy", "in HAProxy, in place of the line that redirects:\n    acl health path {path}\n    http-request redirect scheme https if !health !{ ssl_fc }"},
	{"Django", djangoExemptFor("^health_check$")},
	{"Rails", "config/environments/production.rb:\n    config.ssl_options = { redirect: {\n      exclude: ->(request) { request.path == \"{path}\" } } }"},
	{"ASP.NET", "Program.cs, above UseHttpsRedirection:\n    app.UseHealthChecks(\"{path}\");"},
	{"Starlette", starletteOutside},
	{"Express", "in the app, above the middleware that redirects:\n    app.get(\"{path}\", (req, res) => res.send(\"ok\"))"},
	{"Go", "in the program, outside the handler that redirects:\n    mux.HandleFunc(\"{path}\", health)\n    mux.Handle(\"/\", redirecting(app))"},
}

var hostRedirectFixes = []Fix{
	{"", "answer {path} before the redirect to the site's name;\nexempt the path, not a User-Agent: anybody can send that"},
	{"nginx", nginxRuleFor("{path}")},
	{"Apache", "in Apache, right above the RewriteRule that redirects:\n    RewriteCond %{REQUEST_URI} !={path}"},
	{"HAProxy", "in HAProxy, above the line that redirects:\n    acl health path {path}\nand one condition more at its end:\n    if !health …"},
	{"Django", "settings.py:\n    PREPEND_WWW = False  # the proxy in front can redirect to www"},
	{"Starlette", "where TrustedHostMiddleware is added:\n    www_redirect=False  # and the health path outside of it"},
	{"WordPress", "wp-config.php, above wp-settings.php:\n    if ($_SERVER['REQUEST_URI'] === '{path}')\n        $_SERVER['HTTP_HOST'] = '{public}';"},
}

var loopFixes = []Fix{
	{"", "let {path} answer by itself, above all that redirects;\nif it swings between http and https, one side does not know that\nTLS was ended: pass X-Forwarded-Proto on, and let the application\nbelieve it"},
	{"Django", "settings.py, if the proxy in front sets this header itself:\n    SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")"},
	{"nginx", "in nginx, where it passes requests on:\n    proxy_set_header X-Forwarded-Proto $scheme;"},
	{"Rails", "config/environments/production.rb (Rails 7.1 on):\n    config.assume_ssl = true"},
	{"ASP.NET", "Program.cs, above everything else:\n    app.UseForwardedHeaders();  # with XForwardedProto in its options"},
	{"Express", "in the app, above the redirect:\n    app.set(\"trust proxy\", \"loopback, linklocal, uniquelocal\")"},
	{"WordPress", "wp-config.php, above wp-settings.php:\n    if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https')\n        $_SERVER['HTTPS'] = 'on';"},
}

var cookieFixes = []Fix{
	{"", "let {path} answer by itself, above what looks for cookies:\na load balancer's check keeps none"},
}

// starletteOutside puts one path outside of all middleware. (Tried with Starlette 0.26.1.)
const starletteOutside = `in the app, one around the one that has the middleware:
    app = Starlette(routes=[Route("{path}", health),
                            Mount("/", app)])`

// redirectFix names the software that redirects to https, as far as the answer shows, and its cure.
func redirectFix(c *kase) (who, fix string) {
	path := c.path()
	switch {
	case c.bodyHas("<center>nginx"): // nginx's own page, not one that it passes on
		if rule, ok := nginxRule(path); ok {
			return "nginx", rule
		}
		return "nginx", c.fixFor("", httpsFixes)
	case c.bodyHas("<p>The document has moved <a href="): // Apache's own page
		return "Apache", c.fixFor("Apache", httpsFixes)
	case c.bodyHas("edirecting to https://"): // what res.redirect of Express writes
		return "the Express application", c.fixFor("Express", httpsFixes)
	case len(c.x.Body) == 0 && c.is("Starlette"):
		return "the application", c.fixFor("Starlette", httpsFixes)
	case len(c.x.Body) == 0 && strings.EqualFold(c.server(), "Kestrel"):
		return "ASP.NET", c.fixFor("ASP.NET", httpsFixes)
	case len(c.x.Body) == 0 && strings.HasPrefix(c.header("Server"), "gunicorn"),
		len(c.x.Body) == 0 && c.header("Cross-Origin-Opener-Policy") != "": // SecurityMiddleware's own header
		if exempt, ok := djangoExempt(path); ok {
			return "Django (SECURE_SSL_REDIRECT)", exempt
		}
		return "Django (SECURE_SSL_REDIRECT)", c.fixFor("", httpsFixes)
	}
	return "the server", c.fixFor("", httpsFixes)
}

// fixFor is what to change in a kind of software that is known; the fix for all where the list has none for it.
func (c *kase) fixFor(software string, fixes []Fix) string {
	general := ""
	for _, f := range fixes {
		switch f.For {
		case software:
			return c.fill(f.Do)
		case "":
			general = c.fill(f.Do)
		}
	}
	return general
}

// djangoExempt is the setting that spares a path: a list of regular expressions that are searched in the decoded
// path, without its first slash. ok is false for a path that cannot stand in a raw string of Python.
func djangoExempt(path string) (setting string, ok bool) {
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil || strings.ContainsFunc(path, func(r rune) bool { return r == '"' || r < ' ' || r > '~' }) {
		return "", false
	}
	return djangoExemptFor("^" + regexp.QuoteMeta(path) + "$"), true
}

func djangoExemptFor(pattern string) string {
	return fmt.Sprintf("settings.py:\n    SECURE_REDIRECT_EXEMPT = [r\"%s\"]", pattern)
}

// nginxRule is the configuration that spares a path from a redirect. It works for the three common shapes (a
// bare return, a return inside an if, a rewrite), wherever they stand, because they and this rule belong to
// the rewrite module, whose directives run in the order of the file until a break; in another block than the
// redirect it does nothing. (Tried with nginx 1.22.1: e2e, TestNginxRuleThatSparesTheHealthPath.)
//
// nginx compares the decoded path, and reads a dollar as a variable whatever stands around it, so for a path
// with one ok is false.
func nginxRule(path string) (rule string, ok bool) {
	path, err := url.PathUnescape(path)
	if err != nil || strings.ContainsFunc(path, func(r rune) bool { return r == '$' || r == '"' || r == '\\' || r < ' ' || r > '~' }) {
		return "", false
	}
	if strings.ContainsAny(path, " ;{}()'#") {
		path = `"` + path + `"`
	}
	return nginxRuleFor(path), true
}

func nginxRuleFor(path string) string {
	return "in nginx, right above the line that redirects, in the same block:\n" +
		"    if ($uri = " + path + ") { break; }\n" +
		"if that block does nothing but redirect, also give the path an app:\n" +
		"    # location = " + path + " { proxy_pass http://APP; }"
}
