package triage

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Config is everything a person can ask of a balancer. It says nothing of where it was written; the file
// belongs to internal/control.
type Config struct {
	Admin        string // "address:port" on loopback, or "unix:/path"
	Listeners    []Listener
	Groups       []Group
	AllowTargets []netip.Prefix // exceptions to AddressPolicy
}

// DefaultAdmin is the admin address of a config that names none.
const DefaultAdmin = "127.0.0.1:" + adminPort

const adminPort = "7380"

// Validate returns what is wrong with the whole config. The config may be served if none of the problems is
// an error.
func (c Config) Validate() Problems {
	var ps Problems
	if err := CheckAdmin(c.Admin); err != nil {
		ps.errorf("admin.listen", "%s", err)
	}
	groups := make(map[GroupName]int, len(c.Groups))
	for i, g := range c.Groups {
		at := index("groups", i)
		ps.add(at, g.Validate())
		if first, twice := groups[g.Name]; twice {
			ps.errorf(at+".name", "group %q is there twice (also number %d)", g.Name, first+1)
		}
		groups[g.Name] = i
		ps.addressesOf(at, g, c.Policy())
		c.findLoops(&ps, at, g)
	}
	listeners := make(map[ListenerName]bool, len(c.Listeners))
	addresses := make(map[string]ListenerName, len(c.Listeners))
	for i, l := range c.Listeners {
		at := index("listeners", i)
		ps.add(at, l.Validate())
		if listeners[l.Name] {
			ps.errorf(at+".name", "listener %q is there twice", l.Name)
		}
		listeners[l.Name] = true
		if other, twice := addresses[l.Listen]; twice {
			ps.errorf(at+".listen", "listener %q already listens on %s", other, l.Listen)
		}
		addresses[l.Listen] = l.Name
		if c.isAdmin(l.Listen) {
			ps.hintf(at+".listen", "give one of the two another port", "listener %q would take the admin address %s", l.Name, c.Admin)
		}
		if _, known := groups[l.Default.Forward]; !known {
			hint := ""
			if near := c.nearestGroup(l.Default.Forward); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			ps.hintf(at+".default", hint, "listener %q forwards to group %q, which does not exist", l.Name, l.Default.Forward)
		}
	}
	return ps
}

// findLoops reports targets that are one of our own listeners: a request to it would come back for ever. Names are
// looked at when they are connected to.
func (c Config) findLoops(ps *Problems, at string, g Group) {
	for i, t := range g.Targets {
		addr, ok := t.ID.AddrPort()
		if !ok {
			continue
		}
		for _, l := range c.Listeners {
			if l.takes(addr) {
				ps.hintf(at+"."+index("targets", i), "name the application's own address", "target %s is listener %q of this balancer: its requests would come back for ever", t.ID, l.Name)
			}
		}
	}
}

// nearestGroup is the group whose name somebody may have meant; "" if there is none.
func (c Config) nearestGroup(typed GroupName) string {
	names := make([]string, len(c.Groups))
	for i, g := range c.Groups {
		names[i] = string(g.Name)
	}
	return Nearest(string(typed), names)
}

// isAdmin reports whether a listener at this address would take connections of the admin address.
func (c Config) isAdmin(listen string) bool {
	admin := c.Policy().Admin
	host, port, err := net.SplitHostPort(listen)
	if err != nil || !admin.IsValid() || port != strconv.Itoa(int(admin.Port())) {
		return false
	}
	if host == "" {
		return true // every address of the machine
	}
	addr, err := netip.ParseAddr(strings.Replace(host, "localhost", "127.0.0.1", 1))
	if err == nil && addr.IsUnspecified() {
		return addr.Is4() == admin.Addr().Is4()
	}
	return err == nil && addr == admin.Addr()
}

// Policy is where the config lets triage connect to.
func (c Config) Policy() AddressPolicy {
	admin, _ := netip.ParseAddrPort(strings.Replace(c.Admin, "localhost:", "127.0.0.1:", 1)) // not valid for a socket
	return AddressPolicy{Admin: admin, Allowed: c.AllowTargets}
}

// addressesOf reports targets that the policy would never let us connect to, at start instead of at night.
func (ps *Problems) addressesOf(at string, g Group, policy AddressPolicy) {
	for i, t := range g.Targets {
		if addr, ok := t.ID.AddrPort(); ok {
			if err := policy.Check(addr); err != nil {
				*ps = append(*ps, Problem{Path: at + "." + index("targets", i), Message: err.Error(), Hint: HintOf(err)})
			}
		}
	}
}

// CheckAdmin returns an error unless the admin address is one that only this machine can reach: a loopback
// address with a port, localhost, or a unix socket.
func CheckAdmin(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("admin address %q: write the socket's whole path, as in unix:/run/triage/admin.sock", s)
		}
		return nil
	}
	if strings.HasPrefix(s, "/") {
		return fmt.Errorf("admin address %q: write unix:%s", s, s)
	}
	host, _, err := splitHostPort(s, adminPort)
	if err != nil {
		return fmt.Errorf("admin address %w", err)
	}
	addr, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !addr.Unmap().IsLoopback()) {
		return fmt.Errorf("admin address %q is not a loopback address: anybody who can reach it could edit the balancer, "+
			"so only 127.0.0.0/8, [::1], localhost and unix: are served", s)
	}
	return nil
}

// Problem is one thing that is wrong, or doubtful, in a config.
type Problem struct {
	Path    string // where: "groups[0].health_check.timeout"
	Message string // what
	Hint    string // what to do; may be empty
	Warning bool   // doubtful, not wrong: the config may be served
}

// Problems is all that is wrong with a config, in the order of its parts.
type Problems []Problem

// Errors returns the problems that are not warnings.
func (ps Problems) Errors() Problems {
	var errs Problems
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, p)
		}
	}
	return errs
}

func (ps *Problems) errorf(path, format string, args ...any) { ps.hintf(path, "", format, args...) }

func (ps *Problems) hintf(path, hint, format string, args ...any) {
	*ps = append(*ps, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// add takes over the problems of a part that stands at path.
func (ps *Problems) add(path string, part Problems) {
	for _, p := range part {
		p.Path = path + "." + p.Path
		*ps = append(*ps, p)
	}
}

func index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// name checks the name of a group or listener: it appears in URLs, metrics and logs.
func (ps *Problems) name(name, what string) {
	if name == "" {
		ps.errorf("name", "the %s has no name", what)
		return
	}
	for _, c := range name {
		if !isWord(c, "-_.") {
			ps.errorf("name", "the %s's name %q holds %q: use letters, digits, - _ and .", what, name, c)
			return
		}
	}
	if len(name) > 64 {
		ps.errorf("name", "the %s's name is longer than 64 bytes", what)
	}
}

func (ps *Problems) duration(key string, d, low, high time.Duration) {
	if d < low || d > high {
		ps.errorf(key, "%s %s is outside %s-%s", key, DurationText(d), DurationText(low), DurationText(high))
	}
}

// DurationText is a duration as people write it: 1h, not 1h0m0s.
func DurationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (ps *Problems) listenAddress(key, s string) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		ps.errorf(key, "listen address %q: write address:port, as in 127.0.0.1:8080, [::1]:8080 or :8080", s)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		ps.errorf(key, "listen address %q: the port must be a number from 1 to 65535", s)
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		ps.errorf(key, "listen address %q: %q is not an address of this machine", s, host)
	}
}
