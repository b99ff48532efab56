package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// TestSimulate starts two servers, switches one by the line that was printed for it, and stops.
func TestSimulate(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, out := io.Pipe()
	stderr, messages := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"simulate", "--control", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0=error500"},
			func(string) string { return "" }, nil, out, messages)
		out.Close()
		messages.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(stdout)
	next := func(from *bufio.Scanner, pattern string) []string {
		t.Helper()
		for from.Scan() {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(from.Text()); m != nil {
				return m
			}
		}
		t.Fatalf("no line matches %s", pattern)
		return nil
	}
	well := next(lines, `^(127\.0\.0\.1:\d+) +healthy: 200`)[1]
	sick := next(lines, `^(127\.0\.0\.1:\d+) +error500: 500`)[1]
	command := next(lines, `^Switch +curl -X PUT (\S+)`)[1]
	next(lines, `^Stop +Ctrl-C`)
	wantStatus(t, http.MethodGet, "http://"+well+"/health_check", 200)
	wantStatus(t, http.MethodGet, "http://"+sick+"/health_check", 500)
	switched := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stderr).ReadString('\n')
		switched <- line
	}()
	wantStatus(t, http.MethodPut, "http://"+command, 200)
	wantStatus(t, http.MethodGet, "http://"+well+"/health_check", 500)
	if line := <-switched; !regexp.MustCompile(`^\d\d:\d\d:\d\d  ` + regexp.QuoteMeta(well) + `  was healthy, is error500: `).MatchString(line) {
		t.Errorf("the switch is told as %q", line)
	}
	stop()
	select {
	case code := <-ended:
		if code != exitInterrupted {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Error("triage simulate did not end")
	}
}

func wantStatus(t *testing.T, method, url string, want int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != want {
		t.Errorf("%s %s: %d, want %d", method, url, answer.StatusCode, want)
	}
}
