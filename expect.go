package triage

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Expect is what a check wants of an answer beyond its status code. The zero value wants nothing more. All that is named
// must hold.
type Expect struct {
	Header     string // "Name: value": a field of that name has exactly that value; "Name": there is one. Names in any case
	Body       string // text that the content contains
	BodyRegex  string // RE2 expression that matches somewhere in the content
	Within     int    // how many bytes of content are read for this, from its beginning; 0 means DefaultWithin
	Expression string // CEL over status, header, body, json, latency and tls; it must be true
}

// How much of an answer's content an Expect looks at.
const (
	DefaultWithin = 64 << 10
	MaxWithin     = 256 << 10
)

// maxExpectation bounds each of the other texts of an Expect: one that is longer is a file by mistake, and a regular expression takes
// memory by its length.
const maxExpectation = 4 << 10

// Content reports whether the answer's content has to be read for it, whatever the dialect's own rule is.
func (e Expect) Content() bool { return e.Body != "" || e.BodyRegex != "" || e.Expression != "" }

// Validate returns what is wrong with the expectations, each problem at the name of its key in a health check. It does
// not look at the CEL expression: who works it out knows the language, and what is too much of it.
func (e Expect) Validate() Problems {
	var ps Problems
	for _, t := range [...]struct{ key, text string }{
		{"expect_header", e.Header}, {"expect_body", e.Body}, {"expect_body_regex", e.BodyRegex},
	} {
		if len(t.text) > maxExpectation {
			ps.errorf(t.key, "%s is longer than %d bytes", t.key, maxExpectation)
		}
	}
	if len(ps) > 0 {
		return ps
	}
	if e.Header != "" {
		name, value, _ := strings.Cut(e.Header, ":")
		expectedField(&ps, strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if _, err := regexp.Compile(e.BodyRegex); err != nil {
		what := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		ps.hintf("expect_body_regex", "the syntax is RE2's (github.com/google/re2/wiki/Syntax): no lookahead and no backreferences", "expect_body_regex %q: %s", e.BodyRegex, what)
	}
	switch {
	case e.Within < 0 || e.Within > MaxWithin:
		ps.hintf("expect_body_within", fmt.Sprintf("leave it away for %d", DefaultWithin), "expect_body_within %d is outside 1-%d bytes", e.Within, MaxWithin)
	case e.Within > 0 && !e.Content():
		ps = append(ps, Problem{
			Path:    "expect_body_within",
			Message: fmt.Sprintf("expect_body_within %d means nothing where no content is expected", e.Within),
			Hint:    "write expect_body, expect_body_regex or expect, or remove it",
			Warning: true,
		})
	case e.Within > 0 && e.Within < len(e.Body):
		ps.hintf("expect_body_within", fmt.Sprintf("write %d or more", len(e.Body)), "expect_body_within %d is shorter than expect_body: nothing could ever pass", e.Within)
	}
	return ps
}

// expectedField checks the parts of an expected header field (RFC 9110 section 5).
func expectedField(ps *Problems, name, value string) {
	const key, hint = "expect_header", "write Name: value, or the name alone where any value will do"
	if name == "" {
		ps.hintf(key, hint, "expect_header has no name of a header field")
	}
	for _, c := range name {
		if !isWord(c, "!#$%&'*+-.^_`|~") {
			ps.hintf(key, hint, "expect_header: %q holds %q, which no name of a header field has", name, c)
			return
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f || c == utf8.RuneError {
			ps.hintf(key, hint, "expect_header: the value of %s holds %q, which no header field has", name, c)
			return
		}
	}
}

// keys are the names of what is expected, as they stand in a health check.
func (e Expect) keys() []string {
	var keys []string
	for _, k := range [...]struct {
		key string
		set bool
	}{
		{"expect_header", e.Header != ""}, {"expect_body", e.Body != ""}, {"expect_body_regex", e.BodyRegex != ""}, {"expect", e.Expression != ""},
	} {
		if k.set {
			keys = append(keys, k.key)
		}
	}
	return keys
}
