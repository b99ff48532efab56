package diagnose

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose/testdata/recording"
	"github.com/triage-lb/triage/internal/dialect"
)

// loadRecordings returns the recordings that the entries are written from, and those that nobody looks at when writing entries.
func loadRecordings(t *testing.T) (recorded, heldout []recording.File) {
	t.Helper()
	complete := func(folder string) (files []recording.File) {
		for _, f := range recording.Load(t, "testdata/"+folder) {
			if f.Check == nil {
				t.Errorf("%s was never captured: run make capture", f.Name)
				continue
			}
			files = append(files, f)
		}
		return files
	}
	return complete("recorded"), complete("heldout")
}

// replay is what is said of a recorded check: the code of a failure, or those of the doubts about a pass.
func replay(f *recording.File, change func(*triage.Exchange) *triage.Exchange) (look, ask []string) {
	check := change(f.Check)
	means := Means{Hosts: f.HostNames(), Ask: func(_ context.Context, v dialect.Variation) *triage.Exchange {
		if x := f.Ask(v); x != nil {
			return change(x)
		}
		return nil
	}}
	if check.Outcome.Verdict() == triage.Pass {
		for _, d := range Doubt(context.Background(), check, means) {
			ask = append(ask, d.Code)
		}
		return nil, ask
	}
	return []string{Look(check).Code}, []string{Ask(context.Background(), check, means).Code}
}

func unchanged(x *triage.Exchange) *triage.Exchange { return x }

// grade is how well a case was judged.
type grade uint8

const (
	gradeRight grade = iota
	gradeUndecided
	gradeWrong
)

// graded compares what was said with what is so. Saying less than is so is no mistake; saying something else is.
func graded(said, wanted []string) grade {
	for _, code := range said {
		if code != Undiagnosed && !slices.Contains(wanted, code) {
			return gradeWrong
		}
	}
	for _, code := range wanted {
		if code == recording.None || slices.Contains(said, code) {
			return gradeRight
		}
	}
	return gradeUndecided
}

// heldOut is the origin, in the table of scores, of what entries were not written from.
const heldOut = "held out"

// scores counts grades by stage and origin.
type scores map[[2]string]*[3]int

func (s scores) add(stage, origin string, g grade) {
	for _, row := range [][2]string{{stage, origin}, {"all", origin}} {
		if s[row] == nil {
			s[row] = new([3]int)
		}
		s[row][g]++
	}
}

// String is the table.
func (s scores) String() string {
	out := fmt.Sprintf("%-16s %-10s %6s %10s %6s\n", "stage", "origin", "right", "undecided", "wrong")
	byName := func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }
	for _, row := range slices.SortedFunc(maps.Keys(s), byName) {
		n := s[row]
		out += fmt.Sprintf("%-16s %-10s %6d %10d %6d\n", row[0], row[1], n[gradeRight], n[gradeUndecided], n[gradeWrong])
	}
	return out
}

// TestScore replays all recordings and prints how many are judged rightly, by stage and origin. Not one may be wrong.
// (make diagnose-score)
func TestScore(t *testing.T) {
	table := scores{}
	judge := func(f *recording.File, origin string) {
		wanted := f.Wanted()
		look, ask := replay(f, unchanged)
		if graded(look, atFirstSight(f)) == gradeWrong {
			t.Errorf("%s: the first look says %s, and it is %s", f.Name, look, wanted)
		}
		g := graded(ask, wanted)
		switch g {
		case gradeWrong:
			t.Errorf("%s: the diagnosis is %s, and it is %s", f.Name, ask, wanted)
		case gradeUndecided: // of what is held out nobody is told more than how many
			if origin != heldOut {
				t.Logf("undecided: %s is %s", f.Name, strings.Join(wanted, " or "))
			}
		}
		table.add(stageOf(wanted[0]), origin, g)
	}
	recorded, heldout := loadRecordings(t)
	for i := range recorded {
		judge(&recorded[i], recorded[i].Get(recording.Origin))
	}
	for i := range heldout {
		judge(&heldout[i], heldOut)
	}
	t.Logf("\n%s", table)
}

