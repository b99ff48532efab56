package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triage-lb/triage"
)

// TestGroupsAreCheckedAsOthersDo: the same two servers are well for a kubelet and sick for us.
func TestGroupsAreCheckedAsOthersDo(t *testing.T) {
	asked := make(chan *http.Request, 1000)
	empty := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r:
		default:
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	elsewhere := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example.org/", http.StatusFound)
	}))
	var ports portSource
	port, err := ports.next()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "triage.yaml")
	text := fmt.Sprintf(`admin: {listen: "unix:%s"}
listeners:
  - {name: web, listen: "127.0.0.1:%d", protocol: http, default: {forward: pods}}
  - {name: own, listen: "127.0.0.2:%d", protocol: http, default: {forward: ours}}
groups:
  - {name: pods, targets: ["%s", "%s"], health_check: {path: /healthz, as: k8s}}
  - {name: ours, targets: ["%s", "%s"], health_check: {path: /healthz, protocol: http}}
`, filepath.Join(filepath.Dir(config), "admin.sock"), port, port, empty, elsewhere, empty, elsewhere)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := newBalancer(config, func(string) string { return "" }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := serving(t, b)
	defer stop()

	want := map[triage.GroupName][]triage.State{
		"pods": {triage.Healthy, triage.Healthy},
		"ours": {triage.Unhealthy, triage.Unhealthy},
	}
	var got map[triage.GroupName][]triage.State
	eventuallyTrue(t, "every target is decided", func() bool {
		got = map[triage.GroupName][]triage.State{}
		groups := b.control.Status(t.Context()).Groups
		undecided := len(groups) == 0
		for _, g := range groups {
			for _, s := range g.Targets {
				got[g.Name] = append(got[g.Name], s.State)
				undecided = undecided || s.State == triage.Initial
			}
		}
		return !undecided
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	kubelet, ours := false, false
	for len(asked) > 0 {
		r := <-asked
		kubelet = kubelet || strings.HasPrefix(r.UserAgent(), "kube-probe/")
		ours = ours || strings.HasPrefix(r.UserAgent(), "triage-health-check/")
		if r.Host != empty || r.URL.Path != "/healthz" {
			t.Errorf("%s asks for %s of %s", r.UserAgent(), r.URL.Path, r.Host)
		}
	}
	if !kubelet || !ours {
		t.Errorf("a kubelet has asked: %v; we have: %v", kubelet, ours)
	}
}
