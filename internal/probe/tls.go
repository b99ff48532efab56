package probe

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
)

// tlsStream runs crypto/tls, which wants a blocking connection, without one: the TLS client is a coroutine
// (iter.Pull) over a connection in memory. It runs until it wants bytes that have not come, then yields what
// it has to say. One goroutine at a time may drive or stop it, and none that is locked to its thread.
type tlsStream struct {
	conn   memConn
	client *tls.Conn
	next   func() (tlsStep, bool)
	stop   func()
	facts  *triage.TLSFacts // of the handshake, where the plan keeps them
}

// tlsStep is what the coroutine says when it yields.
type tlsStep struct {
	kind  tlsStepKind
	plain []byte // tlsPlain: decrypted bytes, valid until the next step
	err   error  // tlsFailed
}

type tlsStepKind uint8

const (
	tlsNeedsInput tlsStepKind = iota
	tlsHandshaken
	tlsPlain
	tlsFailed // the handshake, or the stream after it, ended
)

// memConn is the connection that crypto/tls sees.
type memConn struct {
	peer    netip.AddrPort
	in, out []byte
	closed  error // what reading gives once in is empty; nil: wait
	yield   func(tlsStep) bool
}

func newTLSStream(config *tls.Config, peer netip.AddrPort) *tlsStream {
	t := &tlsStream{conn: memConn{peer: peer}}
	t.client = tls.Client(&t.conn, config)
	t.next, t.stop = iter.Pull(func(yield func(tlsStep) bool) {
		t.conn.yield = yield
		t.run(yield)
	})
	return t
}

// readSize is how much is decrypted at once. Larger records (16 KiB at most, RFC 8446 section 5.1) come in parts.
const readSize = 4 << 10

// run is the coroutine: the handshake, then answers for as long as the connection lasts.
func (t *tlsStream) run(yield func(tlsStep) bool) {
	if err := t.client.Handshake(); err != nil {
		yield(tlsStep{kind: tlsFailed, err: err})
		return
	}
	if !yield(tlsStep{kind: tlsHandshaken}) {
		return
	}
	buf := make([]byte, readSize)
	for {
		n, err := t.client.Read(buf)
		if n > 0 && !yield(tlsStep{kind: tlsPlain, plain: buf[:n]}) {
			return
		}
		if err != nil {
			yield(tlsStep{kind: tlsFailed, err: err})
			return
		}
	}
}

// encrypt returns what to send for b, and anything that was to be sent before it. It does not need the coroutine, which
// at that time has yielded within a Read or between two: crypto/tls reads and writes independently.
func (t *tlsStream) encrypt(b []byte) ([]byte, error) {
	_, err := t.client.Write(b)
	return t.conn.out, err
}

func (c *memConn) Read(b []byte) (int, error) {
	for len(c.in) == 0 {
		if c.closed != nil {
			return 0, c.closed
		}
		if !c.yield(tlsStep{kind: tlsNeedsInput}) {
			return 0, net.ErrClosed
		}
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	return len(b), nil
}

// RemoteAddr is the target's address: by it crypto/tls finds the session to resume.
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.peer) }

// The rest of net.Conn: the driver keeps the deadline and closes the real connection.

