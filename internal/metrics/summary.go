package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triage-lb/triage"
)

// The metrics that every scrape gets. docs/admin.md lists them for people.
var (
	buildInfo = describe("build_info", "A constant 1, labelled by the version of triage and of Go that it was built with.", "version", "goversion")

	checksEnded     = describe("checks_total", "Health checks that ended, by outcome and by what the outcome means for a target's health.", "group", "outcome", "verdict")
	checkDuration   = describe("check_duration_seconds", "How long the health checks took that passed or failed.", "group")
	startLag        = describe("check_start_lag_seconds", "How late health checks started.")
	checksInFlight  = describe("checks_in_flight", "Health checks under way.")
	checksWaiting   = describe("checks_waiting", "Health checks that are due and wait for others to end.")
	inFlightLimit   = describe("checks_in_flight_limit", "How many health checks may be under way at once.")
	connectionsKept = describe("check_connections_kept", "Connections that are kept from one health check to the next.")

	targetsByState = describe("targets", "Targets by state.", "group", "state")
	failingOpen    = describe("group_failing_open", "1 while no target of the group is healthy and requests go to all of them, else 0.", "group")
	entered        = describe("transitions_total", "Changes of a target's state, by the new state.", "group", "to")
	doubts         = describe("doubts_total", "Targets that became not trustworthy: three health checks in a row said nothing about them.", "group")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("triage", "", name), help, labels, nil)
}

// summary collects what does not depend on the number of targets.
type summary struct{ *Metrics }

// Describe implements [prometheus.Collector].
func (s summary) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, checksEnded, checkDuration, startLag, checksInFlight, checksWaiting, inFlightLimit, connectionsKept,
		targetsByState, failingOpen, entered, doubts,
	} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (s summary) Collect(out chan<- prometheus.Metric) {
	out <- gauge(buildInfo, 1, s.cfg.Version, runtime.Version())
	stats := s.cfg.Checks()
	out <- histogram(startLag, stats.Lag)
	out <- gauge(checksInFlight, float64(stats.InFlight))
	out <- gauge(checksWaiting, float64(stats.Waiting))
	out <- gauge(inFlightLimit, float64(stats.MaxInFlight))
	out <- gauge(connectionsKept, float64(stats.Connections))
	changed := s.transitions.read(stats.Groups)
	for i := range stats.Groups {
		g := &stats.Groups[i]
		collectChecks(out, g)
		collectStates(out, g.Group, s.cfg.States(g.Group))
		collectChanges(out, g.Group, &changed[i])
	}
}

// collectChecks tells the outcomes that there were. Two neutral ones are told from the start: without the zero
// before it, the first of them would not be an increase, and people are woken by those.
func collectChecks(out chan<- prometheus.Metric, g *triage.GroupCheckStats) {
	for o, info := range triage.Outcomes {
		if n := g.Outcomes[o]; n > 0 || o == triage.OutOfResources || o == triage.CheckerLate {
			out <- counter(checksEnded, n, string(g.Group), info.Name, info.Verdict.String())
		}
	}
	out <- histogram(checkDuration, g.Took, string(g.Group))
}

// collectStates tells the states that a checked target is in, also when none is, and the others when there is one.
func collectStates(out chan<- prometheus.Metric, group triage.GroupName, s States) {
	for i, n := range s.Members {
		state := triage.State(i)
		if usual := state <= triage.Unhealthy || state == triage.Draining; usual || n > 0 {
			out <- gauge(targetsByState, float64(n), string(group), state.String())
		}
	}
	open := 0.0
	if s.FailingOpen {
		open = 1
	}
	out <- gauge(failingOpen, open, string(group))
}

// collectChanges tells the transitions, the usual two from the start.
func collectChanges(out chan<- prometheus.Metric, group triage.GroupName, c *changes) {
	for i, n := range c.to {
		if state := triage.State(i); n > 0 || state == triage.Healthy || state == triage.Unhealthy {
			out <- counter(entered, n, string(group), state.String())
		}
	}
	out <- counter(doubts, c.doubts, string(group))
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// histogram tells the buckets as Prometheus wants them: each with all that is below it.
func histogram(d *prometheus.Desc, h triage.Histogram, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(triage.HistogramBounds))
	var count uint64
	for i, n := range h.Counts {
		count += n
		if i < len(triage.HistogramBounds) {
			buckets[triage.HistogramBounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(d, count, h.Sum.Seconds(), buckets, labels...)
}
