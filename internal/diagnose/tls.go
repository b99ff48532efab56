package diagnose

import (
	"slices"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

var tlsEntries = slices.Concat(handshakeEntries, serverNameEntries, certificateEntries)

// handshakeEntries are about which protocol is spoken, and in which version.
var handshakeEntries = []*Entry{
	{
		Code:    "plain-http-to-tls-port",
		Title:   "a plain-text check of a port that speaks TLS",
		Stage:   StageTLS,
		Seen:    "400 with words about plain HTTP on an HTTPS port, an alert of TLS in place of an answer, or no answer at all",
		Cause:   "port {port} speaks TLS, and the health check asks in plain http",
		Decides: "the same request over https",
		Fixes:   encryptedCheck,
		Wrong:   Wrong{"adding 400 to the success codes", "every request that the server cannot read then counts as health, and so does an application that is away"},
		Covers:  []string{"proxy-asks-tls-port-plainly"},
		Sources: []string{
			"nginx 1.22.1, Apache 2.4, Go 1.26, Node 20, HAProxy 2.6, OpenSSL 3.0, Python 3.11, tried",
			"grpc-go 1.85, tried", "tomcat: NioEndpoint", "ingress-nginx #918", "kubernetes #9866", "kubernetes #119093", "ejc3/fcvm #958",
		},

		match: func(c *kase) clue {
			words, ok := c.wantsTLS()
			switch {
			case ok && !c.encrypted():
				return certainly(words...)
			case !c.encrypted() && startsTLS(c.opening()):
				return certainly("the answer begins with bytes of TLS: " + strconv.QuoteToASCII(c.opening()))
			case c.codeAlone(400), c.silent() && !c.encrypted(), c.asksHTTP2() && c.x.Outcome == triage.NotHTTP2 && strings.HasPrefix(c.opening(), "HTTP/1."):
				return maybe(c.evidence()...)
			}
			return no
		},
		tell: func(c *kase) (cause, fix string) {
			if _, said := c.wantsTLS(); said { // perhaps through a proxy: true of proxy-asks-tls-port-plainly as well
				return c.fill("what answers on port {port} wants TLS, and the health check asks in plain text"), c.cure(encryptedCheck)
			}
			if !c.asksGRPC() {
				return c.fill("port {port} speaks TLS, and the health check asks in plain text"), c.cure(encryptedCheck)
			}
			cause = c.fill("port {port} speaks TLS, and the gRPC check asks without")
			if c.x.Dialect == triage.Kubelet {
				cause += ": a kubelet's gRPC probe knows plain text alone"
			}
			return cause,
				c.fill("check it over TLS (grpcs), or give the health service a plain port;\nin Kubernetes, where it must stay TLS:\n    exec:\n      command: [grpc_health_probe, -addr=:{port}, -tls,\n        -tls-no-verify]")
		},
		prove: func(in *inquiry) finding {
			switch {
			case in.asksGRPC():
				if found := speaksTLS(in, triage.GRPCS); found.kind != open {
					return found
				}
				return speaksTLS(in, triage.H2)
			case in.asksHTTP2():
				return speaksTLS(in, triage.H2)
			}
			return speaksTLS(in, triage.HTTPS)
		},
	},
	{
		Code:    "proxy-asks-tls-port-plainly",
		Title:   "the proxy in front asks a TLS port in plain http",
		Stage:   StageTLS,
		Seen:    "400 with words about plain HTTP on an HTTPS port, from a port that does not speak TLS itself",
		Cause:   "a proxy listens on port {port} and passes the request on in plain http, to an application that speaks TLS",
		Decides: "the same request over https, which this port does not speak",
		Fixes: []Fix{
			{"", "let the proxy speak TLS to the application, or to a plain port of it"},
			{"nginx", "proxy_pass https://APP;    in place of http://"},
			{"HAProxy", "server app APP:8443 ssl verify required ca-file ca.pem check"},
			{"Apache", "SSLProxyEngine on\nProxyPass / https://APP/"},
		},
		Wrong:   Wrong{"adding 400 to the success codes", "every page of the site answers so"},
		Sources: []string{"nginx 1.22.1 before nginx and Go, tried"},

		match: func(c *kase) clue {
			words, ok := c.wantsTLS()
			if !ok {
				return no
			}
			if c.encrypted() {
				return certainly(words...)
			}
			return maybe(words...)
		},
		prove: func(in *inquiry) finding {
			if in.encrypted() {
				return proof("the check's own connection was TLS, and the words came through it")
			}
			question := dialect.Variation{Protocol: triage.HTTPS}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.x.Outcome == triage.TLSNotSpoken:
				return proof(says(question, answer))
			default:
				return disproof(says(question, answer))
			}
		},
	},
	{
		Code:    "tls-to-plain-port",
		Title:   "a TLS check of a port that speaks plain text",
		Stage:   StageTLS,
		Seen:    "the handshake is answered in plain HTTP or with a frame of HTTP/2, or not at all",
		Cause:   "port {port} speaks plain text, and the health check begins with a TLS handshake",
		Decides: "the same request over plain http",
		Fixes: []Fix{
			{"", "let the health check ask without TLS, or ask the port that\nspeaks TLS; http in place of https, grpc in place of grpcs"},
			{"AWS", "aws elbv2 modify-target-group --target-group-arn ARN \\\n    --health-check-protocol HTTP"},
			{"Kubernetes", "httpGet:\n  scheme: HTTP"},
			{"HAProxy", "server app {address}:{port} check    (without check-ssl, and\nwithout ssl unless no-check-ssl stands beside it)"},
			{"Caddy", "one transport serves traffic and checks: give the upstream a\nplain port for both, or health_port with TLS"},
		},
		Sources: []string{"nginx 1.22.1, Apache 2.4, Go 1.26, Node 20, HAProxy 2.6, Python 3.11, grpc-go 1.85, tried", "caddy #6489", "caddy #3450"},

		match: func(c *kase) clue {
			switch opening := c.opening(); {
			case c.x.Proxy != triage.NoProxy: // answered may be our PROXY header, by a port that does not expect it
				return no
			case c.followed(): // the check began in plain text, perhaps, and a redirect led it to TLS
				return no
			case c.x.Outcome == triage.TLSNotSpoken && speaksPlainly(opening):
				return certainly("the handshake is answered with " + strconv.QuoteToASCII(opening))
			case c.x.Outcome == triage.TLSNotSpoken && opening == "" && c.x.Detail == "",
				c.x.Outcome == triage.TLSClosed, c.x.Outcome == triage.TLSTimeout:
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: func(in *inquiry) finding {
			if isSettings(in.opening()) {
				return answersPlainly(in, triage.H2C)
			}
			return answersPlainly(in, triage.HTTP)
		},
	},
	{
		Code:    "client-certificate-required",
		Title:   "the server wants a certificate of the client",
		Stage:   StageTLS,
		Seen:    "400 with words about a missing SSL certificate, or the alert certificate_required, or handshake_failure behind the server's own certificate",
		Cause:   "port {port} wants a certificate of every client (mutual TLS), and the load balancer shows none",
		Decides: "a TLS handshake that goes as far as the server's own certificate before it is refused",
		Fixes: []Fix{
			{"", "give the health check a port without mutual TLS, or a checker\nthat can show a certificate"},
			{"nginx", "a port for the check alone, in a server block of its own:\n    listen {address}:8081;\n    location = {path} { proxy_pass http://APP; }"},
			{"HAProxy", "default-server verify required ca-file ca.pem\nserver app {address}:{port} check check-ssl crt client.pem"},
			{"Kubernetes", "an exec probe that has the certificate, or a plain port:\n    exec: { command: [curl, -fsS, --cert, …] }"},
		},
		Wrong: Wrong{"making the certificate optional everywhere", "whoever has none is then let in, unless each location looks for itself"},
		Sources: []string{
			"nginx 1.22.1, Apache 2.4, Go 1.26, Node 20, HAProxy 2.6, OpenSSL 3.0, tried",
			"RFC 8446 section 6.2 (certificate_required)", "RFC 5246 section 7.4.6 (handshake_failure)",
		},

		match: func(c *kase) clue {
			switch {
			case c.x.Status == 400 && c.bodyHas("No required SSL certificate was sent"):
				return certainly(c.statusLine(), "the body says: No required SSL certificate was sent")
			case c.alerted("certificate required"):
				return certainly(c.x.Detail)
			case c.alerted("handshake failure") && c.x.TLS != nil:
				return fitting(c.x.Detail, "the alert came after the server had shown its own certificate")
			case c.codeAlone(400), c.alerted("handshake failure"), c.alerted("bad certificate"), c.x.Outcome == triage.TLSRefused && c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return no
		},
		// A handshake for its own sake keeps what the target has shown. In TLS 1.2 a client without a certificate is refused
		// after the server's certificate; who has no version, cipher or name in common with us is refused before it.
		prove: func(in *inquiry) finding {
			if !in.alerted("handshake failure") && !in.alerted("bad certificate") {
				return undecided("")
			}
			if in.x.TLS != nil {
				return proof("the target showed its own certificate first, and refused the handshake when none of the client came")
			}
			question := dialect.Variation{Protocol: triage.TLS}
			switch answer := in.ask(question); {
			case answer == nil || answer.x.Outcome != triage.TLSRefused:
				return undecided("")
			case answer.x.TLS != nil:
				return proof(says(question, answer) + ", but only after the target had shown its own certificate")
			default:
				return disproof(says(question, answer) + ", before the target had shown a certificate")
			}
		},
	},
	{
		Code:    "tls-version",
		Title:   "no version of TLS in common",
		Stage:   StageTLS,
		Seen:    "the alert protocol_version, or a version that the checker does not take",
		Cause:   "the load balancer and the target have no version of TLS in common",
		Decides: "openssl s_client -connect {address}:{port} with -tls1_2, and with -tls1_3",
		Fixes: []Fix{
			{"", "let the target offer TLS 1.2 as well; if the checker is the older\none, renew the checker"},
			{"nginx", "ssl_protocols TLSv1.2 TLSv1.3;"},
		},
		Wrong:   Wrong{"lowering the server's floor to TLS 1.0", "it is lowered for every visitor"},
		Sources: []string{"Go 1.26 and nginx 1.22.1, tried", "AWS: TargetTLSNegotiationErrorCount"},

		match: func(c *kase) clue {
			switch {
			case c.alerted("protocol version not supported"),
				c.x.Outcome == triage.TLSRefused && strings.Contains(c.x.Detail, "server selected unsupported protocol version"):
				return certainly(c.x.Detail)
			case c.alerted("internal error"), c.alerted("handshake failure") && c.x.TLS == nil, c.x.Outcome == triage.TLSRefused && c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: refutedByClientCertificate,
	},
	{
		Code:    "no-common-cipher",
		Title:   "no cipher in common",
		Stage:   StageTLS,
		Seen:    "the alert handshake_failure or insufficient_security, before the server has shown its certificate",
		Cause:   "the load balancer offers no cipher that the target takes, or none that goes with the key of its certificate",
		Decides: "openssl s_client -connect {address}:{port}, and the target's list of ciphers",
		Fixes: []Fix{
			{"", "let the target take the usual ECDHE ciphers with AES-GCM, for the\nkind of key that its certificate has (RSA or ECDSA)"},
		},
		Wrong:   Wrong{"allowing every cipher", "the weakest one is then a visitor's to choose"},
		Sources: []string{"Go 1.26, tried", "RFC 8446 section 6.2"},

		match: func(c *kase) clue {
			switch {
			case c.alerted("insufficient security level"):
				return certainly(c.x.Detail)
			case c.alerted("handshake failure") && c.x.TLS == nil, c.x.Outcome == triage.TLSRefused && c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: refutedByClientCertificate,
	},
	{
		Code:    "handshake-refused",
		Title:   "the TLS handshake is refused, and the alert does not say why",
		Stage:   StageTLS,
		Seen:    "an alert of TLS that has no usual cause, or a target whose messages are not valid",
		Cause:   "the target refused the handshake with an alert that has more than one reason",
		Decides: "the target's log at the time of the check, and openssl s_client -connect {address}:{port}",
		Fixes:   []Fix{{"", "openssl s_client -connect {address}:{port} -msg\nand the target's log say at which message it ended"}},
		Sources: []string{"RFC 8446 section 6.2"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.TLSRefused {
				return no
			}
			for _, told := range [...]string{"certificate required", "unrecognized name", "protocol version", "insufficient security", "no application protocol"} {
				if c.alerted(told) {
					return no
				}
			}
			return maybe(c.evidence()...)
		},
		tell: func(c *kase) (cause, fix string) {
			return "the handshake ended with " + c.x.Detail, c.fill("openssl s_client -connect {address}:{port} -msg\nand the target's log say at which message it ended")
		},
	},
}

// encryptedCheck is the cure of a plain check of a port that speaks TLS.
var encryptedCheck = []Fix{
	{"", "let the health check ask over https, or ask the port that the\napplication serves plain http on"},
	{"AWS", "aws elbv2 modify-target-group --target-group-arn ARN \\\n    --health-check-protocol HTTPS"},
	{"Kubernetes", "httpGet:\n  scheme: HTTPS"},
	{"HAProxy", "default-server verify required ca-file ca.pem\nserver app {address}:{port} check check-ssl"},
	{"Spring Boot", "application.properties: a plain port of its own for the actuator\n    management.server.port=8081\n    management.server.ssl.enabled=false"},
	{"Kubernetes gRPC", "exec:\n  command: [grpc_health_probe, -addr=:{port}, -tls,\n    -tls-no-verify]"},
}

// refutedByClientCertificate rules a cause out where a certificate of the client turns out to be missing.
func refutedByClientCertificate(in *inquiry) finding {
	if !in.alerted("handshake failure") {
		return undecided("")
	}
	question := dialect.Variation{Protocol: triage.TLS}
	if answer := in.ask(question); answer != nil && answer.x.TLS != nil {
		return disproof(says(question, answer))
	}
	return undecided("")
}

// wantsTLS recognises the words of a server whose port speaks TLS, for a request without.
func (c *kase) wantsTLS() (evidence []string, ok bool) {
	if c.x.Status != 400 {
		return nil, false
	}
	for _, words := range [...]string{
		"The plain HTTP request was sent to HTTPS port",     // nginx
		"Client sent an HTTP request to an HTTPS server.",   // Go
		"speaking plain HTTP to an SSL-enabled server port", // Apache
		"This combination of host and port requires TLS.",   // Tomcat, Spring Boot
	} {
		if c.bodyHas(words) {
			return []string{c.statusLine(), "the body says: " + words}, true
		}
	}
	return nil, false
}

// codeAlone reports whether nothing but this code is known of the answer, as of a load balancer's words.
func (c *kase) codeAlone(code int) bool { return c.mismatch(code) && len(c.x.Head) == 0 }

// asksHTTP2 reports whether the check has asked in HTTP/2.
func (c *kase) asksHTTP2() bool {
	line, _, _ := strings.Cut(string(c.x.Sent), "\r\n")
	return strings.HasSuffix(line, " HTTP/2")
}

// alerted reports whether the target refused the handshake with an alert of these words, which are crypto/tls's.
func (c *kase) alerted(words string) bool {
	return c.x.Outcome == triage.TLSRefused && strings.HasPrefix(c.x.Detail, "the target's alert: tls: "+words)
}

// silent reports whether the connection ended without a single byte of an answer.
func (c *kase) silent() bool {
	switch c.x.Outcome {
	case triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer:
		return len(c.x.Head) == 0 && !strings.HasPrefix(c.x.Detail, "after ")
	}
	return false
}

// opening is how something begins that is not the protocol that was asked for: as it came, or as the outcome's detail
// quotes it. It is "" if nothing of the kind came.
func (c *kase) opening() string {
	switch c.x.Outcome {
	case triage.NotHTTP, triage.NotHTTP2, triage.TLSNotSpoken, triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer:
	default:
		return ""
	}
	if c.x.Status != 0 {
		return ""
	}
	if len(c.x.Head) > 0 {
		return string(c.x.Head[:min(len(c.x.Head), 64)])
	}
	_, rest, _ := strings.Cut(c.x.Detail, `"`)
	quoted, err := strconv.QuotedPrefix(`"` + rest)
	if err != nil {
		return ""
	}
	text, _ := strconv.Unquote(quoted)
	return text
}

// speaksPlainly recognises a web server that answers our handshake in plain text: in HTTP/1, as old as HTTP/0.9, or with
// its first frame of HTTP/2.
func speaksPlainly(opening string) bool {
	lower := strings.ToLower(opening)
	return strings.HasPrefix(opening, "HTTP/") || strings.HasPrefix(lower, "<!doc") || strings.HasPrefix(lower, "<html") || isSettings(opening)
}

// speaksTLS proves that a port which was asked in plain text speaks TLS.
func speaksTLS(in *inquiry, p triage.Protocol) finding {
	question := dialect.Variation{Protocol: p}
	answer := in.ask(question)
	switch {
	case answer == nil:
		return undecided("")
	case answer.encrypted(), answer.x.TLS != nil, answer.x.Outcome == triage.TLSUntrusted, answer.x.Outcome == triage.HTTP2NotOffered,
		answer.x.Outcome == triage.TLSRefused && strings.HasPrefix(answer.x.Detail, "the target's alert"):
		if answer.x.Status == 0 {
			return proof(says(question, answer) + ", so the port does speak TLS")
		}
		return proof(says(question, answer))
	case answer.x.Outcome == triage.TLSNotSpoken:
		return disproof(says(question, answer))
	}
	return undecided("")
}

// answersPlainly proves that a port which was asked over TLS speaks plain text. A server whose port speaks TLS may answer
// in plain text as well, to say so.
func answersPlainly(in *inquiry, p triage.Protocol) finding {
	question := dialect.Variation{Protocol: p}
	answer := in.ask(question)
	if answer == nil {
		return undecided("")
	}
	_, tls := answer.wantsTLS()
	switch {
	case tls, answer.answersInTLS():
		return disproof(says(question, answer))
	case answer.x.Status == 400 && !answer.passes(): // perhaps to say so too, in words that are not known here
		return undecided("")
	case answer.x.Status != 0:
		return proof(says(question, answer))
	}
	return undecided("")
}
