package expression

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// unusable is why a part of an answer cannot be used at all, in our own words.
type unusable string

func (u unusable) Error() string { return string(u) }

func unusablef(format string, args ...any) error { return unusable(fmt.Sprintf(format, args...)) }

const errNoTLS unusable = "the check has no TLS"

// tooSlow is an evaluation that was stopped for the time that it took.
type tooSlow struct{}

func (tooSlow) Error() string {
	return fmt.Sprintf("the expression takes too long for this answer: more than %v", timeLimit)
}

// IsTooSlow reports whether an error of [Program.Eval] says that the time was up before the cost was: that says more of the
// machine, which stood still, than of the answer.
func IsTooSlow(err error) bool {
	_, slow := errors.AsType[tooSlow](err)
	return slow
}

// explain words the error of an evaluation.
func (p *Program) explain(err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return fmt.Errorf("the expression costs too much for this answer: more than %d units", costLimit)
	}
	if errors.Is(err, interpreter.InterruptError{}) {
		return tooSlow{}
	}
	var at int64
	var node *types.Err
	if errors.As(err, &node) {
		at = node.NodeID()
	}
	var own unusable
	if errors.As(err, &own) {
		return own
	}
	if m := said().noKey.FindStringSubmatch(err.Error()); m != nil {
		return errors.New(p.missing(at, short(m[1])))
	}
	return errors.New(p.in(at) + reason(err.Error()))
}

// reason words what cel-go says of values that do not go together.
func reason(text string) string {
	if m := said().outOfRange.FindStringSubmatch(text); m != nil {
		return "there is no element " + m[1] + m[2] + " in the list"
	}
	if m := said().noConversion.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s cannot be made %s", article(m[1]), article(m[2]))
	}
	if m := said().notIterable.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("all, exists, filter and map go through a list or a map, and here is %s", article(m[1]))
	}
	switch {
	case strings.HasPrefix(text, "invalid qualifier type"), strings.Contains(text, "hash of unhashable type"):
		return "what is looked up in a map cannot be a key of one"
	case strings.HasPrefix(text, "internal error"): // cel-go panicked, and caught it
		return "it cannot be worked out for this answer"
	case strings.HasPrefix(text, noOverloadText):
		return "the values have types that do not go together here"
	case strings.HasPrefix(text, "unsupported index"):
		return "a list has elements with numbers, no keys"
	}
	return short(text)
}

func article(kind string) string {
	kind = strings.ToLower(kind[strings.LastIndexByte(kind, '.')+1:])
	if strings.ContainsRune("aeio", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// short keeps an error readable that quotes the answer.
func short(text string) string {
	const enough = 120
	if len(text) <= enough {
		return text
	}
	return strings.ToValidUTF8(text[:enough], "") + "…"
}

// in names the part of the expression that has the id: "json.count + 1: ". It is empty if there is none.
func (p *Program) in(id int64) string {
	if e := p.node(id); e != nil {
		if text := p.text(e); text != "" {
			return text + ": "
		}
	}
	return ""
}

func (p *Program) node(id int64) ast.Expr {
	if id == 0 {
		return nil
	}
	return find(p.checked.NativeRep().Expr(), func(e ast.Expr) bool { return e.ID() == id })
}

// text writes a part of the expression as CEL.
func (p *Program) text(e ast.Expr) string {
	text, err := cel.ExprToString(e, p.checked.NativeRep().SourceInfo())
	if err != nil {
		return ""
	}
	return short(text)
}

// missing words a key that the answer does not have: "json.status has no key \"ready\"".
func (p *Program) missing(id int64, key string) string {
	tree := p.node(id)
	if tree == nil {
		tree = p.checked.NativeRep().Expr()
	}
	whose := find(tree, func(e ast.Expr) bool { return step(e) == key })
	if whose == nil {
		return fmt.Sprintf("%sthere is no key %q", p.in(id), key)
	}
	holder := p.text(inner(whose))
	if holder == "header" {
		return fmt.Sprintf("the answer has no header %q", key)
	}
	return fmt.Sprintf("%s has no key %q", holder, key)
}

// step is the key by which an expression goes into a map: "ready" in json.ready and json["ready"]; "" for other expressions.
func step(e ast.Expr) string {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().FieldName()
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Index && len(call.Args()) == 2 {
			key, _ := literalText(call.Args()[1])
			return key
		}
	}
	return ""
}

// inner is the map that a step goes into.
func inner(e ast.Expr) ast.Expr {
	if e.Kind() == ast.SelectKind {
		return e.AsSelect().Operand()
	}
	return e.AsCall().Args()[0]
}

// describe names a value for people, with what it is if that is short.
func describe(v ref.Val) string {
	switch value := v.(type) {
	case types.Null:
		return "null"
	case types.String:
		return "the string " + beginning([]byte(value))
	case types.Int:
		return "the int " + strconv.FormatInt(int64(value), 10)
	case types.Double:
		return fmt.Sprintf("the double %g", float64(value))
	}
	return article(v.Type().TypeName())
}

// find returns the first node of a tree, from its root on, that is wanted, or nil.
func find(tree ast.Expr, wanted func(ast.Expr) bool) ast.Expr {
	var found ast.Expr
	ast.PreOrderVisit(tree, ast.NewExprVisitor(func(e ast.Expr) {
		if found == nil && wanted(e) {
			found = e
		}
	}))
	return found
}
