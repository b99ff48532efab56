//go:build !linux

package engine

// newDriver returns the best driver that this system has.
func newDriver(s *shard) (driver, error) { return newGoroutines(s) }
