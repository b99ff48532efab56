package probe

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// readHTTP1 takes the next bytes of an answer over HTTP/1. decided is true once the check has its verdict.
func (a *answer) readHTTP1(p *Plan, b []byte) (o triage.Outcome, detail string, decided bool) {
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
	a.headDone = true
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
			o, detail := a.judge(p, triage.BodyMalformed, detail)
			return o, detail, true
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	a.complete, a.surplus = a.body.Done(), len(b) > 0
	if a.complete || a.size >= wants {
		o, detail := a.judge(p, triage.Matched, "")
		return o, detail, true
	}
	return 0, "", false
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
