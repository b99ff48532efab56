package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// explainCommand says what is behind what somebody holds: a code of ours, the words of a vendor's console, or an answer.
type explainCommand struct {
	What []string `arg:"" optional:"" name:"WHAT" help:"A code that triage check prints (redirect-to-https), or what a console, an event or a log says, in quotes. Without it, an answer is read from standard input: what curl -i prints."`

	List         bool   `help:"List all that is known."`
	As           string `placeholder:"NAME" help:"The load balancer that judges an answer from standard input. Default: aws-alb."`
	SuccessCodes string `placeholder:"CODES" help:"Codes that pass, for an answer from standard input. Default: the load balancer's."`
	JSON         bool   `help:"Print one JSON object."`
}

// explainHelp is the hint where there is no better one.
const explainHelp = "triage explain --list shows what is known; triage check URL asks the target itself"

// Run explains.
func (c *explainCommand) Run(env *environment) error {
	r := explainReport{out: newTerminal(env, env.stdout), json: c.JSON, w: env.stdout}
	what := strings.TrimSpace(strings.Join(c.What, " "))
	if what != "" && c.List {
		return usagef("leave one of the two away", "--list shows everything, %q one thing", what)
	}
	switch {
	case c.List:
		return r.list()
	case what == "":
		return c.answer(env, r)
	}
	if e, ok := diagnose.Lookup(strings.ToLower(what)); ok {
		return r.entry(e)
	}
	if o, ok := outcomeNamed(strings.ToLower(what)); ok {
		return r.reading(what, diagnose.Reading{From: "triage", Outcome: o})
	}
	if reading, ok := diagnose.Read(what); ok {
		return r.reading(what, reading)
	}
	hint := explainHelp
	if near := triage.Nearest(strings.ToLower(what), explainable()); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, explainHelp)
	}
	return &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("nothing is known of %q", shorten(what, lineWidth)), Hint: hint}
}

// explainable is every name that can be explained.
func explainable() []string {
	var names []string
	for _, e := range diagnose.Entries() {
		names = append(names, e.Code)
	}
	for _, info := range triage.Outcomes {
		names = append(names, info.Name)
	}
	return names
}

func outcomeNamed(name string) (triage.Outcome, bool) {
	for o, info := range triage.Outcomes {
		if info.Name == name {
			return o, true
		}
	}
	return triage.NotChecked, false
}

// maxPasted is more than a terminal's scroll-back of one answer.
const maxPasted = 1 << 20

