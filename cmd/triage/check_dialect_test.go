package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestCheckAsEach: every load balancer of the table can be asked as, and its own request arrives.
func TestCheckAsEach(t *testing.T) {
	asked := make(chan *http.Request, 1)
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	for _, spec := range dialect.All() {
		url := "tcp://" + address
		if spec.Speaks(triage.HTTP) {
			url = "http://" + address + "/health_check"
		}
		r := runTriage(t, nil, "check", "--no-follow-up", "--as", string(spec.Name), url)
		if r.code != exitOK || !strings.HasPrefix(r.stdout, "HEALTHY    "+string(spec.Name)+"  ") {
			t.Errorf("%s: exit %d\n%s%s", spec.Name, r.code, r.stdout, r.stderr)
		}
		if !spec.Speaks(triage.HTTP) {
			continue
		}
		got := <-asked
		if got.RequestURI != "/health_check" || spec.Agent != "" && !strings.HasPrefix(got.UserAgent(), spec.Agent) {
			t.Errorf("%s asked %s %s as %q", spec.Name, got.Method, got.RequestURI, got.UserAgent())
		}
		standsIn := spec.Host == dialect.HostNode || spec.Host == dialect.HostCluster
		if standsIn != strings.Contains(joined(r.stderr), "for it") && standsIn != strings.Contains(joined(r.stderr), "for them") {
			t.Errorf("%s warns: %q", spec.Name, r.stderr)
		}
	}
}

// TestCheckHeaders: what can be sent depends on who is asked as.
func TestCheckHeaders(t *testing.T) {
	asked := make(chan *http.Request, 1)
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	r := runTriage(t, nil, "check", "--no-follow-up", "--as", "kubelet", "-H", "X-Probe: a, b", "-H", "user-agent: mine", "-H", "Accept:", "-H", "Host: app.example", address)
	if r.code != exitOK || r.stderr != "" || !strings.HasPrefix(r.stdout, "HEALTHY    kubelet  ") {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	got := <-asked
	if _, accept := got.Header["Accept"]; accept || got.Header.Get("X-Probe") != "a, b" || fmt.Sprint(got.Header["User-Agent"]) != "[mine]" || got.Host != "app.example" {
		t.Errorf("Host %s, %v", got.Host, got.Header)
	}
	if fresh := dialect.Get(triage.Kubelet).Headers; fresh[1].Value == "mine" || len(fresh) != 4 {
		t.Errorf("the table was written to: %v", fresh)
	}
	for args, want := range map[string]string{
		"--as alb -H X-A:b":                   "AWS Application Load Balancer cannot send X-A",
		"--as alb -H Host:b":                  "AWS Application Load Balancer cannot send Host",
		"--as kubelet -H nonsense":            "is not a header line",
		"--as kubelet -H a/b:c":               "is not a header line",
		"--as kubelet -H :b":                  "is not a header line",
		"--as kubelet -H Content-Length:3":    "sends no body",
		"--as kubelet -H transfer-encoding:x": "sends no body",
		"--as kubelet -H Host:a/b":            "--host",
		"--as kubelet -k":                     "-k is not needed: Kubernetes kubelet does not verify",
		"--as kubelet -L":                     "-L is not needed: Kubernetes kubelet follows redirects while the host stays",
		"--as consul -k":                      "verifies the target's certificate",
		"--as consul -L":                      "-L is not needed",
		"--as clb -L":                         "-L follows redirects, which AWS Classic Load Balancer never does",
		"--as haproxy -I":                     "asks with OPTIONS",
		"--cacert /nonexistent":               "there is no such file",
		"--cacert check_test.go":              "holds no certificate",
	} {
		r := runTriage(t, nil, append(append([]string{"check"}, strings.Fields(args)...), address)...)
		if r.code != exitUsage || !strings.Contains(joined(r.stderr), want) {
			t.Errorf("%s: exit %d, %s", args, r.code, r.stderr)
		}
	}
	if r := runTriage(t, nil, "check", "--as", "kubelet", "-H", "A: b\r\nC: d", address); r.code != exitUsage || !strings.Contains(r.stderr, "control character") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}

// TestCheckFollowsRedirects: as each does, and never to anybody who was not asked.
func TestCheckFollowsRedirects(t *testing.T) {
	elsewhere := serveOn(t, "127.0.1.6", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }))
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			http.Redirect(w, r, "/fine", http.StatusFound)
		case "/there":
			http.Redirect(w, r, "http://"+elsewhere+"/", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	for _, c := range []struct {
		as, path string
		code     int
		want     string
	}{
		{"kubelet", "/here", exitOK, "Redirects  http://" + address + "/fine\n"},
		{"kubelet", "/there", exitOK, "Note       a redirect to another host is not followed: \"http://" + elsewhere + "/\"\n"},
		{"kubelet", "/loop", exitUnhealthy, "redirect-failed in"},
		{"consul", "/here", exitOK, "Redirects  http://" + address + "/fine\n"},
		{"consul", "/there", exitFault, "NO VERDICT consul  " + address + "/there  redirect-elsewhere in"},
		{"consul", "/loop", exitUnhealthy, "redirect-failed in"},
		{"haproxy", "/there", exitOK, "302 in"},
		{"alb", "/here", exitUnhealthy, "302 in"},
	} {
		r := runTriage(t, nil, "check", "--as", c.as, address+c.path)
		if r.code != c.code || !strings.Contains(r.stdout, c.want) {
			t.Errorf("%s %s: exit %d\n%s%s", c.as, c.path, r.code, r.stdout, r.stderr)
		}
	}
	r := runTriage(t, nil, "check", "--json", "--as", "consul", address+"/here")
	if !strings.Contains(r.stdout, `"redirects": [`) || !strings.Contains(r.stdout, `"address": "`+address+`"`) {
		t.Errorf("%s", r.stdout)
	}
}

