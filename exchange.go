package triage

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// Phase is a part of a check that takes time of its own. The words are those of net/http/httptrace.
type Phase uint8

// The phases, in the order of a check.
const (
	PhaseResolve   Phase = iota // name to address
	PhaseConnect                // until the TCP connection is made
	PhaseTLS                    // the TLS handshake
	PhaseFirstByte              // from the request's last byte handed to the kernel to the answer's first
	PhaseBody                   // from the answer's first byte to its last
	numPhases
)

var phaseNames = [numPhases]string{"resolve", "connect", "tls", "first_byte", "body"}

// String is the phase's name, as in the JSON of triage check.
func (p Phase) String() string { return phaseNames[p] }

// Timing is how long each phase of a check took. A phase that did not happen, or did not end, is negative.
type Timing [numPhases]time.Duration

// NoTiming returns a timing in which no phase has happened yet.
func NoTiming() Timing { return Timing{-1, -1, -1, -1, -1} }

// All yields the phases that happened, with their durations, in order.
func (t *Timing) All(yield func(Phase, time.Duration) bool) {
	for p, d := range t {
		if d >= 0 && !yield(Phase(p), d) {
			return
		}
	}
}

// Exchange is everything that one check saw: what was sent, what came back, when, and how it ended. Text is
// made from it later. It is written once, by the check, and read-only afterwards. One that a checker lends, because
// its memory is for the next check again, is void when the checker says so; keep a Clone.
type Exchange struct {
	Key     Key
	Address netip.AddrPort // that was asked: the key's, unless the check has a port of its own or a redirect led to another
	Dialect Dialect
	Local   netip.AddrPort // our end; not valid if no connection was made, and perhaps not after a pass
	Proxy   ProxyProtocol  // of the header that was sent before everything else
	Reused  bool           // the connection had served an earlier check
	Started time.Time
	Took    time.Duration // from Started to the verdict
	Timing  Timing        // of the last request, where redirects were followed

	Sent      []byte // the request, byte for byte, or its head as text where that was HTTP/2; nil for tcp and tls
	Head      []byte // the answer's head, likewise, or the first bytes that came if they were not HTTP
	Body      []byte // the first bytes of the content, chunks undone
	BodySize  int64  // how many bytes of content came in all
	Truncated bool   // Head or Body holds less than came

	Redirects []string   // the URLs to which redirects were followed, in order; all of the above is of the last one
	GRPC      *GRPCFacts // what a gRPC health check was answered; nil if this was none, or no answer came
	TLS       *TLSFacts  // what a TLS handshake showed; nil if there was none, or nobody wanted to know

	Status  int // of the answer, in a gRPC check its gRPC status code if one came; 0 if there was none
	Outcome Outcome
	Detail  string // what exactly went wrong, for people ("bare LF ends a line"); may be empty
}

// Clone returns a copy that shares no memory with x, but for what never changes.
func (x *Exchange) Clone() *Exchange {
	c := *x
	c.Sent, c.Head, c.Body = bytes.Clone(x.Sent), bytes.Clone(x.Head), bytes.Clone(x.Body)
	c.Redirects = slices.Clone(x.Redirects)
	return &c
}
