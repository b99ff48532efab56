package diagnose

import (
	"slices"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// timingEntries are those of the stages timing and flapping.
var timingEntries = slices.Concat(slowEntries, startEntries, loadEntries, flappingEntries)

// slowEntries are about answers that come too late.
var slowEntries = []*Entry{
	{
		Code:    "health-path-slow",
		Title:   "this path does not answer in time, others do",
		Stage:   StageTiming,
		Seen:    "connected and asked, no answer within the timeout; another path of the same server is answered",
		Cause:   "the server answers other paths in time: {path} itself is slow, or the part of the application that it is handed to hangs",
		Decides: "the same request to another path, and then to the same path again",
		Fixes: []Fix{
			{"", "let the check ask for something that waits for nobody: no database,\nno other service, no session, no template"},
			{"nginx", "in nginx: where does {path} go, and is that alive?\n    tail /var/log/nginx/error.log   has \"upstream timed out\""},
			{"Spring Boot", "/actuator/health asks every dependency in turn; for a load balancer\nthere is /actuator/health/readiness"},
			{"Django", "answer {path} in a middleware that stands first in MIDDLEWARE"},
		},
		Wrong:   Wrong{"a longer timeout", "a target that hangs stays in rotation that much longer, and a slow database takes all targets out at once"},
		Sources: []string{"Node 20 with one slow path, tried", "infra #660", "AWS Builders' Library: Implementing health checks"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ResponseTimeout || c.path() == "/" || len(c.x.Sent) > 0 && !c.asksForPage() {
				return no
			}
			return maybe(c.evidence()...)
		},
		prove: func(in *inquiry) finding {
			other := dialect.Variation{Path: "/"}
			fast := in.ask(other)
			if fast == nil || fast.x.Status == 0 || fast.x.Status >= 500 {
				return undecided("") // a proxy's 502 is quick, and no answer of the application
			}
			again := dialect.Variation{Current: true}
			slow := in.ask(again)
			if slow == nil || slow.x.Outcome != triage.ResponseTimeout {
				return undecided("") // it comes and goes: then load is as good a reason
			}
			if text, ok := in.passesByName(); ok {
				return disproof(text)
			}
			return proof(says(other, fast) + "; and " + says(again, slow))
		},
	},
	{
		Code:    "workers-busy",
		Title:   "all workers are busy, and the check waits in their queue",
		Stage:   StageTiming,
		Seen:    "timeouts that come with load and go with it; \"WORKER TIMEOUT\" in gunicorn's log",
		Cause:   "the health check waits in the same queue as slow requests: the application is alive, and has no worker free in time",
		Decides: "on the target, ss -ltn: a Recv-Q above 0 on the listening socket is requests that no worker has taken",
		Fixes: []Fix{
			{"", "answer checks beside the queue: a thread or a port of their own, or\nthe proxy in front, which tells a full queue from a dead application;\nlimit how many requests may wait, and refuse the rest with 503"},
			{"gunicorn", "a slow request holds a sync worker:\n    gunicorn --worker-class gthread --workers 2 --threads 8 …"},
			{"Tomcat", "the actuator on a connector of its own: management.server.port"},
		},
		Wrong:   Wrong{"using the check to restart targets (a liveness probe on the same queue)", "busy targets are killed under load, and the rest get their load as well"},
		Sources: []string{"gunicorn with one sync worker, tried", "gunicorn #1417, #2467", "perma #3855", "egg #2414"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ResponseTimeout {
				return no
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:    "timeout-too-short",
		Title:   "the check's timeout is shorter than the answer takes",
		Stage:   StageTiming,
		Seen:    "timeouts with a limit of a second or two (a kubelet's default is 1 s), answers with a longer one",
		Cause:   "the answer takes longer than this check's timeout, which is short",
		Decides: "the same check with --timeout 30s, which shows how long the answer takes",
		Fixes: []Fix{
			{"", "make the answer fast first (what does it wait for?), then give the\ncheck a timeout well above what it takes, and below the interval"},
			{"Kubernetes", "readinessProbe:\n    timeoutSeconds: 5"},
		},
		Wrong:   Wrong{"a timeout of a minute", "a target that hangs stays in rotation for that long, times the threshold"},
		Sources: []string{"kubernetes.io: probes", "jina #5594"},

		match: func(c *kase) clue {
			const short = 2500 * time.Millisecond
			if c.x.Outcome != triage.ResponseTimeout || c.x.Took > short {
				return no
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:  "idle-connections-hold-workers",
		Title: "connections that say nothing hold the workers",
		Stage: StageTiming,
		Seen:  "CRITICAL WORKER TIMEOUT in gunicorn's log with hardly any load, and checks that flap",
		Cause: "a load balancer opens connections before it has requests for them, or keeps them open, and each of them holds one synchronous worker",
		Fixes: []Fix{
			{"", "put a proxy that reads whole requests in front of the application,\nor use workers that wait for many connections at once"},
			{"gunicorn", "gunicorn --worker-class gthread --threads 8 …\nor nginx in front of it, as its documentation asks for"},
		},
		Wrong:   Wrong{"a longer worker timeout", "the worker is held longer"},
		Sources: []string{"gunicorn #1194, #1296"},
		Unseen:  true,
	},
	{
		Code:    "clocks-out-of-order",
		Title:   "the timeouts are not in order",
		Stage:   StageTiming,
		Seen:    "workers that are recycled before the check gives up, or long after; checks that overlap",
		Cause:   "the limits of worker, check and interval do not follow each other, so one gives up while the next still waits",
		Fixes:   []Fix{{"", "worker's limit < check's timeout < interval;\ntime to detect = interval × threshold + timeout; drain for longer:\n    triage validate triage.yaml   computes these"}},
		Sources: []string{"manage.get.gov #5159", "aisix #995"},
		Unseen:  true,
	},
	{
		Code:  "check-behind-middleware",
		Title: "the check goes through all that a page goes through",
		Stage: StageTiming,
		Seen:  "a check that gets slow, or fails, when the database does, although it asks nothing of it",
		Cause: "the health check is an ordinary page: sessions, users and settings are loaded from the database before it answers",
		Fixes: []Fix{
			{"", "answer {path} first in the chain, before sessions and login"},
			{"Django", "a middleware of its own, first in MIDDLEWARE, that answers {path}"},
			{"Rails", "a Rack middleware at the top, or rails/health#show without the\nApplicationController"},
			{"Express", "app.get('{path}', …) above all app.use(…)"},
		},
		Sources: []string{"infra #660"},
		Unseen:  true,
	},
}

// startEntries are about targets that are not ready yet.
var startEntries = []*Entry{
	{
		Code:    "killed-while-starting",
		Title:   "the target is replaced before it has started",
		Stage:   StageTiming,
		Seen:    "instances or tasks that are replaced for ever, each after threshold × interval; \"failed ELB health checks\"",
		Cause:   "the start takes longer than threshold times interval, and whoever replaces failed targets grants no time for it",
		Decides: "triage check --wait 300s --grace 60s against a fresh target: when it first passes",
		Fixes: []Fix{
			{"", "grant more time than the slowest start takes, and then fewer checks;\nfind it out:\n    triage check --wait 300s http://{address}:{port}{path}"},
			{"AWS", "ECS: healthCheckGracePeriodSeconds of the service;\nAuto Scaling: --health-check-grace-period of the group"},
			{"Kubernetes", "a startupProbe with failureThreshold × periodSeconds above the\nslowest start; the others wait for it"},
		},
		Wrong:   Wrong{"a tcp check, which passes as soon as the port is open", "requests come before the application can answer them"},
		Sources: []string{"amazon-ecs-agent #169, #191, #534", "aws-cdk #16906"},
		Unseen:  true,
	},
	{
		Code:    "liveness-during-start",
		Title:   "the liveness probe restarts a container that still starts",
		Stage:   StageTiming,
		Seen:    "CrashLoopBackOff during migrations or a first run; exit code 137 or 143 and no error of the application",
		Cause:   "the liveness probe counts from the container's start, and migrations or seeding take longer than it waits",
		Decides: "kubectl describe pod: \"Liveness probe failed\" before \"Killing\"",
		Fixes:   []Fix{{"", "startupProbe:\n    httpGet: { path: {path}, port: {port} }\n    periodSeconds: 5\n    failureThreshold: 60      # five minutes\nand let one job migrate, not every replica"}},
		Wrong:   Wrong{"a long initialDelaySeconds", "every start then waits that long, and a hang is seen that much later"},
		Sources: []string{"goiabada #390", "kubernetes.io: probes"},
		Unseen:  true,
	},
}

// loadEntries are about what checks do to targets.
var loadEntries = []*Entry{
	{
		Code:  "busy-targets-killed",
		Title: "the routing check is used to replace targets",
		Stage: StageTiming,
		Seen:  "under a peak of load healthy tasks are stopped, one after the other, and capacity falls while load rises",
		Cause: "the same verdict stops traffic and replaces the target, so a target that is only busy is killed",
		Fixes: []Fix{
			{"", "route by the load balancer's check, and replace by another that only\nasks whether the process is alive"},
			{"AWS", "Auto Scaling: health check type EC2 in place of ELB; ECS: a threshold\nfar above what a peak lasts"},
		},
		Sources: []string{"containers-roadmap #1271"},
		Unseen:  true,
	},
	{
		Code:    "health-is-home-page",
		Title:   "the check asks for the home page",
		Stage:   StageTiming,
		Seen:    "load on the database that comes from checks alone; a check of / that takes hundreds of milliseconds",
		Cause:   "the path of the check is /, which builds a whole page for every load balancer's node every few seconds",
		Fixes:   []Fix{{"", "give the check a path of its own that costs nothing:\n    GET /healthz → 200, a few bytes"}},
		Sources: []string{"morphic #145"},
		Unseen:  true,
	},
	{
		Code:    "checks-multiply",
		Title:   "the checks themselves are the load",
		Stage:   StageTiming,
		Seen:    "more checks per second in the access log than the interval lets expect",
		Cause:   "every node of the load balancer, in every zone or data centre, checks every target by itself, so their number is a product",
		Decides: "triage listen, or the access log: how many different addresses check",
		Fixes:   []Fix{{"", "nodes × zones × targets ÷ interval is the rate: count it, then choose\nthe interval; and let a check cost nothing"}},
		Sources: []string{"Cloudflare: load balancing FAQ", "discourse #41569"},
		Unseen:  true,
	},
	{
		Code:    "check-has-side-effects",
		Title:   "the health check does something when it fails",
		Stage:   StageTiming,
		Seen:    "mails, tickets or retries by the hundred while something is down, from the health page itself",
		Cause:   "the health page alerts, mails or repairs when it finds a fault, and every checker calls it every few seconds",
		Fixes:   []Fix{{"", "let the page say what is so and do nothing else; alerts belong to\nwhoever counts its answers"}},
		Sources: []string{"stevenmaglio.blogspot.com, 2017-09-23"},
		Unseen:  true,
	},
}

// asksForPage reports whether the request is one for a page: GET or HEAD of HTTP/1.
func (c *kase) asksForPage() bool {
	method := string(c.asked.Method)
	return method == "GET" || method == "HEAD"
}
