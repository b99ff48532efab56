package dialect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/http1"
)

func TestLookup(t *testing.T) {
	for name, want := range map[string]triage.Dialect{
		"aws-alb": triage.AWSALB, "alb": triage.AWSALB, "ALB": triage.AWSALB,
		"aws-clb": triage.AWSCLB, "elb": triage.AWSCLB, "clb": triage.AWSCLB, "triage": triage.Own,
	} {
		if s, err := Lookup(name); err != nil || s.Name != want {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	_, err := Lookup("aws-abl")
	if triage.KindOf(err) != triage.KindInvalid || !strings.Contains(triage.HintOf(err), "aws-alb") {
		t.Errorf("%v, hint %q", err, triage.HintOf(err))
	}
}

// TestTable holds every row of the table to what the rest of the program relies on.
func TestTable(t *testing.T) {
	for _, s := range All() {
		if s.Title == "" || len(s.Protocols) == 0 || s.Codes.Empty() || !s.Codes.Within(s.LegalCodes) || s.TLS.Min == 0 || s.TLS.Max < s.TLS.Min {
			t.Errorf("%s is not complete", s.Name)
		}
		if s.Shows == "" || len(s.Shows) > 10 { // the width of a label
			t.Errorf("%s: the label %q has no room", s.Name, s.Shows)
		}
		hosts := 0
		for _, h := range s.Headers {
			if h.Value == HostValue {
				hosts++
			}
			if strings.EqualFold(h.Name, "User-Agent") && (s.Agent == "" || !strings.HasPrefix(h.Value, s.Agent)) {
				t.Errorf("%s sends User-Agent %q and is recognised by %q", s.Name, h.Value, s.Agent)
			}
		}
		if want := s.Host != HostNone; hosts > 1 || (hosts == 1) != want {
			t.Errorf("%s sends %d Host headers", s.Name, hosts)
		}
		if s.Settable && !s.HostSettable {
			t.Errorf("%s: all headers can be set but Host", s.Name)
		}
		if (s.Body.Need == BodyFirst) != (s.Body.Limit > 0) {
			t.Errorf("%s: body %+v", s.Name, s.Body)
		}
		checkTiming(t, s)
		checkHTTP2(t, s)
		for o := range triage.Outcomes {
			if w := s.WordsFor(&triage.Exchange{Outcome: o, Status: 500}); w.Code == "" {
				t.Errorf("%s has no word for %s", s.Name, o)
			}
		}
	}
}

// checkHTTP2: no row has a rule for what it does not speak.
func checkHTTP2(t *testing.T, s *Spec) {
	t.Helper()
	asksGRPC := s.Speaks(triage.GRPC)
	if !asksGRPC && (s.GRPC != GRPCRule{} || s.Speaks(triage.GRPCS)) {
		t.Errorf("%s speaks gRPC: %+v", s.Name, s.GRPC)
	}
	if usual, legal := s.PassingCodes(triage.GRPC); asksGRPC && (usual.Empty() || !usual.Within(legal)) {
		t.Errorf("%s: %s passes, of %s", s.Name, usual, legal)
	}
	if s.GRPC.Settable && s.GRPC.Health() {
		t.Errorf("%s: the health service is elsewhere", s.Name)
	}
	if len(s.OverHTTP2()) == 0 && (s.HTTP2.Headers != nil || s.HTTP2.NoAuthority) {
		t.Errorf("%s has a rule for HTTP/2: %+v", s.Name, s.HTTP2)
	}
	if s.TLS.AgainBare && !s.TLS.SNI {
		t.Errorf("%s: without a name there is no second try without it", s.Name)
	}
	if s.ProxyLocal != "" && !s.SendsProxy(triage.ProxyV2) || !s.SendsProxy(triage.NoProxy) {
		t.Errorf("%s: PROXY headers %q", s.Name, s.Proxy)
	}
}

// checkTiming: a default lies inside its range; zero is no default, and no end of a range.
func checkTiming(t *testing.T, s *Spec) {
	t.Helper()
	d := s.Timing
	for what, c := range map[string][3]int{
		"interval":            {int(d.Interval), int(d.MinInterval), int(d.MaxInterval)},
		"timeout":             {int(d.Timeout), int(d.MinTimeout), int(d.MaxTimeout)},
		"healthy threshold":   {d.Thresholds.Healthy, d.MinThreshold, d.MaxThreshold},
		"unhealthy threshold": {d.Thresholds.Unhealthy, d.MinThreshold, d.MaxThreshold},
	} {
		value, least, most := c[0], c[1], c[2]
		if value != 0 && (value < least || most != 0 && value > most) || most != 0 && most < least {
			t.Errorf("%s: %s %d is outside %d-%d", s.Name, what, value, least, most)
		}
	}
	if d.Interval != 0 && d.Timeout > d.Interval && !d.EndToStart {
		t.Errorf("%s: a check may last %s, and the next begins after %s", s.Name, d.Timeout, d.Interval)
	}
}

// TestFacts: what the table says has a source, or is marked as assumed; and no topic is left out.
func TestFacts(t *testing.T) {
	for _, s := range All() {
		told := map[string]bool{}
		for _, f := range s.Facts {
			told[f.Topic] = true
			if !slices.Contains(Topics(), f.Topic) || f.Says == "" || strings.HasSuffix(f.Says, ".") {
				t.Errorf("%s: fact %+v", s.Name, f)
			}
			if (f.Source == "") != (f.Confidence == Assumed) {
				t.Errorf("%s is %s, by %q: %s", s.Name, f.Confidence, f.Source, f.Says)
			}
			if strings.HasPrefix(f.Says, "unknown:") && f.Confidence != Assumed {
				t.Errorf("%s: nobody knows, and it is %s: %s", s.Name, f.Confidence, f.Says)
			}
		}
		for _, topic := range Topics() {
			if !told[topic] && s.Name != triage.Own {
				t.Errorf("%s has no fact about %s", s.Name, topic)
			}
		}
	}
}

// TestNames: no name or alias means two rows, and what people guess is found.
func TestNames(t *testing.T) {
	owner := map[string]triage.Dialect{}
	for _, s := range All() {
		for _, name := range append([]string{string(s.Name)}, s.Aliases...) {
			if name != strings.ToLower(name) || strings.ContainsAny(name, " \t") {
				t.Errorf("%s: %q is not what people type", s.Name, name)
			}
			if other, taken := owner[name]; taken {
				t.Errorf("%q means %s and %s", name, other, s.Name)
			}
			owner[name] = s.Name
		}
	}
	for typed, want := range map[string]triage.Dialect{
		"alb": triage.AWSALB, "elb": triage.AWSCLB, "clb": triage.AWSCLB, "nlb": triage.AWSNLB, "r53": triage.Route53,
		"k8s": triage.Kubelet, "kubernetes": triage.Kubelet, "kube-probe": triage.Kubelet, "gke": triage.GCP, "gclb": triage.GCP,
		"azure": triage.AzureLB, "appgw": triage.AzureAppGW, "agw": triage.AzureAppGW, "do": triage.DigitalOcean,
		"cf": triage.Cloudflare, "cloudflare-lb": triage.Cloudflare, "httpchk": triage.HAProxy, "nginx": triage.NginxPlus,
		"blackbox_exporter": triage.Blackbox, "Traefik": triage.Traefik,
	} {
		if s, err := Lookup(typed); err != nil || s.Name != want {
			t.Errorf("%s: %v, %v", typed, s, err)
		}
	}
}

// TestWords holds the words of the vendors that tell failures apart to their sources.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		as      triage.Dialect
		outcome triage.Outcome
		status  int
		want    string
	}{
		{triage.AWSALB, triage.CodeMismatch, 301, "Target.ResponseCodeMismatch: Health checks failed with these codes: [301]"},
		{triage.AWSNLB, triage.CodeMismatch, 404, "Target.FailedHealthChecks: Health checks failed"},
		{triage.Route53, triage.CodeMismatch, 503, "Failure: HTTP Status Code 503, Service Unavailable"},
		{triage.Route53, triage.Matched, 200, "Success: HTTP Status Code 200, OK"},
		{triage.GCP, triage.ResponseTimeout, 0, "TIMEOUT"},
		{triage.GCP, triage.Refused, 0, "UNHEALTHY"},
		{triage.Kubelet, triage.CodeMismatch, 500, "Unhealthy: HTTP probe failed with statuscode: 500"},
		{triage.HAProxy, triage.Refused, 0, "L4CON: Layer4 connection problem"},
		{triage.HAProxy, triage.ResponseTimeout, 0, "L7TOUT: Layer7 timeout"},
		{triage.HAProxy, triage.ResetBeforeAnswer, 0, "SOCKERR: Socket error"},
		{triage.HAProxy, triage.ClosedBeforeAnswer, 0, "L7RSP: Layer7 invalid response"},
		{triage.HAProxy, triage.NotHTTP, 0, "L7RSP: Layer7 invalid response"},
		{triage.HAProxyHTTP11, triage.CodeMismatch, 500, "L7STS: Layer7 wrong status, code: 500"},
		{triage.HAProxy, triage.TLSNotSpoken, 0, "L6RSP: Layer6 invalid response"},
		{triage.HAProxyHTTP11, triage.HeaderMismatch, 200, "L7STS: Layer7 wrong status, code: 200"},
		{triage.HAProxyHTTP11, triage.BodyMismatch, 200, `L7RSP: Layer7 invalid response, info: "HTTP content check did not match"`},
		{triage.HAProxy, triage.HTTP2NotOffered, 0, "L6RSP: Layer6 invalid response"},
		{triage.HAProxy, triage.StreamReset, 0, "L7RSP: Layer7 invalid response"},
		{triage.Envoy, triage.StreamReset, 0, "NETWORK"},
		{triage.Envoy, triage.NotGRPC, 200, "ACTIVE"},
		{triage.Caddy, triage.CodeMismatch, 500, "unhealthy: status code out of tolerances, status_code: 500"},
		{triage.Caddy, triage.BodyMismatch, 200, "unhealthy: response body failed expectations"},
		{triage.Caddy, triage.StreamReset, 0, "unhealthy: HTTP request failed"},
		{triage.Kubelet, triage.RedirectFailed, 302, "Unhealthy: stopped after 10 redirects"},
		{triage.Blackbox, triage.BodyMismatch, 200, "probe_success 0: probe_failed_due_to_regex 1"},
		{triage.Envoy, triage.ConnectTimeout, 0, "NETWORK_TIMEOUT"},
		{triage.Envoy, triage.CodeMismatch, 503, "ACTIVE"},
		{triage.Cloudflare, triage.CodeMismatch, 301, "Response code mismatch error"},
		{triage.Cloudflare, triage.Refused, 0, "TCP connection failed"},
		{triage.Cloudflare, triage.ResponseTimeout, 0, "HTTP timeout occurred"},
		{triage.Consul, triage.CodeMismatch, 429, "warning"},
		{triage.Consul, triage.CodeMismatch, 500, "critical"},
		{triage.Traefik, triage.CodeMismatch, 500, "DOWN: received error status code: 500"},
		{triage.Blackbox, triage.CodeMismatch, 500, "probe_success 0: probe_http_status_code 500"},
		{triage.DigitalOcean, triage.CodeMismatch, 500, "code-mismatch: the answer is 500"},
	} {
		if got := Get(c.as).WordsFor(&triage.Exchange{Outcome: c.outcome, Status: c.status}).String(); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.as, c.outcome, got, c.want)
		}
	}
}

