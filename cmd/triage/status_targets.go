package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
)

// targetReport prints the targets of one group: each in a row, as long as they fit on a screen, else those together that
// are alike.
type targetReport struct {
	statusReport
	group control.GroupStatus
	told  map[string]bool // illnesses whose cure, or next step, stands there already

	stateWidth, nameWidth, lastWidth int // of the columns
}

// fewTargets is how many are shown one by one without being asked for.
const fewTargets = 20

func (r targetReport) print() {
	targets := r.group.Targets
	if len(targets) == 0 {
		return
	}
	large := len(targets) > fewTargets
	if large { // who is sick must not be looked for
		targets = slices.Clone(targets)
		slices.SortStableFunc(targets, func(a, b control.TargetStatus) int { return cmp.Compare(urgency(a), urgency(b)) })
	}
	r.measure(targets)
	r.printf("%s\n", r.dim(fmt.Sprintf("  %-*s  %-*s  %-*s  SINCE", r.stateWidth+2, "STATE", r.nameWidth, "TARGET", r.lastWidth, "LAST CHECK")))
	if large && !r.all {
		r.blocks(targets)
		return
	}
	for _, t := range targets {
		r.row(t, r.state(t.State, r.stateWidth))
		r.notes(t)
	}
}

// How much a target wants to be looked at, the most first.
const (
	isIll = iota
	isDoubted
	isNotable // not in rotation, or about to leave it
	isQuiet
)

func urgency(t control.TargetStatus) int {
	switch {
	case isSick(t):
		return isIll
	case !t.Trusted:
		return isDoubted
	case t.State != triage.Healthy || t.Streak > 0:
		return isNotable
	}
	return isQuiet
}

// measure makes the columns as wide as what they hold.
func (r *targetReport) measure(targets []control.TargetStatus) {
	r.stateWidth, r.nameWidth, r.lastWidth = len("STATE")-2, len("TARGET"), len("LAST CHECK")
	for _, t := range targets {
		r.stateWidth = max(r.stateWidth, len(t.State.String()))
		r.nameWidth = max(r.nameWidth, utf8.RuneCountInString(targetName(t)))
		r.lastWidth = max(r.lastWidth, len(r.lastCheck(t.LastCheck)))
	}
	r.nameWidth = min(r.nameWidth, lineWidth-len("  ● ")-r.stateWidth-r.lastWidth-len("      47 days"))
}

// row prints one target. Its state may be blank.
func (r targetReport) row(t control.TargetStatus, state string) {
	name := r.safe(targetName(t))
	r.printf("  %-*s  %-*s", 2+r.stateWidth, state, r.nameWidth, name)
	if utf8.RuneCountInString(name) > r.nameWidth { // too long for its column: the rest goes below
		r.printf("\n%*s", 2+r.stateWidth+2+2+r.nameWidth, "")
	}
	r.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-*s  %s", r.lastWidth, r.lastCheck(t.LastCheck), r.since(t)), " "))
}

// notes prints what is to be said about a target, and what to do.
func (r targetReport) notes(t control.TargetStatus) {
	for _, line := range notes(r.group, t) {
		r.note(line)
	}
	r.cure(t)
}

func (r targetReport) note(line string) {
	r.printf("    %s\n", wrap(r.safe(line), lineWidth-4, "    "))
}

// block is targets of the same state about which the same is to be said.
type block struct {
	targets []control.TargetStatus
	words   []string
}

const (
	blockExamples = 5  // targets of a block that are shown
	mostBlocks    = 12 // of one urgency; the targets of further ones are counted
)

// blocks prints targets that are alike together. They come in the order of their urgency.
func (r targetReport) blocks(targets []control.TargetStatus) {
	for len(targets) > 0 {
		n := 1
		for n < len(targets) && urgency(targets[n]) == urgency(targets[0]) {
			n++
		}
		all := r.alike(targets[:n])
		rest := 0
		for i, b := range all {
			if i < mostBlocks {
				r.block(b)
			} else {
				rest += len(b.targets)
			}
		}
		if rest > 0 {
			r.more(rest, " in other ways")
		}
		targets = targets[n:]
	}
}

// alike puts targets of the same state and words together, the most first.
func (r targetReport) alike(targets []control.TargetStatus) []block {
	var blocks []block
	known := map[string]int{}
	for _, t := range targets {
		words := commonNotes(r.group, t)
		key := t.State.String() + "\n" + strings.Join(words, "\n")
		i, ok := known[key]
		if !ok {
			i = len(blocks)
			known[key] = i
			blocks = append(blocks, block{words: words})
		}
		blocks[i].targets = append(blocks[i].targets, t)
	}
	slices.SortStableFunc(blocks, func(a, b block) int { return cmp.Compare(len(b.targets), len(a.targets)) })
	return blocks
}

