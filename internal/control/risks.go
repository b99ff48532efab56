package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/triage-lb/triage"
)

// risk is a setting, or two together, that a check may have and whoever wrote it may regret.
type risk struct{ key, hint, message string }

// Bounds from which on somebody is asked whether that is meant.
const (
	leastRest  = 5           // the part of an interval, as 1/n, that a check should leave between itself and the next
	muchAsking = time.Second // an interval below it asks a target more than 60 times a minute
)

// risks looks at the settings that somebody has written. Those of another load balancer, where only its name is written,
// are what was asked for.
func risks(g triage.Group, check *node) []risk {
	h, written := g.HealthCheck, func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return check.get(key).written() })
	}
	var found []risk
	add := func(key, hint, format string, args ...any) {
		found = append(found, risk{key, hint, fmt.Sprintf(format, args...)})
	}
	if written("interval", "timeout") && h.Timeout > h.Interval-h.Interval/leastRest {
		key := "timeout"
		if !written(key) {
			key = "interval"
		}
		add(key, "a timeout of half the interval leaves it room",
			"timeout %s of group %q is nearly the whole interval %s: a target that is slow is checked without a pause", triage.DurationText(h.Timeout), g.Name, triage.DurationText(h.Interval))
	}
	if written("interval") && h.Interval < muchAsking {
		add("interval", "a longer interval, with a short transition_interval, notices a failure nearly as soon",
			"each target of group %q is asked %.0f times a minute, whether it is well or not", g.Name, time.Minute.Seconds()/h.Interval.Seconds())
	}
	if h.ReuseConnection && h.Thresholds.Unhealthy == 1 && (h.Protocol == triage.HTTP || h.Protocol == triage.HTTPS) {
		add("reuse_connection", "unhealthy_threshold: 2, or a connection for each check",
			"one failed check takes a target of group %q out, and a kept connection that dies in silence, as behind a firewall, is one", g.Name)
	}
	switch {
	case h.Protocol.IsGRPC():
		if written("grpc_codes") && h.GRPCCodes.Match(unimplemented) {
			add("grpc_codes", "serve grpc.health.v1 and let 0 pass alone",
				"grpc_codes %q of group %q lets 12 pass, the answer of every server that has no such method: it says nothing about the application", h.GRPCCodes, g.Name)
		}
	case h.Protocol.Asks():
		if what := accepted(h.SuccessCodes); what != "" && written("success_codes") {
			add("success_codes", `"200-299", or better the one code that the path answers when all is well`,
				"success_codes %q of group %q counts %s as healthy", h.SuccessCodes, g.Name, what)
		}
	}
	return found
}

// unimplemented is gRPC's status of a method that the server does not know.
const unimplemented = 12

// accepted says which answers that are no success a matcher accepts; "" if none.
func accepted(m triage.Matcher) string {
	var redirects, errors bool
	for code := 300; code <= 599; code++ {
		if m.Match(code) {
			redirects, errors = redirects || code < 400, errors || code >= 400
		}
	}
	switch {
	case redirects && errors:
		return "redirects and errors"
	case redirects:
		return "a redirect"
	case errors:
		return "an error"
	}
	return ""
}
