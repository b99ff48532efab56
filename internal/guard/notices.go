package guard

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/triage-lb/triage/internal/proxy"
)

// announce logs the whole policy, one line for each rule, and what is doubtful about it: who reads the log at
// night should not have to find the command line.
func (g *Guard) announce() {
	c, log := &g.config, g.config.Log
	log.Info("serving", "listen", g.Addr().String(), "upstream", c.Upstream)
	if len(c.AllowedHosts) > 0 {
		log.Info("policy: hosts", "allowed", strings.Join(c.AllowedHosts, " "), "others", "400")
	} else {
		log.Info("policy: every host is let through", "allowed", "all")
	}
	if c.HealthPath != "" {
		log.Info("policy: health path", "path", c.HealthPath, "hosts", g.healthRule(), "redirect", "never",
			"upstream_host", g.sentHost(), "upstream_proto", c.UpstreamProto)
	}
	if c.HTTPSRedirect {
		log.Info("policy: http is redirected to https, by X-Forwarded-Proto", "redirect", "on")
	} else {
		log.Info("policy: http is not redirected", "redirect", "off")
	}
	if len(g.trusted) > 0 {
		log.Info("policy: X-Forwarded-For, -Proto and -Port are believed", "trusted", joinPrefixes(g.trusted, " "))
	} else {
		log.Info("policy: X-Forwarded-For, -Proto and -Port are believed from nobody", "trusted", "none")
	}
	g.warn()
}

// warn logs what is doubtful about the policy.
func (g *Guard) warn() {
	c, log := &g.config, g.config.Log
	guards := len(c.AllowedHosts) > 0 || c.HTTPSRedirect
	if !guards {
		log.Warn("neither --allowed-hosts nor --https-redirect: requests are only forwarded, nothing is guarded")
	}
	if guards && c.HealthPath == "" {
		log.Warn("no --health-path: a load balancer asks by address and without TLS, so its check is refused or redirected as well",
			"hint", "add --health-path with the path that it asks")
	}
	if c.HealthPath != "" && g.host == "" {
		log.Warn("the health path goes to the upstream with the Host that the load balancer sent, which many applications refuse",
			"hint", "add --upstream-host with a name that the application accepts")
	}
	if slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		log.Warn("everybody is trusted: any client can claim https and write any address into X-Forwarded-For",
			"hint", "give --trusted the load balancer's network only")
	}
}

// healthRule says which hosts the health path admits besides the site's.
func (g *Guard) healthRule() string {
	if len(g.config.AllowedHosts) == 0 {
		return "all"
	}
	rules := slices.Clone(g.config.HealthHosts)
	if g.learner != nil {
		rules = append(rules, "this machine's addresses (learned from AWS's metadata)")
	}
	if len(rules) == 0 {
		return "the site's, any IP address, or none"
	}
	return "the site's, " + strings.Join(rules, ", ")
}

func (g *Guard) sentHost() string {
	if g.host == "" {
		return "as it came"
	}
	return g.host
}

// refused is told of each request whose host is not admitted.
func (g *Guard) refused(in *http.Request) {
	level, message := slog.LevelInfo, "refused a host with 400"
	if g.onHealthPath(in) {
		level, message = slog.LevelWarn, "refused a host with 400 on the health path"
	}
	g.audit.Note(level, message, proxy.Clip(in.Host), func() []any {
		return []any{"host", proxy.Clip(in.Host), "path", proxy.Clip(in.URL.Path), "peer", in.RemoteAddr, "hint", g.admission(in)}
	})
}

// admission says what would admit the request's host.
func (g *Guard) admission(in *http.Request) string {
	switch {
	case !g.onHealthPath(in) && g.config.HealthPath == "":
		return "if it is a name of the site, add it to --allowed-hosts; if it is the load balancer's check, give its path to --health-path"
	case !g.onHealthPath(in):
		return "if it is a name of the site, add it to --allowed-hosts; the load balancer's check must ask " + g.config.HealthPath
	case g.learner != nil && len(g.learner.Addresses()) == 0:
		return "no address was learned yet; --health-hosts ip admits every address"
	case g.learner != nil || len(g.config.HealthHosts) > 0:
		return "if this is the load balancer's check, add the host to --health-hosts, or admit every address with --health-hosts ip"
	}
	return "names are refused here as anywhere: if this is the load balancer's check, add its host to --health-hosts or --allowed-hosts"
}

// untrusted is told of each request that claims https and comes from a peer that is not trusted.
func (g *Guard) untrusted(in *http.Request) {
	addr := peer(in)
	g.audit.Note(slog.LevelWarn, "X-Forwarded-Proto: https from a peer that is not trusted is not believed", addr.String(), func() []any {
		return []any{
			"peer", addr.String(), "host", proxy.Clip(in.Host),
			"hint", "if this is the load balancer, its users are redirected for ever: add its address to --trusted, as in --trusted " + g.withPeer(addr),
		}
	})
}

// learned is told this machine's addresses whenever they have changed.
func (g *Guard) learned(addrs []netip.Addr) {
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	g.config.Log.Info("learned this machine's addresses: the health path admits them", "addresses", strings.Join(texts, " "))
}

// notLearned is told why asking for them failed, once for each reason.
func (g *Guard) notLearned(err error) {
	hint := "--health-hosts ip admits every address"
	if !g.config.IMDSv1 {
		hint += "; --imds-v1 permits metadata without tokens"
	}
	g.config.Log.Warn("this machine's addresses were not learned, asking again: checks by an address that is not known get 400",
		"error", err.Error(), "hint", hint)
}
