package h2_test

//lint:file-ignore SA1019 the client that goes with x/net's framer is what is compared with, deprecated or not.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"github.com/triage-lb/triage/internal/h2"
)

// stricter is everything that this package rejects and x/net's client takes, by a part of the error's text, with the reason.
// What is accepted here, x/net accepts, and reads in the same way, with one exception: a 204 or 304 may have a content-length
// that says what another answer would have (section 8.1.1), and x/net waits for that content.
var stricter = map[string]string{
	"the first frame acknowledges SETTINGS": "RFC 9113 section 3.4: the first frame is the server's own SETTINGS",
	"SETTINGS with ENABLE_PUSH":             "section 6.5.2: a client treats 1 from a server as a connection error",
	"SETTINGS and PING to acknowledge":      "a bound on what is owed, for one answer",
	"bring the answer no further":           "a bound on frames that are not the answer, for one answer",
	"interim answers":                       "a bound on answers 1xx; x/net bounds their bytes",
	"status 101":                            "section 8.6: HTTP/2 does not have it",
	":status is":                            "section 8.3.2 and RFC 9110 section 15: three digits, and x/net takes any number",
	"is about a connection":                 "section 8.2.2: malformed; x/net drops the field for compatibility's sake, nghttp2 resets the stream",
	"content-length":                        "section 8.1.1: malformed; x/net drops a length that is no number, and does not compare it if nobody reads",
	"content in an answer that has none":    "section 8.1.1: malformed; x/net checks this for HEAD alone",
	"of more than":                          "bounds on heads: x/net's default is 10 MiB",
	"which nobody has opened":               "section 5.1: only PRIORITY is allowed on an idle stream; x/net ignores what its table of streams does not hold",
	"RST_STREAM: ":                          "an answer after RST_STREAM: whether x/net returns it is a matter of timing",
	"GOAWAY: ":                              "an answer after a GOAWAY that leaves the request out: the same",
}

// TestAgreesWithNet compares with x/net's client on streams that are right, and on some that are wrong in a few places.
func TestAgreesWithNet(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		in := streams(t)
		method := rapid.SampledFrom([]string{"GET", "GET", "GET", "HEAD"}).Draw(t, "method")
		var c h2.Call
		ask(&c, method)
		c.Feed([]byte(in))
		var ours reply
		done, err := ours.take(&c)
		theirs, theirErr := clientConn(method, in)
		if method == "HEAD" && ours.status != 0 {
			// X/net returns at the head, and what it makes of the rest nobody hears.
			if !done {
				return
			}
			theirs.trailers, ours.trailers = nil, nil
		}
		excepted := (ours.status == 204 || ours.status == 304) && errors.Is(theirErr, io.ErrUnexpectedEOF)
		switch {
		case done && theirErr != nil && !excepted:
			t.Fatalf("accepted; x/net: %v\n%q", theirErr, in)
		case done && fmt.Sprint(ours) != fmt.Sprint(theirs):
			t.Fatalf("got   %v\nx/net %v\n%q", ours, theirs, in)
		case !done && theirErr == nil && !listedFault(err):
			t.Fatalf("%v; x/net: %v\n%q", err, theirs, in)
		}
		switch {
		case done:
			seen["accepted"]++
		case err == nil:
			seen["incomplete"]++
		case theirErr == nil:
			seen["stricter"]++
		default:
			seen["rejected"]++
		}
	})
	t.Log(seen)
	for _, kind := range []string{"accepted", "incomplete", "rejected"} {
		if seen[kind] == 0 {
			t.Errorf("no stream was %s: nothing was compared", kind)
		}
	}
}

// listedFault tells whether a difference is one of those listed.
func listedFault(err error) bool {
	for part := range stricter {
		if err != nil && strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}

// streams draws what a server sends: an answer, frames in between, and perhaps something wrong.
func streams(t *rapid.T) string {
	s := &script{t: t}
	s.encoder = hpack.NewEncoder(&s.block)
	if rapid.IntRange(0, 30).Draw(t, "preface") > 0 {
		s.WriteString(settings())
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 2, 20}).Draw(t, "interim") {
		s.between()
		s.head(false, rapid.SampledFrom([]string{"100", "102", "103", "103", "103", "101"}).Draw(t, "status"))
	}
	s.between()
	status := rapid.SampledFrom([]string{"200", "200", "200", "200", "404", "503", "204", "304", "999", "99", "2000", "x", ""}).Draw(t, "status")
	pieces := rapid.IntRange(0, 3).Draw(t, "pieces")
	trailers := rapid.IntRange(0, 2).Draw(t, "trailers") == 0
	s.head(pieces == 0 && !trailers, status)
	for i := range pieces {
		s.between()
		s.data(i == pieces-1 && !trailers)
	}
	s.between()
	if trailers {
		s.head(rapid.IntRange(0, 20).Draw(t, "ends") > 0, "")
	}
	s.between()
	return s.spoiled()
}

