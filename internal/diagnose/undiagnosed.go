package diagnose

import (
	"fmt"
	"mime"
	"strings"

	"github.com/triage-lb/triage"
)

func undiagnosed(c *kase) *triage.Diagnosis {
	info := c.x.Outcome.Info()
	seen := info.Sentence
	if c.x.Outcome == triage.CodeMismatch {
		seen = fmt.Sprintf("the answer is %s, and that is not one of the success codes", c.statusLine())
	}
	if c.x.Outcome == triage.GRPCMismatch {
		seen = fmt.Sprintf("the gRPC status is %s, and that is not one of the success codes", triage.GRPCCodeText(c.x.Status))
	}
	if asking := c.asking(); asking != "" {
		seen = asking
	}
	if c.x.Detail != "" {
		seen += " (" + c.x.Detail + ")"
	}
	return &triage.Diagnosis{
		Code:       Undiagnosed,
		Title:      "no known cause",
		Cause:      seen,
		Evidence:   []string{info.Name},
		Certainty:  triage.Unknown,
		Candidates: []string{},
		Decides:    []string{},
		Asked:      []string{},
	}
}

// Says is the first line of what an answer says in plain words or in JSON, cut to 60 characters: "" if it says
// nothing of the kind. The words are the target's: treat them as such.
func Says(x *triage.Exchange) string {
	const longest = 60
	c := newCase(x)
	kind, _, _ := mime.ParseMediaType(c.header("Content-Type"))
	if kind != "text/plain" && kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return ""
	}
	words := []rune(strings.TrimSpace(first(c.content())))
	if len(words) > longest {
		words = append(words[:longest-1:longest-1], '…')
	}
	return string(words)
}

// Next is where to look when no entry explains a failure, for people: true for all causes that look alike. Lines
// that are indented are commands. It is "" where there is nothing to say beyond what was seen.
func Next(x *triage.Exchange) string {
	c := newCase(x)
	if next, ok := nextSteps[x.Outcome]; ok {
		return next(c)
	}
	return ""
}

// nextSteps says for each outcome that is a failure where to look next.
var nextSteps = map[triage.Outcome]func(*kase) string{
	triage.ResolveFailed: always("is the name spelled right, and known to the resolver of this network?"),

	triage.Refused: func(c *kase) string {
		return fmt.Sprintf("does the service run, and listen on this address, not only on 127.0.0.1? On the target:\n"+
			"    ss -ltnp 'sport = :%d'", c.x.Address.Port())
	},
	triage.Unreachable: func(c *kase) string {
		return fmt.Sprintf("is the address right, and is there a route to it?\n    ip route get %s", c.x.Address.Addr())
	},
	triage.ConnectTimeout: always("a firewall or security group may drop it, or no machine has this address"),

	triage.TLSRefused:   nextAfterTLSRefused,
	triage.TLSUntrusted: nextAfterUntrusted,
	triage.TLSNotSpoken: nextAfterNoTLS,
	triage.TLSClosed: func(c *kase) string {
		return "the target may want a server name (SNI) that this check does not send, or " + c.proxyHeader()
	},
	triage.TLSTimeout: always("all workers may be busy, or the port may not speak TLS"),
	triage.HTTP2NotOffered: func(c *kase) string {
		return fmt.Sprintf("is HTTP/2 switched on in this server (in nginx, http2 on)? What it says over HTTP/1.1:\n"+
			"    triage check https://%s/", c.x.Address)
	},

	triage.ClosedBeforeAnswer: nextAfterNothing,
	triage.ResetBeforeAnswer:  nextAfterNothing,
	triage.NotHTTP:            nextAfterNotHTTP,
	triage.NotHTTP2:           nextAfterNotHTTP,
	triage.StreamReset: always("the code says why: REFUSED_STREAM is a server that is full or stops, ENHANCE_YOUR_CALM a limit " +
		"that the checks run into; for others look into the target's log"),
	triage.ResponseTimeout: always("all workers may be busy, or the page may be slower than the limit: a longer --timeout " +
		"shows how slow"),

	triage.BodyTruncated: always("a worker may have crashed while it answered: look into the application's log"),
	triage.BodyMalformed: always("triage check -v shows what came"),
	triage.BodyTimeout: always("the page may be too large or too slow for a check: a longer --timeout shows how slow; " +
		"a small page of its own is better"),

	triage.NotGRPC:      always("a proxy or another service may answer in its place; triage check -v shows what came"),
	triage.BodyMismatch: always("triage check -v shows the content; what is looked for may also stand behind the bytes that are read"),

	triage.CodeMismatch:    nextAfterCode,
	triage.GRPCMismatch:    nextAfterGRPC,
	triage.NotServing:      always("the service itself says so: its log may tell what it waits for, or that it is shutting down"),
	triage.HeaderMismatch:  always("triage check -v shows the head of the answer; a proxy in between may drop or change header fields"),
	triage.ExpressionFalse: always("triage check -v shows the answer that the expression was asked about"),
	triage.ExpressionFailed: always("the answer may lack what the expression names: has(json.field) asks first whether it is " +
		"there; triage check -v shows the answer"),
	triage.RedirectFailed: always("the pages may redirect to each other for ever: let the health path answer by itself"),
}

