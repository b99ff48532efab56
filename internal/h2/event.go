package h2

import (
	"fmt"

	"golang.org/x/net/http2"

	"github.com/triage-lb/triage/internal/http1"
)

// EventKind is what an [Event] tells.
type EventKind uint8

// The kinds of events. A complete answer is any number of Interim, one Head, any number of Data, perhaps Trailers, and End.
const (
	More     EventKind = iota // nothing: the next event needs more bytes
	Interim                   // the head of an answer 1xx: Status and Fields; the answer proper follows
	Head                      // the head of the answer: Status and Fields
	Data                      // content: Data, not empty
	Trailers                  // the fields after the content: Fields
	End                       // the answer is complete
)

var eventNames = [...]string{"more", "interim", "head", "data", "trailers", "end"}

// String is the kind as a word.
func (k EventKind) String() string { return eventNames[k] }

// Event is a piece of an answer. What its slices hold is valid until the next call of a method of the [Call].
type Event struct {
	Kind   EventKind
	Status int           // Head: 200 to 999; Interim: 100 to 199
	Fields []http1.Field // without pseudo-header fields; names in lower case, values without white space around them
	Data   []byte
}

// ErrorKind is a way in which an answer comes to nothing.
type ErrorKind uint8

// The kinds of errors.
const (
	Malformed ErrorKind = iota // what came is not HTTP/2, or against its rules
	Reset                      // RST_STREAM for our request
	GoneAway                   // GOAWAY that leaves our request out
	TooLarge                   // a head or trailers beyond the limits: 64 KiB, 256 fields
)

var errorNames = [...]string{"malformed", "reset", "gone away", "too large"}

// String is the kind in words.
func (k ErrorKind) String() string { return errorNames[k] }

// Error says why nothing more comes of an answer.
type Error struct {
	Kind   ErrorKind
	Code   uint32 // Reset and GoneAway: the peer's error code (RFC 9113 section 7)
	Detail string // for people: what was wrong, or what the peer said
}

// Error gives kind and detail in one line.
func (e *Error) Error() string { return "HTTP/2 " + e.Kind.String() + ": " + e.Detail }

func malformed(format string, args ...any) *Error {
	return &Error{Kind: Malformed, Detail: fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *Error {
	return &Error{Kind: TooLarge, Detail: fmt.Sprintf(format, args...)}
}

// gone is the error of a peer that gave up, and its words for it.
func gone(kind ErrorKind, code http2.ErrCode, detail string) *Error {
	return &Error{Kind: kind, Code: uint32(code), Detail: detail}
}
