package triage

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressPolicy says where triage may connect to. A config, or a DNS answer that somebody else controls,
// must not be able to turn the balancer against the machine's own metadata service or its own admin address.
// The zero value refuses only what is always refused.
type AddressPolicy struct {
	Admin   netip.AddrPort // our own admin address; not valid if it is a unix socket
	Allowed []netip.Prefix // allow_targets in the config: exceptions to the rules below
}

// metadataAddresses are the services that hand out a machine's credentials: EC2 over IPv4 and IPv6, ECS tasks,
// Azure's wire server, Alibaba Cloud.
var metadataAddresses = [...]netip.Addr{
	netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("169.254.170.2"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("100.100.100.200"),
}

// Check returns nil if a connection to the address is allowed, else an error of [KindDenied] that says why
// and what would allow it. An IPv4 address inside an IPv6 one is looked at as IPv4.
func (p AddressPolicy) Check(to netip.AddrPort) error {
	addr := to.Addr().Unmap().WithZone("")
	for _, prefix := range p.Allowed {
		if prefix.Contains(addr) {
			return nil
		}
	}
	what := ""
	switch {
	case addr.IsUnspecified() || addr.IsMulticast():
		what = "not the address of one machine"
	case addr.IsLinkLocalUnicast():
		what = "link-local"
	case p.isAdmin(addr, to.Port()):
		what = "triage's own admin address"
	default:
		for _, m := range metadataAddresses {
			if addr == m {
				what = "a cloud's metadata service"
			}
		}
	}
	if what == "" {
		return nil
	}
	return &Error{
		Kind:    KindDenied,
		Message: fmt.Sprintf("%s is %s: not connected", to, what),
		Hint:    fmt.Sprintf("if this is meant, add allow_targets: [%s] to the config", netip.PrefixFrom(addr, addr.BitLen())),
	}
}

func (p AddressPolicy) isAdmin(addr netip.Addr, port uint16) bool {
	if !p.Admin.IsValid() || p.Admin.Port() != port {
		return false
	}
	return p.Admin.Addr().Unmap() == addr
}

// Equal reports whether two policies allow the same.
func (p AddressPolicy) Equal(other AddressPolicy) bool {
	return p.Admin == other.Admin && slices.Equal(p.Allowed, other.Allowed)
}
