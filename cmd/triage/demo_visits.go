package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// demoVisits is how many requests visitors send. They go round, so each of three instances gets a third.
const demoVisits = 30

// visits is what visitors meet.
type visits struct {
	answers map[int]int     // by status code; 0: no answer
	by      map[string]bool // the instances that answered
}

func newVisits() visits { return visits{map[int]int{}, map[string]bool{}} }

// met is what visitors are to meet: so many of these answers, from exactly these instances.
func met(answers map[int]int, by ...string) visits {
	v := visits{answers, map[string]bool{}}
	for _, name := range by {
		v.by[name] = true
	}
	return v
}

func (v visits) add(answer demoAnswer, err error) {
	v.answers[answer.status]++
	if err == nil {
		v.by[answer.instance] = true
	}
}

func (v visits) equal(w visits) bool {
	return maps.Equal(v.answers, w.answers) && maps.Equal(v.by, w.by)
}

func (v visits) String() string {
	total := 0
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(v.answers)) {
		n := v.answers[status]
		total += n
		switch status {
		case 0:
			parts = append(parts, fmt.Sprintf("%d without an answer", n))
		case http.StatusOK:
			parts = append(parts, fmt.Sprintf("%d ok", n))
		default:
			parts = append(parts, fmt.Sprintf("%d errors (%d)", n, status))
		}
	}
	return fmt.Sprintf("%d requests: %s; answered by %s",
		total, strings.Join(parts, ", "), strings.Join(slices.Sorted(maps.Keys(v.by)), ", "))
}
