package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

func TestTimeouts(t *testing.T) {
	runAll(t, map[string]trial{
		"this path alone": {
			answers: map[string]string{"": noAnswer, "path /": ok},
			code:    "health-path-slow", certainty: triage.Proved, proof: "path /: 200", fix: "waits for nobody",
		},
		"this path, for once": {
			answers: map[string]string{"": noAnswer, "path /": ok, "HTTP/1.1 and a Host header": ok},
		},
		"a proxy that is quick for others": {answers: map[string]string{"": noAnswer, "path /": nginxSays("502 Bad Gateway")}},
		"a site that is slow for unknown names": {
			hosts: shopHost, answers: map[string]string{"": noAnswer, "path /": ok, "Host shop.example": ok},
		},
		"all paths": {answers: map[string]string{"": noAnswer}},
	})
}
