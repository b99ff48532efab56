package metrics

import (
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triage-lb/triage"
)

// metric is one of ours: what Prometheus has to know of it, and its name, which a [prometheus.Desc] does not tell.
type metric struct {
	*prometheus.Desc
	name string
}

func describe(name, help string, labels ...string) metric {
	name = prometheus.BuildFQName("triage", "", name)
	return metric{prometheus.NewDesc(name, help, labels, nil), name}
}

func (m metric) gauge(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(m.Desc, prometheus.GaugeValue, value, labels...)
}

func (m metric) counter(n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(m.Desc, prometheus.CounterValue, float64(n), labels...)
}

// histogram tells the buckets as Prometheus wants them: each with all that is below it.
func (m metric) histogram(h triage.Histogram, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(triage.HistogramBounds))
	var count uint64
	for i, n := range h.Counts {
		count += n
		if i < len(triage.HistogramBounds) {
			buckets[triage.HistogramBounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(m.Desc, count, h.Sum.Seconds(), buckets, labels...)
}

// checkNames returns an error unless each name is a metric that can be told. A name that is wrong would be answered
// with nothing at all, which looks as if all were well.
func (m *Metrics) checkNames(names []string, detailed bool) error {
	if len(names) == 0 {
		return nil
	}
	known := namesOf(inSummary)
	families, err := m.gatherer().Gather()
	for _, family := range families {
		known = append(known, family.GetName())
	}
	if err != nil { // the rest is still true, and tells what it can
		m.cfg.Log.Warn("metrics of the process", "error", err)
	}
	single := namesOf(inDetails)
	for _, name := range names {
		switch {
		case slices.Contains(known, name) || detailed && slices.Contains(single, name):
		case slices.Contains(single, name):
			return &triage.Error{
				Kind:    triage.KindInvalid,
				Message: fmt.Sprintf("%s is told of the groups that the request names", name),
				Hint:    "add targets=GROUP",
			}
		default:
			e := &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("there is no metric %q", name), Hint: "/metrics without name[] lists them"}
			if near := triage.Nearest(name, slices.Concat(known, single)); near != "" {
				e.Hint = fmt.Sprintf("did you mean %s?", near)
			}
			return e
		}
	}
	return nil
}

func namesOf(metrics []metric) []string {
	names := make([]string, len(metrics))
	for i, m := range metrics {
		names[i] = m.name
	}
	return names
}
