package diagnose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// greenEntries are about checks that pass. Those that are sure of themselves come first anyway; among the others the order
// is that of their questions, of which there are [MaxQuestions] for all together.
var greenEntries = slices.Concat(connectionDoubts, answerDoubts, pageDoubts, siteDoubts, unseenDoubts)

// connectionDoubts are about checks that end before an answer, or where it says nothing of the application.
var connectionDoubts = []*Entry{
	{
		Code:     "tcp-check-on-http-port",
		Title:    "the check connects and asks nothing, and the port answers HTTP",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a tcp or tls check passes on a port that answers an HTTP request",
		Cause:    "the kernel accepts connections for an application that hangs or answers 500 too, and this check asks for no more",

		Decides: "a GET of / over http, or https behind a TLS handshake, to the same port",
		Fixes: []Fix{
			{"", "let the check ask over http, or https where the port speaks TLS, for\na path that the application answers, and pass on 200"},
		},
		Wrong:   Wrong{"keeping TCP because the HTTP check fails", "the failure stays, and users find it instead of the load balancer"},
		Sources: []string{"a stopped process that still accepts connections, tried", "HAProxy 2.6.12 on a site that redirects, tried", "cloudfoundry/switchboard #7", "istio.io, health checking of services with mTLS", "chongkim.org, Health Check on a Django Server, 2018"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.Connected && c.x.Outcome != triage.Handshaken || spokenFor(c.x.Address.Port()) {
				return no
			}
			return maybe(c.x.Outcome.Info().Sentence)
		},
		prove: (*inquiry).answersHTTP,
	},
	{
		Code:     "grpc-unimplemented-passes",
		Title:    "the check passes because the server does not know the method",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a gRPC check passes with 12 UNIMPLEMENTED",
		Cause:    "12 UNIMPLEMENTED means that a gRPC server is there, whatever services it has, and whether they work or not",

		Decides: "the same call of the health service's method",
		Fixes: []Fix{
			{"", "register the gRPC health service (grpc.health.v1) in the server, if\nit is not, then\n    health check path:  " + dialect.HealthMethod + "\n    success codes:      0"},
		},
		Wrong:   Wrong{"keeping 12 in the success codes", "a server that has lost all its services passes"},
		Sources: []string{"ALB user guide, Health checks for your target groups, 2023", "xmtp/xmtp-node-go #183", "grpc/grpc-node #1764"},

		match: func(c *kase) clue {
			const unimplemented = 12
			if c.x.Outcome != triage.Matched || c.x.GRPC == nil || c.x.GRPC.Status != unimplemented {
				return no
			}
			return certainly("gRPC status " + triage.GRPCCodeText(unimplemented))
		},
		prove: func(in *inquiry) finding {
			answer := in.ask(dialect.Variation{Path: dialect.HealthMethod})
			if answer == nil || answer.x.GRPC == nil || answer.x.GRPC.Status < 0 {
				return undecided("")
			}
			return proof(fmt.Sprintf("the method %s: %s", dialect.HealthMethod, triage.GRPCCodeText(answer.x.GRPC.Status)))
		},
	},
	{
		Code:     "certificate-expires",
		Title:    "the target's certificate has expired or is about to",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a check over TLS passes with a certificate that has ended, or has less than a fifth of its time left and 14 days at most",
		Cause:    "whoever verifies the target's certificate refuses it from the day on which it ends, whatever this check says",

		Fixes:   []Fix{{"", renewal}},
		Wrong:   Wrong{"leaving it because this load balancer does not verify certificates", "the next one does, and so do the clients and the tools that ask the target directly"},
		Sources: []string{"nginx 1.22.1, tried", "kubernetes, pkg/probe/http: certificates are not verified", "ALB user guide, Target groups, 2023"},

		match: func(c *kase) clue {
			left, ends := endOfCertificate(c)
			if !ends {
				return no
			}
			return certainly("the certificate of "+cmp.Or(c.x.TLS.Subject, "the target")+" is valid until "+c.x.TLS.NotAfter.UTC().Format(time.DateTime)+" UTC", inDays(left))
		},
		tell: func(c *kase) (cause, fix string) {
			left, _ := endOfCertificate(c)
			fix = c.fill(renewal)
			if left < 0 {
				return "the target's certificate " + inDays(left) + ", and this check does not look at it: whoever verifies certificates refuses it", fix
			}
			return "the target's certificate " + inDays(left) + ": from then on whoever verifies it refuses the connection", fix
		},
	},
}