// script is a stream in the making.
type script struct {
	bytes.Buffer
	t       *rapid.T
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// between writes frames that are not the answer.
func (s *script) between() {
	for range rapid.IntRange(0, 2).Draw(s.t, "between") {
		s.WriteString(rapid.SampledFrom([]string{
			settings(), ping, windowUpdate(0, 1000), windowUpdate(1, 1000), frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x01"),
			settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}, http2.Setting{ID: 0x99, Val: 1}),
			settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30}),
			frame(0xee, 0xff, 9, "?"), goAway(1, http2.ErrCodeNo, "bye"), frame(http2.FramePing, http2.FlagPingAck, 0, "12345678"),
			frame(http2.FramePriority, 0, 9, "\x00\x00\x00\x00\x01"), windowUpdate(0, 1<<30),
		}).Draw(s.t, "frame"))
	}
	if rapid.IntRange(0, 99).Draw(s.t, "flood") == 0 {
		s.WriteString(strings.Repeat(rapid.SampledFrom([]string{ping, windowUpdate(0, 1), goAway(1, http2.ErrCodeNo, "")}).Draw(s.t, "flood of"), 130))
	}
	if rapid.IntRange(0, 30).Draw(s.t, "fault") == 0 {
		s.WriteString(rapid.SampledFrom([]string{
			frame(http2.FrameSettings, ack, 0, ""), reset(http2.ErrCodeInternal), reset(http2.ErrCodeNo), goAway(0, http2.ErrCodeInternal, ""),
			frame(http2.FramePushPromise, endHeaders, 1, "\x00\x00\x00\x02\x82"), frame(http2.FrameContinuation, endHeaders, 1, "\x88"),
			frame(http2.FrameData, 0, 0, "x"), frame(http2.FrameData, 0, 3, "x"), frame(http2.FrameHeaders, endHeaders, 3, "\x88"),
			frame(http2.FrameSettings, 0, 0, "12345"), frame(http2.FramePing, 0, 0, "1234567"), windowUpdate(1, 1<<31-1), windowUpdate(0, 1<<31-1),
			frame(http2.FrameWindowUpdate, 0, 1, "\x00\x00\x00\x00"), frame(http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"),
			frame(http2.FrameData, http2.FlagDataPadded, 1, "\x09hi"), frame(http2.FrameHeaders, endHeaders|padded, 1, "\x09\x88"),
			frame(http2.FrameHeaders, endHeaders|endStream, 1, "\xff\x7f"), frame(http2.FrameHeaders, endHeaders, 1, ""),
			settings(http2.Setting{ID: http2.SettingEnablePush, Val: 1}), settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}),
			frame(http2.FrameData, 0, 1, ""), frame(http2.FrameRSTStream, 0, 3, "\x00\x00\x00\x00"), "\x00\x40\x01\x00\x00\x00\x00\x00\x01",
		}).Draw(s.t, "wrong frame"))
	}
}

