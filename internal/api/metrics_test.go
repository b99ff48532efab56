package api

import (
	"io"
	"net/http"
	"testing"
)

// TestScrape: the groups that a scrape names reach whoever counts, and its answer arrives as it is.
func TestScrape(t *testing.T) {
	s, _ := start(t, Config{})
	for query, want := range map[string]string{
		"":                                   "targets [] of [], asked for []\n",
		"?targets=app":                       "targets [app] of [], asked for []\n",
		"?targets=app&targets=app&name[]=up": "targets [app app] of [up], asked for [up]\n",
		"?name%5B%5D=a%2Cb&name%5B%5D=c":     "targets [] of [a,b c], asked for [a,b c]\n",
	} {
		resp, err := http.Get("http://" + s.cfg.Address + "/metrics" + query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || string(got) != want {
			t.Errorf("%s: %s, %q, %v, want %q", query, resp.Status, got, err, want)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/plain; version=0.0.4" {
			t.Errorf("%s: Content-Type %q", query, got)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestNoMetrics: a balancer that counts nothing says that there is nothing.
func TestNoMetrics(t *testing.T) {
	if routes := New(Config{Control: &recorder{}}).routes; len(routes.patterns) == 0 || hasMetrics(routes) {
		t.Errorf("routes %v", routes.patterns)
	}
	if s, _ := start(t, Config{}); !hasMetrics(s.routes) {
		t.Errorf("routes %v", s.routes.patterns)
	}
}

func hasMetrics(r *routes) bool {
	for _, p := range r.patterns {
		if p == "GET "+pathMetrics {
			return true
		}
	}
	return false
}
