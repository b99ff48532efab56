package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/triage-lb/triage/internal/http1"
)

// nginxHead is what nginx 1.22 answers for a small file.
const nginxHead = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx/1.22.1\r\n" +
	"Date: Tue, 14 Jan 2025 09:12:31 GMT\r\n" +
	"Content-Type: text/html\r\n" +
	"Content-Length: 615\r\n" +
	"Last-Modified: Mon, 13 Jan 2025 17:02:11 GMT\r\n" +
	"Connection: keep-alive\r\n" +
	"ETag: \"67854783-267\"\r\n" +
	"Accept-Ranges: bytes\r\n" +
	"\r\n"

func TestParseResponse(t *testing.T) {
	for _, tt := range []struct {
		name, in      string
		minor, status int
		reason        string
		fields        int
	}{
		{"nginx", nginxHead + "<html>", 1, 200, "OK", 8},
		{"no fields", "HTTP/1.0 404 Not Found\r\n\r\n", 0, 404, "Not Found", 0},
		{"no reason", "HTTP/1.1 200 \r\n\r\n", 1, 200, "", 0},
		{"no reason and no space", "HTTP/1.1 200\r\n\r\n", 1, 200, "", 0},
		{"reason in Latin-1", "HTTP/1.1 200 D\xe9j\xe0\tvu\r\n\r\n", 1, 200, "D\xe9j\xe0\tvu", 0},
		{"status out of range but in use", "HTTP/1.1 999 Request denied\r\n\r\n", 1, 999, "Request denied", 0},
		{"value in UTF-8", "HTTP/1.1 200 OK\r\nA: \u00fc\r\n\r\n", 1, 200, "OK", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, n, err := http1.ParseResponse([]byte(tt.in), nil, http1.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Index(tt.in, "\r\n\r\n") + 4; n != want {
				t.Errorf("consumed %d, want %d", n, want)
			}
			if r.Minor != tt.minor || r.Status != tt.status || string(r.Reason) != tt.reason || len(r.Fields) != tt.fields {
				t.Errorf("got HTTP/1.%d %d %q and %d fields", r.Minor, r.Status, r.Reason, len(r.Fields))
			}
			for i := range n {
				if _, _, err := http1.ParseResponse([]byte(tt.in[:i]), nil, http1.Limits{}); !errors.Is(err, http1.ErrIncomplete) {
					t.Fatalf("the first %d bytes: %v", i, err)
				}
				if !http1.Plausible([]byte(tt.in[:i])) {
					t.Fatalf("the first %d bytes are not plausible", i)
				}
			}
		})
	}
}

