package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// eventuallyTrue waits for a condition.
func eventuallyTrue(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// balancerOf builds a balancer of one listener and one group with these targets, and returns where it will listen.
func balancerOf(t *testing.T, targets string, log *slog.Logger) (b *balancer, listens string) {
	t.Helper()
	var ports portSource
	port, err := ports.next()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "triage.yaml")
	listens = fmt.Sprintf("127.0.0.1:%d", port)
	text := fmt.Sprintf(`admin: {listen: "unix:%s"}
listeners:
  - {name: web, listen: "%s", protocol: http, default: {forward: app}}
groups:
  - name: app
    targets: [%s]
    health_check: {protocol: http, path: /}
`, filepath.Join(dir, "admin.sock"), listens, targets)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err = newBalancer(config, func(string) string { return "" }, log)
	if err != nil {
		t.Fatal(err)
	}
	return b, listens
}

// startBalancer serves these targets until stop is called.
func startBalancer(t *testing.T, targets string, log *slog.Logger) (stop func()) {
	t.Helper()
	b, _ := balancerOf(t, targets, log)
	return serving(t, b)
}

func serving(t *testing.T, b *balancer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.serve(ctx, false) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
}

// TestFirstClientsMeetTheHealthyTarget: clients that came while the balancer started wait in the kernel's queue.
// They were let in when the checks had ended, and before the pools knew how: the sick target got requests.
func TestFirstClientsMeetTheHealthyTarget(t *testing.T) {
	sick := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	healthy := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") }))
	for range 20 {
		b, listens := balancerOf(t, sick+", "+healthy, slog.New(slog.DiscardHandler))
		stop := serving(t, b)
		var client net.Conn
		eventuallyTrue(t, "the listener is bound", func() (bound bool) {
			var err error
			client, err = net.Dial("tcp", listens)
			return err == nil
		})
		for range 2 { // one turn for each target
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		answers := bufio.NewReader(client)
		for range 2 {
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			if string(body) != "fine" {
				t.Errorf("a first client got %d %q", answer.StatusCode, body)
			}
		}
		client.Close()
		stop()
	}
}

// TestNobodyIsLetInBeforeThePoolsAreSettled is the same without luck: the table's own goroutine does not run, so
// only whoever lets clients in can bring the first results into the pools.
func TestNobodyIsLetInBeforeThePoolsAreSettled(t *testing.T) {
	healthy := serveOn(t, "127.0.0.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b, _ := balancerOf(t, healthy, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	parts := []func(context.Context) error{b.resolver.Run, b.engine.Run, b.control.Run, b.admin.Run}
	for _, part := range parts {
		go func() { ended <- part(ctx) }()
	}
	if b.ready() == nil {
		t.Error("ready before the first check")
	}
	b.announce(ctx)
	if n := b.table.Pool("app").Healthy(); n != 1 || b.ready() != nil {
		t.Errorf("clients are let in with %d healthy targets of 1; ready: %v", n, b.ready())
	}
	cancel()
	for range parts {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := b.proxy.Run(ctx); err != nil { // closes what control has bound
		t.Error(err)
	}
}
