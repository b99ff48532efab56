package dialect

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Question is what varies from one request of a dialect to the next.
type Question struct {
	Protocol triage.Protocol
	Address  netip.AddrPort // where the check connects to
	Path     string
	Service  string         // gRPC: what the health service is asked about
	Timeout  time.Duration  // gRPC: how long the check may take, for dialects that say so; 0 does not
	Typed    string         // the target's host as a person has written it; "" if that is the address
	Node     netip.AddrPort // the load balancer's own address and listener's port, for HostNode
	Cluster  string         // the name for HostCluster
	Host     string         // Host header instead of the dialect's; "" keeps its rule
	Extra    []Header       // header lines after the dialect's own
	Keep     bool           // ask the server to keep the connection, whatever the dialect says of it
}

// AppendRequest appends the request, byte for byte what the load balancer sends, and returns the extended
// buffer.
func (s *Spec) AppendRequest(dst []byte, q Question) []byte {
	dst = append(dst, cmp.Or(s.Method, "GET")...)
	dst = append(dst, ' ')
	dst = append(dst, q.Path...)
	if s.HTTP10 {
		dst = append(dst, " HTTP/1.0\r\n"...)
	} else {
		dst = append(dst, " HTTP/1.1\r\n"...)
	}
	if q.Host != "" && !s.sendsHost() {
		dst = append(append(append(dst, "Host: "...), q.Host...), "\r\n"...)
	}
	for _, h := range s.Headers {
		dst = append(dst, h.Name...)
		dst = append(dst, ": "...)
		switch {
		case q.Keep && strings.EqualFold(h.Name, "Connection"):
			dst = append(dst, "keep-alive"...)
		case h.Value != HostValue:
			dst = append(dst, h.Value...)
		case q.Host != "":
			dst = append(dst, q.Host...)
		default:
			dst = s.Host.appendTo(dst, q)
		}
		dst = append(dst, "\r\n"...)
	}
	for _, h := range q.Extra {
		dst = append(dst, h.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, h.Value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// sendsHost reports whether the dialect has a Host header of its own.
func (s *Spec) sendsHost() bool {
	return slices.ContainsFunc(s.Headers, func(h Header) bool { return h.Value == HostValue })
}

// appendTo writes the Host header's value by the rule. Where the question lacks what the rule needs, it is the address.
func (r HostRule) appendTo(dst []byte, q Question) []byte {
	switch {
	case r == HostAddressPort:
		return appendAddrPort(dst, q.Address)
	case r == HostAddressOnly:
		return appendAddr(dst, q.Address.Addr())
	case r == HostTyped && q.Typed != "":
		return appendPort(append(dst, q.Typed...), q.Address.Port(), q.Protocol)
	case r == HostTypedPort && q.Typed != "":
		return strconv.AppendUint(append(append(dst, q.Typed...), ':'), uint64(q.Address.Port()), 10)
	case r == HostServerName && q.Protocol.Encrypted() && q.Typed != "":
		return append(dst, q.Typed...)
	case r == HostServerName && q.Protocol.Encrypted():
		return appendAddr(dst, q.Address.Addr())
	case r == HostServerName && q.Typed != "":
		return HostTypedPort.appendTo(dst, q)
	case r == HostTypedPort, r == HostServerName:
		return appendAddrPort(dst, q.Address)
	case r == HostNode && q.Node.IsValid():
		return appendAddrPort(dst, q.Node)
	case r == HostCluster && q.Cluster != "":
		return append(dst, q.Cluster...)
	case r == HostLoopback:
		return append(dst, "127.0.0.1"...)
	}
	return appendHost(dst, q.Address, q.Protocol)
}

// Host returns the Host header that the dialects send to this address: address and port, the port left out
// where it is the protocol's own.
func Host(to netip.AddrPort, p triage.Protocol) string { return string(appendHost(nil, to, p)) }

// appendHost writes address:port. On port 80 a captured ALB check has no port, and RFC 9110 section 4.2.3
// makes the two forms equal; for the other dialects, and for 443, that is assumed.
func appendHost(dst []byte, to netip.AddrPort, p triage.Protocol) []byte {
	return appendPort(appendAddr(dst, to.Addr()), to.Port(), p)
}

// appendAddr writes an address as it stands in a URL.
func appendAddr(dst []byte, addr netip.Addr) []byte {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.AppendTo(dst)
	}
	dst = append(dst, '[')
	dst = addr.AppendTo(dst)
	return append(dst, ']')
}

// appendAddrPort writes both, also where the port is the protocol's own.
func appendAddrPort(dst []byte, a netip.AddrPort) []byte {
	dst = append(appendAddr(dst, a.Addr()), ':')
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}

func appendPort(dst []byte, port uint16, p triage.Protocol) []byte {
	if port == defaultPort(p) {
		return dst
	}
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(port), 10)
}

func defaultPort(p triage.Protocol) uint16 {
	if p.Encrypted() {
		return 443
	}
	return 80
}