// Each of these is refused by its last byte at the latest, for this reason and at this place.
func TestResponseSyntax(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name, in string
		offset   int
		what     string
	}{
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x46", 0, "does not start with HTTP/"},
		{"SSH banner", "SSH-2.0-OpenSSH_9.2p1\r\n", 0, "does not start with HTTP/"},
		{"HTTP/2 settings frame", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", 0, "does not start with HTTP/"},
		{"SMTP greeting", "220 mail ESMTP\r\n", 0, "does not start with HTTP/"},
		{"HTTP/0.9 page", "<html>", 0, "does not start with HTTP/"},
		{"ICY", "ICY 200 OK\r\n", 0, "does not start with HTTP/"},
		{"lower case", "http/1.1 200 OK\r\n", 0, "does not start with HTTP/"},
		{"empty line first", "\r\n" + ok, 0, "does not start with HTTP/"},
		{"version 2", "HTTP/2 200\r\n", 5, "HTTP version is neither 1.0 nor 1.1"},
		{"version 1.2", "HTTP/1.2 200 OK\r\n", 7, "HTTP version is neither 1.0 nor 1.1"},
		{"version 1.10", "HTTP/1.10 200 OK\r\n", 8, "no single space after the HTTP version"},
		{"two spaces", "HTTP/1.1  200 OK\r\n", 9, "status code is not a number from 100 to 999"},
		{"status below 100", "HTTP/1.1 099 OK\r\n", 9, "status code is not a number from 100 to 999"},
		{"status too short", "HTTP/1.1 20 OK\r\n", 11, "status code is not a number from 100 to 999"},
		{"status too long", "HTTP/1.1 2000 OK\r\n", 12, "status code is not followed by a space"},
		{"status with a sign", "HTTP/1.1 +20 OK\r\n", 9, "status code is not a number from 100 to 999"},
		{"no status", "HTTP/1.1\r\n", 8, "no single space after the HTTP version"},
		{"status line ends in bare LF", "HTTP/1.1 200\n", 12, "bare LF ends the line"},
		{"reason ends in bare LF", "HTTP/1.1 200 OK\n", 15, "bare LF ends the line"},
		{"bare CR in the reason", "HTTP/1.1 200 O\rK", 14, "bare CR inside a line"},
		{"CR CR LF", "HTTP/1.1 200 OK\r\r\n", 15, "bare CR inside a line"},
		{"NUL in the reason", "HTTP/1.1 200 O\x00", 14, "NUL byte"},
		{"field ends in bare LF", ok + "A: b\n", 21, "bare LF ends the line"},
		{"head ends in bare LF", ok + "A: b\r\n\n", 23, "bare LF ends the line"},
		{"NUL in a value", ok + "A: b\x00", 21, "NUL byte"},
		{"escape in a value", ok + "A: \x1b[2J", 20, "control byte"},
		{"DEL in a value", ok + "A: \x7f", 20, "control byte"},
		{"bare CR in a value", ok + "A: b\rContent-Length: 3", 21, "bare CR inside a line"},
		{"folded line", ok + "A: b\r\n c\r\n", 23, "header line starts with white space (obsolete line folding)"},
		{"folded first line", ok + "\tA: b\r\n", 17, "header line starts with white space (obsolete line folding)"},
		{"space before the colon", ok + "A : b\r\n", 18, "white space in or after a header name"},
		{"no colon", ok + "A b\r\n", 18, "white space in or after a header name"},
		{"only a name", ok + "Abc\r\n", 20, "header line without a colon"},
		{"empty name", ok + ": b\r\n", 17, "header name is empty or starts with a byte that names cannot have"},
		{"name not a token", ok + "A(b): c\r\n", 18, "header name has a byte that names cannot have"},
		{"name in UTF-8", ok + "\u00c4: c\r\n", 17, "header name is empty or starts with a byte that names cannot have"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, err := http1.ParseResponse([]byte(tt.in), nil, http1.Limits{})
			wantSyntaxError(t, err, tt.offset, tt.what)
			if n != 0 {
				t.Errorf("consumed %d", n)
			}
			if tt.offset <= 12 && http1.Plausible([]byte(tt.in)) {
				t.Error("plausible")
			}
		})
	}
}

func wantSyntaxError(t *testing.T, err error, offset int, what string) {
	t.Helper()
	var syntax *http1.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("error %v, want one about %q", err, what)
	}
	if syntax.Offset != offset || syntax.What != what {
		t.Errorf("got %q at %d, want %q at %d", syntax.What, syntax.Offset, what, offset)
	}
}

func TestSyntaxErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  http1.SyntaxError
		want string
	}{
		{http1.SyntaxError{Offset: 7, What: "NUL byte"}, "malformed HTTP at byte 7: NUL byte"},
		{http1.SyntaxError{Offset: -1, What: "more than one Host"}, "malformed HTTP: more than one Host"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	response, request := []byte(nginxHead), []byte(albRequest)
	storage := make([]http1.Field, 0, 16)
	chunks := []byte("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() {
		r, _, _ := http1.ParseResponse(response, storage, http1.Limits{})
		f, _ := r.Framing("GET")
		_, _ = http1.Get(r.Fields, "accept-ranges")
		if f.Length != 615 || http1.HasToken(r.Fields, "connection", "close") {
			panic("misread")
		}
		q, _, _ := http1.ParseRequest(request, storage, http1.Limits{})
		if f, _ := q.Framing(); f.Kind != http1.NoBody || len(q.Fields) == 0 {
			panic("misread")
		}
		body := http1.NewBody(http1.Framing{Kind: http1.Chunked})
		for in := chunks; !body.Done(); {
			_, n, _ := body.Next(in)
			in = in[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParseResponse(b *testing.B) {
	head := []byte(nginxHead)
	var storage []http1.Field
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := http1.ParseResponse(head, storage, http1.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Framing("GET"); err != nil {
			b.Fatal(err)
		}
		storage = r.Fields
	}
}
