//go:build linux

package main

import "net/netip"

// The targets are 127.16.0.0, 127.16.0.1, … at one port: that many addresses, so that no pair of addresses runs
// out of ports.
const (
	targetPort  = 8000
	targetPath  = "/health"
	targetHost  = "bench.test" // where a checker has one Host header for all targets
	firstTarget = 127<<24 | 16<<16
	maxTargets  = 1_000_000
)

// targetAddress returns where target number i is.
func targetAddress(i int) netip.AddrPort {
	n := uint32(firstTarget + i)
	addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return netip.AddrPortFrom(addr, targetPort)
}

// targetNumber is the inverse of targetAddress; negative for an address that is no target's.
func targetNumber(addr [4]byte) int {
	return (int(addr[0])<<24 | int(addr[1])<<16 | int(addr[2])<<8 | int(addr[3])) - firstTarget
}
