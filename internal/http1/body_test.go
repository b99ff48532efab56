package http1_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

// drain gives all of in to a Body, as its user would.
func drain(b *http1.Body, in []byte) (content []byte, n int, err error) {
	for !b.Done() {
		data, used, err := b.Next(in[n:])
		content = append(content, data...)
		n += used
		if err != nil || used == 0 {
			return content, n, err
		}
	}
	return content, n, nil
}

func TestBody(t *testing.T) {
	chunked := http1.Framing{Kind: http1.Chunked}
	for _, tt := range []struct {
		name    string
		framing http1.Framing
		in      string
		content string
		unread  int // bytes of in that belong to the next message
		done    bool
		eof     error
	}{
		{name: "none", in: "next", unread: 4, done: true},
		{name: "length zero", framing: http1.Framing{Kind: http1.Length}, in: "next", unread: 4, done: true},
		{name: "length", framing: http1.Framing{Kind: http1.Length, Length: 5}, in: "hellonext", content: "hello", unread: 4, done: true},
		{name: "length, cut", framing: http1.Framing{Kind: http1.Length, Length: 5}, in: "hell", content: "hell", eof: http1.ErrTruncated},
		{name: "until close", framing: http1.Framing{Kind: http1.UntilClose}, in: "hello", content: "hello"},
		{name: "until close, empty", framing: http1.Framing{Kind: http1.UntilClose}},
		{name: "chunks", framing: chunked, in: "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext", content: "hello world", unread: 4, done: true},
		{name: "no chunks", framing: chunked, in: "0\r\n\r\nnext", unread: 4, done: true},
		{name: "digits", framing: chunked, in: "00A\r\n0123456789\r\n000\r\n\r\n", content: "0123456789", done: true},
		{name: "extensions", framing: chunked, in: "1;a\r\nx\r\n1;b=\"c d\"; e\r\ny\r\n0;\r\n\r\n", content: "xy", done: true},
		{name: "trailers", framing: chunked, in: "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\nnext", content: "x", unread: 4, done: true},
		{name: "line ends in content", framing: chunked, in: "4\r\n\r\n0\r\r\n0\r\n\r\n", content: "\r\n0\r", done: true},
		{name: "nothing", framing: chunked, eof: http1.ErrTruncated},
		{name: "cut in the size", framing: chunked, in: "5", eof: http1.ErrTruncated},
		{name: "cut in a chunk", framing: chunked, in: "5\r\nhel", content: "hel", eof: http1.ErrTruncated},
		{name: "cut after a chunk", framing: chunked, in: "5\r\nhello\r\n", content: "hello", eof: http1.ErrTruncated},
		{name: "cut before the final empty line", framing: chunked, in: "5\r\nhello\r\n0\r\n", content: "hello", eof: http1.ErrTruncated},
		{name: "cut in the final empty line", framing: chunked, in: "0\r\n\r", eof: http1.ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for size := 1; size <= len(tt.in)+1; size++ {
				body := http1.NewBody(tt.framing)
				content, n, err := drainPieces(&body, []byte(tt.in), size)
				if err != nil {
					t.Fatalf("in pieces of %d: %v", size, err)
				}
				if string(content) != tt.content || len(tt.in)-n != tt.unread {
					t.Errorf("in pieces of %d: %q and %d bytes left, want %q and %d", size, content, len(tt.in)-n, tt.content, tt.unread)
				}
				if body.Done() != tt.done || !errors.Is(body.EOF(), tt.eof) {
					t.Errorf("in pieces of %d: done %v, EOF %v", size, body.Done(), body.EOF())
				}
			}
		})
	}
}

// drainPieces gives in to a Body in pieces of so many bytes.
func drainPieces(b *http1.Body, in []byte, size int) (content []byte, n int, err error) {
	for n < len(in) && !b.Done() {
		data, used, err := drain(b, in[n:min(n+size, len(in))])
		content = append(content, data...)
		n += used
		if err != nil {
			return content, n, err
		}
	}
	return content, n, nil
}

func TestBodyErrorIsFinal(t *testing.T) {
	body := http1.NewBody(http1.Framing{Kind: http1.Chunked})
	content, n, err := drain(&body, []byte("5\r\nhello\r\n5\nhello"))
	wantSyntaxError(t, err, 11, "bare LF ends a chunk-size line")
	if string(content) != "hello" || n != 11 {
		t.Errorf("content %q, consumed %d", content, n)
	}
	for _, in := range []string{"", "0\r\n\r\n"} {
		if data, n, again := body.Next([]byte(in)); again != err || n != 0 || data != nil {
			t.Errorf("after the error: %q, %d, %v", data, n, again)
		}
	}
	if body.Done() || body.EOF() != err {
		t.Errorf("done %v, EOF %v", body.Done(), body.EOF())
	}
}

func TestBodyBounds(t *testing.T) {
	ext := strings.Repeat("x", 1000)
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"endless extension", "5;" + strings.Repeat("x", 1<<20), http1.ErrTooLarge},
		{"endless trailer", "0\r\nA: " + strings.Repeat("x", 1<<20), http1.ErrTooLarge},
		{"endless trailer name", "0\r\n" + strings.Repeat("x", 1<<20), http1.ErrTooLarge},
		{"endless trailers", "0\r\n" + strings.Repeat("A: b\r\n", 1<<16), http1.ErrTooLarge},
		{"tiny chunks with long extensions", strings.Repeat("1;"+ext+"\r\nx\r\n", 1000), http1.ErrTooLarge},
		{"tiny chunks", strings.Repeat("1\r\nx\r\n", 100_000) + "0\r\n\r\n", nil},
		{"a signature in every chunk", strings.Repeat(fmt.Sprintf("400;chunk-signature=%064d\r\n%s\r\n", 0, strings.Repeat("x", 0x400)), 1000) + "0\r\n\r\n", nil},
		{"some trailers", "0\r\n" + strings.Repeat("A: b\r\n", 500) + "\r\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := http1.NewBody(http1.Framing{Kind: http1.Chunked})
			if _, _, err := drain(&body, []byte(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if body.Done() != (tt.want == nil) {
				t.Errorf("done: %v", body.Done())
			}
		})
	}
}

func BenchmarkBodyChunked(b *testing.B) {
	in := []byte(strings.Repeat("1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n", 4) + "0\r\n\r\n")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		body := http1.NewBody(http1.Framing{Kind: http1.Chunked})
		for rest := in; !body.Done(); {
			_, n, err := body.Next(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}
