package e2e

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// h2Illness is a way to answer over HTTP/2.
type h2Illness struct {
	name string
	does func(talk *h2Talk, stream uint32) // with the request that has come
	then badinput.Ending                   // what it does when it has answered
}

// startSickHTTP2 starts servers that answer over HTTP/2, or should: inside TLS if there is a configuration for it.
func startSickHTTP2(t *testing.T, config *tls.Config) []sickServer {
	t.Helper()
	var servers []sickServer
	for _, ill := range slices.Concat(h2Statuses(), h2Endings(), h2Fields(), h2Frames()) {
		servers = append(servers, sickServer{ill.name, serveFrames(t, config, ill)})
	}
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"http/1.1"}
		servers = append(servers, sickServer{"HTTP/1.1 alone", serveSecurely(t, config, func(*http.Request) badinput.Answer { return answerOf(200, "") })})
	} else {
		servers = append(servers, sickServer{"HTTP/1.1 alone", serveRequests(t, func(*http.Request) badinput.Answer { return answerOf(505, "") })})
	}
	gone, release := badinput.Nobody(t)
	t.Cleanup(release)
	return append(servers, sickServer{"nobody", gone})
}

// serveFrames answers requests over HTTP/2 in one way.
func serveFrames(t *testing.T, config *tls.Config, ill h2Illness) netip.AddrPort {
	t.Helper()
	return badinput.Serve(t, func(c *net.TCPConn) {
		conn := net.Conn(c)
		if config != nil {
			config := config.Clone()
			config.NextProtos = []string{"h2"}
			conn = tls.Server(c, config)
		}
		talk, err := beginH2(conn)
		if err != nil {
			return
		}
		talk.framer.AllowIllegalWrites = true
		for {
			_, stream, err := talk.request()
			if err != nil {
				return
			}
			ill.does(talk, stream)
			if ill.then == badinput.Hangs {
				continue
			}
			if inside, encrypted := conn.(*tls.Conn); encrypted && ill.then == badinput.Closes {
				inside.CloseWrite()
			}
			badinput.End(c, ill.then)
			return
		}
	}).Address
}

func field(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }

// says sends an answer.
func says(a h2Answer) func(*h2Talk, uint32) {
	return func(talk *h2Talk, stream uint32) { talk.answer(stream, a) }
}

// h2Statuses are correct answers.
func h2Statuses() []h2Illness {
	var all []h2Illness
	for _, code := range []string{"200", "204", "301", "404", "429", "500", "503"} {
		a := h2Answer{head: []hpack.HeaderField{field(":status", code)}}
		if code != "204" {
			a.head, a.body = append(a.head, field("content-length", "2")), "ok"
		}
		if code == "301" {
			a.head = append(a.head, field("location", "http://127.0.0.1:1/"))
		}
		all = append(all, h2Illness{name: code, does: says(a)})
	}
	trailing := wellH2()
	trailing.trailers = []hpack.HeaderField{field("x-sum", "1")}
	return append(all,
		h2Illness{name: "200 with trailers", does: says(trailing)},
		h2Illness{name: "103, then 200", does: func(talk *h2Talk, stream uint32) {
			talk.headers(stream, []hpack.HeaderField{field(":status", "103"), field("link", "</a.css>")}, false)
			talk.answer(stream, wellH2())
		}},
		h2Illness{name: "PING and unknown frames, then 200", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WritePing(false, [8]byte{1})
			talk.framer.WriteRawFrame(0xee, 0, 0, []byte("unknown"))
			talk.answer(stream, wellH2())
		}},
		h2Illness{name: "GOAWAY that lets the request be, then 200", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteGoAway(stream, http2.ErrCodeNo, nil)
			talk.answer(stream, wellH2())
		}},
	)
}

