package e2e

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// Three ways to send plain http to https, as they are found behind a load
// balancer that ends TLS.
const (
	redirectUnlessHTTPS = `if ($http_x_forwarded_proto != "https") { return 301 https://$host$request_uri; }`
	redirectAlways      = `return 301 https://$host$request_uri;`
	redirectByRewrite   = `rewrite ^ https://$host$request_uri? permanent;`
)

// nginx is the web server of one instance.
type nginx struct {
	*process
	addr     netip.AddrPort // where it listens
	upstream netip.AddrPort // the instance's gunicorn
}

// nginxSite is one server block of its configuration. The zero value passes
// everything on to gunicorn.
type nginxSite struct {
	// Listen is where; by default where the instance is.
	Listen netip.AddrPort
	// Server is put into the server block: a redirect, right above it the rule
	// that spares the health path.
	Server string
	// Location is put into "location /", above proxy_pass.
	Location string
	// NoProxy leaves out "location /": a server block that only redirects.
	NoProxy bool
}

func newNginx(t *testing.T, dir string, addr, upstream netip.AddrPort) *nginx {
	t.Helper()
	return &nginx{
		addr: addr, upstream: upstream,
		process: newProcess(t, &process{
			name: "nginx on " + addr.String(),
			path: nginxPath,
			args: []string{"-p", dir, "-e", "stderr", "-c", "nginx.conf"},
			dir:  dir,
			quit: syscall.SIGTERM, // at once; SIGQUIT is the graceful one
		}),
	}
}

// start runs nginx with the given configuration.
func (n *nginx) start(t *testing.T, sites ...nginxSite) {
	t.Helper()
	n.configure(t, sites)
	n.process.start(t)
}

// reload gives a running nginx another configuration. When it returns, no
// worker with the old one is left.
func (n *nginx) reload(t *testing.T, sites ...nginxSite) {
	t.Helper()
	n.configure(t, sites)
	before := n.logSize(t)
	n.signal(t, syscall.SIGHUP)
	n.waitUntil(t, "reloads", func() bool { return n.logHas(before, "exited with code 0") })
}

// waitUntilReady returns once nginx answers requests, whatever it answers.
func (n *nginx) waitUntilReady(t *testing.T) {
	t.Helper()
	n.waitUntil(t, "answers", func() bool { return answers(n.addr) })
}

// proxyPass is the text that hands a request to gunicorn: with the Host it
// came with, as a site with more than one name needs it.
func (n *nginx) proxyPass() string {
	return fmt.Sprintf("proxy_pass http://%s; proxy_set_header Host $http_host; "+
		"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", n.upstream)
}

// configure writes nginx.conf and lets nginx itself say whether it is right.
func (n *nginx) configure(t *testing.T, sites []nginxSite) {
	t.Helper()
	tmpl, err := template.ParseFiles("testdata/nginx.conf.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	type server struct {
		nginxSite
		Proxy string
	}
	var servers []server
	for _, site := range sites {
		if !site.Listen.IsValid() {
			site.Listen = n.addr
		}
		servers = append(servers, server{site, n.proxyPass()})
	}
	var conf strings.Builder
	if err := tmpl.Execute(&conf, servers); err != nil {
		t.Fatal(err)
	}
	writeFile(t, n.dir, "nginx.conf", conf.String())
	check := exec.Command(n.path, append(n.args, "-t", "-q")...)
	check.Env = []string{systemPath}
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("nginx refuses its configuration: %v\n%s\n%s", err, out, conf.String())
	}
}
