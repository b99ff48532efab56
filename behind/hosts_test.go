package behind_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage/behind"
)

// app is what stands behind the middleware.
var app = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "app "+r.Host)
})

// send writes raw bytes to a server and reads one answer; a real connection,
// because net/http's client would correct the requests of these tests.
func send(t *testing.T, address, raw string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return response, string(body)
}

func serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestHosts(t *testing.T) {
	own := netip.MustParseAddr("10.0.1.5")
	base := behind.Hosts{Allowed: []string{"MySite.com.", ".example.org", "192.0.2.7", "2001:db8::7"}, HealthPath: "/health_check"}
	learned, list := base, base
	learned.HealthAddr = func(addr netip.Addr) bool { return addr == own }
	list.HealthHosts = []string{"lb.internal", "[fd00::1]"}
	none := base
	none.HealthPath = ""
	rules := map[string]behind.Hosts{"ip": base, "learned": learned, "list": list, "none": none}

	const anywhere, nowhere = "ip learned list none", ""
	for _, test := range []struct {
		host     string
		page     string // the rules that admit it on a page
		onHealth string // … and on the health path
	}{
		{"mysite.com", anywhere, anywhere},
		{"MYSITE.com:8000", anywhere, anywhere},
		{"mysite.com.", anywhere, anywhere},
		{"mysite.com:", anywhere, anywhere},
		{"example.org", anywhere, anywhere},
		{"a.b.example.org:443", anywhere, anywhere},
		{"192.0.2.7:80", anywhere, anywhere},
		{"[2001:db8::7]", anywhere, anywhere},
		{"[2001:DB8:0::7]:80", anywhere, anywhere},

		{"www.mysite.com", nowhere, nowhere},
		{"evilexample.org", nowhere, nowhere},
		{"example.org.evil.com", nowhere, nowhere},
		{"mysite.com@evil.com", nowhere, nowhere},
		{"mysite.com:80:80", nowhere, nowhere},
		{"mysite.com:x", nowhere, nowhere},
		{"mysite.com:65536", nowhere, nowhere},
		{"mysite.com..", nowhere, nowhere},
		{".example.org", nowhere, nowhere},
		{"a..example.org", nowhere, nowhere},
		{"mysite.com,evil.com", nowhere, nowhere},
		{"foreign.name", nowhere, nowhere},
		{"lb.internal", nowhere, "list"},

		{"10.0.1.5:8000", nowhere, "ip learned"},
		{"10.0.1.6:8000", nowhere, "ip"},
		{"[::ffff:10.0.1.5]:8000", nowhere, "ip learned"},
		{"127.0.0.1", nowhere, "ip"},
		{"[fd00::1]:8000", nowhere, "ip list"},
		{"[fe80::1%25eth0]", nowhere, nowhere},
		{"fd00::1", nowhere, nowhere},
		{"[10.0.1.5]", nowhere, nowhere},
		{"[::1]x", nowhere, nowhere},
		{"10.0.1.05", nowhere, nowhere},
		{"167772421", nowhere, nowhere},
		{"", nowhere, "ip"},
	} {
		for rule, hosts := range rules {
			handler := hosts.Wrap(app)
			for path, admitting := range map[string]string{"/": test.page, "/health_check?x": test.onHealth} {
				request := httptest.NewRequest(http.MethodGet, path, nil)
				request.Host = test.host
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				want := http.StatusBadRequest
				if strings.Contains(admitting, rule) {
					want = http.StatusOK
				}
				if answer.Code != want {
					t.Errorf("Host %q, path %s, rule %s: %d, want %d", test.host, path, rule, answer.Code, want)
				}
			}
		}
	}
}

// What servers and proxies may take for the health path is none: the second
// rule holds for its exact bytes.
func TestHostsHealthPathIsExact(t *testing.T) {
	address := serve(t, behind.Hosts{Allowed: []string{"mysite.com"}, HealthPath: "/health_check"}.Wrap(app))
	for target, want := range map[string]int{
		"/health_check":                    200,
		"/health_check?deep=1":             200,
		"http://10.0.1.5:80/health_check":  200,
		"/health_check/":                   400,
		"/HEALTH_CHECK":                    400,
		"/health%5Fcheck":                  400,
		"//health_check":                   400,
		"/x/../health_check":               400,
		"/health_check%2f..%2fadmin":       400,
		"/health_check;x":                  400,
		"http://foreign.name/health_check": 400,
	} {
		response, _ := send(t, address, "GET "+target+" HTTP/1.1\r\nHost: 10.0.1.5:8000\r\n\r\n")
		if response.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, response.StatusCode, want)
		}
	}
}

