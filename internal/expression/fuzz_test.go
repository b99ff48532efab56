package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/expression"
)

// FuzzEval looks for a panic, for an evaluation that does not end, and for a sentence that is none.
func FuzzEval(f *testing.F) {
	for _, source := range []string{
		`status == 200 && json.status == "UP"`,
		`json.checks.all(c, c.state != "critical")`,
		`header["x-ready"] == "yes" || body.matches("(?i)\\bready\\b")`,
		`json.?replicas.orValue(0) >= 2 && latency < duration("300ms")`,
		`tls.days_left > 14 && "a" in tls.names`,
		`json.map(x, [x, x]).map(x, [x, x]) == json.filter(x, x in json)`,
		`json.all(k, json[k] == json)`,
		`body.split(",").map(x, x + x).size() > 2`,
		`{"a": json}.a[?0].hasValue() || -json.a < 1u`,
		`status ==`,
	} {
		f.Add(source, []byte(health))
		f.Add(source, []byte(`[1, [2, {"a": 1e999}], "\ud800", -0]`))
		f.Add(source, []byte("\xff<html>"))
	}
	f.Fuzz(func(t *testing.T, source string, body []byte) {
		begin := time.Now()
		p, err := expression.Compile(source)
		if err != nil {
			sentence(t, err)
			return
		}
		for _, facts := range []*triage.TLSFacts{nil, {Names: []string{"a"}, NotAfter: now}} {
			yes, err := p.Eval(expression.Answer{Status: 200, Body: body, Header: map[string]string{"x-ready": "yes"}, TLS: facts, Now: now})
			if err != nil {
				sentence(t, err)
			}
			if yes && err != nil {
				t.Errorf("true, and an error: %v", err)
			}
		}
		if took := time.Since(begin); took > enough {
			t.Errorf("%v", took)
		}
	})
}

func sentence(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if text == "" || len(text) > 8<<10 || strings.Contains(text, "internal error") || strings.Contains(text, "panic") {
		t.Errorf("error %q", text)
	}
}
