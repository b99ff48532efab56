package http1

import "bytes"

// Request is the head of a request. Its slices are parts of the buffer that was parsed.
type Request struct {
	Method []byte // a token; case matters
	Target []byte // as received: "/path?query", "http://host/path", "host:port" (CONNECT) or "*" (OPTIONS)
	Minor  int    // the version is HTTP/1.Minor: 0 or 1
	Fields []Field
}

// ParseRequest reads the head of a request from the start of b. It returns the head and its length
// n; what follows in b is content, or the next request. Storage and errors are as with
// [ParseResponse].
//
// Choices: the parts of the request line are separated by one space each, and nothing precedes it
// (RFC 9112 section 2.2 would have servers skip an empty line; net/http does not). HTTP/0.9 is
// rejected, and so are versions other than 1.0 and 1.1. The target must be valid, see below. A
// request has at most one Host, and one of HTTP/1.1 has exactly one (RFC 9112 section 3.2), CONNECT
// included, where net/http's server lets it be absent; it may be empty. Host is not compared with
// the host in a target of the absolute form: there the target counts and Host is to be ignored (RFC
// 9112 section 3.2.2).
//
// Targets consist of visible ASCII without "#". They have the form that belongs to the method (RFC
// 9112 section 3.2): "host:port" with CONNECT, "*" with OPTIONS, and otherwise a path, or a URL
// with http or https and no user name in it (RFC 9110 section 4.2.4). Escapes in the path must be
// complete; the query is not looked at. Hosts are names made of unreserved characters and
// sub-delimiters (RFC 3986 section 3.2.2) but without %-escapes, or IPv6 addresses in brackets
// without a zone; ports are at most 65535.
func ParseRequest(b []byte, fields []Field, l Limits) (r Request, n int, err error) {
	s := newScanner(b, l)
	text, err := s.line()
	if err != nil {
		return Request{}, 0, err
	}
	r, at, what := parseRequestLine(text)
	if what != "" {
		return Request{}, 0, &SyntaxError{Offset: at, What: what}
	}
	if r.Fields, err = s.fields(fields, l.Fields); err != nil {
		return Request{}, 0, err
	}
	if at, what := hostFieldFault(r, s.b); what != "" {
		return Request{}, 0, &SyntaxError{Offset: at, What: what}
	}
	return r, s.at, nil
}

func parseRequestLine(text []byte) (r Request, at int, what string) {
	if len(text) == 0 {
		return r, 0, "empty line in front of the request"
	}
	method := tokenLen(text)
	switch {
	case method == len(text):
		return r, method, "request line without a target"
	case method == 0 || text[method] != ' ':
		return r, method, "method is not a token followed by one space"
	}
	r.Method = text[:method]
	start := method + 1
	target, version, ok := bytes.Cut(text[start:], []byte{' '})
	if !ok {
		return r, len(text), "no HTTP version in the request line (HTTP/0.9)"
	}
	if at, what := targetFault(r.Method, target); what != "" {
		return r, start + at, what
	}
	r.Target = target
	switch string(version) {
	case "HTTP/1.0":
	case "HTTP/1.1":
		r.Minor = 1
	default:
		return r, start + len(target) + 1, versionFault(version)
	}
	return r, 0, ""
}

func versionFault(version []byte) string {
	if bytes.IndexByte(version, ' ') >= 0 {
		return "request line is not method, target and version, separated by one space each"
	}
	return "HTTP version is neither 1.0 nor 1.1"
}

// hostFieldFault checks the Host fields of a request that was parsed from head.
func hostFieldFault(r Request, head []byte) (at int, what string) {
	hosts := 0
	for i := range r.Fields {
		if !equalFold(r.Fields[i].Name, "Host") {
			continue
		}
		// Both slices end where their common array ends, so their capacities tell the offset.
		at := cap(head) - cap(r.Fields[i].Value)
		if hosts++; hosts > 1 {
			return at, "more than one Host"
		}
		if v := r.Fields[i].Value; len(v) > 0 {
			if _, i, what := hostFault(v); what != "" {
				return at + i, what
			}
		}
	}
	if hosts == 0 && r.Minor >= 1 {
		return -1, "no Host in a request of HTTP/1.1"
	}
	return 0, ""
}
