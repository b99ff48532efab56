package dialect

import (
	"net/netip"
	"strconv"

	"github.com/triage-lb/triage"
)

// Question is what varies from one request of a dialect to the next.
type Question struct {
	Protocol triage.Protocol
	Address  netip.AddrPort // where the check connects to
	Path     string
	Host     string   // Host header instead of the dialect's; "" keeps its rule
	Extra    []Header // header lines after the dialect's own; only second questions have any
	Keep     bool     // ask the server to keep the connection, whatever the dialect says of it
}

// AppendRequest appends the request, byte for byte what the load balancer sends, and returns the extended
// buffer.
func (s *Spec) AppendRequest(dst []byte, q Question) []byte {
	dst = append(dst, "GET "...)
	dst = append(dst, q.Path...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	for _, h := range s.Headers {
		dst = append(dst, h.Name...)
		dst = append(dst, ": "...)
		switch {
		case q.Keep && h.Name == "Connection":
			dst = append(dst, "keep-alive"...)
		case h.Value != HostValue:
			dst = append(dst, h.Value...)
		case q.Host != "":
			dst = append(dst, q.Host...)
		default:
			dst = appendHost(dst, q.Address, q.Protocol)
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

// Host returns the Host header that the dialects send to this address: address and port, the port left out
// where it is the protocol's own.
func Host(to netip.AddrPort, p triage.Protocol) string { return string(appendHost(nil, to, p)) }

// appendHost writes address:port. On port 80 a captured ALB check has no port, and RFC 9110 section 4.2.3
// makes the two forms equal; for the other dialects, and for 443, that is assumed.
func appendHost(dst []byte, to netip.AddrPort, p triage.Protocol) []byte {
	addr := to.Addr().Unmap().WithZone("")
	if addr.Is4() {
		dst = addr.AppendTo(dst)
	} else {
		dst = append(dst, '[')
		dst = addr.AppendTo(dst)
		dst = append(dst, ']')
	}
	if to.Port() == defaultPort(p) {
		return dst
	}
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(to.Port()), 10)
}

func defaultPort(p triage.Protocol) uint16 {
	if p == triage.HTTPS {
		return 443
	}
	return 80
}
