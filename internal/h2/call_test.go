package h2_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/triage-lb/triage/internal/h2"
	"github.com/triage-lb/triage/internal/http1"
)

// frame is a frame as it stands on the wire, whether it is valid or not.
func frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), byte(kind), byte(flags),
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// fields encodes names and values, in turn, without a trace in the dynamic table.
func fields(pairs ...string) string {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(pairs); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1], Sensitive: true})
	}
	return b.String()
}

const (
	endStream  = http2.FlagHeadersEndStream // DATA's has the same value
	endHeaders = http2.FlagHeadersEndHeaders
	padded     = http2.FlagHeadersPadded
	priority   = http2.FlagHeadersPriority
	ack        = http2.FlagSettingsAck
)

func settings(s ...http2.Setting) string {
	var b strings.Builder
	_ = http2.NewFramer(&b, nil).WriteSettings(s...)
	return b.String()
}

// head is a whole head that does not end the stream; last is one that does.
func head(pairs ...string) string { return frame(http2.FrameHeaders, endHeaders, 1, fields(pairs...)) }
func last(pairs ...string) string {
	return frame(http2.FrameHeaders, endHeaders|endStream, 1, fields(pairs...))
}
func data(s string) string    { return frame(http2.FrameData, 0, 1, s) }
func dataEnd(s string) string { return frame(http2.FrameData, endStream, 1, s) }

func windowUpdate(stream, increment uint32) string {
	var b strings.Builder
	_ = http2.NewFramer(&b, nil).WriteWindowUpdate(stream, increment)
	return b.String()
}

func goAway(stream uint32, code http2.ErrCode, debug string) string {
	var b strings.Builder
	_ = http2.NewFramer(&b, nil).WriteGoAway(stream, code, []byte(debug))
	return b.String()
}

func reset(code http2.ErrCode) string {
	var b strings.Builder
	_ = http2.NewFramer(&b, nil).WriteRSTStream(1, code)
	return b.String()
}

const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"

// ask begins a call.
func ask(c *h2.Call, method string) []byte {
	return c.Begin(nil, []http1.Field{
		{Name: []byte(":method"), Value: []byte(method)},
		{Name: []byte(":scheme"), Value: []byte("http")},
		{Name: []byte(":path"), Value: []byte("/health")},
		{Name: []byte(":authority"), Value: []byte("10.0.0.5:8080")},
		{Name: []byte("user-agent"), Value: []byte("ELB-HealthChecker/2.0")},
	}, nil)
}

// transcript is what a call has told, one line an event, an error or the wish for more at the end.
func transcript(c *h2.Call, pieces ...string) []string {
	var lines []string
	for _, p := range pieces {
		b := []byte(p)
		c.Feed(b)
		clear(b) // what is kept has to be a copy
		for {
			e, err := c.Next()
			if err != nil {
				return append(lines, err.Error())
			}
			if e.Kind == h2.More {
				break
			}
			lines = append(lines, line(e))
		}
	}
	if n := len(lines); n > 0 && lines[n-1] == "end" {
		return lines
	}
	return append(lines, "more")
}

func line(e h2.Event) string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if e.Status != 0 {
		fmt.Fprintf(&b, " %d", e.Status)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, " [%s: %s]", f.Name, f.Value)
	}
	if e.Data != nil {
		fmt.Fprintf(&b, " %s", e.Data)
	}
	return b.String()
}

// cuts is s in pieces of n bytes.
func cuts(s string, n int) []string {
	var pieces []string
	for c := range slices.Chunk([]byte(s), n) {
		pieces = append(pieces, string(c))
	}
	return pieces
}

// answered is what a call tells of in, which it must tell however the bytes are cut.
func answered(t *testing.T, method, in string) []string {
	t.Helper()
	var c h2.Call
	ask(&c, method)
	whole := transcript(&c, in)
	for _, size := range []int{1, 2, 7, 10, 1000} {
		if len(in) > 4000 && size < 1000 {
			continue
		}
		ask(&c, method)
		got := transcript(&c, cuts(in, size)...)
		if strings.Contains(whole[len(whole)-1], "first bytes are") {
			// Rejected by its first byte, of which the detail then holds no more.
			if strings.Contains(got[len(got)-1], "first bytes are") {
				continue
			}
		}
		if !slices.Equal(got, whole) {
			t.Errorf("in pieces of %d bytes %q, in one piece %q", size, got, whole)
		}
	}
	return whole
}

