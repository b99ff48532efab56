package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// Times and sizes of a connection.
const (
	idleTimeout = 75 * time.Second       // between requests; above the 30 s that checks are apart by default
	settleTime  = 300 * time.Millisecond // of silence, after which nothing more is expected of a doomed message
	sendTimeout = 10 * time.Second
	lingerTime  = time.Second
	maxLinger   = 256 << 10
	readSize    = 8 << 10
)

// conn is one connection. It belongs to the goroutine of serve.
type conn struct {
	server *Server
	tcp    *net.TCPConn
	number int
	peer   netip.AddrPort
	local  netip.AddrPort
	came   time.Time // when it was accepted

	in   []byte // received and not consumed: never much above MaxHead
	end  End    // why nothing more will be received; "" as long as it may
	rec  Record // the record at work
	keep int    // how many more bytes rec.Raw may take

	intro []byte // the PROXY header that the connection began with

	deadline time.Time // for all reads of the head, or of the body
}

func newConn(s *Server, tcp *net.TCPConn, number int) *conn {
	return &conn{
		server: s,
		tcp:    tcp,
		number: number,
		peer:   addrPort(tcp.RemoteAddr()),
		local:  addrPort(tcp.LocalAddr()),
		came:   time.Now(),
	}
}

// serve records one message after another. The caller closes the connection, and does so when ctx is done.
func (c *conn) serve(ctx context.Context) {
	first := true
	for c.exchange(ctx, first) {
		first = false
	}
	c.finish()
}

// exchange records one message and reports whether the connection can carry another.
func (c *conn) exchange(ctx context.Context, first bool) (more bool) {
	c.rec = Record{Connection: c.number, Time: c.came, Peer: c.peer, Local: c.local}
	c.keep = MaxHead
	if end := c.firstByte(first); end != "" {
		if first && end != Stopped {
			c.rec.End = end
			c.rec.Kind = Empty
			if end == TimedOut {
				c.rec.Kind = Silence
			}
			c.record()
		}
		return false
	}
	if !first {
		c.rec.Time = time.Now()
	}
	c.allow(c.server.cfg.Silence)
	more = c.message(ctx) && c.end == ""
	if !more {
		c.take(len(c.in)) // nothing will follow, so all that came is part of this
	}
	c.record()
	return more
}

// record hands the record over, with the remarks that it deserves.
func (c *conn) record() {
	c.rec.Remarks = remarks(&c.rec, c.server.cfg.Silence)
	c.server.emit(c.rec)
}

// firstByte waits for a message to begin.
func (c *conn) firstByte(first bool) End {
	if len(c.in) > 0 {
		return ""
	}
	patience := idleTimeout
	if first {
		patience = c.server.cfg.Silence
	}
	c.allow(patience)
	return c.fill(0)
}

// message reads one message, says in the record what it is, and answers it if it is a request.
func (c *conn) message(ctx context.Context) (more bool) {
	kind := c.sniff()
	if kind == ProxyV1 || kind == ProxyV2 {
		c.rec.Kind = kind
		if !c.readProxy(kind) {
			return false
		}
		if kind = c.sniff(); kind == "" { // nothing follows
			c.rec.End = c.end
			return false
		}
	}
	if c.rec.Kind == "" {
		c.rec.Kind = kind
	}
	switch kind {
	case TLSHello:
		c.readHello()
	case HTTP2Preface:
		c.rec.End = c.settle()
	default:
		return c.readRequest(ctx)
	}
	return false
}

// http2Preface is how a client begins HTTP/2 (RFC 9113 section 3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// signatures are the first bytes of what is not an HTTP/1.x request.
var signatures = [...]struct {
	start string
	kind  Kind
}{
	{"\x16\x03", TLSHello}, // a handshake record, any version (RFC 8446 section 5.1)
	{proxyV1Start, ProxyV1},
	{proxyV2Start, ProxyV2},
	{http2Preface, HTTP2Preface},
}

// sniff says what the next bytes are, reading until it can: HTTPRequest if they are nothing that has a
// signature, and "" if the connection ends before a byte.
func (c *conn) sniff() Kind {
	for {
		undecided := false
		for _, s := range signatures {
			n := min(len(s.start), len(c.in))
			if string(c.in[:n]) != s.start[:n] {
				continue
			}
			if n == len(s.start) {
				return s.kind
			}
			undecided = true
		}
		if !undecided || c.fill(0) != "" {
			break
		}
	}
	if len(c.in) == 0 {
		return ""
	}
	return HTTPRequest
}

// settle receives what more comes of a message that is not worth waiting for: until the sender pauses, the
// connection ends, or there is too much of it.
func (c *conn) settle() End {
	for len(c.in) < MaxHead {
		if end := c.fill(settleTime); end != "" {
			return end
		}
	}
	return Limit
}

// allow sets the time for the reads that follow.
func (c *conn) allow(d time.Duration) { c.deadline = time.Now().Add(d) }

// fill receives more bytes, waiting for the deadline at most. A quiet time above 0 shortens that: if nothing
// comes for so long the answer is Quiet, and receiving can go on later.
func (c *conn) fill(quiet time.Duration) End {
	if c.end != "" {
		return c.end
	}
	until, late := c.deadline, TimedOut
	if soon := time.Now().Add(quiet); quiet > 0 && soon.Before(until) {
		until, late = soon, Quiet
	}
	_ = c.tcp.SetReadDeadline(until) // fails only on a closed connection, as the read then does
	c.in = slices.Grow(c.in, readSize)
	n, err := c.tcp.Read(c.in[len(c.in) : len(c.in)+readSize])
	c.in = c.in[:len(c.in)+n]
	switch {
	case n > 0:
		return ""
	case errors.Is(err, os.ErrDeadlineExceeded):
		if late == TimedOut {
			c.end = TimedOut
		}
		return late
	case errors.Is(err, io.EOF):
		c.end = Closed
	case errors.Is(err, syscall.ECONNRESET):
		c.end = Reset
	case errors.Is(err, net.ErrClosed):
		c.end = Stopped
	default:
		c.end = Broken
	}
	return c.end
}

// take consumes n bytes into the record, as far as there is room.
func (c *conn) take(n int) {
	kept := min(n, c.keep)
	c.rec.Raw = append(c.rec.Raw, c.in[:kept]...)
	c.keep -= kept
	c.rec.Dropped += int64(n - kept)
	c.in = c.in[:copy(c.in, c.in[n:])]
}

// why words the end of an unfinished message.
func (c *conn) why(end End) string {
	switch end {
	case TimedOut:
		return fmt.Sprintf("the rest did not come within %v", c.server.cfg.Silence)
	case Closed:
		return "the sender closed the connection"
	case Reset:
		return "the sender reset the connection"
	case Limit:
		return "it is too large"
	case Stopped:
		return "triage was stopped"
	}
	return "the connection failed"
}

func (c *conn) write(b []byte) bool {
	_ = c.tcp.SetWriteDeadline(time.Now().Add(sendTimeout)) // fails only on a closed connection
	_, err := c.tcp.Write(b)
	return err == nil
}

// finish ends our side and reads on for a moment: closing a socket that holds unread bytes makes the kernel
// send a reset, which can overtake the answer (RFC 9112 section 9.6).
func (c *conn) finish() {
	if c.end != "" && c.end != TimedOut {
		return
	}
	_ = c.tcp.CloseWrite()
	_ = c.tcp.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.tcp, maxLinger)
}
