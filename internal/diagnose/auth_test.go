package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

func TestAuth(t *testing.T) {
	basic := answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"staff\"\r\nServer: nginx/1.22.1\r\n", "")
	nginx403, nginx404 := nginxSays("403 Forbidden"), nginxSays("404 Not Found")
	const atLoopback = "Host 127.0.1.13:20000 and the loopback address"
	runAll(t, map[string]trial{
		"a password": {
			answers: map[string]string{"": basic},
			code:    "auth-required", certainty: triage.Likely, cause: "wants credentials (Basic)", fix: "auth_basic off",
		},
		"a password, by the public name too": {
			hosts: shopHost, answers: map[string]string{"": basic}, code: "auth-required", certainty: triage.Proved,
		},
		"a 401 that says no more": {answers: map[string]string{"": answer("401 Unauthorized", "", "")}, code: "auth-required", certainty: triage.Likely},
		"a 401 for a User-Agent":  {hosts: shopHost, answers: map[string]string{"": answer("401 Unauthorized", "", "bots not welcome")}, code: "auth-required", certainty: triage.Likely},
		"a 401 to OPTIONS": {
			as: triage.HAProxy, answers: map[string]string{"": answer("401 Unauthorized", "", ""), "method GET": ok},
			code: "method-not-allowed", certainty: triage.Proved, suspect: "auth-required",
		},
		"a password of another site": {hosts: shopHost, answers: map[string]string{"": basic, "Host shop.example": ok}, suspect: "auth-required"},
		"Django REST framework": {
			answers: map[string]string{"": jsonAnswer("403 Forbidden", `{"detail":"Authentication credentials were not provided."}`)},
			code:    "auth-required", certainty: triage.Likely,
		},
		"Kubernetes": {
			answers: map[string]string{"": jsonAnswer("403 Forbidden", `{"message":"forbidden: User \"system:anonymous\" cannot get path \"/health\""}`)},
			code:    "auth-required", certainty: triage.Likely,
		},
		"a directory of nginx": {
			path: "/shop/", answers: map[string]string{"": nginx403, "path /shop/-nonsense": nginx404},
			code: "directory-listing-denied", certainty: triage.Proved, proof: "/shop/-nonsense: 404", fix: "index.html",
		},
		"a directory of Apache": {
			path: "/", answers: map[string]string{"": apacheSays("403 Forbidden", ""), "path /-nonsense": apacheSays("404 Not Found", "")},
			code: "directory-listing-denied", certainty: triage.Proved, fix: "AH01276",
		},
		"a directory that is forbidden":           {path: "/shop/", answers: map[string]string{"": nginx403}},
		"a directory of an application":           {path: "/shop/", answers: map[string]string{"": answer("403 Forbidden", "Server: nginx\r\n", ""), "path /shop/-nonsense": nginx404}},
		"a file, where others are missing":        {answers: map[string]string{"": nginx403, nobodys: nginx404}},
		"an address list that cannot be compared": {answers: map[string]string{"": nginx403, atLoopback: unheard}},
		"an address list": {
			answers: map[string]string{"": nginx403, atLoopback: answer("200 OK", "Server: nginx/1.22.1\r\n", "ok")},
			code:    "source-not-allowed", certainty: triage.Proved, proof: "the loopback address: 200", fix: "allow LB-SUBNET",
		},
		"another program on loopback": {answers: map[string]string{"": nginx403, atLoopback: ok}},
		"GitLab": {
			path: "/-/liveness", answers: map[string]string{"": nginx404, atLoopback: answer("200 OK", "Server: nginx\r\n", "")},
			code: "source-not-allowed", certainty: triage.Proved,
		},
		"GitLab from afar":            {path: "/-/liveness", hosts: shopHost, answers: map[string]string{"": nginx404, "path /": ok, atLoopback: unheard}},
		"a guard that knows one Host": {answers: map[string]string{"": nginx403, "the loopback address": answer("200 OK", "Server: nginx\r\n", "")}},
	})
}