// answersHTTP proves that a port which was only connected to answers HTTP.
func (in *inquiry) answersHTTP() finding {
	protocols := []triage.Protocol{triage.HTTP, triage.HTTPS}
	if in.x.Outcome == triage.Handshaken {
		protocols = protocols[1:]
	}
	for _, protocol := range protocols {
		answer := in.ask(dialect.Variation{Protocol: protocol})
		if answer == nil {
			return undecided("")
		}
		_, inTLS := answer.wantsTLS()
		switch {
		case inTLS:
		case answer.x.Status >= 500 && answer.couldBeAsked():
			return proof(fmt.Sprintf("a GET of / over %s: %s, and the check passes", protocol, answer.statusLine()))
		case answer.couldBeAsked():
			return proof(fmt.Sprintf("a GET of / over %s: %s", protocol, answer.statusLine()))
		case !answer.answersInTLS() && answer.x.Outcome != triage.ClosedBeforeAnswer: // Node's TLS port closes at once
			return disproof("")
		}
	}
	return undecided("")
}

// couldBeAsked reports whether an answer over HTTP is one of a site, so that a check could ask it for a page. Who only speaks
// of HTTP has none: a server of WebSockets (400 or 426), a forward proxy (400, 407), Tor (501), a database that has taken a
// browser for one of its clients (ClickHouse 400, MongoDB 200).
func (c *kase) couldBeAsked() bool {
	switch c.x.Status {
	case 401, 404, 500, 502, 503, 504:
		return true
	}
	return c.x.Status >= 200 && c.x.Status < 400 && !c.bodyHas("trying to access MongoDB over HTTP")
}

// spokenFor reports whether a port is known for another protocol than HTTP. A request there is noise in a log, or worse:
// MySQL shuts out an address that breaks off too many handshakes (max_connect_errors), Redis reports an attack.
func spokenFor(port uint16) bool {
	switch port {
	case 21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 636, 853, 993, 995, 1433, 1521, 1883, 2181, 3306, 3389, 3478, 5349, 5432,
		5671, 5672, 6379, 6380, 8883, 9042, 9092, 11211, 26379, 27017, 27018, 27019:
		return true
	}
	return false
}

// endOfCertificate returns how long the target's certificate is valid yet, and whether that is worth a word. A fifth of its
// whole time is less than what the common tools leave when they renew one (a third), so that certificates of a day pass too.
func endOfCertificate(c *kase) (left time.Duration, ends bool) {
	const fortnight = 14 * 24 * time.Hour
	f := c.x.TLS
	if f == nil || f.NotAfter.IsZero() || c.x.Started.IsZero() {
		return 0, false
	}
	left = f.NotAfter.Sub(c.x.Started)
	return left, left < min(fortnight, f.NotAfter.Sub(f.NotBefore)/5)
}

// inDays says when a certificate ends, or ended.
func inDays(left time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case left < -2*day:
		return fmt.Sprintf("expired %d days ago", int(-left/day))
	case left < 0:
		return "has expired"
	case left < 2*day:
		return fmt.Sprintf("expires in %d hours", int(left/time.Hour))
	}
	return fmt.Sprintf("expires in %d days", int(left/day))
}

