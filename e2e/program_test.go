package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binary builds triage once for all tests of this package.
var binary = sync.OnceValues(func() (string, error) {
	// In the build cache's own folder of the repository: it stays, and a second run finds it up to date.
	path, err := filepath.Abs("../.cache/bin/triage-e2e")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", path, "../cmd/triage").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// triagePath is the program under test.
func triagePath(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("build triage: %v", err)
	}
	return path
}

// cli is how a person calls triage: in a terminal, with TRIAGE_ADMIN set.
type cli struct {
	admin string
}

// run types a command and returns what it printed and its exit code.
func (c cli) run(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.Command(triagePath(t), args...)
	cmd.Env = []string{systemPath, "TRIAGE_ADMIN=" + c.admin}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exited, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		code = exited.ExitCode()
	}
	t.Logf("$ triage %s\n%s%s[exit %d]", strings.Join(args, " "), &out, &errs, code)
	return out.String(), code
}

// must types a command that has to succeed.
func (c cli) must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := c.run(t, args...)
	if code != 0 {
		t.Fatalf("triage %s: exit %d", strings.Join(args, " "), code)
	}
	return out
}

// targetStatus is what the story looks at in triage status --json.
type targetStatus struct {
	Target, State, Reason string
	Diagnosis             *struct{ Code, Cause string }
}

// target returns the state of one target; the zero value if the balancer does not know it.
func (c cli) target(t *testing.T, address string) targetStatus {
	t.Helper()
	cmd := exec.Command(triagePath(t), "status", "--json", "--admin", c.admin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("triage status: %v", err)
	}
	var status struct {
		Groups []struct{ Targets []targetStatus }
	}
	if err := json.Unmarshal(out, &status); err != nil {
		t.Fatalf("triage status: %v in\n%s", err, out)
	}
	for _, g := range status.Groups {
		for _, target := range g.Targets {
			if target.Target == address {
				return target
			}
		}
	}
	return targetStatus{}
}

// pasteable returns the lines of a printed fix that are meant to be pasted: those that are indented under
// the words that say where.
func pasteable(t *testing.T, check string) string {
	t.Helper()
	_, fix, found := strings.Cut(check, "\nFix        ")
	if !found {
		t.Fatalf("no fix in\n%s", check)
	}
	var lines []string
	for line := range strings.Lines(fix) {
		const under = "           " // the label's width
		if text, ok := strings.CutPrefix(line, under+"    "); ok {
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("nothing to paste in\n%s", check)
	}
	return strings.Join(lines, "")
}
