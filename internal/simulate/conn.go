package simulate

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Bounds on what a client can make a connection hold or wait for.
const (
	maxHead     = 32 << 10
	maxBody     = 1 << 20
	maxLinger   = 256 << 10
	idleTimeout = 2 * time.Minute  // until the first byte of a request
	readTimeout = 10 * time.Second // for the head, and again for the body
	sendTimeout = 10 * time.Second
	lingerTime  = time.Second
)

// Why readRequest has no request.
var (
	errMalformed = errors.New("not an HTTP/1.x request")
	errTooLarge  = errors.New("request head too large")
	errTooSlow   = errors.New("request not complete in time")
	errGone      = errors.New("client is gone")
)

// A conn is one client connection. It is served here and not by net/http's
// server because net/http answers malformed and late requests by itself, which
// a hanging server or one with an empty reply must not.
//
// All fields belong to the goroutine of serve, except as noted.
type conn struct {
	server  *Server
	tcp     *net.TCPConn
	limit   *io.LimitedReader // over tcp
	in      *bufio.Reader     // over limit
	hanging bool              // guarded by server.mu
}

func newConn(s *Server, tcp *net.TCPConn) *conn {
	limit := &io.LimitedReader{R: tcp}
	return &conn{server: s, tcp: tcp, limit: limit, in: bufio.NewReader(limit)}
}

// closeNow may be called from any goroutine and more than once.
func (c *conn) closeNow() { _ = c.tcp.Close() }

// serve handles one request after another. The caller closes the connection.
func (c *conn) serve(ctx context.Context) {
	for c.exchange(ctx) {
	}
}

// exchange reads one request, does what the illness demands, and reports
// whether the connection can carry another.
func (c *conn) exchange(ctx context.Context) (more bool) {
	req, err := c.readRequest()
	if err == errGone {
		return false
	}
	symptom := c.server.symptom()
	if err == nil {
		c.server.requests.Add(1)
		if hook := c.server.cfg.OnRequest; hook != nil {
			hook(req, symptom)
		}
	}
	switch {
	case symptom == Hang:
		c.hang()
		return false
	case symptom == Refuse || err == errTooSlow:
		return false
	case symptom == EmptyReply:
		c.finish()
		return false
	case err != nil:
		c.send(badRequest(err), false, false)
		c.finish()
		return false
	}
	return c.answer(ctx, req, symptom)
}

// readRequest reads one request head. The error is one of those above.
func (c *conn) readRequest() (*http.Request, error) {
	c.limit.N = maxHead
	c.readWithin(idleTimeout)
	first, err := c.in.Peek(1)
	if err != nil {
		return nil, c.readError(err)
	}
	// A TLS hello and other foreign protocols need not contain the line end
	// that ReadRequest would wait for.
	if !isAlphanumeric(rune(first[0])) {
		return nil, errMalformed
	}
	c.readWithin(readTimeout)
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return nil, c.readError(err)
	}
	_, named := hostName(req.Host)
	if req.ProtoMajor != 1 || !named && (req.Host != "" || req.ProtoMinor > 0) {
		return nil, errMalformed
	}
	req.RemoteAddr = c.tcp.RemoteAddr().String()
	return req, nil
}

// readError tells apart what happened to a read that ended in err.
func (c *conn) readError(err error) error {
	var network *net.OpError
	switch {
	case c.limit.N <= 0:
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTooSlow
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return errGone
	}
	return errMalformed
}

// answer sends the page for req and reports whether the connection can stay.
func (c *conn) answer(ctx context.Context, req *http.Request, symptom Illness) (more bool) {
	more = c.drain(req) && !req.Close
	if symptom == Slow && !pause(ctx, c.server.cfg.Slow) {
		return false
	}
	if !c.send(c.server.page(req, symptom), req.Method == http.MethodHead, more) {
		return false
	}
	if !more {
		c.finish()
	}
	return more
}

// drain reads the request's body and reports whether it reached its end, which
// is where the next request begins.
func (c *conn) drain(req *http.Request) bool {
	c.limit.N = maxBody
	c.readWithin(readTimeout)
	if strings.EqualFold(req.Header.Get("Expect"), "100-continue") && req.ProtoAtLeast(1, 1) {
		if !c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")) {
			return false
		}
	}
	_, err := io.Copy(io.Discard, req.Body)
	return err == nil
}

func (c *conn) send(p page, headOnly, more bool) bool {
	return c.write(p.bytes(c.server.cfg.Name, time.Now(), headOnly, more))
}

func (c *conn) write(b []byte) bool {
	if err := c.tcp.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return false
	}
	_, err := c.tcp.Write(b)
	return err == nil
}

// readWithin sets the time for the reads that follow. It fails only on a closed
// connection, where those reads fail too.
func (c *conn) readWithin(d time.Duration) { _ = c.tcp.SetReadDeadline(time.Now().Add(d)) }

// hang keeps the connection, reading and discarding, until the client closes
// it, the server is switched, or it ends.
func (c *conn) hang() {
	if !c.server.hangs(c) {
		return
	}
	_ = c.tcp.SetReadDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, c.tcp)
}

// finish ends our side and reads on for a moment: closing a socket that holds
// unread bytes makes the kernel send a reset, which can overtake the answer and
// would not be the clean end of an empty reply (RFC 9112 section 9.6).
func (c *conn) finish() {
	_ = c.tcp.CloseWrite()
	c.readWithin(lingerTime)
	_, _ = io.CopyN(io.Discard, c.tcp, maxLinger)
}
