package triage_test

import (
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// TestExpect: what can never hold, or cannot be read, is said at its key.
func TestExpect(t *testing.T) {
	const long = 4097
	for _, tt := range []struct {
		name   string
		expect triage.Expect
		key    string // of the only problem; "" is none
		says   string
	}{
		{"nothing", triage.Expect{}, "", ""},
		{"a field", triage.Expect{Header: "X-Ready"}, "", ""},
		{"a field without value", triage.Expect{Header: "X-Ready:"}, "", ""},
		{"a value with a colon", triage.Expect{Header: "Link: <https://x/>; rel=a"}, "", ""},
		{"all of it", triage.Expect{Header: "a: b", Body: "ok", BodyRegex: `^\d+$`, Within: triage.MaxWithin, Expression: "status == 200"}, "", ""},
		{"within, for CEL", triage.Expect{Expression: "true", Within: 1}, "", ""},
		{"a space in the name", triage.Expect{Header: "X Ready"}, "expect_header", `"X Ready" holds ' '`},
		{"no name", triage.Expect{Header: ": x"}, "expect_header", "has no name"},
		{"a line end", triage.Expect{Header: "X: a\r\nY: b"}, "expect_header", `the value of X holds '\r'`},
		{"a byte that is no text", triage.Expect{Header: "X: a\xff"}, "expect_header", "the value of X holds"},
		{"backreference", triage.Expect{BodyRegex: `(a)\1`}, "expect_body_regex", `invalid escape sequence`},
		{"repeated too often", triage.Expect{BodyRegex: `((a{100}){100}){100}`}, "expect_body_regex", "invalid repeat count"},
		{"long", triage.Expect{BodyRegex: strings.Repeat("a", long)}, "expect_body_regex", "is longer than 4096 bytes"},
		{"long text", triage.Expect{Body: strings.Repeat("a", long)}, "expect_body", "is longer than 4096 bytes"},
		{"too much", triage.Expect{Body: "ok", Within: triage.MaxWithin + 1}, "expect_body_within", "is outside 1-262144"},
		{"too little", triage.Expect{Body: "ok", Within: -1}, "expect_body_within", "is outside 1-262144"},
		{"for nothing", triage.Expect{Header: "X", Within: 5}, "expect_body_within", "where no content is expected"},
		{"shorter than the text", triage.Expect{Body: "needle", Within: 5}, "expect_body_within", "nothing could ever pass"},
	} {
		ps := tt.expect.Validate()
		switch {
		case tt.key == "" && len(ps) > 0, len(ps) > 1:
			t.Errorf("%s: %v", tt.name, ps)
		case tt.key != "" && (len(ps) == 0 || ps[0].Path != tt.key || !strings.Contains(ps[0].Message, tt.says)):
			t.Errorf("%s: %v, want %s: … %s", tt.name, ps, tt.key, tt.says)
		}
	}
}
