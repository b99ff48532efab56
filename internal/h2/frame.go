package h2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/net/http2"
)

// headerLen is the length of a frame's header.
const headerLen = 9

// Next returns the next event. After [More] it wants [Call.Feed]; after [End] it returns More for ever, and what comes then
// is dropped: the answer is complete. The error is an *[Error]; it is final, and every later call returns it again.
func (c *Call) Next() (Event, error) {
	for c.err == nil && c.stage != complete {
		if c.ending {
			return c.end()
		}
		header, ok := c.whole()
		if !ok {
			break
		}
		e := c.read(header)
		if c.err == nil && e.Kind != More {
			return e, nil
		}
	}
	if c.err != nil {
		c.settle()
		return Event{}, c.err
	}
	return Event{}, nil
}

// end is due once END_STREAM has come and everything before it is told.
func (c *Call) end() (Event, error) {
	defer c.settle()
	if c.length >= 0 && c.content != c.length && !c.bodiless {
		c.err = malformed("content-length is %d, and %d bytes of content came", c.length, c.content)
		return Event{}, c.err
	}
	c.stage = complete
	return Event{Kind: End}, nil
}

// header is what every frame begins with (RFC 9113 section 4.1), as far as it is needed here.
type header struct {
	length int
	kind   http2.FrameType
	stream uint32
}

// whole looks for a whole frame at the start of what came, and lends it to the framer. A frame that is too long or out of
// place is an error as soon as its header is there, and bytes that are not HTTP/2 are one before.
func (c *Call) whole() (h header, ok bool) {
	b := c.in.rest()
	if !c.begun {
		c.err = checkFirst(b)
	}
	if c.err != nil || len(b) < headerLen {
		return header{}, false
	}
	h = header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   http2.FrameType(b[3]),
		stream: binary.BigEndian.Uint32(b[5:]) &^ (1 << 31), // the bit is reserved
	}
	if h.length > maxFrame {
		c.err = malformed("%s of %d bytes, where %d are allowed", h.kind, h.length, maxFrame)
	} else {
		c.err = c.checkPlace(h)
	}
	if c.err != nil || len(b) < headerLen+h.length {
		return header{}, false
	}
	c.in.lend(headerLen + h.length)
	c.largest = max(c.largest, h.length)
	return h, true
}

// checkFirst checks the first bytes from the peer, however few. They begin a SETTINGS frame (RFC 9113 section 3.4). A GOAWAY
// is let through, to be the end: it says why the peer wants no connection, and that tells more than "not HTTP/2" would.
func checkFirst(b []byte) *Error {
	switch {
	case len(b) == 0, b[0] == 0 && len(b) < 4:
		return nil
	case bytes.HasPrefix(b, []byte("HTTP/1.")):
		return malformed("the first bytes are %q: it answers in HTTP/1", b[:min(len(b), len("HTTP/1.1 200"))])
	case b[0] == 0x15 && (len(b) == 1 || b[1] == 3): // an alert record
		return malformed("the first bytes are %q: it wants TLS", b[:min(len(b), 7)])
	case b[0] != 0 || b[3] > byte(http2.FrameContinuation):
		return malformed("the first bytes are %q", b[:min(len(b), 16)])
	}
	switch kind := http2.FrameType(b[3]); {
	case kind == http2.FrameGoAway:
	case kind != http2.FrameSettings:
		return malformed("the first frame is %s, not SETTINGS", kind)
	case len(b) > 4 && http2.Flags(b[4]).Has(http2.FlagSettingsAck):
		return malformed("the first frame acknowledges SETTINGS before it sends its own")
	}
	return nil
}

// checkPlace checks what a frame's header says before the rest of the frame is waited for. Only frames about the connection
// have no stream; only PRIORITY, and frames of types that nobody knows, may be about a stream that nobody has opened (RFC
// 9113 sections 5.1 and 5.5).
func (c *Call) checkPlace(h header) *Error {
	switch {
	case c.block.open && h.kind != http2.FrameContinuation:
		return malformed("%s in the middle of a header block", h.kind)
	case !c.block.open && h.kind == http2.FrameContinuation:
		return malformed("a CONTINUATION without HEADERS")
	}
	about := stream
	switch h.kind {
	case http2.FramePushPromise:
		return malformed("a PUSH_PROMISE, which our SETTINGS forbid")
	case http2.FrameSettings, http2.FramePing, http2.FrameGoAway:
		about = 0
	case http2.FrameData, http2.FrameHeaders, http2.FrameContinuation, http2.FrameRSTStream:
	case http2.FrameWindowUpdate:
		if h.stream == 0 {
			about = 0
		}
	default:
		return nil
	}
	switch {
	case h.stream == uint32(about):
		return nil
	case about == 0:
		return malformed("%s for stream %d, where it is about the connection", h.kind, h.stream)
	case h.stream == 0:
		return malformed("%s without a stream", h.kind)
	}
	return malformed("%s for stream %d, which nobody has opened", h.kind, h.stream)
}

// read takes the frame that was lent, and notes in c.err what is wrong with it.
func (c *Call) read(h header) (e Event) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		c.err = c.unreadable(h, err)
		return Event{}
	}
	e, c.err = c.handle(frame)
	c.begun = true
	if e.Kind != More || c.ending {
		c.idle, c.idleBytes = 0, 0
	} else if c.err == nil {
		c.err = c.idled(h)
	}
	return e
}

