//go:build linux

// Command check measures what a health check costs: triage serve beside HAProxy and Caddy, all with the same targets,
// interval and path, one at a time on one core; and what becomes of triage when all targets fail at once.
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
	"strings"
	"syscall"
)

// The first argument of the processes that the program starts of itself.
const (
	roleInside  = "inside"  // the measurement, in its network namespace
	roleSite    = "site"    // the server behind all targets
	roleLimited = "limited" // becomes a checker that may have few descriptors
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == roleSite:
		err = serveSite()
	case len(os.Args) > 1 && os.Args[1] == roleLimited:
		err = limited(os.Args[2:])
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
