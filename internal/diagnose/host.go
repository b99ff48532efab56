package diagnose

import (
	"fmt"

	"github.com/triage-lb/triage"
)

// hostNotAllowed: the application answers only to names that it knows, and the load balancer asks by the
// target's private address.
var hostNotAllowed = rule{
	code:  "host-not-allowed",
	title: "the application refuses the Host that the load balancer sends",

	match: func(c *kase) []string {
		if c.x.Status != 400 || c.x.Outcome != triage.CodeMismatch || c.expectsTLS() || c.wantsCertificate() {
			return nil
		}
		evidence := []string{c.statusLine(), "Host: " + c.host()}
		if isDjango400(c) {
			evidence = append(evidence, "the body is Django's page for a bad request")
		}
		return evidence
	},

	suspect: func(c *kase) bool { return !isDjango400(c) },

	describe: func(c *kase) (cause, fix string) {
		if isDjango400(c) {
			return fmt.Sprintf("Django refuses Host %q (ALLOWED_HOSTS)", c.host()), djangoFix
		}
		return fmt.Sprintf("the application refuses Host %q", c.host()), genericHostFix(c.path())
	},

	prove: func(in *inquiry) *triage.Diagnosis {
		for _, host := range [...]string{"localhost", "127.0.0.1"} {
			question := Question{Host: host}
			answer := in.put(question)
			if answer.Outcome.Verdict() != triage.Pass {
				continue
			}
			return in.proved(fmt.Sprintf("the same request with %s: %d", question, answer.Status))
		}
		if isDjango400(in.c) {
			in.d.Proof = "none yet: Host localhost is refused too. Ask again with --host and a name from ALLOWED_HOSTS; a 200 proves it"
		}
		return nil
	},
}

// isDjango400 recognises the page that Django sends for every bad request when DEBUG is off; DisallowedHost is
// by far the most common.
func isDjango400(c *kase) bool { return c.bodyHas("<h1>Bad Request (400)</h1>") }

// djangoFix is the seed's cure with version 2 of the metadata service, which new instances require.
const djangoFix = `settings.py, below ALLOWED_HOSTS (or run triage guard in front):
    from urllib.request import Request, urlopen
    imds = "http://169.254.169.254/latest/"
    try:
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        put = Request(imds + "api/token", headers=ttl, method="PUT")
        token = {"X-aws-ec2-metadata-token":
                 urlopen(put, timeout=1).read().decode()}
        get = Request(imds + "meta-data/local-ipv4", headers=token)
        ALLOWED_HOSTS.append(urlopen(get, timeout=1).read().decode())
    except OSError:
        pass  # no metadata service here: not an EC2 instance`

func genericHostFix(path string) string {
	return "allow the machine's own address as Host, or answer " + path + "\nbefore the Host is checked; do not switch the check of the Host off"
}