// h2Endings are answers that come not, or not to their end.
func h2Endings() []h2Illness {
	nothing := func(*h2Talk, uint32) {}
	begins := func(talk *h2Talk, stream uint32) {
		talk.headers(stream, []hpack.HeaderField{field(":status", "200"), field("content-length", "5")}, false)
		talk.framer.WriteData(stream, false, []byte("hell"))
	}
	resets := func(code http2.ErrCode) func(*h2Talk, uint32) {
		return func(talk *h2Talk, stream uint32) { talk.framer.WriteRSTStream(stream, code) }
	}
	return []h2Illness{
		{"nothing, and hangs", nothing, badinput.Hangs},
		{"nothing, and closes", nothing, badinput.Closes},
		{"nothing, and resets", nothing, badinput.Resets},
		{"half an answer, and hangs", begins, badinput.Hangs},
		{"half an answer, and closes", begins, badinput.Closes},
		{"half an answer, and RST_STREAM", func(talk *h2Talk, stream uint32) { begins(talk, stream); resets(http2.ErrCodeInternal)(talk, stream) }, badinput.Hangs},
		{"RST_STREAM: REFUSED_STREAM", resets(http2.ErrCodeRefusedStream), badinput.Hangs},
		{"RST_STREAM: INTERNAL_ERROR", resets(http2.ErrCodeInternal), badinput.Hangs},
		{"RST_STREAM: HTTP_1_1_REQUIRED", resets(http2.ErrCodeHTTP11Required), badinput.Hangs},
		{"GOAWAY: ENHANCE_YOUR_CALM", func(talk *h2Talk, _ uint32) { talk.framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) }, badinput.Closes},
	}
}

// h2Fields are answers whose fields are not as they must be.
func h2Fields() []h2Illness {
	ok := field(":status", "200")
	head := func(name string, fields ...hpack.HeaderField) h2Illness {
		return h2Illness{name: name, does: says(h2Answer{head: fields})}
	}
	return []h2Illness{
		head("no :status", field("server", "x")),
		head("two :status", ok, ok),
		head(":status behind a field", field("server", "x"), ok),
		head("a :status of two digits", field(":status", "20")),
		head("a :path in an answer", ok, field(":path", "/")),
		head("a name in upper case", ok, field("Server", "x")),
		head("connection: close", ok, field("connection", "close")),
		head("a line feed in a value", ok, field("server", "a\nb")),
		{name: "less than the length", does: says(h2Answer{head: []hpack.HeaderField{ok, field("content-length", "9")}, body: "ok"})},
		{name: "more than the length", does: says(h2Answer{head: []hpack.HeaderField{ok, field("content-length", "1")}, body: "ok"})},
		{name: "trailers with :status", does: says(h2Answer{head: []hpack.HeaderField{ok}, body: "ok", trailers: []hpack.HeaderField{ok}})},
	}
}

// h2Frames are frames against the rules.
func h2Frames() []h2Illness {
	return []h2Illness{
		{name: "DATA before HEADERS", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteData(stream, false, []byte("ok"))
			talk.answer(stream, wellH2())
		}},
		{name: "CONTINUATION before HEADERS", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteContinuation(stream, true, nil)
			talk.answer(stream, wellH2())
		}},
		{name: "PUSH_PROMISE", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, BlockFragment: []byte{0x82}, EndHeaders: true})
			talk.answer(stream, wellH2())
		}},
		{name: "nonsense as fields", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true, EndStream: true})
		}},
		{name: "SETTINGS with a window beyond its limit", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
			talk.answer(stream, wellH2())
		}},
		{name: "WINDOW_UPDATE by 0", does: func(talk *h2Talk, stream uint32) {
			talk.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 4))
			talk.answer(stream, wellH2())
		}},
		{name: "a frame larger than was agreed on", does: func(talk *h2Talk, stream uint32) {
			talk.headers(stream, []hpack.HeaderField{field(":status", "200")}, false)
			talk.framer.WriteRawFrame(http2.FrameData, http2.FlagDataEndStream, stream, make([]byte, 1<<20))
		}},
		{name: "an answer on another stream", does: func(talk *h2Talk, stream uint32) { talk.answer(stream+2, wellH2()) }},
	}
}
