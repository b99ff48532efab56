package probe

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// answer reads an HTTP answer as it comes in and judges it. The zero value is ready.
type answer struct {
	buf           []byte // what came until the head was complete
	scanned       int    // how far the head's end was searched for
	head          []byte // part of buf, once complete
	fields        []http1.Field
	interim       int // answers 1xx so far
	interimStatus int // of the last of them
	headDone      bool
	status        int
	framing       http1.FramingKind
	keeps         bool // the server keeps the connection
	body          http1.Body
	kept          []byte
	size          int64
	complete      bool // head and body came whole
	surplus       bool // and something after them
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
func (a *answer) empty() bool { return len(a.buf) == 0 && a.interim == 0 }

// persistent reports whether the connection may be asked again.
func (a *answer) persistent() bool { return a.complete && a.keeps && !a.surplus }

// read takes the next bytes. decided is true once the check has its verdict.
func (a *answer) read(p *Plan, b []byte) (o triage.Outcome, detail string, decided bool) {
	if !a.headDone {
		a.buf = append(a.buf, b...)
		rest, o, detail, decided := a.readHead(p)
		if decided || !a.headDone {
			return o, detail, decided
		}
		b = rest
	}
	return a.readBody(p, b)
}

// readHead looks for the end of the head, past interim answers, and returns what came after it.
func (a *answer) readHead(p *Plan) (rest []byte, o triage.Outcome, detail string, decided bool) {
	for {
		head := a.buf
		if !http1.Plausible(head) {
			return nil, triage.NotHTTP, a.implausible(), true
		}
		n, next := http1.HeadEnd(head, a.scanned)
		if n == 0 && len(head) > maxHead || n > maxHead {
			return nil, triage.HeadTooLarge, fmt.Sprintf("more than %d bytes", maxHead), true
		}
		if n == 0 {
			a.scanned = next
			return nil, 0, "", false
		}
		r, _, err := http1.ParseResponse(head[:n], a.fields[:0], http1.Limits{Head: maxHead})
		if errors.Is(err, http1.ErrTooLarge) {
			return nil, triage.HeadTooLarge, fmt.Sprintf("more than %d header lines", http1.DefaultMaxFields), true
		}
		if err != nil {
			return nil, triage.NotHTTP, err.Error(), true
		}
		a.fields = r.Fields
		if r.Status >= 200 || r.Status == 101 {
			return a.beginBody(p, r, n)
		}
		if a.interim++; a.interim > maxInterim {
			return nil, triage.NotHTTP, fmt.Sprintf("more than %d interim answers (%d)", maxInterim, r.Status), true
		}
		a.interimStatus = r.Status
		a.buf, a.scanned = append(a.buf[:0], a.buf[n:]...), 0
	}
}

func (a *answer) beginBody(p *Plan, r http1.Response, n int) (rest []byte, o triage.Outcome, detail string, decided bool) {
	a.status = r.Status
	framing, err := r.Framing(p.method())
	if err != nil {
		return nil, triage.NotHTTP, err.Error(), true
	}
	a.headDone, a.framing = true, framing.Kind
	a.keeps = r.Persistent()
	a.body = http1.NewBody(framing)
	a.head, rest = a.buf[:n], a.buf[n:]
	if framing.Kind == http1.UntilClose && p.Dialect.Body.Need == dialect.BodyFramed && p.Codes.Match(a.status) {
		return nil, triage.BodyUnframed, "", true
	}
	return rest, 0, "", false
}

func (a *answer) readBody(p *Plan, b []byte) (o triage.Outcome, detail string, decided bool) {
	wants := p.wants()
	for !a.body.Done() && len(b) > 0 && a.size < wants {
		data, n, err := a.body.Next(b)
		a.keep(p, data[:min(int64(len(data)), wants-a.size)])
		if err != nil && a.size < wants {
			detail := err.Error()
			if errors.Is(err, http1.ErrTooLarge) {
				detail = "more chunk extensions or trailers than allowed"
			}
			return a.judge(p, triage.BodyMalformed), detail, true
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	a.complete, a.surplus = a.body.Done(), len(b) > 0
	if a.complete || a.size >= wants {
		return a.judge(p, triage.Matched), "", true
	}
	return 0, "", false
}

// judge gives the verdict of the status code where that is a failure, else the other one: a code that does
// not match says more than what became of its body.
func (a *answer) judge(p *Plan, otherwise triage.Outcome) triage.Outcome {
	if !p.Codes.Match(a.status) {
		return triage.CodeMismatch
	}
	return otherwise
}

// end says what the end of the connection means; how is "closed" or "reset".
func (a *answer) end(p *Plan, how string) (triage.Outcome, string) {
	if !a.headDone {
		o := triage.ClosedBeforeAnswer
		if how == "reset" {
			o = triage.ResetBeforeAnswer
		}
		switch {
		case len(a.buf) > 0:
			return o, fmt.Sprintf("after %d bytes of the head", len(a.buf))
		case a.interim > 0:
			return o, a.afterInterim()
		}
		return o, "not one byte came"
	}
	if how == "closed" && a.body.EOF() == nil {
		return a.judge(p, triage.Matched), ""
	}
	return a.judge(p, triage.BodyTruncated), fmt.Sprintf("%s after %d bytes of the body", how, a.size)
}

// keep counts content and keeps its beginning.
func (a *answer) keep(p *Plan, data []byte) {
	a.size += int64(len(data))
	if room := p.KeepBody - len(a.kept); room > 0 {
		a.kept = append(a.kept, data[:min(room, len(data))]...)
	}
}

// maxKeptHead bounds what an exchange holds of bytes that never became a head.
const maxKeptHead = 16 << 10

// show lets the exchange show what came. It is the answer's memory.
func (a *answer) show(x *triage.Exchange) {
	x.Status = a.status
	x.Head = a.head
	if !a.headDone {
		x.Head = a.buf
	}
	if len(x.Head) > maxKeptHead {
		x.Head, x.Truncated = x.Head[:maxKeptHead], true
	}
	x.Body, x.BodySize = a.kept, a.size
	if int64(len(a.kept)) < a.size {
		x.Truncated = true
	}
}

// quoteStart shows the first bytes of something that is not HTTP.
func quoteStart(b []byte) string {
	const most = 16
	if len(b) > most {
		return fmt.Sprintf("%q…", b[:most])
	}
	return fmt.Sprintf("%q", b)
}

// implausible says why what came cannot become HTTP.
func (a *answer) implausible() string {
	detail := fmt.Sprintf("it begins with %s", quoteStart(a.buf))
	if a.interim > 0 {
		detail = fmt.Sprintf("%s it goes on with %s", a.afterInterim(), quoteStart(a.buf))
	}
	if _, _, err := http1.ParseResponse(a.buf, nil, http1.Limits{}); err != nil && bytes.HasPrefix(a.buf, []byte("HTTP/")) {
		return err.Error() + ": " + detail
	}
	return detail
}

// afterInterim says how many interim answers came before.
func (a *answer) afterInterim() string {
	s := "s"
	if a.interim == 1 {
		s = ""
	}
	return fmt.Sprintf("after %d interim answer%s (%d)", a.interim, s, a.interimStatus)
}

// broken says what it means that TLS itself has failed after the handshake: a record that cannot be decrypted, an alert.
func (a *answer) broken(p *Plan, err error) (triage.Outcome, string) {
	what := "TLS failed: " + strings.TrimPrefix(err.Error(), "local error: ")
	if alert, ok := alertIn(err); ok {
		what = "TLS failed with the target's alert: " + alert
	}
	if a.headDone {
		return a.judge(p, triage.BodyTruncated), fmt.Sprintf("%s, after %d bytes of the body", what, a.size)
	}
	return triage.NotHTTP, fmt.Sprintf("%s, after %d bytes of the head", what, len(a.buf))
}
