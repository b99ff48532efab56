package e2e

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// ports hands out free TCP ports, each once. It stays below 32768, where
// Linux's ephemeral ports begin: a port from there could be taken by anybody's
// outgoing connection while its server is stopped for a moment.
type ports struct{ next uint16 }

func newPorts() *ports {
	return &ports{next: 20000 + rand.N[uint16](10000)}
}

// pick gives a port that is free on every one of the addresses.
func (p *ports) pick(t *testing.T, on ...netip.Addr) uint16 {
	t.Helper()
	for range 500 {
		p.next++
		if free(p.next, on) {
			return p.next
		}
	}
	t.Fatalf("no port below %d is free on all of %v", p.next, on)
	return 0
}

func free(port uint16, on []netip.Addr) bool {
	for _, addr := range on {
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, port).String())
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