// TestWordsForGRPC: what the health service says is in the words of those who show it.
func TestWordsForGRPC(t *testing.T) {
	address := netip.MustParseAddrPort("10.0.1.5:8080")
	mismatch := &triage.Exchange{Address: address, Outcome: triage.GRPCMismatch, Status: 12, GRPC: &triage.GRPCFacts{Status: 12}}
	sick := &triage.Exchange{Address: address, Outcome: triage.NotServing, GRPC: &triage.GRPCFacts{Serving: "NOT_SERVING"}}
	for _, c := range []struct {
		as             triage.Dialect
		mismatch, sick string
	}{
		{triage.AWSALB, "Target.ResponseCodeMismatch: Health checks failed with these codes: [12]", "Target.FailedHealthChecks: Health checks failed"},
		{triage.Kubelet, "Unhealthy: error: this server does not implement the grpc health protocol (grpc.health.v1.Health)", `Unhealthy: service unhealthy (responded with "NOT_SERVING")`},
		{triage.Traefik, "DOWN: gRPC server does not implement the health protocol", "DOWN: received gRPC status code: NOT_SERVING"},
		{triage.Consul, "critical", "critical: gRPC 10.0.1.5:8080 serving status: NOT_SERVING"},
		{triage.Blackbox, "probe_success 0: probe_grpc_status_code 12", `probe_success 0: probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 1`},
		{triage.Envoy, "ACTIVE", "ACTIVE"},
		{triage.NginxPlus, "grpc-mismatch: the gRPC status is 12 UNIMPLEMENTED", "not-serving: the gRPC health service answers NOT_SERVING"},
	} {
		s := Get(c.as)
		if got := s.WordsFor(mismatch).String(); got != c.mismatch {
			t.Errorf("%s: %s, want %s", c.as, got, c.mismatch)
		}
		if got := s.WordsFor(sick).String(); got != c.sick {
			t.Errorf("%s: %s, want %s", c.as, got, c.sick)
		}
	}
	passed := &triage.Exchange{Outcome: triage.Matched, GRPC: &triage.GRPCFacts{Serving: "SERVING"}}
	if got := Get(triage.Blackbox).WordsFor(passed).String(); got != "probe_success 1: probe_grpc_status_code 0" {
		t.Errorf("a pass: %s", got)
	}
}