// TestCheckByName: who asks names sends them; the others send the address behind them.
func TestCheckByName(t *testing.T) {
	asked := make(chan string, 1)
	address := serveOn(t, "127.0.0.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Host }))
	byName := "localhost:" + portOf(address)
	for as, want := range map[string]string{"consul": byName, "kubelet": address} {
		r := runTriage(t, nil, "check", "--no-follow-up", "--as", as, byName)
		if got := <-asked; got != want || !strings.Contains(r.stdout, "  "+want+"/  200 in") {
			t.Errorf("%s sends Host %s, want %s\n%s%s", as, got, want, r.stdout, r.stderr)
		}
	}
}

// TestCheckShowsCertificates: to everybody, and they count for those who verify.
func TestCheckShowsCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	alb := runTriage(t, nil, "check", server.URL)
	if want := "TLS 1.3; O=Acme Co, issued by O=Acme Co, "; alb.code != exitOK || !strings.Contains(joined(alb.stdout), want) ||
		!strings.Contains(joined(alb.stdout), "aws-alb does not verify it: certificate signed by unknown authority") {
		t.Errorf("exit %d\n%s%s", alb.code, alb.stdout, alb.stderr)
	}
	if r := runTriage(t, nil, "check", "--as", "consul", server.URL); r.code != exitUnhealthy || !strings.Contains(r.stdout, "tls-untrusted in") ||
		!strings.Contains(joined(r.stdout), "consul refuses it: certificate signed by unknown authority") || !strings.Contains(r.stdout, "--cacert FILE") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := runTriage(t, nil, "check", "--json", "--as", "consul", "--cacert", roots, server.URL)
	var got struct {
		Healthy bool
		TLS     *triage.TLSFacts
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || !got.Healthy || got.TLS == nil || got.TLS.Untrusted != "" ||
		got.TLS.Subject != "O=Acme Co" || !strings.Contains(strings.Join(got.TLS.Names, " "), "127.0.0.1") || got.TLS.NotAfter.IsZero() {
		t.Errorf("%v, %+v\n%s%s", err, got, r.stdout, r.stderr)
	}
}
