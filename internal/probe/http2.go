package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/h2"
	"github.com/triage-lb/triage/internal/http1"
)

// stream is a check over HTTP/2: one request, on a connection of its own.
type stream struct {
	call   h2.Call
	fields []dialect.Header
	wire   []http1.Field
	text   []byte // Sent, as people read it
	came   int    // bytes, in whatever frames
	grpc   bool
	reply  grpcReply
}

// question is the request's bytes, and the same as text.
func (s *stream) question(spec *dialect.Spec, q dialect.Question, dst []byte) (request, text []byte) {
	s.came, s.grpc, s.reply = 0, q.Protocol.IsGRPC(), grpcReply{}
	s.fields = spec.AppendFields(s.fields[:0], q)
	s.wire = s.wire[:0]
	for _, f := range s.fields {
		s.wire = append(s.wire, http1.Field{Name: []byte(f.Name), Value: []byte(f.Value)})
	}
	var message []byte
	if s.grpc {
		message = spec.AppendMessage(nil, q)
	}
	s.text = appendText(s.text[:0], s.fields)
	return s.call.Begin(dst, s.wire, message), s.text
}

// appendText writes the fields of a request as if it were HTTP/1, as other programs show HTTP/2 too.
func appendText(dst []byte, fields []dialect.Header) []byte {
	pseudo := map[string]string{}
	for _, f := range fields {
		pseudo[f.Name] = f.Value
	}
	dst = fmt.Appendf(dst, "%s %s HTTP/2\r\n", pseudo[":method"], pseudo[":path"])
	if authority := pseudo[":authority"]; authority != "" {
		dst = fmt.Appendf(dst, "host: %s\r\n", authority)
	}
	for _, f := range fields {
		if f.Name[0] != ':' {
			dst = fmt.Appendf(dst, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	return append(dst, "\r\n"...)
}

// maxOpening is how much is kept of what came before an answer's head.
const maxOpening = 512

// readFrames takes the next bytes of an answer over HTTP/2. decided is true once the check has its verdict.
func (a *answer) readFrames(p *Plan, b []byte) (o triage.Outcome, detail string, decided bool) {
	s := a.stream
	s.came += len(b)
	if room := maxOpening - len(a.buf); room > 0 && !a.headDone {
		a.buf = append(a.buf, b[:min(room, len(b))]...) // evidence, if no head comes
	}
	s.call.Feed(b)
	for {
		e, err := s.call.Next()
		if err != nil {
			o, detail := a.failedFrame(p, err)
			return o, detail, true
		}
		switch e.Kind {
		case h2.More:
			return 0, "", false
		case h2.Interim:
			a.interim, a.interimStatus = a.interim+1, e.Status
		case h2.Head:
			a.beginStream(e)
		case h2.Data:
			a.keep(p, e.Data[:min(int64(len(e.Data)), p.wants()-a.size)])
			if s.grpc {
				s.reply.add(e.Data)
			}
		case h2.Trailers:
			if s.grpc {
				s.reply.trailers(e.Fields)
			}
		case h2.End:
			a.complete = true
		}
		if a.complete || a.headDone && a.size >= p.wants() {
			o, detail := a.judge(p, triage.Matched, "")
			return o, detail, true
		}
	}
}

// beginStream takes over the answer's head, as text.
func (a *answer) beginStream(e h2.Event) {
	a.headDone, a.status = true, e.Status
	a.buf = fmt.Appendf(a.buf[:0], "HTTP/2 %d\r\n", e.Status)
	for _, f := range e.Fields {
		a.buf = append(a.buf, f.Name...)
		a.buf = append(a.buf, ": "...)
		a.buf = append(a.buf, f.Value...)
		a.buf = append(a.buf, "\r\n"...)
	}
	a.buf = append(a.buf, "\r\n"...)
	a.head = a.buf
	at := len("HTTP/2 200\r\n")
	a.fields = a.fields[:0]
	for _, f := range e.Fields {
		name := a.head[at : at+len(f.Name)]
		at += len(name) + len(": ")
		a.fields = append(a.fields, http1.Field{Name: name, Value: a.head[at : at+len(f.Value)]})
		at += len(f.Value) + len("\r\n")
	}
	if s := a.stream; s.grpc {
		s.reply.head(e.Status, a.fields)
	}
}

// failedFrame says what it means that the stream has ended before its end.
func (a *answer) failedFrame(p *Plan, err error) (triage.Outcome, string) {
	fault, ok := errors.AsType[*h2.Error](err)
	if !ok {
		return triage.NotHTTP2, err.Error()
	}
	o := triage.NotHTTP2
	switch {
	case fault.Kind == h2.TooLarge:
		o = triage.HeadTooLarge
	case fault.Kind == h2.Malformed && a.headDone:
		o = triage.BodyMalformed
	case fault.Kind != h2.Malformed && a.headDone:
		o = triage.BodyTruncated
	case fault.Kind != h2.Malformed:
		o = triage.StreamReset
	}
	if !a.headDone {
		return o, fault.Detail
	}
	return a.judge(p, o, fault.Detail)
}

// grpcReply is what a gRPC check is answered, as it comes.
type grpcReply struct {
	fault   string // why it is no gRPC
	status  string // grpc-status; "" until it has come
	message string // grpc-message
	body    []byte
}

// maxReply is enough for any answer of a health service: a status takes two bytes.
const maxReply = 4 << 10

func (r *grpcReply) head(status int, fields []http1.Field) {
	kind, _ := http1.Get(fields, "Content-Type")
	switch {
	case status != 200:
		r.fault = fmt.Sprintf("the HTTP status is %d", status)
	case !isGRPC(kind):
		r.fault = fmt.Sprintf("the content type is %s", quoteStart(kind))
	}
	r.trailers(fields) // an answer of trailers only is one head
}

// isGRPC reports whether a content type is one of gRPC: "application/grpc", or more behind "+" or ";".
func isGRPC(kind []byte) bool {
	const want = "application/grpc"
	return len(kind) >= len(want) && string(kind[:len(want)]) == want && (len(kind) == len(want) || kind[len(want)] == '+' || kind[len(want)] == ';')
}

func (r *grpcReply) trailers(fields []http1.Field) {
	if status, ok := http1.Get(fields, "Grpc-Status"); ok {
		r.status = string(status)
	}
	if message, ok := http1.Get(fields, "Grpc-Message"); ok {
		r.message = percentDecoded(message)
	}
}

func (r *grpcReply) add(data []byte) {
	if room := maxReply + 1 - len(r.body); room > 0 {
		r.body = append(r.body, data[:min(room, len(data))]...)
	}
}

// code is the gRPC status code.
func (r *grpcReply) code() (int, bool) {
	n, err := strconv.ParseUint(r.status, 10, 16)
	return int(n), err == nil
}

// judge gives the verdict of a reply that has come whole.
func (r *grpcReply) judge(p *Plan) (triage.Outcome, string) {
	code, ok := r.code()
	switch {
	case r.fault != "":
		return triage.NotGRPC, r.fault
	case r.status == "":
		return triage.NotGRPC, "no grpc-status came"
	case !ok:
		return triage.NotGRPC, fmt.Sprintf("grpc-status is %s", quoteStart([]byte(r.status)))
	case !p.Codes.Match(code):
		return triage.GRPCMismatch, r.said(code)
	case code != 0 || !p.Dialect.GRPC.Health():
		return triage.Matched, ""
	}
	serving, fault := servingStatus(r.body)
	switch {
	case fault != "":
		return triage.NotGRPC, fault
	case serving != serves:
		return triage.NotServing, serving
	}
	return triage.Matched, ""
}

// said is a status code with the words that came with it.
func (r *grpcReply) said(code int) string {
	text := triage.GRPCCodeText(code)
	if r.message != "" {
		text += ": " + shortened(r.message)
	}
	return text
}

// facts is the reply as an exchange keeps it.
func (r *grpcReply) facts() *triage.GRPCFacts {
	f := &triage.GRPCFacts{Status: -1, Message: shortened(r.message)}
	if code, ok := r.code(); ok {
		f.Status = code
	}
	if serving, fault := servingStatus(r.body); fault == "" {
		f.Serving = serving
	}
	return f
}

const serves = "SERVING"

// servingNames are HealthCheckResponse.ServingStatus (grpc.health.v1).
var servingNames = [...]string{"UNKNOWN", serves, "NOT_SERVING", "SERVICE_UNKNOWN"}

// servingStatus reads the one message of a HealthCheckResponse. fault says why it is none.
func servingStatus(body []byte) (status, fault string) {
	const prefix = 5 // compressed or not, and the length
	if len(body) < prefix {
		return "", fmt.Sprintf("the message ends after %d bytes", len(body))
	}
	announced := uint64(body[1])<<24 | uint64(body[2])<<16 | uint64(body[3])<<8 | uint64(body[4])
	message := body[prefix:]
	switch {
	case body[0] != 0:
		return "", "the message is compressed, which nobody has asked for"
	case announced > maxReply:
		return "", fmt.Sprintf("the message says that it has %d bytes", announced)
	case uint64(len(message)) != announced:
		return "", fmt.Sprintf("the message says that it has %d bytes, and has %d", announced, len(message))
	}
	number, ok := servingNumber(message)
	switch {
	case !ok:
		return "", "the message is no HealthCheckResponse"
	case number < uint64(len(servingNames)):
		return servingNames[number], ""
	}
	return strconv.FormatUint(number, 10), ""
}

// servingNumber reads field 1 of a HealthCheckResponse, a varint; 0 if it is not there. Fields that are not known are
// passed over, as protobuf wants it.
func servingNumber(m []byte) (n uint64, ok bool) {
	for len(m) > 0 {
		tag, used := binary.Uvarint(m)
		if used <= 0 || tag>>3 == 0 {
			return 0, false
		}
		m = m[used:]
		var value uint64
		switch tag & 7 {
		case 0: // varint
			if value, used = binary.Uvarint(m); used <= 0 {
				return 0, false
			}
		case 1: // 64 bits
			used = 8
		case 2: // bytes
			length, lead := binary.Uvarint(m)
			if lead <= 0 || length > uint64(len(m)) {
				return 0, false
			}
			used = lead + int(length)
		case 5: // 32 bits
			used = 4
		default:
			return 0, false
		}
		if used > len(m) {
			return 0, false
		}
		if tag == 1<<3 {
			n = value
		}
		m = m[used:]
	}
	return n, true
}

// percentDecoded undoes the encoding of grpc-message; what is not encoded rightly stays as it is (gRPC over HTTP/2,
// "Status-Message").
func percentDecoded(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			if n, err := strconv.ParseUint(string(b[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return strings.ToValidUTF8(string(out), "\uFFFD")
}

// shortened is text of the target's, not at any length.
func shortened(s string) string {
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
