package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// played answers checks without a network: each letter of a script is a result, its last one for ever. A check takes a
// tenth of a second.
func played(script string) func(context.Context) (*triage.Exchange, error) {
	return func(ctx context.Context) (*triage.Exchange, error) {
		x := &triage.Exchange{Key: triage.Key{Target: "10.0.1.5:80"}, Dialect: triage.AWSALB, Started: time.Now(), Took: 100 * time.Millisecond, Timing: triage.NoTiming()}
		if !sleep(ctx, x.Took) {
			return nil, ctx.Err()
		}
		switch script[0] {
		case 'p':
			x.Outcome, x.Status = triage.Matched, 200
		case 'f':
			x.Outcome, x.Status = triage.CodeMismatch, 503
		case 'n':
			x.Outcome = triage.OutOfResources
		}
		if len(script) > 1 {
			script = script[1:]
		}
		return x, nil
	}
}

// TestVigilKeepsTheSchedule: from start to start, or from the end of a check to the next start; a check that takes longer
// than the interval is followed at once, and what was missed is not made up for.
func TestVigilKeepsTheSchedule(t *testing.T) {
	for name, c := range map[string]struct {
		interval   time.Duration
		endToStart bool
		want       time.Duration // from the first start to the fourth
	}{
		"start to start": {time.Second, false, 3 * time.Second},
		"end to start":   {time.Second, true, 3300 * time.Millisecond},
		"too fast":       {30 * time.Millisecond, false, 300 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := vigil{schedule: schedule{c.interval, c.endToStart, triage.Thresholds{Healthy: 2, Unhealthy: 2}}, ask: played("p")}
			var starts []time.Time
			err := v.keep(t.Context(), func(x *triage.Exchange, _ triage.Change) bool {
				starts = append(starts, x.Started)
				return len(starts) < 4
			})
			if got := starts[3].Sub(starts[0]); err != nil || got != c.want {
				t.Errorf("%s: %s from the first start to the fourth, want %s; %v", name, got, c.want, err)
			}
		})
	}
}

// TestVigilDecidesAsTheLoadBalancer: the first result decides, then thresholds do; what is our own fault counts for
// nothing.
func TestVigilDecidesAsTheLoadBalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vigil{schedule: schedule{time.Second, false, triage.Thresholds{Healthy: 3, Unhealthy: 2}}, ask: played("pfpffnppp")}
		var got []string
		err := v.keep(t.Context(), func(*triage.Exchange, triage.Change) bool {
			got = append(got, strings.TrimSpace(v.health.State.String()+" "+v.streak()))
			return len(got) < 9
		})
		want := "healthy|healthy failed 1/2|healthy|healthy failed 1/2|unhealthy|unhealthy|unhealthy passed 1/3|unhealthy passed 2/3|healthy"
		if strings.Join(got, "|") != want || err != nil {
			t.Errorf("%s, %v", strings.Join(got, "|"), err)
		}
		if v.checks != 9 || v.passed != 5 || v.failed != 3 || v.changes != 2 {
			t.Errorf("%d checks, %d passed, %d failed, %d changes", v.checks, v.passed, v.failed, v.changes)
		}
	})
}

// TestWatcherOnATerminal: one line that is replaced, and a new one for each change.
func TestWatcherOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := playedWatcher(&out, "pppff")
		w.report.out.colour = true
		w.limit = 5
		err := w.run(t.Context())
		if code, ok := errors.AsType[exit](err); !ok || int(code) != exitUnhealthy {
			t.Errorf("ends with %v", err)
		}
		screen, _, _ := strings.Cut(out.String(), "\n\nChecks")
		lines := strings.Split(regexp.MustCompile(`\x1b\[\d+(;\d+)?m`).ReplaceAllString(screen, ""), "\n")
		if len(lines) < 3 || strings.Count(lines[0], "\r\x1b[K") != 2 || !strings.Contains(lines[0], "● healthy") ||
			!strings.Contains(lines[1], "● healthy    503 in 100 ms     failed 1/2   p50 100 p90 100 p99 100 ms") || !strings.Contains(lines[2], "◆ unhealthy") {
			t.Errorf("%q", lines)
		}
		if !strings.Contains(out.String(), "the cause") {
			t.Errorf("no cause:\n%s", out.String())
		}
	})
}

