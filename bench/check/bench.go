//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// bench measures the parts and writes the results. It belongs to the main goroutine, which is locked to its
// thread: the processes that it starts die with that thread.
type bench struct {
	settings
	site      *siteProcess
	siteCore  int
	machine   string
	reporting results
}

func newBench(s settings) (*bench, error) {
	runtime.LockOSThread()
	other, err := otherCore(s.core)
	if err != nil {
		return nil, err
	}
	b := &bench{settings: s, siteCore: other, machine: machine(), reporting: results{path: s.out, terminal: os.Stdout}}
	b.site, err = startSite(other)
	return b, err
}

func (b *bench) close() { b.site.close() }

func (b *bench) measure(part string) error {
	switch part {
	case "memory":
		return b.measureMemory()
	case "growth":
		return b.measureGrowth()
	case "https":
		return b.measureHTTPS()
	case "storm":
		return b.measureStorms()
	}
	for _, n := range b.targets {
		w := work{targets: n, interval: b.interval}
		rows := b.inTurn(w, b.checkers)
		if err := b.reporting.put(compared(w, b.header(rows...), rows)); err != nil {
			return err
		}
	}
	return nil
}

// once runs one checker for one window.
func (b *bench) once(c checker, w work, window time.Duration) (sample, error) {
	t, err := begin(b.site, c, b.triage, b.core, w)
	if err != nil {
		return sample{}, err
	}
	defer t.end()
	return t.measure(window)
}

// row is a checker's samples, one per round, or why there are none.
type row struct {
	checker checker
	version string
	samples []sample
	fault   error
}

// inTurn runs all checkers in turn, as many rounds as asked for.
func (b *bench) inTurn(w work, checkers []string) []*row {
	rows := make([]*row, len(checkers))
	for i, name := range checkers {
		c, _ := checkerNamed(name)
		rows[i] = &row{checker: c}
		path, err := c.path(b.triage)
		if rows[i].fault = err; err == nil {
			rows[i].version = c.versionOf(path)
		}
	}
	for round := range b.rounds {
		for _, r := range rows {
			if r.fault != nil {
				continue
			}
			s, err := b.once(r.checker, w, b.duration)
			if err != nil {
				r.fault = err
				b.progress("%v", err)
				continue
			}
			r.samples = append(r.samples, s)
			b.progress("%s, round %d of %d: %s", r.checker.name, round+1, b.rounds, s)
		}
	}
	return rows
}

// measureHTTPS compares the cost of a check that begins with a TLS handshake, for two sorts of certificate.
func (b *bench) measureHTTPS() error {
	var all []*row
	kinds := []protocol{httpsP256, httpsRSA}
	tables := make([][]*row, len(kinds))
	w := work{targets: b.httpsTargets, interval: b.httpsInterval}
	for i, kind := range kinds {
		w.protocol = kind
		tables[i] = b.inTurn(w, b.httpsCheckers)
		all = append(all, tables[i]...)
	}
	return b.reporting.put(encrypted(w, b.header(all...), kinds, tables))
}

// measureMemory reads the memory of triage with very few targets and with very many.
func (b *bench) measureMemory() error {
	base := work{targets: 10, interval: min(b.memoryInterval, time.Second)}
	full := work{targets: b.memoryTargets, interval: b.memoryInterval}
	triage, _ := checkerNamed("triage")
	var read [2]held
	for i, w := range []work{base, full} {
		var err error
		if read[i], err = b.hold(triage, w); err != nil {
			return err
		}
		b.progress("memory: %s; after a reload %s", read[i].before, bytesText(float64(read[i].after.anonymous)))
	}
	return b.reporting.put(remembered(b.header(b.rowOf(triage)), b.memoryIntervals, read[0], read[1]))
}

// held is what triage holds after some intervals, and after a reload on top.
type held struct {
	work
	gc     string // what triage says about its garbage collector
	before sample
	after  memory
}

func (b *bench) hold(c checker, w work) (held, error) {
	t, err := begin(b.site, c, b.triage, b.core, w)
	if err != nil {
		return held{}, err
	}
	defer t.end()
	h := held{work: w, gc: collector(t.log())}
	if h.before, err = t.measure(time.Duration(b.memoryIntervals) * w.interval); err != nil {
		return h, err
	}
	if err := t.reload(); err != nil {
		return h, err
	}
	h.after, err = processMemory(t.cmd.Process.Pid)
	return h, err
}

// measureGrowth spreads the same number of checks a second over more and more targets.
func (b *bench) measureGrowth() error {
	triage, _ := checkerNamed("triage")
	var samples []sample
	for _, n := range b.growthTargets {
		w := work{targets: n, interval: time.Duration(n) * time.Second / time.Duration(b.growthRate)}
		s, err := b.once(triage, w, max(b.duration, min(w.interval, b.growthWindow)))
		if err != nil {
			return fmt.Errorf("%d targets: %w", n, err)
		}
		b.progress("growth: %s", s)
		samples = append(samples, s)
	}
	return b.reporting.put(grown(b.header(b.rowOf(triage)), b.growthRate, samples))
}

// profile shows where triage spends its CPU time, if perf is there.
func (b *bench) profile(path string) error {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return fmt.Errorf("-profile: perf is not installed: sudo apt-get install linux-perf")
	}
	c, _ := checkerNamed(b.profiled)
	t, err := begin(b.site, c, b.triage, b.core, work{targets: b.targets[0], interval: b.interval})
	if err != nil {
		return err
	}
	defer t.end()
	data := path + ".data"
	defer os.Remove(data)
	record := exec.Command(perf, "record", "-q", "-e", "cpu-clock", "-F", "999", "-p", strconv.Itoa(t.cmd.Process.Pid),
		"-o", data, "--", "sleep", strconv.FormatFloat(b.duration.Seconds(), 'f', 1, 64))
	if out, err := record.CombinedOutput(); err != nil {
		return fmt.Errorf("perf record: %w\n%s", err, out)
	}
	out, err := exec.Command(perf, "report", "-i", data, "--stdio", "--sort", "dso,symbol", "--percent-limit", "0.3").Output()
	if err != nil {
		return fmt.Errorf("perf report: %w", err)
	}
	b.progress("profile: %s", path)
	return os.WriteFile(path, out, 0o644)
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

func (b *bench) rowOf(c checker) *row {
	return &row{checker: c, version: c.versionOf(b.triage)}
}

// header says when, what and where; the first lines of every section.
func (b *bench) header(rows ...*row) string {
	var versions []string
	for _, r := range rows {
		if r.version != "" && !slices.Contains(versions, r.version) {
			versions = append(versions, r.version)
		}
	}
	server := fmt.Sprintf("the server core %d", b.siteCore)
	if b.siteCore == b.core {
		server = "the server the same one: the machine has no other"
	}
	return header(time.Now(), versions, fmt.Sprintf("%s. The checker has core %d, %s.", b.machine, b.core, server))
}
