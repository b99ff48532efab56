package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// report is the report of one load balancer's check alone.
func (s *survey) report(row *surveyRow) *checkReport {
	return &checkReport{command: s.command, question: row.question, out: s.out, err: s.err}
}

// table prints the rows, with the sum first.
func (s *survey) table() {
	sum := map[triage.Verdict]int{}
	names, results := 0, 0
	for _, row := range s.rows {
		sum[row.x.Outcome.Verdict()]++
		names = max(names, utf8.RuneCountInString(row.name()))
		results = max(results, utf8.RuneCountInString(briefResult(row.x)))
	}
	word, text := s.out.green(fmt.Sprintf("%-*s", labelWidth, verdictWords[triage.Pass])), "for "+count(len(s.rows), "load balancer")
	switch all := len(s.rows); {
	case sum[triage.Pass] == all && all > 1:
		text = "for all " + count(all, "load balancer")
	case sum[triage.Fail] > 0:
		word, text = s.out.red(fmt.Sprintf("%-*s", labelWidth, verdictWords[triage.Fail])), fmt.Sprintf("for %d of %s", sum[triage.Fail], count(all, "load balancer"))
	case sum[triage.Pass] < all:
		word, text = fmt.Sprintf("%-*s", labelWidth, verdictWords[triage.Neutral]), fmt.Sprintf("of %d of %s", sum[triage.Neutral], count(all, "load balancer"))
	}
	first := s.rows[0]
	target := shorten(s.report(first).target(first.x), lineWidth-labelWidth-len(text)-2)
	s.out.printf("%s%s  %s\n", word, s.out.safe(target), text)
	for _, row := range s.rows {
		s.row(row, names, results)
	}
	s.notes()
}

// row prints one load balancer's view: the verdict's word, whose it is, the result, the time, and why not.
func (s *survey) row(row *surveyRow, names, results int) {
	word := fmt.Sprintf("%-*s", labelWidth, strings.ToLower(verdictWords[row.x.Outcome.Verdict()]))
	switch row.x.Outcome.Verdict() {
	case triage.Pass:
		word = s.out.green(word)
	case triage.Fail:
		word = s.out.red(word)
	}
	line := fmt.Sprintf("%-*s  %-*s  %8s", names, row.name(), results, s.out.safe(briefResult(row.x)), milliseconds(row.x.Took))
	used := labelWidth + utf8.RuneCountInString(line) + 2
	room := lineWidth - used
	why := s.out.safe(row.whyNot(room))
	if room < 20 && why != "" {
		line, used = line+"\n"+strings.Repeat(" ", labelWidth), labelWidth
		why = hang(why, used)
	} else if why != "" {
		why = "  " + strings.ReplaceAll(wrap(why, room, ""), "\n", "\n"+strings.Repeat(" ", used))
	}
	s.out.printf("%s%s\n", word, line+why)
}

// name is the load balancer's, with a mark if it was asked otherwise than it can be told.
func (r *surveyRow) name() string {
	if len(r.question.departs) > 0 || r.bare {
		return string(r.question.spec.Name) + "*"
	}
	return string(r.question.spec.Name)
}

// whyNot is what the vendor shows for the failure: all of it where there is room, else the part that people search for.
func (r *surveyRow) whyNot(room int) string {
	if r.x.Outcome.Verdict() == triage.Pass {
		return ""
	}
	words := r.question.spec.WordsFor(r.x)
	if r.x.Outcome.Verdict() == triage.Neutral || words.String() == "" {
		return r.x.Outcome.Info().Sentence
	}
	fits := func(text string) bool { return text != "" && utf8.RuneCountInString(text) <= room }
	isTold := slices.Contains([]string{"unhealthy", "down", "failure", "critical", briefResult(r.x)}, strings.ToLower(words.Code))
	switch {
	case fits(words.String()) && words.Code != briefResult(r.x):
		return words.String()
	case fits(words.Code) && strings.Contains(words.Code, "."), !isTold && !fits(words.Description):
		return words.Code
	}
	return cmp.Or(words.Description, words.Code)
}

// notes prints what the table cannot show: who was asked otherwise, and who could not be asked.
func (s *survey) notes() {
	var options []string
	who := map[string][]string{}
	note := func(option string, as triage.Dialect) {
		if who[option] == nil {
			options = append(options, option)
		}
		who[option] = append(who[option], string(as))
	}
	for _, row := range s.rows {
		for _, option := range row.question.departs {
			note("altered: it has no "+option, row.question.spec.Name)
		}
		if row.bare {
			note("asked without -H, which it cannot send", row.question.spec.Name)
		}
	}
	r := s.report(s.rows[0])
	for _, option := range options {
		r.paragraph("*", fmt.Sprintf("%s: %s", strings.Join(who[option], ", "), option))
	}
	for _, no := range s.refused {
		r.paragraph("Not asked", fmt.Sprintf("%s: %s", no.as, no.err))
	}
	if len(s.silent) > 0 {
		r.paragraph("Not asked", fmt.Sprintf("no such check: %s", joinDialects(s.silent)))
	}
}

func joinDialects(names []triage.Dialect) string {
	var words []string
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, ", ")
}

// names are the load balancers of the rows. The one that was asked on comes first.
func (f surveyFinding) names() string {
	names := []triage.Dialect{}
	for _, row := range f.rows[1:] {
		names = append(names, row.question.spec.Name)
	}
	text := string(f.rows[0].question.spec.Name)
	if len(names) > 0 {
		text += "; alike: " + joinDialects(names)
	}
	return text
}

