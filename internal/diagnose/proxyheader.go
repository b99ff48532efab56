package diagnose

import (
	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// proxyHeaderEntries are about the PROXY protocol, which both sides must agree on.
var proxyHeaderEntries = []*Entry{
	{
		Code:    "proxy-header-expected",
		Title:   "the port expects a PROXY header before everything else",
		Stage:   StageHTTP,
		Seen:    "the connection is closed or reset without an answer, where the same request behind a PROXY line is answered",
		Cause:   "port {port} wants the PROXY protocol from whoever connects, and the health check does not speak it",
		Decides: "the same request behind a line PROXY TCP4 … of version 1",
		Fixes: []Fix{
			{"", "check a port that does without the PROXY protocol, or let the\nchecker send it"},
			{"nginx", "a port for the check alone, in a server block of its own:\n    listen {address}:8081;    # no proxy_protocol\n    location = {path} { proxy_pass http://APP; }"},
			{"HAProxy", "server app {address}:{port} check send-proxy check-send-proxy"},
			{"GCP", "gcloud compute health-checks update http NAME \\\n    --proxy-header PROXY_V1"},
			{"Varnish", "the backend: .proxy_header = 1;"},
		},
		Wrong: Wrong{"switching the PROXY protocol off", "the application then sees the load balancer's address in place of the visitors'"},
		Sources: []string{
			"nginx 1.22.1, HAProxy 2.6 and Apache 2.4, tried",
			"ingress-nginx #6996", "ingress-nginx #9643", "varnish #2151", "consul #3926", "haproxytech/kubernetes-ingress #463",
		},

		match: func(c *kase) clue {
			if c.x.Proxy != triage.NoProxy || !c.silent() && c.x.Outcome != triage.TLSClosed {
				return no
			}
			return maybe(c.evidence()...)
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{Proxy: triage.ProxyV1}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.tookProxyHeader():
				return proof(says(question, answer))
			default:
				return disproof(says(question, answer))
			}
		},
	},
	{
		Code:    "proxy-header-unexpected",
		Title:   "the port does not expect the PROXY header",
		Stage:   StageHTTP,
		Seen:    "400, or a closed connection, for a check that begins with a PROXY header",
		Cause:   "the health check begins with a PROXY header, and port {port} takes it for a broken request",
		Decides: "the same check without the PROXY header",
		Fixes: []Fix{
			{"", "let the port accept the PROXY protocol, or have it not sent: it\nprefixes the health checks as well as the traffic"},
			{"nginx", "listen {port} proxy_protocol;\nset_real_ip_from LB-NETWORK;\nreal_ip_header proxy_protocol;"},
			{"HAProxy", "bind :{port} accept-proxy"},
			{"AWS", "aws elbv2 modify-target-group-attributes \\\n    --target-group-arn ARN \\\n    --attributes Key=proxy_protocol_v2.enabled,Value=false"},
		},
		Wrong:   Wrong{"adding 400 to the success codes", "the port then passes while it can read no request at all"},
		Sources: []string{"nginx 1.22.1, Go 1.26, Node 20, Apache 2.4 and Python 3.11, tried", "kubernetes #57250"},

		match: func(c *kase) clue {
			switch {
			case c.codeAlone(400):
				return maybe(c.statusLine())
			case c.x.Proxy == triage.NoProxy:
				return no
			}
			switch c.x.Outcome {
			case triage.NotHTTP, triage.NotHTTP2, triage.TLSNotSpoken, triage.TLSClosed, triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer:
				return maybe(append(c.evidence(), "a PROXY "+string(c.x.Proxy)+" header was sent")...)
			}
			if c.mismatch(400, 501, 505) {
				return maybe(c.statusLine(), "a PROXY "+string(c.x.Proxy)+" header was sent")
			}
			return no
		},

		prove: func(in *inquiry) finding {
			if in.x.Proxy == triage.NoProxy {
				return undecided("") // it comes from somebody else, whose check this is not
			}
			question := dialect.Variation{Unproxied: true}
			answer := in.ask(question)
			switch {
			case answer == nil:
				return undecided("")
			case answer.passes(), answer.x.Status != 0 && answer.x.Status != in.x.Status:
				return proof(says(question, answer))
			}
			return disproof(says(question, answer))
		},
	},
}

// tookProxyHeader reports whether an answer to a request behind a PROXY line is one of a server that has read the line as
// such, and not as a broken request: such a server answers 400 (nginx, Node, Go, Apache, Python), or with the like, even if
// it closes the connection of a good request.
func (c *kase) tookProxyHeader() bool {
	if c.passes() || c.encrypted() {
		return true
	}
	if _, tls := c.wantsTLS(); tls { // it has read the line, and then the plain request
		return true
	}
	switch c.x.Status {
	case 0, 400, 405, 414, 501, 505:
		return false
	}
	return true
}
