package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
)

// Reading is what a text that a load balancer, a checker or a server has shown says about a check.
type Reading struct {
	From    string         // who writes so: "HAProxy"
	Dialect triage.Dialect // to ask with; "" if the text names no checker
	Outcome triage.Outcome // that it stands for; NotChecked if it says nothing of the kind
	Status  int            // in it; 0 if there is none
	Code    string         // of the one entry that such a text means; "" if several may be behind it
	Means   string         // a sentence of its own, where the text says something else than how a check ended

	also  []triage.Outcome // other outcomes that it stands for
	codes []int            // other statuses in it
}

// Read finds what a text from a console, an event or a log means. ok is false for a text that nobody is known to write.
func Read(text string) (r Reading, ok bool) {
	for _, p := range phrases {
		m := p.pattern.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		r := p.reading
		r.takeCodes(strings.Join(m[1:], ","))
		if r.Outcome == triage.CodeMismatch && r.Status >= 200 && r.Status < 300 && r.Dialect == "" {
			r.Outcome = triage.Matched
		}
		return r, true
	}
	return Reading{}, false
}

// takeCodes takes over the status codes that stand in a text, separated by commas.
func (r *Reading) takeCodes(codes string) {
	for part := range strings.SplitSeq(codes, ",") {
		switch n, err := strconv.Atoi(strings.TrimSpace(part)); {
		case err != nil || n == r.Status:
		case r.Status == 0:
			r.Status = n
		default:
			r.codes = append(r.codes, n)
			r.Means = "the status codes are not among the success codes: " + codes
		}
	}
}

// Suspects are the entries that may be behind what was read, the likeliest first.
func (r Reading) Suspects() []*Entry {
	if e, ok := Lookup(r.Code); ok {
		return []*Entry{e}
	}
	var entries []*Entry
	add := func(o triage.Outcome, status, most int) {
		for _, e := range suspectsOf(r.Dialect, o, status) {
			if most > 0 && !slices.Contains(entries, e) {
				entries = append(entries, e)
				most--
			}
		}
	}
	switch {
	case len(r.also) > 0:
		for _, o := range append([]triage.Outcome{r.Outcome}, r.also...) {
			add(o, 0, 3)
		}
	case r.Outcome == triage.CodeMismatch && r.Status == 0: // and the text does not say which
		for _, status := range [...]int{400, 301, 404, 403, 500, 502} {
			add(r.Outcome, status, 3)
		}
	case len(r.codes) > 0:
		for _, status := range append([]int{r.Status}, r.codes...) {
			add(r.Outcome, status, 4)
		}
	case r.Outcome.Verdict() == triage.Fail:
		add(r.Outcome, r.Status, len(catalogue))
	case r.Dialect != "" && r.Outcome == triage.NotChecked: // it fails, and the text does not say how
		for _, status := range [...]int{400, 301, 404} {
			add(triage.CodeMismatch, status, 1)
		}
		for _, o := range [...]triage.Outcome{triage.ConnectTimeout, triage.Refused, triage.ResponseTimeout} {
			add(o, 0, 1)
		}
		add(triage.CodeMismatch, 500, 1)
	}
	return entries
}

// byStage is how often illnesses of a stage are behind a failure, the commonest first: by the number of public reports
// that the catalogue was made from.
var byStage = []Stage{StageHost, StageRedirect, StageStatus, StageAuth, StageHTTP, StageTLS, StageConnect, StageTiming, StageBody, StageResolve}

// suspectsOf are the entries that an outcome and a status may be about, when nothing else is known.
func suspectsOf(as triage.Dialect, o triage.Outcome, status int) []*Entry {
	x := &triage.Exchange{Dialect: as, Outcome: o, Status: status, Timing: triage.NoTiming()}
	var entries []*Entry
	for _, s := range suspicions(newCase(x), false) {
		if !slices.Contains(entries, s.entry) {
			entries = append(entries, s.entry)
		}
	}
	// Which of the others it is, only the answer's head and content say: those are candidates that are said to come with
	// such a code.
	code := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, status))
	for _, e := range catalogue {
		redirects := e.Stage == StageRedirect && status >= 300 && status < 400
		if o == triage.CodeMismatch && !e.green() && !e.Unseen && (redirects || code.MatchString(e.Seen)) && !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	rank := func(e *Entry) int {
		if e.Stage == StageStatus && status >= 500 {
			return -1 // an application that is ill says so, more often than a server refuses a Host like this
		}
		return slices.Index(byStage, e.Stage)
	}
	slices.SortStableFunc(entries, func(a, b *Entry) int { return rank(a) - rank(b) })
	return entries
}