func TestAnswers(t *testing.T) {
	long := strings.Repeat("x", 10000)
	for _, test := range []struct {
		name, method, in string
		want             []string
	}{
		{"head only", "GET", settings() + last(":status", "204"), []string{"head 204", "end"}},
		{"content", "GET", settings() + head(":status", "200", "content-length", "5") + dataEnd("hello"),
			[]string{"head 200 [content-length: 5]", "data hello", "end"}},
		{"content in pieces", "GET", settings() + head(":status", "200") + data("hel") + data("") + data("lo") + dataEnd(""),
			[]string{"head 200", "data hel", "data lo", "end"}},
		{"trailers", "POST", settings() + head(":status", "200", "content-type", "application/grpc") + data("\x00\x00\x00\x00\x00") +
			last("grpc-status", "0", "grpc-message", ""),
			[]string{"head 200 [content-type: application/grpc]", "data \x00\x00\x00\x00\x00", "trailers [grpc-status: 0] [grpc-message: ]", "end"}},
		{"interim answers", "GET", settings() + head(":status", "103", "link", "</a>") + head(":status", "100") + last(":status", "404"),
			[]string{"interim 103 [link: </a>]", "interim 100", "head 404", "end"}},
		{"HEAD", "HEAD", settings() + last(":status", "200", "content-length", "5"), []string{"head 200 [content-length: 5]", "end"}},
		{"304 with a length", "GET", settings() + last(":status", "304", "content-length", "5"), []string{"head 304 [content-length: 5]", "end"}},
		{"empty DATA after HEAD", "HEAD", settings() + head(":status", "200", "content-length", "5") + dataEnd(""),
			[]string{"head 200 [content-length: 5]", "end"}},
		{"equal lengths", "GET", settings() + head(":status", "200", "content-length", "1", "content-length", "1") + dataEnd("a"),
			[]string{"head 200 [content-length: 1] [content-length: 1]", "data a", "end"}},
		{"a head in pieces", "GET", settings() + frame(http2.FrameHeaders, endStream, 1, fields(":status", "200", "a", "bcd")[:3]) +
			frame(http2.FrameContinuation, 0, 1, "") + frame(http2.FrameContinuation, endHeaders, 1, fields(":status", "200", "a", "bcd")[3:]),
			[]string{"head 200 [a: bcd]", "end"}},
		{"padding and priority", "GET", settings() +
			frame(http2.FrameHeaders, endHeaders|padded|priority, 1, "\x02\x00\x00\x00\x00\x10"+fields(":status", "200")+"\x00\x00") +
			frame(http2.FrameData, endStream|http2.FlagDataPadded, 1, "\x03hi\x00\x00\x00"),
			[]string{"head 200", "data hi", "end"}},
		{"other frames in between", "GET", settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) + settings() +
			frame(http2.FrameSettings, ack, 0, "") + ping + windowUpdate(0, 1) + windowUpdate(1, 1) + frame(http2.FramePriority, 0, 7, "\x00\x00\x00\x00\x01") +
			frame(0xee, 0xff, 5, "?") + goAway(1, http2.ErrCodeNo, "") + last(":status", "200"),
			[]string{"head 200", "end"}},
		{"a GOAWAY that allows other streams", "GET", settings() + goAway(1<<31-1, http2.ErrCodeNo, "") + last(":status", "200"), []string{"head 200", "end"}},
		{"white space around a value", "GET", settings() + last(":status", "200", "a", " b\t"), []string{"head 200 [a: b]", "end"}},
		{"bytes that are not ASCII", "GET", settings() + last(":status", "200", "a", "\xff"), []string{"head 200 [a: \xff]", "end"}},
		{"fields from the dynamic table", "GET", settings() +
			frame(http2.FrameHeaders, endHeaders, 1, "\x88\x40\x01a\x01b\xbe") + frame(http2.FrameHeaders, endHeaders|endStream, 1, "\xbe"),
			[]string{"head 200 [a: b] [a: b]", "trailers [a: b]", "end"}},
		{"a status nobody knows", "GET", settings() + last(":status", "999"), []string{"head 999", "end"}},
		{"a large frame", "GET", settings() + head(":status", "200") + dataEnd(long), []string{"head 200", "data " + long, "end"}},
		{"what follows the end", "GET", settings() + last(":status", "200") + last(":status", "200") + reset(0) + "HTTP/1.1",
			[]string{"head 200", "end"}},
		{"nothing", "GET", "", []string{"more"}},
		{"a part of the first frame", "GET", settings()[:8], []string{"more"}},
		{"no content yet", "GET", settings() + head(":status", "200") + data("")[:5], []string{"head 200", "more"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := answered(t, test.method, test.in); !slices.Equal(got, test.want) {
				t.Errorf("got  %.300q\nwant %.300q", got, test.want)
			}
		})
	}
}

