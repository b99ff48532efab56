package diagnose

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/triage-lb/triage"
)

// redirection is where an answer leads, beside what was asked.
type redirection struct {
	from, to *url.URL
	given    *url.URL // as the Location says, perhaps relative
}

// redirectionOf reads the redirect of an answer that failed for its code. Of a pasted answer nobody knows the request: then
// from has neither host nor path.
func redirectionOf(c *kase) (redirection, bool) {
	given, ok := redirectTarget(c)
	if !ok || c.x.Outcome != triage.CodeMismatch {
		return redirection{}, false
	}
	from := &url.URL{Scheme: "http", Host: c.host()}
	if c.encrypted() {
		from.Scheme = "https"
	}
	if from.Host == "" && c.x.Address.IsValid() {
		from.Host = c.x.Address.String()
	}
	if asked, err := url.ParseRequestURI(string(c.asked.Target)); err == nil {
		from.Path, from.RawPath, from.RawQuery = asked.Path, asked.RawPath, asked.RawQuery
	}
	return redirection{from: from, to: from.ResolveReference(given), given: given}, true
}

// redirectTarget is where the answer redirects to, if it does.
func redirectTarget(c *kase) (*url.URL, bool) {
	if !isRedirect(c.x.Status) {
		return nil, false
	}
	location := c.header("Location")
	to, err := url.Parse(location)
	return to, err == nil && location != ""
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

func (r redirection) upgrades() bool { return r.from.Scheme == "http" && r.to.Scheme == "https" }

// sameName reports whether the host names are equal, as far as both are known: HAProxy writes none where the request had no
// Host.
func (r redirection) sameName() bool {
	return r.from.Hostname() == "" || r.to.Hostname() == "" || strings.EqualFold(r.from.Hostname(), r.to.Hostname())
}

// samePage reports whether the Location is the page that was asked for, at another port or under the site's name; of a
// pasted answer nobody knows. Another machine's address or port is no such thing.
func (r redirection) samePage() bool {
	usual := r.to.Port() == "" || r.to.Port() == "443"
	return (r.samePath() || r.slash() || r.from.Path == "") && (r.sameName() || usual && !isAddress(r.to.Host))
}

func (r redirection) samePath() bool { return r.from.EscapedPath() == r.to.EscapedPath() }

// slash reports whether the paths differ in their slashes alone.
func (r redirection) slash() bool {
	return !r.samePath() && path.Clean(r.from.EscapedPath()) == path.Clean(r.to.EscapedPath()) &&
		!strings.Contains(r.from.Path, "/.")
}

func (r redirection) toItself() bool {
	return r.from.Scheme == r.to.Scheme && strings.EqualFold(r.from.Host, r.to.Host) && r.from.RequestURI() == r.to.RequestURI()
}

// innerPort is the port of the Location where the Host that was asked for has another. nginx writes the port on which it
// listens (port_in_redirect), whatever port leads to it from outside.
func (r redirection) innerPort() (port string, leaks bool) {
	port = r.to.Port()
	return port, r.given.IsAbs() && port != "" && port != r.from.Port()
}

// The words that pages to log in and to set up have as a part of their path, without what follows the last dot.
var (
	loginWords = []string{
		"login", "log-in", "log_in", "logon", "signin", "sign-in", "sign_in", "wp-login",
		"oauth", "oauth2", "openid-connect", "oidc", "sso", "saml", "saml2", "authorize",
	}
	setupWords = []string{"install", "installer", "installation", "setup", "set-up", "setup-config", "wizard", "first-run", "onboarding"}
)

// loginKeys are what a query has on the way to log in: where to return to. RFC 6749 section 4.1.1, SAML's binding of
// redirects (section 3.4), Authelia and oauth2-proxy behind nginx (rd).
var loginKeys = []string{"redirect_uri", "response_type", "SAMLRequest", "rd"}

func (r redirection) toLogin() bool {
	asked, to := r.from.Query(), r.to.Query()
	for _, key := range loginKeys {
		if to.Has(key) && !asked.Has(key) {
			return true
		}
	}
	return r.turnsTo(loginWords)
}

func (r redirection) toSetup() bool { return r.turnsTo(setupWords) }

// turnsTo reports whether the Location's path has one of the words, and the path asked for has none of them.
func (r redirection) turnsTo(words []string) bool {
	return hasWord(r.to.Path, words) && !hasWord(r.from.Path, words)
}

func hasWord(p string, words []string) bool {
	for part := range strings.SplitSeq(strings.ToLower(p), "/") {
		if slices.Contains(words, strings.TrimSuffix(part, path.Ext(part))) {
			return true
		}
	}
	return false
}
