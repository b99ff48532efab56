package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

func TestProxiesThatAnswerThemselves(t *testing.T) {
	haproxy := func(status, text string) string {
		return answer(status, "cache-control: no-cache\r\ncontent-type: text/html\r\n", "<html><body><h1>"+status+"</h1>\n"+text+"\n</body></html>\n")
	}
	noServer := haproxy("503 Service Unavailable", "No server is available to handle this request.")
	envoy := func(status, text string) string {
		return answer(status, "content-type: text/plain\r\nserver: envoy\r\n", text)
	}
	caddy := func(status string) string { return answer(status, "Server: Caddy\r\n", "") }
	apache503 := apacheSays("503 Service Unavailable", "<h1>Service Unavailable</h1>\n")
	runAll(t, map[string]trial{
		"nginx, 502": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("502 Bad Gateway")},
			code: "app-down-behind-proxy", certainty: triage.Proved, proof: "path /: 502; with Host shop.example: 502, from the proxy too", fix: "Connection refused",
		},
		"nginx, 502 at /": {
			path: "/", hosts: shopHost, answers: map[string]string{"": nginxSays("502 Bad Gateway")},
			code: "app-down-behind-proxy", certainty: triage.Proved, proof: "Host shop.example: 502, from the proxy too",
		},
		"nginx, 502, for an upstream that its map has for unknown Hosts": {
			answers: map[string]string{"": nginxSays("502 Bad Gateway"), "Host shop.example": ok},
			suspect: "app-down-behind-proxy",
		},
		"nginx, 502 for too big a head": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("502 Bad Gateway"), "path /": ok},
			suspect: "app-down-behind-proxy",
		},
		"nginx, 502 of another site": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("502 Bad Gateway"), "Host shop.example": ok, "Host nonsense.invalid": unheard},
			suspect: "app-down-behind-proxy",
		},
		"nginx, 502 to OPTIONS alone": {
			as: triage.HAProxy, hosts: shopHost, answers: map[string]string{"": nginxSays("502 Bad Gateway"), "method GET": ok},
			suspect: "app-down-behind-proxy",
		},
		"an application's 502 through nginx": {answers: map[string]string{"": answer("502 Bad Gateway", "Server: nginx/1.22.1\r\n", "no upstream")}},
		"nginx, 504": {
			hosts: shopHost, answers: map[string]string{"": nginxSays("504 Gateway Time-out"), "path /": ok},
			code: "app-slow-behind-proxy", certainty: triage.Proved, proof: "it is this path that is slow",
		},
		"nginx, 504, for an upstream that its map has for unknown Hosts": {
			answers: map[string]string{"": nginxSays("504 Gateway Time-out"), "Host shop.example": ok},
			suspect: "app-slow-behind-proxy",
		},
		"HAProxy, 502, or a rule that denies so": {
			hosts: shopHost, answers: map[string]string{"": haproxy("502 Bad Gateway", "The server returned an invalid or incomplete response.")},
			code: "app-down-behind-proxy", certainty: triage.Likely, cause: "or, seldom, a rule of the proxy says so",
		},
		"HAProxy, 502, and no name is known": {
			answers: map[string]string{"": haproxy("502 Bad Gateway", "The server returned an invalid or incomplete response.")},
			suspect: "app-down-behind-proxy",
		},
		"HAProxy, 504, or a rule that denies so": {
			hosts: shopHost, answers: map[string]string{"": haproxy("504 Gateway Time-out", "The server didn't respond in time.")},
			code: "app-slow-behind-proxy", certainty: triage.Likely, fix: "timeout server",
		},
		"HAProxy, 503": {
			hosts: shopHost, answers: map[string]string{"": noServer},
			code: "no-server-behind-proxy", certainty: triage.Proved, cause: "or a rule refuses it", fix: "show stat",
		},
		"HAProxy, 503, and no name is known": {answers: map[string]string{"": noServer}},
		"Envoy has no healthy host": {
			answers: map[string]string{"": envoy("503 Service Unavailable", "no healthy upstream")},
			code:    "no-server-behind-proxy", certainty: triage.Likely, fix: "/clusters",
		},
		"Envoy cannot connect": {
			hosts: shopHost, answers: map[string]string{"": envoy("503 Service Unavailable", "upstream connect error or disconnect/reset before headers. reset reason: connection failure")},
			code: "app-down-behind-proxy", certainty: triage.Proved, fix: "response_flags",
		},
		"Envoy is at its limit": {
			answers: map[string]string{"": envoy("503 Service Unavailable", "upstream connect error or disconnect/reset before headers. reset reason: overflow")},
		},
		"Caddy, 502": {hosts: shopHost, answers: map[string]string{"": caddy("502 Bad Gateway")}, code: "app-down-behind-proxy", certainty: triage.Likely},
		"an application's own 502 through Caddy": {
			hosts: shopHost, answers: map[string]string{"": "HTTP/1.1 502 Bad Gateway\r\nServer: Caddy\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "path /": ok},
		},
		"an application's own 502 through Caddy, with a length": {
			hosts: shopHost, answers: map[string]string{"": caddy("502 Bad Gateway"), "path /": ok},
			suspect: "app-down-behind-proxy",
		},
		"an application's own 504 through Caddy": {
			hosts: shopHost, answers: map[string]string{"": caddy("504 Gateway Timeout"), "path /": ok},
			suspect: "app-slow-behind-proxy",
		},
		"Caddy, 503": {answers: map[string]string{"": caddy("503 Service Unavailable")}},
		"Traefik, 503": {
			answers: map[string]string{"": answer("503 Service Unavailable", "Content-Type: text/plain; charset=utf-8\r\n", "no available server\n")},
			code:    "no-server-behind-proxy", certainty: triage.Likely,
		},
		"Apache, 503": {answers: map[string]string{"": apache503}},
		"Apache, 502": {answers: map[string]string{"": apacheSays("502 Proxy Error", "<h1>Proxy Error</h1>\n")}},
	})
}
