package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestWait: how long it takes here, and what the load balancer itself would take.
func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		as      triage.Dialect
		script  string
		served  bool
		checks  int
		needed  int
		service time.Duration // 0: from the start, or never
		says    string
	}{
		"one pass of a new target": {triage.AWSALB, "p", true, 1, 1, 30*time.Second + 100*time.Millisecond,
			"first pass after 0.1 s; in service after 30 s at this load balancer's settings (at the latest: it wants 1 pass, and checks every 30s)"},
		"after a failure the threshold counts": {triage.AWSALB, "ffffffffp", true, 13, 5, 158*time.Second + 100*time.Millisecond,
			"first pass after 8.1 s; in service after 158 s at this load balancer's settings (at the latest: it wants 5 passes, and checks every 30s)"},
		"passes must be in a row":   {triage.AWSALB, "fpppfp", true, 10, 5, 155*time.Second + 100*time.Millisecond, "first pass after 5.1 s; "},
		"no first pass rule":        {triage.GCP, "p", true, 2, 2, 10*time.Second + 100*time.Millisecond, "first pass after 0.1 s; in service after 10 s"},
		"one pass by its threshold": {triage.Kubelet, "fp", true, 2, 1, 11*time.Second + 100*time.Millisecond, "first pass after 1.1 s; in service after 11 s"},
		"served before it passes":   {triage.HAProxy, "ffp", true, 3, 1, 0, "in service from the start: haproxy sends requests to a new target before it has checked it"},
		"out, and then back":        {triage.HAProxy, "fffffffp", true, 9, 2, 7*time.Second + 100*time.Millisecond + 2*2100*time.Millisecond, "in service after 11 s"},
		"no interval":               {triage.Consul, "fp", true, 2, 1, 0, "consul has no interval by default, so when it is in service depends on yours"},
		"never":                     {triage.AWSALB, "f", false, 20, 5, 0, ""},
		"not yet":                   {triage.AWSCLB, "ffffffffffffp", false, 20, 10, 0, ""},
		"our own faults":            {triage.AWSALB, "nnp", true, 3, 1, 32*time.Second + 100*time.Millisecond, "first pass after 2.1 s; in service after 32 s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			spec := dialect.Get(c.as)
			s := scheduleOf(spec)
			s.interval, s.endToStart = time.Second, false
			w := &wait{vigil: vigil{schedule: s, ask: played(c.script)}, spec: spec, limit: 20 * time.Second}
			served, err := w.run(t.Context())
			if err != nil || served != c.served || w.checks != c.checks || w.needed() != c.needed {
				t.Fatalf("%s: served %t after %d checks, which needs %d, %v", name, served, w.checks, w.needed(), err)
			}
			if at, _ := w.service(); served && at != c.service {
				t.Errorf("%s: in service after %s, want %s", name, at, c.service)
			}
			if says := w.foretell(); served && !strings.Contains(says, c.says) {
				t.Errorf("%s: %s", name, says)
			}
		})
	}
}

// TestWaitForTheFirstResult: a check that hangs past the time is seen to its end if there is no other result to tell.
func TestWaitForTheFirstResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := dialect.Get(triage.AWSALB)
		w := &wait{spec: spec, limit: 2 * time.Second, vigil: vigil{schedule: scheduleOf(spec), ask: func(ctx context.Context) (*triage.Exchange, error) {
			if !sleep(ctx, 5*time.Second) {
				return nil, ctx.Err()
			}
			return &triage.Exchange{Outcome: triage.ResponseTimeout}, nil
		}}}
		served, err := w.run(t.Context())
		if served || err != nil || w.last == nil || w.last.Outcome != triage.ResponseTimeout {
			t.Errorf("served %t, %v, last %+v", served, err, w.last)
		}
	})
}