// explain prints what was found out.
func (s *survey) explain(found []surveyFinding) {
	if s.command.Quiet {
		return
	}
	for _, f := range found {
		r := s.report(f.rows[0])
		s.out.printf("\n")
		r.paragraph("As", f.names())
		if f.diagnosis != nil {
			r.why(f.rows[0].x, f.diagnosis)
		}
		for _, doubt := range f.doubts {
			r.doubt(doubt)
		}
	}
	if at := slices.IndexFunc(s.rows, func(row *surveyRow) bool { return row.x.Outcome.Verdict() == triage.Pass }); at >= 0 {
		r := s.report(s.rows[at])
		r.paragraph("Note", r.untested(s.rows[at].x))
	}
}

// warn prints the warnings of the questions, those that are the same once.
func (s *survey) warn(ctx context.Context, found []surveyFinding) {
	if s.command.JSON {
		return
	}
	var texts []string
	who := map[string][]triage.Dialect{}
	for i, row := range s.rows {
		warnings := row.question.warnings
		if i == 0 {
			warnings = row.question.warn(ctx, row.x, &row.target)
		}
		for _, w := range warnings {
			if who[w] == nil {
				texts = append(texts, w)
			}
			who[w] = append(who[w], row.question.spec.Name)
		}
	}
	for _, w := range texts {
		text := w
		if slices.Contains(s.rows[0].question.warnings, w) && len(who[w]) < len(s.rows) || !slices.Contains(who[w], s.rows[0].question.spec.Name) {
			text = joinDialects(who[w]) + ": " + w
		}
		s.err.printf("%s\n", wrap("triage: warning: "+s.err.safe(text), lineWidth, "  "))
	}
	for _, f := range found {
		for _, d := range f.doubts {
			if s.command.Quiet {
				s.err.printf("%s\n", wrap("triage: warning: "+s.err.safe(d.Title), lineWidth, "  "))
			}
		}
	}
}

// surveyJSON is the contract of triage check --as all --json: fields are only ever added.
type surveyJSON struct {
	Schema    string              `json:"schema"`
	Target    string              `json:"target"`
	Healthy   bool                `json:"healthy"` // for all of the results
	Results   []surveyResultJSON  `json:"results"`
	NotAsked  []notAskedJSON      `json:"not_asked"`
	Diagnoses []surveyFindingJSON `json:"diagnoses"`
	Doubts    []surveyFindingJSON `json:"doubts"`
}

// surveyResultJSON has the names of checkJSON.
type surveyResultJSON struct {
	At      time.Time      `json:"at"`
	Took    float64        `json:"took_ms"`
	Target  string         `json:"target"`
	Address string         `json:"address,omitempty"`
	Dialect triage.Dialect `json:"dialect"`
	Altered []string       `json:"altered,omitempty"`
	Without []string       `json:"without,omitempty"` // options that were left away for it
	Healthy bool           `json:"healthy"`
	Outcome triage.Outcome `json:"outcome"`
	Detail  string         `json:"detail,omitempty"`
	Status  int            `json:"status,omitempty"`
	Reason  dialect.Words  `json:"reason"`
}

type notAskedJSON struct {
	Dialect triage.Dialect `json:"dialect"`
	Why     string         `json:"why"`
}

type surveyFindingJSON struct {
	Dialects  []triage.Dialect  `json:"dialects"`
	Diagnosis *triage.Diagnosis `json:"diagnosis"`
}

func (s *survey) json(found []surveyFinding) error {
	report := surveyJSON{Schema: "triage.check-all/1", Target: s.report(s.rows[0]).target(s.rows[0].x), Healthy: s.code(nil) == exitOK,
		NotAsked: []notAskedJSON{}, Diagnoses: []surveyFindingJSON{}, Doubts: []surveyFindingJSON{}}
	for _, row := range s.rows {
		report.Results = append(report.Results, row.json(s.report(row)))
	}
	for _, no := range s.refused {
		report.NotAsked = append(report.NotAsked, notAskedJSON{no.as, no.err.Error()})
	}
	for _, name := range s.silent {
		report.NotAsked = append(report.NotAsked, notAskedJSON{name, "no such check"})
	}
	for _, f := range found {
		var names []triage.Dialect
		for _, row := range f.rows {
			names = append(names, row.question.spec.Name)
		}
		if f.diagnosis != nil {
			report.Diagnoses = append(report.Diagnoses, surveyFindingJSON{names, f.diagnosis})
		}
		for _, d := range f.doubts {
			report.Doubts = append(report.Doubts, surveyFindingJSON{names, d})
		}
	}
	return printJSON(s.out.w, report)
}

func (r *surveyRow) json(report *checkReport) surveyResultJSON {
	x := r.x
	result := surveyResultJSON{
		At:      x.Started,
		Took:    float64(x.Took.Microseconds()) / 1000,
		Target:  report.target(x),
		Dialect: r.question.spec.Name,
		Altered: r.question.departs,
		Healthy: x.Outcome.Verdict() == triage.Pass,
		Outcome: x.Outcome,
		Detail:  x.Detail,
		Status:  x.Status,
		Reason:  r.question.spec.WordsFor(x),
	}
	if r.bare {
		result.Without = []string{"-H"}
	}
	if x.Address.IsValid() {
		result.Address = x.Address.String()
	}
	return result
}
