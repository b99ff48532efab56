// Package http1 reads HTTP/1.0 and HTTP/1.1 off the wire: bytes in, slices of those bytes out.
//
// [ParseResponse] and [ParseRequest] read a head, their Framing methods say how the content after
// it is delimited, and a [Body] takes that content out of the bytes as they arrive. [HeadEnd] and
// [Plausible] answer the two questions of a reader that is still waiting: is the head complete, and
// can this still become HTTP?
//
// The package is strict, because two parsers that read the same bytes differently are what request
// smuggling is made of (RFC 9112 section 11.2). Lines end in CRLF and nothing else, header lines
// are not folded, names are tokens, and a length that could be read in two ways is an error. What
// net/http rejects as malformed is rejected here too; the fuzz tests hold it to that. Where this
// package rejects more, or where the RFC leaves a choice, the function concerned says so.
//
// It does no I/O, starts no goroutine, keeps no state outside its arguments and allocates nothing
// on success once the caller's field storage is large enough (one exception: an IPv6 literal as
// host of a request). It does not write messages, decode content codings or keep trailers. All
// functions may be called concurrently; a Body belongs to one goroutine.
package http1

import (
	"bytes"
	"errors"
	"fmt"
)

// The limits that a zero [Limits] stands for. 64 KiB is also the largest request head that AWS's
// Application Load Balancer takes (its quotas page, "Entire request header").
const (
	DefaultMaxHead   = 64 << 10 // bytes, from the first byte to the empty line, both included
	DefaultMaxFields = 256      // header field lines
)

// Limits bounds what a head may take. Values of zero and below stand for the defaults.
type Limits struct {
	Head   int // bytes; DefaultMaxHead
	Fields int // header field lines; DefaultMaxFields
}

var (
	// ErrIncomplete says that the bytes so far are the beginning of a head, and more are needed.
	// Nothing was consumed.
	ErrIncomplete = errors.New("the HTTP head is not complete")

	// ErrTooLarge says that a head is over its [Limits], or that a chunked body spends more bytes
	// on chunk extensions or trailers than a [Body] puts up with.
	ErrTooLarge = errors.New("larger than allowed: HTTP head, chunk header or trailers")
)

// SyntaxError says what about a message is not HTTP/1.x, in words for people.
type SyntaxError struct {
	// Offset is the place of the fault in bytes from the start of the head, for an error of a Body
	// from the start of the body. It is -1 where no single place is wrong (a header field that is
	// missing, two that contradict each other).
	Offset int
	// What is wrong, as a clause: "bare LF ends the line", "two different Content-Length values".
	What string
}

// Error gives the fault and its place in one line.
func (e *SyntaxError) Error() string {
	if e.Offset < 0 {
		return "malformed HTTP: " + e.What
	}
	return fmt.Sprintf("malformed HTTP at byte %d: %s", e.Offset, e.What)
}

// HeadEnd looks for the empty line that ends a head. A call that finds none returns n == 0 and the
// place at which the next call, made when more bytes have come, resumes as from; the first call
// passes 0. So a head that drips in byte by byte costs linear time. With n > 0, b[:n] is the whole
// head, the empty line included.
//
// Empty lines made with a bare LF are found as well, and so is one in front of everything: the
// parser rejects these heads, and it should do so now and not when the peer's time is up.
func HeadEnd(b []byte, from int) (n, next int) {
	from = max(0, min(from, len(b)))
	if from == 0 {
		if n := emptyLine(b); n > 0 {
			return n, n
		}
		if len(b) == 1 && b[0] == '\r' {
			return 0, 0
		}
	}
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0, len(b)
		}
		from += i
		rest := b[from+1:]
		if n := emptyLine(rest); n > 0 {
			return from + 1 + n, from + 1 + n
		}
		if len(rest) == 0 || len(rest) == 1 && rest[0] == '\r' {
			return 0, from
		}
		from++
	}
}

// emptyLine returns the length of the line end that b starts with, or 0.
func emptyLine(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// scanner cuts a head into lines and fields.
type scanner struct {
	b    []byte // the head, and perhaps more, up to the limit
	at   int    // where the next line starts
	full bool   // b reaches the limit: what is not complete here will not become so
}

func newScanner(b []byte, l Limits) scanner {
	limit := l.Head
	if limit <= 0 {
		limit = DefaultMaxHead
	}
	return scanner{b: b[:min(len(b), limit)], full: len(b) >= limit}
}

// line returns the next line without its CRLF. The line is free of control bytes other than HTAB:
// RFC 9110 section 5.5 has recipients reject or replace CR, LF and NUL in values and calls the others
// invalid. A line that is not complete yet is checked as far as it goes.
func (s *scanner) line() ([]byte, error) {
	rest := s.b[s.at:]
	end := bytes.IndexByte(rest, '\n')
	text, crlf := rest, true
	if end >= 0 {
		text = rest[:end]
	}
	if last := len(text) - 1; last >= 0 && text[last] == '\r' {
		text = text[:last]
	} else if end >= 0 {
		crlf = false
	}
	if i := controlByte(text); i >= 0 {
		return nil, s.fault(i, controlName(text[i]))
	}
	switch {
	case end < 0 && s.full:
		return nil, ErrTooLarge
	case end < 0:
		return nil, ErrIncomplete
	case !crlf:
		return nil, s.fault(end, "bare LF ends the line")
	}
	s.at += end + 1
	return text, nil
}

// fault is a SyntaxError i bytes after the start of the line that comes next.
func (s *scanner) fault(i int, what string) error {
	return &SyntaxError{Offset: s.at + i, What: what}
}

// controlByte returns the index of the first byte that no line may contain, or -1.
func controlByte(text []byte) int {
	for i, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return i
		}
	}
	return -1
}

func controlName(c byte) string {
	switch c {
	case '\r':
		return "bare CR inside a line"
	case 0:
		return "NUL byte"
	}
	return "control byte"
}

// tokenLen returns how many bytes at the start of b belong to a token (RFC 9110 section 5.6.2).
func tokenLen(b []byte) int {
	for i, c := range b {
		if !isTokenByte(c) {
			return i
		}
	}
	return len(b)
}

// The bytes of a token as a bit set: byte c is bit c%64 of the word for c/64. Constants rather than
// a table, so that there is no variable for somebody to write to.
const (
	digitBits   = (1<<10 - 1) << '0'
	letterBits  = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	tokenBits0  = digitBits | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	tokenBits64 = letterBits | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

func isTokenByte(c byte) bool {
	return inSet(c, tokenBits0, tokenBits64)
}

func inSet(c byte, low, high uint64) bool {
	switch c >> 6 {
	case 0:
		return low>>c&1 != 0
	case 1:
		return high>>(c&63)&1 != 0
	}
	return false
}
