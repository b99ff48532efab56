package h2_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/triage-lb/triage/internal/h2"
)

// FuzzCall holds a call to what it promises for any bytes: events in their order, a bounded memory, few bytes to write, and
// the same result however the bytes are cut.
func FuzzCall(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 400 Bad Request\r\n\r\n",
		settings() + last(":status", "204"),
		settings() + head(":status", "200", "content-length", "5") + dataEnd("hello"),
		settings() + head(":status", "103", "link", "</a>") + head(":status", "200") + data("hello") + last("grpc-status", "0"),
		settings() + frame(http2.FrameSettings, ack, 0, "") + ping + windowUpdate(0, 1) + windowUpdate(1, 1) + goAway(1, 0, "x") + last(":status", "200"),
		settings() + frame(http2.FrameHeaders, 0, 1, "\x88") + frame(http2.FrameContinuation, endHeaders, 1, "\x40\x01a\x01b\xbe") + dataEnd("x"),
		settings() + frame(http2.FrameHeaders, endHeaders|padded|priority, 1, "\x01\x00\x00\x00\x00\x10\x88\x00") +
			frame(http2.FrameData, endStream|http2.FlagDataPadded, 1, "\x03hi\x00\x00\x00"),
		settings() + frame(http2.FrameHeaders, endHeaders, 1, bomb(100)),
		settings() + goAway(0, http2.ErrCodeEnhanceYourCalm, "too_many_pings"),
		settings() + reset(http2.ErrCodeRefusedStream),
		settings() + frame(http2.FramePushPromise, endHeaders, 1, "\x00\x00\x00\x02\x82"),
		settings() + frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x01") + frame(0x10, 0, 0, "\x00\x00\x00\x01u=1") + last(":status", "500"),
	} {
		f.Add([]byte(seed), []byte{0, 8, 3}, false)
		f.Add([]byte(seed), []byte{}, true)
	}
	f.Fuzz(func(t *testing.T, in, sizes []byte, isHead bool) {
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		var c h2.Call
		ask(&c, method)
		whole := transcript(&c, string(in))
		checkOrder(t, whole)
		checkBounds(t, &c, len(in))

		ask(&c, method)
		pieces := transcript(&c, cutBy(in, sizes)...)
		last := len(whole) - 1
		if len(pieces) == len(whole) && strings.Contains(whole[last], "first bytes are") && strings.Contains(pieces[last], "first bytes are") {
			return // the detail of what is rejected by its first byte quotes what has come
		}
		if !slices.Equal(pieces, whole) {
			t.Errorf("in pieces %q, in one piece %q", pieces, whole)
		}
	})
}

// cutBy is in in pieces as long as sizes say, in turn, and one more.
func cutBy(in, sizes []byte) []string {
	if len(sizes) == 0 {
		sizes = []byte{0}
	}
	var pieces []string
	for i := 0; len(in) > 0; i++ {
		n := min(1+int(sizes[i%len(sizes)]), len(in))
		pieces, in = append(pieces, string(in[:n])), in[n:]
	}
	return pieces
}

// checkOrder checks that events come as EventKind says.
func checkOrder(t *testing.T, lines []string) {
	t.Helper()
	var order strings.Builder
	for _, l := range lines {
		word, _, _ := strings.Cut(l, " ")
		order.WriteByte(map[string]byte{
			"interim": 'i', "head": 'h', "data": 'd', "trailers": 't', "end": 'e', "more": 'm', "HTTP/2": 'x'}[word])
	}
	rest := strings.TrimLeft(order.String(), "i")
	if after, ok := strings.CutPrefix(rest, "h"); ok {
		rest = strings.TrimPrefix(strings.TrimLeft(after, "d"), "t")
	} else if rest == "e" {
		rest = "an end without a head"
	}
	if rest != "e" && rest != "m" && rest != "x" {
		t.Errorf("events out of order (%s): %q", order.String(), lines)
	}
}
