package triage

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ListenerName names a listener.
type ListenerName string

// Listener is an address where clients come in.
type Listener struct {
	Name     ListenerName
	Listen   string // "address:port"; ":8080" is every address of the machine
	Protocol Protocol
	Default  Action // what to do with a request
}

// Action is what a listener does with a request.
type Action struct {
	Forward GroupName // send it to a target of this group
}

// takes reports whether a connection to the address, if it leads to this machine, surely ends at the listener: the
// same address, or any loopback address where the listener takes all.
func (l Listener) takes(to netip.AddrPort) bool {
	host, port, err := net.SplitHostPort(strings.Replace(l.Listen, "localhost:", "127.0.0.1:", 1))
	if err != nil || port != strconv.Itoa(int(to.Port())) {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if host == "" || err == nil && addr.IsUnspecified() {
		return to.Addr().Unmap().IsLoopback()
	}
	return err == nil && addr.Unmap() == to.Addr().Unmap()
}

// Validate returns what is wrong with the listener, each problem at its key within the listener.
func (l Listener) Validate() Problems {
	var ps Problems
	ps.name(string(l.Name), "listener")
	ps.listenAddress("listen", l.Listen)
	if l.Protocol != HTTP {
		ps.errorf("protocol", "a listener's protocol %q is not served: use http", l.Protocol)
	}
	return ps
}
