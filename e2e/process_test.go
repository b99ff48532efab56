package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a server to come, change or go. It is far
// above what any of them takes, so that a slow machine fails no test.
const patience = 30 * time.Second

// process is a server program that a test starts and stops, more than once if
// it likes. It belongs to the test that made it (newProcess), which ends it.
type process struct {
	name string
	path string
	args []string
	env  []string            // the whole environment but for PATH and HOME
	dir  string              // working folder; the log is written beside it
	user *syscall.Credential // nil: ours
	quit syscall.Signal      // what makes it stop at once

	log  *os.File
	cmd  *exec.Cmd     // nil while stopped
	done chan struct{} // closed when cmd was waited for
}

// newProcess completes p and makes sure that it is gone, and its log shown if
// the test failed, when the test ends. It does not start p.
func newProcess(t *testing.T, p *process) *process {
	t.Helper()
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(p.dir+".log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	p.log = log
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, p.logTail())
		}
		log.Close()
	})
	return p
}

// start runs the program. It does not wait until it serves; waitUntil does.
func (p *process) start(t *testing.T) {
	t.Helper()
	if p.cmd != nil {
		t.Fatalf("%s runs already", p.name)
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{systemPath, "HOME=" + p.dir, "LANG=C.UTF-8"}, p.env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.user}
	endWithUs(cmd.SysProcAttr, p.quit)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		cmd.Wait() // how it ended shows in its log
	}(p.done)
}

// stop ends the program and returns when it is gone. Stopping one that does
// not run does nothing.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	pid := p.cmd.Process.Pid
	p.signal(t, p.quit)
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("%s did not stop on %v within %v; killed", p.name, p.quit, patience)
	}
	// The group outlives its leader while a worker lives.
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("kill what is left of %s: %v", p.name, err)
	}
	<-p.done
	p.cmd = nil
}

// signal sends a signal to the program itself, not to its workers.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("send %v to %s: %v", s, p.name, err)
	}
}

// waitUntil polls ready until it holds. The test fails at once if the program
// ends before that.
func (p *process) waitUntil(t *testing.T, what string, ready func() bool) {
	t.Helper()
	ended := func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}
	eventually(t, p.name+" "+what, func() bool {
		if ended() {
			t.Fatalf("%s ended before it %s; its log ends with:\n%s", p.name, what, p.logTail())
		}
		return ready()
	})
}

// logSize is where the log ends now; pass it to logHas to look at what follows.
func (p *process) logSize(t *testing.T) int64 {
	t.Helper()
	info, err := p.log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// logHas tells whether text was logged after offset.
func (p *process) logHas(offset int64, text string) bool {
	all, err := os.ReadFile(p.log.Name())
	return err == nil && int64(len(all)) > offset && bytes.Contains(all[offset:], []byte(text))
}

// logged is all that was logged.
func (p *process) logged(t *testing.T) string {
	t.Helper()
	all, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// logTail is the end of the log, for a failed test's output.
func (p *process) logTail() []byte {
	all, err := os.ReadFile(p.log.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return all[max(0, len(all)-4000):]
}

// eventually polls a condition until it holds, and fails the test when it does
// not within patience.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// workFolder makes a folder that other users can enter too: PostgreSQL and
// nginx's workers run as theirs when the tests run as root, and they may not
// pass t.TempDir's parent.
func workFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "triage-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFile writes a file below dir that everybody may read.
func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
