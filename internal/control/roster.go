package control

import (
	"net/netip"
	"slices"

	"github.com/triage-lb/triage"
)

// rostersOf combines the config with the addresses that its names have right now.
func rostersOf(config triage.Config, resolver Resolver) []triage.Roster {
	routed := map[triage.GroupName]bool{}
	for _, l := range config.Listeners {
		routed[l.Default.Forward] = true
	}
	policy := config.Policy()
	rosters := make([]triage.Roster, len(config.Groups))
	for i, g := range config.Groups {
		r := triage.Roster{Group: g, Routed: routed[g.Name], Policy: policy}
		r.Members = make([]triage.Member, 0, len(g.Targets))
		for _, t := range g.Targets {
			r.Members = appendMembers(r.Members, g.Name, t, resolver)
		}
		rosters[i] = r
	}
	return rosters
}

// appendMembers appends a member for each address of the target, or one without an address.
func appendMembers(to []triage.Member, group triage.GroupName, t triage.Target, resolver Resolver) []triage.Member {
	m := triage.Member{Key: triage.Key{Group: group, Target: t.ID}, Weight: max(t.Weight, 1)}
	if t.Drain {
		m.Person = triage.PersonDrained
	}
	if ap, ok := t.ID.AddrPort(); ok {
		m.Key.Address = ap
		return append(to, m)
	}
	host, port, err := t.ID.Split()
	var addrs []netip.Addr
	if err == nil {
		addrs, err = resolver.Lookup(host)
	}
	if err != nil || len(addrs) == 0 {
		m.Unresolved = host + " has no address"
		if err != nil {
			m.Unresolved = err.Error()
		}
		return append(to, m)
	}
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range slices.Compact(addrs) {
		m.Key.Address = netip.AddrPortFrom(a, port)
		to = append(to, m)
	}
	return to
}

// namesIn returns the names that the config's targets have instead of addresses, each once.
func namesIn(config triage.Config) []string {
	var names []string
	for _, g := range config.Groups {
		for _, t := range g.Targets {
			if _, isAddress := t.ID.AddrPort(); isAddress {
				continue
			}
			if host, _, err := t.ID.Split(); err == nil {
				names = append(names, host)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sameMembers(a, b []triage.Roster) bool {
	return slices.EqualFunc(a, b, func(r, s triage.Roster) bool { return slices.Equal(r.Members, s.Members) })
}