// answerDoubts are about answers whose head or words say that the pass means little.
var answerDoubts = []*Entry{
	{
		Code:     "body-says-down",
		Title:    "the answer's code passes, and its content says that not all is well",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     `a pass with content like {"status":"DOWN"} or {"database":"down"}, or the word Degraded or Unhealthy alone; parts of what calls itself well are taken for optional, but for a database`,
		Cause:    "the application says in the content that not all is well, and this check does not judge that",

		Fixes: []Fix{
			{"", "answer 503 instead of {status} for what should take the target out of\nservice; what should not, leave out of {path}"},
			{"ASP.NET", "Program.cs:\n    app.MapHealthChecks(\"{path}\", new HealthCheckOptions {\n        ResultStatusCodes = { [HealthStatus.Degraded] = 503 } });"},
		},
		Wrong:   Wrong{"answering 503 for everything that is shared by all targets", "when the database has a bad minute all targets leave at once, with the pages that do not need it"},
		Sources: []string{"traefik/traefik #6550", "onfranciis/OID #34", "dotnet/aspnetcore, HealthCheckOptions", "kubernetes.io, probes"},

		match: func(c *kase) clue {
			if !c.passesHTTP() {
				return no
			}
			if found := complaints(c); len(found) > 0 {
				return certainly(append([]string{c.statusLine()}, found...)...)
			}
			return no
		},
	},
	{
		Code:     "redirect-counts-as-healthy",
		Title:    "a redirect passes for a healthy answer",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "301, 302, 303, 307 or 308 among the codes that pass, as with HAProxy, NLB, Application Gateway, Traefik and the kubelet",
		Cause:    "the check is redirected to {location} and passes without going there: whoever redirects is well, and what is behind need not be",

		Fixes: []Fix{
			{"", "answer {path} with 200 before any rule that redirects, and let the\ncheck pass on 200 alone"},
			{"nginx", nginxRuleFor("{path}")},
			{"ASP.NET", "Program.cs, above UseHttpsRedirection:\n    app.UseHealthChecks(\"{path}\");"},
		},
		Wrong:   Wrong{"keeping {status} among the success codes", "it is green while every page behind the redirect fails"},
		Sources: []string{"HAProxy 2.6.12, tried: Layer7 check passed, code: 301", "kubernetes/kubernetes #136698", "endatix/endatix #1035"},

		match: func(c *kase) clue {
			to, redirected := redirectTarget(c)
			if !c.passesHTTP() || !redirected {
				return no
			}
			return certainly(c.statusLine(), "Location: "+to.String())
		},
	},
	{
		Code:     "error-counts-as-healthy",
		Title:    "an error passes for a healthy answer",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a code of 400 to 599 among those that pass",
		Cause:    "{status} is among the codes that pass, and a server that has lost the application or its routes answers so too",

		Fixes: []Fix{
			{"", "give the check a path that answers 200 without a login, and let\nnothing but 200 pass"},
		},
		Wrong:   Wrong{"accepting 200-499 so that the check becomes green", "it cannot fail any more for a wrong path, a lost route or a missing login"},
		Sources: []string{"provectus/kafka-ui #1257", "nulab/backlog-mcp-server #214", "aws/copilot-cli #2817"},

		match: func(c *kase) clue {
			// Vault tells the roles of its standbys by codes of their own (429, 472, 473): where these pass, somebody wants them to.
			if !c.passesHTTP() || c.x.Status < 400 || c.path() == "/v1/sys/health" {
				return no
			}
			return certainly(c.statusLine())
		},
	},
	{
		Code:     "cached-answer",
		Title:    "the check gets an answer that was kept, not a new one",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a pass with an Age above 0, a HIT in X-Cache, X-Cache-Status or CF-Cache-Status, or Varnish's two numbers, and the same content each time",
		Cause:    "the answer is an old one that a cache has kept, in front of the application or in it: it stays the same when what it tells of has changed",

		Decides: "the same request with a query that no cache has seen, and once more as it was",
		Fixes: []Fix{
			{"", "let {path} answer with Cache-Control: no-store, and take it out of\nthe cache's rules"},
			{"nginx", "in nginx, above the location that caches:\n    location = {path} { proxy_pass http://APP; proxy_cache off; }"},
		},
		Wrong:   Wrong{"a shorter time in the cache", "the target is found dead that much later, and each dead minute is green"},
		Sources: []string{"nginx 1.22.1 with proxy_cache and Varnish 7.1, tried", "RFC 9111, section 5.1", "imgproxy/imgproxy #1050"},

		match: func(c *kase) clue {
			switch found := cacheWords(c); {
			case !c.passesHTTP() || len(found) == 0:
				return no
			case c.cacheItself():
				return certainly(found...)
			default:
				return maybe(found...) // an application may write these too, of a cache of its own or for no reason
			}
		},
		prove: (*inquiry).wasKept,
	},
	{
		Code:     "session-for-every-check",
		Title:    "each check leaves a session behind",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a pass that sets a cookie of a session which is kept on the server: JSESSIONID, PHPSESSID, connect.sid, sessionid, laravel_session",
		Cause:    "the check brings no cookie, so that the application begins a session for each one, and keeps them all until they expire",

		Decides: "the same request again: another session",
		Fixes: []Fix{
			{"", "answer {path} before the part of the application that begins\nsessions"},
			{"Express", "above app.use(session(...)):\n    app.get('{path}', (req, res) => res.send('ok'));"},
			{"PHP", "leave session_start() out of the script that answers {path}"},
		},
		Wrong:   Wrong{"a longer interval of the checks", "the store fills all the same, only later"},
		Sources: []string{"grokability/snipe-it #8931", "spring-projects/spring-session #147", "RedisInsight #1022"},

		match: func(c *kase) clue {
			name, _ := c.session()
			if !c.passesHTTP() || name == "" || c.loginPage() {
				return no
			}
			return maybe("Set-Cookie: " + name)
		},
		prove: func(in *inquiry) finding {
			name, value := in.session()
			answer := in.ask(dialect.Variation{})
			if answer == nil {
				return undecided("")
			}
			if again, other := answer.session(); again != name || other == value {
				return disproof("")
			}
			return proof("the same request again: another " + name)
		},
	},
	{
		Code:     "body-too-large-for-kubelet",
		Title:    "the kubelet hangs up in the middle of the answer",
		Stage:    StageFalsePositive,
		Severity: Warning,
		Seen:     "a kubelet's probe passes with content of more than 10 KiB",
		Cause:    "the kubelet reads 10 KiB and closes the connection: the rest is made for nothing, and may end as a connection reset or a broken pipe in the application's log",

		Fixes:   []Fix{{"", "let the probe ask for a path of its own that answers a few bytes"}},
		Wrong:   Wrong{"hiding the broken pipes from the log", "the page is still made for every probe of every pod"},
		Sources: []string{"kubernetes.io, probes", "Go 1.26, tried: writes of megabytes fail, shorter ones do not notice"},

		match: func(c *kase) clue {
			const read = 10 << 10
			size, err := strconv.ParseInt(c.header("Content-Length"), 10, 64)
			if c.x.Dialect != triage.Kubelet || !c.passesHTTP() || err != nil || size <= read || string(c.asked.Method) != "GET" {
				return no
			}
			return certainly(fmt.Sprintf("Content-Length: %d", size))
		},
	},
}

