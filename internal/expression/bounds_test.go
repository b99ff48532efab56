package expression_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/expression"
)

// enough is a generous bound for the worst that an evaluation may take; what it does take is in BenchmarkWorst.
const enough = 5 * time.Second

func compile(t testing.TB, source string) *expression.Program {
	t.Helper()
	p, err := expression.Compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p
}

func TestExpressionIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"length":        {"status == 200 || " + strings.Repeat(" ", 2048) + "true", "the expression is 2069 bytes long, and 2048 is the limit"},
		"parentheses":   {strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60), "the expression is nested more than 50 deep"},
		"negations":     {strings.Repeat("!(", 60) + "true" + strings.Repeat(")", 60), "the expression is nested more than 50 deep"},
		"lists":         {strings.Repeat("[", 60) + strings.Repeat("]", 60) + " == []", "the expression is nested more than 50 deep"},
		"nodes":         {strings.Repeat("[1].all(x,[1].all(y,x==y))&&", 73) + "true", "the expression has more than 1000 parts"},
		"loops":         {`json.all(a, a.all(b, b.all(c, c)))`, "column 27: more than 2 loops (all, exists, map, filter …) are inside one another"},
		"regex":         {`body.matches("a{900}")`, "column 14: the regular expression is too big: it makes a program of 902 instructions, and 100 is the limit"},
		"regex on body": {`body.matches("[a-z]{90}")`, "the expression can cost 753666 units, and 500000 is the limit"},
		"loop of scans": {`json.all(x, body.contains(x))`, "the expression can cost "},
		"split body":    {`body.split("").all(x, x != "a")`, "the expression can cost "},
		"nested joins":  {`json.all(x, json.all(y, x.contains(y) && body.contains(y)))`, "the expression can cost "},
	} {
		_, err := expression.Compile(c.source)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s…", name, err, c.want)
		}
	}
}

// TestLongChainsAreNotDeep holds the parser to a stack that the length of the source bounds.
func TestLongChainsAreNotDeep(t *testing.T) {
	for _, source := range []string{
		"json" + strings.Repeat(".a", 1000),
		"1" + strings.Repeat("+1", 900) + " == 1",
		strings.Repeat("true&&", 300) + "true",
		strings.Repeat("true||", 300) + "true",
		strings.Repeat("!", 2000) + "true",
		strings.Repeat("-", 2000) + "1 == 1",
		"json" + strings.Repeat("[0]", 600) + " == 1",
		strings.Repeat("true?true:", 200) + "true",
	} {
		if p, err := expression.Compile(source); err == nil {
			_, _ = p.Eval(expression.Answer{Body: []byte("{}")}) // whatever it gives, it ends
		}
	}
}

// worst is an expression that is accepted and an answer that makes it expensive.
type worst struct{ name, source, body string }

func worstCases() []worst {
	numbers := "[" + strings.Repeat("1,", 19_000) + "1]"
	objects := "[" + strings.Repeat(`{"a":1},`, 6_000) + "{}]"
	deep := "[" + strings.Repeat(strings.Repeat("[", 60)+strings.Repeat("]", 60)+",", 300) + "1]"
	var keys strings.Builder
	for i := range 9_000 {
		fmt.Fprintf(&keys, `"%x":1,`, i)
	}
	names := "{" + keys.String() + `"z":1}`
	letters := strings.Repeat("a", triage.MaxWithin)
	text := `{"list":[1,2,3,4,5,6,7,8,9,10],"text":"` + strings.Repeat("a", triage.MaxWithin-100) + `"}`
	doubling := "[1]" + strings.Repeat(".map(x,[x,x])", 40)
	return []worst{
		{"loop", `json.all(x, x == 1)`, numbers},
		{"loop in a loop", `json.all(x, json.exists(y, y == 2))`, numbers},
		{"loop over keys", `json.exists(k, json[k] == 2)`, names},
		{"filter", `json.filter(x, x == 1).size() == 0`, numbers},
		{"list of wholes", `json.map(x, json).all(x, x == json)`, objects},
		{"whole in itself", `json in json.map(x, json)`, numbers},
		{"compare lists", `json == json`, numbers},
		{"compare objects", `json == json`, objects},
		{"compare names", `json == json`, names},
		{"compare depth", `json == json`, deep},
		{"compare in loops", `json.all(x, json.exists(y, json == json))`, objects},
		{"doubled lists", doubling + " == " + doubling, ""},
		{"doubled in itself", doubling + " in [" + doubling + "]", ""},
		{"doubled text", `[json.text]` + strings.Repeat(".map(x,x+x)", 4) + `.all(x, x.matches("(.*a){19}1"))`, text},
		{"regex", `body.matches("(a*)*(a*)*(a*)*b")`, letters},
		{"regex of letters", `body.matches(r"\pL{40}1")`, letters},
		{"regex of JSON", `json.list.map(x, json.text + json.text).all(x, x.matches("(.*a){19}1"))`, text},
		{"scan", `body.contains("` + strings.Repeat("a", 40) + `b")`, letters},
		{"split", `body.split("").size() == 1`, letters},
		{"split in a loop", `json.list.all(x, json.text.split("").size() > 1)`, text},
		{"join to itself", `body + body + body + body + body == ""`, letters},
		{"contains itself", `json.text.contains(json.text.substring(0, 30000) + "b")`, text},
		{"size in loops", `json.list.all(x, json.list.all(y, json.text.size() > x))`, text},
		{"quote in loops", `json.list.all(x, json.list.all(y, strings.quote(json.text) != ""))`, text},
		{"time in loops", `json.list.all(x, json.list.all(y, timestamp(json.text) == tls.not_after || true))`, text},
		{"not UTF-8", `body.contains("x")`, strings.Repeat("\xffa", triage.MaxWithin/2)},
	}
}

