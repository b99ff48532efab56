// Package badinput is servers that answer a health check wrongly, each with the outcome that the check must give it.
//
// [Answers] is the table, and [H2Answers] the one for HTTP/2. [Answer.Bytes] is what such a server says, for tests without a network; [Listen] is the server
// itself, on a port of its own, and [Nobody] and [Deaf] are two that do not get as far as answering. It is for tests
// only: of package probe, where it lives, and of the engine. All functions may be called concurrently.
package badinput

import (
	"strings"

	"github.com/triage-lb/triage"
)

// Answer is one way to answer a check: Says, then Again so many Times, then Last, then the end.
type Answer struct {
	Name  string
	Says  string
	Again string
	Times int // Forever: until the checker has had enough
	Last  string
	Drips bool // a second passes before each Again
	Then  Ending

	Asked     triage.Protocol // h2c or grpc; http if it is empty. Each may be asked inside TLS as well, save for grpc.
	Handshake bool            // the check is of https, and all this comes in place of a TLS handshake
	Beyond    string          // the check is of https, the handshake succeeds, and at last this comes as it is, not encrypted

	Want   triage.Outcome
	Status int    // of the exchange
	Detail string // a part of the exchange's detail
}

// Forever is more Times than anybody listens to.
const Forever = 1 << 30

// Ending is what a server does after its last byte.
type Ending uint8

// The endings.
const (
	Hangs  Ending = iota // it keeps the connection and says no more
	Closes               // it ends its side, orderly
	Resets
)

// String is the ending as a word.
func (e Ending) String() string { return [...]string{"hangs", "closes", "resets"}[e] }

// Bytes is what the server says within [Limit], or its first bytes if that is more than most.
func (a Answer) Bytes(most int) string {
	times := a.Times
	if a.Drips {
		times = 1
	}
	var b strings.Builder
	b.WriteString(a.Says)
	for i := 0; i < times && b.Len() < most; i++ {
		b.WriteString(a.Again)
	}
	b.WriteString(a.Last)
	return b.String()[:min(b.Len(), most)]
}

// Protocols are those of the checks that the answer is for.
func (a Answer) Protocols() []triage.Protocol {
	switch {
	case a.Handshake || a.Beyond != "":
		return []triage.Protocol{triage.HTTPS}
	case a.Asked == triage.H2C:
		return []triage.Protocol{triage.H2C, triage.H2}
	case a.Asked != "":
		return []triage.Protocol{a.Asked}
	}
	return []triage.Protocol{triage.HTTP, triage.HTTPS}
}

const (
	ok      = "HTTP/1.1 200 OK\r\n"
	five    = ok + "Content-Length: 5\r\n\r\n"
	chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	early   = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"

	refusal = "\x15\x03\x03\x00\x02\x02\x28"                           // a TLS record: fatal alert, handshake failure (RFC 8446 section 6)
	noise   = "\x17\x03\x03\x00\x22 not the work of anybody's cipher." // as long as its header says
	hello   = "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"
)

// Answers returns the table.
func Answers() []Answer {
	return append(append(append(lengths(), endless()...), syntax()...), strangers()...)
}

