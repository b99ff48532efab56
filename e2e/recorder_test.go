package e2e

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// recorder is a server that is well, and that writes down how it is asked.
type recorder struct {
	addr    netip.AddrPort
	answer  string
	h2      *h2Answer   // how it answers over HTTP/2; nil: it does not speak that
	tls     *tls.Config // nil: no TLS is spoken
	proxied bool        // a header of the PROXY protocol comes before all else

	mu       sync.Mutex
	contacts []*contact // guarded by mu, with all that they hold
}

// contact is one connection that was accepted.
type contact struct {
	conn     net.Conn
	port     uint16 // of the client
	preamble []byte // the header of the PROXY protocol
	requests []request
	hello    *tls.ClientHelloInfo
	resumed  bool
	end      string // what came after the last request: "FIN", "reset"; "" while the connection lasts
}

// request is what a client wrote until its request was complete: bytes, or the frames of HTTP/2.
type request struct {
	bytes  []byte
	frames []string
}

// record starts a recorder that answers every request so, over TLS if wanted. It ends with the test.
func record(t *testing.T, answer string, encrypted bool) *recorder {
	t.Helper()
	r := &recorder{answer: answer}
	r.start(t, encrypted)
	return r
}

// recordH2 starts a recorder that speaks HTTP/2 from the first byte, and over TLS where the client offers it.
func recordH2(t *testing.T, answer h2Answer, encrypted bool) *recorder {
	t.Helper()
	r := &recorder{answer: well, h2: &answer}
	r.start(t, encrypted)
	return r
}

// recordProxied starts a recorder that expects a header of the PROXY protocol.
func recordProxied(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{answer: well, proxied: true}
	r.start(t, false)
	return r
}

func (r *recorder) start(t *testing.T, encrypted bool) {
	t.Helper()
	if encrypted {
		r.tls = &tls.Config{Certificates: []tls.Certificate{badinput.Certificate(t)}, GetConfigForClient: r.greet}
		if r.h2 != nil {
			r.tls.NextProtos = []string{"h2", "http/1.1"}
		}
	}
	r.addr = badinput.Serve(t, r.serve).Address
}

func (r *recorder) serve(c *net.TCPConn) {
	v := &contact{conn: c, port: c.RemoteAddr().(*net.TCPAddr).AddrPort().Port()}
	r.change(func() { r.contacts = append(r.contacts, v) })
	conn := net.Conn(c)
	over2 := r.h2 != nil
	if r.proxied {
		preamble, err := readPreamble(c)
		r.change(func() { v.preamble = preamble })
		if err != nil {
			r.change(func() { v.end = endOf(c, err) })
			return
		}
	}
	if r.tls != nil {
		inside := tls.Server(c, r.tls)
		if err := inside.Handshake(); err != nil {
			r.change(func() { v.end = err.Error() })
			return
		}
		r.change(func() { v.resumed = inside.ConnectionState().DidResume })
		conn, over2 = inside, inside.ConnectionState().NegotiatedProtocol == "h2"
	}
	var ends []string
	var err error
	if over2 {
		ends, err = r.converse(v, conn)
	} else {
		err = r.reply(v, conn)
	}
	r.change(func() { v.end = strings.Join(append(ends, endOf(c, err)), ", ") })
}

// reply answers requests over HTTP/1 until the connection ends.
func (r *recorder) reply(v *contact, conn net.Conn) error {
	for {
		b, err := readRequest(conn)
		if err != nil {
			return err
		}
		r.change(func() { v.requests = append(v.requests, request{bytes: b}) })
		if _, err := io.WriteString(conn, r.answer); err != nil {
			return err
		}
	}
}

