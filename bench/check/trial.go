//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// trial is one checker at work. begin makes it, end ends it; one goroutine uses it.
type trial struct {
	work
	site   *siteProcess
	core   int // the checker's
	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// sample is what one window of a trial has shown.
type sample struct {
	work
	asked      int // targets that were asked at all
	window     time.Duration
	due        int
	done       int
	cpu        time.Duration
	core       time.Duration // that the core was busy, whoever used it
	server     time.Duration // CPU time of the server
	serverCore time.Duration // that the server's core was busy
	memory     memory
	report     siteReport
}

// perCheck is the CPU time of one check; 0 if there was none.
func (s sample) perCheck() time.Duration {
	if s.done == 0 {
		return 0
	}
	return s.cpu / time.Duration(s.done)
}

// share is the part of the due checks that was done.
func (s sample) share() float64 { return float64(s.done) / float64(max(s.due, 1)) }

// others is the part of the core that the checker did not have: other programs, and the kernel's work for them.
func (s sample) others() float64 {
	return max(0, float64(s.core-s.cpu)/float64(max(s.window, 1)))
}

// connections is how many connections the server took per check.
func (s sample) connections() float64 { return float64(s.report.Accepted) / float64(max(s.done, 1)) }

// serverBusy is the part of the server's core that somebody used.
func (s sample) serverBusy() float64 { return float64(s.serverCore) / float64(max(s.window, 1)) }

// begin starts a checker and returns when it is at its regular pace: each target was asked once, and an interval
// and a half has passed. A checker that cannot ask all of them in reasonable time is measured nevertheless.
func begin(site *siteProcess, c checker, triage string, core int, w work) (*trial, error) {
	path, err := c.path(triage)
	if err != nil {
		return nil, err
	}
	t := &trial{work: w, site: site, core: core, exited: make(chan struct{})}
	if t.dir, err = os.MkdirTemp("", "triage-bench-"); err != nil {
		return nil, err
	}
	if err := t.start(c, path); err != nil {
		t.end()
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if err := t.warmUp(); err != nil {
		t.end()
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return t, nil
}

func (t *trial) start(c checker, path string) error {
	args, err := c.configure(t.dir, t.work)
	if err != nil {
		return err
	}
	if t.protocol.secure() {
		if _, err := t.site.order("secure"); err != nil {
			return err
		}
	}
	if _, err := t.site.order("reset %d", t.targets); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd, err := t.command(path, args)
	if err != nil {
		return err
	}
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "HOME="+t.dir, "XDG_CONFIG_HOME="+t.dir, "XDG_DATA_HOME="+t.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOn(t.core, cmd); err != nil {
		return err
	}
	t.cmd = cmd
	go func() {
		_ = cmd.Wait() // what became of it is in cmd.ProcessState
		close(t.exited)
	}()
	return nil
}

// command runs the checker, by way of this program if its descriptors are limited.
func (t *trial) command(path string, args []string) (*exec.Cmd, error) {
	if t.descriptors == 0 {
		return exec.Command(path, args...), nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, append([]string{roleLimited, strconv.Itoa(t.descriptors), path}, args...)...), nil
}

// warmUp waits for the checker's regular pace.
func (t *trial) warmUp() error {
	const slowest = 3000 // first checks a second that we still wait for
	patience := 10*time.Second + 2*t.interval + time.Duration(t.targets/slowest)*time.Second
	asked := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && asked < t.targets; {
		if err := t.wait(100 * time.Millisecond); err != nil {
			return err
		}
		report, err := t.site.order("look")
		if err != nil {
			return err
		}
		asked = report.Asked
	}
	if asked == 0 {
		return fmt.Errorf("no check came within %s:\n%s", patience, t.lastWords())
	}
	return t.wait(t.interval + t.interval/2)
}

// wait lets time pass, and fails if the checker ends.
func (t *trial) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.exited:
		return fmt.Errorf("it ended by itself (%s):\n%s", t.cmd.ProcessState, t.lastWords())
	}
}

// log is what the checker has printed.
func (t *trial) log() []byte {
	text, err := os.ReadFile(filepath.Join(t.dir, "log"))
	if err != nil {
		return nil
	}
	return text
}

// lastWords is the end of what the checker printed.
func (t *trial) lastWords() []byte {
	const most = 600
	text := t.log()
	text = bytes.ReplaceAll(text, []byte(t.dir+"/"), nil)
	return bytes.TrimSpace(text[max(0, len(text)-most):])
}

// measure watches the checker for a while.
func (t *trial) measure(window time.Duration) (sample, error) {
	if _, err := t.site.order("record"); err != nil {
		return sample{}, err
	}
	before, err := t.clocks()
	if err != nil {
		return sample{}, err
	}
	if err := t.wait(window); err != nil {
		return sample{}, err
	}
	after, err := t.clocks()
	if err != nil {
		return sample{}, err
	}
	report, err := t.site.order("stop %d", t.interval)
	if err != nil {
		return sample{}, err
	}
	held, err := processMemory(t.cmd.Process.Pid)
	return sample{
		work:       t.work,
		asked:      report.Asked,
		window:     report.Window,
		due:        int(float64(t.targets) * float64(report.Window) / float64(t.interval)),
		done:       report.Checks,
		cpu:        after.checker - before.checker,
		core:       after.core - before.core,
		server:     after.server - before.server,
		serverCore: after.serverCore - before.serverCore,
		memory:     held,
		report:     report,
	}, err
}

// clocks is how much CPU time was used up to a moment.
type clocks struct {
	checker    time.Duration
	core       time.Duration // the checker's, whoever used it
	server     time.Duration
	serverCore time.Duration // whoever used it
}

func (t *trial) clocks() (now clocks, err error) {
	if now.checker, err = processCPU(t.cmd.Process.Pid); err != nil {
		return now, err
	}
	if now.core, err = coreBusy(t.core); err != nil {
		return now, err
	}
	if now.server, err = processCPU(t.site.cmd.Process.Pid); err != nil {
		return now, err
	}
	now.serverCore, err = coreBusy(t.site.core)
	return now, err
}

// reload makes triage read its config again, with a change in it, and gives it an interval for that.
func (t *trial) reload() error {
	if err := editTriage(t.dir); err != nil {
		return err
	}
	if err := t.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	return t.wait(t.interval)
}

// end kills the checker, waits for it, and removes its folder.
func (t *trial) end() {
	if t.cmd != nil {
		_ = t.cmd.Process.Kill() // it may have ended
		<-t.exited
	}
	_ = os.RemoveAll(t.dir)
}
