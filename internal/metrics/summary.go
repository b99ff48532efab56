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
	inRotation     = describe("group_in_rotation", "How many targets of the group take requests: the healthy ones, all while failing open. 0: clients are answered 503.", "group")
	failingOpen    = describe("group_failing_open", "1 while no target of the group is healthy and requests go to all of them, else 0.", "group")
	notTrustworthy = describe("targets_not_trustworthy", "Targets whose last three health checks said nothing about them, so that their state is old news.", "group")
	entered        = describe("transitions_total", "Changes of a target's state, by the new state.", "group", "to")
	doubts         = describe("doubts_total", "Targets that became not trustworthy: three health checks in a row said nothing about them.", "group")
)

// inSummary is all of them.
var inSummary = []metric{
	buildInfo, checksEnded, checkDuration, startLag, checksInFlight, checksWaiting, inFlightLimit, connectionsKept,
	targetsByState, inRotation, failingOpen, notTrustworthy, entered, doubts,
}

// summary collects what does not depend on the number of targets.
type summary struct{ *Metrics }

// Describe implements [prometheus.Collector].
func (s summary) Describe(out chan<- *prometheus.Desc) {
	for _, m := range inSummary {
		out <- m.Desc
	}
}

// Collect implements [prometheus.Collector].
func (s summary) Collect(out chan<- prometheus.Metric) {
	out <- buildInfo.gauge(1, s.cfg.Version, runtime.Version())
	stats := s.cfg.Checks()
	out <- startLag.histogram(stats.Lag)
	out <- checksInFlight.gauge(float64(stats.InFlight))
	out <- checksWaiting.gauge(float64(stats.Waiting))
	out <- inFlightLimit.gauge(float64(stats.MaxInFlight))
	out <- connectionsKept.gauge(float64(stats.Connections))
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
			out <- checksEnded.counter(n, string(g.Group), info.Name, info.Verdict.String())
		}
	}
	out <- checkDuration.histogram(g.Took, string(g.Group))
	out <- notTrustworthy.gauge(float64(g.Doubted), string(g.Group))
}

// collectStates tells the states that a checked target is in, also when none is, and the others when there is one.
func collectStates(out chan<- prometheus.Metric, group triage.GroupName, s States) {
	for i, n := range s.Members {
		state := triage.State(i)
		if usual := state <= triage.Unhealthy || state == triage.Draining; usual || n > 0 {
			out <- targetsByState.gauge(float64(n), string(group), state.String())
		}
	}
	out <- inRotation.gauge(float64(s.InRotation), string(group))
	open := 0.0
	if s.FailingOpen {
		open = 1
	}
	out <- failingOpen.gauge(open, string(group))
}

// collectChanges tells the transitions, the usual two from the start.
func collectChanges(out chan<- prometheus.Metric, group triage.GroupName, c *changes) {
	for i, n := range c.to {
		if state := triage.State(i); n > 0 || state == triage.Healthy || state == triage.Unhealthy {
			out <- entered.counter(n, string(group), state.String())
		}
	}
	out <- doubts.counter(c.doubts, string(group))
}
