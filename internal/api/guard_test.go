package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// request sends one raw request to the server and returns its answer.
func request(t *testing.T, s *Server, method, path, body string, header map[string]string) (*http.Response, problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.cfg.Address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	if resp.Header.Get("Content-Type") == problemType {
		if err := json.Unmarshal(answer, &p); err != nil {
			t.Fatalf("%s %s: %s", method, path, err)
		}
	}
	return resp, p
}

// everyRoute calls f for every route that is registered, so that a new one cannot be forgotten.
func everyRoute(t *testing.T, s *Server, f func(t *testing.T, method, path, body string)) {
	t.Helper()
	if len(s.routes.patterns) < 10 {
		t.Fatalf("only %d routes: %v", len(s.routes.patterns), s.routes.patterns)
	}
	for _, pattern := range s.routes.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		path = at(path, "app", "127.0.1.13:80")
		if strings.ContainsAny(path, "{}") {
			t.Fatalf("the test cannot fill in %q", path)
		}
		body := "{}"
		switch {
		case method == http.MethodGet:
			body = ""
		case strings.HasSuffix(pattern, pathTargets):
			body = `{"target":"127.0.1.14:80"}`
		}
		t.Run(pattern, func(t *testing.T) { f(t, method, path, body) })
	}
}

// TestEveryRouteAnswersItsOwn shows that the requests of the next tests are refused for their headers alone.
func TestEveryRouteAnswersItsOwn(t *testing.T) {
	s, _ := start(t, Config{})
	_, port, _ := strings.Cut(s.cfg.Address, ":")
	everyRoute(t, s, func(t *testing.T, method, path, body string) {
		for _, host := range []string{s.cfg.Address, "localhost:" + port, "LOCALHOST:" + port, "[::1]:" + port} {
			resp, p := request(t, s, method, path, body, map[string]string{
				"Host": host, "Content-Type": "application/json; charset=utf-8", "Origin": "http://" + host, "Sec-Fetch-Site": "same-origin",
			})
			if resp.StatusCode != http.StatusOK {
				t.Errorf("Host %s: status %d: %+v", host, resp.StatusCode, p)
			}
		}
	})
}

func TestRebindingHost(t *testing.T) {
	s, control := start(t, Config{})
	_, port, _ := strings.Cut(s.cfg.Address, ":")
	everyRoute(t, s, func(t *testing.T, method, path, body string) {
		for _, host := range []string{
			"evil.example:" + port, "evil.example", "localhost.evil.example:" + port, "127.0.0.1.evil.example:" + port,
			"localhost", "127.0.0.1", "127.0.0.1:1", "10.0.0.5:" + port, "169.254.169.254:" + port,
		} {
			resp, p := request(t, s, method, path, body, map[string]string{
				"Host": host, "Content-Type": "application/json", "Origin": "http://" + host, "Sec-Fetch-Site": "same-origin",
			})
			if resp.StatusCode != http.StatusMisdirectedRequest || p.Kind != triage.KindDenied || !strings.Contains(p.Detail, host) {
				t.Errorf("Host %s: status %d: %+v", host, resp.StatusCode, p)
			}
		}
		if asked := control.last(); asked != "" {
			t.Errorf("control was asked: %s", asked)
		}
	})
}

func TestForeignOrigin(t *testing.T) {
	s, control := start(t, Config{})
	everyRoute(t, s, func(t *testing.T, method, path, body string) {
		for _, header := range []map[string]string{
			{"Origin": "https://evil.example"},
			{"Origin": "null"},
			{"Origin": "http://localhost:3000"},
			{"Sec-Fetch-Site": "cross-site"},
			{"Sec-Fetch-Site": "same-site"},
			{"Sec-Fetch-Site": "cross-site", "Origin": "http://" + s.cfg.Address},
		} {
			header["Content-Type"] = "application/json"
			resp, p := request(t, s, method, path, body, header)
			if allowed := resp.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("%v: the page may read the answer: Access-Control-Allow-Origin: %s", header, allowed)
			}
			if got := resp.Header.Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
				t.Errorf("%v: Cross-Origin-Resource-Policy %q", header, got)
			}
			if method != http.MethodGet && (resp.StatusCode != http.StatusForbidden || p.Kind != triage.KindDenied) {
				t.Errorf("%v: status %d: %+v", header, resp.StatusCode, p)
			}
		}
		if asked := control.last(); asked != "" {
			t.Errorf("control was asked: %s", asked)
		}
	})
}

// TestPreflight asks as a browser does before it sends JSON across origins: nothing may be allowed.
func TestPreflight(t *testing.T) {
	s, _ := start(t, Config{})
	everyRoute(t, s, func(t *testing.T, method, path, _ string) {
		resp, _ := request(t, s, http.MethodOptions, path, "", map[string]string{
			"Origin": "https://evil.example", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type",
		})
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the preflight is answered with %s: %s", name, resp.Header.Get(name))
			}
		}
	})
}

func TestEditsAreJSON(t *testing.T) {
	s, control := start(t, Config{})
	everyRoute(t, s, func(t *testing.T, method, path, body string) {
		if method == http.MethodGet {
			return
		}
		for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-patch+json", "text/plain; application/json"} {
			resp, p := request(t, s, method, path, body, map[string]string{"Content-Type": contentType})
			if resp.StatusCode != http.StatusUnsupportedMediaType || p.Kind != triage.KindInvalid {
				t.Errorf("Content-Type %q: status %d: %+v", contentType, resp.StatusCode, p)
			}
		}
		if asked := control.last(); asked != "" {
			t.Errorf("control was asked: %s", asked)
		}
	})
}
