package main

import (
	"bufio"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestGuardEndsOnSIGTERM: what systemd and container runtimes send is an orderly end. Scripts cannot send it.
func TestGuardEndsOnSIGTERM(t *testing.T) {
	guard := exec.Command("triage", "guard", "--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:8000")
	stderr, err := guard.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	defer guard.Process.Kill()
	log := bufio.NewReader(stderr)
	for line := ""; !strings.Contains(line, "msg=serving"); {
		if line, err = log.ReadString('\n'); err != nil {
			t.Fatal(line, err)
		}
	}
	if err := guard.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(log)
	if err != nil || !strings.Contains(string(rest), "msg=stopped") {
		t.Errorf("%v\n%s", err, rest)
	}
	if err := guard.Wait(); err != nil {
		t.Error(err)
	}
}
