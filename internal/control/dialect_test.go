package control

import (
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestEveryDialectCanBeServed: a group that names nothing but its dialect has a check without a fault or a doubt.
func TestEveryDialectCanBeServed(t *testing.T) {
	for _, spec := range dialect.All() {
		for _, name := range append([]string{string(spec.Name)}, spec.Aliases...) {
			f, err := Parse("f", []byte(web+"groups: [{name: app, targets: [\"10.0.0.1:80\"], health_check: {path: /x, protocol: "+string(spec.Protocols[0])+", as: "+name+"}}]\n"), env)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := f.Config.Groups[0].HealthCheck.As; got != spec.Name && (got != "" || spec.Name != triage.Own) {
				t.Errorf("%s is read as %q", name, got)
			}
			for _, w := range f.Warnings {
				if spec.Protocols[0].Asks() {
					t.Errorf("%s: %s", name, w)
				}
			}
		}
		for _, protocol := range spec.Protocols {
			f, err := Parse("f", []byte(web+"groups: [{name: app, targets: [\"10.0.0.1:80\"], health_check: {protocol: "+string(protocol)+", as: "+string(spec.Name)+"}}]\n"), env)
			if err != nil || len(f.Warnings) > 0 {
				t.Errorf("%s over %s: %v, %+v", spec.Name, protocol, err, f)
			}
		}
		h := defaultsOf(spec.Name)
		if usual, _ := spec.PassingCodes(triage.GRPC); h.GRPCCodes != usual {
			t.Errorf("%s passes gRPC codes %s, not %s", spec.Name, h.GRPCCodes, usual)
		}
		if ps := h.Validate(); len(ps) > 0 || h.As != spec.Name && spec.Name != triage.Own {
			t.Errorf("%s: %+v has %v", spec.Name, h, ps)
		}
	}
}

// TestDefaultsFollowTheDialect, wherever in the mapping it stands, and what is written stays.
func TestDefaultsFollowTheDialect(t *testing.T) {
	ours := triage.DefaultHealthCheck()
	clb := triage.HealthCheck{
		As: triage.AWSCLB, Protocol: triage.HTTP, Path: "/", SuccessCodes: triage.MatchCodes(200, 200), GRPCCodes: triage.MatchGRPC(0, 0),
		Interval: 30 * time.Second, Timeout: 5 * time.Second, Thresholds: triage.Thresholds{Healthy: 10, Unhealthy: 2},
	}
	written := clb
	written.Protocol, written.Interval, written.Thresholds.Healthy = triage.TCP, 10*time.Second, 3
	kubelet := triage.HealthCheck{
		As: triage.Kubelet, Protocol: triage.HTTP, Path: "/", SuccessCodes: triage.MatchCodes(200, 399), GRPCCodes: triage.MatchGRPC(0, 0),
		Interval: time.Second, Timeout: time.Second, Thresholds: triage.Thresholds{Healthy: 1, Unhealthy: 3},
	}
	for check, want := range map[string]triage.HealthCheck{
		"{as: elb}":     clb,
		"{as: AWS-CLB}": clb,
		"{as: '${LB}'}": clb,
		"{interval: 10s, as: aws-clb, healthy_threshold: 3, protocol: tcp}": written,
		"{protocol: tcp, healthy_threshold: 3, interval: 10s, as: clb}":     written,
		"{interval: 1s, as: k8s}": kubelet, // its timeout may be as long as its period
		"{as: triage}":            ours,
		"{as: }":                  ours,
	} {
		f, err := Parse("f", []byte(web+"groups: [{name: app, health_check: "+check+"}]\n"), env)
		if err != nil {
			t.Errorf("%s: %v", check, err)
			continue
		}
		if got := f.Config.Groups[0].HealthCheck; got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", check, got, want)
		}
	}
}

// TestAnotherDialectTellsWhatFollows: an edit that names a dialect changes what the file does not name.
func TestAnotherDialectTellsWhatFollows(t *testing.T) {
	r := start(t, strings.Replace(app, "protocol: http", "protocol: http\n      interval: 10s", 1))
	before := r.Status(t.Context()).Groups[0].HealthCheck
	set := func(e HealthCheckEdit) EditResult {
		t.Helper()
		result, err := r.SetHealthCheck(t.Context(), "app", e)
		if err != nil || !result.Changed {
			t.Fatalf("%+v %v", result, err)
		}
		return result
	}
	alb, clb, ours, three := "alb", "aws-clb", "triage", 3
	result := set(HealthCheckEdit{As: &alb, UnhealthyThreshold: &three})
	equal(t, "told", result.Warnings, []string{"what the file does not name has the defaults of aws-alb: timeout 5s, was 2s; healthy_threshold 5, was 2"})
	if strings.Count(result.Diff, "\n+") != 3 || strings.Count(result.Diff, "\n-") != 0 { // with the line of the file's name
		t.Errorf("more than the keys of the edit:\n%s", result.Diff)
	}
	during := before
	during.As, during.Timeout, during.HealthyThreshold, during.UnhealthyThreshold = triage.AWSALB, "5s", 5, 3
	if got := r.Status(t.Context()).Groups[0].HealthCheck; got != during {
		t.Errorf("as aws-alb: %+v, want %+v", got, during)
	}
	equal(t, "told", set(HealthCheckEdit{As: &clb}).Warnings, []string{"what the file does not name has the defaults of aws-clb: healthy_threshold 10, was 5"})
	two := 2
	equal(t, "told", set(HealthCheckEdit{As: &ours, UnhealthyThreshold: &two}).Warnings,
		[]string{"what the file does not name has the defaults of triage: timeout 2s, was 5s; healthy_threshold 2, was 10"})
	if got := r.Status(t.Context()).Groups[0].HealthCheck; got != before {
		t.Errorf("ours again: %+v, want %+v", got, before)
	}
}

// TestARefusedDialect changes nothing and says what there is instead.
func TestARefusedDialect(t *testing.T) {
	r := start(t, app)
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		edit          HealthCheckEdit
		message, hint string
	}{
		{HealthCheckEdit{As: text("aws-elbb")}, `as: unknown load balancer "aws-elbb"`, "did you mean aws-clb? known: triage, "},
		{HealthCheckEdit{As: text("")}, `as: unknown load balancer ""`, "known: triage, "},
		{HealthCheckEdit{As: text("a\xff")}, `as: "a\xff" is not UTF-8 text`, ""},
		{HealthCheckEdit{As: text("${LB}")}, `as: unknown load balancer "${LB}"`, "known: triage, "},
		{HealthCheckEdit{As: text("alb"), Protocol: text("tls")}, `aws-alb has no tls check, which group "app" asks for`, "it checks over http, https"},
		{HealthCheckEdit{As: text("alb"), Interval: text("4s")}, "timeout 5s must be at most the interval 4s, so that one check ends before the next begins", "5s is the timeout of aws-alb, where the file names none"},
	} {
		_, err := r.SetHealthCheck(t.Context(), "app", tt.edit)
		if triage.KindOf(err) != triage.KindInvalid || err.Error() != tt.message || !strings.HasPrefix(triage.HintOf(err), tt.hint) {
			t.Errorf("got %v (%s), want %s (%s)", err, triage.HintOf(err), tt.message, tt.hint)
		}
	}
	if got := r.Status(t.Context()).Groups[0].HealthCheck.As; got != "" {
		t.Errorf("checked as %s", got)
	}
}
