package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// maxContent bounds how much of a body is read before it is called endless.
const maxContent = 64 << 20

// readRequest reads a request, or what turns out to be none, and answers it. It reports whether the
// connection can carry another.
func (c *conn) readRequest(ctx context.Context) (more bool) {
	n, end := c.readHead()
	c.rec.End = end
	head := slices.Clone(c.in[:n]) // what is parsed points into it
	c.take(n)
	r, _, err := http1.ParseRequest(head, nil, http1.Limits{Head: MaxHead})
	if err != nil {
		c.refuse(head, end, err)
		return false
	}
	rows := c.rec.describe(r)
	framing, err := r.Framing()
	if err != nil {
		c.refuse(head, end, err)
		return false
	}
	if framing.Kind != http1.NoBody && !c.readBody(r, framing) {
		return false
	}
	if c.server.cfg.Forward.To.IsValid() {
		return c.forward(ctx, r, head, rows)
	}
	more = keepsAlive(r)
	return c.answer(c.server.cfg.Status, r, more) && more
}

// describe notes a request in its record, who sends such a one, and what that one accepts. It returns the sender's rows in
// the table of dialects.
func (rec *Record) describe(r http1.Request) []*dialect.Spec {
	rec.Request = requestOf(r, rec.Local.Addr())
	sender, ok := dialect.Recognise(r)
	if !ok {
		return nil
	}
	rows := sender.Rows
	rec.Sender = &Sender{Title: sender.Title, Why: sender.Why, Sure: sender.Sure}
	for _, row := range rows {
		rec.Sender.Dialects = append(rec.Sender.Dialects, row.Name)
	}
	rec.Accepts = accepts(rec.Request, rows)
	return rows
}

// readHead receives until a head is complete or will never be, and returns its length: that of all bytes if
// there is no end to it.
func (c *conn) readHead() (n int, end End) {
	var quiet time.Duration // how long to wait for more: until the deadline, as long as there is hope
	from, seen, looks := 0, 0, 0
	for {
		if n, from = http1.HeadEnd(c.in, from); n > 0 {
			return n, Complete
		}
		if len(c.in) >= MaxHead {
			return len(c.in), Limit
		}
		// The parser sees at once what cannot become a request. It is asked when a line has come, and for
		// the first few pieces anyway, so that a head which drips in does not cost the square of its size.
		if quiet == 0 && (looks < 64 || bytes.IndexByte(c.in[seen:], '\n') >= 0) {
			looks++
			_, _, err := http1.ParseRequest(c.in, nil, http1.Limits{Head: MaxHead})
			if err != nil && !errors.Is(err, http1.ErrIncomplete) {
				quiet = settleTime
			}
		}
		seen = len(c.in)
		if end := c.fill(quiet); end != "" {
			return len(c.in), end
		}
	}
}

// refuse records why a head, or something else, is no request. What was meant as one is answered.
func (c *conn) refuse(head []byte, end End, err error) {
	meant := looksLikeHTTP(head)
	if !meant && c.rec.Request == nil {
		if c.rec.Kind == HTTPRequest {
			c.rec.Kind = Other
		}
		return
	}
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, http1.ErrTooLarge):
		status = http.StatusRequestHeaderFieldsTooLarge
		c.rec.Problem = fmt.Sprintf("the head is larger than %d KiB or has more than %d header lines", MaxHead>>10, http1.DefaultMaxFields)
	case errors.Is(err, http1.ErrIncomplete):
		c.rec.Problem = "the head is not complete: " + c.why(end)
		if end == TimedOut {
			status = http.StatusRequestTimeout
		}
	default:
		c.rec.Problem = err.Error()
	}
	c.answer(status, http1.Request{}, false)
}

// looksLikeHTTP reports whether somebody meant these bytes as an HTTP request: they begin with a method that
// is in use, or name the protocol in their first line.
func looksLikeHTTP(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.Contains(line, []byte(" HTTP/")) {
		return true
	}
	method, _, ok := strings.Cut(string(line), " ")
	return ok && slices.Contains([]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodOptions, http.MethodPatch, http.MethodTrace, http.MethodConnect,
	}, method)
}

func requestOf(r http1.Request, local netip.Addr) *Request {
	request := &Request{
		Method:  string(r.Method),
		Target:  string(r.Target),
		Version: fmt.Sprintf("HTTP/1.%d", r.Minor),
		Headers: make([]Header, len(r.Fields)),
		Host:    hostOf(r, local),
	}
	for i, f := range r.Fields {
		request.Headers[i] = Header{string(f.Name), string(f.Value)}
	}
	return request
}

// readBody reads the body and reports whether all of it came; if not, it has answered.
func (c *conn) readBody(r http1.Request, f http1.Framing) (ok bool) {
	c.allow(c.server.cfg.Silence)
	c.keep = MaxBody
	if r.Minor == 1 && http1.HasToken(r.Fields, "Expect", "100-continue") && len(c.in) == 0 {
		c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
	body := http1.NewBody(f)
	read := 0
	for {
		n, err := c.takeBody(&body)
		read += n
		if err != nil {
			c.rec.End = Quiet
			c.rec.Problem = "in the body, " + err.Error()
			c.answer(http.StatusBadRequest, r, false)
			return false
		}
		if body.Done() {
			return true
		}
		if read > maxContent {
			c.rec.End = Limit
			c.rec.Problem = fmt.Sprintf("the body did not end within %d MiB", maxContent>>20)
			c.answer(http.StatusRequestEntityTooLarge, r, false)
			return false
		}
		if end := c.fill(0); end != "" {
			c.rec.End = end
			c.rec.Problem = "the body is not complete: " + c.why(end)
			c.answer(http.StatusRequestTimeout, r, false)
			return false
		}
	}
}

// takeBody consumes what has been received of the body, and returns how many bytes that was.
func (c *conn) takeBody(body *http1.Body) (n int, err error) {
	for n < len(c.in) && !body.Done() && err == nil {
		var data []byte
		var used int
		data, used, err = body.Next(c.in[n:])
		c.rec.Request.BodyBytes += int64(len(data))
		n += used
	}
	c.take(n)
	return n, err
}

// keepsAlive reports whether the sender wants to send more on this connection (RFC 9112 section 9.3).
func keepsAlive(r http1.Request) bool {
	if http1.HasToken(r.Fields, "Connection", "close") || string(r.Method) == http.MethodConnect {
		return false
	}
	return r.Minor == 1 || http1.HasToken(r.Fields, "Connection", "keep-alive")
}

// answer sends a status with a short text, and reports whether that went out.
func (c *conn) answer(status int, r http1.Request, more bool) bool {
	if c.end == Reset || c.end == Stopped || c.end == Broken {
		return false
	}
	if string(r.Method) == http.MethodConnect && status < 300 {
		status = http.StatusMethodNotAllowed // a 2xx would make the connection a tunnel
	}
	text := strings.ToLower(http.StatusText(status)) + "\n"
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http.StatusText(status), time.Now().UTC().Format(http.TimeFormat))
	hasBody := status != http.StatusNoContent && status != http.StatusNotModified
	if hasBody {
		fmt.Fprintf(&b, "Content-Type: text/plain\r\nContent-Length: %d\r\n", len(text))
	}
	switch {
	case !more:
		b.WriteString("Connection: close\r\n")
	case r.Minor == 0:
		b.WriteString("Connection: keep-alive\r\n")
	}
	b.WriteString("\r\n")
	if hasBody && string(r.Method) != http.MethodHead {
		b.WriteString(text)
	}
	if !c.write(b.Bytes()) {
		return false
	}
	c.rec.Answered = status
	return true
}
