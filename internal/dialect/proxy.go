package dialect

import (
	"net/netip"
	"strconv"

	"github.com/triage-lb/triage"
)

// AppendProxy appends the header of the PROXY protocol that the dialect's check sends before everything else, TLS included,
// and returns the extended buffer: nothing for [triage.NoProxy]. The addresses are the connection's own, ours and the
// target's; version 2 sends none, unless the dialect is known to send more.
func (s *Spec) AppendProxy(dst []byte, v triage.ProxyProtocol, from, to netip.AddrPort) []byte {
	if v == triage.ProxyV2 && s.ProxyLocal != "" {
		return append(dst, s.ProxyLocal...)
	}
	return appendProxy(dst, v, from, to)
}

func appendProxy(dst []byte, v triage.ProxyProtocol, from, to netip.AddrPort) []byte {
	switch v {
	case triage.ProxyV1:
		return appendProxyV1(dst, from, to)
	case triage.ProxyV2:
		return append(dst, proxyV2Local...)
	}
	return dst
}

// proxyV2Local is a whole header of version 2 (proxy-protocol.txt section 2.2): the signature, version 2 with the command
// LOCAL, which is the one for health checks, the family AF_UNSPEC, and a length of 0.
const proxyV2Local = "\r\n\r\n\x00\r\nQUIT\n" + "\x20" + "\x00" + "\x00\x00"

// appendProxyV1 writes the line of text (section 2.1), which has no word for a connection of the sender's own: a check is
// a client like others. Where the two addresses are not of one family it says UNKNOWN, which is all that is left.
func appendProxyV1(dst []byte, from, to netip.AddrPort) []byte {
	source, target := from.Addr().Unmap().WithZone(""), to.Addr().Unmap().WithZone("")
	switch {
	case source.Is4() && target.Is4():
		dst = append(dst, "PROXY TCP4 "...)
	case source.Is6() && target.Is6():
		dst = append(dst, "PROXY TCP6 "...)
	default:
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	dst = append(source.AppendTo(dst), ' ')
	dst = append(target.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(from.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(to.Port()), 10), "\r\n"...)
}
