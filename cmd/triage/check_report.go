package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// checkReport writes what a check found: the verdict at once, the rest when it is known.
type checkReport struct {
	command  *checkCommand
	question *question
	out, err *terminal
}

var verdictWords = map[triage.Verdict]string{triage.Pass: "HEALTHY", triage.Fail: "UNHEALTHY", triage.Neutral: "NO VERDICT"}

// verdict prints the first line, and with -v what travelled before it.
func (r *checkReport) verdict(x *triage.Exchange) {
	if r.command.JSON {
		return
	}
	if r.command.Verbose {
		r.transcript(x)
	}
	word := fmt.Sprintf("%-*s", labelWidth, verdictWords[x.Outcome.Verdict()])
	switch x.Outcome.Verdict() {
	case triage.Pass:
		word = r.out.green(word)
	case triage.Fail:
		word = r.out.red(word)
	}
	as := string(r.question.spec.Name)
	if len(r.question.departs) > 0 {
		as += " (altered)"
	}
	result := fmt.Sprintf("%s in %s", briefResult(x), milliseconds(x.Took))
	target := shorten(r.target(x), lineWidth-labelWidth-len(as)-len(result)-4)
	r.out.printf("%s%s  %s  %s\n", word, as, r.out.safe(target), r.out.safe(result))
}

// explains reports whether the report shows why a check failed.
func (r *checkReport) explains() bool { return r.command.JSON || !r.command.Quiet }

// rest prints everything that follows the verdict.
func (r *checkReport) rest(x *triage.Exchange, d *triage.Diagnosis, warnings []string) error {
	if r.command.JSON {
		return r.json(x, d, warnings)
	}
	if !r.command.Quiet {
		r.explain(x, d)
	}
	for _, w := range warnings {
		r.err.printf("%s\n", wrap("triage: warning: "+r.err.safe(w), lineWidth, "  "))
	}
	return nil
}

func (r *checkReport) explain(x *triage.Exchange, d *triage.Diagnosis) {
	for _, option := range r.question.departs {
		r.paragraph("Altered", string(r.question.spec.Name)+" itself has no "+option)
	}
	r.vendorWords(x)
	r.paragraph("Over", r.over(x))
	r.paragraph("gRPC", grpcAnswer(x))
	r.paragraph("Redirects", strings.Join(x.Redirects, "\n"))
	r.paragraph("TLS", r.certificate(x))
	switch x.Outcome.Verdict() {
	case triage.Pass:
		r.paragraph("Note", x.Detail)
	case triage.Neutral:
		r.paragraph("Seen", x.Outcome.Info().Sentence+detail(x))
	}
	if x.Outcome == triage.RedirectElsewhere {
		r.paragraph("Next", "check the page that it redirects to by itself")
	}
	if d == nil {
		return
	}
	if d.Code == diagnose.Undiagnosed {
		r.unexplained(x, d)
		return
	}
	label := "Cause"
	if d.Certainty != triage.Proved {
		label = "Probably"
	}
	r.paragraph(label, d.Cause)
	r.paragraph("Proof", d.Proof)
	r.paragraph("Fix", d.Fix)
}

// unexplained prints what was seen of a failure that nobody can explain, and where to look next.
func (r *checkReport) unexplained(x *triage.Exchange, d *triage.Diagnosis) {
	seen := d.Cause
	if words := diagnose.Says(x); words != "" {
		seen += "; it says " + quoted(words)
	}
	r.paragraph("Seen", seen)
	r.paragraph("Asked", strings.Join(d.Asked, "\n"))
	r.paragraph("Next", diagnose.Next(x))
}

// over says how the target was asked where that is not seen from its address: the version of HTTP that it has chosen, what
// came before the request, and from where.
func (r *checkReport) over(x *triage.Exchange) string {
	var said []string
	p := r.question.endpoint.protocol
	if x.Status != 0 && (p == triage.H2 || p == triage.H2C || p == triage.HTTPS && x.TLS != nil && x.TLS.ALPN == "h2") {
		said = append(said, "HTTP/2")
	}
	if x.Proxy != triage.NoProxy {
		said = append(said, fmt.Sprintf("after a header of the PROXY protocol (%s)", x.Proxy))
	}
	if r.command.Source != "" && x.Local.IsValid() {
		said = append(said, "from "+x.Local.Addr().String())
	}
	return strings.Join(said, ", ")
}

