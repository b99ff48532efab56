package diagnose

import (
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
)

var bodyEntries = []*Entry{
	{
		Code:    "body-never-ends",
		Title:   "the head comes in time, the content does not",
		Stage:   StageBody,
		Seen:    "a success code, and then content that is not complete within the check's timeout",
		Cause:   "the target answers, and its content is not complete within the check's timeout: it is too large, too slow, or a stream that never ends",
		Decides: "how long the same request takes with --timeout 60s",
		Fixes:   []Fix{{"", "let the check ask for a page of its own: a few bytes, made without\nasking anybody else"}},
		Wrong:   Wrong{"a longer timeout", "a target that hangs stays in rotation that much longer"},
		Sources: []string{"kubernetes.io: probes", "Node 20 with content that comes late, tried"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.BodyTimeout {
				return no
			}
			return certainly(append(c.withFields(c.statusLine(), "Content-Type", "Content-Length"), c.evidence()...)...)
		},
		tell: func(c *kase) (cause, fix string) {
			const fixed = "let the check ask for a page of its own: a few bytes, made without\nasking anybody else"
			if c.kind() == "text/event-stream" {
				return c.fill("{path} is a stream of events, which never ends, and a check waits for the end"), fixed
			}
			return fmt.Sprintf("the target answers, and after %d bytes its content is not complete within the check's timeout", c.x.BodySize), fixed
		},
	},
	{
		Code:    "body-mismatch",
		Title:   "the content is not what the check expects",
		Stage:   StageBody,
		Seen:    "a success code, and content that lacks the expected text, with the public host name too",
		Cause:   "the page answers, and its content is another than the check expects",
		Decides: "the same request with the public host name; triage check -v, which shows the content",
		Fixes:   mismatchFixes[:],
		Wrong:   Wrong{"expecting no text at all", "an error page with code 200, or another site, passes"},
		Sources: []string{"HAProxy 2.6.12 (http-check expect string), tried", "Azure: Received response body doesn't contain"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.BodyMismatch {
				return no
			}
			evidence := append([]string{c.statusLine()}, c.evidence()...)
			if encoding, ok := c.compressed(); ok {
				return certainly(append(evidence, "the content is compressed ("+encoding+")")...)
			}
			return maybe(evidence...)
		},
		prove: sameByPublicName,
		tell: func(c *kase) (cause, fix string) {
			if encoding, ok := c.compressed(); ok {
				return "the content is compressed (" + encoding + "), and the check looks for its text in the compressed bytes",
					c.fill("do not compress {path}: a text of some bytes gains nothing by it,\nand a check does not decompress")
			}
			switch {
			case len(c.x.Body) == 0:
				cause = "the answer has no content, and the check expects a text"
			case c.kind() == "text/html":
				cause = "the page answers with HTML that lacks the text which the check expects"
			default:
				cause = "the page answers, and its content is another than the check expects"
			}
			return cause, c.cure(mismatchFixes[:])
		},
	},
	{
		Code:    "header-mismatch",
		Title:   "the answer lacks the header field that the check expects",
		Stage:   StageBody,
		Seen:    "a success code, and not the field that the check wants, with the public host name too",
		Cause:   "the page answers, and not with the header field that the check expects",
		Decides: "the same request with the public host name; triage check -v, which shows the head",
		Fixes:   []Fix{{"", "send the field with every answer of {path}, or expect another one;\na proxy in front may take fields away or change them"}},
		Sources: []string{"triage's own expect_header"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.HeaderMismatch {
				return no
			}
			return maybe(append([]string{c.statusLine()}, c.evidence()...)...)
		},
		prove: sameByPublicName,
	},
	{
		Code:    "expression-false",
		Title:   "the check's own expression is false for this answer",
		Stage:   StageBody,
		Seen:    "a success code, and an expression over the answer that is false, with the public host name too",
		Cause:   "the page answers, and what it says makes the check's expression false",
		Decides: "the same request with the public host name; triage check -v, which shows the answer",
		Fixes:   []Fix{{"", "see what the answer says, part by part of the expression:\n    triage check -v\nit may be right: then look into the application"}},
		Sources: []string{"triage's own expect"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ExpressionFalse {
				return no
			}
			return maybe(append([]string{c.statusLine()}, c.evidence()...)...)
		},
		prove: sameByPublicName,
	},
	{
		Code:    "expression-fails",
		Title:   "the check's expression cannot be worked out",
		Stage:   StageBody,
		Seen:    "a success code, and an expression that asks for what the answer has not, or for JSON where there is none",
		Cause:   "the check's expression asks for something that this answer does not have",
		Decides: "triage check -v, which shows the answer",
		Fixes:   []Fix{{"", "ask first whether it is there:\n    has(json.db) && json.db == 'up'\nand see that {path} answers in JSON if the expression reads json"}},
		Sources: []string{"triage's own expect"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ExpressionFailed {
				return no
			}
			return certainly(append(c.withFields(c.statusLine(), "Content-Type"), c.evidence()...)...)
		},
		tell: func(c *kase) (cause, fix string) {
			const fixed = "ask first whether it is there:\n    has(json.db) && json.db == 'up'\nand see that the page answers in JSON if the expression reads json"
			if c.x.Detail == "" {
				return "the check's expression asks for something that this answer does not have", fixed
			}
			return "the check's expression cannot be worked out for this answer: " + c.x.Detail, fixed
		},
	},
}

var mismatchFixes = [...]Fix{
	{"", "expect a short token that does not change (no whole sentence, no\nwhite space, no order of JSON keys); triage check -v shows what came"},
	{"HAProxy", "http-check expect string TOKEN   (or rstring for an expression)"},
}

// compressed reports whether the content is compressed, and how: by its field, or by the first bytes of gzip (RFC 1952).
func (c *kase) compressed() (encoding string, ok bool) {
	switch encoding := strings.ToLower(c.header("Content-Encoding")); {
	case encoding != "" && encoding != "identity":
		return encoding, true
	case strings.HasPrefix(string(c.x.Body), "\x1f\x8b\x08"):
		return "gzip", true
	}
	return "", false
}

// sameByPublicName proves that it is the page itself, and not another site in its place, that fails an expectation.
func sameByPublicName(in *inquiry) finding {
	named, text := in.byName()
	switch {
	case named == nil || text == "":
		return undecided("")
	case named.passes():
		return disproof(text)
	case named.x.Outcome == in.x.Outcome:
		return proof(text)
	}
	return undecided("")
}
