package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

func TestBodies(t *testing.T) {
	up := triage.Expect{Body: "status: up"}
	runAll(t, map[string]trial{
		"another text": {
			expect: up, hosts: shopHost, answers: map[string]string{"": ok},
			code: "body-mismatch", certainty: triage.Proved, proof: "Host shop.example", fix: "short token",
		},
		"another text, and no name is known": {expect: up, answers: map[string]string{"": ok}},
		"another site's text": {
			expect: up, hosts: shopHost,
			answers: map[string]string{"": ok, "Host shop.example": answer("200 OK", "", "status: up"), "Host nonsense.invalid": unheard},
		},
		"a compressed text": {
			expect: up, answers: map[string]string{"": answer("200 OK", "Content-Encoding: gzip\r\n", "\x1f\x8b\x08\x00rest")},
			code: "body-mismatch", certainty: triage.Likely, cause: "compressed (gzip)", fix: "do not compress /health",
		},
		"another field": {
			expect: triage.Expect{Header: "X-Ready: yes"}, hosts: shopHost, answers: map[string]string{"": ok},
			code: "header-mismatch", certainty: triage.Proved,
		},
	})
}
