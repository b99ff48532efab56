package behind_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/triage-lb/triage/behind"
)

func TestHTTPSRedirectOnTheWire(t *testing.T) {
	address := serve(t, behind.HTTPSRedirect{HealthPath: "/health_check"}.Wrap(app))
	for name, test := range map[string]struct {
		raw      string
		status   int
		location string
	}{
		"GET":      {"GET /a/b?c=d&e HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/a/b?c=d&e"},
		"HEAD":     {"HEAD / HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/"},
		"POST":     {"POST /form HTTP/1.1\r\nHost: mysite.com\r\nContent-Length: 0\r\n\r\n", 308, "https://mysite.com/form"},
		"its port": {"GET / HTTP/1.1\r\nHost: MySite.com.:8000\r\n\r\n", 301, "https://mysite.com/"},
		"IPv6":     {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\n\r\n", 301, "https://[2001:db8::1]/"},

		"byte for byte":     {"GET /a%2fb//c/../%7E\"<>?q=%41+\\&? HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/a%2fb//c/../%7E\"<>?q=%41+\\&?"},
		"empty query":       {"GET /a? HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/a?"},
		"not ASCII":         {"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/caf%C3%A9"},
		"two slashes":       {"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com//evil.example/%2e%2e"},
		"absolute form":     {"GET http://mysite.com:80/a%2fb?c HTTP/1.1\r\nHost: evil.example\r\n\r\n", 301, "https://mysite.com/a%2fb?c"},
		"absolute, no path": {"GET http://mysite.com?c HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/?c"},
		"asterisk":          {"GET * HTTP/1.1\r\nHost: mysite.com\r\n\r\n", 301, "https://mysite.com/"},
		"no host":           {"GET / HTTP/1.0\r\n\r\n", 400, ""},
		"not a host":        {"GET / HTTP/1.1\r\nHost: mysite..com\r\n\r\n", 400, ""},

		"https":          {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: https\r\n\r\n", 200, ""},
		"HTTPS":          {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: HTTPS\r\n\r\n", 200, ""},
		"wss":            {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: wss\r\n\r\n", 200, ""},
		"http":           {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: http\r\n\r\n", 301, "https://mysite.com/"},
		"planted before": {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: https, http\r\n\r\n", 301, "https://mysite.com/"},
		"planted above":  {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n\r\n", 301, "https://mysite.com/"},
		"last is https":  {"GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: http,https\r\n\r\n", 200, ""},

		"the check":           {"GET /health_check HTTP/1.1\r\nhost: 10.0.1.5:8000\r\n\r\n", 200, ""},
		"the check says http": {"GET /health_check?x HTTP/1.1\r\nhost: 10.0.1.5:8000\r\nX-Forwarded-Proto: http\r\n\r\n", 200, ""},
		"almost the check":    {"GET /health_check/ HTTP/1.1\r\nhost: mysite.com\r\n\r\n", 301, "https://mysite.com/health_check/"},
		"the check encoded":   {"GET /health%5Fcheck HTTP/1.1\r\nhost: mysite.com\r\n\r\n", 301, "https://mysite.com/health%5Fcheck"},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := send(t, address, test.raw)
			if got := response.Header.Get("Location"); response.StatusCode != test.status || got != test.location {
				t.Errorf("%d %q, want %d %q", response.StatusCode, got, test.status, test.location)
			}
			if response.ContentLength < 0 || response.StatusCode/100 == 3 && body != "" {
				t.Errorf("length %d, body %q", response.ContentLength, body)
			}
		})
	}
}

func TestHTTPSRedirectTrust(t *testing.T) {
	only := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for _, test := range []struct {
		peer    string
		trusted []netip.Prefix
		want    bool
	}{
		{"127.0.0.1:1", nil, true},
		{"[::1]:1", nil, true},
		{"10.1.2.3:1", nil, true},
		{"172.31.0.1:1", nil, true},
		{"192.168.0.1:1", nil, true},
		{"169.254.171.1:1", nil, true},
		{"[fd00::1]:1", nil, true},
		{"[fe80::1%eth0]:1", nil, true},
		{"[::ffff:10.1.2.3]:1", nil, true},
		{"172.32.0.1:1", nil, false},
		{"100.64.0.1:1", nil, false},
		{"203.0.113.5:1", nil, false},
		{"[2001:db8::1]:1", nil, false},
		{"", nil, false},
		{"203.0.113.5:1", only, true},
		{"127.0.0.1:1", only, false},
		{"127.0.0.1:1", []netip.Prefix{}, false},
	} {
		untrusted := 0
		handler := behind.HTTPSRedirect{Trusted: test.trusted, OnUntrusted: func(*http.Request) { untrusted++ }}.Wrap(app)
		ask := func(proto string) int {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.RemoteAddr = test.peer
			request.Header.Set("X-Forwarded-Proto", proto)
			if got := behind.IsHTTPS(request, test.trusted); got != (test.want && proto == "https") {
				t.Errorf("IsHTTPS from %q, trusted %v, proto %s: %t", test.peer, test.trusted, proto, got)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			return answer.Code
		}
		status, told := http.StatusMovedPermanently, 1
		if test.want {
			status, told = http.StatusOK, 0
		}
		if got := ask("https"); got != status || untrusted != told {
			t.Errorf("https from %q, trusted %v: %d, OnUntrusted called %d times", test.peer, test.trusted, got, untrusted)
		}
		if got := ask("http"); got != http.StatusMovedPermanently || untrusted != told {
			t.Errorf("http from %q, trusted %v: %d, OnUntrusted called %d times", test.peer, test.trusted, got, untrusted)
		}
	}
}

func TestHTTPSRedirectLeavesTLSAlone(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.TLS = &tls.ConnectionState{}
	request.Header.Set("X-Forwarded-Proto", "http")
	answer := httptest.NewRecorder()
	behind.HTTPSRedirect{Trusted: []netip.Prefix{}}.Wrap(app).ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Errorf("%d", answer.Code)
	}
}

// Only this machine reaches a Unix socket, but its peers have no address.
func TestHTTPSRedirectOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: behind.HTTPSRedirect{}.Wrap(app)}}
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequest(http.MethodGet, "http://mysite.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-Proto", "https")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%d", response.StatusCode)
	}
}

// The settings are the caller's again after Wrap.
func TestWrapCopiesItsSettings(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	handler := behind.HTTPSRedirect{Trusted: trusted}.Wrap(app)
	trusted[0] = netip.Prefix{}
	request := httptest.NewRequest(http.MethodGet, "/", nil) // from 192.0.2.1
	request.Header.Set("X-Forwarded-Proto", "https")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		t.Errorf("%d", answer.Code)
	}
}

func TestHTTPSRedirectValidate(t *testing.T) {
	for _, invalid := range []behind.HTTPSRedirect{
		{HealthPath: "health_check"},
		{Trusted: []netip.Prefix{{}}},
	} {
		if err := invalid.Validate(); err == nil {
			t.Errorf("%+v is valid", invalid)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Wrap takes %+v", invalid)
				}
			}()
			invalid.Wrap(app)
		}()
	}
	if err := (behind.HTTPSRedirect{}).Validate(); err != nil {
		t.Errorf("the zero HTTPSRedirect: %v", err)
	}
}
