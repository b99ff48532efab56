package probe

import (
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/http1"
)

// answer reads an HTTP answer as it comes in and judges it. The zero value is ready.
type answer struct {
	buf           []byte        // what came until the head was complete; in HTTP/2, the head as text
	head          []byte        // part of buf, once complete
	fields        []http1.Field // parts of head
	interim       int           // answers 1xx so far
	interimStatus int           // of the last of them
	headDone      bool
	status        int
	kept          []byte
	size          int64
	complete      bool // head and body came whole

	// HTTP/1 only:
	scanned int  // how far the head's end was searched for
	keeps   bool // the server keeps the connection
	body    http1.Body
	surplus bool // something came after the body

	stream *stream // HTTP/2 only, else nil
}

// maxSpare bounds the memory that waits for the next answer.
const maxSpare = 4 << 10

// reset makes the answer ready for the next one and keeps its memory, unless that has become much.
func (a *answer) reset() {
	next := answer{fields: a.fields[:0]}
	if cap(a.buf) <= maxSpare {
		next.buf = a.buf[:0]
	}
	if cap(a.kept) <= maxSpare {
		next.kept = a.kept[:0]
	}
	if cap(a.fields) > maxSpare/64 {
		next.fields = nil
	}
	*a = next
}

// empty reports whether not one byte has come.
func (a *answer) empty() bool { return a.came() == 0 && a.interim == 0 }

// came is how many bytes have come of what may become a head.
func (a *answer) came() int {
	if a.stream != nil {
		return a.stream.came
	}
	return len(a.buf)
}

// read takes the next bytes. decided is true once the check has its verdict.
func (a *answer) read(p *Plan, b []byte) (o triage.Outcome, detail string, decided bool) {
	if a.stream != nil {
		return a.readFrames(p, b)
	}
	return a.readHTTP1(p, b)
}

// reply returns what has to be written because of what was read: HTTP/2 wants some frames acknowledged. It is valid until
// the next read.
func (a *answer) reply() []byte {
	if a.stream == nil {
		return nil
	}
	return a.stream.call.Out()
}

// persistent reports whether the connection may be asked again.
func (a *answer) persistent() bool { return a.complete && a.keeps && !a.surplus }

// code is the status code that counts: HTTP's, or in gRPC that of the call if one came.
func (a *answer) code() int {
	if a.stream != nil && a.stream.grpc && a.stream.reply.fault == "" {
		if code, ok := a.stream.reply.code(); ok {
			return code
		}
	}
	return a.status
}

// judge gives the verdict of an answer whose head has come: what is wrong with its code, else the other outcome, since a
// code that does not match says more than what became of the body.
func (a *answer) judge(p *Plan, otherwise triage.Outcome, detail string) (triage.Outcome, string) {
	switch {
	case p.Protocol.IsGRPC() && (otherwise == triage.Matched || a.stream.reply.fault != ""):
		return a.stream.reply.judge(p)
	case !p.Protocol.IsGRPC() && !p.Codes.Match(a.status):
		return triage.CodeMismatch, detail
	}
	return otherwise, detail
}

// end says what the end of the connection means; how is "closed" or "reset".
func (a *answer) end(p *Plan, how string) (triage.Outcome, string) {
	goodbye := ""
	if a.stream != nil {
		goodbye = a.stream.call.Goodbye()
	}
	if !a.headDone {
		o := triage.ClosedBeforeAnswer
		if how == "reset" {
			o = triage.ResetBeforeAnswer
		}
		switch {
		case goodbye != "":
			return o, "it said why: " + goodbye
		case a.stream != nil && a.came() > 0:
			return o, fmt.Sprintf("after %d bytes of HTTP/2 without an answer", a.came())
		case a.came() > 0:
			return o, fmt.Sprintf("after %d bytes of the head", a.came())
		case a.interim > 0:
			return o, a.afterInterim()
		}
		return o, "not one byte came"
	}
	if how == "closed" && a.stream == nil && a.body.EOF() == nil {
		return a.judge(p, triage.Matched, "")
	}
	detail := fmt.Sprintf("%s after %d bytes of the body", how, a.size)
	if goodbye != "" {
		detail += "; it said why: " + goodbye
	}
	return a.judge(p, triage.BodyTruncated, detail)
}

// keep counts content and keeps its beginning.
func (a *answer) keep(p *Plan, data []byte) {
	a.size += int64(len(data))
	if room := max(p.KeepBody, p.expect.reads()) - len(a.kept); room > 0 {
		a.kept = append(a.kept, data[:min(room, len(data))]...)
	}
}

// maxKeptHead bounds what an exchange holds of bytes that never became a head.
const maxKeptHead = 16 << 10

// show lets the exchange show what came. It is the answer's memory.
func (a *answer) show(x *triage.Exchange, keepBody int) {
	x.Status = a.code()
	x.Head = a.head
	if !a.headDone {
		x.Head = a.buf
	}
	if a.headDone && a.stream != nil && a.stream.grpc {
		x.GRPC = a.stream.reply.facts()
	}
	if len(x.Head) > maxKeptHead {
		x.Head, x.Truncated = x.Head[:maxKeptHead], true
	}
	x.Body, x.BodySize = a.kept[:min(len(a.kept), keepBody)], a.size
	if int64(len(x.Body)) < a.size {
		x.Truncated = true
	}
}

// broken says what it means that TLS itself has failed after the handshake: a record that cannot be decrypted, an alert.
func (a *answer) broken(p *Plan, err error) (triage.Outcome, string) {
	what := "TLS failed: " + strings.TrimPrefix(err.Error(), "local error: ")
	if alert, ok := alertIn(err); ok {
		what = "TLS failed with the target's alert: " + alert
	}
	if a.headDone {
		return a.judge(p, triage.BodyTruncated, fmt.Sprintf("%s, after %d bytes of the body", what, a.size))
	}
	if a.stream != nil {
		return triage.NotHTTP2, fmt.Sprintf("%s, after %d bytes of HTTP/2 without an answer", what, a.came())
	}
	return triage.NotHTTP, fmt.Sprintf("%s, after %d bytes of the head", what, a.came())
}