// grpcAnswer is what a gRPC check was answered, where neither the first line nor the detail says all of it.
func grpcAnswer(x *triage.Exchange) string {
	if x.GRPC == nil || x.GRPC.Status < 0 {
		return ""
	}
	text := triage.GRPCCodeText(x.GRPC.Status)
	if strings.HasPrefix(x.Detail, text) {
		return ""
	}
	if x.GRPC.Serving != "" {
		text += ", " + x.GRPC.Serving
	}
	if x.GRPC.Message != "" {
		text += ": " + quoted(x.GRPC.Message)
	}
	if text == briefResult(x) {
		return ""
	}
	return text
}

// certificate says what the target has shown in the TLS handshake.
func (r *checkReport) certificate(x *triage.Exchange) string {
	f := x.TLS
	if f == nil {
		return ""
	}
	subject := f.Subject
	if subject == "" {
		subject = strings.Join(f.Names, " ") // often all there is, in certificates of today
	}
	text := fmt.Sprintf("%s; %s, issued by %s, %s", f.Version, shorten(subject, lineWidth), shorten(f.Issuer, lineWidth), remaining(x.Started, f))
	if f.Untrusted != "" && x.Outcome != triage.TLSUntrusted {
		text += fmt.Sprintf("\n%s does not verify it: %s", r.question.spec.Name, f.Untrusted)
	}
	return text
}

// remaining says how long a certificate is still valid.
func remaining(now time.Time, f *triage.TLSFacts) string {
	left := f.NotAfter.Sub(now)
	days := func(d time.Duration) string {
		if n := int(d / (24 * time.Hour)); n != 1 {
			return fmt.Sprintf("%d days", n)
		}
		return "1 day"
	}
	switch {
	case now.Before(f.NotBefore):
		return fmt.Sprintf("valid in %s", days(f.NotBefore.Sub(now)))
	case left < 0:
		return fmt.Sprintf("expired %s ago", days(-left))
	}
	return fmt.Sprintf("%s left", days(left))
}

// quoted is a text in quotation marks that it does not hold itself, where there are such.
func quoted(s string) string {
	if strings.Contains(s, `"`) && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// vendorWords prints what the vendor's console would show. People search for these sentences, so they are
// not broken where there is another way.
func (r *checkReport) vendorWords(x *triage.Exchange) {
	words := r.question.spec.WordsFor(x)
	text := words.String()
	if len(text) > lineWidth-labelWidth && words.Description != "" {
		text = words.Code + ":\n" + words.Description
	}
	r.paragraph(r.question.spec.Shows, text)
}

// paragraph prints a label and its text, wrapped; lines that are indented are code and stay as they are.
func (r *checkReport) paragraph(label, text string) {
	if text == "" {
		return
	}
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, " ") {
			line = wrap(line, lineWidth-labelWidth, "")
		}
		lines = append(lines, line)
	}
	r.out.label(label, strings.Join(lines, "\n"))
}

// target is the address and path that were asked.
func (r *checkReport) target(x *triage.Exchange) string {
	address := string(x.Key.Target)
	if r.question.endpoint.protocol.Asks() {
		return address + r.question.endpoint.path
	}
	return address
}

// briefResult is the outcome for the first line: the code where that decided, else the outcome's name.
func briefResult(x *triage.Exchange) string {
	switch g := x.GRPC; {
	case g == nil:
	case g.Serving != "" && (x.Outcome == triage.Matched || x.Outcome == triage.NotServing):
		return g.Serving
	case x.Outcome == triage.Matched || x.Outcome == triage.GRPCMismatch:
		return triage.GRPCCodeText(g.Status)
	default:
		return x.Outcome.String()
	}
	if x.Status != 0 && (x.Outcome == triage.CodeMismatch || x.Outcome == triage.Matched) {
		return fmt.Sprint(x.Status)
	}
	return x.Outcome.String()
}

func detail(x *triage.Exchange) string {
	if x.Detail == "" {
		return ""
	}
	return " (" + x.Detail + ")"
}

// transcript shows what travelled, as curl does: > for what was sent, < for what came.
func (r *checkReport) transcript(x *triage.Exchange) {
	for phase, took := range x.Timing.All {
		r.out.printf("%s\n", r.out.dim(fmt.Sprintf("* %s %s", strings.ReplaceAll(phase.String(), "_", " "), milliseconds(took))))
	}
	if x.Proxy != triage.NoProxy && x.Local.IsValid() {
		header := r.question.spec.AppendProxy(nil, x.Proxy, x.Local, x.Address)
		r.out.printf("%s\n", r.out.dim("* PROXY header "+strconv.Quote(string(header))))
	}
	r.lines("> ", string(x.Sent))
	r.lines("< ", string(x.Head))
	r.lines("  ", string(x.Body))
	if x.Truncated {
		r.out.printf("%s\n", r.out.dim(fmt.Sprintf("* cut: %d bytes of body came", x.BodySize)))
	}
}

