package http1_test

import (
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

func TestResponseFraming(t *testing.T) {
	const cl, te = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
	var (
		noBody     = http1.Framing{}
		five       = http1.Framing{Kind: http1.Length, Length: 5}
		chunked    = http1.Framing{Kind: http1.Chunked}
		untilClose = http1.Framing{Kind: http1.UntilClose}
	)
	for _, tt := range []struct {
		name, method, line, fields string
		want                       http1.Framing
		what                       string
	}{
		{"length", "GET", "HTTP/1.1 200 OK", cl, five, ""},
		{"length zero", "GET", "HTTP/1.1 200 OK", "content-length: 0\r\n", http1.Framing{Kind: http1.Length}, ""},
		{"longest", "GET", "HTTP/1.1 200 OK", "Content-Length: 9223372036854775807\r\n", http1.Framing{Kind: http1.Length, Length: 1<<63 - 1}, ""},
		{"chunked", "GET", "HTTP/1.1 200 OK", te, chunked, ""},
		{"neither", "GET", "HTTP/1.1 200 OK", "", untilClose, ""},
		{"neither, in HTTP/1.0", "POST", "HTTP/1.0 500 No", "", untilClose, ""},
		{"equal lengths", "GET", "HTTP/1.1 200 OK", cl + cl, five, ""},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK", cl, noBody, ""},
		{"HEAD, chunked", "HEAD", "HTTP/1.1 200 OK", te, noBody, ""},
		{"100", "GET", "HTTP/1.1 100 Continue", "", noBody, ""},
		{"101", "GET", "HTTP/1.1 101 Switching Protocols", "", noBody, ""},
		{"204", "GET", "HTTP/1.1 204 No Content", cl, noBody, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified", cl, noBody, ""},
		{"tunnel", "CONNECT", "HTTP/1.1 200 OK", cl, noBody, ""},
		{"tunnel refused", "CONNECT", "HTTP/1.1 403 No", cl, five, ""},

		{"both", "GET", "HTTP/1.1 200 OK", cl + te, noBody, "both Content-Length and Transfer-Encoding"},
		{"both, to HEAD", "HEAD", "HTTP/1.1 200 OK", te + cl, noBody, "both Content-Length and Transfer-Encoding"},
		{"different lengths", "GET", "HTTP/1.1 200 OK", cl + "Content-Length: 6\r\n", noBody, "two different Content-Length values"},
		{"different, then equal", "GET", "HTTP/1.1 200 OK", cl + "Content-Length: 6\r\n" + "Content-Length: 6\r\n", noBody, "two different Content-Length values"},
		{"equal numbers, different text", "GET", "HTTP/1.1 200 OK", cl + "Content-Length: 05\r\n", noBody, "two different Content-Length values"},
		{"list of lengths", "GET", "HTTP/1.1 200 OK", "Content-Length: 5, 5\r\n", noBody, "Content-Length is not a number of bytes"},
		{"no number, in a 304", "GET", "HTTP/1.1 304 Not Modified", "Content-Length: x\r\n", noBody, "Content-Length is not a number of bytes"},
		{"identity", "GET", "HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\n", noBody, "Transfer-Encoding is not chunked"},
		{"chunked in HTTP/1.0", "GET", "HTTP/1.0 200 OK", te, noBody, "Transfer-Encoding in HTTP/1.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, err := http1.ParseResponse([]byte(tt.line+"\r\n"+tt.fields+"\r\n"), nil, http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			f, err := r.Framing(tt.method)
			if tt.what != "" {
				wantSyntaxError(t, err, -1, tt.what)
			} else if err != nil {
				t.Fatal(err)
			}
			if f != tt.want {
				t.Errorf("got %v, %d, want %v, %d", f.Kind, f.Length, tt.want.Kind, tt.want.Length)
			}
		})
	}
}

func TestRequestFraming(t *testing.T) {
	for _, tt := range []struct {
		name, fields string
		want         http1.Framing
	}{
		{"neither", "", http1.Framing{}},
		{"length", "Content-Length: 007\r\n", http1.Framing{Kind: http1.Length, Length: 7}},
		{"chunked", "Transfer-Encoding:Chunked\r\nTrailer: A\r\n", http1.Framing{Kind: http1.Chunked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _, err := http1.ParseRequest([]byte("GET / HTTP/1.1\r\nHost: a\r\n"+tt.fields+"\r\n"), nil, http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if f, err := r.Framing(); err != nil || f != tt.want {
				t.Errorf("got %v, %d, %v", f.Kind, f.Length, err)
			}
		})
	}
}
