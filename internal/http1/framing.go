package http1

import (
	"bytes"
	"math"
)

// FramingKind is a way to delimit the content of a message.
type FramingKind uint8

// The ways of RFC 9112 section 6.3. The zero value is NoBody.
const (
	NoBody     FramingKind = iota // no content, whatever the fields say
	Length                        // as many bytes as Content-Length says, perhaps none
	Chunked                       // Transfer-Encoding: chunked
	UntilClose                    // up to the end of the connection; responses only
)

// Framing says how the content of a message is delimited.
type Framing struct {
	Kind   FramingKind
	Length int64 // bytes, if Kind is Length
}

// Framing says how the content that follows this response is delimited, given the method of the
// request that it answers (RFC 9112 section 6.3). Any error is a *[SyntaxError]: then nobody can
// tell where this response ends, and the connection cannot be used again.
//
// Responses to HEAD and those with status 1xx, 204 or 304 have no content; neither has a 2xx to
// CONNECT, after which the connection is a tunnel, nor 101, after which it speaks another protocol.
// Contradictory fields are an error even there, as with net/http.
//
// Choices: several Content-Length fields of the same value count as one, as with net/http and as
// RFC 9110 section 8.6 permits; a list in one field ("5, 5") is an error. So are Content-Length
// together with Transfer-Encoding (section 6.1 calls it an attack that ought to be an error;
// net/http lets the latter win), Transfer-Encoding in HTTP/1.0 (faulty by section 6.1; net/http
// ignores it there), and any Transfer-Encoding but a single "chunked", "identity" included.
func (r Response) Framing(method string) (Framing, error) {
	d := declaredIn(r.Fields)
	if d.different {
		return Framing{}, &SyntaxError{Offset: -1, What: "two different Content-Length values"}
	}
	f, err := d.framing(r.Minor, r.Fields)
	if err != nil {
		return Framing{}, err
	}
	switch {
	case method == "HEAD", r.Status < 200, r.Status == 204, r.Status == 304,
		method == "CONNECT" && r.Status < 300:
		return Framing{}, nil
	case f.Kind == NoBody:
		return Framing{Kind: UntilClose}, nil
	}
	return f, nil
}

// Framing says how the content that follows this request is delimited: NoBody, Length or Chunked.
// Any error is a *[SyntaxError], to be answered with 400 and the end of the connection.
//
// Choices: more than one Content-Length is an error even if they are equal; RFC 9112 section 6.3
// permits that, net/http folds them. The rest is as with [Response.Framing].
func (r Request) Framing() (Framing, error) {
	d := declaredIn(r.Fields)
	if d.lengths > 1 {
		return Framing{}, &SyntaxError{Offset: -1, What: "more than one Content-Length"}
	}
	return d.framing(r.Minor, r.Fields)
}

// declared is what the fields of a message say about its content.
type declared struct {
	lengths, codings int    // how many Content-Length and Transfer-Encoding fields there are
	length, coding   []byte // the last of each
	different        bool   // two Content-Length values differ
}

func declaredIn(fields []Field) (d declared) {
	for i := range fields {
		f := &fields[i]
		switch {
		case equalFold(f.Name, "Content-Length"):
			d.different = d.different || d.lengths > 0 && !bytes.Equal(f.Value, d.length)
			d.length = f.Value
			d.lengths++
		case equalFold(f.Name, "Transfer-Encoding"):
			d.coding = f.Value
			d.codings++
		}
	}
	return d
}

func (d declared) framing(minor int, fields []Field) (Framing, error) {
	if d.codings > 0 {
		if what := d.codingFault(minor, fields); what != "" {
			return Framing{}, &SyntaxError{Offset: -1, What: what}
		}
		return Framing{Kind: Chunked}, nil
	}
	if d.lengths > 0 {
		n, ok := parseLength(d.length)
		if !ok {
			return Framing{}, &SyntaxError{Offset: -1, What: "Content-Length is not a number of bytes"}
		}
		return Framing{Kind: Length, Length: n}, nil
	}
	return Framing{}, nil
}

func (d declared) codingFault(minor int, fields []Field) string {
	switch {
	case d.lengths > 0:
		return "both Content-Length and Transfer-Encoding"
	case minor == 0:
		return "Transfer-Encoding in HTTP/1.0"
	case d.codings > 1:
		return "more than one Transfer-Encoding"
	case !equalFold(d.coding, "chunked"):
		return "Transfer-Encoding is not chunked"
	}
	// RFC 9110 section 6.5.1: what delimits a message cannot come after it.
	for _, name := range [...]string{"Content-Length", "Transfer-Encoding", "Trailer"} {
		if HasToken(fields, "Trailer", name) {
			return "Trailer announces a field that trailers cannot have"
		}
	}
	return ""
}

// parseLength reads a decimal number of digits only: no sign, no space, no list.
func parseLength(b []byte) (n int64, ok bool) {
	for _, c := range b {
		digit := int64(c - '0')
		if !isDigit(c) || n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, len(b) > 0
}

// Persistent tells whether the connection may carry another request after this response, once that is complete
// (RFC 9112 section 9.3).
func (r Response) Persistent() bool {
	if r.Status == 101 || HasToken(r.Fields, "Connection", "close") {
		return false
	}
	return r.Minor >= 1 || HasToken(r.Fields, "Connection", "keep-alive")
}
