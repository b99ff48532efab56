package control

import (
	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// ability is a set of things that a load balancer's check can be told, beside those that its row of the dialects has.
type ability uint8

const (
	canHeader ability = 1 << iota // what a header field of the answer must be
	canBody                       // what the answer's content must hold
	canSource                     // from which address to ask
	canCert                       // a certificate to show to targets
	canTrust                      // whether to verify the target's certificate, and by which roots
	canName                       // which server name to send
)

// abilitiesOf says what each load balancer can be told. Those without a row can be told none of it, or nobody has written
// that they can: then the check is asked as they would not ask.
func abilitiesOf(name triage.Dialect) ability {
	switch name {
	case triage.Own:
		return canHeader | canBody | canSource | canCert | canTrust | canName
	case triage.AWSCLB:
		return canTrust // a back-end server authentication policy
	case triage.Route53:
		return canBody | canName // HTTPS_STR_MATCH, in the first 5,120 bytes; EnableSNI with a domain name
	case triage.GCP:
		return canBody // response, in the first 1,024 bytes
	case triage.AzureAppGW:
		return canBody | canTrust | canName // match.body of a probe; trusted root certificates; the probe's host
	case triage.HAProxy, triage.HAProxyHTTP11:
		// http-check expect hdr, string and rstring; source, crt, verify and ca-file, check-sni
		return canHeader | canBody | canSource | canCert | canTrust | canName
	case triage.Envoy:
		// receive of a health check; a transport socket; upstream_bind_config
		return canBody | canSource | canCert | canTrust | canName
	case triage.NginxPlus:
		// match { header; body ~ }; proxy_bind, proxy_ssl_certificate, proxy_ssl_verify, proxy_ssl_name
		return canHeader | canBody | canSource | canCert | canTrust | canName
	case triage.Traefik:
		return canCert | canTrust | canName // of a serversTransport
	case triage.Caddy:
		return canBody | canSource | canCert | canTrust | canName // expect_body; the proxy's transport
	case triage.Cloudflare:
		return canBody // expected_body
	case triage.Consul:
		return canCert | canTrust | canName // tls_skip_verify, tls_server_name, enable_agent_tls_for_checks
	case triage.Blackbox:
		// fail_if_header_not_matches, fail_if_body_not_matches_regexp; source_ip_address; tls_config
		return canHeader | canBody | canSource | canCert | canTrust | canName
	}
	return 0
}

// Beyond returns the keys of what a check asks for and the load balancer itself has no setting for, in the order in which
// they stand in a health check. That is nothing for our own dialect. A setting that says what the load balancer does anyway
// is not among them.
func Beyond(spec *dialect.Spec, h triage.HealthCheck) []string {
	can := abilitiesOf(spec.Name)
	own := spec.Name == triage.Own
	verify := h.TLS.Verify != triage.AsUsual && (h.TLS.Verify == triage.Yes) != spec.TLS.Verify
	var keys []string
	for _, s := range [...]struct {
		key string
		set bool
		can bool
	}{
		{"expect_header", h.Expect.Header != "", can&canHeader != 0},
		{"expect_body", h.Expect.Body != "", can&canBody != 0},
		{"expect_body_regex", h.Expect.BodyRegex != "", can&canBody != 0},
		{"expect_body_within", h.Expect.Within != 0, can&canBody != 0},
		{"expect", h.Expect.Expression != "", own},
		{"tls_server_name", h.TLS.ServerName != "", can&canName != 0},
		{"tls_verify", verify, can&canTrust != 0},
		{"tls_ca_file", h.TLS.CA.File != "", can&canTrust != 0},
		{"tls_cert_file", h.TLS.Certificate.File != "", can&canCert != 0},
		{"tls_min_version", h.TLS.MinVersion != 0 && h.TLS.MinVersion != spec.TLS.Min, can&canCert != 0}, // who has the one has the other
		// Google's proxy-header is for all protocols but gRPC.
		{"proxy_protocol", h.ProxyProtocol != triage.NoProxy, spec.SendsProxy(h.ProxyProtocol) && (spec.Name != triage.GCP || !h.Protocol.IsGRPC())},
		{"source_address", h.Source.IsValid(), can&canSource != 0},
		{"threshold_window", h.Thresholds.Window != 0, own},
		{"hold_down", h.HoldDown.First != 0, own},
	} {
		if s.set && !s.can {
			keys = append(keys, s.key)
		}
	}
	return keys
}
