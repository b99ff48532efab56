package diagnose

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/diagnoses.md")

// TestDiagnosesDocument keeps docs/diagnoses.md equal to the catalogue. Run with -update to write it.
func TestDiagnosesDocument(t *testing.T) {
	const file = "../../docs/diagnoses.md"
	want := document()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is old; run go test ./internal/diagnose -update:\n%s", file, diff)
	}
}

func document() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Diagnoses\n\n"+
		"Why health checks fail, and why they pass when they should not: what `triage check` looks for and `triage explain CODE`\n"+
		"prints. Written from the catalogue in internal/diagnose by `make generate`; do not edit. Words in `<…>` are filled in\n"+
		"with what was seen. %d entries.\n", len(Entries()))
	var stage Stage
	for _, e := range Entries() {
		if e.Stage != stage {
			stage = e.Stage
			fmt.Fprintf(&b, "\n## %s\n", stage)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s.", e.Code, upper(shown(e.Title)))
		if e.Unseen {
			b.WriteString(" (No check sees this from outside.)")
		}
		fmt.Fprintf(&b, "\n\n- **Seen:** %s\n- **Cause:** %s\n", shown(e.Seen), shown(e.Cause))
		if e.Decides != "" {
			fmt.Fprintf(&b, "- **Decides:** %s\n", shown(e.Decides))
		}
		if e.Wrong.Fix != "" {
			fmt.Fprintf(&b, "- **Wrong fix:** %s: %s\n", shown(e.Wrong.Fix), shown(e.Wrong.Cost))
		}
		fmt.Fprintf(&b, "- **Known from:** %s\n", strings.Join(e.Sources, "; "))
		for _, f := range e.Fixes {
			title := "Fix"
			if f.For != "" {
				title += " for " + f.For
			}
			fmt.Fprintf(&b, "\n%s:\n\n", title)
			for line := range strings.SplitSeq(Manual(f.Do), "\n") {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
	}
	return strings.ReplaceAll(b.String(), "    \n", "\n")
}

// shown is a text of an entry as Markdown: placeholders in angle brackets, which it would else take for HTML.
func shown(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", "\\*", "_", "\\_").Replace(Manual(s))
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
