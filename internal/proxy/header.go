package proxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Forwarding is what a target is told about where a request came from. The fields are set for the request at
// hand when Config.Forwarding gets them; what it leaves is what is sent.
type Forwarding struct {
	Host  string // the Host header: as the client sent it; if it sent none, the address and port that it came to
	For   string // X-Forwarded-For: the client's address, without port; "": the header is left out
	Proto string // X-Forwarded-Proto: http or https; "": left out
	Port  string // X-Forwarded-Port: the port that the client came to; "": left out
}

// forwarding is what we know ourselves about the request. Whatever the client claims does not count.
func (p *Proxy) forwarding(in *http.Request) Forwarding {
	f := Forwarding{Host: in.Host, Proto: "http"}
	if host, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		f.For, _, _ = strings.Cut(host, "%") // a zone means something on this machine only
	}
	if local, ok := in.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		f.Port = strconv.Itoa(local.Port)
		f.Host = cmp.Or(f.Host, authority(local.AddrPort()))
	}
	if in.TLS != nil {
		f.Proto = "https"
	}
	if p.config.Forwarding != nil {
		p.config.Forwarding(in, &f)
	}
	return f
}

// authority is an address as a Host header names it, for a client that named none (HTTP/1.0 lets it). net/http would
// name the target's, which no client has to know, and which an application may show in a redirect.
func authority(a netip.AddrPort) string {
	a = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	if a.Port() == 80 {
		return strings.TrimSuffix(a.String(), ":80")
	}
	return a.String()
}

// hopByHop headers concern one connection, not the message (RFC 9110, 7.6.1; Keep-Alive and Proxy-Connection
// from older texts). Those that a Connection header names come on top.
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// claims are headers that say where a request came from or what it asks for, as only whoever stands in front of an
// application may say it, in the form of [folded]. A client's claims are dropped.
var claims = [...]string{
	"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-host", "forwarded", "x-real-ip",
	"x-forwarded-protocol", "x-forwarded-scheme", "x-forwarded-ssl", "front-end-https", // other words for the scheme
	"script-name", "path-info", // gunicorn cuts what SCRIPT_NAME says off the path
}

// isClaim reports whether an application might take the header for one of the claims. CGI, WSGI and their kin
// turn a header's name into a variable's, where "X_Forwarded-For" and "X-Forwarded-For" are the same.
func isClaim(name string) bool {
	if name == "" || strings.IndexByte("xfsp", name[0]|0x20) < 0 {
		return false // no claim begins otherwise: most headers end here
	}
	for _, claim := range claims {
		if folded(name, claim) {
			return true
		}
	}
	return false
}

// folded reports whether the name equals the claim, letters in any case and every other byte being a hyphen.
func folded(name, claim string) bool {
	if len(name) != len(claim) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c < '0' || c > '9' && c < 'a' || c > 'z':
			c = '-'
		}
		if c != claim[i] {
			return false
		}
	}
	return true
}

// headerToTarget returns the header that goes to the target: the client's without what concerns its
// connection, without its claims and what is to be dropped, and with ours. upgrade is the protocol that the client
// may switch to.
func (p *Proxy) headerToTarget(in *http.Request, f Forwarding, upgrade string) http.Header {
	named := connectionNames(in.Header)
	out := make(http.Header, len(in.Header)+4)
	for name, values := range in.Header {
		if !isHopByHop(name, named) && !isClaim(name) && !p.config.Drop(name) {
			out[name] = values
		}
	}
	set := func(name, value string) {
		if value != "" {
			out[name] = []string{value}
		}
	}
	set("X-Forwarded-For", f.For)
	set("X-Forwarded-Proto", f.Proto)
	set("X-Forwarded-Port", f.Port)
	if upgrade != "" {
		set("Connection", "Upgrade")
		set("Upgrade", upgrade)
	}
	if hasToken(in.Header["Te"], "trailers") {
		set("Te", "trailers") // trailers pass, so the wish for them may
	}
	if in.ContentLength == 0 || !in.ProtoAtLeast(1, 1) { // RFC 9110, 10.1.1
		delete(out, "Expect") // nothing would wait for the answer to it
	}
	if _, sent := out["User-Agent"]; !sent {
		out["User-Agent"] = []string{""} // keeps net/http from sending its own
	}
	return out
}

// trailersOf returns the request's trailers that go to the target, without their values, which come later. Those
// that were not announced do not go.
func (p *Proxy) trailersOf(in *http.Request) http.Header {
	var out http.Header
	for name, values := range in.Trailer {
		if isNoTrailer(name, values) || isClaim(name) || p.config.Drop(name) {
			continue
		}
		if out == nil {
			out = make(http.Header, len(in.Trailer))
		}
		out[name] = nil
	}
	return out
}

// noTrailers are fields that mean something before the content only. A recipient that merges trailers into the header
// would act on them after everybody in between has looked (RFC 9110, 6.5.1).
var noTrailers = [...]string{
	"Authorization", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Cookie",
	"Expect", "Host", "Location", "Max-Forwards", "Pragma", "Range", "Set-Cookie", "Www-Authenticate",
}

// isNoTrailer reports whether a field must not come after the content.
func isNoTrailer(name string, _ []string) bool {
	return isHopByHop(name, nil) || slices.Contains(noTrailers[:], name) || strings.HasPrefix(name, "If-")
}

// headerToClient puts the answer's header into the client's, without what concerns the target's connection.
func headerToClient(to, from http.Header) {
	named := connectionNames(from)
	for name, values := range from {
		if !isHopByHop(name, named) {
			to[name] = values
		}
	}
	if _, sent := from["Content-Type"]; !sent {
		to["Content-Type"] = nil // keeps net/http from guessing one
	}
}

func isHopByHop(name string, named []string) bool {
	for _, h := range hopByHop {
		if name == h {
			return true
		}
	}
	for _, n := range named {
		if name == n {
			return true
		}
	}
	return false
}

// connectionNames returns the header names that Connection lists, nil in the common case.
func connectionNames(h http.Header) []string {
	var names []string
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.TrimString(name)
			if name != "" && !strings.EqualFold(name, "close") && !strings.EqualFold(name, "keep-alive") {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}

// upgradeWanted returns the protocol that the client wants to switch to, if it is one that passes. That is
// WebSocket only: after a switch to HTTP/2 (h2c), say, requests would pass that nobody here ever sees.
func upgradeWanted(in *http.Request) string {
	if in.Method != http.MethodGet || in.ContentLength != 0 || !in.ProtoAtLeast(1, 1) || !hasToken(in.Header["Connection"], "upgrade") {
		return ""
	}
	if up := in.Header["Upgrade"]; len(up) == 1 && strings.EqualFold(up[0], "websocket") {
		return up[0]
	}
	return ""
}

func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			item, _, _ = strings.Cut(item, ";")
			if strings.EqualFold(textproto.TrimString(item), token) {
				return true
			}
		}
	}
	return false
}
