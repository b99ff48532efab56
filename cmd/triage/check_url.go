package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
)

// endpoint is what a person asked to check.
type endpoint struct {
	protocol triage.Protocol
	host     string // a name, an address, or "" for this machine at its own private addresses
	port     uint16
	path     string // with its query; in gRPC the service or the method; "" for tcp and tls
}

// parseEndpoint reads a URL (http, https, h2, h2c, grpc, grpcs, tcp, tls), HOST:PORT/PATH, or :PORT/PATH. Its errors say what to write
// instead.
func parseEndpoint(s string) (endpoint, error) {
	scheme, rest, hasScheme := strings.Cut(s, "://")
	if !hasScheme || strings.ContainsAny(scheme, "/?#:") { // the query of HOST:PORT/PATH?next=http://… has one too
		scheme, rest = "http", s
	}
	protocol, err := triage.ParseProtocol(scheme)
	s = shorten(s, 4*lineWidth)
	if err != nil {
		return endpoint{}, usagef("write http://, https://, h2://, h2c://, grpc://, grpcs://, tcp:// or tls:// before the address", "%q cannot be checked: %s is not a scheme of a health check", s, scheme)
	}
	e := endpoint{protocol: protocol}
	authority, path := splitAuthority(rest)
	if strings.Contains(authority, "@") {
		return endpoint{}, usagef("leave the user away", "%q holds a user: a load balancer does not log in", s)
	}
	if fragment := strings.IndexByte(path, '#'); fragment >= 0 {
		path = path[:fragment] // never sent, by any client
	}
	if e.host, e.port, err = splitAuthorityPort(authority, protocol); err != nil {
		return endpoint{}, usagef("write HOST:PORT/PATH, as in 10.0.1.5:8000/health_check", "%q cannot be checked: %s", s, err)
	}
	if !protocol.Asks() {
		if path != "" && path != "/" {
			return endpoint{}, usagef("ask over http:// to check a path", "%q has a path, but a check over %s sends no request", s, protocol)
		}
		return e, nil
	}
	if e.path, err = cleanPath(path); err != nil {
		return endpoint{}, usagef(checkHelp, "%q cannot be checked: %s", s, err)
	}
	return e, nil
}

func splitAuthority(rest string) (authority, path string) {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return rest[:i], rest[i:]
	}
	return rest, ""
}

func splitAuthorityPort(authority string, p triage.Protocol) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(authority); err == nil && a.Is6() {
		return "", 0, fmt.Errorf("write the IPv6 address in brackets: [%s]", a)
	}
	if number, ok := strings.CutPrefix(authority, ":"); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q is not a port", number)
		}
		return "", uint16(n), nil
	}
	defaultPorts := map[triage.Protocol]string{ // gRPC without TLS has none
		triage.HTTP: ":80", triage.H2C: ":80", triage.HTTPS: ":443", triage.H2: ":443", triage.GRPCS: ":443",
	}
	withPort := authority
	if colon := strings.LastIndexByte(authority, ':'); colon <= strings.LastIndexByte(authority, ']') {
		withPort += defaultPorts[p]
	}
	return triage.SplitHostPort(withPort)
}

// cleanPath makes a path fit for a request line, as a browser does when it is typed: bytes that cannot travel
// are percent-encoded, everything else stays.
func cleanPath(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var b strings.Builder
	for _, c := range []byte(path) {
		if c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	if _, err := url.ParseRequestURI(b.String()); err != nil {
		return "", fmt.Errorf("the path %q is not valid", path)
	}
	return b.String(), triage.CheckPath(b.String())
}