func TestHostsOnTheWire(t *testing.T) {
	refused := make(chan string, 10)
	address := serve(t, behind.Hosts{
		Allowed: []string{"mysite.com"}, HealthPath: "/health_check",
		OnRefused: func(r *http.Request) { refused <- fmt.Sprintf("%s %q", r.URL.Path, r.Host) },
	}.Wrap(app))
	const constant = "this host is not served here\n"
	for name, test := range map[string]struct {
		raw     string
		status  int
		body    string
		refused string
	}{
		"a user": {"GET / HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 200, "app mysite.com", ""},
		"classic ELB": {"GET /health_check HTTP/1.1\r\nhost: 10.0.1.5:8000\r\nUser-Agent: ELB-HealthChecker/1.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
			200, "app 10.0.1.5:8000", ""},
		"HAProxy without Host": {"GET /health_check HTTP/1.0\r\n\r\n", 200, "app ", ""},
		"no Host on a page":    {"GET / HTTP/1.0\r\n\r\n", 400, constant, `/ ""`},
		"a stranger":           {"GET /<b> HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400, constant, `/<b> "evil.example"`},
		"a stranger's HEAD":    {"HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400, "", `/ "evil.example"`},
		// The target's host counts, and the application must see that one.
		"absolute form":      {"GET http://evil.example/ HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 400, constant, `/ "evil.example"`},
		"absolute form, own": {"GET http://mysite.com/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200, "app mysite.com", ""},
		// These two never reach the middleware, as the documentation says.
		"1.1 without Host": {"GET /health_check HTTP/1.1\r\n\r\n", 400, "400 Bad Request", ""},
		"two Hosts":        {"GET / HTTP/1.1\r\nHost: mysite.com\r\nHost: mysite.com\r\n\r\n", 400, "400 Bad Request", ""},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := send(t, address, test.raw)
			if strings.HasPrefix(body, "400 Bad Request") {
				body = "400 Bad Request" // net/http adds a reason
			}
			if response.StatusCode != test.status || body != test.body {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body, test.status, test.body)
			}
			got := ""
			if len(refused) > 0 {
				got = <-refused
			}
			if got != test.refused {
				t.Errorf("OnRefused was told %s, want %s", got, test.refused)
			}
		})
	}
}

func TestHostsValidate(t *testing.T) {
	site := []string{"mysite.com"}
	for name, test := range map[string]struct {
		hosts behind.Hosts
		want  string // "" for valid
	}{
		"names":           {behind.Hosts{Allowed: []string{"mysite.com", ".example.org", "app_1", "xn--bcher-kva.example"}}, ""},
		"addresses":       {behind.Hosts{Allowed: []string{"10.0.0.1", "::1", "[::1]"}}, ""},
		"empty":           {behind.Hosts{}, "no allowed host"},
		"star":            {behind.Hosts{Allowed: []string{"*"}}, "protects nothing"},
		"star dot":        {behind.Hosts{Allowed: []string{"*.example.org"}}, `write ".example.org"`},
		"URL":             {behind.Hosts{Allowed: []string{"https://mysite.com"}}, "without scheme"},
		"port":            {behind.Hosts{Allowed: []string{"mysite.com:8000"}}, `write "mysite.com"`},
		"empty port":      {behind.Hosts{Allowed: []string{"mysite.com:"}}, `write "mysite.com"`},
		"wildcard port":   {behind.Hosts{Allowed: []string{".mysite.com:80"}}, `write ".mysite.com"`},
		"IPv4 port":       {behind.Hosts{Allowed: []string{"10.0.0.1:80"}}, `write "10.0.0.1"`},
		"IPv6 port":       {behind.Hosts{Allowed: []string{"[::1]:80"}}, `write "[::1]"`},
		"below address":   {behind.Hosts{Allowed: []string{".10.0.0.1"}}, "nothing is below an address"},
		"international":   {behind.Hosts{Allowed: []string{"bücher.example"}}, "xn-- form"},
		"space":           {behind.Hosts{Allowed: []string{"mysite.com "}}, "not a host name"},
		"nothing":         {behind.Hosts{Allowed: []string{""}}, "not a host name"},
		"dot":             {behind.Hosts{Allowed: []string{"."}}, "not a host name"},
		"zone":            {behind.Hosts{Allowed: []string{"fe80::1%eth0"}}, "not a host name"},
		"network":         {behind.Hosts{Allowed: []string{"10.0.0.0/8"}}, "not a host name"},
		"health list":     {behind.Hosts{Allowed: site, HealthPath: "/h", HealthHosts: []string{"*"}}, "for the health path"},
		"no health path":  {behind.Hosts{Allowed: site, HealthHosts: site}, "but no health path"},
		"health query":    {behind.Hosts{Allowed: site, HealthPath: "/h?x"}, "without a query"},
		"health relative": {behind.Hosts{Allowed: site, HealthPath: "health"}, "such as /health_check"},
		"health URL":      {behind.Hosts{Allowed: site, HealthPath: "http://x/health"}, "such as /health_check"},
		"health space":    {behind.Hosts{Allowed: site, HealthPath: "/health check"}, "such as /health_check"},
		"health escaped":  {behind.Hosts{Allowed: site, HealthPath: "/health%20check"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.hosts.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("Validate = %v, want %q in it", err, test.want)
			}
			defer func() {
				if reason := recover(); (reason != nil) != (err != nil) {
					t.Errorf("Wrap panics with %v", reason)
				}
			}()
			test.hosts.Wrap(app)
		})
	}
}
