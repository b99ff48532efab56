package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
)

// checkReport writes what a check found: the verdict at once, the rest when it is known.
type checkReport struct {
	command  *checkCommand
	question *question
	out, err *terminal
	limited  bool // it is said what a check from here cannot see
}

// check asks one target, prints the verdict at once, and then finds out why. If it is interrupted after the verdict, it
// prints what is known by then.
func (r *checkReport) check(env *environment, t *checkTarget) (code int, err error) {
	q := r.question
	x, err := q.ask(env.ctx, t)
	if err != nil {
		return 0, err
	}
	r.verdict(x)
	found := r.inquire(env.ctx, x, t)
	warnings := q.warn(env.ctx, x, t)
	if q.endpoint.protocol == triage.TCP && len(found.doubts) == 0 {
		warnings = append(warnings, "a TCP check passes as long as the port answers, also while the site throws 500s; check a path over http://")
	}
	if err := cmp.Or(r.rest(x, found, warnings), env.ctx.Err()); err != nil {
		return 0, err
	}
	switch x.Outcome.Verdict() {
	case triage.Pass:
		if r.command.Strict && len(found.doubts) > 0 {
			return exitUnhealthy, nil
		}
		return exitOK, nil
	case triage.Fail:
		return exitUnhealthy, nil
	}
	return exitFault, nil
}

// inquire asks second questions if somebody will see the answers, and about a pass only once.
func (r *checkReport) inquire(ctx context.Context, x *triage.Exchange, t *checkTarget) findings {
	passed := x.Outcome.Verdict() == triage.Pass
	if r.command.Quiet && !r.command.JSON && !(passed && r.command.Strict) || passed && t.doubted {
		return findings{}
	}
	defer r.waiting()()
	found := r.question.inquire(ctx, x, t)
	t.doubted = t.doubted || passed
	return found
}

// waiting tells somebody who waits for the answers to second questions what for, until the func that it returns is called.
func (r *checkReport) waiting() (done func()) {
	if !r.err.colour { // nobody sits there, or the line could not be taken back
		return func() {}
	}
	const patience = time.Second
	told := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(told)
		r.err.printf("%s", r.err.dim("asking on to find out why, 10 s at most; Ctrl-C keeps the verdict"))
	})
	return func() {
		if !timer.Stop() {
			<-told
			r.err.printf("\r\x1b[K")
		}
	}
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

// rest prints everything that follows the verdict.
func (r *checkReport) rest(x *triage.Exchange, found findings, warnings []string) error {
	if r.command.JSON {
		return r.json(x, found, warnings)
	}
	if r.command.Quiet {
		for _, d := range found.doubts {
			warnings = append(warnings, d.Title)
		}
	} else {
		r.explain(x, found)
	}
	for _, w := range warnings {
		r.err.printf("%s\n", wrap("triage: warning: "+r.err.safe(w), lineWidth, "  "))
	}
	return nil
}

func (r *checkReport) explain(x *triage.Exchange, found findings) {
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
	if d := found.diagnosis; d != nil && d.Code == diagnose.Undiagnosed {
		r.unexplained(x, d)
	} else if d != nil {
		if d.Certainty != triage.Proved && x.Detail+diagnose.Says(x) != "" {
			r.paragraph("Seen", x.Outcome.Info().Sentence+detail(x)+says(x))
		}
		r.diagnosis(d)
	}
	for _, d := range found.doubts {
		r.doubt(d)
	}
	if !r.limited {
		r.paragraph("Note", r.untested(x))
		r.limited = r.untested(x) != ""
	}
}

// diagnosis prints a cause and its cure, and what else it may be.
func (r *checkReport) diagnosis(d *triage.Diagnosis) {
	cause, proof := "Probably", "Asked"
	if d.Certainty == triage.Proved {
		cause, proof = "Cause", "Proof"
	}
	r.paragraph(cause, d.Cause)
	r.paragraph(proof, d.Proof)
	r.paragraph("Or", candidates(d))
	r.paragraph("Fix", d.Fix)
	r.paragraph("Wrong fix", d.WrongFix)
}

// unexplained prints what was seen of a failure that has no certain cause: what it may be and what would decide, or where
// to look next.
func (r *checkReport) unexplained(x *triage.Exchange, d *triage.Diagnosis) {
	r.paragraph("Seen", d.Cause+says(x))
	r.paragraph("Asked", strings.Join(d.Asked, "\n"))
	r.paragraph("Could be", candidates(d))
	decide := d.Decides
	if r.wantsName(d) {
		decide = append(slices.Clone(decide), "ask again with --public-host and the name by which visitors know the site: triage then tries that name as Host by itself")
	}
	r.paragraph("Decide", strings.Join(decide, "\n"))
	if len(decide) == 0 {
		r.paragraph("Next", diagnose.Next(x))
	}
}

// wantsName reports whether a name of the site, which nobody has told, would decide between the causes.
func (r *checkReport) wantsName(d *triage.Diagnosis) bool {
	if r.command == nil || r.command.NoFollowUp || len(r.question.public) > 0 {
		return false
	}
	return slices.ContainsFunc(d.Candidates, func(code string) bool {
		e, ok := diagnose.Lookup(code)
		return ok && e.Stage == diagnose.StageHost
	})
}

// candidates are the causes that the evidence allows, the likeliest first, with the codes that triage explain takes.
func candidates(d *triage.Diagnosis) string {
	var lines []string
	for _, code := range d.Candidates {
		line := code
		if e, ok := diagnose.Lookup(code); ok && !strings.Contains(e.Title, "{") {
			line = fmt.Sprintf("%s (%s)", e.Title, code)
		}
		if len(d.Candidates) > 1 {
			line = fmt.Sprintf("%d. %s", len(lines)+1, line)
		}
		lines = append(lines, wrap(line, lineWidth-labelWidth, "   "))
	}
	return strings.Join(lines, "\n")
}

// doubt prints why a pass means little, and the beginning of what to do.
func (r *checkReport) doubt(d *triage.Diagnosis) {
	const most = 4 // lines of the fix
	lines := []string{d.Title}
	if d.Proof != "" {
		lines = append(lines, d.Proof)
	}
	if d.Fix != "" {
		fix := strings.Split(d.Fix, "\n")
		shown := fix[:min(most, len(fix))]
		if last := len(shown) - 1; len(fix) > most && strings.HasSuffix(shown[last], ":") { // it leads to what is cut off
			shown = shown[:last]
		}
		lines = append(lines, shown...)
		if len(fix) > most {
			lines = append(lines, "triage explain "+d.Code+" says all of it")
		}
	}
	r.paragraph("Warning", strings.Join(lines, "\n"))
}

// untested says what a check from here cannot see, where that may be taken for tested or for the target's fault; else "".
func (r *checkReport) untested(x *triage.Exchange) string {
	if x.Outcome != triage.ConnectTimeout && x.Outcome.Verdict() != triage.Pass {
		return ""
	}
	from := "asked from this machine"
	if r.question.tunnel != nil {
		from = "asked through " + r.question.tunnel.flag()
	}
	return from + ": security groups, ACLs and routes of the load balancer were not tested"
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
	if f.Untrusted != "" {
		attitude := "does not verify it"
		if x.Outcome == triage.TLSUntrusted {
			attitude = "refuses it"
		}
		text += fmt.Sprintf("\n%s %s: %s", r.question.spec.Name, attitude, f.Untrusted)
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

// says is what the answer itself says, behind a semicolon; "" if it says nothing that can be shown in short.
func says(x *triage.Exchange) string {
	words := diagnose.Says(x)
	if words == "" {
		return ""
	}
	return "; it says " + quoted(words)
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