// TestWaitGrace: what ECS would do to a target that comes too late, and what to set.
func TestWaitGrace(t *testing.T) {
	w := &wait{spec: dialect.Get(triage.AWSALB), first: 8 * time.Second, row: 5, last: &triage.Exchange{}, vigil: vigil{failed: 8}, limit: time.Minute}
	if got := w.late(60*time.Second, true); !strings.HasPrefix(got, "in service after 158 s, but the grace period is over after 60 s") || !strings.Contains(got, "healthCheckGracePeriodSeconds, in an Auto Scaling group HealthCheckGracePeriod) to 180 or more") {
		t.Errorf("too late: %s", got)
	}
	if got := w.late(158*time.Second, true) + w.late(0, true) + w.late(2*time.Minute, false); got != "" {
		t.Errorf("in time: %s", got)
	}
	if got := w.late(time.Minute, false); !strings.Contains(got, "would be replaced") {
		t.Errorf("never: %s", got)
	}
	w.spec = dialect.Get(triage.Kubelet)
	if got := w.late(10*time.Second, true); !strings.Contains(got, "startupProbe that lets it take 30 s") || strings.Contains(got, "ECS") {
		t.Errorf("kubelet is told: %s", got)
	}
}

// TestCheckWait: through real sockets, with and without success.
func TestCheckWait(t *testing.T) {
	var requests atomic.Int32
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) == 1 {
			w.WriteHeader(503)
		}
	}))
	waited := regexp.MustCompile(`Waited first pass after [\d.]+ s; in service after 1\d s at this load balancer's settings`)
	progress := regexp.MustCompile(`^after [\d.]+ s: unhealthy 503\nafter [\d.]+ s: healthy 200\n`)
	r := runTriage(t, nil, "check", "--wait", "10s", "--as", "kubelet", "--grace", "5s", address)
	if r.code != exitOK || requests.Load() != 2 || !strings.HasPrefix(r.stdout, "HEALTHY    kubelet  ") || !waited.MatchString(joined(r.stdout)) || !progress.MatchString(r.stderr) || !strings.Contains(joined(r.stderr), " s, but the grace period is over after 5 s") {
		t.Errorf("exit %d after %d requests\n%s%s", r.code, requests.Load(), r.stdout, r.stderr)
	}
	requests.Store(0)
	if r := runTriage(t, nil, "check", "-q", "--wait", "10s", "--as", "kubelet", "--grace", "5s", "--strict", address); r.code != exitUnhealthy {
		t.Errorf("--strict: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	refused := serveOn(t, "127.0.1.5", http.HandlerFunc(asDjango))
	r = runTriage(t, nil, "check", "--wait", "1s", refused+"/health_check")
	if r.code != exitUnhealthy || !strings.HasPrefix(r.stdout, "UNHEALTHY  aws-alb  ") || !strings.Contains(r.stdout, "\nWaited     1 s, ") || !strings.Contains(r.stdout, "\nCause      Django refuses Host") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = runTriage(t, nil, "check", "--wait", "1s", "--json", refused+"/health_check")
	for _, want := range []string{`"schema": "triage.check-wait/1"`, `"healthy": false`, `"passes_needed": 5`, `"code": "host-not-allowed"`} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %s in\n%s", want, r.stdout)
		}
	}
	requests.Store(1)
	r = runTriage(t, nil, "check", "--wait", "5s", "--json", "--as", "kubelet", address)
	for _, want := range []string{`"healthy": true`, `"first_pass_s": 0`, `"in_service_s": 10`, `"passes_needed": 1`} {
		if r.code != exitOK || !strings.Contains(r.stdout, want) {
			t.Errorf("exit %d, no %s in\n%s", r.code, want, r.stdout)
		}
	}
}

// TestWaitEndsWithoutAFalseTimeout: the check that is under way when the time is up is no result.
func TestWaitEndsWithoutAFalseTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := dialect.Get(triage.AWSALB)
		asked := 0
		w := &wait{spec: spec, limit: 3 * time.Second, vigil: vigil{schedule: schedule{time.Second, false, triage.Thresholds{Healthy: 5, Unhealthy: 2}}, ask: func(ctx context.Context) (*triage.Exchange, error) {
			if asked++; asked == 1 {
				return &triage.Exchange{Outcome: triage.Refused}, nil
			}
			if _, has := ctx.Deadline(); has {
				t.Error("the end of the wait is a deadline of the check")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}}}
		served, err := w.run(t.Context())
		if served || err != nil || asked != 2 || w.checks != 1 || w.last.Outcome != triage.Refused {
			t.Errorf("served %t, %v, %d checks of %d, last %s", served, err, w.checks, asked, w.last.Outcome)
		}
	})
}