// phrase is a text that somebody shows.
type phrase struct {
	pattern *regexp.Regexp
	reading Reading
}

// said is a phrase of fixed words, in any case and with any white space between them; % stands for a number, … for anything.
func said(words string, r Reading) phrase {
	return phrase{regexp.MustCompile("(?is)" + inWords(words)), r}
}

// alone is a text that is these words and no more, in just this case: too short to be looked for within others.
func alone(words string, r Reading) phrase {
	return phrase{regexp.MustCompile(`^\s*` + inWords(words) + `\.?\s*$`), r}
}

func inWords(words string) string {
	pattern := regexp.QuoteMeta(words)
	pattern = strings.ReplaceAll(pattern, "%", `(\d{1,3})`)
	pattern = strings.ReplaceAll(pattern, "…", `.*`)
	return strings.Join(strings.Fields(pattern), `\s+`)
}

// visitorsSee is the page by which Cloudflare tells visitors that it cannot reach a site (Cloudflare: error codes 5xx).
func visitorsSee(code string, r Reading) phrase {
	r.From = "Cloudflare, to visitors"
	return phrase{regexp.MustCompile(`(?i)\berror\s+(?:code:?\s+)?` + code + `\b`), r}
}

const (
	fromAWS     = "an AWS Application or Network Load Balancer (DescribeTargetHealth)"
	fromAWSLog  = "the health check log of an AWS Application Load Balancer"
	fromCLB     = "an AWS Classic Load Balancer (DescribeInstanceHealth)"
	fromKubelet = "a kubelet, in a pod's events"
	fromAzure   = "Azure Application Gateway (backend health)"
	fromGo      = "a program in Go: kubelet, Traefik, Caddy, Consul, blackbox_exporter"
	fromGCP     = "Google Cloud (DetailedHealthState)"
	fromGCPLog  = "the log of a Google Cloud load balancer"
	fromNginx   = "nginx, in its error log"
)

// notHow is for words that a check has failed, and no more.
const notHow = "checks fail, and these words do not say how: ask the target as the load balancer does"

// statusAlone is a code and no more, as on a page or in a log.
var statusAlone = regexp.MustCompile(`^\s*(?i:HTTP/[0-9.]+\s+|(?:http\s+)?status(?:\s+code)?:?\s+|error:?\s+)?([2-5]\d\d)(?:\s+[A-Z][A-Za-z '-]*)?\s*$`)

const ()