// playedWatcher watches a script as aws-alb.
func playedWatcher(out *bytes.Buffer, script string) *watcher {
	spec := dialect.Get(triage.AWSALB)
	return &watcher{
		vigil: vigil{schedule: scheduleOf(spec), ask: played(script)},
		report: &checkReport{
			command: &checkCommand{}, question: &question{endpoint: endpoint{protocol: triage.HTTP, path: "/health"}, spec: spec},
			out: &terminal{w: out}, err: &terminal{w: out},
		},
		why: func(context.Context, *triage.Exchange) findings {
			return findings{diagnosis: &triage.Diagnosis{Code: "x", Cause: "the cause", Certainty: triage.Likely}}
		},
	}
}

// TestWatchInterrupted: what was seen is told at the end, and the exit code is that of a signal.
func TestWatchInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 95*time.Second)
		defer cancel()
		var out bytes.Buffer
		if err := playedWatcher(&out, "pppf").run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ends with %v", err)
		}
		if lines := strings.Split(out.String(), "\n"); !strings.Contains(lines[3], "failed 1/2") || strings.Join(lines[4:], "\n") !=
			"\nChecks     4 in 95 s: 3 passed, 1 failed\nState      healthy, 0 changes, failed 1/2\nLatency    p50 100 p90 100 p99 100 ms, of the last 4 checks\n" {
			t.Errorf("%s", out.String())
		}
	})
}

// TestWatchUnnoticed: failures that never come twice in a row change no state, and are told all the same.
func TestWatchUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := playedWatcher(&out, "pfpfp")
		w.limit = 5
		if err := w.run(t.Context()); err != nil {
			t.Errorf("ends with %v", err)
		}
		if !strings.Contains(out.String(), "\nNote       2 checks failed, but never 2 in a row: ") {
			t.Errorf("%s", out.String())
		}
	})
}

// TestWatchNarrow: no line is wider than 80 columns, and what a check has ended with is never cut.
func TestWatchNarrow(t *testing.T) {
	for _, took := range []time.Duration{time.Millisecond, 12345 * time.Microsecond, 9 * time.Second} {
		for _, o := range []triage.Outcome{triage.Matched, triage.ResetBeforeAnswer, triage.ResponseTimeout} {
			var out bytes.Buffer
			w := playedWatcher(&out, "")
			w.observe(&triage.Exchange{Outcome: triage.Matched, Status: 200, Took: took})
			x := &triage.Exchange{Outcome: o, Status: 200, Took: took}
			w.observe(x)
			if line := w.line(x); utf8.RuneCountInString(line) > lineWidth || !strings.Contains(line, milliseconds(took)) {
				t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
			}
		}
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	if l.String() != "" {
		t.Errorf("of nothing: %s", l.String())
	}
	for i := range 3 * maxLatencies / 2 { // the first 500 are forgotten
		l.add(time.Duration(i-500) * time.Millisecond)
	}
	for i, want := range []time.Duration{499, 899, 989} {
		if got := l.percentiles(50, 90, 99)[i]; got != want*time.Millisecond {
			t.Errorf("percentile %d: %s, want %d ms", i, got, want)
		}
	}
}

// TestCheckWatch: through a real socket, bounded by --count.
func TestCheckWatch(t *testing.T) {
	var requests atomic.Int32
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) > 2 {
			w.WriteHeader(503)
		}
	}))
	r := runTriage(t, nil, "check", "--watch", "--no-follow-up", "--interval", "100ms", "--count", "4", address)
	if r.code != exitUnhealthy || requests.Load() != 4 || strings.Count(r.stdout, "● healthy") != 3 || strings.Count(r.stdout, "◆ unhealthy") != 1 ||
		!strings.Contains(r.stdout, "\nState      unhealthy, 1 change\n") || !strings.Contains(joined(r.stderr), "unhealthy after 2 failures, healthy after 5 passes; altered: aws-alb itself has no --interval 100ms") {
		t.Errorf("exit %d after %d requests\n%s%s", r.code, requests.Load(), r.stdout, r.stderr)
	}
	requests.Store(-2)
	r = runTriage(t, nil, "check", "--watch", "--json", "--interval", "100ms", "--count", "3", address)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var last watchJSON
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 3 || r.code != exitOK {
		t.Fatalf("exit %d, %v\n%s", r.code, err, r.stdout)
	}
	if last.Schema != "triage.check-watch/1" || last.State != triage.Healthy || last.Checks != 3 || last.Threshold != 2 || last.Latency["p99"] <= 0 || last.Target != address+"/" {
		t.Errorf("%+v", last)
	}
}
