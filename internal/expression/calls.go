package expression

import (
	"regexp"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// noOverloadText is what cel-go says when values have types that a function does not take.
const noOverloadText = "no such overload"

// replaceCalls is the decorator of a program: it puts ours in the place of those calls of cel-go that would cost more than they
// pay for, and around all others one that keeps their errors apart.
func replaceCalls(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i, nil
	}
	args := call.Args()
	switch call.Function() {
	case operators.Equals, operators.NotEquals, operators.In:
		return &comparison{InterpretableCall: call, left: args[0], right: args[1]}, nil
	case overloads.Matches:
		return newMatch(call.ID(), args[0], args[1])
	}
	return &located{call}, nil
}

// located is a call whose error belongs to it alone and knows where it happened. cel-go has a few errors that all programs
// share, and || and && write into the error of a side where it happened: two goroutines would write at once.
type located struct{ interpreter.InterpretableCall }

// Exec is of interpreter.InterpretableV2.
func (l *located) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	result := l.InterpretableCall.Exec(frame)
	if err, ok := result.(*types.Err); ok && err.NodeID() == 0 {
		return types.LabelErrNode(l.ID(), types.WrapErr(err.Unwrap()))
	}
	return result
}

// Eval is of interpreter.Interpretable.
func (l *located) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, l.Exec)
}

// match is a call of matches, which pays before it looks. It does not embed the call: cel-go would put its own in its place.
type match struct {
	id    int64
	text  interpreter.InterpretableV2
	regex *regexp.Regexp
	size  int // of its program, in instructions
}

// newMatch takes a pattern that inspect has found to be a literal, and to be one that compiles.
func newMatch(id int64, text, pattern interpreter.InterpretableV2) (*match, error) {
	literal := pattern.(interpreter.InterpretableConst).Value().Value().(string)
	regex, err := regexp.Compile(literal)
	if err != nil {
		return nil, err
	}
	size, err := types.RegexProgramSize(literal)
	if err != nil {
		return nil, err
	}
	return &match{id: id, text: text, regex: regex, size: size}, nil
}

// ID is of interpreter.Interpretable.
func (m *match) ID() int64 { return m.id }

// Exec is of interpreter.InterpretableV2.
func (m *match) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := m.text.Exec(frame)
	if types.IsError(value) {
		return value
	}
	text, ok := value.(types.String)
	if !ok {
		return types.NewErrWithNodeID(m.id, noOverloadText)
	}
	charge{frame.CostTracker(), m.id}.pay(regexUnits(len(text), m.size))
	return types.Bool(m.regex.MatchString(string(text)))
}

// Eval is of interpreter.Interpretable.
func (m *match) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, m.Exec)
}
