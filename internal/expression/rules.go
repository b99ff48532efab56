package expression

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// findings is what the tree of an expression shows.
type findings struct {
	uses  Uses
	loops bool
}

// inspect holds the tree of an expression to the rules that CEL itself does not have.
func inspect(checked *cel.Ast) (findings, error) {
	in := inspection{checked: checked}
	in.visit(checked.NativeRep().Expr(), 0)
	if in.err == nil {
		in.err = in.givesBool()
	}
	return in.findings, in.err
}

type inspection struct {
	findings
	checked *cel.Ast
	err     error // the first one
}

func (in *inspection) refuse(e ast.Expr, format string, args ...any) {
	if in.err == nil {
		at := in.checked.NativeRep().SourceInfo().GetStartLocation(e.ID())
		in.err = fmt.Errorf("%s: %s", place(at), fmt.Sprintf(format, args...))
	}
}

func (in *inspection) givesBool() error {
	switch kind := in.checked.OutputType(); {
	case kind.IsExactType(types.BoolType), kind.IsExactType(types.DynType):
		return nil
	case isOptional(kind):
		return fmt.Errorf("the expression gives %s, not a yes or no: put .orValue(false) behind it", cel.FormatCELType(kind))
	default:
		return fmt.Errorf("the expression gives %s, not a yes or no", cel.FormatCELType(kind))
	}
}

func (in *inspection) kind(e ast.Expr) *types.Type { return in.checked.NativeRep().GetType(e.ID()) }

func isOptional(kind *types.Type) bool {
	return kind.Kind() == types.OpaqueKind && kind.TypeName() == "optional_type"
}

// isOffset reports whether a time zone is one that needs no file to be read, as the name of a city does.
func isOffset(e ast.Expr) bool {
	text, ok := literalText(e)
	return ok && (text == "UTC" || strings.Contains(text, ":"))
}

// visit looks at a node that is inside so many loops, and at all below it.
func (in *inspection) visit(e ast.Expr, loops int) {
	switch e.Kind() {
	case ast.IdentKind:
		in.name(e.AsIdent())
	case ast.SelectKind:
		s := e.AsSelect()
		in.headerName(e, s.Operand(), s.FieldName())
		in.visit(s.Operand(), loops)
	case ast.CallKind:
		in.call(e, loops)
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			in.visit(element, loops)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			in.visit(entry.AsMapEntry().Key(), loops)
			in.visit(entry.AsMapEntry().Value(), loops)
		}
	case ast.StructKind:
		in.refuse(e, "there are no messages to make here")
	case ast.ComprehensionKind:
		in.loop(e, loops)
	}
}

func (in *inspection) name(name string) {
	switch {
	case name == "header":
		in.uses.Header = true
	case name == "body":
		in.uses.Body = true
	case name == "json":
		in.uses.JSON = true
	case strings.HasPrefix(name, "tls."):
		in.uses.TLS = true
	}
}

// headerName finds a name that no header has, since they are given in lower case.
func (in *inspection) headerName(e, operand ast.Expr, name string) {
	if operand.Kind() == ast.IdentKind && operand.AsIdent() == "header" && name != strings.ToLower(name) {
		in.refuse(e, "header names are in lower case here: write header[%q]", strings.ToLower(name))
	}
}

func (in *inspection) call(e ast.Expr, loops int) {
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	switch name := call.FunctionName(); {
	// What these give can be as big as the product of what they get, and it is paid for only when it is there.
	// How long indexOf takes is such a product.
	case slices.Contains([]string{"replace", "join", "format", "indexOf", "lastIndexOf"}, name):
		in.refuse(e, "%s is not available in the expression of a check", name)
	case (name == "or" || name == "orValue") && !isOptional(in.kind(args[0])):
		in.refuse(e, "%s wants something optional in front: write json.?key or json[?\"key\"], with a question mark", name)
	case strings.HasPrefix(name, "get") && len(args) == 2 && !isOffset(args[1]):
		in.refuse(e, "%s wants the time zone written out as an offset, \"+02:00\"", name)
	case name == overloads.Matches && len(args) == 2:
		in.regex(args[1])
	case (name == operators.Index || name == operators.OptIndex || name == operators.OptSelect) && len(args) == 2:
		if key, ok := literalText(args[1]); ok {
			in.headerName(e, args[0], key)
		}
	case name == operators.In && len(args) == 2:
		if key, ok := literalText(args[0]); ok {
			in.headerName(e, args[1], key)
		}
	}
	for _, arg := range args {
		in.visit(arg, loops)
	}
}

// regex wants a pattern written out, so that it is compiled once and what it costs is known.
func (in *inspection) regex(e ast.Expr) {
	pattern, ok := literalText(e)
	if !ok {
		in.refuse(e, "matches wants its regular expression written out as text")
		return
	}
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		in.refuse(e, "%q is not a regular expression of RE2: %s", pattern, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	size, err := types.RegexProgramSize(pattern)
	if err != nil || size > maxRegex {
		in.refuse(e, "the regular expression is too big: it makes a program of %d instructions, and %d is the limit", size, maxRegex)
	}
}

func (in *inspection) loop(e ast.Expr, loops int) {
	c := e.AsComprehension()
	if c.IterRange().Kind() == ast.ListKind && c.IterRange().AsList().Size() == 0 && c.IterVar() == "#unused" {
		// A loop over nothing only gives a value a name; many of them double a list with every step.
		in.refuse(e, "optMap and optFlatMap are not available in the expression of a check")
		return
	}
	if loops++; loops > maxLoops {
		in.refuse(e, "more than %d loops (all, exists, map, filter …) are inside one another", maxLoops)
		return
	}
	in.loops = true
	in.visit(c.IterRange(), loops-1)
	for _, part := range []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
		in.visit(part, loops)
	}
}

// literalText is a text that is written out in the expression.
func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}
