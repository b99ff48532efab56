package http1

import (
	"bytes"
	"net/netip"
)

// targetFault checks the target of a request; ParseRequest documents what passes.
func targetFault(method, target []byte) (at int, what string) {
	if len(target) == 0 {
		return 0, "request target is empty"
	}
	for i, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return i, "request target has a byte that targets cannot have"
		}
	}
	switch {
	case string(method) == "CONNECT":
		return connectFault(target)
	case target[0] == '/':
		return pathFault(target)
	case string(target) == "*" && string(method) == "OPTIONS":
		return 0, ""
	case string(target) == "*":
		return 0, "request target * with a method other than OPTIONS"
	}
	return urlFault(target)
}

func connectFault(target []byte) (at int, what string) {
	port, at, what := hostFault(target)
	if what == "" && len(port) == 0 {
		return len(target), "target of CONNECT has no port"
	}
	return at, what
}

func urlFault(target []byte) (at int, what string) {
	scheme, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return 0, "request target is neither a path nor a URL with http or https"
	}
	start := len(target) - len(rest)
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if _, at, what := hostFault(rest[:end]); what != "" {
		return start + at, what
	}
	at, what = pathFault(rest[end:])
	return start + end + at, what
}

// pathFault checks the %-escapes of a path, up to the query.
func pathFault(path []byte) (at int, what string) {
	for i := 0; i < len(path) && path[i] != '?'; i++ {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return i, "incomplete %-escape in the path"
		}
	}
	return 0, ""
}

// hostFault checks host [":" port] and returns the port, which may be empty even after a colon
// (RFC 3986 section 3.2.3).
func hostFault(b []byte) (port []byte, at int, what string) {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end == 0 {
			return nil, 0, "no ] after an IPv6 address"
		}
		addr, err := netip.ParseAddr(string(b[1 : end-1]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return nil, 1, "no IPv6 address in brackets"
		}
	} else {
		for end < len(b) && isHostByte(b[end]) {
			end++
		}
	}
	switch {
	case end == 0 && (len(b) == 0 || b[0] == ':'):
		return nil, 0, "host name is empty"
	case end == len(b):
		return nil, 0, ""
	case b[end] != ':':
		return nil, end, "host has a byte that hosts cannot have"
	}
	port, number := b[end+1:], 0
	for i, c := range port {
		if number = number*10 + int(c-'0'); !isDigit(c) || number > 65535 {
			return nil, end + 1 + i, "port is not a number up to 65535"
		}
	}
	return port, 0, ""
}

// isHostByte: unreserved / sub-delims of RFC 3986. Without "%", since an escape could hide a name
// from a list of allowed hosts.
func isHostByte(c byte) bool {
	const low = digitBits | 1<<'!' | 1<<'$' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*' | 1<<'+' |
		1<<',' | 1<<'-' | 1<<'.' | 1<<';' | 1<<'='
	const high = letterBits | 1<<('_'-64) | 1<<('~'-64)
	return inSet(c, low, high)
}

func isHex(c byte) bool {
	_, ok := hexDigit(c)
	return ok
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case 'a' <= lower(c) && lower(c) <= 'f':
		return lower(c) - 'a' + 10, true
	}
	return 0, false
}
