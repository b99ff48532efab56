package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"
)

// spareHealthPath is the rule that keeps nginx from redirecting the load
// balancer's check; it belongs right above the redirect.
const spareHealthPath = "if ($uri = /health_check) { break; }\n"

// TestNginxRuleThatSparesTheHealthPath asks nginx itself how the health path is
// spared from a redirect to https, for each place where a redirect can stand.
// There are two remedies: the line above, and a location of its own for the
// path. The outcome is the same for all three ways to write a redirect:
//
//   - The line works right above the redirect, in the server block as well as in
//     "location /", if the block with the redirect hands other requests on.
//   - Where that block does nothing but redirect, the line alone leaves the path
//     to nobody: 404. It needs the location beside it.
//   - The location alone is not enough under a redirect in the server block,
//     which is carried out before a location is chosen.
//   - Both together work everywhere, if the line is in the server block.
func TestNginxRuleThatSparesTheHealthPath(t *testing.T) {
	requireTools(t)
	web := newNginxBeforeEcho(t)
	location := "location = /health_check { " + web.proxyPass() + " }\n"

	places := []struct {
		name string
		// site puts the redirect in its place and the line, if any, above it.
		site func(line, redirect string) nginxSite
		// What the check gets with the line, with the location, with both.
		line, location, both int
	}{
		{"server block that proxies", func(line, redirect string) nginxSite {
			return nginxSite{Server: line + redirect}
		}, 200, 301, 200},
		{"server block that only redirects", func(line, redirect string) nginxSite {
			return nginxSite{Server: line + redirect, NoProxy: true}
		}, 404, 301, 200},
		{"location that proxies", func(line, redirect string) nginxSite {
			return nginxSite{Location: line + redirect}
		}, 200, 200, 200},
		{"location that proxies, the line in the server block", func(line, redirect string) nginxSite {
			return nginxSite{Server: line, Location: redirect}
		}, 301, 200, 200},
		{"location that only redirects", func(line, redirect string) nginxSite {
			return nginxSite{Server: "location / { " + line + redirect + " }", NoProxy: true}
		}, 404, 200, 200},
	}
	var cases []ruleCase
	for _, place := range places {
		for _, redirect := range []string{redirectAlways, redirectUnlessHTTPS, redirectByRewrite} {
			add := func(rule string, site nginxSite, want int) {
				cases = append(cases, ruleCase{place.name + ", " + redirect + ", " + rule, "/health_check", site, want})
			}
			bare, lined := place.site("", redirect), place.site(spareHealthPath, redirect)
			add("no rule", bare, 301)
			add("line", lined, place.line)
			bare.Server = location + bare.Server
			add("location", bare, place.location)
			lined.Server = location + lined.Server
			add("line and location", lined, place.both)
		}
	}
	// A path that nginx's grammar would trip over is put in quotes. $uri is the
	// decoded path.
	for path, quoted := range map[string]string{
		"/health_check?deep=1": "/health_check",
		"/health%20check":      `"/health check"`,
		"/a;b{c}":              `"/a;b{c}"`,
	} {
		cases = append(cases, ruleCase{"quoted " + path, path,
			nginxSite{Server: "if ($uri = " + quoted + ") { break; }\n" + redirectAlways}, 200})
	}
	web.askEach(t, cases)
}

// ruleCase is a server block, and the status that a check of path gets from it.
type ruleCase struct {
	name, path string
	site       nginxSite
	want       int
}

// newNginxBeforeEcho makes a stopped nginx in front of a server that answers
// with the Host it was sent.
func newNginxBeforeEcho(t *testing.T) *nginx {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(r.Host))
	}))
	t.Cleanup(echo.Close)
	local := netip.MustParseAddr("127.0.0.1")
	return newNginx(t, filepath.Join(workFolder(t), "nginx"),
		netip.AddrPortFrom(local, newPorts().pick(t, local)), echo.Listener.Addr().(*net.TCPAddr).AddrPort())
}

// askEach starts nginx with all the cases' server blocks, each on a loopback
// address of its own.
func (n *nginx) askEach(t *testing.T, cases []ruleCase) {
	t.Helper()
	sites := []nginxSite{{}}
	addr := netip.MustParseAddr("127.0.2.1")
	for i := range cases {
		cases[i].site.Listen = netip.AddrPortFrom(addr, n.addr.Port())
		sites = append(sites, cases[i].site)
		addr = addr.Next()
	}
	n.start(t, sites...)
	n.waitUntilReady(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := askHealth(t, c.site.Listen, c.path)
			if got.status != c.want {
				t.Errorf("the check of %s is answered %d, want %d", c.path, got.status, c.want)
			}
			if got.status == 200 && got.body != c.site.Listen.String() {
				t.Errorf("Host was %q when the check arrived, want %q as it was sent", got.body, c.site.Listen)
			}
			for _, other := range []string{"/", "/health_check/", "/health_checks"} {
				if got := askHealth(t, c.site.Listen, other); got.status != 301 {
					t.Errorf("%s is answered %d, want the redirect", other, got.status)
				}
			}
		})
	}
}
