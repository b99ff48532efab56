//go:build !race

package badinput

// Race tells whether the race detector is on, which makes everything many times slower.
const Race = false