func TestOut(t *testing.T) {
	var c h2.Call
	ask(&c, "GET")
	if out := c.Out(); len(out) != 0 {
		t.Errorf("before anything came: %q", out)
	}
	c.Feed([]byte(settings() + ping))
	if e, err := c.Next(); err != nil || e.Kind != h2.More {
		t.Fatal(e, err)
	}
	first := c.Out()
	want := frame(http2.FrameSettings, ack, 0, "") + frame(http2.FramePing, http2.FlagPingAck, 0, "12345678")
	if string(first) != want {
		t.Errorf("%q, want %q", first, want)
	}
	if out := c.Out(); len(out) != 0 {
		t.Errorf("given away twice: %q", out)
	}
	c.Feed([]byte(ping))
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	if out := c.Out(); string(out) != want[9:] {
		t.Errorf("after the next Feed: %q", out)
	}
}

func TestOutIsKeptUntilFetched(t *testing.T) {
	var c h2.Call
	ask(&c, "GET")
	transcript(&c, settings(), ping, ping)
	if out := c.Out(); len(out) != 9+2*17 {
		t.Errorf("%d bytes: %q", len(out), out)
	}
}

func TestGoodbye(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{settings(), ""},
		{settings() + goAway(1, http2.ErrCodeEnhanceYourCalm, "too_many_pings"), "GOAWAY: ENHANCE_YOUR_CALM (too_many_pings)"},
		{settings() + goAway(1, http2.ErrCodeNo, "\x1b[2J"), `GOAWAY: NO_ERROR ("\x1b[2J")`},
		{settings() + goAway(1, 0x77, strings.Repeat("x", 9000)), "GOAWAY: unknown error code 0x77 (" + strings.Repeat("x", 100) + "…)"},
	} {
		var c h2.Call
		ask(&c, "GET")
		transcript(&c, test.in)
		if got := c.Goodbye(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// request reads what Begin wrote, as a server does.
func request(t *testing.T, b []byte) (f *http2.Framer, head *http2.MetaHeadersFrame) {
	t.Helper()
	rest, ok := bytes.CutPrefix(b, []byte(http2.ClientPreface))
	if !ok {
		t.Fatalf("no preface: %q", b)
	}
	f = http2.NewFramer(io.Discard, bytes.NewReader(rest))
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.SetMaxReadFrameSize(16384)
	s := next[*http2.SettingsFrame](t, f)
	if push, ok := s.Value(http2.SettingEnablePush); !ok || push != 0 {
		t.Error("pushes are not refused")
	}
	window, _ := s.Value(http2.SettingInitialWindowSize)
	if increment := next[*http2.WindowUpdateFrame](t, f).Increment; increment+65535 != window || window < 512<<10 {
		t.Errorf("window %d, of the connection %d", window, increment+65535)
	}
	return f, next[*http2.MetaHeadersFrame](t, f)
}

func next[F http2.Frame](t *testing.T, f *http2.Framer) F {
	t.Helper()
	got, err := f.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	typed, ok := got.(F)
	if !ok {
		t.Fatalf("%T: %v", got, got)
	}
	return typed
}

func TestBegin(t *testing.T) {
	var c h2.Call
	for range 2 { // the second time with what is left of the first
		b := ask(&c, "GET")
		f, head := request(t, b)
		got := fmt.Sprint(head.Fields)
		for _, want := range []string{`":method" = "GET"`, `":path" = "/health"`, `":authority" = "10.0.0.5:8080"`, `"user-agent" = "ELB-HealthChecker/2.0"`} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in %s", want, got)
			}
		}
		if !head.StreamEnded() || head.StreamID != 1 {
			t.Errorf("%v", head)
		}
		if _, err := f.ReadFrame(); err != io.EOF {
			t.Errorf("more follows: %v", err)
		}
		transcript(&c, settings()+opened) // breaks off inside a header block
	}
	if b := c.Begin([]byte("before"), nil, nil); !bytes.HasPrefix(b, []byte("before"+http2.ClientPreface)) {
		t.Errorf("not appended: %q", b)
	}
}

