//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// stormOf is a storm that went as it should.
func stormOf(name string) storm {
	for _, s := range scenes() {
		if s.name == name {
			return storm{
				scene: s, work: work{targets: 100_000, interval: 10 * time.Second},
				ejected: 100_000, failing: 20 * time.Second, restored: 20 * time.Second,
				lag:      startLag{worst: 10 * time.Millisecond, lateBound: 10 * time.Second},
				outcomes: map[string]int{name: 400_000}, verdicts: map[string]int{"fail": 400_000},
				before: 100 << 20, peak: 150 << 20, after: 110 << 20,
				log:    map[string]int{"WARN x": 100},
				visits: &visitors{answers: map[string]int{"200": 9, noAnswer: 1}},
			}
		}
	}
	return storm{}
}

func TestWeatheredJudges(t *testing.T) {
	good := stormOf("refused")
	bad := stormOf("500")
	bad.failing, bad.restored, bad.peak, bad.overdue, bad.log = 0, 0, 300<<20, 11*time.Second, map[string]int{"WARN x": 100_000}
	above := stormOf("hang-above")
	above.descriptors, above.ejected, above.verdicts = 4096, 3, map[string]int{"neutral": 5000}
	absent := storm{scene: scenes()[2], work: work{targets: 10_000, interval: 10 * time.Second}, fault: errors.New("it\nended")}
	s := weathered("", 4, []storm{good, bad, absent, above})
	if s.title != "Mass failure, every 10s" {
		t.Errorf("title %q", s.title)
	}
	for _, want := range []string{
		"| refused | 100,000 | 2s | 20.0 s, 2.0 intervals | 100,000 | 20.0 s, 2.0 intervals | ≤ 10ms | 0 | - | 0 |",
		"| hang | 10,000 | 2s | - |",
		"- hang: not measured: it ended\n",
		"- refused: memory bounded, ≤ 2 × before: **reached**, measured 1.50 ×.",
		"- refused: no check late by more than one interval: **reached**",
		"- 500: all seen failing within three intervals and the timeout: **missed**, measured never.",
		"- 500: no check late by more than one interval: **missed**, by triage's count 0 later than 10s, at the server the latest 11000.0 ms.",
		"- 500: memory bounded, ≤ 2 × before: **missed**, measured 3.00 ×.",
		"- 500: events summarised, ≤ 2,200 lines: **missed**, measured 100,000.",
		"- 500: all healthy again when the fault is over: **missed**",
		"20,000 checks would be under way; triage may have 4,096 descriptors.",
		"- hang-above: nobody ejected: **missed**, ejected: 3.",
		"- hang-above: neutral checks are counted: **reached**, measured 5,000.",
		"| 9 of 10 |",
	} {
		if !strings.Contains(s.body, want) {
			t.Errorf("%q is not in\n%s", want, s.body)
		}
	}
}
