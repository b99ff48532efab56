//go:build !race

package badinput

import "time"

// Race tells whether the race detector is on, which makes everything many times slower.
const Race = false

// Limit is the timeout with which the answers that hang are to be checked: longer than one drop of those that drip takes,
// and so long that a busy machine does not call itself late.
const Limit = 1200 * time.Millisecond
