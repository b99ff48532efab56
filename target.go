package triage

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// TargetID names a target within its group: the text "host:port" as it is written in the config, where host
// is an IPv4 address, an IPv6 address in brackets, or a name.
type TargetID string

// Target is one server of a group, as registered.
type Target struct {
	ID     TargetID
	Weight int  // share of the group's requests, 1 to 256; 0 means 1
	Drain  bool // a person took it out of rotation: what runs may finish, nothing new comes
}

// Key names one address of one target of one group. A target that is a name with several addresses is
// several keys: each is checked, counted and balanced on its own. Health is kept by key, so the same
// address in two groups has two healths.
type Key struct {
	Group   GroupName
	Target  TargetID
	Address netip.AddrPort // not valid while the target's name does not resolve
}

// String is the target as people know it, with the address behind it where that is not the same text.
func (k Key) String() string {
	if !k.Address.IsValid() || k.Address.String() == string(k.Target) {
		return string(k.Target)
	}
	return fmt.Sprintf("%s (%s)", k.Target, k.Address)
}

// Split returns the host and the port of the target. The host of an IPv6 address comes without brackets.
func (id TargetID) Split() (host string, port uint16, err error) {
	return SplitHostPort(string(id))
}

// AddrPort returns the target's address if it is written as an address, not as a name.
func (id TargetID) AddrPort() (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(string(id))
	return ap, err == nil
}

// SplitHostPort splits "host:port" and checks both: the host is an address or a name that DNS could hold,
// the port a number from 1 to 65535. Its errors are sentences for the person who wrote s.
func SplitHostPort(s string) (host string, port uint16, err error) {
	return splitHostPort(s, "8000")
}

// splitHostPort is SplitHostPort; usual is the port that its errors suggest.
func splitHostPort(s, usual string) (host string, port uint16, err error) {
	colon := strings.LastIndexByte(s, ':')
	switch {
	case s == "":
		return "", 0, fmt.Errorf("%q is no address: write 127.0.0.1:%s", s, usual)
	case strings.Contains(s, "/"):
		return "", 0, fmt.Errorf("%q: write the address alone: %s", s, addressIn(s, usual))
	case colon < 0 && strings.Trim(s, "0123456789") == "":
		return "", 0, fmt.Errorf("%q has no host: write 127.0.0.1:%s", s, s)
	case colon < 0:
		return "", 0, fmt.Errorf("%q has no port: write %s:%s", s, s, usual)
	}
	host = s[:colon]
	switch bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"); {
	case bracketed:
		host = host[1 : len(host)-1]
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, fmt.Errorf("%q: %q is not an IPv6 address", s, host)
		}
	case strings.Contains(host, ":"):
		return "", 0, fmt.Errorf("%q: write an IPv6 address in brackets, as in [::1]:8000", s)
	case host == "":
		return "", 0, fmt.Errorf("%q has no host: write 127.0.0.1%s", s, s)
	default:
		if err := checkHost(host); err != nil {
			return "", 0, fmt.Errorf("%q: %w", s, err)
		}
	}
	n, err := strconv.ParseUint(s[colon+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q: the port must be a number from 1 to 65535", s)
	}
	return host, uint16(n), nil
}

// addressIn is the address within a URL, or within what somebody wrote a path behind.
func addressIn(s, usual string) string {
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case !isURL:
		rest = s
	case scheme == "http":
		usual = "80"
	case scheme == "https":
		usual = "443"
	}
	address, _, _ := strings.Cut(rest, "/")
	if strings.LastIndexByte(address, ':') <= strings.LastIndexByte(address, ']') {
		address += ":" + usual
	}
	if address[0] == ':' {
		address = "127.0.0.1" + address
	}
	return address
}

// checkHost accepts an IPv4 address or a host name (letters, digits, hyphens and, because people use them
// inside networks of containers, underscores).
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if strings.Trim(host, "0123456789.") == "" {
		return fmt.Errorf("%q is not an IPv4 address", host)
	}
	if len(host) > 253 {
		return fmt.Errorf("the host name is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%q is not a host name", host)
		}
		for _, c := range []byte(label) {
			if !isAlphanumeric(c) && c != '-' && c != '_' {
				return fmt.Errorf("%q is not a host name", host)
			}
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isWord reports whether the character is a letter or digit of ASCII, or one of others.
func isWord(c rune, others string) bool {
	return c < utf8.RuneSelf && isAlphanumeric(byte(c)) || strings.ContainsRune(others, c)
}
