package badinput

import (
	"strings"

	"github.com/triage-lb/triage"
)

// Frames as they stand on the wire (RFC 9113 section 6), whether they are valid or not. They are put together by hand: what
// checks them is not to be checked with itself.

const (
	typeData         = 0
	typeHeaders      = 1
	typePriority     = 2
	typeReset        = 3
	typeSettings     = 4
	typePush         = 5
	typePing         = 6
	typeGoAway       = 7
	typeWindowUpdate = 8
	typeContinuation = 9
	typeUnknown      = 0xee

	endsStream = 1 // of DATA and HEADERS; of SETTINGS and PING it acknowledges
	endsHead   = 4
	isPadded   = 8

	frameHeader = 9 // bytes
)

func frame(kind, flags byte, stream int, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// fields encodes names and values, in turn, of up to 126 bytes: literals that leave no trace in the table (RFC 7541 section
// 6.2.2).
func fields(pairs ...string) string {
	var b strings.Builder
	for i, s := range pairs {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	return b.String()
}

func head(pairs ...string) string { return frame(typeHeaders, endsHead, 1, fields(pairs...)) }
func only(pairs ...string) string {
	return frame(typeHeaders, endsHead|endsStream, 1, fields(pairs...))
}
func data(s string) string    { return frame(typeData, 0, 1, s) }
func dataEnd(s string) string { return frame(typeData, endsStream, 1, s) }

func setting(id, value int) string {
	return frame(typeSettings, 0, 0, string([]byte{byte(id >> 8), byte(id), byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}))
}

func goAway(stream, code byte, words string) string {
	return frame(typeGoAway, 0, 0, string([]byte{0, 0, 0, stream, 0, 0, 0, code})+words)
}

func resetStream(code byte) string { return frame(typeReset, 0, 1, string([]byte{0, 0, 0, code})) }

// message is a gRPC message that says that it has n bytes.
func message(n int, s string) string {
	return string([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + s
}

// H2Answers returns the table for checks over HTTP/2 and gRPC.
func H2Answers() []Answer {
	all := append(append(append(h2Endings(), h2Frames()...), h2Heads()...), h2Floods()...)
	for i := range all {
		all[i].Asked = triage.H2C
	}
	calls := grpcAnswers()
	for i := range calls {
		calls[i].Asked = triage.GRPC
	}
	return append(all, calls...)
}

// h2Endings are connections and requests that end before the answer does, or do not go on.
func h2Endings() []Answer {
	begun, ping := frame(typeSettings, 0, 0, ""), frame(typePing, 0, 0, "12345678")
	answer := begun + head(":status", "200")
	early := head(":status", "103", "link", "</a>")
	return []Answer{
		{Name: "nothing, and hangs", Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "nothing, and closes", Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "not one byte"},
		{Name: "nothing, and resets", Then: Resets, Want: triage.ResetBeforeAnswer, Detail: "not one byte"},
		{Name: "settings, and hangs", Says: begun, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "settings, and closes", Says: begun, Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "9 bytes of HTTP/2"},
		{Name: "settings, and resets", Says: begun, Then: Resets, Want: triage.ResetBeforeAnswer, Detail: "9 bytes of HTTP/2"},
		{Name: "half of the settings, and resets", Says: begun[:5], Then: Resets, Want: triage.ResetBeforeAnswer, Detail: "5 bytes of HTTP/2"},
		{Name: "half a frame, and hangs", Says: begun + head(":status", "200")[:5], Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "half a head, and closes", Says: begun + frame(typeHeaders, 0, 1, fields(":status", "200")), Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "bytes of HTTP/2"},
		{Name: "interim answers, and hangs", Says: begun + early + early, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "no room for a request", Says: begun + setting(3, 0), Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "a head, and hangs", Says: answer, Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "a head, and closes", Says: answer, Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 0 bytes"},
		{Name: "some content, and hangs", Says: answer + data("hell"), Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "some content, and closes", Says: answer + data("hell"), Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 4 bytes"},
		{Name: "some content, and resets", Says: answer + data("hell"), Then: Resets, Want: triage.BodyTruncated, Status: 200, Detail: "after 4 bytes of the body"},
		{Name: "half a trailer, and closes", Says: answer + data("hell") + frame(typeHeaders, endsStream, 1, "\x00\x01a"), Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 4 bytes"},
		{Name: "a wrong code, and hangs", Says: begun + head(":status", "503"), Want: triage.CodeMismatch, Status: 503},
		{Name: "a wrong code, and closes", Says: begun + head(":status", "503"), Then: Closes, Want: triage.CodeMismatch, Status: 503},

		{Name: "RST_STREAM", Says: begun + resetStream(7), Want: triage.StreamReset, Detail: "RST_STREAM: REFUSED_STREAM"},
		{Name: "RST_STREAM without an error", Says: begun + resetStream(0), Want: triage.StreamReset, Detail: "RST_STREAM: NO_ERROR"},
		{Name: "RST_STREAM of a code nobody knows", Says: begun + resetStream(0x77), Want: triage.StreamReset, Detail: "0x77"},
		{Name: "RST_STREAM after an interim answer", Says: begun + early + resetStream(2), Want: triage.StreamReset, Detail: "RST_STREAM: INTERNAL_ERROR"},
		{Name: "RST_STREAM after a head", Says: answer + resetStream(2), Want: triage.BodyTruncated, Status: 200, Detail: "RST_STREAM: INTERNAL_ERROR"},
		{Name: "RST_STREAM in the content", Says: answer + data("hell") + resetStream(8), Want: triage.BodyTruncated, Status: 200, Detail: "RST_STREAM: CANCEL"},
		{Name: "RST_STREAM after a wrong code", Says: begun + head(":status", "503") + resetStream(2), Want: triage.CodeMismatch, Status: 503},
		{Name: "RST_STREAM after the answer", Says: answer + dataEnd("hello") + resetStream(0), Want: triage.Matched, Status: 200},
		{Name: "GOAWAY that leaves the request out", Says: begun + goAway(0, 11, "too_many_pings"), Want: triage.StreamReset, Detail: "GOAWAY: ENHANCE_YOUR_CALM (too_many_pings)"},
		{Name: "GOAWAY with nonsense", Says: begun + goAway(0, 0, "\x1b[2J\x00"), Want: triage.StreamReset, Detail: `GOAWAY: NO_ERROR ("\x1b[2J\x00")`},
		{Name: "GOAWAY first", Says: goAway(0, 13, ""), Then: Closes, Want: triage.StreamReset, Detail: "GOAWAY: HTTP_1_1_REQUIRED"},
		{Name: "GOAWAY after a head", Says: answer + goAway(0, 2, ""), Want: triage.BodyTruncated, Status: 200, Detail: "GOAWAY: INTERNAL_ERROR"},
		{Name: "GOAWAY, then the answer", Says: begun + goAway(1, 0, "bye") + only(":status", "200"), Then: Closes, Want: triage.Matched, Status: 200},
		{Name: "GOAWAY, and hangs", Says: begun + goAway(1, 0, "bye"), Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "GOAWAY, and closes", Says: begun + goAway(1, 1, "bye"), Then: Closes, Want: triage.ClosedBeforeAnswer, Detail: "it said why: GOAWAY"},

		{Name: "settings that drip", Again: begun, Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "pings that drip", Says: begun, Again: ping, Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "a head that drips", Says: begun + frame(typeHeaders, 0, 1, fields(":status", "200")), Again: frame(typeContinuation, 0, 1, fields("a", "b")), Times: Forever, Drips: true, Want: triage.ResponseTimeout, Detail: "the limit is"},
		{Name: "content that drips", Says: answer, Again: data("x"), Times: Forever, Drips: true, Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "a frame that drips", Says: answer + data(strings.Repeat("x", 100))[:frameHeader], Again: "x", Times: Forever, Drips: true, Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
	}
}

// h2Frames are other protocols, and frames of the wrong kind, size or place.
func h2Frames() []Answer {
	begun := frame(typeSettings, 0, 0, "")
	answer := begun + head(":status", "200")
	largest := strings.Repeat("x", 16384)
	return []Answer{
		{Name: "HTTP/1.1", Says: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Then: Closes, Want: triage.NotHTTP2, Detail: `"HTTP/1.1 400": it answers in HTTP/1`},
		{Name: "a TLS alert", Says: refusal, Then: Closes, Want: triage.NotHTTP2, Detail: "it wants TLS"},
		{Name: "an SSH server", Says: "SSH-2.0-OpenSSH_9.2p1\r\n", Want: triage.NotHTTP2, Detail: `"SSH-2.0-OpenSSH_`},
		{Name: "an echo", Says: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Want: triage.NotHTTP2, Detail: `"PRI * HTTP/2.0`},
		{Name: "noise without end", Again: "\xff\x00\x7f", Times: Forever, Want: triage.NotHTTP2, Detail: "the first bytes are"},
		{Name: "zeros without end", Again: "\x00", Times: Forever, Want: triage.NotHTTP2, Detail: "the first frame is DATA"},
		{Name: "no settings", Says: only(":status", "200"), Want: triage.NotHTTP2, Detail: "the first frame is HEADERS"},
		{Name: "an acknowledgement first", Says: frame(typeSettings, endsStream, 0, ""), Want: triage.NotHTTP2, Detail: "acknowledges SETTINGS"},

		{Name: "a frame beyond the limit", Says: begun + data(largest + "x")[:frameHeader], Want: triage.NotHTTP2, Detail: "DATA of 16385 bytes"},
		{Name: "a frame as long as can be", Says: begun + "\xff\xff\xff\xee\x00\x00\x00\x00\x00", Again: "x", Times: Forever, Want: triage.NotHTTP2, Detail: "of 16777215 bytes"},
		{Name: "a frame beyond the limit in the content", Says: answer, Again: data(largest + "x"), Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "DATA of 16385 bytes"},
		{Name: "settings of five bytes", Says: frame(typeSettings, 0, 0, "\x00\x04\x00\x00\x00"), Want: triage.NotHTTP2, Detail: "SETTINGS of 5 bytes"},
		{Name: "a ping of seven bytes", Says: begun + frame(typePing, 0, 0, "1234567"), Want: triage.NotHTTP2, Detail: "PING of 7 bytes"},
		{Name: "a GOAWAY of seven bytes", Says: begun + frame(typeGoAway, 0, 0, "1234567"), Want: triage.NotHTTP2, Detail: "GOAWAY of 7 bytes"},
		{Name: "a RST_STREAM of three bytes", Says: begun + frame(typeReset, 0, 1, "123"), Want: triage.NotHTTP2, Detail: "RST_STREAM of 3 bytes"},
		{Name: "a WINDOW_UPDATE of five bytes", Says: begun + frame(typeWindowUpdate, 0, 0, "12345"), Want: triage.NotHTTP2, Detail: "WINDOW_UPDATE of 5 bytes"},
		{Name: "a PRIORITY of four bytes", Says: begun + frame(typePriority, 0, 1, "1234"), Want: triage.NotHTTP2, Detail: "PRIORITY of 4 bytes"},
		{Name: "padding beyond a frame", Says: answer + frame(typeData, isPadded, 1, "\x09hello"), Want: triage.BodyMalformed, Status: 200, Detail: "pad size"},
		{Name: "padding beyond a head", Says: begun + frame(typeHeaders, endsHead|isPadded, 1, "\x09\x88"), Want: triage.NotHTTP2, Detail: "HEADERS of 2 bytes"},

		{Name: "settings for a stream", Says: begun + frame(typeSettings, 0, 1, ""), Want: triage.NotHTTP2, Detail: "SETTINGS for stream 1"},
		{Name: "a head for another stream", Says: begun + frame(typeHeaders, endsHead, 3, "\x88"), Want: triage.NotHTTP2, Detail: "HEADERS for stream 3"},
		{Name: "a head for no stream", Says: begun + frame(typeHeaders, endsHead, 0, "\x88"), Want: triage.NotHTTP2, Detail: "HEADERS without a stream"},
		{Name: "content for another stream", Says: answer + frame(typeData, 0, 3, "x"), Want: triage.BodyMalformed, Status: 200, Detail: "DATA for stream 3"},
		{Name: "RST_STREAM for another stream", Says: begun + frame(typeReset, 0, 3, "\x00\x00\x00\x00"), Want: triage.NotHTTP2, Detail: "RST_STREAM for stream 3"},
		{Name: "a push", Says: begun + frame(typePush, endsHead, 1, "\x00\x00\x00\x02\x88"), Want: triage.NotHTTP2, Detail: "PUSH_PROMISE"},
		{Name: "content first", Says: begun + data("hello"), Want: triage.NotHTTP2, Detail: "DATA before a head"},
		{Name: "trailers that do not end", Says: answer + data("hello") + head("a", "b"), Want: triage.BodyMalformed, Status: 200, Detail: "trailers that do not end"},
		{Name: "a second head", Says: answer + data("hello") + only(":status", "200"), Want: triage.BodyMalformed, Status: 200, Detail: `":status" in trailers`},

		{Name: "a frame size out of range", Says: setting(5, 1), Want: triage.NotHTTP2, Detail: "MAX_FRAME_SIZE = 1"},
		{Name: "pushes allowed", Says: setting(2, 1), Want: triage.NotHTTP2, Detail: "ENABLE_PUSH = 1"},
		{Name: "a window out of range", Says: setting(4, 1<<31), Want: triage.NotHTTP2, Detail: "FLOW_CONTROL_ERROR"},
		{Name: "a window opened too far", Says: begun + frame(typeWindowUpdate, 0, 0, "\x7f\xff\xff\xff"), Want: triage.NotHTTP2, Detail: "WINDOW_UPDATE beyond"},
		{Name: "a window opened by nothing", Says: begun + frame(typeWindowUpdate, 0, 1, "\x00\x00\x00\x00"), Want: triage.NotHTTP2, Detail: "WINDOW_UPDATE of 4 bytes"},
		{Name: "a closed window, then the answer", Says: setting(4, 0) + only(":status", "200"), Want: triage.Matched, Status: 200},
		{Name: "padding without end", Says: answer, Again: frame(typeData, isPadded, 1, "\xff"+strings.Repeat("\x00", 255)), Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "the last of them DATA"},
		{Name: "padding beyond our window", Says: answer, Again: frame(typeData, isPadded, 1, "\xffx"+strings.Repeat("\x00", 255)), Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "more DATA than the window"},
		{Name: "settings acknowledged twice", Says: begun + strings.Repeat(frame(typeSettings, endsStream, 0, ""), 2), Want: triage.NotHTTP2, Detail: "acknowledged twice"},
	}
}

// h2Heads are header blocks that are wrong, or without measure, and content that is not what they say.
func h2Heads() []Answer {
	begun := frame(typeSettings, 0, 0, "")
	block := func(s string) string { return begun + frame(typeHeaders, endsHead, 1, s) }
	const entry = "\x40\x01a\x7f\xa1\x1e" // for the dynamic table: a value of 4,000 bytes follows
	bomb := entry + strings.Repeat("x", 4000) + strings.Repeat("\xbe", 12000)
	lines := strings.Repeat(fields("name", strings.Repeat("x", 120)), 8)
	return []Answer{
		{Name: "CONTINUATION first", Says: begun + frame(typeContinuation, endsHead, 1, "\x88"), Want: triage.NotHTTP2, Detail: "CONTINUATION without HEADERS"},
		{Name: "a ping in a head", Says: begun + frame(typeHeaders, 0, 1, "\x88") + frame(typePing, 0, 0, "12345678"), Want: triage.NotHTTP2, Detail: "PING in the middle of a header block"},
		{Name: "CONTINUATION of another stream", Says: begun + frame(typeHeaders, 0, 1, "\x88") + frame(typeContinuation, endsHead, 3, ""), Want: triage.NotHTTP2, Detail: "CONTINUATION for stream 3"},
		{Name: "empty CONTINUATION without end", Says: begun + frame(typeHeaders, 0, 1, "\x88"), Again: frame(typeContinuation, 0, 1, ""), Times: Forever, Want: triage.NotHTTP2, Detail: "the last of them CONTINUATION"},
		{Name: "fields without end", Says: begun + frame(typeHeaders, 0, 1, "\x88"), Again: frame(typeContinuation, 0, 1, lines), Times: Forever, Want: triage.HeadTooLarge, Detail: "more than"},
		{Name: "a field without end", Says: begun + frame(typeHeaders, 0, 1, "\x88\x00\x01a\x7f\x80\xff\x03"), Again: frame(typeContinuation, 0, 1, strings.Repeat("x", 16384)), Times: Forever, Want: triage.HeadTooLarge},
		{Name: "a field that says it is huge", Says: begun + frame(typeHeaders, 0, 1, "\x88\x00\x01a\x7f\xff\xff\xff\xff\x07"), Want: triage.HeadTooLarge, Detail: "a field of more than"},
		{Name: "an HPACK bomb", Says: block("\x88" + bomb), Want: triage.HeadTooLarge, Detail: "a head of more than 65536 bytes"},
		{Name: "an HPACK bomb without end", Says: begun + frame(typeHeaders, 0, 1, "\x88\x40\x01a\x01b"), Again: frame(typeContinuation, 0, 1, strings.Repeat("\xbe", 1000)), Times: Forever, Want: triage.HeadTooLarge, Detail: "256 fields"},
		{Name: "an HPACK bomb in trailers", Says: begun + head(":status", "200") + frame(typeHeaders, endsHead|endsStream, 1, bomb), Want: triage.HeadTooLarge, Status: 200, Detail: "trailers of more than"},
		{Name: "table sizes without end", Says: begun + frame(typeHeaders, 0, 1, "\x20"), Again: frame(typeContinuation, 0, 1, strings.Repeat("\x20", 16384)), Times: Forever, Want: triage.HeadTooLarge},
		{Name: "a table beyond ours", Says: block("\x3f\xe2\x1f\x88"), Want: triage.NotHTTP2, Detail: "HPACK"},
		{Name: "an index that does not exist", Says: block("\x88\xff\x00"), Want: triage.NotHTTP2, Detail: "HPACK"},
		{Name: "a number without end", Says: block(strings.Repeat("\xff", 100)), Want: triage.NotHTTP2, Detail: "HPACK"},
		{Name: "a code that Huffman did not have", Says: block("\x88\x00\x81\xff\x01x"), Want: triage.NotHTTP2, Detail: "HPACK"},
		{Name: "a block cut short", Says: block("\x88\x00\x05ab"), Want: triage.NotHTTP2, Detail: "ends inside a field"},

		{Name: "trailers without a head", Says: begun + only("grpc-status", "0"), Want: triage.NotHTTP2, Detail: "a head without :status"},
		{Name: "an empty head", Says: block(""), Want: triage.NotHTTP2, Detail: "a head without :status"},
		{Name: "two statuses", Says: begun + only(":status", "200", ":status", "500"), Want: triage.NotHTTP2, Detail: ":status twice"},
		{Name: "the status last", Says: begun + only("a", "b", ":status", "200"), Want: triage.NotHTTP2, Detail: ":status after"},
		{Name: "a status in words", Says: begun + only(":status", "200 OK"), Want: triage.NotHTTP2, Detail: `:status is "200 OK"`},
		{Name: "a status of two digits", Says: begun + only(":status", "20"), Want: triage.NotHTTP2, Detail: `:status is "20"`},
		{Name: "a status beyond 599", Says: begun + only(":status", "799"), Want: triage.CodeMismatch, Status: 799},
		{Name: "a request", Says: begun + only(":method", "GET", ":path", "/"), Want: triage.NotHTTP2, Detail: `":method" in an answer`},
		{Name: "upper case", Says: begun + only(":status", "200", "Server", "x"), Want: triage.NotHTTP2, Detail: "lower case"},
		{Name: "a name with a line end", Says: begun + only(":status", "200", "a\r\nb", "x"), Want: triage.NotHTTP2, Detail: "names cannot have"},
		{Name: "a value with a line end", Says: begun + only(":status", "200", "a", "x\r\nb: c"), Want: triage.NotHTTP2, Detail: "values cannot have"},
		{Name: "a value with NUL", Says: begun + only(":status", "200", "a", "\x00"), Want: triage.NotHTTP2, Detail: "values cannot have"},
		{Name: "chunks", Says: begun + only(":status", "200", "transfer-encoding", "chunked"), Want: triage.NotHTTP2, Detail: "about a connection"},
		{Name: "another protocol", Says: begun + head(":status", "101"), Want: triage.NotHTTP2, Detail: "status 101"},
		{Name: "an interim answer and the end", Says: begun + only(":status", "103"), Want: triage.NotHTTP2, Detail: "interim answer (103) that ends"},
		{Name: "interim answers without end", Says: begun, Again: head(":status", "102"), Times: Forever, Want: triage.NotHTTP2, Detail: "more than 16 interim answers (102)"},

		{Name: "less than the length", Says: begun + head(":status", "200", "content-length", "9") + dataEnd("hello"), Want: triage.BodyMalformed, Status: 200, Detail: "content-length is 9, and 5 bytes"},
		{Name: "more than the length", Says: begun + head(":status", "200", "content-length", "2") + data("hello"), Want: triage.BodyMalformed, Status: 200, Detail: "content-length is 2"},
		{Name: "two lengths", Says: begun + head(":status", "200", "content-length", "2", "content-length", "3"), Want: triage.NotHTTP2, Detail: "two different content-length"},
		{Name: "a negative length", Says: begun + head(":status", "200", "content-length", "-1"), Want: triage.NotHTTP2, Detail: "not a number of bytes"},
		{Name: "a 204 with content", Says: begun + head(":status", "204") + dataEnd("hello"), Want: triage.CodeMismatch, Status: 204},
		{Name: "a wrong code and less than the length", Says: begun + head(":status", "503", "content-length", "9") + dataEnd("hello"), Want: triage.CodeMismatch, Status: 503},
		{Name: "nonsense after the answer", Says: begun + only(":status", "200") + "nonsense, and more of it", Want: triage.Matched, Status: 200},
	}
}

// h2Floods are frames without end that are no answer, and answers without end.
func h2Floods() []Answer {
	begun, ping := frame(typeSettings, 0, 0, ""), frame(typePing, 0, 0, "12345678")
	answer := begun + head(":status", "200")
	return []Answer{
		{Name: "settings without end", Again: begun, Times: Forever, Want: triage.NotHTTP2, Detail: "SETTINGS"},
		{Name: "large settings without end", Again: frame(typeSettings, 0, 0, strings.Repeat("\x00\x99\x00\x00\x00\x01", 2730)), Times: Forever, Want: triage.NotHTTP2, Detail: "SETTINGS"},
		{Name: "pings without end", Says: begun, Again: ping, Times: Forever, Want: triage.NotHTTP2, Detail: "PING"},
		{Name: "acknowledged pings without end", Says: begun, Again: frame(typePing, endsStream, 0, "12345678"), Times: Forever, Want: triage.NotHTTP2, Detail: "the last of them PING"},
		{Name: "WINDOW_UPDATE without end", Says: begun, Again: frame(typeWindowUpdate, 0, 0, "\x00\x00\x00\x01"), Times: Forever, Want: triage.NotHTTP2, Detail: "the last of them WINDOW_UPDATE"},
		{Name: "PRIORITY without end", Says: begun, Again: frame(typePriority, 0, 1, "\x00\x00\x00\x00\x01"), Times: Forever, Want: triage.NotHTTP2, Detail: "the last of them PRIORITY"},
		{Name: "GOAWAY without end", Says: begun, Again: goAway(1, 0, "bye"), Times: Forever, Want: triage.NotHTTP2, Detail: "the last of them GOAWAY"},
		{Name: "unknown frames without end", Says: begun, Again: frame(typeUnknown, 0xff, 77, strings.Repeat("x", 16384)), Times: Forever, Want: triage.NotHTTP2, Detail: "bring the answer no further"},
		{Name: "empty content without end", Says: answer, Again: data(""), Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "the last of them DATA"},
		{Name: "pings between content without end", Says: answer, Again: ping + data("x"), Times: Forever, Want: triage.BodyMalformed, Status: 200, Detail: "to acknowledge"},
		{Name: "a body without end", Says: answer, Again: data("hello "), Times: Forever, Want: triage.Matched, Status: 200},
		{Name: "a body without end in large frames", Says: answer, Again: data(strings.Repeat("x", 16384)), Times: Forever, Want: triage.Matched, Status: 200},
		{Name: "a wrong code and a body without end", Says: begun + head(":status", "500"), Again: data("sorry "), Times: Forever, Want: triage.CodeMismatch, Status: 500},
	}
}

// grpcAnswers are answers of a gRPC health service that are none.
func grpcAnswers() []Answer {
	begun := frame(typeSettings, 0, 0, "")
	answer := begun + head(":status", "200", "content-type", "application/grpc")
	fine := only("grpc-status", "0")
	said := func(s string) string { return answer + data(s) + fine }
	return []Answer{
		{Name: "serving", Says: said(message(2, "\x08\x01")), Want: triage.Matched},
		{Name: "serving, in pieces", Says: answer + data("\x00\x00\x00") + data("\x00\x02\x08") + data("\x01") + fine, Want: triage.Matched},
		{Name: "not serving", Says: said(message(2, "\x08\x02")), Want: triage.NotServing, Detail: "NOT_SERVING"},
		{Name: "a status that is not there", Says: said(message(0, "")), Want: triage.NotServing, Detail: "UNKNOWN"},
		{Name: "a code", Says: begun + only(":status", "200", "content-type", "application/grpc", "grpc-status", "12", "grpc-message", "no%20such%zz"), Want: triage.GRPCMismatch, Status: 12, Detail: "no such%zz"},
		{Name: "HTTP/1.1", Says: "HTTP/1.1 400 Bad Request\r\n\r\n", Then: Closes, Want: triage.NotHTTP2, Detail: "it answers in HTTP/1"},
		{Name: "a web page", Says: begun + head(":status", "200", "content-type", "text/html") + dataEnd("<html>"), Want: triage.NotGRPC, Status: 200, Detail: "text/html"},
		{Name: "a web page that does not end", Says: begun + head(":status", "404", "content-type", "text/html"), Want: triage.NotGRPC, Status: 404, Detail: "the HTTP status is 404"},
		{Name: "no content type", Says: begun + only(":status", "200", "grpc-status", "0"), Want: triage.NotGRPC, Status: 200, Detail: "content type"},
		{Name: "no trailers", Says: answer + dataEnd(message(2, "\x08\x01")), Want: triage.NotGRPC, Status: 200, Detail: "no grpc-status"},
		{Name: "trailers without a code", Says: answer + data(message(2, "\x08\x01")) + only("a", "b"), Want: triage.NotGRPC, Status: 200, Detail: "no grpc-status"},
		{Name: "trailers without a head", Says: begun + fine, Want: triage.NotHTTP2, Detail: "a head without :status"},
		{Name: "a code that is no number", Says: answer + only("grpc-status", "OK"), Want: triage.NotGRPC, Status: 200, Detail: `"OK"`},
		{Name: "a message longer than it says", Says: said(message(1, "\x08\x01")), Want: triage.NotGRPC, Detail: "1 bytes, and has 2"},
		{Name: "a message shorter than it says", Says: said(message(9, "\x08\x01")), Want: triage.NotGRPC, Detail: "9 bytes, and has 2"},
		{Name: "a message that says it is huge", Says: said(message(1<<32-1, "\x08\x01")), Want: triage.NotGRPC, Detail: "says that it has 4294967295 bytes"},
		{Name: "a message without its length", Says: said("\x00\x00"), Want: triage.NotGRPC, Detail: "ends after 2 bytes"},
		{Name: "no message", Says: answer + fine, Want: triage.NotGRPC, Detail: "ends after 0 bytes"},
		{Name: "two messages", Says: said(message(2, "\x08\x01") + message(2, "\x08\x01")), Want: triage.NotGRPC, Detail: "2 bytes, and has 9"},
		{Name: "a compressed message", Says: said("\x01" + message(2, "\x08\x01")[1:]), Want: triage.NotGRPC, Detail: "compressed"},
		{Name: "a message that is not protobuf", Says: said(message(3, "\xff\xff\xff")), Want: triage.NotGRPC, Detail: "no HealthCheckResponse"},
		{Name: "a field that says it is huge", Says: said(message(6, "\x12\xff\xff\xff\xff\x0f")), Want: triage.NotGRPC, Detail: "no HealthCheckResponse"},
		{Name: "messages without end", Says: answer, Again: data(message(2, "\x08\x01")), Times: Forever, Want: triage.NotGRPC, Status: 200, Detail: "no grpc-status"},
		{Name: "a message, and hangs", Says: answer + data(message(2, "\x08\x01")), Want: triage.BodyTimeout, Status: 200, Detail: "the limit is"},
		{Name: "a message, and closes", Says: answer + data(message(2, "\x08\x01")), Then: Closes, Want: triage.BodyTruncated, Status: 200, Detail: "closed after 7 bytes"},
		{Name: "a message, and RST_STREAM", Says: answer + data(message(2, "\x08\x01")) + resetStream(2), Want: triage.BodyTruncated, Status: 200, Detail: "RST_STREAM: INTERNAL_ERROR"},
		{Name: "RST_STREAM", Says: begun + resetStream(8), Want: triage.StreamReset, Detail: "RST_STREAM: CANCEL"},
	}
}