func TestEvaluationIsBounded(t *testing.T) {
	for _, c := range worstCases() {
		p := compile(t, c.source)
		begin := time.Now()
		_, err := p.Eval(expression.Answer{Body: []byte(c.body)})
		if took := time.Since(begin); took > enough {
			t.Errorf("%s: %v", c.name, took)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: an error of %d bytes: %.100s", c.name, len(err.Error()), err)
		}
	}
}

func TestTooExpensive(t *testing.T) {
	p := compile(t, `json.list.all(x, json.text.split("").size() > 1)`)
	text := `{"list": [1, 2, 3], "text": "` + strings.Repeat("a", 200<<10) + `"}`
	_, err := p.Eval(expression.Answer{Body: []byte(text)})
	if want := "the expression costs too much for this answer: more than 500000 units"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if yes, err := p.Eval(expression.Answer{Body: []byte(`{"list": [1, 2, 3], "text": "ab"}`)}); !yes || err != nil {
		t.Errorf("for a small answer: %t, %v", yes, err)
	}
}

// TestTooSlow needs what costs little and takes long: reading a text as a time is one unit however long it is.
func TestTooSlow(t *testing.T) {
	text := `{"list":[` + strings.Repeat("1,", 2000) + `1],"text":"` + strings.Repeat("a", 200<<10) + `"}`
	p := compile(t, `json.list.all(x, json.list.all(y, timestamp(json.text) == tls.not_after || true))`)
	_, err := p.Eval(expression.Answer{Body: []byte(text), TLS: &triage.TLSFacts{}})
	if want := "the expression takes too long for this answer: more than 250ms"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestJSONIsBounded(t *testing.T) {
	p := compile(t, `json.size() > 0`)
	for name, c := range map[string]struct{ body, want string }{
		"depth":         {strings.Repeat("[", 100_000), "the body's JSON is nested more than 64 deep"},
		"depth in dict": {strings.Repeat(`{"a":`, 65), "the body's JSON is nested more than 64 deep"},
		"values":        {strings.Repeat("[],", 100_000), "the body's JSON has more than 20000 values"},
		"values of one": {"{" + strings.Repeat(`"":1,`, 30_000), "the body's JSON has more than 20000 values"},
		"in a text":     {`"` + strings.Repeat(`[\"`, 100_000), `the body is not JSON: it stops in the middle, after the 262144 bytes that were read; it begins with "\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\"[\\\""…`},
		"beyond Within": {"[1]" + strings.Repeat(" ", triage.MaxWithin) + "x", ""},
	} {
		_, err := p.Eval(expression.Answer{Body: []byte(c.body)})
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if yes, err := p.Eval(expression.Answer{Body: []byte(strings.Repeat("[", 64) + strings.Repeat("]", 64))}); !yes || err != nil {
		t.Errorf("64 deep: %t, %v", yes, err)
	}
}

// TestGoroutines is for the race detector: programs share an environment, and cel-go shares some of its errors between
// programs, into which || would write.
func TestGoroutines(t *testing.T) {
	sources := []string{
		`json.ready && status == 200`,
		`json.word.getHours() == 1 || json.missing`,
		`json.list.all(x, x > 0) && "1" in json.list || json.missing`,
		`int(json.big) == 1 || timestamp(json.big) == timestamp(json.word) || json.missing`,
		`json.word.size() > 0 && body.matches("rea.y") || json.missing`,
		`duration(json.word) > latency || json.missing`,
		`tls.days_left > 1 || json.missing`,
		`json == json && json.list == [1, 2]`,
	}
	answer := expression.Answer{Status: 200, Body: []byte(`{"ready": true, "word": "x", "list": [1, 2], "big": 1e300}`)}
	var shared []*expression.Program
	var want []string
	for _, s := range sources {
		p := compile(t, s)
		yes, err := p.Eval(answer)
		shared, want = append(shared, p), append(want, fmt.Sprint(yes, err))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 40 {
				n := (g + i) % len(sources)
				p := shared[n]
				if i%8 == 0 {
					p = compile(t, sources[n])
				}
				if yes, err := p.Eval(answer); fmt.Sprint(yes, err) != want[n] {
					t.Errorf("%s: %t, %v, want %s", sources[n], yes, err, want[n])
				}
			}
		})
	}
	wg.Wait()
}

func TestDaysLeftDoesNotOverflow(t *testing.T) {
	p := compile(t, `tls.days_left > 0`)
	far := time.Unix(math.MaxInt32*1000, 0)
	if yes, err := p.Eval(expression.Answer{TLS: &triage.TLSFacts{NotAfter: far}, Now: time.Unix(0, 0)}); !yes || err != nil {
		t.Errorf("%t, %v", yes, err)
	}
}

func BenchmarkWorst(b *testing.B) {
	for _, c := range worstCases() {
		p := compile(b, c.source)
		answer := expression.Answer{Body: []byte(c.body)}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Eval(answer)
			}
		})
	}
}

func BenchmarkEval(b *testing.B) {
	for _, source := range []string{
		`status == 200`,
		`status == 200 && json.status == "UP" && json.ready`,
		`json.checks.all(c, c.state in ["passing", "warning"])`,
		`body.matches("\"status\":\\s*\"(UP|OK)\"")`,
	} {
		p := compile(b, source)
		b.Run(source, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.Eval(answers["health"])
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = expression.Compile(`status == 200 && json.status == "UP" && json.ready`)
	}
}
