package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

// TestMethods: 405 is the word of a router, which knows its paths, and of firewalls, which do not.
func TestMethods(t *testing.T) {
	bare405 := answer("405 Not Allowed", "Content-Type: text/html\r\n", "<html>blocked by policy</html>")
	runAll(t, map[string]trial{
		"a router that says what it takes": {
			answers: map[string]string{"": answer("405 Method Not Allowed", "Allow: POST\r\n", "")},
			code:    "method-not-allowed", certainty: triage.Likely, cause: "asks with GET, and the page takes POST", fix: "a page of its own",
		},
		"a router that knows its paths": {
			hosts: shopHost, answers: map[string]string{"": answer("405 Method Not Allowed", "", ""), nobodys: goPage404},
			code: "method-not-allowed", certainty: triage.Proved, proof: "path /health-nonsense: 404", cause: "asks with GET, which the page does not take",
		},
		"a router that knows its paths, of some site": {answers: map[string]string{"": answer("405 Method Not Allowed", "", ""), nobodys: goPage404}},
		"a firewall":                       {hosts: shopHost, answers: map[string]string{"": bare405}},
		"a firewall, and another site":     {hosts: shopHost, answers: map[string]string{"": bare405, nobodys: goPage404, "Host shop.example": goPage404}},
		"a firewall, and no name is known": {answers: map[string]string{"": bare405, "path /": ok}},
		"HAProxy's OPTIONS": {
			as: triage.HAProxy, answers: map[string]string{"": answer("405 Method Not Allowed", "", ""), "method GET": ok},
			code: "method-not-allowed", certainty: triage.Proved, proof: "method GET: 200", fix: "option httpchk GET /health",
		},
	})
}
