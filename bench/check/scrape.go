//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scrape is the metrics of triage at one moment.
type scrape []series

// series is one line of the Prometheus text format.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

// scrapeTriage asks triage for its metrics.
func scrapeTriage() (scrape, error) {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + adminAddress + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the metrics: %s", answer.Status)
	}
	return parseMetrics(string(text))
}

// parseMetrics reads the Prometheus text format as far as triage writes it: without timestamps.
func parseMetrics(text string) (scrape, error) {
	var all scrape
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		head, number, found := cutLast(line, " ")
		value, err := strconv.ParseFloat(number, 64)
		if !found || err != nil {
			return nil, fmt.Errorf("%q is not a line of metrics", line)
		}
		s := series{value: value}
		var labels string
		s.name, labels, _ = strings.Cut(head, "{")
		if s.labels, err = parseLabels(strings.TrimSuffix(labels, "}")); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func parseLabels(text string) (map[string]string, error) {
	labels := make(map[string]string)
	for text != "" {
		name, rest, _ := strings.Cut(text, "=")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", name, err)
		}
		if labels[name], err = strconv.Unquote(quoted); err != nil {
			return nil, fmt.Errorf("label %s: %w", name, err)
		}
		text = strings.TrimPrefix(rest[len(quoted):], ",")
	}
	return labels, nil
}

// sum adds the series of that name whose label has that value.
func (s scrape) sum(name, label, value string) float64 {
	var sum float64
	for _, x := range s {
		if x.name == name && x.labels[label] == value {
			sum += x.value
		}
	}
	return sum
}

// inState is how many targets are in a state.
func (s scrape) inState(state string) int { return int(s.sum("triage_targets", "state", state)) }

// by groups the series of that name by a label.
func (s scrape) by(name, label string) map[string]float64 {
	sums := make(map[string]float64)
	for _, x := range s {
		if x.name == name {
			sums[x.labels[label]] += x.value
		}
	}
	return sums
}

// since returns by how much the counters of that name grew, by a label; those that did not are left out.
func (s scrape) since(before scrape, name, label string) map[string]int {
	grown := make(map[string]int)
	old := before.by(name, label)
	for key, value := range s.by(name, label) {
		if more := int(value - old[key]); more > 0 {
			grown[key] = more
		}
	}
	return grown
}

// startLag is how late the checks of a while started, as triage's own histogram tells it.
type startLag struct {
	worst time.Duration // the smallest bound that no check was above; see beyond
	// beyond: there were checks above the last bound, and worst is that bound.
	beyond bool
	// late counts the checks above lateBound, the smallest bound that is not below the interval.
	late      int
	lateBound time.Duration
}

func (s scrape) lagSince(before scrape, interval time.Duration) startLag {
	const name = "triage_check_start_lag_seconds_bucket"
	old, now := before.by(name, "le"), s.by(name, "le")
	counts := make(map[float64]float64)
	for text, value := range now {
		if bound, err := strconv.ParseFloat(text, 64); err == nil { // "+Inf" is one too
			counts[bound] = value - old[text]
		}
	}
	bounds := slices.Sorted(maps.Keys(counts))
	if len(bounds) < 2 {
		return startLag{}
	}
	total := counts[math.Inf(1)]
	lag := startLag{beyond: true}
	for _, bound := range bounds[:len(bounds)-1] {
		d := time.Duration(bound * float64(time.Second))
		if lag.beyond {
			lag.worst, lag.beyond = d, counts[bound] < total
		}
		if lag.lateBound < interval {
			lag.lateBound, lag.late = d, int(total-counts[bound])
		}
	}
	return lag
}

func (l startLag) String() string {
	if l.beyond {
		return "> " + l.worst.String()
	}
	return "≤ " + l.worst.String()
}
