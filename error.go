package triage

import "errors"

// Kind says what sort of problem an [Error] is. Each transport maps it once: the API to an HTTP status, the
// command line to an exit code. The names cross the wire, so they never change.
type Kind string

// The kinds of error.
const (
	KindInvalid     Kind = "invalid"     // the input is wrong; the same input fails again
	KindNotFound    Kind = "not_found"   // the thing that was named does not exist
	KindConflict    Kind = "conflict"    // the world changed underneath: look again, then retry
	KindDenied      Kind = "denied"      // not allowed, whatever the input
	KindUnavailable Kind = "unavailable" // cannot be done now; may work later
	KindInternal    Kind = "internal"    // our own fault
)

// Error is an error that a person will read. Only Message and Hint leave the process.
type Error struct {
	Kind    Kind
	Message string // what happened and where (file:line, address); lower case, no full stop
	Hint    string // what to do next; may be empty
	Err     error  // the cause, for logs and errors.Is; may be nil
}

// Error returns the message alone: the hint is shown on a line of its own, and the cause is for logs.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first [Error] in err's chain. Any other error is KindInternal, and its text is
// not meant for strangers.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// HintOf returns the hint of the first [Error] in err's chain, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}
