package e2e

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// recorder is a server that is well, and that writes down how it is asked.
type recorder struct {
	addr   netip.AddrPort
	answer string
	tls    *tls.Config // nil: no TLS is spoken

	mu       sync.Mutex
	contacts []*contact // guarded by mu, with all that they hold
}

// contact is one connection that was accepted.
type contact struct {
	conn     net.Conn
	requests [][]byte
	hello    *tls.ClientHelloInfo
	resumed  bool
	end      string // what came after the last request: "FIN", "reset"; "" while the connection lasts
}

// record starts a recorder that answers every request so, over TLS if wanted. It ends with the test.
func record(t *testing.T, answer string, encrypted bool) *recorder {
	t.Helper()
	r := &recorder{answer: answer}
	if encrypted {
		r.tls = &tls.Config{Certificates: []tls.Certificate{badinput.Certificate(t)}, GetConfigForClient: r.greet}
	}
	r.addr = badinput.Serve(t, r.serve).Address
	return r
}

func (r *recorder) serve(c *net.TCPConn) {
	v := &contact{conn: c}
	r.change(func() { r.contacts = append(r.contacts, v) })
	conn := net.Conn(c)
	if r.tls != nil {
		inside := tls.Server(c, r.tls)
		if err := inside.Handshake(); err != nil {
			r.change(func() { v.end = err.Error() })
			return
		}
		r.change(func() { v.resumed = inside.ConnectionState().DidResume })
		conn = inside
	}
	for {
		request, err := readRequest(conn)
		if err != nil {
			r.change(func() { v.end = endOf(c, err) })
			return
		}
		r.change(func() { v.requests = append(v.requests, request) })
		if _, err := io.WriteString(conn, r.answer); err != nil {
			r.change(func() { v.end = endOf(c, err) })
			return
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
func (r *recorder) facts() (facts map[string]string, request []byte) {
	facts = map[string]string{wire.Accepted: "never", wire.Connection: "a new one for each check"}
	r.change(func() {
		if len(r.contacts) == 0 {
			return
		}
		facts[wire.Accepted] = "yes"
		first, second := r.contacts[0], r.contacts[min(1, len(r.contacts)-1)]
		if len(first.requests) > 0 {
			request = first.requests[0]
		}
		if len(first.requests) > 1 {
			facts[wire.Connection] = "kept"
		}
		facts[wire.Ends] = first.end
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
	return facts, request
}

func (r *recorder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
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
