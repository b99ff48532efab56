package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/triage-lb/triage"
)

// balancer is numbers as a balancer's parts would give them: group app is checked, group idle has nothing.
func balancer() Config {
	app := triage.GroupCheckStats{Group: "app", Doubted: 2}
	app.Outcomes[triage.Matched] = 40
	app.Outcomes[triage.CodeMismatch] = 7
	app.Outcomes[triage.CheckerLate] = 3
	for _, took := range []time.Duration{100 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, time.Minute} {
		app.Took.Observe(took)
	}
	stats := triage.CheckStats{InFlight: 5, Waiting: 2, MaxInFlight: 900, Connections: 11, Groups: []triage.GroupCheckStats{app, {Group: "idle"}}}
	stats.Lag.Observe(3 * time.Millisecond)
	return Config{
		Version: "1.2.3",
		Checks:  func() triage.CheckStats { return stats },
		States: func(g triage.GroupName) States {
			if g != "app" {
				return States{}
			}
			return States{Members: [numStates]int{triage.Initial: 1, triage.Unhealthy: 2, triage.Draining: 1}, InRotation: 3, FailingOpen: true}
		},
		Targets: func(g triage.GroupName) []triage.CheckStatus {
			if g != "app" {
				return nil
			}
			return []triage.CheckStatus{
				{
					Key:    triage.Key{Group: "app", Target: "a.example:80", Address: netip.MustParseAddrPort("[2001:db8::1]:80")},
					Health: triage.Health{State: triage.Healthy},
					Last:   triage.LastCheck{Outcome: triage.Matched, Started: time.UnixMilli(1_700_000_000_250), Took: 1500 * time.Microsecond},
				},
				{Key: triage.Key{Group: "app", Target: "b.example:80"}},
			}
		},
	}
}

// scrape returns the metrics as Prometheus reads them, by their names and labels: `name{label="value"}`.
func scrape(t testing.TB, m *Metrics, targets ...triage.GroupName) map[string]float64 {
	t.Helper()
	handler, err := m.Handler(targets, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("status %d, %s", w.Code, w.Header().Get("Content-Type"))
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			labels := ""
			for _, l := range metric.GetLabel() {
				labels += fmt.Sprintf(",%s=%q", l.GetName(), l.GetValue())
			}
			at := func(suffix, more string) string {
				if all := strings.TrimPrefix(labels+more, ","); all != "" {
					return name + suffix + "{" + all + "}"
				}
				return name + suffix
			}
			switch family.GetType() {
			case dto.MetricType_HISTOGRAM:
				values[at("_count", "")] = float64(metric.GetHistogram().GetSampleCount())
				values[at("_sum", "")] = metric.GetHistogram().GetSampleSum()
				for _, b := range metric.GetHistogram().GetBucket() {
					values[at("_bucket", fmt.Sprintf(`,le="%v"`, b.GetUpperBound()))] = float64(b.GetCumulativeCount())
				}
			case dto.MetricType_COUNTER:
				values[at("", "")] = metric.GetCounter().GetValue()
			default:
				values[at("", "")] = metric.GetGauge().GetValue()
			}
		}
	}
	return values
}

// ours returns those of the values whose names begin with triage_ and do not belong to a histogram's buckets.
func ours(values map[string]float64) map[string]float64 {
	kept := map[string]float64{}
	for name, v := range values {
		if strings.HasPrefix(name, "triage_") && !strings.Contains(name, "_bucket{") {
			kept[name] = v
		}
	}
	return kept
}

