package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// configFile writes a config and returns its path.
func configFile(t *testing.T, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "triage.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckConfig: each target of each group is asked as the group says.
func TestCheckConfig(t *testing.T) {
	app := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health_check" {
			w.WriteHeader(404)
		}
	}))
	agents := make(chan string, 8)
	api := serveOn(t, "127.0.0.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { agents <- r.UserAgent() }))
	sick, alsoSick := serveOn(t, "127.0.1.6", http.HandlerFunc(asDjango)), serveOn(t, "127.0.1.7", http.HandlerFunc(asDjango))
	path := configFile(t, `
listeners: [{name: web, listen: 127.0.1.9:8080, protocol: http, default: {forward: app}}]
groups:
- name: app
  protocol: http
  targets: [%s, %s, %s, {address: 127.0.1.5:1, drain: true}]
  health_check: {protocol: http, path: /health_check}
- name: api
  protocol: http
  targets: [localhost:%s]
  health_check: {protocol: http, path: /, as: kubelet, interval: 10s, timeout: 2s}
`, app, sick, alsoSick, portOf(api))
	r := runTriage(t, nil, "check", "-c", path)
	if r.code != exitUnhealthy || !strings.HasPrefix(r.stdout, "app  1 of 4 healthy  as triage over http, /health_check\n") || !strings.Contains(r.stdout, "\n  unhealthy  "+sick+" ") ||
		!strings.Contains(r.stdout, "\n  unhealthy  127.0.1.5:1 (drained)  refused in ") || strings.Contains(r.stdout, "  healthy ") ||
		!strings.Contains(r.stdout, "\napi  ") || !strings.Contains(r.stdout, " healthy  as kubelet over http, /\n") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if n := strings.Count(r.stdout, "Cause      Django refuses Host"); n != 1 || !strings.Contains(r.stdout, "\nFor        "+sick+", "+alsoSick+"\n") {
		t.Errorf("the cause of two targets stands there %d times:\n%s", n, r.stdout)
	}
	if got := <-agents; !strings.HasPrefix(got, "kube-probe/") {
		t.Errorf("the group's dialect asks as %s", got)
	}
	if r := runTriage(t, nil, "check", "--no-follow-up", "-v", "-c", path, "api"); r.code != exitOK || strings.Contains(r.stdout, "app ") || !strings.Contains(r.stdout, "  healthy    localhost:"+portOf(api)+" (127.0.0.1:") {
		if !strings.Contains(r.stdout, "[::1]") { // where localhost has both addresses, one of them refuses
			t.Errorf("one group: exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
	if r := runTriage(t, nil, "check", "-c", path, "ap"); r.code != exitUsage || !strings.Contains(r.stderr, "did you mean ") {
		t.Errorf("no such group: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckConfigJSON: the names are a contract.
func TestCheckConfigJSON(t *testing.T) {
	sick := serveOn(t, "127.0.1.6", http.HandlerFunc(asDjango))
	path := configFile(t, `
listeners: [{name: web, listen: 127.0.1.9:8080, protocol: http, default: {forward: app}}]
groups: [{name: app, protocol: http, targets: [%s, no-such-name.invalid:80], health_check: {protocol: http, path: /health_check}}]
`, sick)
	r := runTriage(t, nil, "check", "--json", "-c", path)
	var got configCheckJSON
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v\n%s", err, r.stdout)
	}
	if r.code != exitUnhealthy || got.Schema != "triage.check-config/1" || got.File != path || got.Healthy || len(got.Groups) != 1 {
		t.Fatalf("exit %d\n%s", r.code, r.stdout)
	}
	g := got.Groups[0]
	if g.Group != "app" || g.Healthy != 0 || len(g.Targets) != 2 || g.Targets[0].Outcome != triage.CodeMismatch || g.Targets[0].Status != 400 ||
		g.Targets[1].Outcome != triage.ResolveFailed || g.Targets[1].Target != "no-such-name.invalid:80" || len(g.Diagnoses) != 2 {
		t.Errorf("%s", r.stdout)
	}
}

// TestCheckConfigKeepsTheAddressPolicy: what serve would not connect to is not connected to here, and nothing is asked
// there afterwards.
func TestCheckConfigKeepsTheAddressPolicy(t *testing.T) {
	asked := make(chan string, 8)
	admin := serveOn(t, "127.0.0.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	path := configFile(t, `
admin: {listen: %s}
listeners: [{name: web, listen: 127.0.1.9:8080, protocol: http, default: {forward: app}}]
groups: [{name: app, protocol: http, targets: [localhost:%s], health_check: {protocol: http}}]
`, admin, portOf(admin))
	r := runTriage(t, nil, "check", "-c", path)
	if r.code != exitUnhealthy || !strings.Contains(r.stdout, "address-forbidden in ") || len(asked) > 0 {
		t.Errorf("exit %d, %d requests\n%s%s", r.code, len(asked), r.stdout, r.stderr)
	}
}

// TestCheckConfigDoubts: a pass that means little is told with the one target that was asked about it.
func TestCheckConfigDoubts(t *testing.T) {
	everything := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><html><head><script src="/app.js"></script></head><body><div id="root"></div></body></html>`)
	})
	one, other := serveOn(t, "127.0.1.6", everything), serveOn(t, "127.0.1.7", everything)
	path := configFile(t, `
listeners: [{name: web, listen: 127.0.1.9:8080, protocol: http, default: {forward: app}}]
groups: [{name: app, targets: [%s, %s], health_check: {protocol: http, path: /health_check}}]
`, one, other)
	r := runTriage(t, nil, "check", "-c", path)
	if r.code != exitOK || !strings.Contains(r.stdout, "\nFor        "+one+", asked for all 2 that pass\nWarning    every path") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckConfigThatIsWrong: nothing is asked.
func TestCheckConfigThatIsWrong(t *testing.T) {
	path := configFile(t, "groups: [{name: app}]\n")
	if r := runTriage(t, nil, "check", "-c", path); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, "triage.yaml") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
