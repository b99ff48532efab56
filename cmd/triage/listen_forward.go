package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// listenAnswerLines is how many lines of an application's answer are shown.
const listenAnswerLines = 24

// forward is where checks are passed on to, by the options.
func (c *listenCommand) forward() (capture.Forward, error) {
	const hint = "write --forward 127.0.0.1:8000"
	if c.Forward == "" {
		if c.Path != "" || c.AllowRemote {
			return capture.Forward{}, usagef(hint, "--path and --allow-remote need --forward")
		}
		return capture.Forward{}, nil
	}
	host, port, err := net.SplitHostPort(c.Forward)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil {
		return capture.Forward{}, usagef(hint, "--forward %q is not an address and a port", c.Forward)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return capture.Forward{}, usagef(hint, "--forward %q: %q is no address", c.Forward, host)
	}
	return capture.Forward{To: netip.AddrPortFrom(addr.Unmap(), uint16(number)), Path: c.Path, Remote: c.AllowRemote}, nil
}

// exposed warns of what others can reach through us.
func exposed(f capture.Forward, at string) string {
	what := "what any health check asks for"
	if f.Path != "" {
		what += ", and " + shorten(f.Path, listenNameWidth)
	}
	where := f.To.String()
	if !f.To.Addr().IsLoopback() {
		where += ", which is another machine,"
	}
	return fmt.Sprintf("whoever reaches %s can read (GET and HEAD) from %s %s: anybody can imitate a health check, and ask for any path", at, where, what)
}

// forwarded prints what the application answered, and what the sender makes of it.
func (r *listenReport) forwarded(record *capture.Record) {
	f := record.Forwarded
	if f == nil {
		return
	}
	answered := "no answer"
	if f.Status != 0 {
		answered = fmt.Sprintf("answered %d", f.Status)
	} else if len(f.Answer) > 0 {
		answered = "answered with what is no HTTP"
	}
	r.paragraph("Forwarded", fmt.Sprintf("to %s, unchanged; %s in %s", f.To, answered, milliseconds(f.Took)))
	r.answer(f)
	told := map[string]bool{} // what several load balancers may be told alike
	for i := range f.Judged {
		r.judgement(&f.Judged[i], record.Sender == nil || len(record.Sender.Dialects) == 0, told)
	}
}

// answer prints an application's answer, line by line.
func (r *listenReport) answer(f *capture.Forwarded) {
	rest := f.Answer
	for shown := 0; len(rest) > 0 && shown < listenAnswerLines; shown++ {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		r.line(rest[:end], nil)
		rest = rest[end:]
	}
	more := ""
	switch {
	case len(rest) > 0:
		more = fmt.Sprintf("… %s more bytes", grouped(int64(len(rest))))
	case len(f.Answer) == capture.MaxAnswer && !f.Whole:
		more = "… it goes on"
	}
	if more != "" {
		r.out.printf("%*s%s\n", listenIndent, "", r.out.dim(more))
	}
	if len(f.Answer) == capture.MaxAnswer && !f.Whole {
		r.paragraph("Cut", fmt.Sprintf("the answer is larger than %s bytes: the sender was sent no more than that", grouped(capture.MaxAnswer)))
	}
}

// judgement prints what one load balancer makes of the answer, and why.
func (r *listenReport) judgement(j *capture.Judgement, unknown bool, told map[string]bool) {
	verdict := j.Outcome.Verdict()
	word := fmt.Sprintf("%-*s", labelWidth, verdictWords[verdict])
	switch verdict {
	case triage.Pass:
		word = r.out.green(word)
	case triage.Fail:
		word = r.out.red(word)
	}
	as := "to " + string(j.Dialect) + ", by its default settings"
	if unknown {
		as = "to triage's own check; what this sender accepts is not known"
	}
	if j.Follows != "" {
		r.out.printf("%s%s\n", word, as)
		r.paragraph("Follows", "it follows the redirect to "+shorten(j.Follows, listenNameWidth)+", and judges what is answered there")
		return
	}
	r.out.printf("%s%s: %s\n", word, as, r.out.safe(shorten(briefResult(j.Exchange), lineWidth)))
	explain := &checkReport{out: r.out, question: &question{spec: dialect.Get(j.Dialect)}}
	if !unknown {
		explain.vendorWords(j.Exchange)
	}
	if verdict != triage.Fail { // a diagnosis says it better
		r.paragraph("Detail", j.Detail)
	}
	d := j.Diagnosis
	if d == nil || told[d.Code] {
		return
	}
	told[d.Code] = true
	if d.Code == diagnose.Undiagnosed {
		explain.unexplained(j.Exchange, d)
		return
	}
	explain.diagnosis(d)
}

// acceptable prints what the sender accepts, once for each.
func (r *listenReport) acceptable(record *capture.Record) {
	if r.brief || len(record.Accepts) == 0 || record.Sender == nil || r.known[record.Sender.Title] {
		return
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	r.known[record.Sender.Title] = true
	var lines []string
	for _, sentence := range record.Accepts {
		lines = append(lines, wrap(sentence, lineWidth-labelWidth, "  "))
	}
	r.out.label("Accepts", strings.Join(lines, "\n"))
}
