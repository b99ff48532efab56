package capture

import (
	"net"
	"net/netip"
	"strings"

	"github.com/triage-lb/triage/internal/http1"
)

// Host is the Host header of a request, and what it is.
type Host struct {
	Value string   `json:"value"` // as it came
	Form  HostForm `json:"form"`
	Port  string   `json:"port,omitempty"` // "" if there is none
	Own   bool     `json:"own"`            // an address that this machine has
}

// HostForm is what a Host header holds.
type HostForm string

// The forms.
const (
	HostAbsent  HostForm = "absent"  // there is no Host header
	HostEmpty   HostForm = "empty"   // there is one, without a value
	HostAddress HostForm = "address" // an IP address
	HostName    HostForm = "name"    // anything else
)

// hostOf judges the Host of a request that came in at a local address.
func hostOf(r http1.Request, local netip.Addr) Host {
	value, ok := http1.Get(r.Fields, "Host")
	if !ok {
		return Host{Form: HostAbsent}
	}
	if len(value) == 0 {
		return Host{Form: HostEmpty}
	}
	h := Host{Value: string(value), Form: HostName}
	name := h.Value
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, ']') {
		name, h.Port = name[:colon], name[colon+1:]
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	if err == nil {
		h.Form, h.Own = HostAddress, isOwn(addr.Unmap(), local)
	}
	return h
}

// isOwn reports whether the machine has the address. local is the one that the sender has connected to.
func isOwn(addr, local netip.Addr) bool {
	if addr == local.WithZone("") || addr.IsLoopback() {
		return true
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		prefix, ok := i.(*net.IPNet)
		if !ok {
			continue
		}
		if own, ok := netip.AddrFromSlice(prefix.IP); ok && own.Unmap() == addr {
			return true
		}
	}
	return false
}
