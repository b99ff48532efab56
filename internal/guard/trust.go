package guard

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/triage-lb/triage/behind"
)

// The words of a list of trusted peers that are no networks.
const (
	trustDefault = "default" // loopback, private and link-local networks
	trustNobody  = "none"
)

// ParseTrusted reads a list of trusted peers for [Config.Trusted]: networks (10.0.0.0/8), addresses (10.0.1.9),
// the word default for behind.DefaultTrusted, or the word none alone for nobody. No item at all is nil, which
// stands for the default. Errors are of kind invalid.
func ParseTrusted(items []string) ([]netip.Prefix, error) {
	const hint = "write networks or addresses, as in --trusted 10.0.0.0/16,203.0.113.7; default stands for the loopback, " +
		"private and link-local networks, none for nobody"
	if len(items) == 0 {
		return nil, nil
	}
	trusted := []netip.Prefix{}
	for _, item := range items {
		switch item {
		case trustDefault:
			trusted = append(trusted, behind.DefaultTrusted()...)
			continue
		case trustNobody:
			if len(items) > 1 {
				return nil, invalid(hint, "--trusted: %s stands alone", trustNobody)
			}
			continue
		}
		prefix, err := parsePrefix(item)
		if err != nil {
			return nil, invalid(hint, "--trusted %q is not a network", item)
		}
		trusted = append(trusted, prefix)
	}
	return trusted, nil
}

// parsePrefix reads a network or an address. Peers are compared un-mapped, so IPv4 within IPv6 becomes IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, err
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// everybody stands for trust in all peers: with it, behind.IsHTTPS tells whether https is claimed.
var everybody = [...]netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

func claimsHTTPS(in *http.Request) bool { return behind.IsHTTPS(in, everybody[:]) }

// trusts reports whether the peer of the connection is one whose claims count.
func (g *Guard) trusts(in *http.Request) bool {
	addr := peer(in)
	return slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// peer is the address at the other end of the connection; a prefix contains neither mapped addresses nor zones.
func peer(in *http.Request) netip.Addr {
	addr, _ := netip.ParseAddrPort(in.RemoteAddr) // net/http's server made it
	return addr.Addr().Unmap().WithZone("")
}

// withPeer is the list that the person who started this guard would have to give to trust the peer as well.
func (g *Guard) withPeer(peer netip.Addr) string {
	list := trustDefault
	if !slices.Equal(g.trusted, behind.DefaultTrusted()) {
		list = joinPrefixes(g.trusted, ",")
	}
	return strings.TrimPrefix(list+","+peer.String(), ",")
}

func joinPrefixes(prefixes []netip.Prefix, separator string) string {
	var texts []string
	for _, p := range prefixes {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, separator)
}
