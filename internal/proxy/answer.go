package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/triage-lb/triage/internal/attempt"
)

// pass copies the answer to the client and gives the connection back. An answer that breaks off aborts the
// client's connection: nothing else would tell the client that what it has is not all.
func (x *exchange) pass(answer *http.Response, c *conn) {
	defer x.watch.stop()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		x.tunnel(answer, c)
		return
	}
	h := x.rw.Header()
	headerToClient(h, answer.Header)
	if x.body != nil && !x.body.ended.Load() {
		// What the client goes on sending must not be read as its next request. And without this, net/http's server
		// would read the rest of the request before it lets an answer out that came early.
		h.Set("Connection", "close")
	}
	maps.DeleteFunc(answer.Trailer, isNoTrailer)
	announced := announceTrailers(h, answer.Trailer)
	x.rw.WriteHeader(answer.StatusCode)

	if err := x.copy(answer); err != nil {
		x.abandon(c, err)
	}
	answer.Body.Close() // now, for it is what completes answer.Trailer
	maps.DeleteFunc(answer.Trailer, isNoTrailer)
	x.passTrailers(answer, announced)
	c.release()
	x.body.finish()
	x.endWatch()
}

// endWatch ends the watch of an answer, and reports whether it had cut the exchange off. What net/http's server
// still holds back is written when the handler is done: a deadline watches that.
func (x *exchange) endWatch() (expired bool) {
	expired = x.watch.stop()
	if !expired {
		_ = x.control.SetWriteDeadline(time.Now().Add(x.idle))
	}
	return expired
}

// errTarget wraps an error of reading from the target, as against writing to the client.
type errTarget struct{ error }

// abandon ends an exchange whose answer has begun and cannot be completed.
func (x *exchange) abandon(c *conn, err error) {
	expired := x.endWatch()
	c.close()
	x.body.finish()
	reason := attempt.ClientGone
	if _, broken := errors.AsType[errTarget](err); broken {
		switch {
		case expired:
			reason = attempt.ResponseTimeout
		case x.in.Context().Err() == nil:
			reason = attempt.BadAnswer
		}
	}
	if reason != attempt.ClientGone {
		x.suspect(c.upstream.entry)
		x.warn("answers break off", reason, c.upstream.entry, err)
	}
	x.log("answer broke off", reason, c.upstream.entry, err)
	panic(http.ErrAbortHandler)
}

// copy copies the content. What came from the target is not held back: whenever there is no more to read at
// once, it is flushed, so that a stream of events arrives as it was sent.
func (x *exchange) copy(answer *http.Response) error {
	if answer.Body == http.NoBody || x.in.Method == http.MethodHead {
		return nil
	}
	endless := answer.ContentLength < 0
	if endless {
		x.flush() // its first byte may be long in coming
	}
	buffer := x.proxy.buffers.Get().(*[bufferSize]byte)
	defer x.proxy.buffers.Put(buffer)
	copied := int64(0)
	for {
		n, err := answer.Body.Read(buffer[:])
		x.watch.touch()
		if n > 0 {
			if _, err := x.rw.Write(buffer[:n]); err != nil {
				return err
			}
			x.watch.touch()
			copied += int64(n)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return errTarget{err}
		case n < len(buffer) && copied != answer.ContentLength:
			x.flush()
		}
	}
}

func (x *exchange) flush() { _ = x.control.Flush() }

// announceTrailers names in the head which trailers will follow, and returns how many.
func announceTrailers(h http.Header, trailer http.Header) int {
	for name := range trailer {
		h.Add("Trailer", name)
	}
	return len(trailer)
}

// passTrailers passes on what followed the content, announced or not.
func (x *exchange) passTrailers(answer *http.Response, announced int) {
	if len(answer.Trailer) == 0 {
		return
	}
	x.flush() // else net/http would send a short answer with its length, and trailers need chunks
	h := x.rw.Header()
	for name, values := range answer.Trailer {
		if len(answer.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = slices.Clone(values)
	}
}
