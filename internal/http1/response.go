package http1

// Response is the head of a response. Its slices are parts of the buffer that was parsed.
type Response struct {
	Minor  int    // the version is HTTP/1.Minor: 0 or 1
	Status int    // 100 to 999
	Reason []byte // as received; may be empty; can hold HTAB and bytes from 0x80 on
	Fields []Field
}

// Plausible tells as early as possible whether b, the first bytes from a server, can still become a
// response that ParseResponse accepts: it looks at "HTTP/1.x NNN" as far as that has come. An alert
// of TLS, the banner of an SSH server, a frame of HTTP/2 is recognised by its first bytes rather
// than at the deadline. No bytes at all are plausible.
func Plausible(b []byte) bool {
	_, what := statusFault(b)
	return what == ""
}

// ParseResponse reads the head of a response from the start of b. It returns the head and its
// length n: what follows in b is content, or the next response after an interim one (1xx). The
// fields are written into the storage given, which may be nil and is grown as needed; take
// Response.Fields as the storage of the next call.
//
// The error is [ErrIncomplete] if the head is not all there, [ErrTooLarge], or a *[SyntaxError].
// Every error but ErrIncomplete is final: more bytes do not change it.
//
// Choices: the space before an absent reason may be missing as well, which RFC 9112 section 4 does
// not allow and servers do. Status codes from 600 to 999 are invalid (RFC 9110 section 15) but in
// use; they are reported as received, and the caller treats them as it would a 5xx. Codes below 100
// are rejected; net/http takes them. Versions other than 1.0 and 1.1 are rejected: there are none.
func ParseResponse(b []byte, fields []Field, l Limits) (r Response, n int, err error) {
	s := newScanner(b, l)
	if at, what := statusFault(s.b); what != "" {
		return Response{}, 0, &SyntaxError{Offset: at, What: what}
	}
	text, err := s.line()
	if err != nil {
		return Response{}, 0, err
	}
	r.Minor = int(text[7] - '0')
	r.Status = int(text[9]-'0')*100 + int(text[10]-'0')*10 + int(text[11]-'0')
	r.Reason = text[min(statusEnd+1, len(text)):]
	if r.Fields, err = s.fields(fields, l.Fields); err != nil {
		return Response{}, 0, err
	}
	return r, s.at, nil
}

// statusEnd is the length of "HTTP/1.1 200".
const statusEnd = 12

// statusFault checks the first bytes of a response, of which there may be any number. If it finds
// nothing wrong and there is a whole line, that line has a version and a status.
func statusFault(b []byte) (at int, what string) {
	const version = "HTTP/1."
	for i, c := range b[:min(len(b), statusEnd+1)] {
		switch {
		case i < len("HTTP/"):
			if c != version[i] {
				return i, "does not start with HTTP/"
			}
		case i < len(version):
			if c != version[i] {
				return i, "HTTP version is neither 1.0 nor 1.1"
			}
		case i == len(version):
			if c != '0' && c != '1' {
				return i, "HTTP version is neither 1.0 nor 1.1"
			}
		case i == len(version)+1:
			if c != ' ' {
				return i, "no single space after the HTTP version"
			}
		case i == len(version)+2 && c == '0', i < statusEnd && !isDigit(c):
			return i, "status code is not a number from 100 to 999"
		case i == statusEnd && c == '\n':
			return i, "bare LF ends the line"
		case i == statusEnd && c != ' ' && c != '\r':
			return i, "status code is not followed by a space"
		}
	}
	return 0, ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