// converse answers requests over HTTP/2 until the connection ends, and returns by which frames the client ended it.
func (r *recorder) converse(v *contact, conn net.Conn) (ends []string, err error) {
	talk, err := beginH2(conn)
	if err != nil {
		return nil, err
	}
	for {
		frames, stream, err := talk.request()
		if err != nil {
			return talk.ends, err
		}
		r.change(func() { v.requests = append(v.requests, request{frames: frames}) })
		if err := talk.answer(stream, *r.h2); err != nil {
			return talk.ends, err
		}
	}
}

// greet notes a hello at its contact.
func (r *recorder) greet(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	r.change(func() {
		for _, v := range r.contacts {
			if v.conn == hello.Conn {
				v.hello = hello
			}
		}
	})
	return nil, nil
}

// checkedTwice reports whether two checks have come and gone, or the second came on the connection of the first.
func (r *recorder) checkedTwice() (twice bool) {
	r.change(func() {
		switch len(r.contacts) {
		case 0:
		case 1:
			twice = len(r.contacts[0].requests) >= 2
		default:
			twice = r.contacts[0].end != "" && r.contacts[1].end != ""
		}
	})
	return twice
}

// facts is what the contacts show, by the keys of a golden file's head, and the request of the first.
func (r *recorder) facts() (facts map[string]string, asked request) {
	facts = map[string]string{wire.Accepted: "never", wire.Connection: "a new one for each check"}
	r.change(func() {
		if len(r.contacts) == 0 {
			return
		}
		facts[wire.Accepted] = "yes"
		first, second := r.contacts[0], r.contacts[min(1, len(r.contacts)-1)]
		if len(first.requests) > 0 {
			asked = first.requests[0]
		}
		if len(first.requests) > 1 {
			facts[wire.Connection] = "kept"
		}
		facts[wire.Ends] = first.end
		if first.preamble != nil {
			text := strings.Replace(string(first.preamble), fmt.Sprintf(" %d %d\r\n", first.port, r.addr.Port()), " 54321 8080\r\n", 1)
			facts[wire.Preamble] = strconv.Quote(text)
		}
		if hello := first.hello; hello != nil {
			var versions []string
			for _, v := range slices.Sorted(slices.Values(hello.SupportedVersions)) {
				versions = append(versions, tls.VersionName(v))
			}
			facts[wire.TLS] = strings.Join(versions, ", ")
			facts[wire.SNI] = cmp.Or(hello.ServerName, "none")
			facts[wire.ALPN] = cmp.Or(strings.Join(hello.SupportedProtos, ", "), "none")
			facts[wire.Resumes] = map[bool]string{true: "yes", false: "no"}[second.resumed]
		}
	})
	return facts, asked
}

func (r *recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// readPreamble reads a header of the PROXY protocol: a line, or sixteen bytes with the length of the rest at their end.
func readPreamble(c net.Conn) ([]byte, error) {
	b := make([]byte, 16, 256)
	if _, err := io.ReadFull(c, b[:6]); err != nil {
		return nil, err
	}
	if string(b[:6]) == "PROXY " {
		for b = b[:6]; !bytes.HasSuffix(b, []byte("\r\n")); {
			b = append(b, 0)
			if _, err := c.Read(b[len(b)-1:]); err != nil {
				return b, err
			}
		}
		return b, nil
	}
	if _, err := io.ReadFull(c, b[6:16]); err != nil {
		return b, err
	}
	rest := make([]byte, int(b[14])<<8|int(b[15]))
	_, err := io.ReadFull(c, rest)
	return append(b, rest...), err
}

// readRequest reads one request without a body.
func readRequest(c net.Conn) ([]byte, error) {
	var request []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(request, []byte("\r\n\r\n")) {
		if _, err := c.Read(b); err != nil {
			return nil, err
		}
		request = append(request, b[0])
	}
	return request, nil
}

// endOf names the end of a connection by the error that reading gave. TLS has an end of its own before TCP's.
func endOf(c *net.TCPConn, err error) string {
	_, last := c.Read(make([]byte, 1))
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(last, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "FIN"
	}
	return err.Error()
}
