package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/triage-lb/triage/internal/dialect"
)

// TestDialectsPages: each dialect has a page of 80 columns that marks exactly what is assumed, and the same as an object.
func TestDialectsPages(t *testing.T) {
	show := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"dialects"}, args...), func(string) string { return "" }, nil, &stdout, &stderr)
		if code != 0 || stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, %s", args, code, stderr.String())
		}
		return stdout.String()
	}
	list := show()
	for _, s := range dialect.All() {
		if !strings.Contains(list, s.Title) {
			t.Errorf("%s is not in the list", s.Name)
		}
		page := show(string(s.Name))
		for line := range strings.Lines(page) {
			if utf8.RuneCountInString(line) > lineWidth+1 && !strings.HasPrefix(line, "    User-Agent: ") {
				t.Errorf("%s: wider than %d columns: %s", s.Name, lineWidth, line)
			}
		}
		if marked := strings.Count(page, " ? "); marked != len(s.Assumed()) {
			t.Errorf("%s: %d facts are marked, %d are assumed", s.Name, marked, len(s.Assumed()))
		}
		var object dialectsJSON
		if err := json.Unmarshal([]byte(show("--json", string(s.Name))), &object); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.OverHTTP2() {
			for _, h := range s.AppendFields(nil, dialect.ExampleOver(p)) {
				if !strings.Contains(page, "\n    "+h.Name+": "+h.Value+"\n") {
					t.Errorf("%s over %s: %s is not on the page", s.Name, p, h.Name)
				}
			}
		}
		if len(object.Dialects) == 1 && len(object.Dialects[0].HTTP2) != len(s.OverHTTP2()) {
			t.Errorf("%s over HTTP/2 as an object: %+v", s.Name, object.Dialects[0].HTTP2)
		}
		if len(object.Dialects) != 1 || object.Dialects[0].Name != s.Name || len(object.Dialects[0].Facts) != len(s.Facts) {
			t.Errorf("%s as an object: %+v", s.Name, object)
		}
	}
}
