package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// rowsIn are the rows of a table, by load balancer.
func rowsIn(stdout string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(stdout) {
		words := strings.Fields(line)
		if len(words) > 2 && strings.HasPrefix(line, words[0]) && (words[0] == "healthy" || words[0] == "unhealthy" || words[0] == "no") {
			rows[words[1]] = strings.TrimSpace(line)
		}
	}
	return rows
}

// TestCheckAsAll: one server, which some load balancers take for healthy and others not.
func TestCheckAsAll(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-Proto") != "https" {
			w.Header().Set("Server", "nginx")
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
		}
	}))
	r := runTriage(t, nil, "check", "--as", "all", "http://"+address+"/health_check")
	rows := rowsIn(r.stdout)
	for _, spec := range dialect.All() {
		if spec.Speaks(triage.HTTP) != (rows[string(spec.Name)] != "") {
			t.Errorf("%s: row %q", spec.Name, rows[string(spec.Name)])
		}
	}
	if r.code != exitUnhealthy || !strings.HasPrefix(r.stdout, "UNHEALTHY  "+address+"/health_check  for ") ||
		!strings.HasPrefix(rows["aws-alb"], "unhealthy  aws-alb         301 ") || !strings.HasSuffix(rows["aws-alb"], " Target.ResponseCodeMismatch") ||
		!strings.HasPrefix(rows["haproxy"], "healthy ") || !strings.HasPrefix(rows["azure-appgw"], "healthy ") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if n := strings.Count(r.stdout, "\nCause "); n != 1 || !strings.Contains(r.stdout, "\nAs         aws-alb; alike: ") || !strings.Contains(r.stdout, "X-Forwarded-Proto: https: 200") {
		t.Errorf("%d causes\n%s", n, r.stdout)
	}
	for line := range strings.Lines(r.stdout + r.stderr) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	healthy := serveOn(t, "127.0.1.5", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if r := runTriage(t, nil, "check", "--as", "all", "--no-follow-up", healthy); r.code != exitOK || !strings.HasPrefix(r.stdout, "HEALTHY    "+healthy+"/  for all ") || strings.Contains(r.stdout, "Cause") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckAsList: options reach those that can be told; the others are marked, and those without such a check named.
func TestCheckAsList(t *testing.T) {
	asked := atomic.Int32{}
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("X-Token") != "yes" {
			w.WriteHeader(403)
		}
	}))
	r := runTriage(t, nil, "check", "--no-follow-up", "--as", "kubelet, alb,kubelet", "-H", "X-Token: yes", address)
	if rows := rowsIn(r.stdout); r.code != exitUnhealthy || len(rows) != 2 || asked.Load() != 2 ||
		!strings.HasPrefix(rows["kubelet"], "healthy ") || !strings.HasPrefix(rows["aws-alb*"], "unhealthy ") ||
		!strings.Contains(joined(r.stdout), "* aws-alb: asked without -H, which it cannot send") {
		t.Errorf("%d requests, exit %d\n%s%s", asked.Load(), r.code, r.stdout, r.stderr)
	}
	r = runTriage(t, nil, "check", "--no-follow-up", "--as", "alb,nlb", "--success-codes", "403,503", address)
	if rows := rowsIn(r.stdout); r.code != exitOK || !strings.HasPrefix(rows["aws-alb*"], "healthy ") || !strings.Contains(joined(r.stdout), "aws-alb, aws-nlb: altered: it has no --success-codes 403,503") &&
		!strings.Contains(joined(r.stdout), "aws-alb: altered: it has no --success-codes 403,503") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = runTriage(t, nil, "check", "--no-follow-up", "--as", "aws-alb,kubelet", "tcp://"+address)
	if rows := rowsIn(r.stdout); r.code != exitOK || len(rows) != 1 || rows["kubelet"] == "" || !strings.Contains(r.stdout, "\nNot asked  no such check: aws-alb\n") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestCheckAllTellsTwoCauses: where load balancers fail for different reasons, the commonest two are told.
