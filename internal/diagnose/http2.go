package diagnose

import (
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// http2Entries are about HTTP/1 and HTTP/2 missing each other.
var http2Entries = []*Entry{
	{
		Code:    "http2-only",
		Title:   "the port speaks nothing but HTTP/2",
		Stage:   StageHTTP,
		Seen:    "the answer begins with a frame of HTTP/2 (00 00 12 04 …), or none comes where the same request in HTTP/2 is answered; over TLS, 403 about a missing ALPN protocol, or the alert no_application_protocol",
		Cause:   "port {port} speaks HTTP/2 alone, and the health check speaks HTTP/1",
		Decides: "the same request in HTTP/2",
		Fixes:   http2Check,
		Wrong:   Wrong{"a tcp check in its place", "it passes whatever the application answers"},
		Sources: []string{"nginx 1.22.1, Node 20, Go 1.26, HAProxy 2.6 and grpc-go 1.85, tried", "RFC 9113 section 3.4"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome == triage.NotHTTP && isSettings(c.opening()):
				return certainly("the answer begins with a SETTINGS frame of HTTP/2: " + strconv.QuoteToASCII(c.opening()[:5]))
			case c.x.Status == 403 && c.bodyHas("Missing ALPN Protocol"):
				return certainly(c.statusLine(), "the body says: Missing ALPN Protocol")
			case c.alerted("no application protocol"):
				return certainly(c.x.Detail)
			case c.silent() && !c.asksHTTP2():
				return maybe(c.evidence()...)
			}
			return no
		},
		tell: func(c *kase) (cause, fix string) {
			if c.encrypted() || c.x.Outcome == triage.TLSRefused {
				return "the server takes only clients that agree on HTTP/2 in the handshake (ALPN), and this health check speaks HTTP/1.1",
					"let the server take HTTP/1.1 beside HTTP/2 (Node: allowHTTP1: true;\nGo: NextProtos with \"http/1.1\"), or check it in HTTP/2"
			}
			return c.fill("port {port} speaks HTTP/2 without TLS and without being asked (h2c), and the health check speaks HTTP/1"), c.cure(http2Check)
		},
		prove: func(in *inquiry) finding {
			p := triage.H2C
			if in.encrypted() || in.x.Outcome == triage.TLSRefused {
				p = triage.H2
			}
			if answer := in.ask(dialect.Variation{Protocol: p}); answer != nil && answer.isGRPC() {
				return disproof("") // it is more than that
			}
			return speaksHTTP2(in, p)
		},
	},
	{
		Code:    "http2-not-spoken",
		Title:   "the port does not speak HTTP/2",
		Stage:   StageHTTP,
		Seen:    "a check in HTTP/2 or gRPC is answered in HTTP/1, or the handshake does not agree on HTTP/2",
		Cause:   "the health check speaks HTTP/2, and port {port} speaks HTTP/1.1 alone",
		Decides: "the same request in HTTP/1.1",
		Fixes: []Fix{
			{"", "check it in HTTP/1.1, or let the server speak HTTP/2 too; one\ntarget group for each of the two, if there are both"},
			{"nginx", "listen {port} ssl http2;    (since 1.25.1: http2 on;)"},
			{"AWS", "a target group's protocol version cannot be changed: make one of\nHTTP1, and move the targets"},
			{"Spring Boot", "server.http2.enabled=true"},
		},
		Sources: []string{"nginx 1.22.1, Apache 2.4, Node 20, Go 1.26 and HAProxy 2.6, tried", "argo-cd #21328", "AWS: HTTP 464"},

		match: func(c *kase) clue {
			opening := c.opening()
			switch {
			case c.x.Proxy != triage.NoProxy && c.x.Outcome != triage.HTTP2NotOffered:
				return no
			case c.x.Outcome == triage.HTTP2NotOffered:
				return certainly(c.evidence()...)
			case c.x.Outcome != triage.NotHTTP2:
				return no
			// A server whose port speaks TLS answers our first words with a 400 as well, and so does the rest of the world.
			case strings.HasPrefix(opening, "HTTP/1.") && !strings.HasPrefix(opening[len("HTTP/1."):], "1 400") && !strings.HasPrefix(opening[len("HTTP/1."):], "0 400"):
				return fitting("the answer begins with " + strconv.QuoteToASCII(opening))
			case strings.HasPrefix(opening, "HTTP/1."), strings.HasPrefix(strings.ToLower(opening), "<!doc"), strings.HasPrefix(strings.ToLower(opening), "<html"):
				return maybe("the answer begins with " + strconv.QuoteToASCII(opening))
			}
			return no
		},
		prove: func(in *inquiry) finding {
			if in.x.Outcome != triage.HTTP2NotOffered {
				return answersPlainly(in, triage.HTTP)
			}
			question := dialect.Variation{Protocol: triage.HTTPS}
			if answer := in.ask(question); answer != nil && answer.x.Status != 0 {
				return proof(says(question, answer))
			}
			return undecided("")
		},
	},
	{
		Code:    "http2-request-refused",
		Title:   "the server ends the request in HTTP/2 without an answer",
		Stage:   StageHTTP,
		Seen:    "RST_STREAM or GOAWAY in place of an answer",
		Cause:   "the server speaks HTTP/2 and ended this request without an answer",
		Decides: "the error code of the frame (RFC 9113 section 7), and the server's log",
		Fixes: []Fix{
			{"", "by the code: REFUSED_STREAM and NO_ERROR, it is shutting down or\nfull; HTTP_1_1_REQUIRED, check it in HTTP/1.1; ENHANCE_YOUR_CALM,\ncheck it less often; PROTOCOL_ERROR, it dislikes the request"},
		},
		Sources: []string{"RFC 9113 section 7"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome == triage.StreamReset:
				return fitting(c.evidence()...)
			case c.x.Outcome == triage.NotHTTP2 && c.opening() == "":
				return maybe(c.evidence()...)
			}
			return no
		},
		tell: func(c *kase) (cause, fix string) {
			said := c.x.Detail
			if said == "" {
				said = "RST_STREAM or GOAWAY"
			}
			return "the server speaks HTTP/2 and ended this request without an answer: " + said, refusedStreamFix(said)
		},
	},
	{
		Code:   "http2-check-without-authority",
		Title:  "HAProxy's check in HTTP/2 names no authority",
		Stage:  StageHTTP,
		Seen:   "HAProxy shows SOCKERR for a server that it checks in HTTP/2",
		Cause:  "HAProxy adds neither Host nor :authority to a check, and servers of HTTP/2 reset a request without it",
		Fixes:  []Fix{{"HAProxy", "option httpchk\nhttp-check send meth GET uri https://{public}{path}"}},
		Unseen: true,
		Sources: []string{
			"haproxy #1225",
		},
	},
}

