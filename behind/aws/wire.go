package aws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// maxAnswer bounds what is read of any answer: the longest honest one, an ECS
// container document, has a few kilobytes, and outside AWS anybody on the link
// can sit at the metadata addresses.
const maxAnswer = 1 << 20

// wire is the HTTP client of one try. It bounds every body, which the SDK would
// read to the end however long, and keeps the last failure as it was: the SDK
// wraps a failed request for a token into an error without Unwrap, so that
// neither the status nor a timeout can be told from its error.
// It is used by one goroutine.
type wire struct {
	next   http.RoundTripper
	failed *wireError // the last request, if it failed
}

// wireError is a request without an answer, or with one other than 200.
type wireError struct {
	method, path string
	status       int   // 0 if there was no answer
	err          error // nil if there was one
}

func (e *wireError) Error() string {
	if e.err != nil {
		return fmt.Sprintf("%s %s: %v", e.method, e.path, e.err)
	}
	return fmt.Sprintf("%s %s: %d %s", e.method, e.path, e.status, http.StatusText(e.status))
}

func (e *wireError) Unwrap() error { return e.err }

// timeout reports whether nobody answered in time.
func (e *wireError) timeout() bool {
	var timeout net.Error
	return errors.As(e.err, &timeout) && timeout.Timeout()
}

// Do sends one request; with it wire is the SDK's imds.HTTPClient. Redirects
// are not followed, since metadata services do not redirect.
func (w *wire) Do(r *http.Request) (*http.Response, error) {
	w.failed = nil
	response, err := w.next.RoundTrip(r)
	if err != nil {
		w.failed = &wireError{method: r.Method, path: r.URL.Path, err: err}
		return nil, w.failed
	}
	if response.StatusCode != http.StatusOK {
		w.failed = &wireError{method: r.Method, path: r.URL.Path, status: response.StatusCode}
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	return response, nil
}

// readAll reads and closes a body whose size wire has bounded.
func readAll(body io.ReadCloser) (string, error) {
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}
