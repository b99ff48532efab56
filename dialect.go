package triage

// Dialect names a way of asking and judging: which load balancer's health check this is. What each dialect
// sends and accepts stands in the table of internal/dialect; docs/dialects.md is written from it.
type Dialect string

// The dialects.
const (
	Own           Dialect = "triage"         // our own, which triage serve uses
	AWSALB        Dialect = "aws-alb"        // AWS Application Load Balancer
	AWSNLB        Dialect = "aws-nlb"        // AWS Network Load Balancer
	AWSCLB        Dialect = "aws-clb"        // AWS Classic Load Balancer
	Route53       Dialect = "route53"        // Amazon Route 53
	GCP           Dialect = "gcp"            // Google Cloud Load Balancing
	AzureLB       Dialect = "azure-lb"       // Azure Load Balancer
	AzureAppGW    Dialect = "azure-appgw"    // Azure Application Gateway
	Kubelet       Dialect = "kubelet"        // Kubernetes: liveness, readiness and startup probes
	HAProxy       Dialect = "haproxy"        // HAProxy, option httpchk alone
	HAProxyHTTP11 Dialect = "haproxy-http11" // HAProxy, http-check send with HTTP/1.1 and Host
	Envoy         Dialect = "envoy"          // Envoy
	NginxPlus     Dialect = "nginx-plus"     // NGINX Plus
	Traefik       Dialect = "traefik"        // Traefik
	Caddy         Dialect = "caddy"          // Caddy
	Cloudflare    Dialect = "cloudflare"     // Cloudflare Load Balancing
	DigitalOcean  Dialect = "digitalocean"   // DigitalOcean Load Balancer
	Consul        Dialect = "consul"         // HashiCorp Consul
	Blackbox      Dialect = "blackbox"       // Prometheus blackbox_exporter
)
