package expression

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"

	"github.com/triage-lb/triage"
)

// check parses a source and finds its types. The error is for people.
func check(env *cel.Env, source string) (*cel.Ast, error) {
	if strings.TrimSpace(source) == "" {
		return nil, errors.New("the expression is empty")
	}
	if len(source) > maxSource {
		return nil, fmt.Errorf("the expression is %d bytes long, and %d is the limit", len(source), maxSource)
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, syntaxError(issues.Errors()[0])
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, typeError(env, parsed.NativeRep(), issues.Errors()[0])
	}
	return checked, nil
}

// place says where something is; cel-go counts columns from 0.
func place(at common.Location) string {
	if at.Line() > 1 {
		return fmt.Sprintf("line %d, column %d", at.Line(), at.Column()+1)
	}
	return fmt.Sprintf("column %d", at.Column()+1)
}

// phrases are the sentences of cel-go that are worded anew here. They are compiled when the first one comes: most programs
// never see any.
type phrases struct {
	unexpected, unrecognized                     *regexp.Regexp // of its parser
	undeclared, noOverload, noFields             *regexp.Regexp // of its type checker
	noKey, outOfRange, notIterable, noConversion *regexp.Regexp // of an evaluation
}

var said = sync.OnceValue(func() phrases {
	return phrases{
		unexpected:   regexp.MustCompile(`(?s)^Syntax error: (?:mismatched|extraneous|no viable alternative at) input '(.*?)'(?: expecting .*)?$`),
		unrecognized: regexp.MustCompile(`(?s)^Syntax error: token recognition error at: '(.*)'$`),
		undeclared:   regexp.MustCompile(`^undeclared reference to '([^']*)'`),
		noOverload:   regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`),
		noFields:     regexp.MustCompile(`^type '([\w.]+)' does not support field selection$`),
		noKey:        regexp.MustCompile(`(?s)^no such (?:key|field)(?:: | ')(.*?)'?$`),
		outOfRange:   regexp.MustCompile(`^index '(-?\d+)' out of range in list size '\d+'$|^index out of bounds: (-?\d+)$`),
		notIterable:  regexp.MustCompile(`^got '[\w.]*?(\w+)', expected iterable type$`),
		noConversion: regexp.MustCompile(`^type conversion error from '?([\w.]+)'? to '?([\w.]+)'?$`),
	}
})

func syntaxError(e *cel.Error) error {
	where := place(e.Location)
	if m := said().unexpected.FindStringSubmatch(e.Message); m != nil {
		if m[1] == "<EOF>" {
			return fmt.Errorf("%s: the expression stops too early", where)
		}
		return fmt.Errorf("%s: %q cannot stand here%s", where, m[1], instead(m[1]))
	}
	if m := said().unrecognized.FindStringSubmatch(e.Message); m != nil {
		wrong := strings.TrimSpace(m[1])
		if strings.HasPrefix(wrong, `"`) || strings.HasPrefix(wrong, "'") {
			return fmt.Errorf("%s: the text %s has no end", where, wrong)
		}
		return fmt.Errorf("%s: %q is not an operator of CEL%s", where, wrong, instead(wrong))
	}
	switch {
	case strings.Contains(e.Message, "count exceeds limit"):
		return fmt.Errorf("the expression has more than %d parts", maxNodes)
	case strings.Contains(e.Message, "recursion"):
		return fmt.Errorf("the expression is nested more than %d deep", maxRecursion)
	case e.Location.Line() < 1:
		return errors.New("the expression cannot be read: " + plain(e.Message))
	}
	return fmt.Errorf("%s: %s", where, plain(e.Message))
}

// instead is what people mean who write another language.
func instead(wrong string) string {
	switch wrong {
	case "=":
		return ": write == to compare"
	case "&", "and":
		return ": write &&"
	case "|", "or":
		return ": write ||"
	case "not":
		return ": write !"
	}
	return ""
}

func plain(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	message, _, _ = strings.Cut(message, " expecting {")
	return message
}

func typeError(env *cel.Env, parsed *ast.AST, e *cel.Error) error {
	where := place(e.Location)
	if m := said().undeclared.FindStringSubmatch(e.Message); m != nil {
		node := find(parsed.Expr(), func(n ast.Expr) bool { return n.ID() == e.ExprID })
		if node != nil && node.Kind() == ast.CallKind {
			return fmt.Errorf("%s: %s", where, noFunction(env, m[1]))
		}
		return fmt.Errorf("%s: %s", where, noVariable(parsed.Expr(), m[1], e.ExprID))
	}
	if m := said().noOverload.FindStringSubmatch(e.Message); m != nil {
		return fmt.Errorf("%s: %s", where, misfit(m[1], short(m[2])))
	}
	if m := said().noFields.FindStringSubmatch(e.Message); m != nil {
		return fmt.Errorf("%s: %s has no fields", where, article(m[1]))
	}
	return fmt.Errorf("%s: %s", where, plain(e.Message))
}

func noFunction(env *cel.Env, name string) string {
	if slices.Contains(loops(), name) {
		return fmt.Sprintf("%s wants a name and what is to be done with it: json.list.%s(x, x.ready)", name, name)
	}
	return fmt.Sprintf("there is no function %q%s", name, meant(name, functions(env)))
}

func loops() []string { return []string{"all", "exists", "exists_one", "filter", "map"} }

func noVariable(tree ast.Expr, name string, id int64) string {
	var top, fields []string
	for _, v := range declared() {
		if field, ok := strings.CutPrefix(v.name, "tls."); ok {
			fields = append(fields, field)
		} else {
			top = append(top, v.name)
		}
	}
	if field, ok := strings.CutPrefix(name, "tls."); ok {
		return noField(field, fields)
	}
	if name != "tls" {
		top = append(top, "tls")
		return fmt.Sprintf("there is no variable %q; there are %s%s", name, strings.Join(top, ", "), meant(name, top))
	}
	outer := find(tree, func(n ast.Expr) bool {
		return n.Kind() == ast.SelectKind && n.AsSelect().Operand().ID() == id
	})
	if outer == nil {
		return "tls is used with a field: " + strings.Join(fields, ", ")
	}
	return noField(outer.AsSelect().FieldName(), fields)
}

func noField(field string, fields []string) string {
	if slices.Contains(fields, field) {
		return fmt.Sprintf("tls.%s is always there with TLS: compare it with a value", field)
	}
	return fmt.Sprintf("tls has no %q; it has %s%s", field, strings.Join(fields, ", "), meant(field, fields))
}

func meant(typed string, words []string) string {
	if word := triage.Nearest(typed, words); word != "" {
		return "; did you mean " + word + "?"
	}
	return ""
}

// functions are those that people write as a word.
func functions(env *cel.Env) []string {
	words := append(loops(), "has")
	for name := range env.Functions() {
		if name[0] >= 'a' && name[0] <= 'z' {
			words = append(words, name)
		}
	}
	slices.Sort(words)
	return words
}

// misfit words an operator or function that does not take such arguments; args is "(int, string)" or "string.(int)".
func misfit(function, args string) string {
	target, rest, isMember := strings.Cut(args, ".(")
	if isMember {
		return fmt.Sprintf("%s of %s does not take (%s", function, article(target), rest)
	}
	list := strings.Split(strings.Trim(args, "()"), ", ")
	symbol, isOperator := operators.FindReverse(function)
	switch {
	case function == operators.Conditional:
		return fmt.Sprintf("? : wants a bool in front and two values of one type behind it, not %s", args)
	case isOperator && symbol != "" && len(list) == 2:
		return fmt.Sprintf("%s does not go between %s and %s", symbol, article(list[0]), article(list[1]))
	case isOperator && symbol != "" && len(list) == 1:
		return fmt.Sprintf("%s does not go with %s", symbol, article(list[0]))
	}
	if isOperator && symbol != "" {
		function = symbol
	}
	return fmt.Sprintf("%s does not take %s", function, args)
}
