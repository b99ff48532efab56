package diagnose

// unseenDoubts are what makes a green check mean little without showing in any of its answers.
var unseenDoubts = []*Entry{
	{
		Code:     "passive-checks-only",
		Title:    "a target that answers 500 quickly is never taken out",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "users get 500 again and again from one upstream of nginx, which has max_fails and no active check",
		Cause:    "nginx's max_fails counts broken connections and timeouts, not answers: a 500 in time is a success to it",

		Fixes: []Fix{
			{"", "check actively, with a path of the application's own"},
			{"nginx", "in nginx without active checks:\n    proxy_next_upstream error timeout http_500 http_502 http_503;"},
		},
		Wrong:   Wrong{"a lower max_fails", "no number of 500s reaches it"},
		Sources: []string{"nginx 1.22.1, tried: of 12 requests every second one 500, with max_fails=1", "nginx/nginx-gateway-fabric #5694"},
		Unseen:  true,
	},
	{
		Code:     "return-skips-access-rules",
		Title:    "the health path of nginx answers whatever the rules around it say",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "200 from a location with return 200, although auth_basic, allow and deny or limit_req stand beside it",
		Cause:    "return belongs to the rewrite phase, which comes before access control and limits: it proves that nginx runs, and no more",

		Fixes:   []Fix{{"", "location = {path} { proxy_pass http://APP; }\nwhere the check should prove more than that nginx runs"}},
		Wrong:   Wrong{"relying on allow and deny beside a return", "everybody gets the answer"},
		Sources: []string{"nginx 1.22.1, tried"},
		Unseen:  true,
	},
	{
		Code:     "keep-alive-race",
		Title:    "checks are green, and users get a 502 now and then",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "sporadic 502 of the load balancer without a status of the target in its log, mostly after a pause",
		Cause:    "the target closes idle connections sooner than the load balancer gives them up, and a request meets the end; each check has a new connection and never does",

		Fixes: []Fix{
			{"", "let the target keep idle connections longer than the load balancer\n(Application Load Balancer: 60 s)"},
			{"Node", "server.keepAliveTimeout = 65000;\nserver.headersTimeout = 66000;   // Node closes after 5 s by itself"},
			{"nginx", "keepalive_timeout 75s;"},
			{"gunicorn", "gunicorn --keep-alive 75   (its worker sync has no keep-alive)"},
		},
		Wrong:   Wrong{"letting clients repeat what failed", "an order that was sent twice is placed twice"},
		Sources: []string{"Node 20: keepAliveTimeout is 5 s, tried", "ALB user guide, troubleshooting HTTP 502", "OpenCTI-Platform/opencti #17648", "PublicMapping/districtbuilder #448"},
		Unseen:  true,
	},
	{
		Code:     "up-before-first-check",
		Title:    "targets get traffic before their first check",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a burst of 5xx right after a start, a reload or a new address in DNS",
		Cause:    "HAProxy and Traefik take a target for healthy until a check says otherwise",

		Fixes: []Fix{
			{"", "where the load balancer can, begin with down"},
			{"HAProxy", "from 3.1 on, on the server lines:\n    server app1 10.0.0.5:8000 check init-state down"},
		},
		Wrong:   Wrong{"a shorter interval", "the first seconds after a start stay as they are"},
		Sources: []string{"haproxy/haproxy #51", "haproxy/haproxy #3405", "traefik/traefik #12654", "docs.haproxy.org 3.1, init-state"},
		Unseen:  true,
	},
	{
		Code:     "checked-at-deploy-only",
		Title:    "the check runs while deploying, and never again",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a service on Railway stays green for days after it has stopped answering",
		Cause:    "some platforms ask the health path only to decide when a new version may take over",

		Fixes:   []Fix{{"", "have something ask all the time: a load balancer or a monitor"}},
		Wrong:   Wrong{"reading the green mark as today's state", "it is the state of the last deployment"},
		Sources: []string{"docs.railway.com, healthchecks"},
		Unseen:  true,
	},
	{
		Code:     "check-beside-the-service",
		Title:    "the check asks something else than what serves users",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "green from a port, a thread, a parent process or a command of its own, while the service's port is closed or its workers hang",
		Cause:    "what answers the check lives on when the part that serves users has died or waits",

		Fixes:   []Fix{{"", "ask the traffic's own port, by a route that goes through the same\nworkers; let a watchdog end a process whose workers hang"}},
		Wrong:   Wrong{"a health thread of its own so that checks stay green under load", "it stays green when all else is dead, too"},
		Sources: []string{"goauthentik/authentik #19312", "avelino/mcp #66", "gpustack/gpustack #3189", "status.bluebox.net, load balancer update"},
		Unseen:  true,
	},
	{
		Code:     "two-checks-two-paths",
		Title:    "two checkers ask two paths and come to two results",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "the load balancer has taken all targets out, and the DNS failover or the monitor stays green, or the other way round",
		Cause:    "the paths answer different questions, and nobody has said which of them decides about traffic",

		Fixes:   []Fix{{"", "one path per question (route to me, replace me, tell people), and the\nsame one for all who ask the same question:\n    triage check --as all http://{address}:{port}{path}"}},
		Wrong:   Wrong{"one path for all questions", "what should take traffic away then restarts programs, and the other way round"},
		Sources: []string{"barkingiguana.com, aligning ALB and Route 53 health checks"},
		Unseen:  true,
	},
	{
		Code:     "truncated-answer-passes",
		Title:    "an answer that breaks off in the middle passes",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "fewer bytes than Content-Length says, and a load balancer that does not read content: HAProxy, Caddy, Traefik, Route 53",
		Cause:    "the head decides there, and the application dies after it",

		Fixes: []Fix{
			{"", "let the check look for text at the end of the content; see the\napplication's log for what ends the answer"},
			{"HAProxy", "http-check expect string ok"},
		},
		Wrong:   Wrong{"leaving it because the check is green", "users of an Application Load Balancer get 502 for such answers"},
		Sources: []string{"HAProxy 2.6.12, tried: up, and down with http-check expect string", "ALB user guide, troubleshooting"},
		Unseen:  true,
	},
}
