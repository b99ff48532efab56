package dialect

import (
	"bytes"
	"strings"

	"github.com/triage-lb/triage/internal/http1"
)

// Sender is who sent a request, as far as the request tells.
type Sender struct {
	Title string // "AWS Classic Load Balancer's health check"
	Why   string // what gave it away
	Sure  bool   // the whole header set fits, not only a name that anybody can send
}

// Recognise names the sender of a request, from its User-Agent and its header set. ok is false if the request
// looks like none that we know.
func Recognise(r http1.Request) (sender Sender, ok bool) {
	agent, hasAgent := http1.Get(r.Fields, "User-Agent")
	for _, s := range All() {
		if !hasAgent || string(agent) != s.Agent {
			continue
		}
		sender := Sender{Title: s.Title + "'s health check", Why: "User-Agent " + s.Agent}
		if s.wrote(r) {
			sender.Why += ", and exactly its headers in its order"
			sender.Sure = true
		}
		return sender, true
	}
	if !hasAgent && len(r.Fields) == 0 && string(r.Method) == "OPTIONS" && r.Minor == 0 {
		return Sender{Title: "HAProxy's option httpchk", Why: "OPTIONS over HTTP/1.0 without any header"}, true
	}
	for _, a := range agents {
		if strings.HasPrefix(string(agent), a.prefix) {
			return Sender{Title: a.title, Why: "User-Agent " + a.prefix}, true
		}
	}
	return Sender{}, false
}

// wrote reports whether the request has the dialect's headers, no more and no fewer, in order and case.
func (s *Spec) wrote(r http1.Request) bool {
	if string(r.Method) != "GET" || r.Minor != 1 || len(r.Fields) != len(s.Headers) {
		return false
	}
	for i, h := range s.Headers {
		if string(r.Fields[i].Name) != h.Name {
			return false
		}
		if h.Value != HostValue && !bytes.Equal(r.Fields[i].Value, []byte(h.Value)) {
			return false
		}
	}
	return true
}

// agents are the User-Agents of other checkers, and of the tools that people take for them.
var agents = []struct{ prefix, title string }{
	{"Amazon-Route53-Health-Check-Service", "Amazon Route 53's health check"},
	{"GoogleHC/", "Google Cloud's health check"},
	{"kube-probe/", "a Kubernetes kubelet's probe"},
	{"Envoy/HC", "Envoy's health check"},
	{"Consul Health Check", "Consul's health check"},
	{"Load Balancer Agent", "Azure Load Balancer's probe"},
	{"Mozilla/5.0 (compatible; Cloudflare-Traffic-Manager/", "Cloudflare's load balancing monitor"},
	{"Blackbox", "Prometheus blackbox_exporter"},
	{"curl/", "curl, not a load balancer"},
	{"Wget/", "wget, not a load balancer"},
	{"Go-http-client/", "a Go program: Traefik and Caddy check like this, and many others"},
}
