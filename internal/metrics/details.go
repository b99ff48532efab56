package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/triage-lb/triage"
)

// The metrics of single targets, for who asks for them.
var (
	targetHealthy = describe("target_healthy", "1 if the health checks of the target pass, else 0.", "group", "target", "address")
	lastDuration  = describe("target_last_check_duration_seconds", "How long the target's newest health check took.", "group", "target", "address")
	lastTimestamp = describe("target_last_check_timestamp_seconds", "When the target's newest health check started, since 1970.", "group", "target", "address")
)

// inDetails is all of them.
var inDetails = []metric{targetHealthy, lastDuration, lastTimestamp}

// details collects the targets of some groups one by one.
type details struct {
	targets func(triage.GroupName) []triage.CheckStatus
	groups  []triage.GroupName
}

// Describe implements [prometheus.Collector].
func (d details) Describe(out chan<- *prometheus.Desc) {
	for _, m := range inDetails {
		out <- m.Desc
	}
}

// Collect implements [prometheus.Collector].
func (d details) Collect(out chan<- prometheus.Metric) {
	for _, group := range d.groups {
		for _, t := range d.targets(group) {
			address := "" // of a name that does not resolve
			if t.Key.Address.IsValid() {
				address = t.Key.Address.String()
			}
			tell := func(m metric, value float64) {
				out <- m.gauge(value, string(group), string(t.Key.Target), address)
			}
			healthy := 0.0
			if t.Health.State == triage.Healthy {
				healthy = 1
			}
			tell(targetHealthy, healthy)
			if t.Last.Outcome != triage.NotChecked {
				tell(lastDuration, t.Last.Took.Seconds())
				tell(lastTimestamp, float64(t.Last.Started.UnixMilli())/1000)
			}
		}
	}
}
