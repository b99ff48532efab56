package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// How much of a record is shown.
const (
	listenIndent     = 4                      // columns before a line that came
	listenLines      = 60                     // lines of a request
	listenOtherLines = 4                      // lines of what is no request
	listenNameWidth  = 60                     // columns of a name that a TLS client sends
	listenMore       = "… 123,456 more bytes" // the longest end of a line that is cut
)

// listenReport prints records as they come. Its methods are called by one goroutine at a time.
type listenReport struct {
	out     *terminal
	json    bool
	brief   bool     // leave out what the remarks say
	raw     *os.File // nil without --raw
	records int
	known   map[string]bool // senders of whom it was said what they accept
	remarks []string        // of the record before: what is the same is not said again
}

// add prints a record and keeps its bytes.
func (r *listenReport) add(record capture.Record) error {
	r.records++
	if r.raw != nil {
		if _, err := r.raw.Write(record.Raw); err != nil {
			return &triage.Error{Kind: triage.KindUnavailable, Message: err.Error(), Hint: "make room, or give --raw another file", Err: err}
		}
	}
	if r.json {
		return r.object(&record)
	}
	r.text(&record)
	return nil
}

// listenJSON is the contract of triage listen --json: fields are only ever added.
type listenJSON struct {
	Schema string `json:"schema"`
	capture.Record
	Raw      *string `json:"raw,omitempty"`
	RawBytes *string `json:"raw_base64,omitempty"`

	Answer      *string `json:"answer,omitempty"` // what the application sent, if the request was passed on
	AnswerBytes *string `json:"answer_base64,omitempty"`
}

// object prints the record on one line.
func (r *listenReport) object(record *capture.Record) error {
	report := listenJSON{Schema: "triage.listen/1", Record: *record}
	report.Raw, report.RawBytes = exactText(record.Raw)
	if f := record.Forwarded; f != nil {
		report.Answer, report.AnswerBytes = exactText(f.Answer)
	}
	return writeJSON(r.out.w, report, "")
}

// text prints the record for people: what it is, what came, and what to know about it.
func (r *listenReport) text(record *capture.Record) {
	if r.records > 1 {
		r.out.printf("\n")
	}
	r.out.printf("%s  %s  %s\n", r.out.dim(record.Time.Format("15:04:05.000")), record.Peer, r.out.bold(whatCame(record)))
	r.paragraph("Sender", sender(record))
	r.lines(record)
	if p := record.Proxy; p != nil {
		r.paragraph("PROXY", proxyText(p))
	}
	if h := record.Hello; h != nil {
		r.paragraph("TLS", helloText(h))
	}
	r.paragraph("Problem", record.Problem)
	r.acceptable(record)
	if record.Forwarded == nil && !slices.Equal(record.Remarks, r.remarks) { // an answer says more than what is to be feared
		for _, remark := range record.Remarks {
			if r.brief {
				remark = "…"
			}
			r.paragraph("Note", remark)
		}
		r.remarks = record.Remarks
	}
	r.forwarded(record)
	r.paragraph("Refused", record.Refused)
	if record.Answered != 0 {
		r.paragraph("Answered", strconv.Itoa(record.Answered))
	}
}

func (r *listenReport) paragraph(label, text string) {
	if text != "" {
		r.out.label(label, wrap(text, lineWidth-labelWidth, ""))
	}
}

// whatCame is the record in a few words.
func whatCame(r *capture.Record) string {
	switch r.Kind {
	case capture.HTTPRequest:
		if r.Request == nil {
			return "no valid HTTP request"
		}
		return "HTTP request"
	case capture.TLSHello:
		return "TLS hello"
	case capture.ProxyV1, capture.ProxyV2:
		return "PROXY header, then " + afterProxy(r)
	case capture.HTTP2Preface:
		return "HTTP/2 without TLS"
	case capture.Silence:
		return "connected and sent nothing"
	case capture.Empty:
		if r.End == capture.Reset {
			return "connected and reset without a byte"
		}
		return "connected and closed without a byte"
	}
	return fmt.Sprintf("%s bytes that are no HTTP", grouped(int64(len(r.Raw))+r.Dropped))
}

func afterProxy(r *capture.Record) string {
	switch {
	case r.Request != nil:
		return "an HTTP request"
	case r.Hello != nil:
		return "a TLS hello"
	case r.Proxy != nil && len(r.Raw) == r.Proxy.HeaderBytes:
		return "nothing"
	}
	return "other bytes"
}

func sender(r *capture.Record) string {
	switch {
	case r.Sender == nil:
		return ""
	case r.Sender.Sure:
		return fmt.Sprintf("%s (%s)", r.Sender.Title, r.Sender.Why)
	}
	return fmt.Sprintf("%s (%s; anybody can send that)", r.Sender.Title, r.Sender.Why)
}

