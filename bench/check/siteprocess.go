//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// siteProcess is the server behind the targets, seen from the measurement. One goroutine uses it.
type siteProcess struct {
	core    int
	cmd     *exec.Cmd
	orders  io.WriteCloser
	reports *bufio.Reader
}

// startSite starts the server on a core. The caller is locked to its thread, and calls close.
func startSite(core int) (*siteProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &siteProcess{core: core, cmd: exec.Command(self, roleSite)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.reports = bufio.NewReader(out)
	if err := startOn(core, p.cmd); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return p, nil
}

// order sends an order, see site.obey, and waits for the report.
func (p *siteProcess) order(format string, args ...any) (siteReport, error) {
	var report siteReport
	if _, err := fmt.Fprintf(p.orders, format+"\n", args...); err != nil {
		return report, fmt.Errorf("the server is gone: %w", err)
	}
	line, err := p.reports.ReadBytes('\n')
	if err != nil {
		return report, fmt.Errorf("the server is gone: %w", err)
	}
	if err := json.Unmarshal(line, &report); err != nil {
		return report, fmt.Errorf("the server's report %q: %w", line, err)
	}
	return report, nil
}

// close ends the server.
func (p *siteProcess) close() {
	p.orders.Close()
	_ = p.cmd.Wait() // it has nothing left to say
}
