package guard

import (
	"net/netip"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/attempt"
)

// group is the name of the one group. Its only target is the upstream.
const group triage.GroupName = "upstream"

// resolvePatience is how long requests wait at start for the upstream's name to resolve.
const resolvePatience = 2 * time.Second

// Resolver keeps the addresses behind the upstream's name up to date. Whoever owns it runs it for as long as the
// guard runs, and calls [Guard.Resolved] when its answers have changed. None of its methods wait for the network,
// but for Set.
type Resolver interface {
	// Set says which names are wanted, and waits for their first answers as long as patience says.
	Set(names []string, patience time.Duration)
	// Lookup returns what is known about a name that was set.
	Lookup(name string) ([]netip.Addr, error)
	// Refresh says that the addresses of a name do not answer.
	Refresh(name string)
}

// Resolved tells the guard that the addresses of the upstream's name may have changed. Any goroutine may call it.
func (g *Guard) Resolved() {
	g.mu.Lock()
	defer g.mu.Unlock()
	members := g.members()
	roster := triage.Roster{Group: triage.DefaultGroup(), Members: members, Routed: true}
	roster.Name = group
	roster.Targets = []triage.Target{{ID: g.config.Upstream}}
	// Nobody checks the upstream, so nothing is claimed of its health: it stays initial, and the group fails open.
	roster.NoneHealthy = triage.FailOpen
	g.table.Publish([]triage.Roster{roster})
	g.logUpstream(members)
}

func (g *Guard) findUpstream() {
	if host, ok := g.upstreamName(); ok {
		g.config.Resolver.Set([]string{host}, resolvePatience)
	}
	g.Resolved()
}

// upstreamName returns the name of an upstream that is not given by its address.
func (g *Guard) upstreamName() (string, bool) {
	if _, isAddr := g.config.Upstream.AddrPort(); isAddr {
		return "", false
	}
	host, _, _ := g.config.Upstream.Split() // Validate has seen it
	return host, true
}

// members returns the upstream's addresses of this moment.
func (g *Guard) members() []triage.Member {
	id := g.config.Upstream
	member := func(addr netip.AddrPort) triage.Member {
		return triage.Member{Key: triage.Key{Group: group, Target: id, Address: addr}, Weight: 1}
	}
	host, isName := g.upstreamName()
	if !isName {
		addr, _ := id.AddrPort()
		return []triage.Member{member(addr)}
	}
	addrs, err := g.config.Resolver.Lookup(host)
	if err != nil || len(addrs) == 0 {
		unresolved := member(netip.AddrPort{})
		unresolved.Unresolved = "the name has no address"
		if err != nil {
			unresolved.Unresolved = err.Error()
		}
		return []triage.Member{unresolved}
	}
	_, port, _ := id.Split()
	members := make([]triage.Member, len(addrs))
	for i, addr := range addrs {
		members[i] = member(netip.AddrPortFrom(addr, port))
	}
	return members
}

// logUpstream logs what a name has resolved to, if that is news. The caller holds mu.
func (g *Guard) logUpstream(members []triage.Member) {
	if _, isName := g.upstreamName(); !isName {
		return
	}
	var addresses []string
	for _, m := range members {
		if m.Key.Address.IsValid() {
			addresses = append(addresses, m.Key.Address.String())
		}
	}
	text := strings.Join(addresses, " ")
	if text == "" {
		text = members[0].Unresolved
	}
	if text == g.upstream {
		return
	}
	g.upstream = text
	if len(addresses) == 0 {
		g.config.Log.Warn("the upstream's name does not resolve: requests get 503 until it does",
			"upstream", g.config.Upstream, "error", text, "hint", "check the name, or give --upstream an address")
		return
	}
	g.config.Log.Info("the upstream's name resolved", "upstream", g.config.Upstream, "addresses", text)
}

// suspect is called by the proxy for each exchange that the upstream refused, closed or garbled.
func (g *Guard) suspect(triage.Key) {
	if host, isName := g.upstreamName(); isName {
		g.config.Resolver.Refresh(host)
	}
}

// sentence tells a client why the upstream did not answer. Where the upstream is, only the log says: clients are
// strangers.
func sentence(why attempt.Reason, _ triage.GroupName) string {
	switch why {
	case attempt.ConnectFailed:
		return "no connection to the upstream could be made"
	case attempt.ConnectTimeout:
		return "the upstream did not accept a connection in time"
	case attempt.OutOfResources:
		return "the guard has no descriptor or port left"
	case attempt.ClosedBeforeAnswer:
		return "the upstream closed the connection without an answer"
	case attempt.BadAnswer:
		return "the upstream's answer is not valid HTTP"
	case attempt.ResponseTimeout:
		return "the upstream did not answer in time"
	case attempt.NoneHealthy:
		return "the upstream's name does not resolve" // the group fails open, so nothing else keeps it from answering
	}
	return why.Info().Sentence
}
