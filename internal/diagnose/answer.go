package diagnose

import (
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
)

// answerEntries are about an answer that is none, or breaks the rules of HTTP.
var answerEntries = []*Entry{
	{
		Code:    "other-protocol",
		Title:   "another service has this port",
		Stage:   StageHTTP,
		Seen:    "the first bytes are the greeting of another protocol: SSH, SMTP, IMAP, MySQL, Redis …",
		Cause:   "what answers on port {port} is not a web server",
		Decides: "on the target: ss -ltnp 'sport = :{port}'",
		Fixes: []Fix{
			{"", "correct the port of the health check, or ask this service in a way\nof its own; on the target:\n    ss -ltnp 'sport = :{port}'"},
		},
		Sources: []string{"RFC 4253 section 4.2 (SSH-)", "RFC 5321 section 4.2 (220)", "RFC 3501 section 7.1.5 (* OK)", "RFC 1939 section 4 (+OK)", "redis.io: RESP", "MySQL: Protocol::HandshakeV10"},

		match: func(c *kase) clue {
			opening := c.opening()
			name, certain := greeting(opening)
			switch {
			case name == "" || c.x.Proxy != triage.NoProxy && !certain:
				return no
			case certain:
				return certainly("the answer begins with " + strconv.QuoteToASCII(opening[:min(len(opening), 40)]) + ": " + name)
			}
			return fitting("the answer begins with " + strconv.QuoteToASCII(opening[:min(len(opening), 40)]) + ": " + name)
		},
		tell: func(c *kase) (cause, fix string) {
			name, _ := greeting(c.opening())
			if name == "" {
				name = "another service"
			}
			return c.fill("what answers on port {port} is " + name + ", not a web server"),
				c.fill("correct the port of the health check, or ask this service in a way\nof its own; on the target:\n    ss -ltnp 'sport = :{port}'")
		},
	},
	{
		Code:    "closed-on-purpose",
		Title:   "the application closes the connection",
		Stage:   StageHTTP,
		Seen:    "connected, and closed or reset without an answer",
		Cause:   "the application, or a worker of it that crashed, ended the connection without an answer",
		Decides: "the application's log at the time of the check",
		Fixes: []Fix{
			{"", "look in the application's log for a crash, or for a rule that drops\nrequests which it does not expect"},
			{"gunicorn", "the log says WORKER TIMEOUT or \"was sent SIGKILL\": the worker hung,\nor ran out of memory"},
		},
		Sources: []string{"Node 20 with socket.destroy and Go 1.26 with ErrAbortHandler, tried", "remnawave #57"},

		match: func(c *kase) clue {
			switch c.x.Outcome {
			case triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer:
				return maybe(c.evidence()...)
			}
			return no
		},
	},
	{
		Code:    "malformed-answer",
		Title:   "the answer breaks the rules of HTTP",
		Stage:   StageHTTP,
		Seen:    "an answer that begins as HTTP, and then a line that is none",
		Cause:   "the head of the answer is not valid HTTP: some load balancers let it pass as a check and answer visitors 502",
		Decides: "triage check -v, which shows the bytes",
		Fixes:   []Fix{{"", "have the program write its head by a library of HTTP, with lines\nthat end in CR LF, and without control characters in the values"}},
		Sources: []string{"RFC 9112 section 2.2", "AWS: load-balancer-troubleshooting, HTTP 502"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome == triage.NotHTTP && c.x.Proxy == triage.NoProxy && strings.HasPrefix(c.opening(), "HTTP/"):
				return certainly(c.evidence()...)
			case c.x.Outcome == triage.NotHTTP && c.opening() == "":
				return maybe(c.evidence()...)
			}
			return no
		},
	},
	{
		Code:    "not-any-protocol",
		Title:   "the answer is in no protocol that is known here",
		Stage:   StageHTTP,
		Seen:    "first bytes that are neither HTTP nor the greeting of another protocol",
		Cause:   "what answers on port {port} is not a web server, or a very old or broken one",
		Decides: "on the target: ss -ltnp 'sport = :{port}'",
		Fixes:   []Fix{{"", "on the target, see which program has the port:\n    ss -ltnp 'sport = :{port}'"}},
		Sources: []string{"RFC 9112 section 4, how an answer begins"},

		match: func(c *kase) clue {
			switch c.x.Outcome {
			case triage.NotHTTP, triage.NotHTTP2, triage.TLSNotSpoken:
			default:
				return no
			}
			opening := c.opening()
			if name, _ := greeting(opening); name != "" || isSettings(opening) || startsTLS(opening) || strings.HasPrefix(opening, "HTTP/") {
				return no
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:    "head-too-large",
		Title:   "the head of the answer is too large",
		Stage:   StageHTTP,
		Seen:    "header lines of more than 64 KiB, or more than 256 of them",
		Cause:   "the answer's header lines are more than a load balancer reads: often cookies that grow with every answer",
		Decides: "triage check -v, which shows the lines",
		Fixes:   []Fix{{"", "find the line that grows, and answer the health check without a\nsession and without cookies"}},
		Sources: []string{"Go 1.26, tried", "AWS: load-balancer-troubleshooting, HTTP 502"},

		match: outcomeIs(triage.HeadTooLarge),
	},
	{
		Code:    "body-unframed",
		Title:   "the answer does not say how long its body is",
		Stage:   StageHTTP,
		Seen:    "a body with neither Content-Length nor chunks, which ends with the connection",
		Cause:   "the answer has a body but neither Content-Length nor chunks, and AWS's Classic Load Balancer takes no such answer",
		Decides: "curl -i: whether Content-Length or Transfer-Encoding is there",
		Fixes: []Fix{
			{"", "answer with a Content-Length, or in HTTP/1.1 with chunks; a health\npage that is a short string gets one by itself"},
			{"Flask", "return a string, not a generator"},
		},
		Sources: []string{"Flask 3.1 behind a server of HTTP/1.0, tried", "AWS: ts-elb-healthcheck"},

		match: outcomeIs(triage.BodyUnframed),
	},
	{
		Code:    "body-truncated",
		Title:   "the answer breaks off",
		Stage:   StageHTTP,
		Seen:    "the connection ends before the length that the head announced",
		Cause:   "the answer ends before it is complete: the program crashed or was cut off while it wrote, or announces more than it has",
		Decides: "the application's log at the time of the check",
		Fixes: []Fix{
			{"", "look for a crash in the application's log; do not set\nContent-Length by hand, which a later change of the text belies"},
			{"nginx", "an upstream that closes early, or a full disk under\nproxy_temp_path: see error.log"},
		},
		Wrong:   Wrong{"a check that does not read the body", "HAProxy's passes unless it is told to expect a text, and visitors get half a page or 504"},
		Sources: []string{"nginx 1.22.1 and Go 1.26, tried", "AWS: load-balancer-troubleshooting, HTTP 504"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.BodyTruncated {
				return no
			}
			return fitting(c.evidence()...)
		},
	},
	{
		Code:    "chunks-malformed",
		Title:   "the chunks of the body are not valid",
		Stage:   StageHTTP,
		Seen:    "Transfer-Encoding: chunked, and then lengths that are none",
		Cause:   "the answer announces chunks, and its body is not in chunks, or they are counted wrongly",
		Decides: "triage check -v, which shows the bytes",
		Fixes: []Fix{
			{"", "do not set Transfer-Encoding by hand: the server does, and two that\nset it leave chunks in chunks"},
		},
		Sources: []string{"Python 3.11, tried", "RFC 9112 section 7.1"},

		match: outcomeIs(triage.BodyMalformed),
	},
}

// outcomeIs is the match of an entry that an outcome means by itself.
func outcomeIs(o triage.Outcome) func(*kase) clue {
	return func(c *kase) clue {
		if c.x.Outcome != o {
			return no
		}
		return certainly(c.evidence()...)
	}
}

// greetings are how other services begin to talk, or answer a line that they do not understand.
var greetings = [...]struct {
	prefix, service string
	certain         bool
}{
	{"SSH-", "an SSH server", true},
	{"* OK", "an IMAP server", true},
	{"+OK", "a POP3 server", false},
	{"220 ", "a mail (SMTP) or FTP server", false},
	{"220-", "a mail (SMTP) or FTP server", false},
	{"-ERR ", "Redis, a POP3 server, or what talks like one of them", false},
	{"-DENIED ", "Redis", true},
	{"-NOAUTH ", "Redis", true},
	{"RFB 0", "a VNC server", true},
	{"AMQP\x00", "a broker of AMQP (RabbitMQ)", true},
	{"@RSYNCD:", "an rsync server", true},
}

// greeting names the service that begins so; "" if none is known that does.
func greeting(opening string) (service string, certain bool) {
	for _, g := range greetings {
		// The first bytes may be cut short: five of them are kept where TLS was expected.
		if strings.HasPrefix(opening, g.prefix) || len(opening) >= 4 && strings.HasPrefix(g.prefix, opening) {
			return g.service, g.certain
		}
	}
	// MySQL: a length of three bytes, the number 0, version 10 of its handshake, and its own version as text.
	if len(opening) >= 5 && opening[1] == 0 && opening[2] == 0 && opening[3] == 0 && opening[4] == 10 {
		return "MySQL or MariaDB", true
	}
	return "", false
}
