// Package h2 is one request over HTTP/2 and its answer: bytes in and bytes out.
//
// [Call.Begin] makes the bytes that open a connection and ask, [Call.Feed] takes the bytes that come back, [Call.Next]
// gives what they mean, one [Event] at a time, and [Call.Out] is what the peer is owed meanwhile.
//
// The package is strict, as http1 is. Frames are taken apart by golang.org/x/net/http2 and header blocks by its hpack; the
// rules of RFC 9113 that x/net's client leaves out are checked here too, since a checker that takes what the load
// balancer in its place does not take would lie. What an answer may cost is bounded whatever the peer sends: by a quarter
// of a MiB of memory, and by the number and bytes of frames that bring the answer no further.
//
// It does no I/O, knows no time and starts no goroutine. It does not keep connections for a second request, accept pushes,
// decode content codings, or read what comes after the answer. A Call belongs to one goroutine.
package h2

import (
	"io"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/triage-lb/triage/internal/http1"
)

// What an answer may cost. The limits on heads are those of http1.
const (
	maxFrame     = 16 << 10             // bytes of a frame's payload: the initial SETTINGS_MAX_FRAME_SIZE
	maxList      = http1.DefaultMaxHead // bytes of a header list, counted as in RFC 9113 section 6.5.2
	maxFields    = http1.DefaultMaxFields
	maxBlock     = 2 * maxList // bytes of a header block as it is sent
	maxIdle      = 128         // frames in a row that bring the answer no further
	maxIdleBytes = 256 << 10   // and their payload
	maxOwed      = 128         // SETTINGS and PING to be acknowledged in all: some 2 KiB
	maxInterim   = 16          // answers 1xx
)

// The windows of RFC 9113 section 5.2: how much DATA, padding included, one side lets the other send.
const (
	firstWindow   = 1<<16 - 1 // the initial one, of streams and of the connection
	receiveWindow = 1 << 20   // ours
	maxWindow     = 1<<31 - 1
)

// stream is the identifier of the only request.
const stream = 1

// maxSpare bounds what each buffer keeps for the next call.
const maxSpare = 4 << 10

// A Call is one request and its answer. The zero Call is ready for Begin; it must not be copied after that. Some KiB of
// memory are kept from one call for the next: what was needed beyond that is let go when the call is over.
type Call struct {
	in      source
	out     sink
	taken   int           // bytes of out that Out has given away
	framer  *http2.Framer // nil: it is to be made
	largest int           // bytes of a frame that it has read

	encoder *hpack.Encoder
	encoded sink
	text    []byte // the request's fields, one after the other

	exchange
	block   block
	goodbye string // a GOAWAY that lets our request finish
}

// exchange is what a call knows of its connection: what Begin forgets.
type exchange struct {
	stage    stage
	begun    bool // the peer's first frame has come
	acked    bool // the peer has acknowledged our SETTINGS
	bodiless bool // the answer has no content whatever its fields say
	ending   bool // END_STREAM has come, and is not told yet
	head     bool // the method is HEAD
	err      *Error

	idle, idleBytes, owed, interim int

	received             int64 // bytes of DATA, padding included
	sendable, sendableIn int64 // what the peer lets us send: on the connection, in the stream
	peerWindow           int64 // its SETTINGS_INITIAL_WINDOW_SIZE

	length  int64 // Content-Length; -1 if there is none
	content int64 // bytes of content so far
}

// stage is how far the answer is.
type stage uint8

const (
	beforeHead stage = iota
	inContent
	complete
)

// source is where the framer reads: exactly one whole frame at a time.
type source struct {
	b     []byte // what came
	at    int    // of which this much is done with
	frame []byte // what is left of the frame that is being read
}

// rest is what came and is not done with.
func (s *source) rest() []byte { return s.b[s.at:] }

func (s *source) feed(b []byte) {
	n := copy(s.b, s.b[s.at:])
	s.b, s.at = append(s.b[:n], b...), 0
}

// lend makes the next n bytes what the framer reads.
func (s *source) lend(n int) { s.frame, s.at = s.b[s.at:s.at+n], s.at+n }

func (s *source) drop() { s.b, s.at, s.frame = s.b[:0], 0, nil }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if len(s.frame) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.frame)
	s.frame = s.frame[n:]
	return n, nil
}