// commonNotes is [notes] in words that are the same for all targets that are alike.
func commonNotes(g control.GroupStatus, t control.TargetStatus) []string {
	if t.State == triage.Draining {
		return []string{t.Description}
	}
	if t.Diagnosis != nil && t.Diagnosis.Code == diagnose.Undiagnosed {
		t.Diagnosis = nil // it says what was seen, and in a mass failure only the first targets have one
	}
	words := notes(g, t)
	for i := range words {
		words[i] = withoutAddress(words[i], t)
	}
	return words
}

// withoutAddress is a text in which the target does not name itself.
func withoutAddress(text string, t control.TargetStatus) string {
	own := []string{t.Address, string(t.Target)}
	if ap, err := netip.ParseAddrPort(t.Address); err == nil { // a Host header may lack the port
		own = append(own, ap.Addr().String())
	}
	for _, name := range own {
		if name != "" {
			text = strings.ReplaceAll(text, name, "ADDRESS")
		}
	}
	return text
}

func (r targetReport) block(b block) {
	first, n := b.targets[0], len(b.targets)
	quiet := urgency(first) == isQuiet
	if n == 1 || quiet && n <= fewTargets {
		for _, t := range b.targets {
			r.row(t, r.state(t.State, r.stateWidth))
			r.notes(t)
		}
		return
	}
	r.printf("  %d × %s\n", n, r.state(first.State, 0))
	if quiet {
		return
	}
	for _, line := range b.words {
		r.note(line)
	}
	for _, t := range b.targets[:min(n, blockExamples)] {
		r.row(t, "")
	}
	if n > blockExamples {
		r.more(n-blockExamples, "")
	}
	r.cure(first)
}

// more says how to see those who are left out.
func (r targetReport) more(n int, how string) {
	r.printf("    %s\n", r.dim(fmt.Sprintf("… %d more%s: triage status %s --all", n, how, r.group.Name)))
}

// cure prints what to do about a sick target: the cure if it is known, else how to find out more. Once is enough for all
// that have the same illness.
func (r targetReport) cure(t control.TargetStatus) {
	if !isSick(t) {
		return
	}
	if t.Diagnosis != nil {
		r.proof(t.Diagnosis)
	}
	if d := t.Diagnosis; d != nil && d.Fix != "" {
		if !r.told[d.Code] {
			r.told[d.Code] = true
			r.fix(d.Fix)
			if d.WrongFix != "" {
				r.under("wrong fix: ", d.WrongFix)
			}
		}
		return
	}
	next, illness := nextCheck(r.group.HealthCheck, t), withoutAddress(cause(t), t)
	if next == nil || r.told[illness] {
		return
	}
	r.told[illness] = true
	const label = "    next: "
	for i := range next {
		next[i] = r.safe(next[i])
	}
	r.printf("%s%s\n", label, strings.Join(commandLines(next, lineWidth-len(label)), "\n"+strings.Repeat(" ", len(label))))
}

// proof prints how it is known why a target is sick; or what it may be, if nobody knows.
func (r targetReport) proof(d *triage.Diagnosis) {
	if d.Certainty == triage.Proved && d.Proof != "" {
		r.under("proof: ", d.Proof)
	}
	if d.Certainty == triage.Unknown && len(d.Candidates) > 0 && !r.told[strings.Join(d.Candidates, " ")] {
		r.told[strings.Join(d.Candidates, " ")] = true
		r.under("could be: ", strings.Join(d.Candidates, ", ")+" (triage explain CODE)")
	}
}

// under prints a text below a target, its label in front.
func (r statusReport) under(label, text string) {
	r.printf("    %s%s\n", label, wrap(r.safe(text), lineWidth-4-len(label), "      "))
}

// fix prints a cure. Its lines that are indented are code, which stays as it is.
func (r statusReport) fix(text string) {
	for i, line := range strings.Split(text, "\n") {
		if i == 0 {
			line = "fix: " + line
		}
		line = r.safe(line)
		if !strings.HasPrefix(line, " ") {
			line = wrap(line, lineWidth-4, "    ")
		}
		r.printf("    %s\n", line)
	}
}

// targetName is the target as written, with its address if that is another text.
func targetName(t control.TargetStatus) string {
	if t.Address == "" || t.Address == string(t.Target) {
		return string(t.Target)
	}
	return fmt.Sprintf("%s (%s)", t.Target, t.Address)
}

