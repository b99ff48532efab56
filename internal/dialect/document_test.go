package dialect

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
)

// TestDialectsDocument keeps docs/dialects.md equal to the table. Run with -update to write it.
func TestDialectsDocument(t *testing.T) {
	const file = "../../docs/dialects.md"
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
		t.Errorf("%s is old; run go test ./internal/dialect -update:\n%s", file, diff)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString("# Dialects\n\n" +
		"How each load balancer asks its health question, and how it judges the answer: what `triage check --as NAME` and\n" +
		"`health_check: {as: NAME}` do. Written from the table in internal/dialect by `make generate`; do not edit.\n\n" +
		"Each fact says how it is known: **measured** by us, from the real program or, where it says so, from a client that is set\n" +
		"up alike; **captured** on the wire and published by somebody else; **documented** by the vendor or in the source;\n" +
		"**assumed**: nobody has verified it. What was looked for and not found is marked *unknown*, with what is done instead.\n" +
		"A header that nobody knows is not sent.\n\n" +
		"| name | also | product | checks | passes |\n|---|---|---|---|---|\n")
	for _, s := range All() {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s | %s |\n", s.Name, s.Name, codes(s.Aliases), s.Title, protocols(s), s.Codes)
	}
	b.WriteString("\nThe requests below are for a target that somebody has typed as `app.example`, at the address 10.0.1.5, asked for\n" +
		"`/health` on port 8080, within 5 s, by a load balancer at 10.0.9.9 that calls the group `app` and listens on port 80.\n" +
		"What is sent over HTTP/2 is shown as its fields; in gRPC, one message follows, which names the service asked about.\n")
	for _, s := range All() {
		documentOne(&b, s)
	}
	return b.String()
}

func documentOne(b *strings.Builder, s *Spec) {
	fmt.Fprintf(b, "\n## %s\n\n%s. Checks over %s.\n\n", s.Name, s.Title, protocols(s))
	for line := range strings.Lines(wire.Quote(s.AppendRequest(nil, Example()))) {
		fmt.Fprintf(b, "    %s\n", strings.Trim(line, "\"\n"))
	}
	for _, p := range s.OverHTTP2() {
		fmt.Fprintf(b, "\nOver %s:\n\n", p)
		for _, h := range s.AppendFields(nil, ExampleOver(p)) {
			fmt.Fprintf(b, "    %s: %s\n", h.Name, h.Value)
		}
	}
	b.WriteByte('\n')
	for _, r := range s.Rules() {
		fmt.Fprintf(b, "- %s\n", r.Says)
	}
	b.WriteString("\n| about | known | |\n|---|---|---|\n")
	for _, topic := range Topics() {
		for _, f := range s.Facts {
			if f.Topic != topic {
				continue
			}
			known := f.Confidence.String()
			if f.Confidence == Assumed {
				known = "**assumed**"
			}
			says := f.Says
			if f.Source != "" {
				says += " (" + f.Source + ")"
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", topic, known, strings.ReplaceAll(says, "|", `\|`))
		}
	}
}

func codes(names []string) string {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, "`"+n+"`")
	}
	return strings.Join(quoted, ", ")
}

func protocols(s *Spec) string {
	var names []string
	for _, p := range s.Protocols {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}