// head writes a header block, in one frame or more.
func (s *script) head(end bool, status string) {
	s.block.Reset()
	add := func(name, value string) { _ = s.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	if status != "" {
		add(":status", status)
	}
	names := []string{"content-type", "server", "x-a", "x-a", "set-cookie", "grpc-status"}
	for range rapid.IntRange(0, 4).Draw(s.t, "fields") {
		add(rapid.SampledFrom(names).Draw(s.t, "name"), rapid.SampledFrom([]string{"", "a", " b ", "c, d", "\xff", "long" + strings.Repeat("x", 300)}).Draw(s.t, "value"))
	}
	if rapid.IntRange(0, 15).Draw(s.t, "odd") == 0 {
		odd := rapid.SampledFrom([][2]string{
			{"Upper", "x"}, {"a b", "x"}, {"", "x"}, {"x", "a\nb"}, {"x", "\x00"}, {":path", "/"}, {":status", "200"}, {":x", "y"}, {"connection", "close"},
			{"transfer-encoding", "chunked"}, {"upgrade", "h3"}, {"content-length", "5"}, {"content-length", "0"}, {"content-length", "x"},
			{"content-length", "-1"}, {"content-length", "99999999999999999999"}, {"x", strings.Repeat("y", 70000)}, {"te", "trailers"}, {"x\x80", "y"},
		}).Draw(s.t, "odd field")
		add(odd[0], odd[1])
	}
	kind, flags, block := http2.FrameHeaders, http2.Flags(0), s.block.String()
	if end {
		flags = endStream
	}
	for rapid.IntRange(0, 3).Draw(s.t, "cut") == 0 || len(block) > maxPayload {
		n := rapid.IntRange(0, min(len(block), maxPayload)).Draw(s.t, "part")
		s.WriteString(frame(kind, flags, 1, block[:n]))
		kind, flags, block = http2.FrameContinuation, 0, block[n:]
	}
	s.WriteString(frame(kind, flags|endHeaders, 1, block))
}

const maxPayload = 16384

func (s *script) data(end bool) {
	content, flags := rapid.SampledFrom([]string{"", "hello", strings.Repeat("x", 5000)}).Draw(s.t, "content"), http2.Flags(0)
	if end {
		flags = endStream
	}
	if rapid.Bool().Draw(s.t, "padded") {
		flags, content = flags|http2.FlagDataPadded, "\x02"+content+"\x00\x00"
	}
	s.WriteString(frame(http2.FrameData, flags, 1, content))
}

// spoiled is the stream, in some cases with a byte changed, or cut short.
func (s *script) spoiled() string {
	b := s.Bytes()
	switch rapid.IntRange(0, 9).Draw(s.t, "spoil") {
	case 0:
		b = b[:rapid.IntRange(0, len(b)).Draw(s.t, "length")]
	case 1:
		if len(b) > 0 {
			b[rapid.IntRange(0, len(b)-1).Draw(s.t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(s.t, "bit")
		}
	}
	return string(b)
}

// halves is a connection of which one direction can end before the other.
type halves struct {
	net.Conn // nil: what is not here is not called
	*io.PipeReader
	*io.PipeWriter
}

func (h halves) Read(b []byte) (int, error)  { return h.PipeReader.Read(b) }
func (h halves) Write(b []byte) (int, error) { return h.PipeWriter.Write(b) }
func (h halves) SetDeadline(time.Time) error { return nil }
func (h halves) Close() error {
	h.PipeReader.Close()
	return h.PipeWriter.Close()
}

// clientConn has x/net's client ask, and read in and the end of the connection.
func clientConn(method, in string) (r reply, err error) {
	answer, answering := io.Pipe()
	request, requesting := io.Pipe()
	ours := halves{PipeReader: answer, PipeWriter: requesting}
	asked := make(chan struct{})
	var peer sync.WaitGroup
	peer.Go(func() { // takes all that the client writes, until it ends the connection
		_, _ = io.CopyN(io.Discard, request, int64(len(http2.ClientPreface)))
		f := http2.NewFramer(io.Discard, request)
		for once := false; ; {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if frame.Header().Type == http2.FrameHeaders && !once {
				once = true
				close(asked)
			}
		}
	})
	peer.Go(func() {
		<-asked
		_, _ = io.WriteString(answering, in)
		answering.Close()
	})
	defer func() { ours.Close(); peer.Wait() }()
	transport := &http2.Transport{AllowHTTP: true, DisableCompression: true}
	conn, err := transport.NewClientConn(ours)
	if err != nil {
		return r, err
	}
	return roundTrip(conn, method)
}

func roundTrip(conn *http2.ClientConn, method string) (r reply, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		r.interim = append(r.interim, fmt.Sprint(code, listed(http.Header(h))))
		return nil
	}})
	request, err := http.NewRequestWithContext(ctx, method, "http://10.0.0.5/health", nil)
	if err != nil {
		return r, err
	}
	answer, err := conn.RoundTrip(request)
	if err != nil {
		return r, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if errors.Is(err, context.DeadlineExceeded) {
		panic("x/net waits for more than there is")
	}
	r.status, r.fields, r.trailers, r.body = answer.StatusCode, listed(answer.Header), listed(answer.Trailer), string(body)
	return r, err
}
