package expression_test

import (
	"fmt"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/expression"
)

func Example() {
	p, err := expression.Compile(`status == 200 && json.status == "UP"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Eval(expression.Answer{Status: 200, Body: []byte(`{"status": "UP"}`)}))
	fmt.Println(p.Eval(expression.Answer{Status: 200, Body: []byte(`{"status": "DOWN"}`)}))
	fmt.Println(p.Eval(expression.Answer{Status: 200, Body: []byte(`<h1>It works!</h1>`)}))
	// Output:
	// true <nil>
	// false <nil>
	// false the body is not JSON: it begins with "<h1>It works!</h1>"
}

func ExampleProgram_Eval_list() {
	p, err := expression.Compile(`json.checks.all(c, c.state != "critical")`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Eval(expression.Answer{Body: []byte(`{"checks": [{"state": "passing"}, {"state": "warning"}]}`)}))
	fmt.Println(p.Eval(expression.Answer{Body: []byte(`{"checks": [{"state": "passing"}, {"output": "timeout"}]}`)}))
	// Output:
	// true <nil>
	// false c has no key "state"
}

func ExampleProgram_Eval_text() {
	p, err := expression.Compile(`header["x-ready"] == "yes" || body.matches("(?i)\\bready\\b")`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Eval(expression.Answer{Body: []byte("I am Ready.")}))
	fmt.Println(p.Eval(expression.Answer{Body: []byte("already"), Header: map[string]string{"x-ready": "no"}}))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleProgram_Eval_optional() {
	p, err := expression.Compile(`json.?replicas.orValue(0) >= 2 && latency < duration("300ms")`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Eval(expression.Answer{Body: []byte(`{"replicas": 2.0}`), Latency: 12 * time.Millisecond}))
	fmt.Println(p.Eval(expression.Answer{Body: []byte(`{}`), Latency: 12 * time.Millisecond}))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleProgram_Eval_tls() {
	p, err := expression.Compile(`tls.days_left > 14 && tls.untrusted == ""`)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	fmt.Println(p.Eval(expression.Answer{Now: now, TLS: &triage.TLSFacts{NotAfter: now.AddDate(0, 2, 0)}}))
	fmt.Println(p.Eval(expression.Answer{Now: now}))
	// Output:
	// true <nil>
	// false the check has no TLS
}

func ExampleCompile_error() {
	_, err := expression.Compile(`stauts == 200`)
	fmt.Println(err)
	_, err = expression.Compile(`tls.days_left`)
	fmt.Println(err)
	// Output:
	// column 1: there is no variable "stauts"; there are status, header, body, json, latency, tls; did you mean status?
	// the expression gives int, not a yes or no
}
