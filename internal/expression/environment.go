package expression

import (
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

// Bounds of an expression.
const (
	maxSource    = 2 << 10 // bytes
	maxRecursion = 50      // how deep its parentheses, lists and calls go
	maxNodes     = 1000    // of the tree that it is parsed into, macros written out
	maxLoops     = 2       // loops (all, exists, map, filter …) inside one another
	maxRegex     = 100     // instructions of a regular expression's program
)

// variable is something that an expression can name.
type variable struct {
	name string
	kind *cel.Type
}

// declared returns everything that an expression can name. The fields of tls are variables with a dot in their names, which CEL
// allows: so each has its type, and a wrong one is found when the expression is compiled.
func declared() []variable {
	return []variable{
		{"status", cel.IntType},
		{"header", cel.MapType(cel.StringType, cel.StringType)},
		{"body", cel.StringType},
		{"json", cel.DynType},
		{"latency", cel.DurationType},
		{"tls.version", cel.StringType},
		{"tls.cipher", cel.StringType},
		{"tls.alpn", cel.StringType},
		{"tls.subject", cel.StringType},
		{"tls.names", cel.ListType(cel.StringType)},
		{"tls.issuer", cel.StringType},
		{"tls.not_after", cel.TimestampType},
		{"tls.days_left", cel.IntType},
		{"tls.untrusted", cel.StringType},
	}
}

// environment returns what every expression is compiled in. It is built when the first expression comes, since it takes
// milliseconds and most programs never need it, and it is never changed after that; every Program holds on to it.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.OptionalTypes(),
		ext.Strings(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ExpressionNodeLimit(maxNodes),
		cel.EnableMacroCallTracking(), // for the words of errors
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for _, v := range declared() {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	return cel.NewEnv(options...)
})
