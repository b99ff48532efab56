package balance

import (
	"math"
	"slices"
	"sort"
)

// wheel is a weighted round robin without a list of turns: a total weight of W makes W places, each member
// owns as many neighbouring ones as it weighs, and turn n goes to place n*step mod W. As step and W have no
// common divisor, W turns in a row meet every place exactly once, so weights hold exactly over a cycle,
// wherever it begins. A step near the golden section of W keeps the turns of a heavy member apart.
// The wheel costs a word per member whatever the weights are, and nothing if they are equal.
type wheel struct {
	total, step uint64
	ends        []uint64 // where each member's places end; nil if each has one
}

// evenWheel makes the wheel for n members of equal weight.
func evenWheel(n int) wheel { return wheel{total: uint64(n), step: 1} }

// newWheel makes the wheel for members with these weights, each 1 or more.
func newWheel(weights []int) wheel {
	if len(weights) == 0 || slices.Min(weights) == slices.Max(weights) {
		return evenWheel(len(weights))
	}
	common := 0
	for _, w := range weights {
		common = gcd(common, w)
	}
	w := wheel{ends: make([]uint64, len(weights))}
	for i, weight := range weights {
		w.total += uint64(weight / common)
		w.ends[i] = w.total
	}
	w.step = uint64(float64(w.total)*(math.Sqrt(5)-1)/2) | 1
	for gcd(w.step, w.total) != 1 {
		w.step++
	}
	return w
}

// at returns the member whose turn it is. The wheel must not be empty.
func (w *wheel) at(turn uint64) int {
	if w.ends == nil {
		return int(turn % w.total)
	}
	// With at most a million members of weight 256 the product stays far below 2^64.
	place := turn % w.total * w.step % w.total
	return sort.Search(len(w.ends), func(i int) bool { return w.ends[i] > place })
}

func gcd[T int | uint64](a, b T) T {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
