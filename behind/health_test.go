package behind_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triage-lb/triage/behind"
)

// get asks a handler in-process; ctx plays the client that leaves.
func get(ctx context.Context, handler http.Handler) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/health_check", nil))
	return answer
}

func passes(context.Context) error { return nil }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func wantAnswer(t *testing.T, answer *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if answer.Code != status || answer.Body.String() != body {
		t.Errorf("answer %d %q, want %d %q", answer.Code, answer.Body, status, body)
	}
}

func TestHealthOnTheWire(t *testing.T) {
	var broken atomic.Bool
	server := httptest.NewServer(&behind.Health{Checks: []behind.Check{{Name: "database", Run: func(context.Context) error {
		if broken.Load() {
			return errors.New("connect postgres://app:secret@10.0.0.9: refused")
		}
		return nil
	}}}})
	defer server.Close()

	for _, test := range []struct {
		method string
		broken bool
		status int
		length int64
		body   string
		allow  string
	}{
		{"GET", false, 200, 2, "ok", ""},
		{"HEAD", false, 200, 2, "", ""},
		{"GET", true, 503, 17, "database: failed\n", ""},
		{"HEAD", true, 503, 17, "", ""},
		{"POST", false, 405, 18, "only GET and HEAD\n", "GET, HEAD"},
		{"OPTIONS", false, 405, 18, "only GET and HEAD\n", "GET, HEAD"},
	} {
		broken.Store(test.broken)
		request, err := http.NewRequest(test.method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != test.status || response.ContentLength != test.length || string(body) != test.body || response.Header.Get("Allow") != test.allow {
			t.Errorf("%s broken=%t: %d, length %d, %q, Allow %q; want %+v", test.method, test.broken,
				response.StatusCode, response.ContentLength, body, response.Header.Get("Allow"), test)
		}
		if got := response.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", test.method, got)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", test.method, got)
		}
	}
}

func TestHealthWithoutChecksIsOK(t *testing.T) {
	wantAnswer(t, get(t.Context(), &behind.Health{}), 200, "ok")
}

func TestHealthNamesWhatFailedAndTellsTheHookWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := errors.New("password is hunter2")
		told := map[string]error{}
		health := &behind.Health{
			Checks: []behind.Check{
				{Name: "database", Run: func(context.Context) error { return secret }},
				{Name: "fine", Run: passes},
				{Name: "queue", Run: hangs, Timeout: 300 * time.Millisecond},
				{Name: "search", Run: hangs}, // 1 s
				{Name: "cache", Run: func(context.Context) error { panic("no such key hunter2") }},
			},
			OnFailure: func(name string, err error) { told[name] = err },
		}
		start := time.Now()
		answer := get(t.Context(), health)
		wantAnswer(t, answer, 503, "database: failed\nqueue: timed out\nsearch: timed out\ncache: failed\n")
		// One after the other they would take 1.3 s.
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want the longest timeout, 1s", took)
		}
		if len(told) != 4 || !errors.Is(told["database"], secret) || !errors.Is(told["queue"], context.DeadlineExceeded) {
			t.Errorf("OnFailure was told %v", told)
		}
		if text := told["cache"].Error(); !strings.Contains(text, "panic: no such key hunter2") || !strings.Contains(text, "health_test.go") {
			t.Errorf("the panic is told as %q, want its value and stack", text)
		}
	})
}

// Results count by when they came, not by when the run gets round to them.
func TestHealthJudgesEachCheckByItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(wait time.Duration, err error) func(context.Context) error {
			return func(context.Context) error {
				time.Sleep(wait)
				return err
			}
		}
		health := &behind.Health{Checks: []behind.Check{
			{Name: "slowest", Run: after(900*time.Millisecond, nil)},
			{Name: "too late", Run: after(500*time.Millisecond, nil), Timeout: 300 * time.Millisecond},
			{Name: "failed in time", Run: after(100*time.Millisecond, errors.New("no")), Timeout: 300 * time.Millisecond},
			{Name: "passed in time", Run: after(100*time.Millisecond, nil), Timeout: 300 * time.Millisecond},
			{Name: "gave up itself", Run: after(0, context.DeadlineExceeded)},
		}}
		wantAnswer(t, get(t.Context(), health), 503, "too late: timed out\nfailed in time: failed\ngave up itself: timed out\n")
	})
}

func TestHealthTimeoutBoundsEveryCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		health := &behind.Health{
			Checks:  []behind.Check{{Name: "slow", Run: hangs, Timeout: time.Hour}},
			Timeout: 200 * time.Millisecond,
		}
		start := time.Now()
		wantAnswer(t, get(t.Context(), health), 503, "slow: timed out\n")
		if took := time.Since(start); took != health.Timeout {
			t.Errorf("took %v, want %v", took, health.Timeout)
		}
	})
}