func proxyText(p *capture.Proxy) string {
	switch {
	case p.Command != "PROXY":
		return fmt.Sprintf("version %d, %s: no client, the load balancer's own connection", p.Version, p.Command)
	case !p.Source.IsValid():
		return fmt.Sprintf("version %d, without IP addresses", p.Version)
	}
	return fmt.Sprintf("version %d, client %s, which connected to %s", p.Version, p.Source, p.Destination)
}

func helloText(h *capture.Hello) string {
	name, protocols := "no server name (SNI)", ""
	if h.ServerName != "" {
		name = "server name " + shorten(h.ServerName, listenNameWidth)
	}
	if len(h.ALPN) > 0 {
		protocols = "; ALPN " + shorten(strings.Join(h.ALPN, ", "), listenNameWidth)
	}
	return fmt.Sprintf("%s%s; %s", name, protocols, shorten(strings.Join(h.Versions, ", "), listenNameWidth))
}

// lines prints what came, line by line, and says how much of it is not shown.
func (r *listenReport) lines(record *capture.Record) {
	rest, limit := record.Raw, listenOtherLines
	if p := record.Proxy; p != nil {
		rest = r.some(record, rest[:min(p.HeaderBytes, len(rest))], rest[min(p.HeaderBytes, len(rest)):], listenOtherLines)
	}
	if record.Request != nil || record.Kind == capture.HTTPRequest {
		limit = listenLines
	}
	rest = r.some(record, rest, nil, limit)
	if hidden := int64(len(rest)) + record.Dropped; hidden > 0 {
		r.out.printf("%*s%s\n", listenIndent, "", r.out.dim(fmt.Sprintf("… %s more bytes", grouped(hidden))))
	}
}

// some prints at most limit lines of what came, and returns what it has not printed, with what follows.
func (r *listenReport) some(record *capture.Record, came, follows []byte, limit int) []byte {
	for ; len(came) > 0 && limit > 0; limit-- {
		end := bytes.IndexByte(came, '\n') + 1
		if end == 0 {
			end = len(came)
		}
		r.line(came[:end], record.Request)
		came = came[end:]
	}
	if len(came) > 0 && len(follows) > 0 {
		r.out.printf("%*s%s\n", listenIndent, "", r.out.dim(fmt.Sprintf("… %s more bytes", grouped(int64(len(came))))))
		came = nil
	}
	if len(came) == 0 {
		return follows
	}
	return came
}

// line prints one line that came, with its line end, and the mark if it is the Host of a request.
func (r *listenReport) line(line []byte, request *capture.Request) {
	text, end := line, ""
	switch {
	case bytes.HasSuffix(line, []byte("\r\n")):
		text, end = line[:len(line)-2], `\r\n`
	case bytes.HasSuffix(line, []byte("\n")):
		text, end = line[:len(line)-1], `\n`
	}
	shown, hidden := escape(text, lineWidth-listenIndent-len(end))
	width := listenIndent + len(shown) + len(end)
	printed := shown + r.out.dim(end)
	if hidden > 0 {
		printed = shown + r.out.dim(fmt.Sprintf("… %s more bytes", grouped(int64(hidden)))+end)
		width = lineWidth
	}
	if request != nil && len(text) > 4 && strings.EqualFold(string(text[:5]), "host:") {
		mark := "<-- " + hostMark(request.Host)
		separator := "  "
		if width+len(separator)+len(mark) > lineWidth {
			separator = "\n" + strings.Repeat(" ", listenIndent)
		}
		printed = r.out.bold(shown) + strings.TrimPrefix(printed, shown) + separator + r.out.bold(mark)
	}
	r.out.printf("%*s%s\n", listenIndent, "", printed)
}

// hostMark says what the Host of a request is.
func hostMark(h capture.Host) string {
	what := "Host: a name"
	switch {
	case h.Form == capture.HostEmpty:
		return "Host: empty"
	case h.Form == capture.HostAddress && h.Own:
		what = "Host: this machine's address"
	case h.Form == capture.HostAddress:
		what = "Host: not this machine's address"
	}
	if h.Port != "" {
		what += ", with port"
	}
	return what
}

// escape shows bytes as ASCII, with \xNN for what is not printable and for the backslash itself, so that the text
// can be read in one way only. What does not fit into the width is hidden, and counted.
func escape(b []byte, width int) (shown string, hidden int) {
	var out strings.Builder
	fits, shownAt := 0, 0 // how much fits if the rest has to be announced
	for i, c := range b {
		if out.Len() <= width-len(listenMore) {
			fits, shownAt = i, out.Len()
		}
		if c < ' ' || c >= 0x7f || c == '\\' {
			fmt.Fprintf(&out, `\x%02x`, c)
		} else {
			out.WriteByte(c)
		}
		if out.Len() > width {
			return out.String()[:shownAt], len(b) - fits
		}
	}
	return out.String(), 0
}

// grouped is a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