func TestHost(t *testing.T) {
	for _, c := range []struct {
		to       string
		protocol triage.Protocol
		want     string
	}{
		{"10.0.1.5:8080", triage.HTTP, "10.0.1.5:8080"},
		{"10.0.1.5:80", triage.HTTP, "10.0.1.5"},
		{"10.0.1.5:80", triage.HTTPS, "10.0.1.5:80"},
		{"10.0.1.5:443", triage.HTTPS, "10.0.1.5"},
		{"10.0.1.5:443", triage.H2, "10.0.1.5"},
		{"10.0.1.5:80", triage.GRPC, "10.0.1.5"},
		{"[fd00::1]:8080", triage.HTTP, "[fd00::1]:8080"},
		{"[fd00::1]:80", triage.HTTP, "[fd00::1]"},
		{"[fe80::1%eth0]:8080", triage.HTTP, "[fe80::1]:8080"},
		{"[::ffff:10.0.1.5]:8080", triage.HTTP, "10.0.1.5:8080"},
	} {
		if got := Host(netip.MustParseAddrPort(c.to), c.protocol); got != c.want {
			t.Errorf("%s over %s: %s, want %s", c.to, c.protocol, got, c.want)
		}
	}
}

// TestHostRules: each rule with all that it may need, and with an address only.
func TestHostRules(t *testing.T) {
	q := Question{
		Protocol: triage.HTTP, Address: netip.MustParseAddrPort("10.0.1.5:8080"), Typed: "app.example",
		Node: netip.MustParseAddrPort("10.0.9.9:80"), Cluster: "app",
	}
	bare := Question{Protocol: triage.HTTP, Address: q.Address}
	standard := q
	standard.Address = netip.MustParseAddrPort("10.0.1.5:80")
	for rule, want := range map[HostRule][3]string{
		HostAddress:     {"10.0.1.5:8080", "10.0.1.5:8080", "10.0.1.5"},
		HostAddressPort: {"10.0.1.5:8080", "10.0.1.5:8080", "10.0.1.5:80"},
		HostAddressOnly: {"10.0.1.5", "10.0.1.5", "10.0.1.5"},
		HostTyped:       {"app.example:8080", "10.0.1.5:8080", "app.example"},
		HostTypedPort:   {"app.example:8080", "10.0.1.5:8080", "app.example:80"},
		HostNode:        {"10.0.9.9:80", "10.0.1.5:8080", "10.0.9.9:80"},
		HostCluster:     {"app", "10.0.1.5:8080", "app"},
		HostLoopback:    {"127.0.0.1", "127.0.0.1", "127.0.0.1"},
		HostServerName:  {"app.example:8080", "10.0.1.5:8080", "app.example:80"},
	} {
		got := [3]string{string(rule.appendTo(nil, q)), string(rule.appendTo(nil, bare)), string(rule.appendTo(nil, standard))}
		if got != want {
			t.Errorf("rule %d: %q, want %q", rule, got, want)
		}
	}
	q.Host = "given"
	if got := string(Get(triage.HAProxy).AppendRequest(nil, q)); got != "OPTIONS  HTTP/1.0\r\nHost: given\r\n\r\n" {
		t.Errorf("a Host that was asked for is not sent: %q", got)
	}
}

