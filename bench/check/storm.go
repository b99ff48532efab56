//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// scene is a way in which all targets fail at once.
type scene struct {
	name  string
	about string
	mood  mood
	few   bool // -storm-hang-targets of them
	short bool // with too few descriptors for all the checks that would be under way: nobody may be ejected
}

func scenes() []scene {
	return []scene{
		{name: "refused", about: "the server stops listening", mood: moodRefuse},
		{name: "500", about: "the server answers every check with 500", mood: moodFail},
		{name: "hang", about: "the server accepts and never answers; all checks under way fit below the descriptor limit", mood: moodHang, few: true},
		{name: "hang-above", about: "the same with more checks under way than triage has descriptors for", mood: moodHang, short: true},
	}
}

func sceneNames() []string {
	var names []string
	for _, s := range scenes() {
		names = append(names, s.name)
	}
	return names
}

// storm is what one scene has shown.
type storm struct {
	scene
	work
	fault error // why there is nothing else

	ejected  int           // changes to unhealthy, until all was well again
	failing  time.Duration // from the fault until all targets were unhealthy; 0: never
	restored time.Duration // from its end until all were healthy; 0: never

	lag      startLag       // from the fault until all was well again
	overdue  time.Duration  // the same at the server, see overdue; while it refuses it sees nothing
	outcomes map[string]int // checks that ended during the storm
	verdicts map[string]int // the same by verdict

	calm, rough, others float64 // part of the core that triage used, and that others had in the storm
	before, peak, after int64   // RssAnon
	log                 map[string]int
	visits              *visitors
	mute                bool          // triage told its metrics only after the storm, so outcomes has some checks too many
	unread              int           // times that the metrics were not to be had
	slowestScrape       time.Duration // of the metrics
}

// measureStorms lets all targets fail at once, in one way after another.
func (b *bench) measureStorms() error {
	triage, _ := checkerNamed("triage")
	var storms []storm
	for _, s := range scenes() {
		if !slices.Contains(b.stormScenes, s.name) {
			continue
		}
		result, err := b.storm(triage, s)
		if err != nil {
			result = storm{scene: s, work: b.stormWork(s), fault: err}
			b.progress("%s: %v", s.name, err)
		}
		storms = append(storms, result)
	}
	return b.reporting.put(weathered(b.header(b.rowOf(triage)), b.stormIntervals, storms))
}

func (b *bench) stormWork(s scene) work {
	w := work{targets: b.stormTargets, interval: b.stormInterval}
	if s.few {
		w.targets = b.stormHanging
	}
	if s.short {
		w.descriptors = b.stormDescriptors
	}
	return w
}

// storm goes through one scene: calm, fault, the end of the fault, calm.
func (b *bench) storm(c checker, s scene) (storm, error) {
	t, err := begin(b.site, c, b.triage, b.core, b.stormWork(s))
	if err != nil {
		return storm{}, err
	}
	defer t.end()
	defer func() { _, _ = b.site.order("turn %s", moodAnswer) }() // else the site is gone, and the next order says so
	w := &stormWatch{trial: t, storm: storm{scene: s, work: t.work}}
	for _, stage := range []func(*bench) error{w.calm, w.fail, w.mend} {
		if err := stage(b); err != nil {
			return w.storm, err
		}
	}
	return w.storm, nil
}

// stormWatch watches a trial through a storm.
type stormWatch struct {
	*trial
	storm  storm
	now    scrape    // the newest
	before scrape    // the last before the fault
	ended  time.Time // of the fault
	told   bool      // the storm's metrics are in the storm
}

// calm waits until all is well, and measures that for an interval.
func (w *stormWatch) calm(b *bench) error {
	if _, err := scrapeTriage(); err != nil {
		return fmt.Errorf("triage has no metrics: %w", err)
	}
	all, err := w.until(5*w.interval, func() bool { return w.now.inState("healthy") == w.targets })
	if err != nil {
		return err
	}
	if all == 0 {
		return fmt.Errorf("before the storm %d of %d targets were healthy", w.now.inState("healthy"), w.targets)
	}
	before, err := w.clocks()
	if err != nil {
		return err
	}
	if err := w.wait(w.interval); err != nil {
		return err
	}
	after, err := w.clocks()
	if err != nil {
		return err
	}
	w.storm.calm = float64(after.checker-before.checker) / float64(w.interval)
	held, err := processMemory(w.cmd.Process.Pid)
	w.storm.before, w.storm.peak = held.anonymous, held.anonymous
	b.progress("%s: calm: %.0f %% of the core, %s", w.storm.name, 100*w.storm.calm, bytesText(float64(held.anonymous)))
	return err
}

