//go:build linux

// Command check measures what a health check costs: triage serve beside HAProxy and Caddy, all with the same targets,
// interval and path, one at a time on one core.
//
// It answers with its own light HTTP server, which stands for all targets at once (every address of
// 127.0.0.0/8 is this machine) and counts the checks and the moments they come in. Everything runs in a
// network namespace of its own, so nothing can be reached from outside. CPU and memory are read from /proc.
//
// Run it by "make bench-check"; the flags are listed by -help. Each part that was measured replaces its
// section of the results file. The package is a program and is not imported; it runs on Linux alone.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The first argument of the processes that the program starts of itself.
const (
	roleInside = "inside" // the measurement, in its network namespace
	roleSite   = "site"   // the server behind all targets
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == roleSite:
		err = serveSite()
	case len(os.Args) > 1 && os.Args[1] == roleInside:
		err = inside(os.Args[2:])
	default:
		err = outside(os.Args[1:])
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

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

	core    int
	triage  string
	out     string
	profile string
}

func parseFlags(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	parts := f.String("parts", "compare", "what to measure: compare, memory, growth; a list with commas")
	checkers := f.String("checkers", "triage,triage-reuse,haproxy,caddy", "who takes part in compare, in this order")
	targets := f.String("targets", "10000", "targets in compare; a list with commas measures one after another")
	f.DurationVar(&s.interval, "interval", time.Second, "between two checks of a target in compare")
	f.DurationVar(&s.duration, "duration", 10*time.Second, "of each measured window in compare and growth")
	f.IntVar(&s.rounds, "rounds", 3, "of compare; the table shows medians")
	f.IntVar(&s.memoryTargets, "memory-targets", 100_000, "in the larger half of memory; the smaller has 10")
	f.DurationVar(&s.memoryInterval, "memory-interval", 10*time.Second, "between two checks of a target in memory")
	f.IntVar(&s.memoryIntervals, "memory-intervals", 10, "that pass before memory is read")
	growth := f.String("growth-targets", "1000,10000,100000,300000", "rows of growth")
	f.IntVar(&s.growthRate, "growth-rate", 5000, "checks a second in growth, whatever the number of targets")
	f.IntVar(&s.core, "core", 0, "the core that the checkers have; the server has another one")
	f.StringVar(&s.triage, "triage", "", "the triage to measure (default: build ./cmd/triage)")
	f.StringVar(&s.out, "out", filepath.Join("bench", "results", "check.md"), "results file; - for the terminal alone")
	f.StringVar(&s.profile, "profile", "", "also profile triage with perf, at the first number of -targets, into this file")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.parts, s.checkers = strings.Split(*parts, ","), strings.Split(*checkers, ",")
	for _, part := range s.parts {
		if !slices.Contains([]string{"compare", "memory", "growth"}, part) {
			return s, fmt.Errorf("-parts: %q is none of compare, memory, growth", part)
		}
	}
	for _, name := range s.checkers {
		if _, known := checkerNamed(name); !known {
			return s, fmt.Errorf("-checkers: %q is none of triage, triage-reuse, haproxy, caddy", name)
		}
	}
	var err error
	if s.targets, err = numbers(*targets); err != nil {
		return s, fmt.Errorf("-targets: %w", err)
	}
	if s.growthTargets, err = numbers(*growth); err != nil {
		return s, fmt.Errorf("-growth-targets: %w", err)
	}
	for name, n := range map[string]int{
		"-rounds": s.rounds, "-memory-targets": s.memoryTargets, "-memory-intervals": s.memoryIntervals, "-growth-rate": s.growthRate,
	} {
		if n < 1 {
			return s, fmt.Errorf("%s: %d is not a positive number", name, n)
		}
	}
	return s, nil
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

// outside builds triage and starts the measurement in a network namespace.
func outside(args []string) error {
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "triage-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// A signal ends the measurement at once, and this process after it has cleared up.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(interrupts)
	if s.triage == "" {
		if s.triage, err = buildTriage(dir); err != nil {
			return err
		}
	}
	if s.triage, err = filepath.Abs(s.triage); err != nil {
		return err
	}
	return isolated(append(slices.Clone(args), "-triage", s.triage), dir, interrupts)
}

// buildTriage builds the product as "make build" does, but keeps the names of functions for -profile.
func buildTriage(dir string) (path string, err error) {
	version := "dev"
	if out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(out))
	}
	path = filepath.Join(dir, "triage")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-X main.version="+version, "-o", path, "./cmd/triage")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build triage (run this in the repository's root): %w", err)
	}
	return path, nil
}

// inside measures the parts one after another and writes each to the results as soon as it is known.
func inside(args []string) error {
	s, err := parseFlags(args)
	if err != nil {
		return err
	}
	if err := prepareNamespace(); err != nil {
		return err
	}
	b, err := newBench(s)
	if err != nil {
		return err
	}
	defer b.close()
	for _, part := range s.parts {
		if err := b.measure(part); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	if s.profile != "" {
		return b.profile(s.profile)
	}
	return nil
}