func TestCheckAllTellsTwoCauses(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.UserAgent(), "kube-probe/"):
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		default:
			asDjango(w, r)
		}
	}))
	r := runTriage(t, nil, "check", "--as", "alb,kubelet,clb", "--json", address+"/health_check")
	var got struct {
		Schema  string
		Target  string
		Healthy bool
		Results []struct {
			Dialect string
			Healthy bool
			Status  int
			Outcome string
			Reason  struct{ Code string }
			Took    float64 `json:"took_ms"`
		}
		Diagnoses []struct {
			Dialects  []string
			Diagnosis triage.Diagnosis
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v:\n%s", err, r.stdout)
	}
	if got.Schema != "triage.check-all/1" || got.Target != address+"/health_check" || got.Healthy || len(got.Results) != 3 || got.Results[1].Dialect != "kubelet" ||
		got.Results[1].Status != 401 || got.Results[0].Reason.Code != "Target.ResponseCodeMismatch" || got.Results[2].Took <= 0 {
		t.Errorf("%s", r.stdout)
	}
	if len(got.Diagnoses) != 2 || strings.Join(got.Diagnoses[0].Dialects, ",") != "aws-alb,aws-clb" || got.Diagnoses[0].Diagnosis.Code != "host-not-allowed" ||
		strings.Join(got.Diagnoses[1].Dialects, ",") != "kubelet" || got.Diagnoses[1].Diagnosis.Code != "auth-required" {
		t.Errorf("%+v", got.Diagnoses)
	}
}

// TestCheckAllDoesNotTimeOutByItsOwnHaste: a server with one worker is slow while several load balancers ask at once. Who
// ran out of time asks again, alone.
func TestCheckAllDoesNotTimeOutByItsOwnHaste(t *testing.T) {
	var asked sync.Map
	var running, most atomic.Int32 // of the second requests
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.UserAgent(), "ELB-HealthChecker/2") {
			w.WriteHeader(500) // answers, so that the target is there
			return
		}
		if _, again := asked.LoadOrStore(r.UserAgent(), true); !again {
			<-r.Context().Done()
			return
		}
		defer running.Add(-1)
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
	}))
	r := runTriage(t, nil, "check", "--no-follow-up", "--timeout", "500ms", "--as", "alb,kubelet,caddy,consul", address)
	rows := rowsIn(r.stdout)
	for name, row := range rows {
		if !strings.HasPrefix(name, "aws-alb") && !strings.HasPrefix(row, "healthy ") {
			t.Errorf("%s", row)
		}
	}
	if len(rows) != 4 || most.Load() != 1 {
		t.Errorf("%d second requests at once, exit %d\n%s%s", most.Load(), r.code, r.stdout, r.stderr)
	}
	silent := serveOn(t, "127.0.1.5", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		running.Add(1)
		<-r.Context().Done()
	}))
	running.Store(0)
	if r := runTriage(t, nil, "check", "--no-follow-up", "--timeout", "100ms", "--as", "alb,kubelet", silent); r.code != exitUnhealthy || running.Load() != 2 {
		t.Errorf("a target that never answers is asked %d times, exit %d\n%s", running.Load(), r.code, r.stdout)
	}
}

// TestCheckModesUsage: what means nothing together is refused, with what to write instead.
func TestCheckModesUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--as all,,alb 127.0.1.5:80":                      "names nothing",
		"--as alb,nonsense 127.0.1.5:80":                  `unknown load balancer "nonsense"`,
		"--as all --watch 127.0.1.5:80":                   "--watch means nothing with --as all",
		"--as all --count 2 127.0.1.5:80":                 "--count means nothing with --as all",
		"--as all -v 127.0.1.5:80":                        "--verbose means nothing with --as all",
		"--as alb,azure-appgw tls://127.0.1.5:80":         "none of alb,azure-appgw has a tls check",
		"--as all ftp://127.0.1.5:80":                     "ftp is not a scheme",
		"--as all --timeout 2h 127.0.1.5:80":              "outside",
		"--watch --wait 5s 127.0.1.5:80":                  "--wait means nothing with --watch",
		"--watch --as envoy 127.0.1.5:80":                 "give it one: --interval 10s",
		"--watch --interval 1ms 127.0.1.5:80":             "--interval 1ms is outside 100ms-1h",
		"--wait 5s --count 3 127.0.1.5:80":                "--count means nothing with --wait",
		"--wait 0s 127.0.1.5:80":                          "--wait 0s is outside 1s-24h",
		"--grace 30s 127.0.1.5:80":                        "add --wait 60s",
		"--interval 5s 127.0.1.5:80":                      "--interval means nothing to a single check",
		"-c testdata/none.yaml --as alb":                  "--as means nothing with -c",
		"-c testdata/none.yaml --watch":                   "--watch means nothing with -c",
		"-c testdata/none.yaml":                           "read testdata/none.yaml",
		"--watch --count 0 127.0.1.5:80":                  "--count 0",
		"--watch --as triage --interval 1m 127.0.1.5:0/x": "1 to 65535",
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(joined(r.stderr), want) || r.stdout != "" || !strings.Contains(r.stderr, "\nhint: ") {
			t.Errorf("check %s: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}