// answer explains what somebody has copied from a terminal.
func (c *explainCommand) answer(env *environment, r explainReport) error {
	if f, isFile := env.stdin.(*os.File); isFile && term.IsTerminal(int(f.Fd())) {
		return usagef(explainHelp, "what shall be explained? Write a code or a console's words behind it, or send an answer: curl -i URL | triage explain")
	}
	spec, err := chooseDialect(c.As, triage.HTTP)
	if err != nil {
		return err
	}
	codes := spec.Codes
	if c.SuccessCodes != "" {
		if codes, err = triage.ParseMatcher(c.SuccessCodes); err != nil {
			return usagef(explainHelp, "--success-codes: %s", err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(env.stdin, maxPasted))
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	x, err := diagnose.Pasted(text, codes)
	if err != nil {
		if reading, ok := diagnose.Read(string(text)); ok { // somebody has piped a log's line
			return r.reading(strings.TrimSpace(string(text)), reading)
		}
		return usagef("send what curl -i prints: curl -i URL | triage explain", "%s", err)
	}
	x.Dialect = spec.Name
	return r.answer(spec, x)
}

// explainReport prints explanations.
type explainReport struct {
	out  *terminal
	w    io.Writer
	json bool
}

func (r explainReport) paragraph(label, text string) {
	if text != "" {
		r.out.label(label, wrap(text, lineWidth-labelWidth, ""))
	}
}

// list prints the catalogue, a line for each entry.
func (r explainReport) list() error {
	if r.json {
		report := explainJSON{Schema: "triage.explain/1", Entries: []entryJSON{}}
		for _, e := range diagnose.Entries() {
			report.Entries = append(report.Entries, newEntryJSON(e))
		}
		return printJSON(r.w, report)
	}
	var stage diagnose.Stage
	for _, e := range diagnose.Entries() {
		if e.Stage != stage {
			stage = e.Stage
			r.out.printf("%s\n", r.out.bold(string(stage)))
		}
		r.out.printf("  %s\n", e.Code)
		for line := range strings.SplitSeq(wrap(diagnose.Manual(e.Title), lineWidth-6, ""), "\n") {
			r.out.printf("      %s\n", r.out.dim(line))
		}
	}
	return nil
}

// entry prints one entry.
func (r explainReport) entry(e *diagnose.Entry) error {
	if r.json {
		return printJSON(r.w, explainJSON{Schema: "triage.explain/1", Entries: []entryJSON{newEntryJSON(e)}})
	}
	between, title := "  ", diagnose.Manual(e.Title)
	if len(e.Code)+len(between)+len(title) > lineWidth {
		between, title = "\n    ", wrap(title, lineWidth-4, "    ")
	}
	r.out.printf("%s%s%s\n", r.out.bold(e.Code), between, title)
	r.paragraph("Stage", string(e.Stage))
	r.paragraph("Seen", diagnose.Manual(e.Seen))
	r.paragraph("Cause", diagnose.Manual(e.Cause))
	r.paragraph("Decide", diagnose.Manual(e.Decides))
	for _, f := range e.Fixes {
		if f.For == "" {
			r.out.label("Fix", diagnose.Manual(f.Do))
			continue
		}
		r.out.printf("%s\n", r.out.dim("Fix for "+f.For))
		r.out.label("", diagnose.Manual(f.Do))
	}
	if e.Wrong.Fix != "" {
		r.paragraph("Wrong fix", diagnose.Manual(e.Wrong.Fix+": "+e.Wrong.Cost))
	}
	r.paragraph("Known from", strings.Join(e.Sources, "; "))
	return nil
}

// mostSuspects is how many causes are shown of those that a text may mean.
const mostSuspects = 14

// reading prints what a vendor's words mean.
func (r explainReport) reading(text string, read diagnose.Reading) error {
	suspects := read.Suspects()
	if r.json {
		report := explainJSON{Schema: "triage.explain/1", Text: text, From: read.From, Dialect: read.Dialect, Means: meaning(read), Status: read.Status, Entries: []entryJSON{}, Decide: decideCommand(read)}
		for _, e := range suspects {
			report.Entries = append(report.Entries, newEntryJSON(e))
		}
		return printJSON(r.w, report)
	}
	r.paragraph("From", read.From)
	r.paragraph("Means", meaning(read))
	if len(suspects) == 1 {
		r.out.printf("\n")
		return r.entry(suspects[0])
	}
	label := "Could be"
	for _, e := range suspects[:min(len(suspects), mostSuspects)] {
		r.out.label(label, e.Code)
		for line := range strings.SplitSeq(wrap(diagnose.Manual(e.Title), lineWidth-labelWidth-4, ""), "\n") {
			r.out.label("", "    "+line)
		}
		label = ""
	}
	if more := len(suspects) - mostSuspects; more > 0 {
		r.out.label("", fmt.Sprintf("and %d more", more))
	}
	r.paragraph("Decide", decideCommand(read))
	return nil
}

// meaning is what a reading says of a check, in a sentence.
func meaning(read diagnose.Reading) string {
	said := read.Means
	if said == "" && read.Outcome != triage.NotChecked {
		said = read.Outcome.Info().Sentence
	}
	if read.Status != 0 && read.Means == "" {
		said += fmt.Sprintf(" (%d)", read.Status)
	}
	return said
}

// decideCommand is the one command that decides; "" where no check has failed.
func decideCommand(read diagnose.Reading) string {
	if read.Code != "" || read.Dialect == "" {
		if read.Outcome.Verdict() != triage.Fail {
			return ""
		}
	}
	as := string(read.Dialect)
	if as == "" {
		as = "NAME"
	}
	return "on a machine that reaches the target as the load balancer does:\n    triage check --as " + as + " http://TARGET:PORT/PATH"
}

// answer prints what an answer from standard input means.
func (r explainReport) answer(spec *dialect.Spec, x *triage.Exchange) error {
	d := diagnose.Look(x)
	if r.json {
		return printJSON(r.w, explainJSON{Schema: "triage.explain/1", Dialect: spec.Name, Status: x.Status, Entries: []entryJSON{}, Diagnosis: d})
	}
	verdict := r.out.green(fmt.Sprintf("%-*s", labelWidth, "HEALTHY"))
	if d != nil {
		verdict = r.out.red(fmt.Sprintf("%-*s", labelWidth, "UNHEALTHY"))
	}
	r.out.printf("%s%s  %d\n", verdict, spec.Name, x.Status)
	if name, ok := diagnose.LoadBalancer(x); ok {
		r.paragraph("Note", fmt.Sprintf("the answer is from %s, a load balancer in front of the targets: ask the target itself", name))
	}
	if d == nil {
		r.paragraph("Note", fmt.Sprintf("%s passes for %s, so nothing is to be explained; triage check URL also doubts what passes", fmt.Sprint(x.Status), spec.Title))
		return nil
	}
	if d.Code != diagnose.Undiagnosed {
		r.paragraph("Probably", d.Cause)
		r.out.label("Fix", d.Fix)
		r.paragraph("Wrong fix", d.WrongFix)
		r.paragraph("Code", d.Code)
		return nil
	}
	r.paragraph("Seen", d.Cause)
	label := "Could be"
	for _, code := range d.Candidates {
		if e, ok := diagnose.Lookup(code); ok {
			r.out.label(label, code)
			r.out.label("", wrap("    "+diagnose.Manual(e.Title), lineWidth-labelWidth, "    "))
			label = ""
		}
	}
	label = "Decide"
	for _, one := range d.Decides {
		r.paragraph(label, one)
		label = ""
	}
	r.paragraph("Next", diagnose.Next(x))
	return nil
}

// explainJSON is the contract of triage explain --json: fields are only ever added.
type explainJSON struct {
	Schema    string            `json:"schema"`
	Text      string            `json:"text,omitempty"`
	From      string            `json:"from,omitempty"` // who writes so
	Dialect   triage.Dialect    `json:"dialect,omitempty"`
	Means     string            `json:"means,omitempty"`
	Status    int               `json:"status,omitempty"`
	Decide    string            `json:"decide,omitempty"` // the command that decides
	Diagnosis *triage.Diagnosis `json:"diagnosis,omitempty"`
	Entries   []entryJSON       `json:"entries"` // the likeliest first
}

// entryJSON is an entry of the catalogue. Texts hold placeholders in braces.
type entryJSON struct {
	Code     string         `json:"code"`
	Title    string         `json:"title"`
	Stage    diagnose.Stage `json:"stage"`
	Severity string         `json:"severity"` // failing, warning
	Seen     string         `json:"seen"`
	Cause    string         `json:"cause"`
	Decides  string         `json:"decides,omitempty"`
	Fixes    []fixJSON      `json:"fixes"`
	Wrong    *wrongJSON     `json:"wrong_fix,omitempty"`
	Sources  []string       `json:"sources"`
	Unseen   bool           `json:"unseen"` // no check sees it
}

type fixJSON struct {
	For string `json:"for,omitempty"` // absent: for all software
	Do  string `json:"do"`
}

type wrongJSON struct {
	Fix  string `json:"fix"`
	Cost string `json:"cost"`
}

func newEntryJSON(e *diagnose.Entry) entryJSON {
	j := entryJSON{
		Code: e.Code, Title: e.Title, Stage: e.Stage, Severity: "failing", Seen: e.Seen, Cause: e.Cause, Decides: e.Decides,
		Fixes: []fixJSON{}, Sources: append([]string{}, e.Sources...), Unseen: e.Unseen,
	}
	if e.Severity == diagnose.Warning {
		j.Severity = "warning"
	}
	for _, f := range e.Fixes {
		j.Fixes = append(j.Fixes, fixJSON{f.For, f.Do})
	}
	if e.Wrong.Fix != "" {
		j.Wrong = &wrongJSON{e.Wrong.Fix, e.Wrong.Cost}
	}
	return j
}
