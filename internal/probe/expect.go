package probe

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/expression"
	"github.com/triage-lb/triage/internal/http1"
)

// expectation is what a plan wants of an answer beyond its code. nil wants nothing.
type expectation struct {
	name    string // of the header field; "" wants none
	value   []byte
	exact   bool // the value matters too
	text    []byte
	regex   *regexp.Regexp
	within  int
	program *expression.Program
	broken  error // why regex or program are missing though they were asked for: then nothing passes
}

// newExpectation makes the expectation of settings. What is not valid in them should have been found long before.
func newExpectation(e triage.Expect) *expectation {
	if e == (triage.Expect{}) {
		return nil
	}
	want := &expectation{text: []byte(e.Body), within: cmp.Or(e.Within, triage.DefaultWithin)}
	if !e.Content() {
		want.within = 0
	}
	name, value, exact := strings.Cut(e.Header, ":")
	want.name, want.value, want.exact = strings.TrimSpace(name), []byte(strings.TrimSpace(value)), exact
	if e.BodyRegex != "" {
		want.regex, want.broken = regexp.Compile(e.BodyRegex)
	}
	if e.Expression != "" {
		program, err := expression.Compile(e.Expression)
		want.program, want.broken = program, cmp.Or(want.broken, err)
	}
	return want
}

// reads is how many bytes of content have to be read for it.
func (e *expectation) reads() int {
	if e == nil {
		return 0
	}
	return e.within
}

// wantsTLS reports whether it looks at what the handshake has shown.
func (e *expectation) wantsTLS() bool { return e != nil && e.program != nil && e.program.Uses().TLS }

// judge gives the verdict of an answer whose code passes.
func (e *expectation) judge(a *answer, x *triage.Exchange, now time.Time) (triage.Outcome, string) {
	content := a.kept[:min(len(a.kept), e.within)]
	switch {
	case e.broken != nil:
		return triage.ExpressionFailed, e.broken.Error()
	case e.name != "" && !e.hasField(a.fields):
		return triage.HeaderMismatch, e.missing(a.fields)
	case len(e.text) > 0 && !bytes.Contains(content, e.text):
		return triage.BodyMismatch, fmt.Sprintf("%q is not in %s", e.text, e.extent(a))
	case e.regex != nil && !e.regex.Match(content):
		return triage.BodyMismatch, fmt.Sprintf("nothing matches %s in %s", e.regex, e.extent(a))
	case e.program == nil:
		return triage.Matched, ""
	}
	answer := expression.Answer{Status: a.code(), Body: content, Latency: now.Sub(x.Started), TLS: x.TLS, Now: now}
	if e.program.Uses().Header {
		answer.Header = headerMap(a.fields)
	}
	switch holds, err := e.program.Eval(answer); {
	case expression.IsTooSlow(err):
		return triage.CheckerLate, err.Error()
	case err != nil:
		return triage.ExpressionFailed, err.Error()
	case !holds:
		return triage.ExpressionFalse, ""
	}
	return triage.Matched, ""
}

func (e *expectation) hasField(fields []http1.Field) bool {
	for _, f := range fields {
		if strings.EqualFold(string(f.Name), e.name) && (!e.exact || bytes.Equal(f.Value, e.value)) {
			return true
		}
	}
	return false
}

// missing says what there is instead of the field that is expected.
func (e *expectation) missing(fields []http1.Field) string {
	if value, ok := http1.Get(fields, e.name); ok {
		return fmt.Sprintf("%s is %s, not %q", e.name, quoteText(string(value)), e.value)
	}
	return "there is no " + e.name
}

// extent is what of the content was looked at, in words.
func (e *expectation) extent(a *answer) string {
	if a.size > int64(e.within) {
		return fmt.Sprintf("the first %d bytes of the content", e.within)
	}
	if a.size == 0 {
		return "the content, which is empty"
	}
	return fmt.Sprintf("the content (%d bytes)", a.size)
}

// headerMap is a head's fields by their names in lower case. Fields of one name are one list (RFC 9110 section 5.3).
func headerMap(fields []http1.Field) map[string]string {
	m := make(map[string]string, len(fields))
	for _, f := range fields {
		name, value := strings.ToLower(string(f.Name)), string(f.Value)
		if before, twice := m[name]; twice {
			value = before + ", " + value
		}
		m[name] = value
	}
	return m
}