// TestEachDialectIsRecognised: what we send as a load balancer is what we recognise as it, as far as anybody knows what it
// sends.
func TestEachDialectIsRecognised(t *testing.T) {
	shared := map[triage.Dialect]string{triage.Traefik: "Traefik's or Caddy's health check", triage.Caddy: "Traefik's or Caddy's health check"}
	for _, s := range All() {
		raw := s.AppendRequest(nil, Example())
		r, n, err := http1.ParseRequest(raw, nil, http1.Limits{})
		if err != nil || n != len(raw) {
			t.Fatalf("%s sends a request that is not valid: %v", s.Name, err)
		}
		product, _, _ := strings.Cut(s.Title, ",")
		title, alike := shared[s.Name]
		if !alike {
			title = product + "'s health check"
		}
		sender, ok := Recognise(r)
		switch {
		case s.Agent == "" && !s.Form:
			if ok {
				t.Errorf("nobody knows what %s sends, and it is recognised as %+v", s.Name, sender)
			}
		case !ok || !strings.HasPrefix(sender.Title, title):
			t.Errorf("%s is recognised as %+v, %v", s.Name, sender, ok)
		case sender.Sure != (s.Form && !alike):
			t.Errorf("%s is recognised as %+v", s.Name, sender)
		}
	}
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ELB-HealthChecker/1.0\r\n\r\n":                                                                "AWS Classic",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\n\r\n":                                                       "kubelet",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.1\r\n\r\n":                                                                             "not a load balancer",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: GoogleHC/1.0\r\n\r\n":                                                                         "Google",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Go-http-client/1.1\r\n\r\n":                                                                   "Traefik's or Caddy's",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Blackbox-Exporter/0.27.0\r\n\r\n":                                                             "blackbox_exporter",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Load Balancer Agent\r\n\r\n":                                                                  "Azure Load Balancer",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Amazon-Route53-Health-Check-Service (ref x)\r\n\r\n":                                          "Route 53",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/1.0; +https://x/; pool-id: ffff)\r\n\r\n": "Cloudflare",
	} {
		if sender, ok := recognise(t, request); !ok || sender.Sure || !strings.Contains(sender.Title, want) {
			t.Errorf("%q is recognised as %+v, %v", request, sender, ok)
		}
	}
	for request, want := range map[string]string{
		"OPTIONS / HTTP/1.0\r\n\r\n": "HAProxy's",
		"GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\nConnection: close\r\n\r\n": "kubelet",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Blackbox-Exporter/0.27.0\r\nConnection: close\r\n\r\n":                 "blackbox_exporter",
	} {
		if sender, ok := recognise(t, request); !ok || !sender.Sure || !strings.Contains(sender.Title, want) {
			t.Errorf("%q is recognised as %+v, %v", request, sender, ok)
		}
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	} {
		if sender, ok := recognise(t, request); ok {
			t.Errorf("%q is recognised as %s", request, sender.Title)
		}
	}
}

func recognise(t *testing.T, request string) (Sender, bool) {
	t.Helper()
	r, _, err := http1.ParseRequest([]byte(request), nil, http1.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return Recognise(r)
}