// idled counts a frame that has brought the answer no further.
func (c *Call) idled(h header) *Error {
	c.idle, c.idleBytes = c.idle+1, c.idleBytes+h.length
	switch {
	case c.idle > maxIdle:
		return malformed("more than %d frames in a row that bring the answer no further, the last of them %s", maxIdle, h.kind)
	case c.idleBytes > maxIdleBytes:
		return malformed("more than %d bytes in a row that bring the answer no further, the last of them %s", maxIdleBytes, h.kind)
	}
	return nil
}

// unreadable is the error of a frame that the framer rejects.
func (c *Call) unreadable(h header, err error) *Error {
	why := "too short"
	var asConnection http2.ConnectionError
	var asStream http2.StreamError
	switch detail := c.framer.ErrorDetail(); {
	case detail != nil:
		why = detail.Error()
	case errors.As(err, &asConnection):
		why = http2.ErrCode(asConnection).String()
	case errors.As(err, &asStream):
		why = asStream.Code.String()
	}
	return malformed("%s of %d bytes is not valid: %s", h.kind, h.length, why)
}

func (c *Call) handle(frame http2.Frame) (Event, *Error) {
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		return c.headers(f)
	case *http2.ContinuationFrame:
		return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.data(f)
	case *http2.SettingsFrame:
		return Event{}, c.settings(f)
	case *http2.PingFrame:
		return Event{}, c.ping(f)
	case *http2.WindowUpdateFrame:
		return Event{}, c.windowUpdate(f)
	case *http2.RSTStreamFrame:
		return Event{}, gone(Reset, f.ErrCode, "RST_STREAM: "+f.ErrCode.String())
	case *http2.GoAwayFrame:
		return Event{}, c.goAway(f)
	}
	return Event{}, nil // PRIORITY, and what nobody knows
}

func (c *Call) settings(f *http2.SettingsFrame) *Error {
	if f.IsAck() {
		if c.acked {
			return malformed("SETTINGS acknowledged twice")
		}
		c.acked = true
		return nil
	}
	for i := range f.NumSettings() {
		s := f.Setting(i)
		// RFC 9113 section 6.5.2: a server must not enable what only a client can receive.
		if s.Valid() != nil || s.ID == http2.SettingEnablePush && s.Val != 0 {
			return malformed("SETTINGS with %s = %d, which is not valid", s.ID, s.Val)
		}
		if s.ID != http2.SettingInitialWindowSize {
			continue
		}
		c.sendableIn += int64(s.Val) - c.peerWindow
		c.peerWindow = int64(s.Val)
		if c.sendableIn > maxWindow {
			return malformed("SETTINGS that open the stream's window beyond %d bytes", maxWindow)
		}
	}
	if err := c.owe(http2.FrameSettings); err != nil {
		return err
	}
	_ = c.framer.WriteSettingsAck()
	return nil
}

func (c *Call) ping(f *http2.PingFrame) *Error {
	if f.IsAck() {
		return nil
	}
	if err := c.owe(http2.FramePing); err != nil {
		return err
	}
	_ = c.framer.WritePing(true, f.Data)
	return nil
}

// owe counts an acknowledgement. They are counted over the whole call: neither when they are fetched nor how the bytes were
// cut can then decide how it ends.
func (c *Call) owe(kind http2.FrameType) *Error {
	if c.owed++; c.owed > maxOwed {
		return malformed("more than %d SETTINGS and PING to acknowledge, the last of them %s", maxOwed, kind)
	}
	return nil
}

func (c *Call) windowUpdate(f *http2.WindowUpdateFrame) *Error {
	window := &c.sendable
	if f.StreamID != 0 {
		window = &c.sendableIn
	}
	if *window += int64(f.Increment); *window > maxWindow {
		return malformed("WINDOW_UPDATE beyond %d bytes", maxWindow)
	}
	return nil
}

func (c *Call) goAway(f *http2.GoAwayFrame) *Error {
	said := "GOAWAY: " + f.ErrCode.String()
	if debug := f.DebugData(); len(debug) > 0 {
		said += " (" + printable(debug) + ")"
	}
	if f.LastStreamID < stream || !c.begun {
		return gone(GoneAway, f.ErrCode, said)
	}
	c.goodbye = said
	return nil
}

// printable is what a peer says, fit to be shown: not at any length, and quoted unless it is plain text.
func printable(b []byte) string {
	const most = 100
	more := ""
	if len(b) > most {
		b, more = b[:most], "…"
	}
	for _, v := range b {
		if v < ' ' || v > '~' {
			return strconv.Quote(string(b)) + more
		}
	}
	return string(b) + more
}

func (c *Call) data(f *http2.DataFrame) (Event, *Error) {
	if c.stage == beforeHead {
		return Event{}, malformed("DATA before a head")
	}
	c.received += int64(f.Length)
	if c.received > receiveWindow {
		return Event{}, malformed("more DATA than the window of %d bytes allows", receiveWindow)
	}
	data := f.Data()
	c.content += int64(len(data))
	switch {
	case c.bodiless && len(data) > 0:
		return Event{}, malformed("content in an answer that has none by its status or the request's method")
	case c.length >= 0 && c.content > c.length:
		return Event{}, malformed("content-length is %d, and more content came", c.length)
	}
	c.ending = f.StreamEnded()
	if len(data) == 0 {
		return Event{}, nil
	}
	return Event{Kind: Data, Data: data}, nil
}