// TestScrape is all that is told of a small balancer.
func TestScrape(t *testing.T) {
	m := New(balancer())
	m.Observe([]triage.Transition{
		transition("app", triage.Initial, triage.Healthy),
		transition("app", triage.Healthy, triage.Unhealthy),
		transition("app", triage.Unhealthy, triage.Unhealthy), // another cause
		{Key: triage.Key{Group: "app"}, Source: triage.FromChecker, Doubted: true},
		{Key: triage.Key{Group: "app"}, Source: triage.FromChecker}, // trusted again
		transition("app", triage.Initial, triage.Unhealthy),
	})
	got := scrape(t, m)
	want := map[string]float64{
		`triage_build_info{goversion="` + runtime.Version() + `",version="1.2.3"}`: 1,

		`triage_checks_total{group="app",outcome="matched",verdict="pass"}`:              40,
		`triage_checks_total{group="app",outcome="code-mismatch",verdict="fail"}`:        7,
		`triage_checks_total{group="app",outcome="checker-late",verdict="neutral"}`:      3,
		`triage_checks_total{group="app",outcome="out-of-resources",verdict="neutral"}`:  0,
		`triage_checks_total{group="idle",outcome="checker-late",verdict="neutral"}`:     0,
		`triage_checks_total{group="idle",outcome="out-of-resources",verdict="neutral"}`: 0,

		`triage_check_duration_seconds_count{group="app"}`:  4,
		`triage_check_duration_seconds_sum{group="app"}`:    60.0031,
		`triage_check_duration_seconds_count{group="idle"}`: 0,
		`triage_check_duration_seconds_sum{group="idle"}`:   0,
		`triage_check_start_lag_seconds_count`:              1,
		`triage_check_start_lag_seconds_sum`:                0.003,

		`triage_checks_in_flight`:           5,
		`triage_checks_waiting`:             2,
		`triage_checks_in_flight_limit`:     900,
		`triage_check_connections_kept`:     11,
		`triage_doubts_total{group="app"}`:  1,
		`triage_doubts_total{group="idle"}`: 0,

		`triage_targets{group="app",state="initial"}`:    1,
		`triage_targets{group="app",state="healthy"}`:    0,
		`triage_targets{group="app",state="unhealthy"}`:  2,
		`triage_targets{group="app",state="draining"}`:   1,
		`triage_targets{group="idle",state="initial"}`:   0,
		`triage_targets{group="idle",state="healthy"}`:   0,
		`triage_targets{group="idle",state="unhealthy"}`: 0,
		`triage_targets{group="idle",state="draining"}`:  0,
		`triage_group_in_rotation{group="app"}`:          3,
		`triage_group_in_rotation{group="idle"}`:         0,
		`triage_targets_not_trustworthy{group="app"}`:    2,
		`triage_targets_not_trustworthy{group="idle"}`:   0,
		`triage_group_failing_open{group="app"}`:         1,
		`triage_group_failing_open{group="idle"}`:        0,

		`triage_transitions_total{group="app",to="healthy"}`:    1,
		`triage_transitions_total{group="app",to="unhealthy"}`:  2,
		`triage_transitions_total{group="idle",to="healthy"}`:   0,
		`triage_transitions_total{group="idle",to="unhealthy"}`: 0,
	}
	if diff := cmp.Diff(want, ours(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for bound, count := range map[string]float64{"0.0005": 1, "0.001": 2, "0.0025": 3, "0.005": 3, "10": 3, "+Inf": 4} {
		if got := got[`triage_check_duration_seconds_bucket{group="app",le="`+bound+`"}`]; got != count {
			t.Errorf("%v checks took at most %s s, want %v", got, bound, count)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if _, told := got[name]; !told && (name != "process_start_time_seconds" || runtime.GOOS == "linux") {
			t.Errorf("%s is missing", name)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "process_network_") {
			t.Errorf("%s is told, and counts the whole machine", name)
		}
	}
}

func transition(group triage.GroupName, from, to triage.State) triage.Transition {
	return triage.Transition{
		Key: triage.Key{Group: group}, From: triage.Health{State: from}, To: triage.Health{State: to}, Source: triage.FromCheck,
	}
}

// TestTargetsOnRequest: single targets are told of the groups that the scrape names, beside all the rest.
func TestTargetsOnRequest(t *testing.T) {
	m := New(balancer())
	got := scrape(t, m, "app", "idle", "app")
	for name, want := range map[string]float64{
		`triage_target_healthy{address="[2001:db8::1]:80",group="app",target="a.example:80"}`:                      1,
		`triage_target_last_check_duration_seconds{address="[2001:db8::1]:80",group="app",target="a.example:80"}`:  0.0015,
		`triage_target_last_check_timestamp_seconds{address="[2001:db8::1]:80",group="app",target="a.example:80"}`: 1_700_000_000.25,
		`triage_target_healthy{address="",group="app",target="b.example:80"}`:                                      0,
		`triage_checks_in_flight`: 5,
	} {
		if v, told := got[name]; !told || v != want {
			t.Errorf("%s is %v (%t), want %v", name, v, told, want)
		}
	}
	if len(got) != len(scrape(t, m))+4 {
		t.Errorf("told %d series, %d without targets", len(got), len(scrape(t, m)))
	}
}

func TestUnknownGroup(t *testing.T) {
	m := New(balancer())
	for name, hint := range map[triage.GroupName]string{"ap": "did you mean app?", "nothing like it": "triage status lists the groups", "": "triage status lists the groups"} {
		_, err := m.Handler([]triage.GroupName{"app", name}, nil)
		if triage.KindOf(err) != triage.KindNotFound || triage.HintOf(err) != hint || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("%q: %v (%s)", name, err, triage.HintOf(err))
		}
	}
}

// TestMetricsByName: who asks for some metrics gets those, and who asks for one that there is not is told so, instead of
// getting nothing.
func TestMetricsByName(t *testing.T) {
	m := New(balancer())
	for _, name := range []string{"triage_checks_in_flight", "go_goroutines", "triage_target_healthy"} {
		handler, err := m.Handler([]triage.GroupName{"app"}, []string{name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics?name[]="+name, nil))
		if !strings.Contains(w.Body.String(), "\n"+name) || strings.Count(w.Body.String(), "# TYPE") != 1 {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	for name, want := range map[string]struct {
		kind triage.Kind
		hint string
	}{
		"triage_checks_in_flght":      {triage.KindNotFound, "did you mean triage_checks_in_flight?"},
		"node_load1":                  {triage.KindNotFound, "/metrics without name[] lists them"},
		"":                            {triage.KindNotFound, "/metrics without name[] lists them"},
		"process_network_receive_sum": {triage.KindNotFound, ""},
		"triage_target_healthy":       {triage.KindInvalid, "add targets=GROUP"},
	} {
		_, err := m.Handler(nil, []string{"triage_targets", name})
		if triage.KindOf(err) != want.kind || want.hint != "" && triage.HintOf(err) != want.hint {
			t.Errorf("%q: %v (%s)", name, err, triage.HintOf(err))
		}
	}
}

// TestFormats is what docs/admin.md says of Accept.
func TestFormats(t *testing.T) {
	const (
		text     = "text/plain; version=0.0.4"
		protobuf = "application/vnd.google.protobuf"
	)
	m := New(balancer())
	for accept, want := range map[string]string{
		"":    text,
		"*/*": text,
		"application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4":                                                 text,
		"application/openmetrics-text; version=1.0.0":                                                                                     text,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;version=0.0.4;q=0.5": protobuf,
	} {
		handler, err := m.Handler(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d %s", accept, w.Code, got)
		}
	}
}

// TestNames holds the names to what Prometheus's own linter knows of its conventions.
func TestNames(t *testing.T) {
	m := New(balancer())
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(summary{m}, details{m.cfg.Targets, []triage.GroupName{"app", "idle"}})
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestSeriesDoNotGrowWithTargets: 100,000 targets with every outcome and in every state are told in as many series as
// one would be.
func TestSeriesDoNotGrowWithTargets(t *testing.T) {
	const groups, targets = 10, 100_000
	var stats triage.CheckStats
	batch := make([]triage.Transition, 0, targets)
	for g := range groups {
		group := triage.GroupCheckStats{Group: triage.GroupName(fmt.Sprintf("group-%d", g))}
		for o := range triage.Outcomes {
			group.Outcomes[o] = 1
		}
		stats.Groups = append(stats.Groups, group)
		for i := range targets / groups {
			batch = append(batch, transition(group.Group, triage.Initial, triage.State(i%int(numStates))))
		}
	}
	m := New(Config{
		Checks: func() triage.CheckStats { return stats },
		States: func(triage.GroupName) States { return States{Members: [numStates]int{1, 1, 1, 1, 1, 1, 1}} },
	})
	m.Observe(batch)
	// Outcomes, buckets with sum, count and +Inf, states, transitions, in rotation, failing open, not trustworthy, doubts.
	const perGroup = triage.NumOutcomes + len(triage.HistogramBounds) + 3 + 2*int(numStates) + 4
	const others = 6 + len(triage.HistogramBounds) + 3
	series := 0
	for name := range scrape(t, m) {
		if strings.HasPrefix(name, "triage_") {
			series++
		}
	}
	if most := groups*perGroup + others; series > most || series < most/2 {
		t.Errorf("%d series, want at most %d", series, most)
	}
}

// TestMassFailureIsCountedWhileScraped: bursts from several goroutines and scrapes at once lose nothing.
func TestMassFailureIsCountedWhileScraped(t *testing.T) {
	m := New(balancer())
	const shards, bursts, size = 4, 20, 250
	batch := make([]triage.Transition, size)
	for i := range batch {
		batch[i] = transition("app", triage.Healthy, triage.Unhealthy)
		if i%2 == 1 {
			batch[i].Key.Group = "idle"
		}
	}
	var running sync.WaitGroup
	for range shards {
		running.Go(func() {
			for range bursts {
				m.Observe(batch)
			}
		})
	}
	for range 5 {
		scrape(t, m)
	}
	running.Wait()
	for _, group := range []string{"app", "idle"} {
		if got := scrape(t, m)[`triage_transitions_total{group="`+group+`",to="unhealthy"}`]; got != shards*bursts*size/2 {
			t.Errorf("%s: %v transitions", group, got)
		}
	}
}

// TestRemovedGroupsAreForgotten: groups that come and go with reloads must not fill the memory.
func TestRemovedGroupsAreForgotten(t *testing.T) {
	m := New(balancer())
	m.Observe([]triage.Transition{transition("gone", triage.Healthy, triage.Unhealthy), transition("app", triage.Healthy, triage.Unhealthy)})
	for name := range scrape(t, m) {
		if strings.Contains(name, `"gone"`) {
			t.Errorf("told: %s", name)
		}
	}
	if n := len(m.transitions.groups); n != 1 {
		t.Errorf("%d groups are remembered", n)
	}
}

// BenchmarkObserve is the cost of a mass failure: one operation is 100,000 transitions.
func BenchmarkObserve(b *testing.B) {
	m := New(balancer())
	batch := make([]triage.Transition, 100_000)
	for i := range batch {
		batch[i] = transition("app", triage.Healthy, triage.Unhealthy)
	}
	for b.Loop() {
		m.Observe(batch)
	}
}

// BenchmarkScrapeTargets is a scrape that asks for each of 100,000 targets.
func BenchmarkScrapeTargets(b *testing.B) {
	cfg := balancer()
	all := make([]triage.CheckStatus, 100_000)
	for i := range all {
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), uint16(8000+i>>16))
		all[i] = triage.CheckStatus{
			Key:    triage.Key{Group: "app", Target: triage.TargetID(address.String()), Address: address},
			Health: triage.Health{State: triage.Healthy},
			Last:   triage.LastCheck{Outcome: triage.Matched, Started: time.Now(), Took: time.Millisecond},
		}
	}
	cfg.Targets = func(triage.GroupName) []triage.CheckStatus { return all }
	m := New(cfg)
	b.ReportAllocs()
	for b.Loop() {
		handler, err := m.Handler([]triage.GroupName{"app"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		handler.ServeHTTP(discard{}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}

// discard is a client that reads as fast as it is written to.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// TestEveryMetricIsDescribed keeps docs/admin.md complete, and free of metrics that there are not.
func TestEveryMetricIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, name := range regexp.MustCompile("`(triage_[a-z_]+)`").FindAllSubmatch(text, -1) {
		described[string(name[1])] = true
	}
	metrics := make(chan *prometheus.Desc)
	go func() {
		defer close(metrics)
		summary{New(balancer())}.Describe(metrics)
		details{}.Describe(metrics)
	}()
	for d := range metrics {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		if !described[name] {
			t.Errorf("docs/admin.md does not list %s", name)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("docs/admin.md lists %s, which there is not", name)
	}
}
