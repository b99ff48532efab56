package expression_test

import (
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/expression"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const health = `{
  "status": "UP", "ready": true, "word": "yes", "nothing": null,
  "whole": 3, "fraction": 3.0, "exponent": 3e0, "minus": -1, "half": 0.5,
  "biggest": 18446744073709551615, "huge": 123456789012345678901234567890, "infinite": 1e400,
  "list": [1, 2, 3], "roles": ["web", "api"], "a": {"a": {"b": 1}}, "when": "2026-01-02T03:04:05Z",
  "checks": [{"name": "db", "state": "passing", "parts": [{"ok": true}]}, {"name": "disk", "state": "warning", "parts": []}]
}`

// answers are what the expressions of the table judge.
var answers = map[string]expression.Answer{
	"health": {
		Status: 200, Latency: 20 * time.Millisecond, Body: []byte(health), Now: now,
		Header: map[string]string{"content-type": "application/json", "x-ready": "yes, no"},
		TLS: &triage.TLSFacts{
			Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", ALPN: "h2", Subject: "CN=a.example", Issuer: "CN=ca",
			Names: []string{"a.example", "b.example"}, NotAfter: now.Add(36 * time.Hour), Untrusted: "signed by nobody known",
		},
	},
	"expired":   {Status: 200, Now: now, TLS: &triage.TLSFacts{NotAfter: now.Add(-time.Hour)}},
	"nothing":   {},
	"html":      {Status: 503, Body: []byte("<html><body>starting, please, wait,")},
	"cut":       {Status: 200, Body: []byte(`{"status": "UP", "checks": [`)},
	"two":       {Status: 200, Body: []byte("{}\n{}")},
	"null":      {Status: 200, Body: []byte(" null\n")},
	"a list":    {Status: 200, Body: []byte(`[true, false]`)},
	"binary":    {Status: 200, Body: []byte("ok \xff\xfe.")},
	"true only": {Status: 200, Body: []byte("true")},
}

func TestEval(t *testing.T) {
	const yes, no = "true", "false"
	for _, c := range []struct{ answer, expression, want string }{
		{"health", `status == 200`, yes},
		{"health", `status in [200, 204]`, yes},
		{"health", `status in [500, json.whole]`, no},
		{"health", `status >= 200 && status < 300 && latency < duration("50ms")`, yes},
		{"health", `latency > duration("50ms")`, no},

		{"health", `header["content-type"].startsWith("application/json")`, yes},
		{"health", `"x-ready" in header && "no" in header["x-ready"].split(", ")`, yes},
		{"health", `header["x-other"] == ""`, `the answer has no header "x-other"`},
		{"health", `header[?"x-other"].orValue("none") == "none" && header.?etag.orValue("") == ""`, yes},
		{"health", `header.exists(name, header[name].contains("yes"))`, yes},
		{"health", `header.all(name, name == name.lowerAscii())`, yes},
		{"nothing", `header.size() == 0 && body == ""`, yes},

		{"health", `body.contains("\"UP\"") && !body.contains("DOWN")`, yes},
		{"health", `body.matches(r'"status":\s*"(UP|OK)"')`, yes},
		{"health", `matches(body, "^UP")`, no},
		{"health", `json.whole.matches("3")`, `json.whole.matches("3"): the values have types that do not go together here`},
		{"health", `body.lowerAscii().contains("up") && body.size() > 10`, yes},
		{"binary", `body == "ok \uFFFD."`, yes},

		{"health", `json.status == "UP" && json.ready`, yes},
		{"health", `json.ready`, yes},
		{"true only", `json`, yes},
		{"health", `json.word`, `the expression gives the string "yes" for this answer, not true or false`},
		{"health", `json.whole`, `the expression gives the int 3 for this answer, not true or false`},
		{"health", `json.half`, `the expression gives the double 0.5 for this answer, not true or false`},
		{"health", `json.nothing`, `the expression gives null for this answer, not true or false`},
		{"health", `json.list`, `the expression gives a list for this answer, not true or false`},
		{"health", `json.healthy`, `json has no key "healthy"`},
		{"health", `json.a.a.c == 1`, `json.a.a has no key "c"`},
		{"health", `json["a"].c == 1`, `json["a"] has no key "c"`},
		{"health", `json.checks.all(c, c.latency < 3)`, `c has no key "latency"`},
		{"health", `json.?healthy.orValue(true) && json.?a.?b.?c.orValue(1) == 1`, yes},
		{"health", `has(json.ready) && !has(json.healthy) && "ready" in json`, yes},
		{"health", `json.nothing == null && json.status != null`, yes},

		{"health", `json.whole == 3 && json.whole == 3.0 && json.fraction == 3 && json.exponent == 3 && json.whole == json.fraction`, yes},
		{"health", `json.whole < 3.5 && json.fraction <= 3 && json.minus < 0u`, yes},
		{"health", `json.whole + 1 == 4 && json.whole % 2 == 1 && json.list[json.fraction - 1.0] == 3`, yes},
		{"health", `json.fraction + 1 == 4`, `json.fraction + 1: the values have types that do not go together here`},
		{"health", `json.biggest == 18446744073709551615u && json.biggest > json.whole && json.huge > 1e29 && json.huge > 5 && json.infinite > json.huge`, yes},
		{"health", `json.whole / 0 == 1`, `json.whole / 0: division by zero`},
		{"health", `json.biggest + 1u > 0u`, `json.biggest + 1u: unsigned integer overflow`},
		{"health", `int(json.word) == 1`, `int(json.word): a string cannot be made an int`},
		{"health", `json.whole > "2"`, `json.whole > "2": the values have types that do not go together here`},
		{"health", `!json.word`, `!json.word: the values have types that do not go together here`},

		{"health", `json.list == [1, 2.0, 3] && json.list != [1, 2] && json.a == {"a": {"b": 1.0}} && json.a != {"a": {"c": 1}}`, yes},
		{"health", `json.list == {} || json.a == [] || json.list == "x" || json.?x == json.?y && json.?a == json.?y`, no},
		{"health", `json.?a == json.?a && json.?x == json.?y`, yes},
		{"health", `"api" in json.roles && !("db" in json.roles) && 2.0 in json.list`, yes},
		{"health", `1 in json.word`, `1 in json.word: the values have types that do not go together here`},
		{"health", `[1] in json || {} in json || null in json || b"a" in json || dyn(b"a") in {1: 2} || dyn(1.5) in {1: 2}`, no},
		{"health", `{1: 2}[dyn(bytes(json.word))] == 1`, `{1: 2}[dyn(bytes(json.word))]: what is looked up in a map cannot be a key of one`},
		{"health", `json.list[7] == 1`, `json.list[7]: there is no element 7 in the list`},
		{"health", `json.list.first == 1`, `json.list.first: a list has elements with numbers, no keys`},
		{"health", `json.checks.all(c, c.state in ["passing", "warning"])`, yes},
		{"health", `json.checks.exists(c, c.name == "db" && c.parts.all(p, p.ok))`, yes},
		{"health", `json.checks.filter(c, c.state != "passing").size() == 1`, yes},
		{"health", `json.checks.map(c, c.name) == ["db", "disk"]`, yes},
		{"health", `json.ready.all(x, x)`, `all, exists, filter and map go through a list or a map, and here is a bool`},
		{"health", `timestamp(json.when).getFullYear() == 2026 && timestamp(json.when).getHours("+02:00") == 5`, yes},
		{"health", `timestamp(json.word) < timestamp(json.when)`, `timestamp(json.word): invalid RFC 3339 timestamp "yes"`},

		// One side of || and && that decides alone makes up for the other's error.
		{"html", `status == 503 || json.ready`, yes},
		{"html", `json.ready || status == 503`, yes},
		{"html", `json.ready && status == 200`, no},
		{"html", `json.ready`, `the body is not JSON: it begins with "<html><body>starting, please, wait,"`},
		{"nothing", `json.ready`, `the body is not JSON: it is empty`},
		{"cut", `json.status == "UP"`, `the body is not JSON: it stops in the middle, after the 28 bytes that were read; it begins with "{\"status\": \"UP\", \"checks\": ["`},
		{"two", `json.ready`, `the body is not JSON: more comes after its end, at byte 4; it begins with "{}\n{}"`},
		{"binary", `json.ready`, `the body is not JSON: it begins with "ok \xff\xfe."`},
		{"null", `json == null`, yes},
		{"null", `json.ready`, `json has no key "ready"`},
		{"a list", `json[0] && !json[1]`, yes},

		{"health", `tls.version == "TLS 1.3" && tls.cipher.startsWith("TLS_AES") && tls.alpn == "h2" && tls.issuer == "CN=ca" && tls.subject == "CN=a.example"`, yes},
		{"health", `"b.example" in tls.names && tls.names.exists(n, n.endsWith(".example"))`, yes},
		{"health", `tls.days_left == 1 && tls.not_after > timestamp("2026-03-02T00:00:00Z")`, yes},
		{"health", `tls.untrusted == ""`, no},
		{"expired", `tls.days_left == -1`, yes},
		{"nothing", `tls.days_left > 14`, `the check has no TLS`},
		{"nothing", `tls.alpn == "h2" || status == 0`, yes},
	} {
		p, err := expression.Compile(c.expression)
		if err != nil {
			t.Errorf("%s\n\tcompile: %v", c.expression, err)
			continue
		}
		answer, known := answers[c.answer]
		if !known {
			t.Fatalf("no answer %q", c.answer)
		}
		got := no
		verdict, err := p.Eval(answer)
		switch {
		case err != nil && verdict:
			t.Errorf("%s\n\ttrue, and an error: %v", c.expression, err)
		case err != nil:
			got = err.Error()
		case verdict:
			got = yes
		}
		if got != c.want {
			t.Errorf("%s, for %s\n\tgot  %s\n\twant %s", c.expression, c.answer, got, c.want)
		}
	}
}

func TestUses(t *testing.T) {
	type uses = expression.Uses
	for source, want := range map[string]uses{
		`status == 200 && latency < duration("1s")`: {},
		`"a" in header`:                      {Header: true},
		`body != ""`:                         {Body: true},
		`json.list.exists(x, x == header.a)`: {JSON: true, Header: true},
		`status == 200 ? tls.alpn == "h2" : [body] == ["x"]`: {TLS: true, Body: true},
		`{"a": json}.a.?b.orValue(tls.days_left > 3)`:        {JSON: true, TLS: true},
	} {
		p, err := expression.Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Uses(); got != want {
			t.Errorf("%s uses %+v, want %+v", source, got, want)
		}
		if p.String() != source {
			t.Errorf("String() = %q, want %q", p.String(), source)
		}
	}
}
