package diagnose

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/triage-lb/triage"
)

// hostFixes are what to change where an application refuses a Host: the path answered before the Host is looked at, or the
// machine's own address among the names. What lets every Host in is no fix.
var hostFixes = []Fix{
	{"", "allow the machine's own address as Host, or answer {path}\nbefore the Host is checked; do not switch the check of the Host off"},
	{"Django", djangoFix},
	{"Rails", "config/environments/production.rb:\n    config.host_authorization = {\n      exclude: ->(request) { request.path == \"{path}\" } }"},
	{"Starlette", starletteOutside},
	{"Flask", "in the app, in place of TRUSTED_HOSTS:\n    @app.before_request\n    def known_host():  # get_host is from werkzeug.wsgi\n        if request.path != \"{path}\":\n            get_host(request.environ, HOSTS)"},
	{"ASP.NET", "Program.cs, in place of AllowedHosts in appsettings.json:\n    builder.Services.AddHostFiltering(o => o.AllowedHosts = names);\n    app.UseWhen(c => c.Request.Path != \"{path}\",\n        a => a.UseHostFiltering());\nin IIS or http.sys: a binding for the address, without a host name"},
	{"Symfony", "config/packages/framework.yaml, the site's name and your network:\n    trusted_hosts: ['^shop\\.example$', '^10\\.0\\.\\d+\\.\\d+$']"},
	{"Drupal", "settings.php, for your own network beside the site's name:\n    $settings['trusted_host_patterns'][] = '^10\\.0\\.\\d+\\.\\d+$';"},
	{"Homepage", "in the container's environment, beside the site's own name:\n    HOMEPAGE_ALLOWED_HOSTS=shop.example,{host}"},
	{"Vite", "vite.config.js, server or preview (not true, where others reach it):\n    allowedHosts: [\"{host}\"]\nIP addresses are let in anyway; users should meet a built site"},
	{"webpack", "webpack.config.js (not \"all\", where others reach it):\n    devServer: { allowedHosts: [\"{host}\"] }\nIP addresses are let in anyway; users should meet a built site"},
	{"MCP", "in the server, above the guard that looks at the Host:\n    app.get(\"{path}\", (req, res) => res.send(\"ok\"))"},
	{"Ember", "in the program that serves FastBoot, above its middleware:\n    app.get(\"{path}\", (req, res) => res.send(\"ok\"))"},
	{"Go", "in the program, outside the handler that looks at the Host:\n    mux.HandleFunc(\"{path}\", health)\n    mux.Handle(\"/\", secured(app))"},
}

var underscoreFixes = []Fix{
	{"", "give the container, service or cluster a name without underscores\n(web-1, not web_1), or let the check send another Host"},
}

// hostFix is the application's own cure.
func hostFix(c *kase, r refusal) string {
	switch {
	case r.software == "Django" && !askedByAWS(c):
		return c.fill(djangoPathFix)
	case r.software != "":
		return c.fixFor(r.software, hostFixes)
	case c.x.Status == 403 && c.x.BodySize == 0 && c.kind() == "text/html":
		return genericHostFix(c.path()) + "\nif it is Rails, in " + c.fixFor("Rails", hostFixes)
	case isSymfonyError(c):
		return c.fixFor("Symfony", hostFixes)
	}
	return genericHostFix(c.path())
}

// isSymfonyError recognises Symfony's page for errors in production, which gives no reason.
func isSymfonyError(c *kase) bool { return c.bodyHas("<h1>Oops! An Error Occurred</h1>") }

// askedByAWS reports whether the check is one of a load balancer of AWS, whose targets can ask the metadata service.
func askedByAWS(c *kase) bool {
	switch c.x.Dialect {
	case triage.AWSALB, triage.AWSNLB, triage.AWSCLB:
		return true
	}
	return false
}

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