// atFirstSight are the codes that are right before anybody has asked further: also those that cover what is so.
func atFirstSight(f *recording.File) []string {
	wanted := f.Wanted()
	for _, e := range catalogue {
		if slices.ContainsFunc(e.Covers, func(code string) bool { return slices.Contains(f.Wanted(), code) }) {
			wanted = append(wanted, e.Code)
		}
	}
	return wanted
}

// stageOf is where a case stands in the table of scores.
func stageOf(code string) string {
	switch code {
	case Undiagnosed:
		return "no entry"
	case recording.None:
		return "healthy"
	}
	if e, known := Lookup(code); known {
		return string(e.Stage)
	}
	return "(no such code)"
}

// TestMutations takes one mark after the other out of what servers answered: a field of the head, a line of the content, a
// word of it. The status stays. Whatever an entry goes by may then be missing, but nothing else may take its place.
func TestMutations(t *testing.T) {
	recorded, _ := loadRecordings(t)
	for i := range recorded {
		f := &recorded[i]
		for what, change := range mutations(f) {
			look, ask := replay(f, change)
			if graded(look, atFirstSight(f)) == gradeWrong || graded(ask, f.Wanted()) == gradeWrong {
				t.Errorf("%s without %s is diagnosed as %s, then %s, and it is %s", f.Name, what, look, ask, f.Wanted())
			}
		}
	}
}

// mutations are the changes to be made to a case: to all its answers, and of a failure to the check's alone. (Doubts compare a
// check that passes with other answers, so there a difference is news.)
func mutations(f *recording.File) map[string]func(*triage.Exchange) *triage.Exchange {
	all := map[string]func(*triage.Exchange) *triage.Exchange{}
	add := func(what string, change func(x *triage.Exchange)) {
		changed := func(x *triage.Exchange) *triage.Exchange {
			c := x.Clone()
			change(c)
			return c
		}
		all[what+" everywhere"] = changed
		if f.Check.Outcome.Verdict() == triage.Pass {
			return
		}
		all[what+" in the check"] = func(x *triage.Exchange) *triage.Exchange {
			if x != f.Check {
				return x
			}
			return changed(x)
		}
	}
	for _, line := range fieldLines(f.Check.Head) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		add(string(name), func(x *triage.Exchange) { x.Head = withoutField(x.Head, name) })
	}
	for line := range bytes.Lines(f.Check.Body) {
		if len(bytes.TrimSpace(line)) > 0 {
			add(fmt.Sprintf("the line %q", line), blanked(bytes.TrimRight(line, "\r\n")))
		}
	}
	for _, word := range longWord.FindAll(f.Check.Body, -1) {
		add(fmt.Sprintf("the word %q", word), blanked(word))
	}
	if len(f.Check.Body) > 0 {
		add("its content", func(x *triage.Exchange) { x.Body = bytes.Repeat([]byte("x"), len(x.Body)) })
	}
	return all
}

var longWord = regexp.MustCompile(`[A-Za-z]{6,}`)

// blanked puts as many letters in the place of a text.
func blanked(text []byte) func(*triage.Exchange) {
	return func(x *triage.Exchange) {
		x.Body = bytes.ReplaceAll(x.Body, text, bytes.Repeat([]byte("x"), len(text)))
	}
}

// fieldLines are the lines of a head below its first; none if it is not one of HTTP.
func fieldLines(head []byte) [][]byte {
	if !bytes.HasPrefix(head, []byte("HTTP/")) {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(head), []byte("\r\n"))
	return lines[1:]
}

func withoutField(head, name []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(head) {
		if before, _, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(before, name) {
			continue
		}
		kept = append(kept, line...)
	}
	return kept
}

// suspected are the codes of a recording's diagnoses, and of what else they leave possible.
func suspected(f *recording.File) []string {
	if f.Check.Outcome.Verdict() == triage.Pass {
		_, codes := replay(f, unchanged)
		return codes
	}
	d := Look(f.Check)
	_, proved := replay(f, unchanged)
	return slices.Concat(proved, d.Candidates, []string{d.Code})
}

