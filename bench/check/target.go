//go:build linux

package main

import "net/netip"

// The targets are 127.16.0.0, 127.16.0.1, … at one port: that many addresses, so that no pair of addresses runs
// out of ports.
const (
	targetPath  = "/health"
	clientPath  = "/request"
	targetHost  = "bench.test" // where a checker has one Host header for all targets
	firstTarget = 127<<24 | 16<<16
	maxTargets  = 1_000_000
)

// protocol is how targets are asked.
type protocol uint8

const (
	plain     protocol = iota
	httpsP256          // with an ECDSA certificate on the curve P-256
	httpsRSA           // with an RSA certificate of 2048 bits
)

func (p protocol) port() int      { return [...]int{8000, 8443, 8444}[p] }
func (p protocol) secure() bool   { return p != plain }
func (p protocol) String() string { return [...]string{"HTTP", "P-256", "RSA-2048"}[p] }

// targetAddress returns where target number i is.
func targetAddress(i int, p protocol) netip.AddrPort {
	n := uint32(firstTarget + i)
	addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	return netip.AddrPortFrom(addr, uint16(p.port()))
}

// targetNumber is the inverse of targetAddress; negative for an address that is no target's.
func targetNumber(addr [4]byte) int {
	return (int(addr[0])<<24 | int(addr[1])<<16 | int(addr[2])<<8 | int(addr[3])) - firstTarget
}
