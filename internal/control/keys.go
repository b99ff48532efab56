package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
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

var healthCheckKeys = []key[triage.HealthCheck]{
	{"as", "dialect", "The load balancer as which targets are asked and judged, as in triage check --as: aws-alb, kubelet and so on. Its settings are the defaults of the other keys. Default triage, our own dialect, which has the defaults that are named there.", readAs},
	{"protocol", "protocol", "tcp (the default) passes when the connection is made, tls when the handshake completes, http and https when the status code is a success code.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readProtocol(r, n, path, &to.Protocol) }},
	{"port", "port", "The port to check: traffic-port (the default), which is the target's own, or a number.", readPort},
	{"path", "text", "What to ask for, with http and https. Default /.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Path) }},
	{"success_codes", "codes", "The status codes that pass, with http and https: \"200\" (the default), \"200,202\" or \"200-299\".", readCodes},
	{"host", "text", "The Host header to send. Default: the target's address and port, which is what AWS sends.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Host) }},
	{"interval", "duration", "From the start of one check to the start of the next. Default 5s, 100ms to 1h.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Interval) }},
	{"timeout", "duration", "For the whole check, from before the connect to the last byte. Default 2s, from 10ms to less than the interval; with as, to the whole interval.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Timeout) }},
	{"healthy_threshold", "number", "How many passes in a row bring an unhealthy target back. Default 2, 1 to 100.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readNumber(r, n, path, &to.Thresholds.Healthy)
		}},
	{"unhealthy_threshold", "number", "How many failures in a row take a healthy target out. Default 2, 1 to 100.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readNumber(r, n, path, &to.Thresholds.Unhealthy)
		}},
	{"unhealthy_interval", "duration", "The interval of a target that is unhealthy: longer to spare it, shorter to have it back sooner. Default 0s: use the interval; else 100ms to 1h, and more than the timeout.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			r.duration(n, path, &to.UnhealthyInterval)
		}},
	{"transition_interval", "duration", "The interval between the first result that disagrees with a target's state and the last that its threshold asks for. Default 0s: use the interval; else 100ms to 1h, and more than the timeout.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			r.duration(n, path, &to.TransitionInterval)
		}},
	{"jitter", "duration", "Each check starts up to this much later, at random. Default 0s, at most half of the shortest interval.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Jitter) }},
	{"reuse_connection", "boolean", "true asks again on the connection of the check before, with http and https: cheaper, but blind to a target that takes no new connections. Default false: a connection for each check.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readBoolean(r, n, path, &to.ReuseConnection)
		}},
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
		r.errorf(n, suggest(s, []string{"tcp", "tls", "http", "https"}), "%s", err)
		return
	}
	*to = p
}

func readAs(r *reader, n *node, path string, to *triage.HealthCheck) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	spec, err := dialect.Lookup(s)
	if err != nil {
		r.errorf(n, triage.HintOf(err), "%s: %s", path, err)
		return
	}
	to.As = spec.Name
	if spec.Name == triage.Own {
		to.As = ""
	}
}

// readHealthCheck reads a check whose defaults depend on one of its own keys, wherever that stands.
func readHealthCheck(r *reader, n *node, path string, to *triage.HealthCheck) {
	if as := n.get("as"); as.written() {
		first := reader{getenv: r.getenv} // what is wrong is told below
		readAs(&first, as, path, to)
		*to = defaultsOf(to.As)
	}
	readMapping(r, n, path, healthCheckKeys, to)
}

func readPort(r *reader, n *node, path string, to *triage.HealthCheck) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	if s == trafficPort {
		to.Port = 0
		return
	}
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil || p == 0 {
		r.errorf(n, "", "%s: %q is neither %s nor a number from 1 to 65535", path, s, trafficPort)
		return
	}
	to.Port = uint16(p)
}

func readCodes(r *reader, n *node, path string, to *triage.HealthCheck) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	codes, err := triage.ParseMatcher(s)
	if err != nil {
		r.errorf(n, "", "%s", err)
		return
	}
	to.SuccessCodes = codes
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

// trafficPort is AWS's word for "the port that the target has traffic on".
const trafficPort = "traffic-port"
