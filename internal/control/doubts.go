package control

import (
	"fmt"

	"github.com/triage-lb/triage"
)

// doubts returns the warnings: settings that may be served and yet are hardly meant.
func (f *File) doubts() []fault {
	routed := map[triage.GroupName]bool{}
	for _, l := range f.Config.Listeners {
		routed[l.Default.Forward] = true
	}
	var found []fault
	warn := func(path, hint, format string, args ...any) {
		found = append(found, fault{line: f.root.lineOf(path), message: fmt.Sprintf(format, args...), hint: hint, warning: true})
	}
	for i, g := range f.Config.Groups {
		at := fmt.Sprintf("groups[%d]", i)
		switch {
		case !routed[g.Name]:
			warn(at, "name it in a listener's default: {forward: …}", "no listener forwards to group %q: its targets are unused", g.Name)
		case len(g.Targets) == 0:
			warn(at+".targets", "", "group %q has no targets: every request to it is answered 503", g.Name)
		}
		check := f.root.get("groups").items[i].value.get("health_check")
		if !check.get("protocol").written() {
			warn(at+".health_check", "write protocol: http and a path that asks what the site needs; or protocol: tcp if that is enough",
				"group %q is checked over tcp, because health_check.protocol is not set: tcp sees only that the port answers, also while every page is an error 500", g.Name)
		}
		if g.HealthCheck.Protocol.Asks() {
			continue
		}
		for _, key := range []string{"path", "success_codes", "host"} {
			if check.get(key).written() {
				warn(at+".health_check."+key, "", "%s means nothing to a %s check of group %q: no request is sent", key, g.HealthCheck.Protocol, g.Name)
			}
		}
	}
	return found
}
