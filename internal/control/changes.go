package control

import (
	"fmt"
	"slices"

	"github.com/triage-lb/triage"
)

// changesBetween says in a few words what a new config changes, for the log.
func changesBetween(old, news triage.Config) []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	for _, l := range news.Listeners {
		switch i := slices.IndexFunc(old.Listeners, func(o triage.Listener) bool { return o.Name == l.Name }); {
		case i < 0:
			say("listener %s added", l.Name)
		case old.Listeners[i] != l:
			say("listener %s changed", l.Name)
		}
	}
	for _, l := range old.Listeners {
		if !slices.ContainsFunc(news.Listeners, func(n triage.Listener) bool { return n.Name == l.Name }) {
			say("listener %s removed", l.Name)
		}
	}
	for _, g := range news.Groups {
		if i := slices.IndexFunc(old.Groups, func(o triage.Group) bool { return o.Name == g.Name }); i < 0 {
			say("group %s added", g.Name)
		} else {
			groupChanges(old.Groups[i], g, say)
		}
	}
	for _, g := range old.Groups {
		if !slices.ContainsFunc(news.Groups, func(n triage.Group) bool { return n.Name == g.Name }) {
			say("group %s removed", g.Name)
		}
	}
	if !slices.Equal(old.AllowTargets, news.AllowTargets) {
		say("allow_targets changed")
	}
	if len(said) == 0 {
		say("comments or layout only")
	}
	return said
}

func groupChanges(old, news triage.Group, say func(format string, args ...any)) {
	before := make(map[triage.TargetID]triage.Target, len(old.Targets))
	for _, t := range old.Targets {
		before[t.ID] = t
	}
	added, changed := 0, 0
	for _, t := range news.Targets {
		if was, known := before[t.ID]; !known {
			added++
		} else if was != t {
			changed++
		}
		delete(before, t.ID)
	}
	if added+changed+len(before) > 0 {
		say("group %s: %d targets added, %d removed, %d changed", news.Name, added, len(before), changed)
	}
	if old.HealthCheck != news.HealthCheck {
		say("group %s: health check changed", news.Name)
	}
	for _, s := range []struct {
		key       string
		was, will any
	}{
		{"protocol", old.Protocol, news.Protocol},
		{"none_healthy", old.NoneHealthy, news.NoneHealthy},
		{"deregistration_delay", triage.DurationText(old.DeregistrationDelay), triage.DurationText(news.DeregistrationDelay)},
		{"connect_timeout", triage.DurationText(old.ConnectTimeout), triage.DurationText(news.ConnectTimeout)},
		{"response_timeout", triage.DurationText(old.ResponseTimeout), triage.DurationText(news.ResponseTimeout)},
		{"idle_timeout", triage.DurationText(old.IdleTimeout), triage.DurationText(news.IdleTimeout)},
	} {
		if s.was != s.will {
			say("group %s: %s %s, was %s", news.Name, s.key, s.will, s.was)
		}
	}
}
