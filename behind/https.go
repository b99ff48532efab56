package behind

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// HTTPSRedirect is middleware that sends users from http to https and leaves
// the load balancer's check alone, which wants a 200 and gets no further than
// the redirect.
//
// A request is passed on if [IsHTTPS] says that its client used https, or if it
// asks for the health path. All others are redirected to the same host without
// its port, with path and query byte for byte: GET and HEAD with 301, the code
// that every client and cache knows; other methods with 308 (RFC 9110 section
// 15.4.9), because after a 301 clients repeat a POST as a GET and drop what it
// carried.
//
// The target's host is the request's. [Hosts] goes outside, or else everybody
// who can plant a Host header decides what a cache in between remembers. A
// request without a usable host cannot be redirected and gets 400.
type HTTPSRedirect struct {
	// HealthPath is the path that is never redirected, as in [Hosts]. Empty
	// means that there is none.
	HealthPath string

	// Trusted are the peers whose X-Forwarded-Proto is believed, as in
	// [IsHTTPS]. Nil means [DefaultTrusted]; empty but not nil means nobody.
	Trusted []netip.Prefix

	// OnUntrusted, if set, is told of each request that claims https by
	// X-Forwarded-Proto but comes from a peer that is not trusted, in the
	// goroutine of the request, before it is redirected. If the peer is the
	// load balancer, its users are redirected for ever: the cure is to add
	// r.RemoteAddr's network to Trusted. Anybody can send such requests: limit
	// the rate of what is logged.
	OnUntrusted func(r *http.Request)
}

// DefaultTrusted returns the networks trusted by default, in which a load
// balancer and its targets usually live: loopback (127.0.0.0/8, ::1), private
// (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 of RFC 1918; fc00::/7 of RFC 4193)
// and link-local (169.254.0.0/16, fe80::/10). The shared space 100.64.0.0/10 of
// RFC 6598 is not among them, since its other users may be strangers; add it
// where a VPC or a cluster uses it. The caller owns the slice.
func DefaultTrusted() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("fe80::/10"),
	}
}

// IsHTTPS reports whether the client of r used https: on this connection, or
// on the one to the load balancer, which says so in X-Forwarded-Proto. That
// header is believed if r.RemoteAddr, the peer of the connection, lies in
// trusted (nil: [DefaultTrusted]); middleware that overwrites RemoteAddr with
// the client's address must come later. A peer on a Unix socket counts as
// 127.0.0.1. If the header holds several values, the last one counts, because
// that is the one the peer itself wrote.
func IsHTTPS(r *http.Request, trusted []netip.Prefix) bool {
	if trusted == nil {
		trusted = DefaultTrusted()
	}
	return r.TLS != nil || claimsHTTPS(r) && isTrusted(r, trusted)
}

// Validate tells what is wrong with the settings: a health path that no load
// balancer can ask for, or a zero prefix in Trusted.
func (s HTTPSRedirect) Validate() error {
	for i, prefix := range s.Trusted {
		if !prefix.IsValid() {
			return fmt.Errorf("trusted network %d of %d is not valid", i+1, len(s.Trusted))
		}
	}
	return validateHealthPath(s.HealthPath)
}

// Wrap returns a handler that passes https requests and those for the health
// path to next, unchanged, and redirects all others. It panics if Validate
// returns an error, as [http.ServeMux] does for a pattern it cannot read.
func (s HTTPSRedirect) Wrap(next http.Handler) http.Handler {
	if err := s.Validate(); err != nil {
		panic(fmt.Sprintf("behind: HTTPSRedirect.Wrap: %v", err))
	}
	trusted := slices.Clone(s.Trusted) // keeps nil apart from empty
	if trusted == nil {
		trusted = DefaultTrusted()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if onHealthPath(r, s.HealthPath) || IsHTTPS(r, trusted) {
			next.ServeHTTP(w, r)
			return
		}
		if s.OnUntrusted != nil && claimsHTTPS(r) && !isTrusted(r, trusted) {
			s.OnUntrusted(r)
		}
		redirect(w, r)
	})
}

func redirect(w http.ResponseWriter, r *http.Request) {
	host, ok := parseHostname(r.Host)
	if !ok || host == (hostname{}) {
		answer(w, r, http.StatusBadRequest, refusedBody)
		return
	}
	status := http.StatusPermanentRedirect
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		status = http.StatusMovedPermanently
	}
	w.Header().Set("Location", "https://"+host.String()+target(r))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// target is the path and query of the request as its client wrote them. The
// host is always put in front of it, so a target of "//evil.example" stays a
// path.
func target(r *http.Request) string {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") { // absolute form, "*", or a request built by hand
		raw = r.URL.EscapedPath()
		if !strings.HasPrefix(raw, "/") {
			raw = "/"
		}
		if r.URL.RawQuery != "" || r.URL.ForceQuery {
			raw += "?" + r.URL.RawQuery
		}
	}
	return escapeNonASCII(raw)
}

// escapeNonASCII keeps raw bytes of clients out of a header, where each reader
// would guess another encoding. Control bytes do not get here: net/http refuses
// them in a request line.
func escapeNonASCII(s string) string {
	var escaped strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x80 {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02X", c)
		}
	}
	return escaped.String()
}

func claimsHTTPS(r *http.Request) bool {
	values := r.Header["X-Forwarded-Proto"]
	if len(values) == 0 {
		return false
	}
	last := values[len(values)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	// Traefik says wss for a WebSocket request.
	return strings.EqualFold(last, "https") || strings.EqualFold(last, "wss")
}

func isTrusted(r *http.Request, trusted []netip.Prefix) bool {
	addr := peer(r)
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// peer is the address at the other end of the connection, or the zero Addr if
// there is no telling.
func peer(r *http.Request) netip.Addr {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	addrPort, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	// A prefix contains neither mapped addresses nor zones.
	return addrPort.Addr().Unmap().WithZone("")
}