// A pile of probes costs the dependency one question, and the next request
// starts a new run.
func TestHealthRequestsShareARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, failures := 0, 0
		release := make(chan error)
		health := &behind.Health{
			Checks: []behind.Check{{Name: "database", Run: func(context.Context) error {
				runs++
				return <-release
			}}},
			OnFailure: func(string, error) { failures++ },
		}
		ask := func(n int, outcome error, status int) {
			var asking sync.WaitGroup
			for range n {
				asking.Go(func() {
					if answer := get(t.Context(), health); answer.Code != status {
						t.Errorf("answer %d, want %d", answer.Code, status)
					}
				})
			}
			synctest.Wait() // all of them are waiting now
			release <- outcome
			asking.Wait()
		}
		ask(50, errors.New("down"), 503)
		if runs != 1 || failures != 1 {
			t.Errorf("50 requests at once: %d runs, %d calls of OnFailure, want 1 of each", runs, failures)
		}
		ask(1, nil, 200)
		if runs != 2 {
			t.Errorf("a later request: %d runs in all, want 2", runs)
		}
	})
}

// A check that ignores its context must not gather goroutines, and must be
// asked again once it has returned.
func TestHealthStartsAStuckCheckOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		release := make(chan struct{})
		var told error
		health := &behind.Health{
			Checks: []behind.Check{{Name: "nfs", Run: func(context.Context) error {
				if runs.Add(1) == 1 {
					<-release
				}
				return nil
			}}},
			OnFailure: func(_ string, err error) { told = err },
		}
		wantAnswer(t, get(t.Context(), health), 503, "nfs: timed out\n")
		goroutines := runtime.NumGoroutine()
		for range 100 {
			time.Sleep(time.Second)
			wantAnswer(t, get(t.Context(), health), 503, "nfs: still running\n")
		}
		if now := runtime.NumGoroutine(); runs.Load() != 1 || now > goroutines {
			t.Errorf("%d runs and %d goroutines, want 1 and %d", runs.Load(), now, goroutines)
		}
		if want := "since 1m41s ago, although its timeout is 1s"; !strings.Contains(told.Error(), want) {
			t.Errorf("OnFailure was told %q, want %q in it", told, want)
		}
		close(release)
		synctest.Wait()
		wantAnswer(t, get(t.Context(), health), 200, "ok")
	})
}

// The request that does the run may be given up: the others keep their result.
// One that waits and is ended must not count as a 200.
func TestHealthRequestsThatEndEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		health := &behind.Health{Checks: []behind.Check{{Name: "database", Run: func(ctx context.Context) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}}}
		answers := make([]*httptest.ResponseRecorder, 3)
		ending, end := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		for i, ctx := range []context.Context{ending, t.Context(), ending} {
			asking.Go(func() { answers[i] = get(ctx, health) })
			synctest.Wait()
		}
		end()
		synctest.Wait()
		close(release)
		asking.Wait()
		wantAnswer(t, answers[0], 200, "ok")
		wantAnswer(t, answers[1], 200, "ok")
		wantAnswer(t, answers[2], 503, "the request ended before the checks did\n")
	})
}

func TestHealthValidate(t *testing.T) {
	for name, test := range map[string]struct {
		health *behind.Health
		want   string
	}{
		"same name twice": {&behind.Health{Checks: []behind.Check{{Name: "db", Run: passes}, {Name: "db", Run: passes}}}, `two health checks are named "db"`},
		"no name":         {&behind.Health{Checks: []behind.Check{{Run: passes}}}, "health check 1 of 1 has no name"},
		"no Run":          {&behind.Health{Checks: []behind.Check{{Name: "db"}}}, `health check "db" has no Run`},
		"line break":      {&behind.Health{Checks: []behind.Check{{Name: "a\nb: failed", Run: passes}}}, `the health check name "a\nb: failed" is not printable`},
		"negative":        {&behind.Health{Checks: []behind.Check{{Name: "db", Run: passes, Timeout: -1}}}, `health check "db" has the negative timeout -1ns`},
		"negative bound":  {&behind.Health{Timeout: -1}, "health timeout -1ns is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.health.Validate(); err == nil || err.Error() != test.want {
				t.Errorf("Validate = %v, want %s", err, test.want)
			}
			wantAnswer(t, get(t.Context(), test.health), 503, test.want+"\n")
		})
	}
	if err := (&behind.Health{}).Validate(); err != nil {
		t.Errorf("the zero Health: %v", err)
	}
}
