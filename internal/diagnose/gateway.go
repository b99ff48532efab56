package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// gatewayEntries are about proxies that answer for an application which does not.
var gatewayEntries = []*Entry{
	{
		Code:    "app-down-behind-proxy",
		Title:   "the proxy in front answers in place of the application behind it",
		Stage:   StageStatus,
		Seen:    "502 with a proxy's own page (nginx, HAProxy, Apache, Caddy), or 503 with Envoy's words, with the public host name and at / too",
		Cause:   "the proxy on this port is alive and answers {status} itself: what it hands this request to does not run, breaks off, is not found, listens elsewhere or speaks TLS (or, seldom, a rule of the proxy says so)",
		Decides: "the same request with the site's public name as Host, and to /; on the target, the application's own port",
		Fixes: []Fix{
			{"", "is the application running, and where does it listen? On the target:\n    ss -ltnp\nthe proxy's error log says what it met: refused means not running,\nclosed or reset means that a worker broke off"},
			{"nginx", "nginx's error log says which: \"Connection refused\" is an app that\ndoes not run, \"prematurely closed\" one that crashes, or proxy_pass\nhttp:// to a port of TLS; no line at all is a return 502:\n    tail /var/log/nginx/error.log\n    ss -ltnp   shows whether proxy_pass names the right port"},
			{"HAProxy", "HAProxy's log has SH in its termination state for a server that\nbroke off (look into the application's log), PR for a rule (deny)"},
			{"Apache", "Apache's error log says which (AH01114: refused; AH01102: broke off);\na refused server is not tried again for a minute (ProxyPass retry=)"},
			{"Envoy", "response_flags in the access log say which: UF could not connect,\nUC was broken off; %UPSTREAM_TRANSPORT_FAILURE_REASON% says why"},
			{"Caddy", "Caddy's log names it: dial tcp … connection refused, or EOF"},
		},
		Wrong:   Wrong{"answering {path} in the proxy itself (return 200)", "the check is then green while the application is dead"},
		Sources: []string{"nginx 1.22.1 (also to a port of TLS, and return 502), HAProxy 2.6.12 (also deny_status), Caddy 2.6.2, Apache 2.4, tried", "Envoy, source/common/router"},

		match: func(c *kase) clue { return c.gatewayClue(brokenBehind) },
		prove: func(in *inquiry) finding { return provesGateway(in, brokenBehind) },
	},
	{
		Code:    "app-slow-behind-proxy",
		Title:   "what is behind the proxy does not answer in time",
		Stage:   StageStatus,
		Seen:    "504 with a proxy's own page, with the public host name too",
		Cause:   "the proxy on this port is alive and answers {status} itself: what it hands this request to does not answer, or takes no connection, within the time that the proxy allows (or, seldom, a rule of the proxy says so)",
		Decides: "the same request with the site's public name as Host, and to another path; on the target, the application's own port",
		Fixes: []Fix{
			{"", "look at the application: are all workers busy, or is {path} slow?\na health page of its own that asks no database answers at once"},
			{"nginx", "the limit is proxy_read_timeout (60s if not set); the error log has\n\"upstream timed out\". Do not raise it: find what is slow behind it:\n    curl -m 5 http://127.0.0.1:APP-PORT{path}"},
			{"HAProxy", "the limit is timeout server; the log has sH in its termination\nstate (PR: a rule, deny). Do not raise it: find what is slow behind"},
			{"gunicorn", "more workers, or gthread: one slow request holds a sync worker"},
		},
		Wrong:   Wrong{"raising the proxy's limit", "the check then waits as long, and times out itself"},
		Sources: []string{"nginx 1.22.1, HAProxy 2.6.12, Caddy 2.6.2, tried", "Envoy, source/common/router"},

		match: func(c *kase) clue { return c.gatewayClue(slowBehind) },
		prove: func(in *inquiry) finding { return provesGateway(in, slowBehind) },
	},
	{
		Code:    "no-server-behind-proxy",
		Title:   "the proxy has no server for this request",
		Stage:   StageStatus,
		Seen:    "503 with the words of HAProxy (No server is available), Envoy (no healthy upstream) or Traefik (no available server)",
		Cause:   "the proxy on this port is alive and answers {status} itself: all servers that it has for this request are out (refused, failed its checks, in maintenance, or full), no rule leads from this Host and path to any, or a rule refuses it",
		Decides: "the same request with the public host name; the proxy's own list of servers",
		Fixes: []Fix{
			{"", "look one tier further: why has the proxy taken its servers out?\nAsk one of them as the proxy does: triage check --as …"},
			{"HAProxy", "HAProxy's log says which: BACKEND/<NOSRV> with SC is a backend whose\nservers are all out, BACKEND/SERVER with SC one that refused, sQ a\nfull queue, PR a rule, FRONTEND/<NOSRV> with SC no rule leads on:\n    echo 'show stat' | socat - /run/haproxy/admin.sock"},
			{"Envoy", "which hosts are healthy in Envoy's own eyes?\n    curl -s localhost:ADMIN-PORT/clusters | grep health_flags"},
			{"Kubernetes", "has the service any endpoint that is ready?\n    kubectl get endpointslices -l kubernetes.io/service-name=NAME"},
		},
		Wrong:   Wrong{"answering the check in the proxy itself", "the balancer in front then sends clients to a proxy that has nothing behind it"},
		Sources: []string{"HAProxy 2.6.12 (servers out, refused, no rule, deny_status 503), tried", "Envoy, as tested in kumahq/kuma", "Traefik, loadbalancer/wrr/wrr.go"},

		match: func(c *kase) clue { return c.gatewayClue(nothingToAsk) },
		prove: func(in *inquiry) finding { return provesGateway(in, nothingToAsk) },
	},
}