// lengths are answers that do not end where they say, or do not say where they end.
func lengths() []Answer {
	return []Answer{
		{Name: "nothing, and hangs", Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "nothing, and closes", Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "not one byte"},
		{Name: "nothing, and resets", Then: Resets, Want: triage.ResetBeforeAnswer, Detail: "not one byte"},
		{Name: "half a status line, and hangs", Says: "HTTP/1.1 2", Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "half a status line, and closes", Says: "HTTP/1.1 2", Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "10 bytes of the head"},
		{Name: "half a head, and hangs", Says: ok + "Content-", Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "half a head, and resets", Says: ok + "Content-", Then: Resets, Want: triage.ResetBeforeAnswer, Detail: "25 bytes of the head"},
		{Name: "less than the length, and hangs", Says: five + "hell", Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "less than the length, and closes", Says: five + "hell", Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 4 bytes"},
		{Name: "less than the length, and resets", Says: five + "hell", Then: Resets, Want: triage.BodyTruncated, Status: 200, Detail: "reset after 4 bytes"},
		{Name: "a wrong code and less than the length", Says: "HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nhell", Want: triage.CodeMismatch, Status: 503},
		{Name: "a length of eighteen digits", Says: ok + "Content-Length: 999999999999999999\r\n\r\nhello", Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 5 bytes"},
		{Name: "a length beyond 64 bits", Says: ok + "Content-Length: 99999999999999999999\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "a negative length", Says: ok + "Content-Length: -1\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "a length with a sign", Says: ok + "Content-Length: +5\r\n\r\nhello", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "a length in hexadecimal", Says: ok + "Content-Length: 0x5\r\n\r\nhello", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "an empty length", Says: ok + "Content-Length:\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "a list of lengths", Says: ok + "Content-Length: 5, 5\r\n\r\nhello", Want: triage.NotHTTP, Status: 200, Detail: "not a number"},
		{Name: "two lengths that differ", Says: ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Want: triage.NotHTTP, Status: 200, Detail: "two different Content-Length"},
		{Name: "two lengths that differ, and a 204", Says: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", Want: triage.NotHTTP, Status: 204, Detail: "two different Content-Length"},
		{Name: "the same length twice", Says: ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Want: triage.Matched, Status: 200},
		{Name: "a length and chunks", Says: ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "both Content-Length and"},
		{Name: "chunks twice", Says: ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "more than one Transfer-Encoding"},
		{Name: "chunks in HTTP/1.0", Says: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "Transfer-Encoding in HTTP/1.0"},
		{Name: "a coding nobody asked for", Says: ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "not chunked"},
		{Name: "a length announced as trailer", Says: ok + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", Want: triage.NotHTTP, Status: 200, Detail: "Trailer announces"},
		{Name: "more than the length", Says: five + "hello, and so on", Want: triage.Matched, Status: 200},
		{Name: "two answers at once", Says: five + "hello" + "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Then: Closes, Want: triage.Matched, Status: 200},
		{Name: "a 204 with content", Says: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", Then: Closes, Want: triage.CodeMismatch, Status: 204},
		{Name: "no length, and hangs", Says: ok + "\r\nhello", Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "no length, and resets", Says: ok + "\r\nhello", Then: Resets, Want: triage.BodyTruncated, Status: 200, Detail: "reset after 5 bytes"},
		{Name: "half a chunk, and closes", Says: chunked + "5\r\nhel", Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 3 bytes"},
		{Name: "no last chunk, and hangs", Says: chunked + "5\r\nhello\r\n", Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "no end after the last chunk, and closes", Says: chunked + "5\r\nhello\r\n0\r\n", Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 5 bytes"},
	}
}

// endless are answers that never come to an end, or to a point.
func endless() []Answer {
	return []Answer{
		{Name: "a status line without end", Says: "HTTP/1.1 200 ", Again: "OK ", Times: Forever, Want: triage.HeadTooLarge, Detail: "more than 65536 bytes"},
		{Name: "a field without end", Says: ok + "X: ", Again: "xxxxxxxx", Times: Forever, Want: triage.HeadTooLarge, Detail: "more than 65536 bytes"},
		{Name: "fields without end", Says: ok, Again: "X-Filler: yes\r\n", Times: Forever, Want: triage.HeadTooLarge, Detail: "more than 65536 bytes"},
		{Name: "10,000 fields", Says: ok, Again: "X-Filler: yes\r\n", Times: 10_000, Last: "\r\n", Want: triage.HeadTooLarge, Detail: "more than 65536 bytes"},
		{Name: "10,000 tiny fields", Says: ok, Again: "X:\r\n", Times: 10_000, Last: "\r\n", Want: triage.HeadTooLarge, Detail: "more than 256 header lines"},
		{Name: "interim answers without end", Again: early, Times: Forever, Want: triage.NotHTTP, Detail: "more than 16 interim answers (103)"},
		{Name: "interim answers, and hangs", Again: early, Times: 10, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "interim answers, and closes", Again: early, Times: 10, Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "after 10 interim answers (103)"},
		{Name: "large interim answers without end", Again: "HTTP/1.1 102 Processing\r\nX: " + strings.Repeat("x", 60<<10) + "\r\n\r\n", Times: Forever, Want: triage.NotHTTP, Detail: "interim answers (102)"},
		{Name: "interim answers, then the answer", Again: early, Times: 16, Last: five + "hello", Want: triage.Matched, Status: 200},
		{Name: "another protocol", Says: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", Want: triage.CodeMismatch, Status: 101},
		{Name: "a body without end", Says: ok + "\r\n", Again: "hello ", Times: Forever, Want: triage.Matched, Status: 200},
		{Name: "a wrong code and a body without end", Says: "HTTP/1.1 500 Oh\r\n\r\n", Again: "sorry ", Times: Forever, Want: triage.CodeMismatch, Status: 500},
		{Name: "chunks without end", Says: chunked, Again: "6\r\nhello \r\n", Times: Forever, Want: triage.Matched, Status: 200},
		{Name: "nonsense beyond what is read of a body", Says: chunked + "100001\r\n" + strings.Repeat("x", 0x100001) + "\r\nnonsense", Want: triage.Matched, Status: 200},
		{Name: "a chunk size without end", Says: chunked, Again: "0", Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "chunk size is too large"},
		{Name: "a chunk extension without end", Says: chunked + "5;", Again: "x=yyyyyy;", Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "chunk extensions or trailers"},
		{Name: "chunk extensions without end", Says: chunked, Again: "1;" + strings.Repeat("x", 900) + "\r\nx\r\n", Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "chunk extensions or trailers"},
		{Name: "trailers without end", Says: chunked + "0\r\n", Again: "X-Filler: yes\r\n", Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "chunk extensions or trailers"},
		{Name: "a status line that drips", Says: "HTTP/1.1 200 ", Again: "O", Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "a field that drips", Says: ok + "X: ", Again: "x", Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "interim answers that drip", Again: early, Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "a body that drips", Says: ok + "\r\n", Again: "x", Times: Forever, Drips: true, Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "chunks that drip", Says: chunked, Again: "1\r\nx\r\n", Times: Forever, Drips: true, Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "a wrong code and a body that drips", Says: "HTTP/1.1 404 Not Found\r\n\r\n", Again: "x", Times: Forever, Drips: true, Want: triage.CodeMismatch, Status: 404},
	}
}

// syntax is what is almost HTTP.
func syntax() []Answer {
	return []Answer{
		{Name: "bare line feeds", Says: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", Want: triage.NotHTTP, Detail: "bare LF"},
		{Name: "a bare line feed after a field", Says: ok + "A: b\nContent-Length: 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "bare LF"},
		{Name: "a bare line feed ends the head", Says: ok + "Content-Length: 5\r\n\nhello", Want: triage.NotHTTP, Detail: "bare LF"},
		{Name: "a bare carriage return", Says: ok + "A: b\rContent-Length: 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "bare CR"},
		{Name: "a folded field", Says: ok + "A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "folding"},
		{Name: "a folded first field", Says: ok + " A: b\r\nContent-Length: 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "folding"},
		{Name: "space before a colon", Says: ok + "Content-Length : 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "white space in or after a header name"},
		{Name: "a field without a colon", Says: ok + "Content-Length\r\n\r\nhello", Want: triage.NotHTTP, Detail: "without a colon"},
		{Name: "a field without a name", Says: ok + ": 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "name is empty"},
		{Name: "a name that is not a token", Says: ok + "A(b): c\r\n\r\nhello", Want: triage.NotHTTP, Detail: "header name has a byte"},
		{Name: "a NUL", Says: ok + "A: b\x00c\r\n\r\nhello", Want: triage.NotHTTP, Detail: "NUL byte"},
		{Name: "an escape sequence", Says: ok + "A: \x1b[2J\r\n\r\nhello", Want: triage.NotHTTP, Detail: "control byte"},
		{Name: "an empty line first", Says: "\r\n" + five + "hello", Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "a status of two digits", Says: "HTTP/1.1 20 OK\r\n\r\n", Want: triage.NotHTTP, Detail: "status code is not a number"},
		{Name: "a status of four digits", Says: "HTTP/1.1 2000 OK\r\n\r\n", Want: triage.NotHTTP, Detail: "status code is not followed by a space"},
		{Name: "no status", Says: "HTTP/1.1 OK\r\n\r\n", Want: triage.NotHTTP, Detail: "status code is not a number"},
		{Name: "a status beyond 599", Says: "HTTP/1.1 799 Oh\r\nContent-Length: 0\r\n\r\n", Want: triage.CodeMismatch, Status: 799},
		{Name: "no reason", Says: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", Want: triage.Matched, Status: 200},
		{Name: "version 1.2", Says: "HTTP/1.2 200 OK\r\n\r\n", Want: triage.NotHTTP, Detail: "neither 1.0 nor 1.1"},
		{Name: "version 2 as text", Says: "HTTP/2 200 OK\r\n\r\n", Want: triage.NotHTTP, Detail: "neither 1.0 nor 1.1"},
		{Name: "content after an interim answer", Says: "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello", Want: triage.NotHTTP, Detail: "after 1 interim answer (100)"},
		{Name: "a chunk size that is no number", Says: chunked + "five\r\nhello\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "hexadecimal"},
		{Name: "a chunk size with 0x", Says: chunked + "0x5\r\nhello\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "hexadecimal"},
		{Name: "a negative chunk size", Says: chunked + "-5\r\nhello\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "hexadecimal"},
		{Name: "a chunk size beyond 64 bits", Says: chunked + "fffffffffffffffff\r\nhello\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "too large"},
		{Name: "a chunk that is too long", Says: chunked + "5\r\nhello world\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "longer than its size"},
		{Name: "a bare line feed after a chunk size", Says: chunked + "5\nhello\r\n0\r\n\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "bare LF"},
		{Name: "a bare line feed after a chunk", Says: chunked + "5\r\nhello\n0\r\n\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "bare LF"},
		{Name: "a folded trailer", Says: chunked + "0\r\nA: b\r\n c\r\n\r\n", Want: triage.BodyMalformed, Status: 200, Detail: "trailer"},
		{Name: "an error page without chunks", Says: chunked + "<html>", Want: triage.BodyMalformed, Status: 200, Detail: "hexadecimal"},
	}
}

// strangers are servers that speak something else.
func strangers() []Answer {
	return []Answer{
		{Name: "HTTP/0.9", Says: "<html>hello</html>", Then: Closes, Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "an SSH server", Says: "SSH-2.0-OpenSSH_9.2p1\r\n", Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "a mail server", Says: "220 mail ESMTP\r\n", Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "a TLS server's alert", Says: "\x15\x03\x01\x00\x02\x02\x46", Then: Closes, Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "an HTTP/2 server's settings", Says: "\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80", Want: triage.NotHTTP, Detail: "begins with"},
		{Name: "noise without end", Again: "\xff\x00\x7f", Times: Forever, Want: triage.NotHTTP, Detail: "begins with"},

		{Name: "no handshake, and hangs", Handshake: true, Want: triage.TLSTimeout, Detail: "the limit is"},
		{Name: "no handshake, and closes", Handshake: true, Then: Closes, Want: triage.TLSClosed},
		{Name: "no handshake, and resets", Handshake: true, Then: Resets, Want: triage.TLSClosed, Detail: "reset"},
		{Name: "an alert, and hangs", Handshake: true, Says: refusal, Want: triage.TLSRefused, Detail: "handshake failure"},
		{Name: "an alert, and closes", Handshake: true, Says: refusal, Then: Closes, Want: triage.TLSRefused, Detail: "handshake failure"},
		{Name: "half an alert, and closes", Handshake: true, Says: refusal[:6], Then: Closes, Want: triage.TLSClosed},
		{Name: "half a hello, and hangs", Handshake: true, Says: hello, Want: triage.TLSTimeout, Detail: "the limit is"},
		{Name: "half a hello, and closes", Handshake: true, Says: hello, Then: Closes, Want: triage.TLSClosed},
		{Name: "half a hello, and resets", Handshake: true, Says: hello, Then: Resets, Want: triage.TLSClosed, Detail: "reset"},
		{Name: "a hello that drips", Handshake: true, Says: hello, Again: "x", Times: Forever, Drips: true, Want: triage.TLSTimeout, Detail: "the limit is"},
		{Name: "a hello of zeros", Handshake: true, Says: hello, Last: strings.Repeat("\x00", 0x74), Want: triage.TLSRefused, Detail: "by us"},
		{Name: "HTTP in place of a handshake", Handshake: true, Says: "HTTP/1.1 400 Bad Request\r\n\r\n", Then: Closes, Want: triage.TLSNotSpoken, Detail: "HTTP/"},
		{Name: "an SSH server in place of a handshake", Handshake: true, Says: "SSH-2.0-OpenSSH_9.2p1\r\n", Want: triage.TLSNotSpoken, Detail: "SSH-"},
		{Name: "warnings without end in place of a handshake", Handshake: true, Again: "\x15\x03\x03\x00\x02\x01\x5a", Times: Forever, Want: triage.TLSRefused, Detail: "by us"},
		{Name: "a handshake message without end", Handshake: true, Says: "\x16\x03\x03\x40\x00\x0b\xff\xff\xff", Again: "\x00", Times: Forever, Want: triage.TLSRefused, Detail: "by us"},
		{Name: "empty records without end", Handshake: true, Again: "\x16\x03\x03\x00\x00", Times: Forever, Want: triage.TLSRefused, Detail: "by us"},

		{Name: "noise after a handshake", Beyond: noise, Want: triage.NotHTTP, Detail: "TLS"},
		{Name: "HTTP after a handshake, not encrypted", Beyond: five + "hello", Want: triage.NotHTTP, Detail: "TLS"},
		{Name: "noise in a head", Says: ok, Beyond: noise, Want: triage.NotHTTP, Detail: "TLS"},
		{Name: "noise in a body", Says: five + "hell", Beyond: noise, Want: triage.BodyTruncated, Status: 200, Detail: "TLS"},
		{Name: "half a record after a handshake, and closes", Beyond: noise[:9], Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "not one byte"},
	}
}
