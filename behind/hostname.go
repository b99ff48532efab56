package behind

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// hostname is what a Host header names once the port, the letter case, the
// brackets and the root dot are gone: either a DNS name or an address. The zero
// hostname stands for a request without a host.
type hostname struct {
	name string     // lower case, no trailing dot; empty for an address
	addr netip.Addr // un-mapped; the zero Addr for a name
}

// String is the form that goes into a URL: IPv6 in brackets.
func (h hostname) String() string {
	switch {
	case !h.addr.IsValid():
		return h.name
	case h.addr.Is6():
		return "[" + h.addr.String() + "]"
	default:
		return h.addr.String()
	}
}

// parseHostname reads a Host header (RFC 9110 section 7.2: host, optional
// colon and port). It is stricter than the grammar of URLs: a name consists of
// letters, digits, "-" and "_" between single dots, since no other byte appears
// in a name that a site is reached by, and every other byte has been used to
// confuse two parsers. False means that the host is no host.
func parseHostname(s string) (hostname, bool) {
	if s == "" {
		return hostname{}, true
	}
	if s[0] == '[' {
		return parseBracketed(s)
	}
	host, port, _ := strings.Cut(s, ":")
	if !validPort(port) {
		return hostname{}, false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !validName(host) {
		return hostname{}, false
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return hostname{addr: addr}, true
	}
	return hostname{name: host}, true
}

func parseBracketed(s string) (hostname, bool) {
	literal, rest, closed := strings.Cut(s[1:], "]")
	if !closed || rest != "" && (rest[0] != ':' || !validPort(rest[1:])) {
		return hostname{}, false
	}
	addr, err := netip.ParseAddr(literal)
	// A zone means something on the sender's machine only.
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return hostname{}, false
	}
	return hostname{addr: addr.Unmap()}, true
}

// validPort allows the empty port of "example.org:" (RFC 3986 section 3.2.3).
func validPort(port string) bool {
	if port == "" {
		return true
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// validName holds a lower-case name to the lengths of RFC 1035 section 2.3.4.
// Underscores are no part of a host's name there, but of names given by
// container tools.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// hostList is a compiled list of hosts; immutable.
type hostList struct {
	names map[string]bool     // admits the name
	below map[string]bool     // admits the name and every name below it
	addrs map[netip.Addr]bool // admits the address
}

// newHostList compiles entries as Django's ALLOWED_HOSTS writes them.
func newHostList(entries []string) (hostList, error) {
	list := hostList{names: map[string]bool{}, below: map[string]bool{}, addrs: map[netip.Addr]bool{}}
	for _, entry := range entries {
		if err := list.add(entry); err != nil {
			return hostList{}, fmt.Errorf("allowed host %q: %w", entry, err)
		}
	}
	return list, nil
}

func (l hostList) add(entry string) error {
	if addr, err := netip.ParseAddr(entry); err == nil && addr.Zone() == "" {
		l.addrs[addr.Unmap()] = true
		return nil
	}
	suffix, wildcard := strings.CutPrefix(entry, ".")
	host, ok := parseHostname(suffix)
	switch {
	case entry == "*":
		return errors.New("a list that admits every host protects nothing; leave it out instead")
	case strings.HasPrefix(entry, "*."):
		return fmt.Errorf("write %q, which admits the name itself and all names below it", entry[1:])
	case strings.Contains(entry, "://"):
		return errors.New("write the host alone, without scheme and path")
	case suffix == "" || !ok:
		return errors.New("not a host name or an IP address (an international name is written in its xn-- form)")
	case host.name == "" && wildcard:
		return errors.New("nothing is below an address; write it without the dot")
	case strings.LastIndexByte(suffix, ':') > strings.LastIndexByte(suffix, ']'):
		return fmt.Errorf("write %q: the port of a request is not compared", strings.TrimSuffix(entry, suffix)+host.String())
	case host.addr.IsValid():
		l.addrs[host.addr] = true
	case wildcard:
		l.below[host.name] = true
	default:
		l.names[host.name] = true
	}
	return nil
}

// admits reports whether h is on the list. The zero hostname never is.
func (l hostList) admits(h hostname) bool {
	if h.addr.IsValid() {
		return l.addrs[h.addr]
	}
	if l.names[h.name] || l.below[h.name] {
		return true
	}
	for _, rest, more := strings.Cut(h.name, "."); more; _, rest, more = strings.Cut(rest, ".") {
		if l.below[rest] {
			return true
		}
	}
	return false
}
