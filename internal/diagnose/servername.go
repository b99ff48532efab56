package diagnose

import (
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// serverNameEntries are about the name in the handshake (SNI), which a checker that asks by address cannot send.
var serverNameEntries = []*Entry{
	{
		Code:    "sni-required",
		Title:   "the server wants a name in the handshake (SNI)",
		Stage:   StageTLS,
		Seen:    "the alert unrecognized_name, internal_error or handshake_failure, or Apache's 403 about SNI, where the same handshake with the site's name completes",
		Cause:   "the server picks its certificate by the name in the handshake (SNI) and has none for a check that sends no name, or another: a load balancer asks by address",
		Decides: "the same handshake with the site's public name as server name",
		Fixes: []Fix{
			{"", "give the server a default certificate for those who send no name,\nor the checker a server name, where it can be told one"},
			{"Apache", "SSLStrictSNIVHostCheck off in the virtual host of the check"},
			{"nginx", "ssl_reject_handshake off in the default server, with any\ncertificate; the check's path can be answered there"},
			{"Caddy", "Caddyfile, global options; the first is for no name at all, the\nsecond for an unknown one:\n    default_sni {public}\n    fallback_sni {public}"},
			{"HAProxy", "as the server: no strict-sni on the bind line; as the checker:\n    default-server verify required ca-file ca.pem\n    server app {address}:{port} check check-ssl check-sni {public}"},
			{"Kamal", "take a release of kamal-proxy with #172 (of October 2025), which\nshows its first certificate to whoever sends no name"},
			{"Go", "tls.Config.GetCertificate: return a default for ServerName \"\""},
		},
		Wrong: Wrong{"a tcp check in place of the https check", "it passes while no visitor is served"},
		Sources: []string{
			"nginx 1.22.1 with ssl_reject_handshake, HAProxy 2.6 with strict-sni, Apache 2.4 with SSLStrictSNIVHostCheck, Go 1.26 with GetCertificate, tried",
			"RFC 6066 section 3", "caddy #7417", "caddy #6364", "kamal-proxy #172", "haproxy #795",
		},

		match: func(c *kase) clue {
			switch {
			case c.alerted("unrecognized name"):
				return certainly(c.x.Detail)
			case c.x.Status == 403 && c.bodyHas("did not provide a hostname using Server Name Indication (SNI)"):
				return certainly(c.statusLine(), "the body says: the client software did not provide a hostname using Server Name Indication (SNI)")
			case c.alerted("internal error"), c.alerted("handshake failure") && c.x.TLS == nil, c.alerted("access denied"),
				c.x.Outcome == triage.TLSClosed, c.x.Outcome == triage.TLSRefused && c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: func(in *inquiry) finding {
			for _, host := range in.hosts {
				question := dialect.Variation{ServerName: host}
				if answer := in.ask(question); answer.passes() || answer != nil && answer.encrypted() && in.x.Status == 0 {
					return proof(says(question, answer))
				}
			}
			return undecided("")
		},
	},
	{
		Code:    "invalid-sni",
		Title:   "the server wants its certificate to be for the Host that is asked for",
		Stage:   StageTLS,
		Seen:    "400 with the words Invalid SNI, after a handshake that completed",
		Cause:   "Jetty wants the certificate of the handshake to be for the name that is asked for, and a load balancer asks by address",
		Decides: "the same request with the site's public name as server name and Host",
		Fixes: []Fix{
			{"", "switch the check off on the connector of the health check alone:\n    SecureRequestCustomizer(false), or jetty.ssl.sniHostCheck=false\nor let the checker ask by name"},
		},
		Wrong:   Wrong{"switching it off for the public connector", "a visitor of one site is then served another's pages"},
		Sources: []string{"jetty #9638", "jetty #11413", "proofpoint/platform #914", "nifi-operator #834"},

		match: func(c *kase) clue {
			switch {
			case c.x.Status == 400 && c.bodyHas("Invalid SNI"):
				return certainly(c.statusLine(), "the body says: Invalid SNI")
			case c.codeAlone(400), c.mismatch(400) && c.encrypted() && c.is("Jetty"):
				return maybe(c.statusLine())
			}
			return no
		},
		prove: answersToServerName,
	},
	{
		Code:    "misdirected-request",
		Title:   "Host and the name in the handshake do not go together",
		Stage:   StageTLS,
		Seen:    "421 Misdirected Request",
		Cause:   "the server wants the Host header to be the name of the handshake (SNI), and this check sends {host} with another name, or none",
		Decides: "the same request with one name for both",
		Fixes: []Fix{
			{"", "let the checker send the same name in the handshake and as Host,\nor answer the check on a plain port"},
			{"Caddy", "Caddyfile, global options (only without client certificates):\n    servers { strict_sni_host insecure_off }"},
			{"HAProxy", "http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {public}\ndefault-server verify required ca-file ca.pem\nserver app {address}:{port} check check-ssl check-sni {public}"},
		},
		Sources: []string{"RFC 9110 section 15.5.20", "caddy #7448"},

		match: func(c *kase) clue {
			if !c.mismatch(421) || len(c.x.Sent) > 0 && !c.encrypted() { // without a handshake there is no name in it
				return no
			}
			return fitting(c.statusLine(), "Host: "+c.host())
		},
		prove: func(in *inquiry) finding {
			if text, ok := in.passesByName(); ok {
				return disproof(text) // whatever the name in the handshake
			}
			return answersToServerName(in)
		},
	},
}

// answersToServerName proves that one name for handshake and Host is what was missing.
func answersToServerName(in *inquiry) finding {
	for _, host := range in.hosts {
		question := dialect.Variation{Host: host, ServerName: host}
		switch answer := in.ask(question); {
		case answer == nil:
			return undecided("")
		case answer.passes(), in.x.Status == 421 && answer.x.Status != 0 && answer.x.Status != 421:
			return proof(says(question, answer))
		}
	}
	return undecided("")
}

// untrusted is why the target's certificate was not accepted, in crypto/x509's words; "" if that is not how the check ended.
func (c *kase) untrusted() string {
	if c.x.Outcome != triage.TLSUntrusted {
		return ""
	}
	return c.x.Detail
}

// untrustedFor reports whether these words are among the reasons.
func (c *kase) untrustedFor(words string) bool { return strings.Contains(c.untrusted(), words) }