// opened is the beginning of a header block, with a field for the dynamic table.
const opened = "\x00\x00\x08\x01\x00\x00\x00\x00\x01" + "\x88\x40\x01a\x01b\x00\x7f"

func TestBody(t *testing.T) {
	for _, size := range []int{0, 5, 16384, 16385, 65535} {
		var c h2.Call
		body := bytes.Repeat([]byte("x"), size)
		f, head := request(t, c.Begin(nil, []http1.Field{{Name: []byte(":method"), Value: []byte("POST")}}, body))
		if head.StreamEnded() {
			t.Error("the head ends the request")
		}
		var got []byte
		for ended := false; !ended; {
			d := next[*http2.DataFrame](t, f)
			got, ended = append(got, d.Data()...), d.StreamEnded()
		}
		if !bytes.Equal(got, body) {
			t.Errorf("%d bytes, want %d", len(got), size)
		}
	}
}

func TestLongRequestHead(t *testing.T) {
	var c h2.Call
	long := bytes.Repeat([]byte("~"), 20000) // 13 bits in Huffman's code
	_, head := request(t, c.Begin(nil, []http1.Field{{Name: []byte(":method"), Value: []byte("GET")}, {Name: []byte("a"), Value: long}}, nil))
	if got := head.Fields[1].Value; got != string(long) {
		t.Errorf("%d bytes", len(got))
	}
}

// A call that was cut short anywhere must leave nothing behind for the next.
func TestBeginAfterAnything(t *testing.T) {
	broken := settings() + opened
	whole := settings() + frame(http2.FrameHeaders, endHeaders|endStream, 1, "\x88\x40\x01a\x01b\xbe")
	want := []string{"head 200 [a: b] [a: b]", "end"}
	var c h2.Call
	for _, before := range []string{broken, whole, whole[:len(whole)-1], settings() + head(":status", "200", "A", "b"), "HTTP/1.1 400", settings() + reset(0)} {
		ask(&c, "GET")
		transcript(&c, before)
		ask(&c, "GET")
		if got := transcript(&c, whole); !slices.Equal(got, want) {
			t.Errorf("after %q: %q", before, got)
		}
		// The table of the connection before is gone: index 62 does not exist.
		ask(&c, "GET")
		got := transcript(&c, settings()+frame(http2.FrameHeaders, endHeaders|endStream, 1, "\x88\xbe"))
		if !strings.Contains(got[0], "HPACK") {
			t.Errorf("after %q a field of another connection: %q", before, got)
		}
	}
}

func TestErrorIsFinal(t *testing.T) {
	var c h2.Call
	ask(&c, "GET")
	c.Feed([]byte(settings() + reset(http2.ErrCodeRefusedStream)))
	for range 3 {
		_, err := c.Next()
		var fault *h2.Error
		if !errors.As(err, &fault) || fault.Kind != h2.Reset || fault.Code != uint32(http2.ErrCodeRefusedStream) || fault.Detail != "RST_STREAM: REFUSED_STREAM" {
			t.Fatalf("%#v", err)
		}
		c.Feed([]byte(last(":status", "200")))
	}
}

// TestBrokenOffCallLetsGo: a call that nobody went on with used to keep what had come, until the next one.
func TestBrokenOffCallLetsGo(t *testing.T) {
	whole := settings() + last(":status", "200")
	open := settings() + frame(http2.FrameHeaders, 0, 1, fields(":status", "200", "a", strings.Repeat("x", 16000)))
	var c h2.Call
	c.Rest()
	for _, before := range []string{open, settings() + head(":status", "200") + data(strings.Repeat("x", 16000))[:9000], whole} {
		ask(&c, "GET")
		transcript(&c, before)
		c.Rest()
		if n := c.Held(); n > 20<<10 {
			t.Errorf("after %.60q: %d bytes held", before, n)
		}
		if e, err := c.Next(); e.Kind != h2.More {
			t.Errorf("after Rest: %v, %v", e, err)
		}
		if out := c.Out(); len(out) > 0 {
			t.Errorf("after Rest it owes %q", out)
		}
		ask(&c, "GET")
		if got := transcript(&c, whole); !slices.Equal(got, []string{"head 200", "end"}) {
			t.Errorf("after %.60q: %q", before, got)
		}
	}
}
