package h2_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/triage-lb/triage/internal/h2"
)

// bomb fills the dynamic table with one field and then names it n times, a byte each.
func bomb(n int) string {
	value := strings.Repeat("x", 4000)
	return "\x88\x40\x01a\x7f\xa1\x1e" + value + strings.Repeat("\xbe", n)
}

// many is n fields of the same name, a byte each after the first.
func many(n int) string { return "\x88\x40\x01a\x01b" + strings.Repeat("\xbe", n-1) }

// TestHostile: what is against the rules, or without measure, ends with an error that says what it was.
func TestHostile(t *testing.T) {
	begun := settings() + head(":status", "200")
	never := http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16383}
	for _, test := range []struct {
		name, method, in string
		want             string // the last line of the transcript, or a part of it
		after            string // the line before
	}{
		// Other protocols.
		{"HTTP/1.1", "GET", "HTTP/1.1 400 Bad Request\r\n\r\n", `malformed: the first bytes are "HTTP/1.1 400": it answers in HTTP/1`, ""},
		{"a TLS alert", "GET", "\x15\x03\x01\x00\x02\x02\x46", `the first bytes are "\x15\x03\x01\x00\x02\x02F": it wants TLS`, ""},
		{"a banner", "GET", "SSH-2.0-OpenSSH_9.6\r\n", `the first bytes are "SSH-2.0-OpenSSH_"`, ""},
		{"our own preface", "GET", http2.ClientPreface, `the first bytes are "PRI * HTTP/2.0\r\n"`, ""},
		{"zeros", "GET", strings.Repeat("\x00", 100), "the first frame is DATA, not SETTINGS", ""},

		// The first frame.
		{"HEADERS first", "GET", last(":status", "200"), "the first frame is HEADERS, not SETTINGS", ""},
		{"an acknowledgement first", "GET", frame(http2.FrameSettings, ack, 0, ""), "the first frame acknowledges SETTINGS", ""},
		{"an unknown frame first", "GET", frame(0xee, 0, 0, "hello"), "the first bytes are", ""},

		// Frames of the wrong size.
		{"a frame too long", "GET", settings() + frame(http2.FrameData, 0, 1, strings.Repeat("x", 16385))[:9], "DATA of 16385 bytes, where 16384 are allowed", ""},
		{"an unknown frame too long", "GET", settings() + "\xff\xff\xff\xee\x00\x00\x00\x00\x00", "of 16777215 bytes", ""},
		{"SETTINGS of five bytes", "GET", frame(http2.FrameSettings, 0, 0, "\x00\x04\x00\x00\x00"), "SETTINGS of 5 bytes is not valid: FRAME_SIZE_ERROR", ""},
		{"an acknowledgement with content", "GET", settings() + frame(http2.FrameSettings, ack, 0, "\x00\x04\x00\x00\x00\x00"), "SETTINGS of 6 bytes is not valid", ""},
		{"PING of seven bytes", "GET", settings() + frame(http2.FramePing, 0, 0, "1234567"), "PING of 7 bytes is not valid", ""},
		{"GOAWAY of seven bytes", "GET", settings() + frame(http2.FrameGoAway, 0, 0, "1234567"), "GOAWAY of 7 bytes is not valid", ""},
		{"RST_STREAM of three bytes", "GET", settings() + frame(http2.FrameRSTStream, 0, 1, "123"), "RST_STREAM of 3 bytes is not valid", ""},
		{"WINDOW_UPDATE of five bytes", "GET", settings() + frame(http2.FrameWindowUpdate, 0, 1, "12345"), "WINDOW_UPDATE of 5 bytes is not valid", ""},
		{"PRIORITY of four bytes", "GET", settings() + frame(http2.FramePriority, 0, 1, "1234"), "PRIORITY of 4 bytes is not valid", ""},
		{"padding beyond DATA", "GET", begun + frame(http2.FrameData, http2.FlagDataPadded, 1, "\x03hi"), "DATA of 3 bytes is not valid: pad size larger than data payload", "head 200"},
		{"padded and empty", "GET", begun + frame(http2.FrameData, http2.FlagDataPadded, 1, ""), "DATA of 0 bytes is not valid: too short", "head 200"},
		{"padding beyond HEADERS", "GET", settings() + frame(http2.FrameHeaders, endHeaders|padded, 1, "\x09\x88"), "HEADERS of 2 bytes is not valid: PROTOCOL_ERROR", ""},
		{"priority cut short", "GET", settings() + frame(http2.FrameHeaders, endHeaders|priority, 1, "\x00\x00"), "HEADERS of 2 bytes is not valid: too short", ""},

		// Frames in the wrong place.
		{"SETTINGS for a stream", "GET", settings() + frame(http2.FrameSettings, 0, 1, ""), "SETTINGS for stream 1, where it is about the connection", ""},
		{"PING for a stream", "GET", settings() + frame(http2.FramePing, 0, 3, "12345678"), "PING for stream 3", ""},
		{"GOAWAY for a stream", "GET", settings() + frame(http2.FrameGoAway, 0, 1, "12345678"), "GOAWAY for stream 1", ""},
		{"DATA without a stream", "GET", begun + frame(http2.FrameData, 0, 0, "x"), "DATA without a stream", "head 200"},
		{"HEADERS without a stream", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 0, "\x88"), "HEADERS without a stream", ""},
		{"HEADERS for another stream", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 3, "\x88"), "HEADERS for stream 3, which nobody has opened", ""},
		{"DATA for a pushed stream", "GET", begun + frame(http2.FrameData, 0, 2, "x"), "DATA for stream 2, which nobody has opened", "head 200"},
		{"RST_STREAM for another stream", "GET", settings() + frame(http2.FrameRSTStream, 0, 3, "\x00\x00\x00\x00"), "RST_STREAM for stream 3", ""},
		{"WINDOW_UPDATE for another stream", "GET", settings() + windowUpdate(5, 1), "WINDOW_UPDATE for stream 5", ""},
		{"PRIORITY without a stream", "GET", settings() + frame(http2.FramePriority, 0, 0, "12345"), "PRIORITY of 5 bytes is not valid", ""},
		{"a push", "GET", settings() + frame(http2.FramePushPromise, endHeaders, 1, "\x00\x00\x00\x02\x82"), "a PUSH_PROMISE, which our SETTINGS forbid", ""},
		{"DATA first", "GET", settings() + data("hello"), "DATA before a head", ""},
		{"DATA after an interim answer", "GET", settings() + head(":status", "103") + dataEnd("hello"), "DATA before a head", "interim 103"},

		// Settings and windows.
		{"a setting out of range", "GET", settings(never), "SETTINGS with MAX_FRAME_SIZE = 16383", ""},
		{"a server that allows pushes", "GET", settings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}), "SETTINGS with ENABLE_PUSH = 1", ""},
		{"a window too large", "GET", settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), "SETTINGS of 6 bytes is not valid: FLOW_CONTROL_ERROR", ""},
		{"a second acknowledgement", "GET", settings() + strings.Repeat(frame(http2.FrameSettings, ack, 0, ""), 2), "SETTINGS acknowledged twice", ""},
		{"WINDOW_UPDATE by nothing", "GET", settings() + frame(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), "WINDOW_UPDATE of 4 bytes is not valid: PROTOCOL_ERROR", ""},
		{"the stream's window by nothing", "GET", settings() + frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00"), "WINDOW_UPDATE of 4 bytes is not valid: PROTOCOL_ERROR", ""},
		{"a window beyond its limit", "GET", settings() + windowUpdate(0, 1<<31-1), "WINDOW_UPDATE beyond 2147483647 bytes", ""},
		{"the stream's window beyond its limit", "GET", settings() + windowUpdate(1, 1<<31-1), "WINDOW_UPDATE beyond 2147483647 bytes", ""},
		{"SETTINGS beyond a window's limit", "GET", settings() + windowUpdate(1, 1<<30) + windowUpdate(1, 1<<29) +
			settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}), "SETTINGS that open the stream's window beyond", ""},
		{"more than our window", "GET", begun + strings.Repeat(data(strings.Repeat("x", 16384)), 65), "more DATA than the window of 1048576 bytes allows", "data xxx"},
		{"more padding than our window", "GET", begun + strings.Repeat(frame(http2.FrameData, http2.FlagDataPadded, 1, "\xffx"+strings.Repeat("\x00", 255)), 4090),
			"more DATA than the window", "data x"},

		// Giving up.
		{"RST_STREAM", "GET", settings() + reset(http2.ErrCodeRefusedStream), "reset: RST_STREAM: REFUSED_STREAM", ""},
		{"RST_STREAM of an unknown code", "GET", settings() + reset(0xabc), "reset: RST_STREAM: unknown error code 0xabc", ""},
		{"RST_STREAM in the content", "GET", begun + data("hello") + reset(http2.ErrCodeInternal), "reset: RST_STREAM: INTERNAL_ERROR", "data hello"},
		{"GOAWAY that leaves us out", "GET", settings() + goAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings"), "gone away: GOAWAY: ENHANCE_YOUR_CALM (too_many_pings)", ""},
		{"GOAWAY first", "GET", goAway(0, http2.ErrCodeHTTP11Required, ""), "gone away: GOAWAY: HTTP_1_1_REQUIRED", ""},
		{"GOAWAY instead of SETTINGS", "GET", goAway(1, http2.ErrCodeNo, "bye") + last(":status", "200"), "gone away: GOAWAY: NO_ERROR (bye)", ""},
		{"GOAWAY after the head", "GET", begun + goAway(0, http2.ErrCodeNo, ""), "gone away: GOAWAY: NO_ERROR", "head 200"},

		// Header blocks.
		{"CONTINUATION first", "GET", settings() + frame(http2.FrameContinuation, endHeaders, 1, "\x88"), "a CONTINUATION without HEADERS", ""},
		{"CONTINUATION too late", "GET", begun + frame(http2.FrameContinuation, endHeaders, 1, "\x88"), "a CONTINUATION without HEADERS", "head 200"},
		{"another frame inside a block", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88") + ping, "PING in the middle of a header block", ""},
		{"an unknown frame inside a block", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88") + frame(0xee, 0, 0, ""), "in the middle of a header block", ""},
		{"CONTINUATION of another stream", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88") + frame(http2.FrameContinuation, endHeaders, 3, ""), "CONTINUATION for stream 3", ""},
		{"endless CONTINUATION", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88") + strings.Repeat(frame(http2.FrameContinuation, 0, 1, ""), 200),
			"more than 128 frames in a row that bring the answer no further, the last of them CONTINUATION", ""},
		{"endless CONTINUATION with fields", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88") +
			strings.Repeat(frame(http2.FrameContinuation, 0, 1, fields("name", strings.Repeat("x", 2000))), 200), "too large: a head of more than 65536 bytes", ""},
		{"a field without an end", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88\x00\x01a\x7f\x80\xff\x03") +
			strings.Repeat(frame(http2.FrameContinuation, 0, 1, strings.Repeat("x", 16384)), 20), "too large", ""},
		{"a value that says it is huge", "GET", settings() + frame(http2.FrameHeaders, 0, 1, "\x88\x00\x01a\x7f\xff\xff\xff\xff\x07"), "too large: a head with a field of more than 65536 bytes", ""},
		{"an HPACK bomb", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, bomb(12000)), "too large: a head of more than 65536 bytes", ""},
		{"an HPACK bomb in trailers", "GET", begun + frame(http2.FrameHeaders, endHeaders|endStream, 1, bomb(12000)[1:]), "too large: trailers of more than 65536 bytes", "head 200"},
		{"too many fields", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, many(257)), "too large: a head of more than 256 fields", ""},
		{"table sizes without end", "GET", settings() + frame(http2.FrameHeaders, 0, 1, strings.Repeat("\x20", 16384)) +
			strings.Repeat(frame(http2.FrameContinuation, 0, 1, strings.Repeat("\x20", 16384)), 20), "too large: a head of more than 131072 bytes", ""},
		{"a table size beyond ours", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, "\x3f\xe2\x1f\x88"), "that HPACK cannot decode", ""},
		{"an index that does not exist", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, "\xff\x00"), "that HPACK cannot decode", ""},
		{"a number without end", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, "\xff"+strings.Repeat("\xff", 20)), "that HPACK cannot decode", ""},
		{"a block cut short", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, "\x88\x00\x05ab"), "a header block that ends inside a field", ""},
		{"an empty block", "GET", settings() + frame(http2.FrameHeaders, endHeaders, 1, ""), "a head without :status", ""},

		// Heads.
		{"no status", "GET", settings() + last("a", "b"), "a head without :status", ""},
		{"two statuses", "GET", settings() + last(":status", "200", ":status", "200"), ":status twice", ""},
		{"the status after a field", "GET", settings() + last("a", "b", ":status", "200"), ":status after other fields", ""},
		{"a status of two digits", "GET", settings() + last(":status", "99"), `:status is "99", not a number from 100 to 999`, ""},
		{"a status of four digits", "GET", settings() + last(":status", "0200"), `:status is "0200"`, ""},
		{"a status below 100", "GET", settings() + last(":status", "099"), `:status is "099"`, ""},
		{"a status with a sign", "GET", settings() + last(":status", "+20"), `:status is "+20"`, ""},
		{"a status in words", "GET", settings() + last(":status", "200 OK"), `:status is "200 OK"`, ""},
		{"a request", "GET", settings() + last(":status", "200", ":path", "/"), `":path" in an answer`, ""},
		{"an unknown pseudo-header field", "GET", settings() + last(":status", "200", ":x", "/"), `":x" in an answer`, ""},
		{"upper case", "GET", settings() + last(":status", "200", "Content-Type", "text/plain"), `field "Content-Type" is not in lower case`, ""},
		{"a name without letters", "GET", settings() + last(":status", "200", "", "x"), `field "" has no name`, ""},
		{"a name with a space", "GET", settings() + last(":status", "200", "a b", "x"), `field "a b" has a byte that names cannot have`, ""},
		{"a name with a line end", "GET", settings() + last(":status", "200", "a\r\nb", "x"), `field "a\r\nb" has a byte`, ""},
		{"a value with a line end", "GET", settings() + last(":status", "200", "a", "x\r\nb: c"), `field "a" has a byte in its value`, ""},
		{"a value with NUL", "GET", settings() + last(":status", "200", "a", "x\x00"), `field "a" has a byte in its value`, ""},
		{"connection", "GET", settings() + last(":status", "200", "connection", "close"), `field "connection" is about a connection`, ""},
		{"transfer-encoding", "GET", settings() + last(":status", "200", "transfer-encoding", "chunked"), `field "transfer-encoding" is about a connection`, ""},
		{"keep-alive", "GET", settings() + last(":status", "200", "keep-alive", "timeout=5"), `field "keep-alive" is about a connection`, ""},
		{"a switch of protocols", "GET", settings() + head(":status", "101"), "status 101, which HTTP/2 does not have", ""},
		{"an interim answer that ends all", "GET", settings() + last(":status", "103"), "an interim answer (103) that ends the stream", ""},
		{"interim answers without end", "GET", settings() + strings.Repeat(head(":status", "102"), 100), "more than 16 interim answers (102)", "interim 102"},

		// Content and trailers.
		{"less than content-length", "GET", settings() + head(":status", "200", "content-length", "9") + dataEnd("hello"), "content-length is 9, and 5 bytes of content came", "data hello"},
		{"no content at all", "GET", settings() + last(":status", "200", "content-length", "9"), "content-length is 9, and 0 bytes of content came", "head 200"},
		{"more than content-length", "GET", settings() + head(":status", "200", "content-length", "2") + data("hello"), "content-length is 2, and more content came", "head 200"},
		{"two lengths", "GET", settings() + head(":status", "200", "content-length", "2", "content-length", "3"), "two different content-length values", ""},
		{"a list of lengths", "GET", settings() + head(":status", "200", "content-length", "2, 2"), `content-length "2, 2" is not a number of bytes`, ""},
		{"a negative length", "GET", settings() + head(":status", "200", "content-length", "-1"), `content-length "-1" is not a number of bytes`, ""},
		{"an empty length", "GET", settings() + head(":status", "200", "content-length", ""), `content-length "" is not a number of bytes`, ""},
		{"content for HEAD", "HEAD", begun + dataEnd("hello"), "content in an answer that has none", "head 200"},
		{"content of 204", "GET", settings() + head(":status", "204") + dataEnd("hello"), "content in an answer that has none", "head 204"},
		{"content of 304", "GET", settings() + head(":status", "304") + dataEnd("hello"), "content in an answer that has none", "head 304"},
		{"trailers that do not end", "GET", begun + head("a", "b"), "trailers that do not end the answer", "head 200"},
		{"a second head", "GET", begun + last(":status", "200"), `":status" in trailers`, "head 200"},
		{"a bad name in trailers", "GET", begun + last("A", "b"), `field "A" is not in lower case`, "head 200"},

		// Floods.
		{"PING without end", "GET", settings() + strings.Repeat(ping, 1000), "more than 128 ", ""},
		{"SETTINGS without end", "GET", strings.Repeat(settings(), 1000), "more than 128 ", ""},
		{"PING between content", "GET", begun + strings.Repeat(ping+data("x"), 1000), "more than 128 SETTINGS and PING to acknowledge, the last of them PING", "data x"},
		{"WINDOW_UPDATE without end", "GET", settings() + strings.Repeat(windowUpdate(0, 1), 1000), "the last of them WINDOW_UPDATE", ""},
		{"PRIORITY without end", "GET", settings() + strings.Repeat(frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x01"), 1000), "the last of them PRIORITY", ""},
		{"unknown frames without end", "GET", settings() + strings.Repeat(frame(0xee, 0, 0, ""), 1000), "the last of them UNKNOWN_FRAME_TYPE_238", ""},
		{"large frames without end", "GET", settings() + strings.Repeat(frame(0xee, 0, 0, strings.Repeat("x", 16384)), 20),
			"more than 262144 bytes in a row that bring the answer no further, the last of them UNKNOWN_FRAME_TYPE_238", ""},
		{"padding without end", "GET", begun + strings.Repeat(frame(http2.FrameData, http2.FlagDataPadded, 1, "\xff"+strings.Repeat("\x00", 255)), 200),
			"more than 128 frames in a row", "head 200"},
		{"GOAWAY without end", "GET", settings() + strings.Repeat(goAway(1, 0, "bye"), 1000), "the last of them GOAWAY", ""},
		{"empty DATA without end", "GET", begun + strings.Repeat(data(""), 1000), "the last of them DATA", "head 200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := answered(t, test.method, test.in)
			before, end := "", got[len(got)-1]
			if len(got) > 1 {
				before = got[len(got)-2]
			}
			if !strings.Contains(end, test.want) {
				t.Errorf("%.200q, want %q", end, test.want)
			}
			if !strings.HasPrefix(before, test.after) || (before == "") != (test.after == "") {
				t.Errorf("before it %.200q, want %q", before, test.after)
			}
			var c h2.Call
			ask(&c, test.method)
			for _, piece := range cuts(test.in, 4096) {
				transcript(&c, piece)
				checkBounds(t, &c, 4096)
			}
			if n := c.Held(); n > 24<<10 {
				t.Errorf("%d bytes are kept for the next call", n)
			}
		})
	}
}

// checkBounds checks what a call holds and owes, if it was fed in pieces of this size.
func checkBounds(t *testing.T, c *h2.Call, size int) {
	t.Helper()
	if n := c.Held(); n > 200<<10+2*size {
		t.Errorf("%d bytes held", n)
	}
	if n := len(c.Out()); n > 4<<10 {
		t.Errorf("%d bytes to write", n)
	}
}
