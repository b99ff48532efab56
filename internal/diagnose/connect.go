package diagnose

import (
	"slices"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

var connectEntries = slices.Concat(listenerEntries, unansweredEntries, stuckEntries)

// listenerEntries are about who listens, and where.
var listenerEntries = []*Entry{
	{
		Code:    "bound-to-loopback",
		Title:   "the service listens on loopback only",
		Stage:   StageConnect,
		Seen:    "refused at the machine's own address, accepted at 127.0.0.1 or ::1",
		Cause:   "the service listens on the loopback address alone, the default of many development servers, so nobody from outside reaches it",
		Decides: "the same check on the target itself, at 127.0.0.1",
		Fixes: []Fix{
			{"", "let the service listen on 0.0.0.0 (or ::), or on {address}:\n    ss -ltnp 'sport = :{port}'   shows where it listens now"},
			{"Express", "app.listen({port}, '0.0.0.0')"},
			{"Next.js", "next start --hostname 0.0.0.0 --port {port}"},
			{"Vite", "vite preview --host 0.0.0.0 --port {port}"},
			{"Flask", "flask run --host 0.0.0.0 --port {port}"},
			{"Django", "manage.py runserver 0.0.0.0:{port}, or better gunicorn"},
			{"gunicorn", "gunicorn --bind 0.0.0.0:{port} …"},
			{"Starlette", "uvicorn --host 0.0.0.0 --port {port} …"},
			{"Rails", "bin/rails server --binding 0.0.0.0 --port {port}"},
			{"Spring Boot", "application.properties: remove server.address=127.0.0.1,\nand management.server.address if the check asks the actuator"},
			{"ASP.NET", "ASPNETCORE_URLS=http://+:{port}"},
			{"Go", "http.ListenAndServe(\":{port}\", handler)"},
		},
		Wrong:   Wrong{"taking the load balancer for broken because curl on localhost works", "that curl goes over loopback, and a load balancer cannot"},
		Sources: []string{"Go, Node 20, Flask 2.2 and Python 3.11, tried"},

		match: func(c *kase) clue {
			if !c.refused() || c.x.Address.Addr().IsLoopback() {
				return no
			}
			return maybe("connection refused at " + c.x.Address.String())
		},
		prove: func(in *inquiry) finding { return connects(in, dialect.Variation{At: dialect.Loopback}) },
	},
	{
		Code:    "one-address-family",
		Title:   "the service listens on one address family only",
		Stage:   StageConnect,
		Seen:    "refused over IPv4 and accepted over IPv6 at the same name, or the other way round",
		Cause:   "the service listens on one address family alone, and the check asks at an address of the other",
		Decides: "the same check at the name's address of the other family",
		Fixes: []Fix{
			{"", "listen on both families: on :: without IPV6_V6ONLY, or on\n0.0.0.0 and on :: separately"},
			{"nginx", "listen {port};\nlisten [::]:{port};"},
		},
		Sources: []string{"nginx 1.22.1 with listen [::1], tried"},

		match: func(c *kase) clue {
			if !c.refused() || c.name() == "" || c.name() == "localhost" && c.x.Address.Addr().Is6() {
				return no
			}
			return maybe("connection refused at " + c.x.Address.Addr().String())
		},
		prove: otherFamilyConnects,
	},
	{
		Code:    "connection-refused",
		Title:   "nothing listens on this address and port",
		Stage:   StageConnect,
		Seen:    "the connection is refused, within milliseconds",
		Cause:   "nothing listens on {address} port {port}: the service does not run, or listens on loopback or another port only",
		Decides: "the same check on the target itself, at 127.0.0.1; ss -ltnp 'sport = :{port}' shows there who listens",
		Fixes: []Fix{
			{"", "on the target, see what listens, and where:\n    ss -ltnp 'sport = :{port}'\nthen start the service, or correct the health check's port"},
			{"Kubernetes", "the probe's port must be one that the container listens on:\n    kubectl exec POD -- ss -ltn\n    kubectl logs --previous POD"},
		},
		Covers:  []string{"bound-to-loopback", "one-address-family", "localhost-is-ipv6-first", "wrong-port"},
		Sources: []string{"a closed port, tried", "repost.aws: troubleshoot-classic-health-checks"},

		match: func(c *kase) clue {
			if !c.refused() {
				return no
			}
			return fitting("connection refused at " + c.x.Address.String())
		},
		// The more particular cause takes what it explains: bound-to-loopback, one-address-family, localhost-is-ipv6-first.
		prove: func(in *inquiry) finding {
			var places []dialect.Variation
			if !in.x.Address.Addr().IsLoopback() {
				places = append(places, dialect.Variation{At: dialect.Loopback})
			}
			if in.name() != "" {
				places = append(places, dialect.Variation{At: dialect.OtherFamily})
			}
			found := undecided("")
			for _, place := range places {
				switch answer := in.ask(place); {
				case answer.answers():
					return disproof(says(place, answer))
				case answer != nil && answer.x.Outcome == triage.Refused && found.kind == open:
					found = proof(says(place, answer))
				}
			}
			return found
		},
	},
	{
		Code:    "wrong-port",
		Title:   "the health check asks another port than the service's",
		Stage:   StageConnect,
		Seen:    "refused or silent on the port of the check, while another port of the same machine answers",
		Cause:   "the check asks port {port}, and the service listens on another: a port of its own in the check, a PORT variable that is not heeded, or a dynamic port of a container",
		Decides: "the port that the service names when it starts, against {port}",
		Fixes: []Fix{
			{"", "check the port that takes the traffic, or correct the port of the\nhealth check; on the target: ss -ltnp"},
			{"AWS", "aws elbv2 modify-target-group --target-group-arn ARN \\\n    --health-check-port traffic-port"},
		},
		Sources: []string{"terraform-up-and-running #39", "docs.railway.com: deployments/healthchecks"},

		match: func(c *kase) clue {
			if !c.refused() && c.x.Outcome != triage.ConnectTimeout {
				return no
			}
			return maybe()
		},
	},
}

// stuckEntries are about targets that are there and do not answer, or are never asked.
var stuckEntries = []*Entry{
	{
		Code:    "target-not-in-use",
		Title:   "nobody asks this target",
		Stage:   StageConnect,
		Seen:    "AWS shows unused with Target.NotInUse, and the instance sees no request at all",
		Cause:   "the target group is attached to no listener, or the load balancer has no subnet in the target's zone: the instance is innocent",
		Fixes:   []Fix{{"", "name the group in a listener or rule, and enable the target's zone:\n    aws elbv2 describe-target-groups --target-group-arns ARN \\\n        --query 'TargetGroups[].LoadBalancerArns'\n    aws elbv2 set-subnets --load-balancer-arn ARN --subnets …"}},
		Unseen:  true,
		Sources: []string{"AWS: target-group-health-checks"},
	},
	{
		Code:    "process-frozen",
		Title:   "the process is stopped or stuck",
		Stage:   StageConnect,
		Seen:    "connected, and then nothing; later not even connected, because the kernel's queue of connections is full",
		Cause:   "the kernel makes connections in the name of a process that no longer takes them: it hangs, is deadlocked, or was stopped",
		Decides: "another path of the same server, which a process that hangs does not answer either; on the target ss -ltn, whose Recv-Q is the queue",
		Fixes: []Fix{
			{"", "on the target: a full queue in ss -ltn (Recv-Q) and a process that\nhangs; take a stack trace of it before the restart\n    ss -ltn 'sport = :{port}'"},
			{"Go", "kill -QUIT PID   prints all goroutines"},
			{"Java", "jstack PID"},
			{"Python", "py-spy dump --pid PID"},
		},
		Wrong:   Wrong{"a tcp check in place of the http check", "it passes while the process is stopped: the kernel answers for it"},
		Sources: []string{"a process under SIGSTOP, tried", "cloudfoundry/switchboard #7"},

		match: func(c *kase) clue {
			switch c.x.Outcome {
			case triage.ConnectTimeout, triage.TLSTimeout, triage.ResponseTimeout:
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: func(in *inquiry) finding {
			if in.x.Outcome != triage.ResponseTimeout || in.path() == "/" {
				return undecided("")
			}
			question := dialect.Variation{Path: "/"}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.x.Status != 0:
				return disproof(says(question, answer))
			default:
				return undecided("none: " + says(question, answer))
			}
		},
	},
	{
		Code:    "mesh-wants-its-own-tls",
		Title:   "the service mesh resets connections without a certificate of the mesh",
		Stage:   StageConnect,
		Seen:    "connected, then reset without an answer, where a sidecar of Istio listens in STRICT mode",
		Cause:   "a sidecar in STRICT mode takes nothing but the mesh's own mutual TLS, and the checker has no certificate of the mesh",
		Decides: "kubectl get peerauthentication --all-namespaces, and whether probes are rewritten (sidecar.istio.io/rewriteAppHTTPProbers)",
		Fixes: []Fix{
			{"", "leave Istio's rewriting of probes on, or spare the probe's port:\n    traffic.sidecar.istio.io/excludeInboundPorts: \"{port}\""},
		},
		Wrong:   Wrong{"PERMISSIVE for the whole mesh", "every workload then takes plain text from anybody"},
		Sources: []string{"istio #41010", "istio #53786", "istio #11467"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ResetBeforeAnswer || !c.silent() || c.x.Dialect != triage.Kubelet {
				return no
			}
			return maybe(c.evidence()...)
		},
	},
}

// evidence is the outcome, with its detail, where there is not more to say.
func (c *kase) evidence() []string {
	if c.x.Detail == "" {
		return []string{c.x.Outcome.Info().Sentence}
	}
	return []string{c.x.Outcome.Info().Sentence + " (" + c.x.Detail + ")"}
}

// refused reports whether the address and port that the check names refuse the connection, not those of a redirect.
func (c *kase) refused() bool { return c.x.Outcome == triage.Refused && !c.followed() }

// answers reports whether what was asked speaks the check's protocol, whatever it says: another program may have the port
// at another address.
func (c *kase) answers() bool { return c.passes() || c != nil && (c.x.Status != 0 || c.x.GRPC != nil) }

// connects proves that a question which goes elsewhere is answered, where the check was refused.
func connects(in *inquiry, question dialect.Variation) finding {
	switch answer := in.ask(question); {
	case answer == nil:
		return undecided("")
	case answer.answers():
		return proof(says(question, answer))
	case answer.x.Outcome.Info().Layer == triage.LayerConnect:
		return disproof(says(question, answer))
	}
	return undecided("")
}

func otherFamilyConnects(in *inquiry) finding {
	return connects(in, dialect.Variation{At: dialect.OtherFamily})
}