// behind is what a proxy's own words say of the servers behind it.
type behind uint8

const (
	nothingBehind behind = iota // no words of a proxy
	brokenBehind                // no valid answer
	slowBehind                  // no answer in time
	nothingToAsk                // no server
)

// gatewayWords are what proxies write themselves, by code and content. HAProxy writes the same for a rule that denies with
// such a code (http-request deny deny_status 502).
var gatewayWords = [...]struct {
	proxy  string
	status int
	text   string
	says   behind
}{
	{"HAProxy", 502, "<html><body><h1>502 Bad Gateway</h1>\nThe server returned an invalid or incomplete response.\n</body></html>", brokenBehind},
	{"HAProxy", 503, "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>", nothingToAsk},
	{"HAProxy", 504, "<html><body><h1>504 Gateway Time-out</h1>\nThe server didn't respond in time.\n</body></html>", slowBehind},
	{"Envoy", 503, "no healthy upstream", nothingToAsk},
	{"Envoy", 504, "upstream request timeout", slowBehind},
	{"Traefik", 503, "no available server", nothingToAsk},
}

// behindGateway is what the answer says of the servers behind a proxy that wrote it, and which proxy that is. It is not
// sure where other servers answer so as well.
func (c *kase) behindGateway() (says behind, proxy string, sure bool) {
	status, text := c.x.Status, strings.ReplaceAll(c.text(), "\r\n", "\n")
	for _, w := range gatewayWords {
		if status == w.status && text == w.text {
			return w.says, w.proxy, true
		}
	}
	switch {
	case status == 502 && c.nginxPage():
		return brokenBehind, "nginx", true
	case status == 504 && c.nginxPage():
		return slowBehind, "nginx", true
	case status == 503 && strings.HasPrefix(text, "upstream connect error or disconnect/reset before headers") && !strings.Contains(text, "overflow"):
		return brokenBehind, "Envoy", true
	case status == 502 && c.caddysOwn():
		return brokenBehind, "Caddy", true
	case status == 504 && c.caddysOwn():
		return slowBehind, "Caddy", true
	case status == 502 || status == 503 && c.apachePage("503 Service Unavailable"):
		return brokenBehind, "", false
	case status == 504:
		return slowBehind, "", false
	case status == 503 && text == "" && c.server() == "Caddy":
		return nothingToAsk, "", false // or what the application itself answers
	}
	return nothingBehind, "", false
}

// caddysOwn reports whether Caddy may have written an answer itself: without content, and with no field of anybody else.
func (c *kase) caddysOwn() bool {
	if c.server() != "Caddy" || c.header("Content-Length") != "0" {
		return false
	}
	return !slices.ContainsFunc(c.answer.Fields, func(f http1.Field) bool {
		return !slices.Contains([]string{"server", "date", "content-length", "connection", "alt-svc"}, strings.ToLower(string(f.Name)))
	})
}

// gatewayClue suspects an entry if the proxy's words say the same.
func (c *kase) gatewayClue(wanted behind) clue {
	said, proxy, sure := c.behindGateway()
	if !c.mismatch(c.x.Status) {
		return no
	}
	if c.codeAlone(503) && wanted != slowBehind {
		return maybe(c.statusLine())
	}
	if wanted == slowBehind && c.apachePage("502 Proxy Error") {
		return maybe(c.statusLine(), "Apache's page, for a server that broke off as for one that is slow")
	}
	switch {
	case said != wanted:
		return no
	case proxy == "HAProxy" && said == nothingToAsk:
		return maybe(c.statusLine(), "the page is HAProxy's own") // it says the same where no rule matches the Host
	case sure && (proxy == "HAProxy" || proxy == "Caddy"):
		return fitting(c.statusLine(), "the answer is as "+proxy+"'s own")
	case sure:
		return certainly(c.statusLine(), "the page is "+proxy+"'s own")
	}
	return maybe(c.statusLine())
}

// provesGateway asks by the site's public name, without which the proxy may have handed the request to another application,
// and for another path, which the proxy answers likewise if it has nothing behind it.
func provesGateway(in *inquiry, wanted behind) finding {
	said, proxy, sure := in.behindGateway()
	if !sure || said != wanted {
		return undecided("")
	}
	if text, ok := in.passesOtherwise(); ok {
		return disproof(text)
	}
	named, text := in.byName()
	if named == nil {
		if wanted == nothingToAsk {
			return undecided("") // true of the site that was asked, whichever it is
		}
		return doubt("")
	}
	if said, _, _ := named.behindGateway(); said != wanted {
		return doubt("")
	}
	// Rules of HAProxy and applications behind Caddy answer just so: there it stays what is usual.
	imitable := proxy == "Caddy" || proxy == "HAProxy" && wanted != nothingToAsk
	if in.path() == "/" {
		if text == "" || imitable {
			return undecided("")
		}
		return proof(text + ", from the proxy too")
	}
	question := dialect.Variation{Path: "/"}
	answer := in.ask(question)
	if answer == nil || answer.x.Status == 0 {
		return undecided("")
	}
	if text = says(question, answer); named != in.kase {
		text = fmt.Sprintf("%s; with Host %s: %s", text, in.publicHost(), Brief(named.x))
	}
	switch said, _, _ := answer.behindGateway(); {
	case said == wanted && imitable:
		return undecided("")
	case said == wanted:
		return proof(text + ", from the proxy too")
	case wanted == brokenBehind, proxy == "Caddy":
		return doubt("") // not the whole site: it may be an answer that the proxy does not take, or the application's own
	case wanted == slowBehind && said == nothingBehind && !imitable:
		return proof(text + ": it is this path that is slow, or what it is handed to")
	}
	return undecided("")
}
