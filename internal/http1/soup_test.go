package http1_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Mutating bytes seldom leads from one almost valid message to another. These tests throw together
// fragments that are, and hold the result to the same rule as the fuzz targets.

func TestResponseSoup(t *testing.T) {
	soup(t, func(r *rand.Rand) {
		version := pick(r, "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.01")
		status := pick(r, " 200 OK", " 200 OK", " 204 ", " 304", " 101 x", "  200 OK", " 99 x", " 099 x", " 1000 x", " +20 x", " 600 x", "\t200 x", " 200\tx")
		in := version + status + lineEnd(r) + fieldSoup(r)
		compareResponse(t, []byte(in), pick(r, "GET", "HEAD", "CONNECT"))
	})
}

func TestRequestSoup(t *testing.T) {
	soup(t, func(r *rand.Rand) {
		target := ""
		for range 1 + r.IntN(6) {
			target += pick(r, "/", "/", "http://", "HTTPS://", "ftp://", "a", "b.c", "*", ":", ":80", ":99999", "8x", "//", "?", "#", "@", "[", "]",
				"[::1]", "[::]", "[1.2.3.4]", "[::ffff:1.2.3.4]", "[fe80::1%25a]", "[fe80::1%a]", "%", "%2", "%20", "%zz", "%25", "%c3", ";", "=", "\\", "^", "|", "{", "\"", "<", "+", "~", "_", "\x7f", "\xc3\xbc", ".", "..")
		}
		method := pick(r, "GET", "GET", "GET", "CONNECT", "OPTIONS", "x-!#", "G(T", "")
		version := pick(r, "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "")
		space := pick(r, " ", " ", " ", " ", "  ", "\t", "")
		compareRequest(t, []byte(method+space+target+" "+version+lineEnd(r)+"Host: a"+lineEnd(r)+fieldSoup(r)))
	})
}

func TestBodySoup(t *testing.T) {
	soup(t, func(r *rand.Rand) {
		var in strings.Builder
		for range r.IntN(4) {
			n := r.IntN(20)
			size := pick(r, "", "", "", "", "0", "+", " ", "0x", "-") + fmt.Sprintf(pick(r, "%x", "%X", "%015x", "%016x", "%d"), n) + pick(r, "", "", "", " ", "\t", ";", ";a=b", " ;a", ";\x00", ";\xff", ";\r", ";\n")
			in.WriteString(size + lineEnd(r) + strings.Repeat(pick(r, "x", "\r\n", "0\r"), n)[:n] + lineEnd(r))
		}
		in.WriteString("0" + pick(r, "", "", "", ";a", " ") + lineEnd(r))
		for range r.IntN(3) {
			in.WriteString(pick(r, "A: b", "A:", "A : b", " A: b", "A", ":", "Content-Length: 5", "A: \x00", "\xff: a", "A: \xff") + lineEnd(r))
		}
		in.WriteString(lineEnd(r) + pick(r, "", "next"))
		compareBody(t, []byte(in.String()), []byte{byte(r.IntN(5)), byte(r.IntN(30))}, -1)
	})
}

// soup calls try with one source of chance, the same each time, until something fails.
func soup(t *testing.T, try func(*rand.Rand)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		if try(r); t.Failed() {
			return
		}
	}
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func lineEnd(r *rand.Rand) string {
	if r.IntN(25) > 0 {
		return "\r\n"
	}
	return pick(r, "\n", "\r", "\r\r\n", "\n\r", "")
}

func fieldSoup(r *rand.Rand) string {
	var s strings.Builder
	for range r.IntN(5) {
		s.WriteString(pick(r, "Content-Length", "content-length", "Transfer-Encoding", "TRANSFER-ENCODING", "Host", "Trailer", "Connection", "A", "Pragma", "", "\xc3\xbc", "A(", " A") +
			pick(r, ":", ": ", ": ", ": ", ":\t", " :", "", ":  ") +
			pick(r, "5", "5", "5", "6", "05", "+5", "-5", "5, 5", "0x5", "99999999999999999999", "9223372036854775807", "chunked", "chunked", "Chunked", "gzip, chunked", "identity",
				"chunked, chunked", "\x0bchunked", "a, Content-Length", "A,Trailer ,B", "close", "keep-alive, close", "no-cache", "a:1", "\x00", "a\tb", "\xff", "", "\r\n c") +
			pick(r, "", "", "", " ", "\t ", ",") + lineEnd(r))
	}
	return s.String() + lineEnd(r) + pick(r, "", "hello", "0\r\n\r\n")
}
