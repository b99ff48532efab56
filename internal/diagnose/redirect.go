package diagnose

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// redirectToHTTPS: the server sends everything that came over plain http to https. A user's browser follows;
// a load balancer, which ends TLS itself and asks the target in plain http, does not.
var redirectToHTTPS = rule{
	code:  "redirect-to-https",
	title: "the health check is redirected to https",

	match: func(c *kase) []string {
		to, ok := redirectTarget(c)
		if !ok || to.Scheme != "https" || c.encrypted() || c.x.Outcome != triage.CodeMismatch {
			return nil
		}
		return []string{c.statusLine(), "Location: " + to.String()}
	},

	describe: func(c *kase) (cause, fix string) {
		who, fix := redirectFix(c)
		cause = fmt.Sprintf("%s redirects plain http to https, and a load balancer does not follow redirects", who)
		return cause, fix
	},

	prove: func(in *inquiry) *triage.Diagnosis {
		question := Question{Headers: []dialect.Header{{Name: "X-Forwarded-Proto", Value: "https"}}}
		answer := in.put(question)
		if answer.Status == 0 {
			return nil
		}
		to, redirected := redirectTarget(newCase(answer))
		if redirected && to.Scheme == "https" {
			in.d.Proof = fmt.Sprintf("none: with %s it answers %d too, so the redirect is unconditional", question, answer.Status)
			return nil
		}
		proof := fmt.Sprintf("the same request with %s: %d", question, answer.Status)
		if answer.Outcome.Verdict() == triage.Fail {
			proof += ", no longer this redirect, but the next thing to look at"
		}
		return in.proved(proof)
	},
}

// redirectTarget is where the answer redirects to, if it does.
func redirectTarget(c *kase) (*url.URL, bool) {
	switch c.x.Status {
	case 301, 302, 303, 307, 308:
	default:
		return nil, false
	}
	location := c.header("Location")
	to, err := url.Parse(location)
	return to, err == nil && location != ""
}

// redirectFix names the software that redirects, as far as the answer shows, and its cure.
func redirectFix(c *kase) (who, fix string) {
	path := c.path()
	switch {
	case c.bodyHas("<center>nginx"): // nginx's own page, not one that it passes on
		if rule, ok := nginxRule(path); ok {
			return "nginx", rule
		}
		return "nginx", genericRedirectFix(path)
	case len(c.x.Body) == 0 && strings.HasPrefix(c.header("Server"), "gunicorn"),
		len(c.x.Body) == 0 && c.header("Cross-Origin-Opener-Policy") != "": // SecurityMiddleware's own header
		if exempt, ok := djangoExempt(path); ok {
			return "Django (SECURE_SSL_REDIRECT)", exempt
		}
		return "Django (SECURE_SSL_REDIRECT)", genericRedirectFix(path)
	}
	return "the server", genericRedirectFix(path)
}

// djangoExempt is the setting that spares a path: a list of regular expressions that are searched in the decoded
// path, without its first slash. ok is false for a path that cannot stand in a raw string of Python.
func djangoExempt(path string) (setting string, ok bool) {
	path, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil || strings.ContainsFunc(path, func(r rune) bool { return r == '"' || r < ' ' || r > '~' }) {
		return "", false
	}
	return fmt.Sprintf("settings.py:\n    SECURE_REDIRECT_EXEMPT = [r\"^%s$\"]", regexp.QuoteMeta(path)), true
}

func genericRedirectFix(path string) string {
	return "answer " + path + " before the rule that redirects to https;\ndo not add 301 to the success codes: that is green while the site is down"
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
	return "in nginx, right above the line that redirects, in the same block:\n" +
		"    if ($uri = " + path + ") { break; }\n" +
		"if that block does nothing but redirect, also give the path an app:\n" +
		"    # location = " + path + " { proxy_pass http://APP; }", true
}