func always(text string) func(*kase) string {
	return func(*kase) string { return text }
}

// nextAfterNoTLS is for a handshake that was answered in something else.
func nextAfterNoTLS(c *kase) string {
	if c.speaksHTTP2() {
		return c.inHTTP2()
	}
	if strings.Contains(c.x.Detail, `"HTTP/`) { // the outcome's detail quotes how the answer begins
		return fmt.Sprintf("it answers in plain http:\n    triage check http://%s/", c.x.Address)
	}
	return "another service may have this port: what it answers is neither TLS nor HTTP"
}

// nextAfterNotHTTP is for an answer that is not HTTP of the version that was asked for.
func nextAfterNotHTTP(c *kase) string {
	switch {
	case c.speaksHTTP2():
		return c.inHTTP2()
	case c.answersInTLS() && c.overGRPC():
		return fmt.Sprintf("it answers in TLS:\n    triage check grpcs://%s", c.x.Address)
	case c.answersInTLS() && c.overHTTP2():
		return fmt.Sprintf("it answers in TLS:\n    triage check h2://%s%s", c.x.Address, c.target())
	case c.answersInTLS():
		return fmt.Sprintf("it answers in TLS:\n    triage check https://%s%s", c.x.Address, c.target())
	case c.overHTTP2() && strings.HasPrefix(string(c.x.Head), "HTTP/1."):
		scheme := "http"
		if c.encrypted() {
			scheme = "https"
		}
		return fmt.Sprintf("it answers in HTTP/1.1:\n    triage check %s://%s/", scheme, c.x.Address)
	}
	return "another service may have this port; triage check -v shows what came"
}

// answersInTLS reports whether a question in plain text was answered with an alert of TLS or a record of its handshake
// (RFC 8446 section 5.1: the type, then a version that begins with 3). No protocol of text begins so.
func (c *kase) answersInTLS() bool {
	const alert, handshake = "\x15\x03", "\x16\x03"
	came := string(c.x.Head)
	return c.x.Status == 0 && !c.encrypted() && (strings.HasPrefix(came, alert) || strings.HasPrefix(came, handshake))
}

// nextAfterNothing is for a connection that ended without an answer.
func nextAfterNothing(c *kase) string {
	const look = ": look into the target's log"
	switch {
	case c.overHTTP2() && strings.Contains(c.x.Detail, "bytes of HTTP/2"): // the outcome's detail says that it began to speak
		if c.x.Proxy != triage.NoProxy {
			return "it speaks HTTP/2 and then hangs up: does it expect " + c.proxyHeader() + "? Look into the target's log"
		}
		return "it speaks HTTP/2 and then hangs up: a crashed worker, or a limit that the request runs into, may be behind it" + look
	case c.overHTTP2() && !c.encrypted():
		scheme, path := triage.H2, c.target()
		if c.overGRPC() {
			scheme, path = triage.GRPCS, ""
		}
		return "this may be a crashed worker, a port that does not speak HTTP/2, or one that expects " + c.proxyHeader() + look +
			fmt.Sprintf(". Or it expects TLS:\n    triage check %s://%s%s", scheme, c.x.Address, path)
	case c.encrypted() && !c.overHTTP2():
		return "a crashed worker, or nginx's 444 for a Host that it does not know, may be behind it" + look +
			". Or the target speaks only HTTP/2:\n    triage check h2://" + c.x.Address.String() + c.target()
	case c.encrypted():
		return "a crashed worker, or nginx's 444 for a Host that it does not know, may be behind it" + look
	}
	return "this may be a crashed worker, nginx's 444 for a Host that it does not know, or a port that expects TLS or " +
		c.proxyHeader() + look
}

