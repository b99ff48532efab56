package diagnose

import (
	"slices"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

var httpEntries = slices.Concat(requestEntries, methodEntries, answerEntries, proxyHeaderEntries, http2Entries, grpcEntries)

// requestEntries are about a request that the server does not like: its version, its path, its Host.
var requestEntries = []*Entry{
	{
		Code:    "http10-refused",
		Title:   "the proxy refuses HTTP/1.0",
		Stage:   StageHTTP,
		Seen:    "426 Upgrade Required from Envoy, to a request in HTTP/1.0",
		Cause:   "Envoy does not take HTTP/1.0 unless it is told to, and this load balancer asks in HTTP/1.0",
		Decides: "the same request in HTTP/1.1 with a Host header",
		Fixes: []Fix{
			{"", "let the checker ask in HTTP/1.1 with a Host header, or let Envoy\ntake HTTP/1.0"},
			{"HAProxy", "option httpchk\nhttp-check send meth GET uri {path} ver HTTP/1.1 hdr Host {public}"},
			{"Envoy", "http_connection_manager:\n  http_protocol_options: { accept_http_10: true }"},
			{"Istio", "istiod's environment, for all proxies: PILOT_HTTP10=1\nor a gateway's own: ISTIO_META_HTTP10=1"},
		},
		Wrong:   Wrong{"a tcp check in its place", "it passes while every page of the application fails"},
		Sources: []string{"envoy #4891", "envoy #18608", "istio #23411, #36837", "emissary #988", "koperator #47"},

		match: func(c *kase) clue {
			switch {
			case c.codeAlone(426):
				return maybe(c.statusLine())
			case !c.mismatch(426) || !strings.EqualFold(c.server(), "envoy") && !strings.EqualFold(c.server(), "istio-envoy") || c.version() == "HTTP/1.1":
				return no
			}
			return fitting(c.statusLine(), "Server: "+c.header("Server"))
		},
		prove: answersToCurrent,
	},
	{
		Code:    "websocket-only",
		Title:   "a plain request to an endpoint of WebSockets",
		Stage:   StageHTTP,
		Seen:    "426 Upgrade Required that asks for websocket, in its Upgrade header or its words",
		Cause:   "the path is one where WebSockets begin, and a health check does not begin one",
		Decides: "the same request with the site's public name as Host, and in HTTP/1.1, which are refused as well",
		Fixes: []Fix{
			{"", "give the server a page of its own for checks, and ask that"},
			{"Node", "const server = http.createServer(answerHealth);\nnew WebSocketServer({ server, path: '/ws' });"},
		},
		Wrong:   Wrong{"adding 426 to the success codes", "it says that the library is loaded, not that the application works"},
		Sources: []string{"RFC 9110 section 15.5.22", "AWS: health checks do not support WebSockets"},

		match: func(c *kase) clue {
			switch {
			case !c.mismatch(426):
				return no
			case strings.EqualFold(c.header("Upgrade"), "websocket"):
				return certainly(c.statusLine(), "Upgrade: "+c.header("Upgrade"))
			case strings.Contains(strings.ToLower(c.text()), "websocket"):
				return fitting(c.statusLine(), "the body speaks of WebSocket")
			}
			return maybe(c.statusLine())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesByName(); ok {
				return disproof(text) // the endpoint is another site's: this one has a page
			}
			if in.version() == "HTTP/1.1" {
				return undecided("")
			}
			question := dialect.Variation{Current: true}
			if answer := in.ask(question); answer != nil && answer.x.Status != 0 && answer.x.Status != 426 {
				return disproof(says(question, answer))
			}
			return undecided("")
		},
	},
	{
		Code:    "host-header-missing",
		Title:   "a request of HTTP/1.1 without a Host header",
		Stage:   StageHTTP,
		Seen:    "400 to a request that says HTTP/1.1 and has no Host",
		Cause:   "HTTP/1.1 wants a Host header in every request, and the check sends none",
		Decides: "the same request with a Host header",
		Fixes: []Fix{
			{"", "let the checker send a Host header"},
			{"HAProxy", "option httpchk\nhttp-check send meth GET uri {path} ver HTTP/1.1 hdr Host {public}"},
		},
		Sources: []string{"nginx, Go and Node, tried", "RFC 9112 section 3.2", "cerebro #494", "dataplaneapi #161", "tengine #886"},

		match: func(c *kase) clue {
			switch {
			case c.x.Status != 400:
				return no
			case c.version() == "HTTP/1.1" && !c.sentHost():
				return certainly(c.statusLine(), "the request has no Host header")
			case c.bodyHas("missing required Host header"), c.bodyHas("missing required 'Host' header"):
				return certainly(c.statusLine(), "the body says: "+first(c.text()))
			case c.codeAlone(400):
				return maybe(c.statusLine())
			}
			return no
		},
		prove: answersToCurrent,
	},
	{
		Code:    "host-header-empty",
		Title:   "the Host header is empty",
		Stage:   StageHTTP,
		Seen:    "400 to a request with an empty Host",
		Cause:   "the check sends a Host header without a name in it, which servers refuse",
		Decides: "the same request with a name as Host",
		Fixes:   []Fix{{"", "leave the header out, or give it a name"}},
		Sources: []string{"nginx 1.22.1, tried", "varnish-6.0-templates #3"},

		match: func(c *kase) clue {
			if _, rest, _ := strings.Cut(strings.ToLower(string(c.x.Sent)), "\r\nhost:"); !c.mismatch(400) || !strings.HasPrefix(strings.TrimLeft(rest, " "), "\r\n") {
				return no
			}
			return certainly(c.statusLine(), "Host: (empty)")
		},
		prove: func(in *inquiry) finding {
			question := dialect.Variation{Host: in.x.Address.String()}
			if answer := in.ask(question); answer != nil && answer.x.Status != 0 && answer.x.Status != 400 {
				return proof(says(question, answer))
			}
			return undecided("")
		},
	},
	{
		Code:    "graphql-refuses-plain-get",
		Title:   "GraphQL refuses a request without a query",
		Stage:   StageHTTP,
		Seen:    "400 that speaks of Cross-Site Request Forgery, or of a GET query that is missing",
		Cause:   "the path is that of a GraphQL server, which refuses requests that a browser could send by itself, and a load balancer can add no header",
		Decides: "a path outside of GraphQL",
		Fixes: []Fix{
			{"", "answer checks outside of GraphQL, by a page of its own; Apollo\nServer 4 has no /.well-known/apollo/server-health any more"},
			{"Express", "app.get('{path}', (req, res) => res.send('ok'));\nabove expressMiddleware(server)"},
			{"Apollo Router", "router.yaml:\n    health_check: { enabled: true, listen: 0.0.0.0:8088 }"},
		},
		Wrong:   Wrong{"switching csrfPrevention off", "other sites can then have visitors' browsers run queries"},
		Sources: []string{"apollo-server #7665", "apollo-server #6095", "router #1861"},

		match: func(c *kase) clue {
			if !c.mismatch(400) {
				return no
			}
			for _, words := range [...]string{"potential Cross-Site Request Forgery", "GET query missing"} {
				if c.bodyHas(words) {
					return certainly(c.statusLine(), "the body says: "+words)
				}
			}
			if c.codeAlone(400) {
				return maybe(c.statusLine())
			}
			return no
		},
	},
	{
		Code:    "path-without-slash",
		Title:   "the path does not begin with a slash",
		Stage:   StageHTTP,
		Seen:    "400 to a request line such as GET health HTTP/1.1",
		Cause:   "the check's path was given without its first slash, which makes the request one that no server can read",
		Fixes:   []Fix{{"", "write the path with its slash: /health in place of health"}},
		Sources: []string{"nginx and Go, tried"},

		match: func(c *kase) clue {
			parts := strings.Split(c.requestLine(), " ")
			if c.x.Status != 400 || len(parts) != 3 || strings.HasPrefix(parts[1], "/") || parts[1] == "*" || strings.Contains(parts[1], "://") || parts[0] == "CONNECT" {
				return no
			}
			return certainly(c.statusLine(), "the request began with "+c.requestLine())
		},
	},
	{
		Code:    "http-version-refused",
		Title:   "the server does not take this version of HTTP",
		Stage:   StageHTTP,
		Seen:    "505 HTTP Version Not Supported",
		Cause:   "the server answers that it does not support the version of HTTP in the request",
		Decides: "the same request in HTTP/1.1 with a Host header",
		Fixes:   []Fix{{"", "let the checker ask in HTTP/1.1; what sends another version as text\nis broken"}},
		Sources: []string{"nginx 1.22.1, tried", "RFC 9110 section 15.6.6"},

		match: func(c *kase) clue {
			switch {
			case !c.mismatch(505) || c.x.Proxy != triage.NoProxy:
				return no
			case c.version() == "HTTP/1.1":
				return maybe(c.statusLine(), c.requestLine())
			}
			return fitting(c.statusLine(), c.requestLine())
		},
		prove: func(in *inquiry) finding {
			if in.version() != "HTTP/1.0" {
				return undecided("")
			}
			return answersToCurrent(in)
		},
	},
}

// answersToCurrent proves that the version of HTTP, or the missing Host, is what the server did not like.
func answersToCurrent(in *inquiry) finding {
	question := dialect.Variation{Current: true}
	switch answer := in.ask(question); {
	case answer == nil || answer.x.Status == 0:
		return undecided("")
	case answer.x.Status != in.x.Status:
		return proof(says(question, answer))
	default:
		return disproof(says(question, answer))
	}
}

// requestLine is the first line that was sent; "" if none is known. It is there also where the request is not valid.
func (c *kase) requestLine() string {
	line, _, _ := strings.Cut(string(c.x.Sent), "\r\n")
	return line
}

// version is that of the request: "HTTP/1.1"; "" if it is not known.
func (c *kase) version() string {
	line := c.requestLine()
	return line[strings.LastIndexByte(line, ' ')+1:]
}

// sentHost reports whether the request has a Host header, empty or not. An unknown request counts as one that has.
func (c *kase) sentHost() bool {
	if len(c.x.Sent) == 0 {
		return true
	}
	if _, ok := http1.Get(c.asked.Fields, "Host"); ok {
		return true
	}
	return strings.Contains(strings.ToLower(string(c.x.Sent)), "\r\nhost:")
}
