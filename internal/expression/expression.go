// Package expression judges an answer by an expression in CEL (https://cel.dev), for what success codes and texts in the
// body cannot say:
//
//	status == 200 && json.status == "UP"
//	json.checks.all(c, c.state != "critical")
//	header["x-ready"] == "yes" || body.matches("(?i)\\bready\\b")
//	json.?replicas.orValue(0) >= 2 && latency < duration("300ms")
//	tls.days_left > 14 && tls.untrusted == ""
//
// [Compile] makes a [Program] of the text, once, and [Program.Eval] judges an [Answer] by it. An expression sees
//
//	status   int                  the status code; for gRPC the code of the call
//	header   map(string, string)  names in lower case; several values of a name joined by ", "
//	body     string               the first bytes of the content; what is not UTF-8 in it is replaced by U+FFFD
//	json     dyn                  the body, parsed when it is used: 3 is an int, 3.0 and 3e0 are doubles, and they are equal
//	latency  duration             how long the check took
//	tls.X    what the target showed in the TLS handshake: version, cipher, alpn, subject, issuer, untrusted (strings),
//	         names (list of strings), not_after (timestamp), days_left (int, whole days, negative once it has expired)
//
// and has CEL's standard functions, its strings extension without what can multiply text by text (replace, join, format, indexOf),
// and the optional syntax (json.?ready.orValue(false)) without optMap and optFlatMap.
//
// Both the expression and the answer may come from somebody who means harm. So both are bounded: the length, depth and estimated
// cost of an expression when it is compiled, the size, depth and cost of what it does with an answer when it is worked out.
// The package does no I/O, and it does not gather answers: [Program.Uses] tells whoever does what is needed.
// Everything in it may be used from any number of goroutines at once.
package expression

import (
	"context"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Program is an expression that was compiled. It is immutable and safe for use from any goroutine.
type Program struct {
	source  string
	checked *cel.Ast
	program cel.Program
	uses    Uses
	loops   bool // it goes through a list or map, so that a deadline can stop it between two elements
}

// Uses is what an expression looks at, beyond the status and the time that it took.
type Uses struct {
	Header bool
	Body   bool // the text
	JSON   bool // the body, parsed; the body has to be read for it as for Body
	TLS    bool
}

// Compile reads an expression. The error is for the person who wrote it: it says where (the column, from 1), what is wrong there
// and, where it can, what there is instead. The expression must give a bool, or what only an answer can tell (json.ready).
func Compile(source string) (*Program, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	checked, err := check(env, source)
	if err != nil {
		return nil, err
	}
	found, err := inspect(checked)
	if err != nil {
		return nil, err
	}
	if err := affordable(env, checked); err != nil {
		return nil, err
	}
	program, err := env.Program(checked,
		cel.EvalOptions(cel.OptOptimize), // compiles regular expressions and sets once
		cel.CustomDecoratorV2(replaceCalls),
		cel.CostLimit(costLimit),
		cel.InterruptCheckFrequency(1))
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be prepared: %s", reason(err.Error()))
	}
	return &Program{source: source, checked: checked, program: program, uses: found.uses, loops: found.loops}, nil
}

// String returns the text that the program was compiled from.
func (p *Program) String() string { return p.source }

// Uses returns what has to be gathered before Eval is called; what is not used may be missing from the [Answer].
func (p *Program) Uses() Uses { return p.uses }

// Eval works the expression out for an answer. An error is a sentence for people about this answer (the body is no JSON, a key
// is missing, it would cost too much); the verdict is then false. As in CEL everywhere, an error on one side of || or && does
// not count if the other side decides alone. Eval keeps nothing of the answer.
func (p *Program) Eval(a Answer) (bool, error) {
	result, err := p.run(&variables{answer: a})
	if err != nil {
		return false, p.explain(err)
	}
	yes, ok := result.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gives %s for this answer, not true or false", describe(result))
	}
	return bool(yes), nil
}

func (p *Program) run(v *variables) (ref.Val, error) {
	if !p.loops {
		result, _, err := p.program.Eval(v)
		return result, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	result, _, err := p.program.ContextEval(ctx, v)
	return result, err
}

// timeLimit is the last resort behind costLimit, for a cost that was reckoned too low and for a machine that stands still.
const timeLimit = 250 * time.Millisecond