// passesHTTP reports whether the check has passed with an answer over HTTP that was no gRPC.
func (c *kase) passesHTTP() bool {
	return c.x.Outcome == triage.Matched && c.x.GRPC == nil && c.x.Status >= 100
}

// succeeds reports whether the check has passed with a success.
func (c *kase) succeeds() bool { return c.passesHTTP() && c.x.Status >= 200 && c.x.Status < 300 }

// cacheWords are the fields by which a cache says that the answer is its own. An Age of 0 is that of an answer which has
// only passed through.
func cacheWords(c *kase) (found []string) {
	if age, err := strconv.Atoi(c.header("Age")); err == nil && age > 0 {
		found = append(found, "Age: "+c.header("Age"))
	}
	if varnish := c.header("X-Varnish"); len(strings.Fields(varnish)) == 2 { // this request, and the one that was stored
		found = append(found, "X-Varnish: "+varnish)
	}
	for _, name := range [...]string{"X-Cache", "X-Cache-Status", "X-Proxy-Cache", "CF-Cache-Status"} {
		if hit.MatchString(c.header(name)) {
			found = append(found, name+": "+c.header(name))
		}
	}
	return found
}

// cacheItself reports whether a cache in front has written of itself: the numbers of Varnish, Squid's words, Cloudflare's
// field. Any program may write the others.
func (c *kase) cacheItself() bool {
	return len(strings.Fields(c.header("X-Varnish"))) == 2 || squidHit.MatchString(c.header("X-Cache")) ||
		strings.EqualFold(c.server(), "cloudflare") && hit.MatchString(c.header("CF-Cache-Status"))
}

