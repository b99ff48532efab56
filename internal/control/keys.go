package control

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/triage-lb/triage"
)

// The keys of the config file, each with its meaning. What is not here is an error in a file.

var fileKeys = []key[triage.Config]{
	{"admin", "mapping", "Where the command line reaches this balancer.",
		func(r *reader, n *node, path string, to *triage.Config) { readMapping(r, n, path, adminKeys, to) }},
	{"listeners", "list of listeners", "The addresses where clients come in.", readListeners},
	{"groups", "list of groups", "The target groups: servers that do the same work.", readGroups},
	{"allow_targets", "list of prefixes", "Addresses or prefixes that may be connected to although they are link-local, a cloud's metadata service, or triage's own admin address.", readAllowed},
}

var adminKeys = []key[triage.Config]{
	{"listen", "text", "Address and port on loopback, or unix:/path of a socket. Default 127.0.0.1:7380. A change needs a restart.",
		func(r *reader, n *node, path string, to *triage.Config) { readText(r, n, path, &to.Admin) }},
}

var listenerKeys = []key[triage.Listener]{
	{"name", "text", "Names the listener in logs and metrics: letters, digits, - _ and .",
		func(r *reader, n *node, path string, to *triage.Listener) { readText(r, n, path, &to.Name) }},
	{"listen", "text", "Address and port: 127.0.0.1:8080, \"[::1]:8080\", or :8080 for every address of the machine.",
		func(r *reader, n *node, path string, to *triage.Listener) { readText(r, n, path, &to.Listen) }},
	{"protocol", "protocol", "What clients speak: http, which is the default.",
		func(r *reader, n *node, path string, to *triage.Listener) { readProtocol(r, n, path, &to.Protocol) }},
	{"default", "mapping", "What to do with a request.",
		func(r *reader, n *node, path string, to *triage.Listener) {
			readMapping(r, n, path, actionKeys, &to.Default)
		}},
}

var actionKeys = []key[triage.Action]{
	{"forward", "text", "The name of the group that requests go to.",
		func(r *reader, n *node, path string, to *triage.Action) { readText(r, n, path, &to.Forward) }},
}

var groupKeys = []key[triage.Group]{
	{"name", "text", "Names the group in commands, logs and metrics: letters, digits, - _ and .",
		func(r *reader, n *node, path string, to *triage.Group) { readText(r, n, path, &to.Name) }},
	{"protocol", "protocol", "What the targets speak: http, which is the default.",
		func(r *reader, n *node, path string, to *triage.Group) { readProtocol(r, n, path, &to.Protocol) }},
	{"targets", "list of targets", "The servers. Each is host:port, or a mapping with address, weight and drain.", readTargets},
	{"health_check", "mapping", "What is asked of each target, how often, and what counts as a pass.",
		func(r *reader, n *node, path string, to *triage.Group) { readHealthCheck(r, n, path, &to.HealthCheck) }},
	{"none_healthy", "none_healthy", "What happens to a request when no target is healthy: fail-open sends it to any target (the default), \"503\" answers 503.",
		func(r *reader, n *node, path string, to *triage.Group) { readText(r, n, path, &to.NoneHealthy) }},
	{"deregistration_delay", "duration", "How long requests may still run on a target that was removed. Default 5m, 0s to 1h.",
		func(r *reader, n *node, path string, to *triage.Group) { r.duration(n, path, &to.DeregistrationDelay) }},
	{"connect_timeout", "duration", "How long a connection to a target may take. Default 1s, 1ms to 1m.",
		func(r *reader, n *node, path string, to *triage.Group) { r.duration(n, path, &to.ConnectTimeout) }},
	{"response_timeout", "duration", "How long a target may take from the request to the head of its answer. Default 30s, 1ms to 1h.",
		func(r *reader, n *node, path string, to *triage.Group) { r.duration(n, path, &to.ResponseTimeout) }},
	{"idle_timeout", "duration", "How long a request may go without a byte in either direction. Default 1m, 1ms to 1h.",
		func(r *reader, n *node, path string, to *triage.Group) { r.duration(n, path, &to.IdleTimeout) }},
}

var targetKeys = []key[triage.Target]{
	{"address", "text", "host:port. The host is an IPv4 address, an IPv6 address in brackets, or a name.",
		func(r *reader, n *node, path string, to *triage.Target) { readText(r, n, path, &to.ID) }},
	{"weight", "number", "The target's share of the group's requests: 1, the default, to 256.", readWeight},
	{"drain", "boolean", "true takes the target out of rotation; what runs on it may finish.",
		func(r *reader, n *node, path string, to *triage.Target) { readBoolean(r, n, path, &to.Drain) }},
}

func readText[S ~string](r *reader, n *node, path string, to *S) {
	if s, ok := r.text(n, path); ok {
		*to = S(s)
	}
}

func readNumber(r *reader, n *node, path string, to *int) {
	if i, ok := r.number(n, path); ok {
		*to = i
	}
}

func readBoolean(r *reader, n *node, path string, to *bool) {
	if b, ok := r.boolean(n, path); ok {
		*to = b
	}
}

func readProtocol(r *reader, n *node, path string, to *triage.Protocol) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	p, err := triage.ParseProtocol(s)
	if err != nil {
		r.errorf(n, suggest(s, words(triage.Protocols())), "%s", err)
		return
	}
	*to = p
}

func readWeight(r *reader, n *node, path string, to *triage.Target) {
	w, ok := r.number(n, path)
	if ok && w == 0 {
		r.errorf(n, "to take the target out of rotation write drain: true", "weight 0 is outside 1-256")
		return
	}
	if ok {
		to.Weight = w
	}
}

func readListeners(r *reader, n *node, path string, to *triage.Config) {
	readList(r, n, path, func(_ int, n *node, path string) {
		l := triage.Listener{Protocol: triage.HTTP}
		readMapping(r, n, nameOf(n, "listener", path), listenerKeys, &l)
		to.Listeners = append(to.Listeners, l)
	})
}

func readGroups(r *reader, n *node, path string, to *triage.Config) {
	readList(r, n, path, func(_ int, n *node, path string) {
		g := triage.DefaultGroup()
		readMapping(r, n, nameOf(n, "group", path), groupKeys, &g)
		to.Groups = append(to.Groups, g)
	})
}

// nameOf is what people call an entry that has a name; path is what the others are called.
func nameOf(entry *node, what, path string) string {
	if name := entry.get("name"); name.written() && name.form == text {
		return fmt.Sprintf("%s %q", what, name.text)
	}
	return path
}

func readTargets(r *reader, n *node, path string, to *triage.Group) {
	if n.form == sequence {
		to.Targets = slices.Grow(to.Targets, len(n.items))
	}
	readList(r, n, path, func(_ int, n *node, path string) {
		var t triage.Target
		if n.form == mapping {
			readMapping(r, n, path, targetKeys, &t)
		} else {
			readText(r, n, path, &t.ID)
		}
		to.Targets = append(to.Targets, t)
	})
}

func readAllowed(r *reader, n *node, path string, to *triage.Config) {
	readList(r, n, path, func(_ int, n *node, path string) {
		s, ok := r.text(n, path)
		if !ok {
			return
		}
		prefix, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); err != nil && aerr == nil {
			prefix, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			r.errorf(n, "write an address (169.254.7.9) or a prefix (10.0.0.0/8, fd00::/8)", "%s: %q is not an address or a prefix", path, s)
			return
		}
		to.AllowTargets = append(to.AllowTargets, prefix.Masked())
	})
}