// nextAfterCode is for a complete answer that is not a success.
func nextAfterCode(c *kase) string {
	switch status := c.x.Status; {
	case c.expectsTLS():
		return fmt.Sprintf("ask in TLS:\n    triage check https://%s%s", c.x.Address, c.target())
	case c.wantsCertificate():
		return showCertificate
	case c.answersGRPC():
		return fmt.Sprintf("it answers in gRPC:\n    triage check %s://%s", c.overTLS(triage.GRPC, triage.GRPCS), c.x.Address)
	case status == 400 && c.x.Proxy != triage.NoProxy:
		return "the target may not expect a PROXY header, and read it as a request: does the check pass without?"
	case status < 300:
		return fmt.Sprintf("if a healthy target answers so, add %d to the success codes", status)
	case status < 400:
		return nextAfterRedirect(c)
	case status == 401 || status == 403:
		return "a load balancer does not log in, and asks from addresses of its own: let the health path answer all the same"
	case status == 404 || status == 410:
		return "is the path right, up to its last slash? Another site of the same server may also have answered, for want of a known Host"
	case status == 429:
		return "a rate limit may count the checks too: spare the health path"
	case status < 500:
		return "the server's log may say what it dislikes about the request; triage check -v shows the request"
	case status == 502 || status == 503 || status == 504:
		return "this may be a proxy's answer for an application that is away: look behind it, then into the application's log"
	}
	return "the reason should be in the application's log; --count 20 -q shows whether it comes and goes"
}

// nextAfterGRPC is for a gRPC status that is not a success.
func nextAfterGRPC(c *kase) string {
	const ok, notFound, denied, unimplemented, unauthenticated = 0, 5, 7, 12, 16
	switch c.x.Status {
	case ok:
		return "the method exists and answers: if a healthy target does so, add 0 to the success codes"
	case notFound:
		return "the health service does not know the service that it is asked about: is the name as registered, with its package?"
	case denied, unauthenticated:
		return "a load balancer does not log in: let the health service answer without credentials"
	case unimplemented:
		return "the server does not have this method: does it register the health service, grpc.health.v1.Health?"
	}
	return "the target's log should say why it answers so"
}

// nextAfterRedirect is for a redirect to anywhere but https.
func nextAfterRedirect(c *kase) string {
	to, redirected := redirectTarget(c)
	if redirected && to.Path == c.path()+"/" {
		return "the path may lack its last slash: let the health check ask for " + to.Path
	}
	next := "a load balancer does not follow redirects: let the health path answer by itself"
	if redirected {
		next += ", or check the page that it redirects to:\n    " + to.String()
	}
	return next
}

// overHTTP2 reports whether the check asked over HTTP/2, whose request is kept as text.
func (c *kase) overHTTP2() bool {
	line, _, _ := strings.Cut(string(c.x.Sent), "\r\n")
	return strings.HasSuffix(line, " HTTP/2")
}

// overGRPC reports whether that was a call of gRPC.
func (c *kase) overGRPC() bool {
	return c.overHTTP2() && strings.Contains(string(c.x.Sent), "\r\ncontent-type: application/grpc")
}

// target is the path that the check asked for, with its query.
func (c *kase) target() string {
	words := strings.Fields(string(c.x.Sent))
	if len(words) < 2 {
		return "/"
	}
	return words[1]
}

// plainly names how a check without TLS asks.
func (c *kase) plainly() string {
	switch {
	case c.overGRPC():
		return "in gRPC without TLS"
	case c.overHTTP2():
		return "in HTTP/2 without TLS"
	}
	return "in plain http"
}