// wasKept proves that an answer comes from a cache: a request that no cache can have seen is answered anew. Who marks new
// answers as a cache's own is disproved by their content.
func (in *inquiry) wasKept() finding {
	target := string(in.kase.asked.Target)
	if strings.Contains(target, "?") || in.path() == "" {
		return undecided("")
	}
	question := dialect.Variation{Path: target + "?" + strings.TrimPrefix(nowhere, "/")}
	answer := in.ask(question)
	if answer == nil || answer.x.Status != in.x.Status || len(cacheWords(answer)) > 0 {
		return undecided("")
	}
	if again := in.ask(dialect.Variation{Again: 1}); again != nil && (len(cacheWords(again)) == 0 || again.content() != in.content()) {
		return disproof("")
	}
	return proof(fmt.Sprintf("%s, and not from a cache", says(question, answer)))
}

var squidHit = regexp.MustCompile(`^TCP_(?:[A-Z]+_)*HIT\b`)

var hit = regexp.MustCompile(`(?i)^(\w+_)?HIT\b`)

// serverKept are the cookies whose value is no more than the name of a session which the server keeps, by the form that their
// software gives it: Tomcat, Jetty and their like, PHP, Express, Django, Laravel. One that holds the session itself costs
// nothing, and has another form (Django's signed_cookies) or a second cookie (Laravel's driver cookie).
var serverKept = map[string]*regexp.Regexp{
	"JSESSIONID":      regexp.MustCompile(`^"?[A-Za-z0-9_-]{20,64}(?:[.!][^.:]*)?"?$`),
	"PHPSESSID":       regexp.MustCompile(`^[A-Za-z0-9,-]{22,64}$`),
	"connect.sid":     regexp.MustCompile(`^s%3A[A-Za-z0-9_-]{20,64}\.`),
	"sessionid":       regexp.MustCompile(`^[a-z0-9]{32}$`),
	"laravel_session": regexp.MustCompile(`^eyJ[A-Za-z0-9+/=%_-]+$`),
}

// laravelData is the name of the cookie in which Laravel keeps the session itself, where its driver is cookie.
var laravelData = regexp.MustCompile(`^[A-Za-z0-9]{40}$`)

// session is the cookie of a session that the server keeps, if the answer begins one.
func (c *kase) session() (name, value string) {
	for _, f := range c.answer.Fields {
		if !strings.EqualFold(string(f.Name), "Set-Cookie") {
			continue
		}
		cookie, _, _ := strings.Cut(string(f.Value), ";")
		key, held, _ := strings.Cut(cookie, "=")
		key = strings.TrimSpace(key)
		if form := serverKept[key]; form != nil && form.MatchString(held) {
			name, value = key, held
		}
		if laravelData.MatchString(key) {
			return "", ""
		}
	}
	return name, value
}
