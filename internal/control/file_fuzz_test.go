package control

import (
	"bytes"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// FuzzParse holds reading to four promises for any bytes: it never panics, its errors are for people and have
// a line, what it accepts is valid, and each target and setting that it accepts can be edited or is refused
// in so many words.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "# nothing\n", "---\n", "a: b\n", web + "groups:\n- name: app\n  targets: [127.0.0.1:80, {address: \"[::1]:80\", drain: true},]\n",
		web + "groups: [{name: app, targets: [a:1, b:2], health_check}]\n", web + "groups:\r\n  - name: app # é\r\n    targets:\r\n    - a:1\r\n    - b:2",
		"groups: &g [*g]\n", "a: !!binary x\n", "? a\n: b\n", "a: |\n  b\n c\n", "\ufeffgroups:\n  - name: 'a''b'\n",
		web + "groups:\n  - name: app\n    targets:\n      -\n        weight: 2\n        address: a:1\n    health_check:\n      path: >-\n        /x\n      host:\n",
		strings.Repeat("[", 100), strings.Repeat("- ", 100), strings.Repeat("a: ", 100), "\tgroups: 1", "a: \"\\x", "a: '", "groups: {", "%YAML 1.2\n---\na: b\n...\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		getenv := func(name string) string { return strings.Repeat(name, 2) }
		file, err := Parse("f", src, getenv)
		if err != nil {
			if triage.KindOf(err) != triage.KindInvalid || !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("not an error for people: %v", err)
			}
			return
		}
		if errs := file.Config.Validate().Errors(); len(errs) > 0 {
			t.Fatalf("accepted, but %v", errs)
		}
		if !bytes.Equal(file.whole(), src) {
			t.Fatal("the bytes are not those that were read")
		}
		for _, g := range file.Config.Groups {
			one, path := 1, "/edited"
			fuzzEdit(t, file, func() (change, error) {
				return file.setHealthCheck(g.Name, HealthCheckEdit{Path: &path, HealthyThreshold: &one})
			})
			fuzzEdit(t, file, func() (change, error) { return file.addTarget(g.Name, triage.Target{ID: "added:1"}) })
			for _, target := range g.Targets[:min(3, len(g.Targets))] {
				fuzzEdit(t, file, func() (change, error) { return file.removeTarget(g.Name, target.ID) })
				fuzzEdit(t, file, func() (change, error) { return file.drainTarget(g.Name, target.ID, !target.Drain) })
			}
		}
	})
}

func fuzzEdit(t *testing.T, f *File, plan func() (change, error)) {
	c, err := plan()
	if err == nil {
		_, err = f.apply(c)
	}
	if err != nil && triage.HintOf(err) == "" && triage.KindOf(err) != triage.KindInvalid {
		t.Fatalf("refused without a hint: %v", err)
	}
}
