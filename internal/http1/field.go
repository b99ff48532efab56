package http1

import "bytes"

// Field is one header field line. Both slices are parts of the buffer that was parsed: they are
// valid as long as it is left alone, and nothing may be appended to them.
type Field struct {
	Name  []byte // as received; compare it without regard to case
	Value []byte // without the white space around it; may be empty; bytes from 0x80 on are kept
}

// Get returns the value of the first field with this name; case does not matter (ASCII).
func Get(fields []Field, name string) (value []byte, ok bool) {
	for i := range fields {
		if equalFold(fields[i].Name, name) {
			return fields[i].Value, true
		}
	}
	return nil, false
}

// HasToken tells whether token is an element of the comma-separated lists in all fields with this
// name (RFC 9110 section 5.6.1), as in HasToken(r.Fields, "Connection", "close"). Case does not
// matter. Lists with quoted strings are not taken apart properly; Connection, Upgrade, Trailer and
// the like have none.
func HasToken(fields []Field, name, token string) bool {
	for i := range fields {
		if !equalFold(fields[i].Name, name) {
			continue
		}
		for rest, more := fields[i].Value, true; more; {
			var element []byte
			element, rest, more = bytes.Cut(rest, []byte{','})
			if equalFold(trimSpace(element), token) {
				return true
			}
		}
	}
	return false
}

// fields reads header field lines up to and including the empty line, into the storage given.
func (s *scanner) fields(storage []Field, limit int) ([]Field, error) {
	if limit <= 0 {
		limit = DefaultMaxFields
	}
	fields := storage[:0]
	for {
		start := s.at
		text, err := s.line()
		if err != nil {
			return nil, err
		}
		if len(text) == 0 {
			return fields, nil
		}
		if len(fields) == limit {
			return nil, ErrTooLarge
		}
		colon := tokenLen(text)
		if what := nameFault(text, colon); what != "" {
			return nil, &SyntaxError{Offset: start + colon, What: what}
		}
		fields = append(fields, Field{Name: text[:colon], Value: trimSpace(text[colon+1:])})
	}
}

// nameFault says what is wrong with the name of a field line of which the first n bytes are a
// token: "" if nothing is. RFC 9112 section 5.1 forbids space before the colon and section 5.2
// folded lines; both have been used to hide a Transfer-Encoding from one of two parsers.
func nameFault(text []byte, n int) string {
	switch {
	case n == len(text):
		return "header line without a colon"
	case text[n] == ':' && n > 0:
		return ""
	case n == 0 && isSpace(text[0]):
		return "header line starts with white space (obsolete line folding)"
	case n == 0:
		return "header name is empty or starts with a byte that names cannot have"
	case isSpace(text[n]):
		return "white space in or after a header name"
	}
	return "header name has a byte that names cannot have"
}

// trimSpace removes what RFC 9110 section 5.6.3 calls OWS: spaces and tabs, nothing else.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// equalFold compares in ASCII without regard to case. (bytes.EqualFold would take the Kelvin sign
// for a k.)
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