// djangoPathFix asks the real view, as a name that is allowed, for the health path alone. (Tried with Django 3.2.)
const djangoPathFix = `a middleware, first of all in MIDDLEWARE (or run triage guard in front):
    def health_host(get_response):
        def middleware(request):
            if request.path_info == "{path}":
                request.META["HTTP_HOST"] = "{public}"
            return get_response(request)
        return middleware`

func genericHostFix(path string) string {
	return "allow the machine's own address as Host, or answer " + path + "\nbefore the Host is checked; do not switch the check of the Host off"
}

// hostSettings are how a load balancer is told which Host its checks send. AWS's, Azure's and DigitalOcean's load
// balancers cannot be told.
var hostSettings = map[triage.Dialect]string{
	triage.Own:           "in triage's config, in the group's health_check:\n    host: {public}",
	triage.GCP:           "let the check send a Host that is known:\n    gcloud compute health-checks update http NAME --host={public}",
	triage.AzureAppGW:    "let a custom probe send a Host that is known:\n    host = {public}",
	triage.Route53:       "let the check send a Host that is known (FullyQualifiedDomainName):\n    {public}",
	triage.Kubelet:       "let the probe send a Host that is known, below httpGet:\n    httpHeaders:\n      - {name: Host, value: {public}}",
	triage.HAProxy:       "in HAProxy, let the check send a Host that is known:\n    option httpchk GET {path} HTTP/1.1\n    http-check send hdr Host {public}",
	triage.HAProxyHTTP11: "in HAProxy, let the check send a Host that is known:\n    option httpchk GET {path} HTTP/1.1\n    http-check send hdr Host {public}",
	triage.Envoy:         "in Envoy, let the check send a Host that is known:\n    http_health_check: { path: {path}, host: {public} }",
	triage.NginxPlus:     "in nginx, in the location of health_check:\n    proxy_set_header Host {public};",
	triage.Traefik:       "in Traefik, in the service's healthCheck:\n    hostname: {public}",
	triage.Caddy:         "in the Caddyfile, beside health_uri:\n    health_headers {\n        Host {public}\n    }",
	triage.Cloudflare:    "in the monitor's settings, a request header:\n    Host: {public}",
	triage.Consul:        "in the check's definition:\n    header = { Host = [\"{public}\"] }",
	triage.Blackbox:      "in the exporter's module, below http:\n    headers: {Host: {public}}",
}

// withHostSetting puts the load balancer's own setting before a fix, where it has one: the check then asks as users do, and
// the application stays as strict as it is. name is the Host to send; "" takes the site's public one.
func withHostSetting(c *kase, name, fix string) string {
	setting, ok := hostSettings[c.x.Dialect]
	if !ok {
		return fix
	}
	if name != "" {
		setting = strings.ReplaceAll(setting, "{public}", name)
	}
	return fmt.Sprintf("%s\nor\n%s", c.fill(setting), fix)
}

// sentHost is the Host that the check sends, and where it comes from if that is not the target's address.
func sentHost(c *kase) string {
	host := c.host()
	if host == "" {
		return "no Host"
	}
	origin := ""
	if len(c.x.Sent) == 0 { // nobody knows what was sent
		return "a Host that the server does not know"
	}
	switch named := !isAddress(host) && !strings.Contains(host, "."); {
	case c.x.Dialect == triage.Envoy && named:
		origin = ", which is Envoy's name for the cluster unless the check sets one"
	case c.x.Dialect == triage.NginxPlus && named:
		origin = ", which is nginx's name for the upstream unless the check sets one"
	case c.x.Dialect == triage.AzureAppGW && host == "127.0.0.1":
		origin = ", as every probe of Application Gateway does that sets none"
	case c.x.Dialect == triage.AWSNLB && isAddress(host):
		origin = ", the load balancer's own address"
	}
	return fmt.Sprintf("Host %q%s", host, origin)
}

// isAddress reports whether a Host is an address, not a name.
func isAddress(host string) bool {
	if _, err := netip.ParseAddrPort(host); err == nil {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}
