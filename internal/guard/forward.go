package guard

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/triage-lb/triage/behind"
	"github.com/triage-lb/triage/internal/proxy"
)

// forward decides what the upstream is told about a request. It begins with what the proxy itself knows, which
// is all there is to tell of a peer that is not trusted: what such a peer claims is replaced.
//
// X-Forwarded-Host, X-Real-Ip and Forwarded are not passed on, whoever sent them: the proxy drops them, and AWS's
// load balancers write none of them.
func (g *Guard) forward(in *http.Request, f *proxy.Forwarding) {
	if g.trusts(in) {
		g.believe(in, f)
	}
	switch {
	case g.onHealthPath(in):
		if g.host != "" {
			f.Host = g.host
		}
		f.Proto = g.config.UpstreamProto
		f.Port = "80"
		if f.Proto == "https" {
			f.Port = "443"
		}
	case f.Proto != "https" && claimsHTTPS(in):
		g.untrusted(in) // an application that redirects by itself redirects this user for ever
	}
}

// dropped reports whether a header of a client is kept from the upstream, whoever sent it: one that could make the
// upstream see another request than the one that was let through. Those are names that CGI and WSGI cannot tell from
// others, as nginx drops them too (underscores_in_headers, ignore_invalid_headers), and those by which some
// frameworks replace the path (IIS's URL Rewrite gave them their names).
func dropped(name string) bool {
	other := func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
	}
	return strings.ContainsFunc(name, other) || name == "X-Original-Url" || name == "X-Rewrite-Url"
}

// believe takes over what a trusted peer says: its chain of addresses, continued by its own; the scheme, whose
// last value is the one that the peer itself wrote; and the port. A peer that names a scheme and no port knows
// something else than our port, so none is named.
func (g *Guard) believe(in *http.Request, f *proxy.Forwarding) {
	if chain := strings.Join(in.Header["X-Forwarded-For"], ", "); chain != "" {
		f.For = chain + ", " + f.For
	}
	if behind.IsHTTPS(in, g.trusted) {
		f.Proto = "https"
	}
	port := in.Header.Get("X-Forwarded-Port")
	port = strings.TrimSpace(port[strings.LastIndexByte(port, ',')+1:])
	if _, err := strconv.ParseUint(port, 10, 16); err == nil {
		f.Port = port
	} else if len(in.Header["X-Forwarded-Proto"]) > 0 {
		f.Port = ""
	}
}

// onHealthPath compares as behind does: the bytes of the request's path, so that no other spelling of it is an
// exception.
func (g *Guard) onHealthPath(in *http.Request) bool {
	return g.config.HealthPath != "" && in.URL.EscapedPath() == g.config.HealthPath
}