// unrecorded are the outcomes of failures that no recording has, and why. All others must be reached.
var unrecorded = map[triage.Outcome]string{}

// unreached are the entries that no recording reaches, and why. The tests of their stages hold them.
var unreached = map[string]string{
	"resolver-unavailable":   "servers are recorded by address, so no name is asked for",
	"mesh-wants-its-own-tls": "no service mesh was at hand: it is a candidate, and never named",
	"host-header-missing":    "no dialect asks over HTTP/1.1 without Host",
	"host-header-empty":      "no dialect sends an empty Host",
	"path-without-slash":     "triage sends no such path",
	"http-version-refused":   "no dialect asks in a version that is refused",
	"comes-and-goes":         "a recording answers the same question always alike",
	"only-health-works":      "it takes repeated answers, which a recording does not have",
}

// TestCoverage: each way to fail is recorded, or it is said why not, and all are answered for; each entry that can be seen
// is reached by a recording.
func TestCoverage(t *testing.T) {
	recorded, heldout := loadRecordings(t)
	outcomes, codes := map[triage.Outcome]bool{}, map[string]bool{}
	for _, f := range slices.Concat(recorded, heldout) {
		outcomes[f.Check.Outcome] = true
	}
	for i := range recorded {
		for _, code := range suspected(&recorded[i]) {
			codes[code] = true
		}
	}
	for o, info := range triage.Outcomes {
		if info.Verdict != triage.Fail {
			continue
		}
		if why := unrecorded[o]; outcomes[o] == (why != "") {
			t.Errorf("outcome %s: recorded %v, although: %q", o, outcomes[o], why)
		}
		if d := Look(&triage.Exchange{Outcome: o, Timing: triage.NoTiming()}); d == nil || d.Code == "" || d.Cause == "" {
			t.Errorf("outcome %s by itself: %+v", o, d)
		}
	}
	for _, e := range catalogue {
		if why := unreached[e.Code]; e.match != nil && codes[e.Code] == (why != "") {
			t.Errorf("%s: a recording reaches it %v, although: %q", e.Code, codes[e.Code], why)
		}
	}
}

// TestRecordingsAreFaithful: what is read is what was written, and a recording says all that it must.
func TestRecordingsAreFaithful(t *testing.T) {
	recorded, heldout := loadRecordings(t)
	for _, f := range slices.Concat(recorded, heldout) {
		again, err := recording.Parse(f.Format())
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if !bytes.Equal(again.Format(), f.Format()) {
			t.Errorf("%s is not the same when it is written and read", f.Name)
		}
		switch f.Get(recording.Origin) {
		case "captured":
			if f.Get(recording.Program) == "" || f.Get(recording.Captured) == "" {
				t.Errorf("%s does not say what was captured, and when", f.Name)
			}
		case "synthetic":
			if f.Get(recording.Why) == "" {
				t.Errorf("%s does not say why it is made up", f.Name)
			}
		default:
			t.Errorf("%s has the origin %q", f.Name, f.Get(recording.Origin))
		}
		for _, code := range f.Wanted() {
			if _, known := Lookup(code); !known && code != Undiagnosed && code != recording.None {
				t.Errorf("%s wants %s, and there is no such code", f.Name, code)
			}
		}
		if len(f.Wanted()) == 0 || f.Check.Outcome.Verdict() == triage.Neutral {
			t.Errorf("%s does not say what it is a recording of", f.Name)
		}
	}
}

// TestRecordedBytes: whatever a server sends can be written and read.
func TestRecordedBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"\r\n", "\n", "\r", `\`, `\r`, `"`, "-- check --", "ö", "\x00", "\xff", "text"})
		sent := []byte(strings.Join(rapid.SliceOf(part).Draw(t, "parts"), ""))
		for _, crlf := range []bool{true, false} {
			text := recording.Text(sent, crlf)
			if read, err := recording.Bytes(text, crlf); err != nil || !bytes.Equal(read, sent) {
				t.Fatalf("%q is written as\n%s\nand read as %q, %v", sent, text, read, err)
			}
		}
	})
}