// sink is where the framer and the encoder write.
type sink struct{ b []byte }

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// Begin forgets the call before and appends to dst everything that a client writes on a new connection to ask: the
// preface, SETTINGS, the fields as HEADERS, and the body, if it is not nil, as DATA. The fields are those of RFC 9113
// section 8.3.1, pseudo-header fields first and names in lower case; they are not checked. The body may have 65,535 bytes:
// what every server takes without having said so.
//
// SETTINGS refuses pushes and opens a window of 1 MiB, and so does a WINDOW_UPDATE for the connection. Nobody reads that
// much of a check's answer, so no WINDOW_UPDATE is ever owed later. Fields are not put into the peer's dynamic table.
func (c *Call) Begin(dst []byte, fields []http1.Field, body []byte) []byte {
	c.reset(isHead(fields))
	c.out.b = append(c.out.b, http2.ClientPreface...)
	// Errors of the framer are those of its writer, which has none, and of illegal arguments.
	_ = c.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxList})
	_ = c.framer.WriteWindowUpdate(0, receiveWindow-firstWindow)
	c.writeHead(fields, body == nil)
	if body != nil {
		c.writeBody(body)
	}
	dst = append(dst, c.out.b...)
	c.out.b = c.out.b[:0]
	return dst
}

func (c *Call) reset(head bool) {
	if c.framer == nil {
		c.framer = http2.NewFramer(&c.out, &c.in)
		c.framer.SetReuseFrames()
		// The order of HEADERS and CONTINUATION is checked here. The framer would keep its place in a header block that
		// broke off, and could not be used for the next call.
		c.framer.AllowIllegalReads = true
	}
	if c.encoder == nil {
		c.encoder = hpack.NewEncoder(&c.encoded)
		c.encoder.SetMaxDynamicTableSizeLimit(0)
		// The first field carries the news that the table is empty, which no peer needs: nothing will ever be added.
		_ = c.encoder.WriteField(hpack.HeaderField{Name: ":method", Value: "GET"})
	}
	c.in.drop()
	c.out.b, c.taken = c.out.b[:0], 0
	c.exchange = exchange{head: head, length: -1, sendable: firstWindow, sendableIn: firstWindow, peerWindow: firstWindow}
	c.block.reset()
	c.goodbye = ""
}

// Rest ends a call that may not be over, and lets go of what it has taken beyond some KiB: for who waits long before the next
// Begin, or never comes to it. What Next and Out have given is void. It may be called at any time.
func (c *Call) Rest() {
	c.taken = len(c.out.b)
	c.settle()
	c.stage = complete
}

// settle lets go of what a call that is over has taken beyond maxSpare.
func (c *Call) settle() {
	c.in.drop()
	c.in.b = spare(c.in.b)
	c.encoded.b, c.text = spare(c.encoded.b), spare(c.text)
	if c.taken == len(c.out.b) {
		c.out.b, c.taken = spare(c.out.b[:0]), 0
	}
	if c.largest > maxSpare {
		c.framer, c.largest = nil, 0
	}
	c.block.settle()
}

// spare is b if it is small enough to be kept.
func spare(b []byte) []byte {
	if cap(b) > maxSpare {
		return nil
	}
	return b
}

func isHead(fields []http1.Field) bool {
	method, _ := http1.Get(fields, ":method")
	return string(method) == "HEAD"
}

// writeHead writes the fields as HEADERS and as many CONTINUATION as it takes.
func (c *Call) writeHead(fields []http1.Field, end bool) {
	c.text = c.text[:0]
	for _, f := range fields {
		c.text = append(append(c.text, f.Name...), f.Value...)
	}
	text := string(c.text) // the encoder wants strings: one for all
	c.encoded.b = c.encoded.b[:0]
	for _, f := range fields {
		name, value := text[:len(f.Name)], text[len(f.Name):len(f.Name)+len(f.Value)]
		text = text[len(name)+len(value):]
		_ = c.encoder.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	part, rest := cut(c.encoded.b)
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: part, EndStream: end, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		part, rest = cut(rest)
		_ = c.framer.WriteContinuation(stream, len(rest) == 0, part)
	}
}

func (c *Call) writeBody(body []byte) {
	c.sendable -= int64(len(body))
	c.sendableIn -= int64(len(body))
	for last := false; !last; {
		var part []byte
		part, body = cut(body)
		last = len(body) == 0
		_ = c.framer.WriteData(stream, last, part)
	}
}

// cut takes a frame's worth off b.
func cut(b []byte) (part, rest []byte) {
	n := min(len(b), maxFrame)
	return b[:n], b[n:]
}

// Feed takes bytes that came, in any pieces, and copies them. Call [Call.Next] after it until that wants More.
func (c *Call) Feed(b []byte) {
	c.out.b = append(c.out.b[:0], c.out.b[c.taken:]...)
	c.taken = 0
	if c.stage != complete && c.err == nil {
		c.in.feed(b)
	}
}

// Out returns what has to be written now, and empties it: acknowledgements of SETTINGS and PING, never more than a few
// KiB in all. It is valid until the next Feed.
func (c *Call) Out() []byte {
	b := c.out.b[c.taken:len(c.out.b):len(c.out.b)]
	c.taken = len(c.out.b)
	return b
}

// Goodbye tells of a GOAWAY that lets our request finish, as in "GOAWAY: ENHANCE_YOUR_CALM (too_many_pings)"; it is ""
// without one. It is no fault by itself: but if the connection ends before the answer does, this is why.
func (c *Call) Goodbye() string { return c.goodbye }
