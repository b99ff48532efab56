package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2Answer is an answer over HTTP/2: these fields, this content, and these trailers if there are any.
type h2Answer struct {
	head     []hpack.HeaderField
	body     string
	trailers []hpack.HeaderField
}

// wellH2 is the answer of a web server that is well.
func wellH2() h2Answer {
	return h2Answer{head: []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-length", Value: "2"}}, body: "ok"}
}

// wellGRPC is the answer of a gRPC server that is well: SERVING, which is field 1 with the value 1.
func wellGRPC() h2Answer {
	return h2Answer{
		head:     []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"}},
		body:     "\x00\x00\x00\x00\x02\x08\x01",
		trailers: []hpack.HeaderField{{Name: "grpc-status", Value: "0"}},
	}
}

// h2Talk is the server's side of a connection over HTTP/2, which writes down what the client says.
type h2Talk struct {
	framer *http2.Framer
	fields *hpack.Encoder // writes into block
	block  bytes.Buffer
	lines  []string // since the end of the request before
	ends   []string // frames by which the client gives up: GOAWAY, RST_STREAM
}

// beginH2 reads the client's preface and sends ours.
func beginH2(c net.Conn) (*h2Talk, error) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return nil, err
	}
	if string(preface) != http2.ClientPreface {
		return nil, fmt.Errorf("begins with %q", preface)
	}
	talk := &h2Talk{framer: http2.NewFramer(c, c)}
	talk.fields = hpack.NewEncoder(&talk.block)
	talk.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return talk, talk.framer.WriteSettings()
}

// request reads until a request is complete, and returns what the client wrote until then, and the request's stream.
func (talk *h2Talk) request() (lines []string, stream uint32, err error) {
	for {
		f, err := talk.framer.ReadFrame()
		if err != nil {
			return nil, 0, err
		}
		if err := talk.note(f); err != nil {
			return nil, 0, err
		}
		ended, ok := f.(interface{ StreamEnded() bool })
		if ok && ended.StreamEnded() {
			lines, talk.lines = talk.lines, nil
			return lines, f.Header().StreamID, nil
		}
	}
}

// note writes one frame down, and acknowledges it where the client waits for that.
func (talk *h2Talk) note(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		text := "SETTINGS"
		for i := range f.NumSettings() {
			text += fmt.Sprintf(" %v %d,", f.Setting(i).ID, f.Setting(i).Val)
		}
		talk.line("%s", strings.TrimSuffix(text, ","))
		return talk.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return talk.framer.WritePing(true, f.Data)
	case *http2.WindowUpdateFrame:
		talk.line("WINDOW_UPDATE on stream %d by %d", f.StreamID, f.Increment)
	case *http2.MetaHeadersFrame:
		talk.line("HEADERS on stream %d%s", f.StreamID, flagNames(f.Header()))
		for _, field := range f.Fields {
			talk.line("  %s: %s", field.Name, field.Value)
		}
	case *http2.DataFrame:
		talk.line("DATA on stream %d%s %q", f.StreamID, flagNames(f.Header()), f.Data())
	case *http2.GoAwayFrame:
		talk.ends = append(talk.ends, "GOAWAY "+f.ErrCode.String())
	case *http2.RSTStreamFrame:
		talk.ends = append(talk.ends, "RST_STREAM "+f.ErrCode.String())
	default:
		talk.line("%v on stream %d", f.Header().Type, f.Header().StreamID)
	}
	return nil
}

func (talk *h2Talk) line(format string, args ...any) {
	talk.lines = append(talk.lines, fmt.Sprintf(format, args...))
}

// flagNames are the flags of a HEADERS or DATA frame, each behind a comma.
func flagNames(h http2.FrameHeader) string {
	names := map[http2.Flags]string{
		http2.FlagHeadersEndStream: "END_STREAM", http2.FlagHeadersEndHeaders: "END_HEADERS",
		http2.FlagHeadersPadded: "PADDED", http2.FlagHeadersPriority: "PRIORITY",
	}
	var text strings.Builder
	for _, flag := range []http2.Flags{http2.FlagHeadersEndStream, http2.FlagHeadersEndHeaders, http2.FlagHeadersPadded, http2.FlagHeadersPriority} {
		if h.Flags.Has(flag) {
			text.WriteString(", " + names[flag])
		}
	}
	return text.String()
}

// answer sends an answer on a stream.
func (talk *h2Talk) answer(stream uint32, a h2Answer) error {
	err := talk.headers(stream, a.head, a.body == "" && a.trailers == nil)
	if err == nil && a.body != "" {
		err = talk.framer.WriteData(stream, a.trailers == nil, []byte(a.body))
	}
	if err == nil && a.trailers != nil {
		err = talk.headers(stream, a.trailers, true)
	}
	return err
}

func (talk *h2Talk) headers(stream uint32, fields []hpack.HeaderField, last bool) error {
	talk.block.Reset()
	for _, f := range fields {
		if err := talk.fields.WriteField(f); err != nil {
			return err
		}
	}
	return talk.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: talk.block.Bytes(), EndHeaders: true, EndStream: last,
	})
}

// sortFields puts the fields of each request behind its pseudo-header fields in the order of their names. Go's client goes
// through a map, so that there each request has another order.
func sortFields(lines []string) []string {
	isField := func(line string) bool { return strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  :") }
	sorted := slices.Clone(lines)
	for i := 0; i < len(sorted); i++ {
		end := i
		for end < len(sorted) && isField(sorted[end]) {
			end++
		}
		slices.Sort(sorted[i:end])
		i = max(i, end-1)
	}
	return sorted
}
