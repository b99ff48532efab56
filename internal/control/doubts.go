package control

import (
	"fmt"
	"slices"
	"time"

	"github.com/triage-lb/triage"
)

// doubts returns the warnings: settings that may be served and yet are hardly meant.
func (f *File) doubts(root *node) []fault {
	routed := map[triage.GroupName]bool{}
	for _, l := range f.Config.Listeners {
		routed[l.Default.Forward] = true
	}
	var found []fault
	warn := func(path, hint, format string, args ...any) {
		found = append(found, fault{line: root.lineOf(path), message: fmt.Sprintf(format, args...), hint: hint, warning: true})
	}
	for i, g := range f.Config.Groups {
		at := fmt.Sprintf("groups[%d]", i)
		switch {
		case !routed[g.Name]:
			warn(at, "name it in a listener's default: {forward: …}", "no listener forwards to group %q: its targets are unused", g.Name)
		case len(g.Targets) == 0:
			warn(at+".targets", fmt.Sprintf("triage target add %s HOST:PORT", g.Name), "group %q has no targets: every request to it is answered 503", g.Name)
		case !slices.ContainsFunc(g.Targets, func(t triage.Target) bool { return !t.Drain }):
			warn(at+".targets", fmt.Sprintf("triage target undrain %s %s", g.Name, g.Targets[0].ID), "every target of group %q drains: every request to it is answered 503", g.Name)
		}
		check := root.get("groups").items[i].value.get("health_check")
		if g.HealthCheck.As == "" && !check.get("protocol").written() {
			warn(at+".health_check", "write protocol: http and a path that asks what the site needs; or protocol: tcp if that is enough",
				"group %q is checked over tcp, because health_check.protocol is not set: tcp sees only that the port answers, also while every page is an error 500", g.Name)
		}
		for _, slow := range slowness(g, check) {
			warn(at+".health_check", "shorter intervals, above all transition_interval, or a smaller threshold make it sooner", "%s", slow)
		}
		for _, r := range risks(g, check) {
			warn(at+".health_check."+r.key, r.hint, "%s", r.message)
		}
		for _, key := range [...]string{"hold_down_limit", "hold_down_window"} {
			if g.HealthCheck.HoldDown.First == 0 && check.get(key).written() {
				warn(at+".health_check."+key, fmt.Sprintf("triage health-check set %s --hold-down 30s", g.Name), "%s %q means nothing in group %q, where hold_down is off", key, check.get(key).text, g.Name)
			}
		}
		for _, key := range meaningless(g.HealthCheck.Protocol) {
			// With its value, so that whoever edits it is told each time.
			if value := check.get(key.name); value.written() {
				warn(at+".health_check."+key.name, fmt.Sprintf(key.hint, g.Name), "%s %q means nothing to the check of group %q over %s%s", key.name, value.text, g.Name, g.HealthCheck.Protocol, key.why)
			}
		}
	}
	return found
}

// idleKey is a key that means nothing, with a hint that has a place for the group's name.
type idleKey struct{ name, why, hint string }

// meaningless returns the keys that mean nothing to a check of the protocol, though it may be edited to one to which they
// do. Those that somebody relies on are errors; see [triage.HealthCheck.Validate].
func meaningless(p triage.Protocol) []idleKey {
	const (
		overHTTP = "triage health-check set %s --protocol http"
		noReuse  = "triage health-check set %s --no-reuse-connection"
	)
	switch {
	case p.IsGRPC():
		return []idleKey{
			{"success_codes", ": its codes are gRPC's", "triage health-check set %s --grpc-codes 0"},
			{"reuse_connection", ": each has a connection of its own", noReuse},
		}
	case p.IsHTTP2():
		return []idleKey{
			{"grpc_codes", ": its codes are HTTP's", "triage health-check set %s --success-codes 200"},
			{"reuse_connection", ": each has a connection of its own", noReuse},
		}
	case p.Asks():
		return []idleKey{{"grpc_codes", ": its codes are HTTP's", "triage health-check set %s --success-codes 200"}}
	}
	var keys []idleKey
	for _, name := range []string{"path", "success_codes", "grpc_codes", "host", "reuse_connection"} {
		keys = append(keys, idleKey{name, ": no request is sent", overHTTP})
	}
	return keys
}

// How long targets may be in rotation that should not be, or the other way round, before somebody is asked whether
// that is meant.
const (
	longNoticed  = time.Minute
	longRestored = 5 * time.Minute
)

// slowness says what takes long by the settings that somebody has written. Those of another load balancer, where only its
// name is written, are what was asked for.
func slowness(g triage.Group, check *node) []string {
	paced := []string{"interval", "timeout", "unhealthy_interval", "transition_interval", "jitter", "healthy_threshold", "unhealthy_threshold", "threshold_window"}
	if !slices.ContainsFunc(paced, func(key string) bool { return check.get(key).written() }) {
		return nil
	}
	var found []string
	if _, most := detected(g.HealthCheck); most > longNoticed {
		found = append(found, fmt.Sprintf("a target of group %q that fails may take requests for another %s, until the check has noticed", g.Name, triage.DurationText(most)))
	}
	if _, most := recovered(g.HealthCheck); most > longRestored {
		found = append(found, fmt.Sprintf("a target of group %q that works again may stay out for another %s, until the check has noticed", g.Name, triage.DurationText(most)))
	}
	return found
}
