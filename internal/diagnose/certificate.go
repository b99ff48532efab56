package diagnose

import (
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// certificateEntries are for checkers that verify the target's certificate: HAProxy with verify required, Azure's
// gateway, Caddy, Traefik and whoever is told to. The others never see any of this.
var certificateEntries = []*Entry{
	{
		Code:    "certificate-expired",
		Title:   "the target's certificate has expired",
		Stage:   StageTLS,
		Seen:    "the certificate, or one of its chain, has expired",
		Cause:   "a certificate that the target shows has expired",
		Decides: "the dates: openssl s_client -connect {address}:{port} -showcerts",
		Fixes: []Fix{
			{"", renewal},
		},
		Wrong:   Wrong{"switching verification off", "whoever stands in between may then pass for the target, and the next expiry goes unseen until browsers complain"},
		Sources: []string{"Go 1.26, tried", "Azure: application-gateway-backend-health-troubleshooting"},

		match: func(c *kase) clue {
			if !c.untrustedFor("has expired") || strings.Contains(c.untrusted(), "is before") {
				return no
			}
			return certainly(c.untrusted())
		},
		tell: func(c *kase) (cause, fix string) {
			cause, fix = "a certificate that the target shows has expired", c.fill(renewal)
			switch f := c.x.TLS; {
			case f == nil:
			case f.NotAfter.Before(c.x.Started):
				cause = fmt.Sprintf("the target's certificate has expired on %s", f.NotAfter.UTC().Format(time.DateOnly))
			default:
				cause = "a certificate of the chain that the target shows has expired, and it is not the target's own but an intermediate or a root"
			}
			return cause, fix
		},
		prove: func(in *inquiry) finding {
			f, text := in.certificate()
			if f == nil || f.NotAfter.After(in.x.Started) {
				return undecided("")
			}
			return proof(fmt.Sprintf("%s, with a certificate that was valid until %s", text, f.NotAfter.UTC().Format(time.RFC3339)))
		},
	},
	{
		Code:    "certificate-not-yet-valid",
		Title:   "the target's certificate is not valid yet",
		Stage:   StageTLS,
		Seen:    "the certificate's first day is still to come",
		Cause:   "the target's certificate becomes valid later than now: it was installed too early, or a clock is wrong, here or where it was made",
		Decides: "the clocks of both machines",
		Fixes:   []Fix{{"", "compare the clocks first:\n    timedatectl\nthen have the certificate made anew"}},
		Sources: []string{"Go 1.26, tried", "Azure: application-gateway-backend-health-troubleshooting"},

		match: func(c *kase) clue {
			if !c.untrustedFor("has expired or is not yet valid") || !c.untrustedFor("is before") {
				return no
			}
			return certainly(c.untrusted())
		},
		prove: func(in *inquiry) finding {
			f, text := in.certificate()
			if f == nil || f.NotBefore.Before(in.x.Started) {
				return undecided("")
			}
			return proof(fmt.Sprintf("%s, with a certificate that is valid from %s", text, f.NotBefore.UTC().Format(time.RFC3339)))
		},
	},
	{
		Code:    "certificate-for-another-name",
		Title:   "the target's certificate is for another name",
		Stage:   StageTLS,
		Seen:    "the certificate is valid for other names than the one that the checker wants",
		Cause:   "the target shows a certificate that is not for the name, or the address, that the checker compares it with",
		Decides: "the handshake with the site's public name as server name",
		Fixes: []Fix{
			{"", "tell the checker the certificate's name (server name, SNI), or have\nthe name that it asks put into the certificate"},
			{"HAProxy", "default-server verify required ca-file ca.pem verifyhost {public}\nserver app {address}:{port} check check-ssl check-sni {public}"},
			{"Caddy", "transport http {\n    tls_server_name {public}\n}"},
			{"Traefik", "serversTransport:\n  serverName: {public}"},
			{"Azure", "set the host name in the probe or the backend setting to a name\nof the certificate"},
		},
		Wrong:   Wrong{"switching verification off", "whoever stands in between may then pass for the target"},
		Sources: []string{"Go 1.26, tried", "Azure: application-gateway-backend-health-troubleshooting", "caddy #4481", "haproxy #795"},

		match: func(c *kase) clue {
			switch {
			case c.untrustedFor("certificate is valid for"), c.untrustedFor("not valid for any names"),
				c.untrustedFor("doesn't contain any IP SANs"), c.untrustedFor("cannot validate certificate for"):
				return certainly(c.untrusted())
			}
			return no
		},
		prove: func(in *inquiry) finding {
			for _, host := range in.hosts {
				question := dialect.Variation{ServerName: host}
				if answer := in.ask(question); answer != nil && answer.x.TLS != nil && answer.x.TLS.Untrusted == "" {
					return proof(says(question, answer) + ", and the certificate is for that name")
				}
			}
			f, text := in.certificate()
			if f == nil {
				return undecided("")
			}
			if len(f.Names) == 0 {
				return proof(text + ", with a certificate that is for no host name at all")
			}
			return proof(fmt.Sprintf("%s, with a certificate for %s", text, strings.Join(f.Names[:min(len(f.Names), 5)], ", ")))
		},
	},
	{
		Code:    "certificate-without-names",
		Title:   "the target's certificate names its host the old way only",
		Stage:   StageTLS,
		Seen:    "the certificate has a common name, and no alternative names (SAN)",
		Cause:   "the certificate carries its host name only in the common name, which clients no longer look at (RFC 9525)",
		Decides: "openssl x509 -noout -ext subjectAltName, of the certificate that it shows",
		Fixes: []Fix{
			{"", "have it made anew with the name as subjectAltName:\n    openssl req … -addext subjectAltName=DNS:{public}"},
		},
		Wrong:   Wrong{"switching verification off", "whoever stands in between may then pass for the target"},
		Sources: []string{"Go 1.26, tried", "RFC 9525 section 2"},

		match: func(c *kase) clue {
			if !c.untrustedFor("relies on legacy Common Name field") {
				return no
			}
			return certainly(c.untrusted())
		},
	},
	{
		Code:    "certificate-self-signed",
		Title:   "the target signed its certificate itself",
		Stage:   StageTLS,
		Seen:    "unknown authority, and the certificate's issuer is its own subject",
		Cause:   "the target's certificate is signed by itself, so no authority that the checker trusts vouches for it",
		Decides: "subject and issuer: openssl s_client -connect {address}:{port}",
		Fixes: []Fix{
			{"", "give the checker this certificate as an authority (--cacert FILE;\nHAProxy: ca-file), or let the target have one of an authority"},
			{"Azure", "upload it as trusted root certificate of the backend setting"},
		},
		Wrong:   Wrong{"switching verification off for everything", "whoever stands in between may then pass for any target"},
		Sources: []string{"Go 1.26 and openssl req -x509, tried", "Azure: application-gateway-backend-health-troubleshooting"},

		match: func(c *kase) clue {
			if !c.untrustedFor("unknown authority") {
				return no
			}
			if f := c.x.TLS; f != nil && f.Subject != "" && f.Subject == f.Issuer {
				return certainly(c.untrusted(), "issuer and subject are both "+f.Subject)
			}
			return maybe(c.untrusted())
		},
		prove: func(in *inquiry) finding {
			f, text := in.certificate()
			switch {
			case f == nil:
				return undecided("")
			case f.Subject != "" && f.Subject == f.Issuer:
				return proof(fmt.Sprintf("%s, with a certificate whose issuer and subject are both %s", text, f.Subject))
			default:
				return disproof(text)
			}
		},
	},
	{
		Code:    "certificate-chain-incomplete",
		Title:   "an intermediate certificate is missing",
		Stage:   StageTLS,
		Seen:    "unknown authority, though browsers, which fetch or remember intermediates, are content",
		Cause:   "the target shows its own certificate without the intermediate that leads to a known authority",
		Decides: "openssl s_client -connect {address}:{port} -showcerts: whether an issuer is missing between the first and a known root",
		Fixes: []Fix{
			{"", "install the full chain, the server's own first, then each issuer,\nwithout the root"},
			{"nginx", "ssl_certificate /etc/…/fullchain.pem;"},
			{"Apache", "SSLCertificateFile /etc/…/fullchain.pem"},
			{"HAProxy", "the file of bind … crt: certificate, intermediates, key"},
		},
		Wrong:   Wrong{"switching verification off", "whoever stands in between may then pass for the target"},
		Sources: []string{"Go 1.26, tried", "Azure: application-gateway-backend-health-troubleshooting"},

		match: unknownAuthority,
	},
	{
		Code:    "certificate-of-private-authority",
		Title:   "the checker does not know the authority",
		Stage:   StageTLS,
		Seen:    "unknown authority, and the issuer is one of the company's own",
		Cause:   "the target's certificate is signed by an authority that the checker was not told to trust",
		Decides: "the same check with --cacert FILE and that authority's root",
		Fixes: []Fix{
			{"", "give the checker the authority's root; to try it here:\n    triage check --cacert ca.pem …"},
			{"HAProxy", "server app … check check-ssl verify required ca-file ca.pem"},
			{"Azure", "upload the root as trusted root certificate of the backend setting"},
			{"Traefik", "serversTransport:\n  rootCAs: [ca.pem]"},
		},
		Wrong:   Wrong{"switching verification off", "whoever stands in between may then pass for the target"},
		Sources: []string{"Go 1.26, tried", "HAProxy 2.6 with verify required, tried"},

		match: unknownAuthority,
	},
	{
		Code:    "certificate-not-acceptable",
		Title:   "the target's certificate is not one for a server",
		Stage:   StageTLS,
		Seen:    "the certificate, or its chain, breaks a rule: its purpose, its length, who may sign",
		Cause:   "the certificate leads to a known authority by a way that its own rules do not allow",
		Decides: "openssl verify -purpose sslserver -untrusted chain.pem cert.pem",
		Fixes:   []Fix{{"", "have it made for a server (extended key usage serverAuth), by an\nauthority that may sign it"}},
		Sources: []string{"Go 1.26: crypto/x509", "RFC 5280 section 6"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.TLSUntrusted {
				return no
			}
			if c.untrustedFor("incompatible key usage") || c.untrustedFor("not authorized to sign") || c.untrustedFor("too many intermediates") {
				return certainly(c.untrusted())
			}
			return maybe(c.evidence()...)
		},
	},
}

// renewal is the cure of a certificate that has expired.
const renewal = `renew it, install the full chain, and reload the server, which
keeps the old one in memory; the dates of what it shows now:
    openssl s_client -connect {address}:{port} </dev/null |
        openssl x509 -noout -dates`

// unknownAuthority is the match of what may be behind a certificate that leads nowhere.
func unknownAuthority(c *kase) clue {
	if !c.untrustedFor("unknown authority") && (c.x.Outcome != triage.TLSUntrusted || c.x.Detail != "") {
		return no
	}
	if f := c.x.TLS; f != nil && f.Subject != "" && f.Subject == f.Issuer {
		return no
	}
	return maybe(c.evidence()...)
}

// certificate is what the target showed, in the check or in a handshake for its own sake; nil if it cannot be had.
func (in *inquiry) certificate() (f *triage.TLSFacts, text string) {
	if in.x.TLS != nil {
		return in.x.TLS, "the check's own handshake"
	}
	question := dialect.Variation{Protocol: triage.TLS}
	answer := in.ask(question)
	if answer == nil || answer.x.TLS == nil {
		return nil, ""
	}
	return answer.x.TLS, says(question, answer)
}