func (r *checkReport) lines(prefix, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\r")
		r.out.printf("%s\n", strings.TrimRight(prefix+r.out.safe(line), " "))
	}
}

// checkJSON is the contract of triage check --json: fields are only ever added.
type checkJSON struct {
	Schema    string             `json:"schema"`
	At        time.Time          `json:"at"`
	Took      float64            `json:"took_ms"`
	Target    string             `json:"target"`
	Address   string             `json:"address,omitempty"` // that was asked; of the last request, where redirects were followed
	Dialect   triage.Dialect     `json:"dialect"`
	Altered   []string           `json:"altered,omitempty"` // options that the load balancer does not have
	Healthy   bool               `json:"healthy"`
	Outcome   triage.Outcome     `json:"outcome"`
	Detail    string             `json:"detail,omitempty"`
	Status    int                `json:"status,omitempty"`
	Reason    dialect.Words      `json:"reason"`
	Sent      *string            `json:"sent,omitempty"`
	SentBytes *string            `json:"sent_base64,omitempty"`
	Received  receivedJSON       `json:"received"`
	Assumed   []string           `json:"assumed"`
	Phases    map[string]float64 `json:"phases"`              // milliseconds
	Redirects []string           `json:"redirects,omitempty"` // the URLs that were followed, in order
	TLS       *triage.TLSFacts   `json:"tls,omitempty"`
	GRPC      *triage.GRPCFacts  `json:"grpc,omitempty"`
	Warnings  []string           `json:"warnings"`
	Diagnosis *triage.Diagnosis  `json:"diagnosis,omitempty"`
}

type receivedJSON struct {
	Head      *string `json:"head,omitempty"`
	HeadBytes *string `json:"head_base64,omitempty"`
	Body      *string `json:"body,omitempty"`
	BodyBytes *string `json:"body_base64,omitempty"`
	Truncated bool    `json:"truncated"`
}

func (r *checkReport) json(x *triage.Exchange, d *triage.Diagnosis, warnings []string) error {
	report := checkJSON{
		Schema:    "triage.check/1",
		At:        x.Started,
		Took:      float64(x.Took.Microseconds()) / 1000,
		Target:    r.target(x),
		Dialect:   x.Dialect,
		Altered:   r.question.departs,
		Healthy:   x.Outcome.Verdict() == triage.Pass,
		Outcome:   x.Outcome,
		Detail:    x.Detail,
		Status:    x.Status,
		Reason:    r.question.spec.WordsFor(x),
		Received:  receivedJSON{Truncated: x.Truncated},
		Assumed:   append([]string{}, r.question.spec.Assumed()...),
		Phases:    map[string]float64{},
		Redirects: x.Redirects,
		TLS:       x.TLS,
		GRPC:      x.GRPC,
		Warnings:  append([]string{}, warnings...),
		Diagnosis: d,
	}
	if x.Address.IsValid() {
		report.Address = x.Address.String()
	}
	report.Sent, report.SentBytes = exactText(x.Sent)
	report.Received.Head, report.Received.HeadBytes = exactText(x.Head)
	report.Received.Body, report.Received.BodyBytes = exactText(x.Body)
	for phase, took := range x.Timing.All {
		report.Phases[phase.String()] = float64(took.Microseconds()) / 1000
	}
	return printJSON(r.out.w, report)
}

// lineWidth is how wide what we print may be, whatever the terminal is.
const lineWidth = 80

// wrap breaks prose into lines of at most width columns; further lines begin with indent. A word that no line can
// hold stays whole and where it is, since a line of its own would not help it; an option stays with its value.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	column := 0
	words := strings.Fields(s)
	for i, word := range words {
		size := utf8.RuneCountInString(word)
		together := size
		if strings.HasPrefix(word, "-") && i+1 < len(words) {
			together += 1 + utf8.RuneCountInString(words[i+1])
		}
		switch {
		case column == 0:
		case column+1+together > width && len(indent)+size <= width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += size
	}
	return b.String()
}

// shorten cuts text in the middle to at most width columns, but never below 20.
func shorten(s string, width int) string {
	width = max(width, 20)
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	head := width / 2
	return string(r[:head]) + "…" + string(r[len(r)-(width-head-1):])
}

// milliseconds is a duration as people read it in a report about checks.
func milliseconds(d time.Duration) string {
	ms := float64(d.Microseconds()) / 1000
	switch {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