// fail lets all targets fail, for the length of the storm.
func (w *stormWatch) fail(b *bench) error {
	var err error
	if w.before, err = scrapeTriage(); err != nil {
		return err
	}
	logged := len(w.trial.log())
	if _, err := w.site.order("record"); err != nil {
		return err
	}
	start, err := w.clocks()
	if err != nil {
		return err
	}
	if _, err := w.site.order("turn %s", w.storm.mood); err != nil {
		return err
	}
	began := time.Now()
	w.storm.visits = visit()
	defer w.storm.visits.leave()
	length := time.Duration(b.stormIntervals) * w.interval
	w.storm.failing, err = w.until(length, func() bool { return w.now.inState("unhealthy") == w.targets })
	if err != nil {
		return err
	}
	if _, err := w.until(length-time.Since(began), func() bool { return false }); err != nil {
		return err
	}
	end, err := w.clocks()
	if err != nil {
		return err
	}
	took := time.Since(began)
	w.storm.rough = float64(end.checker-start.checker) / float64(took)
	w.storm.others = max(0, float64(end.core-start.core)/float64(took)-w.storm.rough)
	if now, err := scrapeTriage(); err == nil {
		w.tell(now)
	}
	report, err := w.site.order("stop %d", w.interval)
	if err != nil {
		return err
	}
	if w.storm.mood != moodRefuse {
		w.storm.overdue = report.Overdue
	}
	w.storm.log = messages(w.trial.log()[logged:])
	b.progress("%s: all failing after %s; %.0f %% of the core, at most %s, %d lines logged", w.storm.name,
		w.storm.failing.Round(100*time.Millisecond), 100*w.storm.rough, bytesText(float64(w.storm.peak)), total(w.storm.log))
	return nil
}

// tell writes down how the checks ended during the storm.
func (w *stormWatch) tell(now scrape) {
	w.told = true
	w.storm.outcomes = now.since(w.before, "triage_checks_total", "outcome")
	w.storm.verdicts = now.since(w.before, "triage_checks_total", "verdict")
}

// mend ends the fault and waits until all is well, and two intervals more.
func (w *stormWatch) mend(b *bench) error {
	if _, err := w.site.order("turn %s", moodAnswer); err != nil {
		return err
	}
	w.ended = time.Now()
	if _, err := w.site.order("record"); err != nil {
		return err
	}
	_, err := w.until(6*w.interval, func() bool {
		if !w.told { // it was too busy until the storm was over
			w.tell(w.now)
			w.storm.mute = true
		}
		if w.now.inState("healthy") < w.targets {
			return false
		}
		w.storm.restored = time.Since(w.ended)
		return true
	})
	if err != nil {
		return err
	}
	if _, err := w.until(2*w.interval, func() bool { return false }); err != nil {
		return err
	}
	report, err := w.site.order("stop %d", w.interval)
	if err != nil {
		return err
	}
	w.storm.overdue = max(w.storm.overdue, report.Overdue)
	w.storm.lag = w.now.lagSince(w.before, w.interval)
	w.storm.ejected = w.now.since(w.before, "triage_transitions_total", "to")["unhealthy"]
	held, err := processMemory(w.cmd.Process.Pid)
	w.storm.after = held.anonymous
	b.progress("%s: ejected %d; all healthy again after %s, %s", w.storm.name, w.storm.ejected,
		w.storm.restored.Round(100*time.Millisecond), bytesText(float64(held.anonymous)))
	return err
}

// until reads metrics and memory four times a second until done says so, and returns how long that took; 0 when
// the limit came first. A balancer that is too busy to tell its metrics is asked again.
func (w *stormWatch) until(limit time.Duration, done func() bool) (time.Duration, error) {
	began := time.Now()
	for time.Since(began) < limit {
		if err := w.wait(min(250*time.Millisecond, limit)); err != nil {
			return 0, err
		}
		held, err := processMemory(w.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		w.storm.peak = max(w.storm.peak, held.anonymous)
		asked := time.Now()
		now, err := scrapeTriage()
		w.storm.slowestScrape = max(w.storm.slowestScrape, time.Since(asked))
		if err != nil {
			w.storm.unread++
			continue
		}
		w.now = now
		if done() {
			return time.Since(began), nil
		}
	}
	return 0, nil
}
