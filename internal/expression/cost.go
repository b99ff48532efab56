package expression

import (
	"fmt"
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"

	"github.com/triage-lb/triage"
)

// costLimit is what working out an expression may cost: in units of cel-go, of which one is reading a variable, a key or
// an element, calling a function, or looking at 10 bytes of text.
const costLimit = 500_000

const (
	unitsPerComparison = 3  // of two elements, since it takes about as long as three readings
	bytesPerUnit       = 10 // of text that is looked at once
	stepsPerUnit       = 32 // of a regular expression: a byte of text times an instruction of its program
)

// regexUnits is what it costs to match a text of that many bytes by a regular expression that has so many instructions. cel-go
// takes the length of the regular expression for what it costs, and a{99} is short.
func regexUnits(bytes, instructions int) int {
	return 1 + bytes*instructions/stepsPerUnit
}

func isMatch(overload string) bool {
	return overload == overloads.MatchesString || overload == overloads.Matches
}

// worstCost is cel-go's reckoning when an expression is compiled, for the biggest body and header, and for JSON that is big
// but not the worst: how big its lists and texts are altogether is bounded, so that all of them cannot be at once what each
// one could be. The limit of the evaluation holds for whatever comes.
type worstCost struct{}

// Sizes that are reckoned with.
const (
	bigHeader = 128  // names
	bigField  = 1024 // bytes in a name or value of the header
	bigList   = 128  // elements of a list or map in the JSON, and of the names in a certificate; and bytes in a text there
)

// EstimateSize is of cost.Estimator.
func (w worstCost) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	most := uint64(bigList)
	path := node.Path()
	if len(path) == 0 {
		if kind := node.Type(); node.ComputedSize() == nil && (isOptional(kind) || kind.Kind() == types.DynKind) {
			return &cost.SizeEstimate{Max: most} // comes from the JSON in a roundabout way
		}
		return nil
	}
	switch path[0] {
	case "body":
		most = triage.MaxWithin
	case "header":
		most = bigHeader
		if len(path) > 1 {
			most = bigField
		}
	}
	return &cost.SizeEstimate{Max: most}
}

// EstimateCallCost is of cost.Estimator.
func (w worstCost) EstimateCallCost(_, overload string, target *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if !isMatch(overload) {
		return nil
	}
	if target != nil {
		args = append([]cost.AstNode{*target}, args...)
	}
	if len(args) != 2 {
		return nil
	}
	pattern, _ := literalText(args[1].Expr())
	size, err := types.RegexProgramSize(pattern)
	if err != nil {
		return nil
	}
	bytes := min(cost.EstimateSize(w, args[0]).Max, math.MaxInt32) // the product stays an int
	return &cost.CallEstimate{CostEstimate: cost.RangedCostEstimate(1, uint64(regexUnits(int(bytes), size)))}
}

// affordable refuses an expression that costs too much.
func affordable(env *cel.Env, checked *cel.Ast) error {
	estimate, err := env.EstimateCost(checked, worstCost{})
	if err != nil {
		return fmt.Errorf("reckon what the expression costs: %w", err)
	}
	if estimate.Max > costLimit {
		return fmt.Errorf("the expression can cost %s, and %d is the limit: look at less of the answer, go through it less often", units(estimate.Max), costLimit)
	}
	return nil
}

func units(n uint64) string {
	if n > 1_000_000_000_000 {
		return "more than a million times a million units"
	}
	return fmt.Sprintf("%d units", n)
}