// lastCheck is the newest check in a few words: what came back, and when.
func (r targetReport) lastCheck(c *control.CheckView) string {
	if c == nil {
		return "-"
	}
	result := c.Outcome.String()
	switch {
	case r.group.HealthCheck.GRPCCodes != "" && (c.Outcome == triage.Matched || c.Outcome == triage.GRPCMismatch):
		result = fmt.Sprintf("%s in %s", triage.GRPCCodeText(c.Status), took(c.Took))
	case c.Outcome == triage.Matched || c.Outcome == triage.CodeMismatch:
		result = fmt.Sprintf("%d in %s", c.Status, took(c.Took))
	case c.Outcome.Verdict() == triage.Pass:
		result += " in " + took(c.Took)
	}
	return fmt.Sprintf("%s, %s ago", result, span(r.now.Sub(c.At)))
}

// took is a duration in milliseconds, in at most 6 columns.
func took(ms float64) string {
	switch {
	case ms < 1:
		return "<1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

func (r statusReport) since(t control.TargetStatus) string {
	if t.Since == nil || t.State == triage.Draining || t.State == triage.Unused {
		return "-"
	}
	return span(r.now.Sub(*t.Since))
}

// span is a length of time as people say it, to one unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// notes is what is to be said about a target: why it is not in rotation, or how near it is to a change.
func notes(g control.GroupStatus, t control.TargetStatus) []string {
	var lines []string
	switch {
	case isSick(t):
		lines = append(lines, cause(t))
		if t.HeldUntil != nil {
			lines = append(lines, heldDown(g.HealthCheck, t))
		} else if t.Streak > 0 {
			lines = append(lines, counted(g.HealthCheck, t, "passed", g.HealthCheck.HealthyThreshold, "bring it back"))
		}
	case t.State == triage.Draining:
		lines = append(lines, fmt.Sprintf("%s; %s still running", t.Description, count(int(t.InFlight), "request")))
		if t.Reason == triage.AdministrativelyDraining {
			lines = append(lines, fmt.Sprintf("back with: triage target undrain %s %s", g.Name, t.Target))
		}
	case t.Streak > 0:
		lines = append(lines, counted(g.HealthCheck, t, "failed", g.HealthCheck.UnhealthyThreshold, "take it out"))
	}
	if !t.Trusted {
		lines = append(lines, doubt(t))
	}
	return lines
}

// counted says how near a target is to a change of its state.
func counted(h control.HealthCheckView, t control.TargetStatus, how string, threshold int, does string) string {
	if h.ThresholdWindow != 0 {
		return fmt.Sprintf("%d of the last %d checks %s: %d %s", t.Streak, h.ThresholdWindow, how, threshold, does)
	}
	return fmt.Sprintf("the last check %s: %d of %d that %s", how, t.Streak, threshold, does)
}

// heldDown says for how long a target stays out that works again.
func heldDown(h control.HealthCheckView, t control.TargetStatus) string {
	return fmt.Sprintf("works again, but is held down until %s at the earliest, since it comes and goes: it would be return number %d within %s",
		t.HeldUntil.Local().Format(time.TimeOnly), t.Return, h.HoldDownWindow)
}

// doubt says why the checks of a target are not trustworthy, and what to do about that.
func doubt(t control.TargetStatus) string {
	why := "the last checks ended by our own fault"
	c := t.LastCheck
	if c != nil && c.Outcome == triage.RedirectElsewhere {
		return "? not trustworthy: the answer redirects to another host, which triage does not ask, so the state is old " +
			"news. Let the health path answer by itself, or make that host the target"
	}
	if c != nil && c.Outcome.Verdict() == triage.Neutral {
		why += " (" + c.Outcome.String() + ")"
	}
	if c != nil && strings.Contains(c.Detail, "source address") {
		return "? not trustworthy: the checks cannot be sent (" + c.Detail + "), so the state is old news. Let source_address be " +
			"an address of the balancer's machine, of the targets' sort"
	}
	return "? not trustworthy: " + why + ", so the state is old news. Raise the balancer's limit of open files " +
		"(ulimit -n, or LimitNOFILE= of systemd), or give it fewer targets"
}

// cause is why a target is unhealthy, as exactly as it is known.
func cause(t control.TargetStatus) string {
	if d := t.Diagnosis; d != nil && d.Cause != "" {
		if d.Certainty == triage.Likely {
			return "probably: " + d.Cause
		}
		return d.Cause
	}
	var said []string
	if t.Description != "" {
		said = append(said, t.Description)
	}
	if c := t.LastCheck; c != nil && c.Outcome.Verdict() == triage.Fail && c.Outcome != triage.CodeMismatch {
		said = append(said, c.Outcome.Info().Sentence)
		if c.Detail != "" {
			said = append(said, c.Detail)
		}
	}
	if len(said) == 0 {
		return "the name has no address"
	}
	return strings.Join(said, ": ")
}
