package diagnose

import (
	"testing"

	"github.com/triage-lb/triage"
)

const (
	nginx404 = "HTTP/1.1 404 Not Found\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" +
		"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
	apache404 = "HTTP/1.1 404 Not Found\r\nServer: Apache/2.4.71 (Debian)\r\nConnection: close\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n" +
		"<h1>Not Found</h1>\n<p>The requested URL was not found on this server.</p>\n</body></html>\n"
	go404      = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 19\r\n\r\n404 page not found\n"
	haproxy503 = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" +
		"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
	laravel404 = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"message\":\"Bad hostname provided.\"}"
	tenant404  = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<pre class=\"exception_value\">No tenant for hostname &quot;127.0.1.13&quot;</pre>"
	httpSys404 = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html; charset=us-ascii\r\nServer: Microsoft-HTTPAPI/2.0\r\nConnection: close\r\n\r\n<BODY><h2>Not Found</h2>\r\n<hr><p>HTTP Error 404. The requested resource is not found.</p>\r\n</BODY></HTML>\r\n"
	busy503    = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
)

func TestServersThatSortByHost(t *testing.T) {
	alb := asking(triage.AWSALB, "")
	shop := []string{"shop.example"}
	known := func(answer string) testSite {
		return testSite{alb, shop, map[string]string{"": answer, "Host shop.example": ok}}
	}
	const proof404 = "Host shop.example: 200; with Host nonsense.invalid, which nobody has: 404"
	const code = "host-not-routed"
	for name, c := range map[string]struct {
		site testSite
		want expectation
	}{
		"nginx":    {known(nginx404), expectation{code, triage.Proved, `default server block, which has no such page; the check sends Host "127.0.1.13:20000"`, proof404, "location = /health_check { proxy_pass"}},
		"Apache":   {known(apache404), expectation{code, triage.Proved, "first VirtualHost", proof404, "ProxyPass /health_check"}},
		"Go":       {known(go404), expectation{code, triage.Proved, "the router matches by Host", proof404, "rule: Path(`/health_check`)"}},
		"HAProxy":  {known(haproxy503), expectation{code, triage.Proved, "no rule of HAProxy matches", "which nobody has: 503", "use_backend APP if { path /health_check }"}},
		"Laravel":  {known(laravel404), expectation{code, triage.Proved, "TrustHosts", proof404, "TrustHosts.php"}},
		"tenants":  {known(tenant404), expectation{code, triage.Proved, "tenant", proof404, "above TenantMainMiddleware"}},
		"somebody": {known(bare404), expectation{code, triage.Proved, "chooses site or route by Host", proof404, "site for unknown names"}},
		"Envoy's cluster": {
			testSite{asking(triage.Envoy, "webcluster"), shop, map[string]string{"": bare404, "Host shop.example": ok}},
			expectation{code, triage.Proved, `Host "webcluster", which is Envoy's name for the cluster`, proof404, "host: shop.example }\nor\ngive /health_check"}},
		"Laravel, and no name is known": {testSite{alb, nil, map[string]string{"": laravel404}}, expectation{code, triage.Likely, "TrustHosts", "", "TrustHosts.php"}},
		"the path is wrong":             {testSite{alb, shop, map[string]string{"": nginx404}}, expectation{}},
		"each name has the page": {
			testSite{alb, shop, map[string]string{"": nginx404, "Host shop.example": ok, unknownHost: ok, "Host 127.0.0.1": ok}},
			expectation{}},
		"HAProxy has no server for any name": {testSite{alb, shop, map[string]string{"": haproxy503}}, expectation{}},
		"the application is busy":            {known(busy503), expectation{}},

		"nginx hangs up": {
			testSite{alb, shop, map[string]string{"": "", "Host shop.example": ok}},
			expectation{"host-not-known-closed", triage.Proved, `without a word for every Host that is not its own, and the check sends Host "127.0.1.13:20000"`,
				"Host shop.example: 200", "location / { return 444; }"}},
		"nginx hangs up, and the site redirects": {
			testSite{alb, shop, map[string]string{"": "", "Host shop.example": redirecting(301, "https://shop.example/")}},
			expectation{"host-not-known-closed", triage.Proved, "without a word", "Host shop.example: 301", "return 444"}},
		"a worker crashes now and then": {
			testSite{alb, shop, map[string]string{"": "", "Host shop.example": ok, "no change, asked again (2)": ok}},
			expectation{}},
		"a port that hangs up on everybody": {testSite{alb, shop, map[string]string{"": ""}}, expectation{}},
		"half an answer":                    {known("HTTP/1.1 200 OK\r\nContent-Le"), expectation{}},

		"a site that is stopped": {testSite{alb, shop, map[string]string{"": httpSys404}}, expectation{"http-sys-404", triage.Likely, "http.sys answers in place of a site", "", "Get-IISSite"}},
		"a program on top of http.sys": {
			testSite{alb, shop, map[string]string{"": withField("Server: Microsoft-HTTPAPI/2.0", bare404)}}, expectation{}},
		"a site bound to a name": {known(httpSys404), expectation{code, triage.Proved, "by Host", proof404, "site for unknown names"}},
	} {
		t.Run(name, func(t *testing.T) { c.want.check(t, c.site.diagnose()) })
	}
}
