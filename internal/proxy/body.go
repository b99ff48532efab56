package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// body is the content of a client's request on its way to a target. It is read by a goroutine of net/http's
// transport, which may still sit in Read when the answer is complete; after finish it does not.
type body struct {
	in      *http.Request
	trailer http.Header // goes to the target; its values come with the content's end
	control *http.ResponseController
	watch   *watch
	onEnd   func() // the content is complete

	read    atomic.Int64
	waiting atomic.Bool // for the client
	ended   atomic.Bool // everything was read

	mu       sync.Mutex // held while reading
	err      error      // what reading ended with
	finished bool
}

var errFinished = errors.New("the exchange is over")

// newBody returns the request's content, or nil if it has none.
func newBody(in *http.Request, trailer http.Header, control *http.ResponseController, w *watch) *body {
	if in.ContentLength == 0 {
		return nil
	}
	return &body{in: in, trailer: trailer, control: control, watch: w}
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.finished {
		return 0, errFinished
	}
	b.waiting.Store(true)
	n, err := b.in.Body.Read(p)
	b.waiting.Store(false)
	b.watch.touch()
	read := b.read.Add(int64(n))
	if err != nil && err != io.EOF {
		b.err = err
	}
	if (err == io.EOF || read == b.in.ContentLength) && !b.ended.Swap(true) {
		b.end()
	}
	return n, err
}

func (b *body) end() {
	for name := range b.trailer {
		b.trailer[name] = b.in.Trailer[name]
	}
	if b.onEnd != nil {
		b.onEnd()
	}
}

// Close is called by the transport at its own time, and means nothing: the content is the server's.
func (b *body) Close() error { return nil }

// interrupt makes a Read that waits for the client return.
func (b *body) interrupt() {
	if b != nil && !b.ended.Load() {
		_ = b.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// finish keeps the transport from reading on, and gives the client a moment to finish its own writing, so that
// it sees the answer and not a reset. It reports whether the content was read to its end: if not, the
// connection must not carry another request.
func (b *body) finish() (ended bool) {
	if b == nil || b.ended.Load() {
		return true
	}
	b.interrupt()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
	_ = b.control.SetReadDeadline(time.Now().Add(bodyLinger))
	return b.ended.Load()
}

// failure returns what went wrong with reading from the client, or nil.
func (b *body) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *body) bytesRead() int64 {
	if b == nil {
		return 0
	}
	return b.read.Load()
}
