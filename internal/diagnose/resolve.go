package diagnose

import (
	"net/netip"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

var resolveEntries = []*Entry{
	{
		Code:    "name-not-found",
		Title:   "the target's name does not exist",
		Stage:   StageResolve,
		Seen:    "the resolver knows no such name, or no address for it",
		Cause:   "the resolver answers that there is no such name: it is mistyped, or its zone is not known in this network",
		Decides: "resolve the name from inside the load balancer's network, as in getent hosts NAME, not from a laptop",
		Fixes: []Fix{
			{"", "correct the name, or link the private zone to the network\nthat the load balancer resolves in; getent hosts NAME shows it there"},
		},
		Wrong:   Wrong{"writing today's address in place of the name", "it goes stale with the next machine, and the checks then ask a stranger"},
		Sources: []string{"a resolver's NXDOMAIN, tried", "Azure: application-gateway-backend-health-troubleshooting"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome != triage.ResolveFailed || resolverFault(c.x.Detail):
				return no
			case c.x.Detail == "":
				return fitting("no such name")
			}
			return fitting(c.x.Detail)
		},
	},
	{
		Code:    "resolver-unavailable",
		Title:   "the resolver does not answer",
		Stage:   StageResolve,
		Seen:    "looking the name up times out, is refused, or ends with the resolver's own failure (SERVFAIL)",
		Cause:   "the name could not be looked up because the resolver itself failed: that says nothing about the name",
		Decides: "ask the resolver of /etc/resolv.conf for any other name",
		Fixes: []Fix{
			{"", "see which resolver this machine asks, and whether it is reached:\n    cat /etc/resolv.conf\n    getent hosts example.com"},
		},
		Wrong:   Wrong{"writing today's address in place of the name", "it goes stale with the next machine, and the checks then ask a stranger"},
		Sources: []string{"the words of Go's resolver", "Azure: application-gateway-backend-health-troubleshooting"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ResolveFailed || !resolverFault(c.x.Detail) {
				return no
			}
			return certainly(c.x.Detail)
		},
	},
	{
		Code:   "stale-address-probed",
		Title:  "the load balancer still asks an address that the name had before",
		Stage:  StageResolve,
		Seen:   "Azure Application Gateway shows Unknown for a backend, or asks an address that its name no longer has",
		Cause:  "the name could not be resolved of late, and the gateway keeps the last address until its configuration is written anew",
		Fixes:  []Fix{{"", "repair the name's resolution first, then save the gateway's\nconfiguration once more, which makes it resolve again"}},
		Unseen: true,
		Sources: []string{
			"Azure: application-gateway-backend-health-troubleshooting",
		},
	},
	{
		Code:    "localhost-is-ipv6-first",
		Title:   "localhost means ::1 here, and nothing listens there",
		Stage:   StageResolve,
		Seen:    "refused on localhost, while 127.0.0.1 answers",
		Cause:   "the check asks localhost, which is ::1 first in this place, and the service listens on IPv4 only",
		Decides: "the same check at 127.0.0.1",
		Fixes: []Fix{
			{"", "ask 127.0.0.1 in the health check, not localhost, or let the\nservice listen on both families"},
			{"Docker", "Dockerfile (BusyBox wget never tries the second address):\n    HEALTHCHECK CMD wget -qO- http://127.0.0.1:{port}{path}"},
		},
		Wrong:   Wrong{"removing the health check", "a container that hangs is then kept for ever"},
		Sources: []string{"wallabag/docker #407", "kellnr #802", "portchecker.io #362", "seedsync #180"},

		match: func(c *kase) clue {
			if !c.refused() || c.name() != "localhost" || !c.x.Address.Addr().Is6() {
				return no
			}
			return maybe("localhost was asked at " + c.x.Address.Addr().String())
		},
		prove: otherFamilyConnects,
	},
	{
		Code:    "address-family-not-admitted",
		Title:   "the page is refused over one address family",
		Stage:   StageResolve,
		Seen:    "403 or 404 over IPv6, while the same name is answered over IPv4, or the other way round",
		Cause:   "the server admits the health page's visitors by address, and its list has no address of this family",
		Decides: "the same request at the name's address of the other family",
		Fixes: []Fix{
			{"", "put the checker's address of this family into the list as well,\nor ask by an address of the family that is admitted"},
			{"GitLab", "gitlab.rb, or ask 127.0.0.1 in place of localhost:\n    gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128']"},
		},
		Sources: []string{"docker-gitlab #2992", "docker-gitlab #3002"},

		match: func(c *kase) clue {
			if !c.mismatch(403, 404) || c.name() == "" {
				return no
			}
			return maybe(c.statusLine(), "asked at "+c.x.Address.Addr().String())
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{At: dialect.OtherFamily}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.passes():
				return proof(says(question, answer))
			default:
				return disproof(says(question, answer))
			}
		},
	},
	{
		Code:  "url-as-path",
		Title: "the path of the health check is a whole URL",
		Stage: StageResolve,
		Seen:  "404 or 400, and the path that was asked for begins with /http:// or /https://",
		Cause: "a whole URL was typed into a field that wants a path, so the check asks for a page of the name {path}",
		Fixes: []Fix{
			{"", "give the path alone, from the slash behind the host name:\n    /health in place of https://example.com/health"},
		},
		Sources: []string{"station.railway.com, health-check-404-e68d1906"},

		match: func(c *kase) clue {
			path := strings.ToLower(strings.TrimPrefix(c.path(), "/"))
			if c.x.Outcome != triage.CodeMismatch || c.x.Status < 400 || !strings.HasPrefix(path, "http:/") && !strings.HasPrefix(path, "https:/") {
				return no
			}
			return fitting(c.statusLine(), "path: "+c.path())
		},
	},
}

// resolverFault reports whether the words are of a resolver that failed, not of one that knows no such name.
func resolverFault(detail string) bool {
	for _, words := range [...]string{"server misbehaving", "i/o timeout", "connection refused", "network is unreachable", "no DNS servers", "deadline exceeded"} {
		if strings.Contains(detail, words) {
			return true
		}
	}
	return false
}

// name is the target's host if it was given by name; "" if by address.
func (c *kase) name() string {
	host, _, err := c.x.Key.Target.Split()
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}
