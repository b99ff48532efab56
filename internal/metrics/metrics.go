// Package metrics tells Prometheus what the balancer counts.
//
// [New] takes the parts' numbers as functions, and [Metrics.Handler] answers one scrape with them: nothing is
// counted twice, and nothing is computed between scrapes. Only changes of state have no counter elsewhere, so
// [Metrics.Observe] counts them.
//
// The number of series depends on the number of groups, never on the number of targets, unless the scraper names
// the groups whose targets it wants one by one. The package listens nowhere, and keeps no history.
//
// A Metrics may be used by many goroutines at once.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/triage-lb/triage"
)

// Config is where the numbers come from. All functions are required, may wait, and are called by many goroutines at
// once.
type Config struct {
	Version string                                      // of the program
	Checks  func() triage.CheckStats                    // of every group that is checked; each scrape calls it once
	States  func(triage.GroupName) States               // of a group's members
	Targets func(triage.GroupName) []triage.CheckStatus // a group's members, for scrapes that name it
	Log     *slog.Logger                                // of what cannot be told; nil means slog.Default()
}

// States is a group in numbers.
type States struct {
	Members     [numStates]int // how many are in each effective state, by the state's number
	InRotation  int            // how many take requests; 0: clients are answered 503
	FailingOpen bool           // none is healthy, so requests go to all that do not drain
}

const numStates = triage.Unavailable + 1

// Metrics is all metrics of a balancer. Make it with [New].
type Metrics struct {
	cfg         Config
	transitions transitions
	collectors  []prometheus.Collector // of the process and the Go runtime
	summary     http.Handler           // what a scrape gets that names no group
	detailed    chan struct{}          // held by the one scrape that names groups: it is large
}

// New returns the metrics of a balancer, with those of its process and of the Go runtime.
func New(cfg Config) *Metrics {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	m := &Metrics{cfg: cfg, detailed: make(chan struct{}, 1)}
	m.collectors = []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	m.summary = m.handler(summary{m})
	return m
}

// Observe counts changes of state. It keeps nothing of the batch, and never waits for a scrape.
func (m *Metrics) Observe(batch []triage.Transition) { m.transitions.observe(batch) }

// Handler returns who answers one scrape, in the format that the request's Accept header asks for. If there are names,
// they are those of the request's query parameters "name[]", and only those metrics are told; one that there is not is a
// [*triage.Error].
//
// Of each group in targets, every target is told one by one as well: three series each. One such scrape is
// answered at a time, because each takes about 2 KB per target while it lasts. A group that is not checked is a
// [*triage.Error] of KindNotFound.
func (m *Metrics) Handler(targets []triage.GroupName, names []string) (http.Handler, error) {
	if err := m.checkNames(names, len(targets) > 0); err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return m.summary, nil
	}
	targets = slices.Compact(slices.Sorted(slices.Values(targets)))
	if err := m.know(targets); err != nil {
		return nil, err
	}
	handler := m.handler(summary{m}, details{m.cfg.Targets, targets})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case m.detailed <- struct{}{}:
			defer func() { <-m.detailed }()
			handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}), nil
}

// know returns an error unless every group is checked.
func (m *Metrics) know(names []triage.GroupName) error {
	var known []string
	for _, g := range m.cfg.Checks().Groups {
		known = append(known, string(g.Group))
	}
	for _, name := range names {
		if slices.Contains(known, string(name)) {
			continue
		}
		e := &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("no group %q is checked", name), Hint: "triage status lists the groups"}
		if near := triage.Nearest(string(name), known); near != "" {
			e.Hint = fmt.Sprintf("did you mean %s?", near)
		}
		return e
	}
	return nil
}

// handler answers with what the collectors say, and with what is told of the process.
func (m *Metrics) handler(more ...prometheus.Collector) http.Handler {
	return promhttp.HandlerFor(m.gatherer(more...), promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(m.cfg.Log.Handler(), slog.LevelError),
		ErrorHandling: promhttp.ContinueOnError, // the other metrics are still true
	})
}

// gatherer returns who asks the collectors, and those of the process: without process_network_…, which the kernel counts
// for all processes together (proc_pid_net(5): /proc/PID/net belongs to the network namespace), whatever the name says.
func (m *Metrics) gatherer(more ...prometheus.Collector) prometheus.Gatherer {
	registry := prometheus.NewRegistry() // not the library's own: what other packages put there is not ours to tell
	registry.MustRegister(m.collectors...)
	registry.MustRegister(more...)
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := registry.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool {
			return strings.HasPrefix(f.GetName(), "process_network_")
		}), err
	})
}
