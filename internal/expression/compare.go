package expression

import (
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// comparison is ==, != or in, which pays for every element that it looks at, before it does. The ones of cel-go look through
// lists and maps to any depth, do not count that, and cannot be stopped meanwhile: by [1].map(x, [x, x]).map(x, [x, x])… a short
// expression makes a list that is small in memory and takes years to compare.
type comparison struct {
	interpreter.InterpretableCall
	left, right interpreter.InterpretableV2
}

// Exec is of interpreter.InterpretableV2.
func (c *comparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	left := c.left.Exec(frame)
	if types.IsError(left) {
		return left
	}
	right := c.right.Exec(frame)
	if types.IsError(right) {
		return right
	}
	till := charge{frame.CostTracker(), c.ID()}
	switch c.Function() {
	case operators.Equals:
		return types.Bool(till.equal(left, right))
	case operators.NotEquals:
		return types.Bool(!till.equal(left, right))
	}
	return till.contains(right, left)
}

// Eval is of interpreter.Interpretable.
func (c *comparison) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, c.Exec)
}

// charge compares values at the expense of an evaluation.
type charge struct {
	tracker *cost.Tracker
	id      int64
}

// pay counts work, in units of cost; cel-go ends the evaluation by a panic of its own, which it recovers, when it is too much.
func (c charge) pay(units int) {
	if c.tracker == nil {
		return // cel-go works out what is constant when it compiles
	}
	for range units {
		c.tracker.Qualify(c.id)
	}
}

func (c charge) contains(container, value ref.Val) ref.Val {
	switch in := container.(type) {
	case traits.Mapper:
		c.pay(1)
		return types.Bool(isKey(value) && in.Contains(value) == types.True)
	case traits.Lister:
		for it := in.Iterator(); it.HasNext() == types.True; {
			if c.equal(it.Next(), value) {
				return types.True
			}
		}
		return types.False
	}
	return types.NewErrWithNodeID(c.id, noOverloadText)
}

// isKey reports whether a map can have such a key. cel-go panics when it looks for bytes.
func isKey(value ref.Val) bool {
	switch value.(type) {
	case types.Bool, types.Int, types.Uint, types.Double, types.String:
		return true
	}
	return false
}

// equal is what CEL's == is: numbers by their value, lists and maps by their elements, and nothing is equal to another type.
func (c charge) equal(a, b ref.Val) bool {
	c.pay(unitsPerComparison)
	switch left := a.(type) {
	case traits.Mapper:
		right, ok := b.(traits.Mapper)
		return ok && left.Size() == right.Size() && c.equalMaps(left, right)
	case traits.Lister:
		right, ok := b.(traits.Lister)
		return ok && left.Size() == right.Size() && c.equalLists(left, right)
	case *types.Optional:
		right, ok := b.(*types.Optional)
		if !ok || left.HasValue() != right.HasValue() {
			return false
		}
		return !left.HasValue() || c.equal(left.GetValue(), right.GetValue())
	case types.String:
		right, ok := b.(types.String)
		if !ok || len(left) != len(right) {
			return false
		}
		c.pay(len(left) / bytesPerUnit)
		return left == right
	}
	return types.Equal(a, b) == types.True
}

func (c charge) equalMaps(a, b traits.Mapper) bool {
	for it := a.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		left, _ := a.Find(key)
		right, found := b.Find(key)
		if !found || !c.equal(left, right) {
			return false
		}
	}
	return true
}

func (c charge) equalLists(a, b traits.Lister) bool {
	left, right := a.Iterator(), b.Iterator()
	for left.HasNext() == types.True && right.HasNext() == types.True {
		if !c.equal(left.Next(), right.Next()) {
			return false
		}
	}
	return true
}