// http2Check is the cure of a check in HTTP/1 of what speaks HTTP/2.
var http2Check = []Fix{
	{"", "check it in HTTP/2, or as gRPC if it is that, or give the health\npage a second port that speaks HTTP/1.1"},
	{"nginx", "before 1.25.1 \"listen … http2\" without ssl takes HTTP/2 alone:\n    listen 8081;    # for the check, beside it"},
	{"AWS", "a target group of protocol version HTTP2 (or GRPC):\n    aws elbv2 create-target-group --protocol-version HTTP2 …"},
	{"Node", "http.createServer(handler).listen(8081)    beside http2"},
	{"HAProxy", "server app {address}:{port} check proto h2"},
}

// refusedStreamFix is what to do about an error code of HTTP/2.
func refusedStreamFix(said string) string {
	switch {
	case strings.Contains(said, "HTTP_1_1_REQUIRED"):
		return "check it in HTTP/1.1: the server says that it wants that"
	case strings.Contains(said, "ENHANCE_YOUR_CALM"):
		return "check it less often, or raise the server's limit: it says that it is\nasked too much"
	case strings.Contains(said, "REFUSED_STREAM"), strings.Contains(said, "NO_ERROR"):
		return "the server is shutting down, or has as many requests as it takes:\nits log says which"
	}
	return "the server's log may say what it dislikes about the request; triage\ncheck -v shows the request"
}

// isSettings recognises the first frame of a peer that speaks HTTP/2 (RFC 9113 section 3.4): SETTINGS, not as an
// acknowledgement, with a length that is a multiple of six.
func isSettings(opening string) bool {
	const settings = 4
	return len(opening) >= 5 && opening[0] == 0 && opening[3] == settings && opening[4] == 0 &&
		(int(opening[1])<<8|int(opening[2]))%6 == 0
}

// speaksHTTP2 proves that what was silent to HTTP/1 answers in HTTP/2. A server may be silent to HTTP/1.0 alone, and may say
// 400 in HTTP/2 for want of something else.
func speaksHTTP2(in *inquiry, p triage.Protocol) finding {
	if in.version() == "HTTP/1.0" {
		question := dialect.Variation{Current: true}
		if answer := in.ask(question); answer != nil && answer.x.Status != 0 {
			return disproof(says(question, answer))
		}
	}
	question := dialect.Variation{Protocol: p}
	switch answer := in.ask(question); {
	case answer == nil || answer.x.Status == 400 && !answer.passes():
		return undecided("")
	case strings.HasPrefix(string(answer.x.Head), "HTTP/2 "): // not just RST_STREAM, in which an application may end any request
		return proof(says(question, answer))
	default:
		return disproof(says(question, answer))
	}
}

// isGRPC reports whether the answer is one of gRPC, whatever was asked.
func (c *kase) isGRPC() bool {
	return strings.HasPrefix(string(c.x.Head), "HTTP/2 ") && (strings.HasPrefix(c.kind(), "application/grpc") || c.has("grpc-status"))
}