func (c *memConn) Close() error                     { return nil }
func (c *memConn) LocalAddr() net.Addr              { return nil }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// encrypted handles an event of a connection that carries TLS: it feeds the coroutine and goes on with what
// that makes of it.
func (s *Session) encrypted(e Event) Action {
	c := &s.tls.conn
	if s.stage == finishing {
		switch {
		case s.x.Outcome != triage.NotChecked:
			return s.verdict(s.x.Outcome, s.x.Detail, e.At) // whatever became of our alert
		case e.Kind == Written:
			return s.verdict(triage.Handshaken, "", e.At)
		}
		return s.verdict(triage.TLSClosed, "before our last message", e.At)
	}
	switch e.Kind {
	case Data:
		c.in = append(c.in, e.Data...)
	case EOF:
		c.closed = io.EOF
	case Reset:
		if resourceFault(e.Err) {
			return s.verdict(triage.OutOfResources, e.Err.Error(), e.At)
		}
		c.closed = e.Err
	case Written:
		c.out = c.out[:0]
		s.asked(e.At)
	}
	for {
		step, ok := s.tls.next()
		if !ok {
			return s.verdict(triage.TLSClosed, "", e.At)
		}
		switch step.kind {
		case tlsNeedsInput:
			if len(c.out) > 0 {
				return Action{Kind: Write, Data: c.out}
			}
			return Action{Kind: Wait}
		case tlsHandshaken:
			s.enter(triage.PhaseTLS, e.At)
			switch {
			case s.plan.Protocol == triage.TLS:
				return s.finishHandshake(e.At)
			case s.protocol().IsHTTP2() && !s.tls.agreedHTTP2():
				return s.verdict(triage.HTTP2NotOffered, "", e.At)
			}
			return s.ask(0, e.At)
		case tlsPlain:
			switch a := s.data(Event{Kind: Data, At: e.At, Data: step.plain}); {
			case a.Kind == Write: // goes out once everything that came is read
				if _, err := s.tls.encrypt(a.Data); err != nil {
					return s.tlsEnded(err, e.At)
				}
			case a.Kind != Wait:
				if a.Keep && !s.tls.quiet() {
					s.Stop()
					a.Keep = false
				}
				return a
			}
		case tlsFailed:
			return s.tlsEnded(step.err, e.At)
		}
	}
}

// finishHandshake sends our last message of the handshake, if it is not sent yet, before the verdict of a tls
// check: the target would otherwise log a handshake that broke off.
func (s *Session) finishHandshake(at time.Time) Action {
	if len(s.tls.conn.out) == 0 {
		return s.verdict(triage.Handshaken, "", at)
	}
	s.stage = finishing
	return Action{Kind: Write, Data: s.tls.conn.out}
}

// tlsEnded gives the verdict when crypto/tls has given up: during the handshake that is a TLS outcome, after
// it the end of the answer.
func (s *Session) tlsEnded(err error, at time.Time) Action {
	if s.x.Reused && s.answer.empty() {
		return s.again(at)
	}
	// In TLS 1.3 the target judges our side of the handshake, a missing client certificate for one, only after
	// we have completed it, so an alert in place of an answer is still a refusal.
	_, alerted := alertIn(err)
	if s.stage == handshaking || alerted && s.answer.empty() {
		o, detail := classifyHandshake(err)
		if alert, ok := alertIn(err); ok && alert == noProtocol && s.protocol().IsHTTP2() {
			o = triage.HTTP2NotOffered
		}
		if a, again := s.withoutName(o, detail, at); again {
			return a
		}
		if alert := s.tls.conn.out; o == triage.TLSUntrusted && len(alert) > 0 {
			s.stage, s.x.Outcome, s.x.Detail = finishing, o, detail
			return Action{Kind: Write, Data: alert} // the target's log says why, as after the real check
		}
		return s.verdict(o, detail, at)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return s.plain(Event{Kind: EOF, At: at})
	}
	if _, kernel := errors.AsType[syscall.Errno](err); !kernel {
		o, detail := s.answer.broken(s.plan, err)
		return s.verdict(o, detail, at)
	}
	return s.plain(Event{Kind: Reset, At: at, Err: err})
}

// noProtocol is crypto/tls's text of the alert no_application_protocol (RFC 7301 section 3.2).
const noProtocol = "tls: no application protocol"

// agreedHTTP2 reports whether the handshake, which is over, has agreed on HTTP/2.
func (t *tlsStream) agreedHTTP2() bool {
	return t.client.ConnectionState().NegotiatedProtocol == alpnHTTP2
}

// quiet reports whether everything that came has been read, and nothing is to be sent.
func (t *tlsStream) quiet() bool {
	step, ok := t.next()
	return ok && step.kind == tlsNeedsInput && len(t.conn.out) == 0
}
