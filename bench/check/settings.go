//go:build linux

package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings is what the flags say.
type settings struct {
	parts    []string
	checkers []string
	targets  []int
	interval time.Duration
	duration time.Duration
	rounds   int

	memoryTargets   int
	memoryInterval  time.Duration
	memoryIntervals int

	growthTargets []int
	growthRate    int
	growthWindow  time.Duration

	httpsTargets  int
	httpsInterval time.Duration
	httpsCheckers []string

	stormScenes      []string
	stormTargets     int
	stormHanging     int
	stormInterval    time.Duration
	stormIntervals   int
	stormDescriptors int

	core     int
	triage   string
	out      string
	profile  string
	profiled string
}

var allParts = []string{"compare", "memory", "growth", "https", "storm"}

func parseFlags(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	parts := f.String("parts", "compare", "what to measure: "+strings.Join(allParts, ", ")+"; a list with commas")
	checkers := f.String("checkers", "triage,triage-reuse,haproxy,caddy", "who takes part in compare, in this order")
	targets := f.String("targets", "10000", "targets in compare; a list with commas measures one after another")
	f.DurationVar(&s.interval, "interval", time.Second, "between two checks of a target in compare")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "of each measured window in compare, growth and https")
	f.IntVar(&s.rounds, "rounds", 3, "of compare and https; the tables show medians")

	f.IntVar(&s.memoryTargets, "memory-targets", 100_000, "in the larger half of memory; the smaller has 10")
	f.DurationVar(&s.memoryInterval, "memory-interval", 10*time.Second, "between two checks of a target in memory")
	f.IntVar(&s.memoryIntervals, "memory-intervals", 10, "that pass before memory is read")

	growth := f.String("growth-targets", "1000,10000,100000,300000", "rows of growth")
	f.IntVar(&s.growthRate, "growth-rate", 5000, "checks a second in growth, whatever the number of targets")
	f.DurationVar(&s.growthWindow, "growth-window", time.Minute, "the most that is measured in growth where an interval is longer than -duration; else a whole interval is")

	f.IntVar(&s.httpsTargets, "https-targets", 400, "in https: so few that nobody falls behind, nor the server, which pays most with RSA")
	f.DurationVar(&s.httpsInterval, "https-interval", 2*time.Second, "between two checks of a target in https")
	httpsCheckers := f.String("https-checkers", "triage,triage-reuse,haproxy,haproxy-no-ssl-reuse,caddy", "who takes part in https, in this order")

	scenes := f.String("storm-scenes", strings.Join(sceneNames(), ","), "of storm; a list with commas")
	f.IntVar(&s.stormTargets, "storm-targets", 100_000, "that fail at once in storm")
	f.IntVar(&s.stormHanging, "storm-hang-targets", 10_000, "that hang in the scene hang: so many that all checks under way fit below the descriptor limit")
	f.DurationVar(&s.stormInterval, "storm-interval", 10*time.Second, "between two checks of a target in storm")
	f.IntVar(&s.stormIntervals, "storm-intervals", 4, "that a storm lasts")
	f.IntVar(&s.stormDescriptors, "storm-descriptors", 4096, "that triage may have in the scene hang-above")

	f.IntVar(&s.core, "core", 0, "the core that the checkers have; the server has another one")
	f.StringVar(&s.triage, "triage", "", "the triage to measure (default: build ./cmd/triage)")
	f.StringVar(&s.out, "out", filepath.Join("bench", "results", "check.md"), "results file; - for the terminal alone")
	f.StringVar(&s.profile, "profile", "", "also profile -profiled with perf, at the first number of -targets, into this file")
	f.StringVar(&s.profiled, "profiled", "triage", "who is profiled: triage or triage-reuse")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	var err error
	if s.targets, err = numbers(*targets); err != nil {
		return s, fmt.Errorf("-targets: %w", err)
	}
	if s.growthTargets, err = numbers(*growth); err != nil {
		return s, fmt.Errorf("-growth-targets: %w", err)
	}
	for _, list := range []struct {
		flag, words string
		to          *[]string
		known       []string
	}{
		{"-parts", *parts, &s.parts, allParts},
		{"-checkers", *checkers, &s.checkers, checkerNames()},
		{"-https-checkers", *httpsCheckers, &s.httpsCheckers, checkerNames()},
		{"-profiled", s.profiled, new([]string), []string{"triage", "triage-reuse"}},
		{"-storm-scenes", *scenes, &s.stormScenes, sceneNames()},
	} {
		if *list.to, err = words(list.words, list.known); err != nil {
			return s, fmt.Errorf("%s: %w", list.flag, err)
		}
	}
	return s, s.validate()
}

// validate finds numbers with which nothing could be measured.
func (s settings) validate() error {
	for name, n := range map[string]int{
		"-rounds": s.rounds, "-memory-targets": s.memoryTargets, "-memory-intervals": s.memoryIntervals, "-growth-rate": s.growthRate,
		"-https-targets": s.httpsTargets, "-storm-targets": s.stormTargets, "-storm-hang-targets": s.stormHanging,
		"-storm-intervals": s.stormIntervals, "-storm-descriptors": s.stormDescriptors,
	} {
		if n < 1 || n > maxTargets {
			return fmt.Errorf("%s: %d is not a number from 1 to %d", name, n, maxTargets)
		}
	}
	for name, d := range map[string]time.Duration{
		"-interval": s.interval, "-duration": s.duration, "-memory-interval": s.memoryInterval, "-https-interval": s.httpsInterval,
		"-storm-interval": s.stormInterval, "-growth-window": s.growthWindow,
	} {
		if d < 100*time.Millisecond {
			return fmt.Errorf("%s: %s is less than 100ms", name, d)
		}
	}
	return nil
}

func numbers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > maxTargets {
			return nil, fmt.Errorf("%q is not a number from 1 to %d", word, maxTargets)
		}
		all = append(all, n)
	}
	return all, nil
}

func words(list string, known []string) ([]string, error) {
	all := strings.Split(list, ",")
	for _, word := range all {
		if !slices.Contains(known, word) {
			return nil, fmt.Errorf("%q is none of %s", word, strings.Join(known, ", "))
		}
	}
	return all, nil
}