// phrases are looked through in this order: the words of one product that hold those of another come first.
var phrases = [...]phrase{
	{regexp.MustCompile(`(?is)Health\s+checks\s+failed\s+with\s+these\s+codes:\s*\[\s*(\d{1,3}(?:\s*,\s*\d{1,3})*)`), Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.CodeMismatch}},
	said("Target.ResponseCodeMismatch", Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.CodeMismatch}),
	said("Target.Timeout", Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.ConnectTimeout, also: []triage.Outcome{triage.ResponseTimeout},
		Means: "either the connection was not made in time, which points at security groups, or the answer did not come in time"}),
	said("Request timed out", Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.ConnectTimeout, also: []triage.Outcome{triage.ResponseTimeout},
		Means: "either the connection was not made in time, which points at security groups, or the answer did not come in time"}),
	said("Target.FailedHealthChecks", Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.Refused,
		also:  []triage.Outcome{triage.ClosedBeforeAnswer, triage.NotHTTP, triage.TLSRefused, triage.BodyUnframed},
		Means: "the connection was refused or broke off, or the answer was no valid HTTP; on a Network Load Balancer, any failure at all"}),
	alone("Health checks failed", Reading{From: fromAWS, Dialect: triage.AWSALB, Outcome: triage.Refused,
		also:  []triage.Outcome{triage.ClosedBeforeAnswer, triage.NotHTTP, triage.TLSRefused, triage.BodyUnframed},
		Means: "the connection was refused or broke off, or the answer was no valid HTTP; on a Network Load Balancer, any failure at all"}),
	said("Target.NotInUse", Reading{From: fromAWS, Code: "target-not-in-use"}),
	said("Target group is not configured to receive traffic", Reading{From: fromAWS, Code: "target-not-in-use"}),
	said("Target.DeregistrationInProgress", Reading{From: fromAWS, Means: "the target was taken out by somebody and finishes what runs; no check has failed"}),
	said("Target.HealthCheckDisabled", Reading{From: fromAWS, Means: "health checks are switched off for this group of lambda functions"}),
	said("Target.InvalidState", Reading{From: fromAWS, Means: "the instance is stopped or terminated; no check was made"}),
	said("Target.IpUnusable", Reading{From: fromAWS, Means: "the address belongs to a load balancer and cannot be a target"}),
	said("Elb.InitialHealthChecking", Reading{From: fromAWS, Means: "the first checks are under way: one pass is enough"}),
	said("Elb.RegistrationInProgress", Reading{From: fromAWS, Means: "the target is being registered; no check was made yet"}),
	said("Elb.InternalError", Reading{From: fromAWS, Means: "the load balancer's own fault: the target is not to blame"}),
	said("RequestTimedOut", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.ResponseTimeout}),
	said("ConnectionTimedOut", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.ConnectTimeout}),
	said("ConnectionReset", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.ClosedBeforeAnswer}),
	said("ResponseStringMismatch", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.BodyMismatch}),
	said("GRPCUnexpectedStatus", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.GRPCMismatch}),
	said("GRPCStatusHeaderEmpty", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.NotGRPC}),
	said("TargetError", Reading{From: fromAWSLog, Dialect: triage.AWSALB, Outcome: triage.CodeMismatch, Status: 500}),
	said("ELB system health check failure", Reading{From: "an AWS Auto Scaling group, in its activity", Dialect: triage.AWSALB, Means: "the load balancer's " + notHow}),
	said("failed ELB health checks", Reading{From: "AWS ECS, in the events of a service", Dialect: triage.AWSALB, Means: "the load balancer's " + notHow}),
	said("failed container health checks", Reading{From: "AWS ECS, in the events of a service", Means: "the command of the task definition's healthCheck has failed inside the container: no load balancer is part of it"}),
	said("Instance has failed at least the Unhealthy", Reading{From: fromCLB, Dialect: triage.AWSCLB,
		Means: "checks fail, and a Classic Load Balancer never says how: ask the instance as it does"}),
	said("Instance has not passed the configured HealthyThreshold", Reading{From: fromCLB, Dialect: triage.AWSCLB,
		Means: "checks pass again, but not yet so many in a row as the healthy threshold wants"}),
	said("Instance registration is still in progress", Reading{From: fromCLB, Means: "no check was made yet"}),
	said("A transient error occurred. Please try again later", Reading{From: fromCLB, Means: "the load balancer does not know the state; the instance is not to blame"}),
	said("Instance is not currently registered", Reading{From: fromCLB, Means: "nobody checks the instance: it is not registered"}),

	said("HTTP probe failed with statuscode: %", Reading{From: fromKubelet, Dialect: triage.Kubelet, Outcome: triage.CodeMismatch}),
	said("service unhealthy (responded with", Reading{From: fromKubelet, Dialect: triage.Kubelet, Outcome: triage.NotServing}),
	said("Probe terminated redirects", Reading{From: fromKubelet, Dialect: triage.Kubelet, Code: "redirect-counts-as-healthy"}),
	said(`malformed HTTP response "\x15\x03`, Reading{From: fromKubelet, Dialect: triage.Kubelet, Code: "plain-http-to-tls-port"}),
	said(`malformed HTTP response "\x00\x00`, Reading{From: fromKubelet, Dialect: triage.Kubelet, Code: "http2-only"}),
	said("stopped after 10 redirects", Reading{From: fromGo, Dialect: triage.Kubelet, Code: "redirect-loop"}),
	said("does not implement the grpc health protocol", Reading{From: fromKubelet, Dialect: triage.Kubelet, Code: "grpc-health-not-implemented"}),
	said("gRPC server does not implement the health protocol", Reading{From: "Traefik", Dialect: triage.Traefik, Code: "grpc-health-not-implemented"}),
	said("server gave HTTP response to HTTPS client", Reading{From: fromGo, Code: "tls-to-plain-port"}),
	said("first record does not look like a TLS handshake", Reading{From: fromGo, Code: "tls-to-plain-port"}),
	said("context deadline exceeded", Reading{From: fromGo, Dialect: triage.Kubelet, Outcome: triage.ResponseTimeout}),
	said("i/o timeout", Reading{From: fromGo, Dialect: triage.Kubelet, Outcome: triage.ConnectTimeout}),
	said(`": EOF`, Reading{From: fromGo, Dialect: triage.Kubelet, Outcome: triage.ClosedBeforeAnswer}),
	said("remote error: tls: certificate required", Reading{From: fromGo, Code: "client-certificate-required"}),
	said("remote error: tls: unrecognized name", Reading{From: fromGo, Code: "sni-required"}),
	said("remote error: tls: protocol version not supported", Reading{From: fromGo, Code: "tls-version"}),
	said("remote error: tls: handshake failure", Reading{From: fromGo, Outcome: triage.TLSRefused}),
	said("because it doesn't contain any IP SANs", Reading{From: fromGo, Code: "certificate-for-another-name"}),
	said("certificate relies on legacy Common Name field", Reading{From: fromGo, Code: "certificate-without-names"}),
	said("no such host", Reading{From: "a program in Go", Outcome: triage.ResolveFailed}),
	said("x509: certificate has expired", Reading{From: "a program in Go", Code: "certificate-expired"}),
	said("x509: certificate signed by unknown authority", Reading{From: "a program in Go", Outcome: triage.TLSUntrusted}),
	said("x509: certificate is valid for", Reading{From: "a program in Go", Code: "certificate-for-another-name"}),

	said("Layer7 wrong status, code: %", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.CodeMismatch}),
	said("L7STS/%", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.CodeMismatch}),
	said("L7STS", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.CodeMismatch}),
	said("has no server available", Reading{From: "HAProxy, in its log", Code: "no-server-behind-proxy"}),
	said("No server is available to handle this request", Reading{From: "HAProxy", Code: "no-server-behind-proxy"}),
	said("<NOSRV>", Reading{From: "HAProxy, in its log", Code: "no-server-behind-proxy"}),
	said("HTTP content check did not match", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.BodyMismatch}),
	said("Layer7 invalid response", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ClosedBeforeAnswer}),
	said("L7RSP", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ClosedBeforeAnswer}),
	said("Layer7 timeout", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ResponseTimeout}),
	said("L7TOUT", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ResponseTimeout}),
	said("Layer6 invalid response", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.TLSRefused}),
	said("L6RSP", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.TLSRefused}),
	said("Layer6 timeout", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.TLSTimeout}),
	said("L6TOUT", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.TLSTimeout}),
	said("Layer4 connection problem", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.Refused}),
	said("L4CON", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.Refused}),
	said("Layer4 timeout", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ConnectTimeout}),
	said("L4TOUT", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ConnectTimeout}),
	said("SOCKERR", Reading{From: "HAProxy", Dialect: triage.HAProxy, Outcome: triage.ResetBeforeAnswer}),

	said("received error status code: %", Reading{From: "Traefik", Dialect: triage.Traefik, Outcome: triage.CodeMismatch}),
	said("no available server", Reading{From: "Traefik", Code: "no-server-behind-proxy"}),
	said("status code out of tolerances, status_code: %", Reading{From: "Caddy", Dialect: triage.Caddy, Outcome: triage.CodeMismatch}),
	said("status code out of tolerances", Reading{From: "Caddy", Dialect: triage.Caddy, Outcome: triage.CodeMismatch}),
	said("HTTP Status Code %", Reading{From: "Route 53 (GetHealthCheckStatus)", Dialect: triage.Route53, Outcome: triage.CodeMismatch}),
	said("The health checker could not establish a connection within the timeout limit", Reading{From: "Route 53 (GetHealthCheckStatus)", Dialect: triage.Route53, Outcome: triage.ConnectTimeout}),
	said("SSL alert handshake_failure", Reading{From: "Route 53 (GetHealthCheckStatus)", Dialect: triage.Route53, Outcome: triage.TLSRefused}),
	said("Response code mismatch error", Reading{From: "Cloudflare", Dialect: triage.Cloudflare, Outcome: triage.CodeMismatch}),
	said("TCP connection failed", Reading{From: "Cloudflare", Dialect: triage.Cloudflare, Outcome: triage.Refused}),
	said("HTTP timeout occurred", Reading{From: "Cloudflare", Dialect: triage.Cloudflare, Outcome: triage.ResponseTimeout}),
	visitorsSee("521", Reading{Outcome: triage.Refused}),
	visitorsSee("522", Reading{Outcome: triage.ConnectTimeout}),
	visitorsSee("523", Reading{Outcome: triage.Unreachable}),
	visitorsSee("524", Reading{Outcome: triage.ResponseTimeout}),
	visitorsSee("525", Reading{Outcome: triage.TLSRefused}),
	visitorsSee("526", Reading{Outcome: triage.TLSUntrusted}),
	said("Current date is not within", Reading{From: fromAzure, Code: "certificate-expired"}),
	said("backend health status could not be retrieved", Reading{From: fromAzure, Code: "azure-gateway-ports-blocked"}),
	said("Received invalid status code: %", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.CodeMismatch}),
	said("Cannot connect to backend server", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.ConnectTimeout, also: []triage.Outcome{triage.Refused},
		Means: "the connection was refused, or not made in time"}),
	said("Time taken by the backend to respond", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.ResponseTimeout}),
	said("Common Name (CN)…does not match", Reading{From: fromAzure, Code: "certificate-for-another-name"}),
	said("not signed by a well-known Certificate Authority", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.TLSUntrusted}),
	said("Intermediate certificate is missing", Reading{From: fromAzure, Code: "certificate-chain-incomplete"}),
	said("HTTP response did not match the probe setting", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.BodyMismatch}),
	said("response body doesn't contain", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.BodyMismatch}),
	said("could not create a probe for this backend", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.ResolveFailed}),
	said("could not connect to the backend", Reading{From: fromAzure, Dialect: triage.AzureAppGW, Outcome: triage.ConnectTimeout}),
	said("Invalid HTTP response status code", Reading{From: "blackbox_exporter", Dialect: triage.Blackbox, Outcome: triage.CodeMismatch}),
	alone("UNHEALTHY", Reading{From: fromGCP, Dialect: triage.GCP, Means: notHow}),
	alone("TIMEOUT", Reading{From: fromGCP, Dialect: triage.GCP, Outcome: triage.ConnectTimeout, also: []triage.Outcome{triage.ResponseTimeout},
		Means: "either the connection was not made in time, which points at firewall rules, or the answer did not come in time"}),
	said("failed_to_pick_backend", Reading{From: fromGCPLog, Dialect: triage.GCP, Means: "no backend was healthy: their checks fail"}),
	said("failed_to_connect_to_backend", Reading{From: fromGCPLog, Dialect: triage.GCP, Outcome: triage.ConnectTimeout, also: []triage.Outcome{triage.Refused},
		Means: "the connection was refused, or not made in time"}),
	said("backend_timeout", Reading{From: fromGCPLog, Dialect: triage.GCP, Outcome: triage.ResponseTimeout}),
	said("backend_connection_closed_before_data_sent_to_client", Reading{From: fromGCPLog, Dialect: triage.GCP, Outcome: triage.ClosedBeforeAnswer}),
	said("no healthy upstream", Reading{From: "Envoy, to visitors", Code: "no-server-behind-proxy"}),
	said("upstream connect error or disconnect/reset before headers", Reading{From: "Envoy, to visitors", Code: "app-down-behind-proxy"}),
	said("upstream request timeout", Reading{From: "Envoy, to visitors", Code: "app-slow-behind-proxy"}),
	said("/failed_active_hc", Reading{From: "Envoy (/clusters of its admin address)", Dialect: triage.Envoy, Means: "active checks fail, and Envoy does not say how: ask the host as it does, with the cluster's name as --host unless one is set"}),

	said("The plain HTTP request was sent to HTTPS port", Reading{From: "nginx", Code: "plain-http-to-tls-port"}),
	said("client sent plain HTTP request to HTTPS port", Reading{From: fromNginx, Code: "plain-http-to-tls-port"}),
	said("Client sent an HTTP request to an HTTPS server", Reading{From: "a server in Go", Code: "plain-http-to-tls-port"}),
	said("No required SSL certificate was sent", Reading{From: "nginx", Code: "client-certificate-required"}),
	said("upstream sent too big header", Reading{From: fromNginx, Means: "the head of the application's answer is larger than proxy_buffer_size, often for its cookies, and nginx answers 502 in its place"}),
	said("upstream timed out…while connecting to upstream", Reading{From: fromNginx, Code: "app-slow-behind-proxy", Means: "nothing answers at the address of proxy_pass: it is wrong, or a firewall is between"}),
	said("upstream timed out", Reading{From: fromNginx, Code: "app-slow-behind-proxy"}),
	said("no live upstreams", Reading{From: fromNginx, Code: "no-server-behind-proxy"}),
	said("wrong version number…while SSL handshaking to upstream", Reading{From: fromNginx, Code: "tls-to-plain-port", Means: "proxy_pass says https, and the application's port speaks plain http"}),
	said("while connecting to upstream", Reading{From: fromNginx, Code: "app-down-behind-proxy"}),
	said("while reading response header from upstream", Reading{From: fromNginx, Code: "app-down-behind-proxy"}),
	said("while reading PROXY protocol", Reading{From: fromNginx, Code: "proxy-header-expected"}),
	said("Invalid HTTP_HOST header", Reading{From: "Django, in its log", Code: "host-not-allowed"}),
	said("DisallowedHost", Reading{From: "Django, in its log", Code: "host-not-allowed"}),
	said("Blocked host", Reading{From: "Rails, in its log", Code: "host-not-allowed"}),
	said("curl: (35)…wrong version number", Reading{From: "curl (35)", Code: "tls-to-plain-port"}),
	said("Could not resolve host", Reading{From: "curl (6)", Outcome: triage.ResolveFailed}),
	said("Couldn't connect to server", Reading{From: "curl (7)", Outcome: triage.Refused, also: []triage.Outcome{triage.Unreachable}, Means: "the connection was refused, or there is no way to the address"}),
	said("Received HTTP/0.9 when not allowed", Reading{From: "curl (1)", Outcome: triage.NotHTTP}),
	said("Operation timed out after", Reading{From: "curl (28)", Outcome: triage.ResponseTimeout}),
	said("Empty reply from server", Reading{From: "curl (52)", Outcome: triage.ClosedBeforeAnswer}),
	said("Connection reset by peer", Reading{From: "the system (ECONNRESET)", Outcome: triage.ResetBeforeAnswer}),
	said("Connection refused", Reading{From: "the system (ECONNREFUSED)", Outcome: triage.Refused}),
	said("No route to host", Reading{From: "the system (EHOSTUNREACH)", Outcome: triage.Unreachable}),
	said("Connection timed out", Reading{From: "the system (ETIMEDOUT)", Outcome: triage.ConnectTimeout}),
	{statusAlone, Reading{From: "whoever shows a status code and no more", Outcome: triage.CodeMismatch}},
}
