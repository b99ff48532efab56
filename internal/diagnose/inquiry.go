package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Bounds on the second questions of one diagnosis.
const (
	MaxQuestions = 6
	repeats      = 2 // of them, for the check itself once more, before a proof counts
	maxTime      = 10 * time.Second
)

// Asker asks the target of a check a second question and returns what came back, judged by the check's own rules; nil if
// the question cannot be put from here. It must respect ctx and keep the check's timeout.
type Asker func(ctx context.Context, v dialect.Variation) *triage.Exchange

// Means is what an inquiry has.
type Means struct {
	Ask   Asker    // nil: no questions are asked
	Hosts []string // the public host names of the site, the best known first; never from what clients have sent
}

// inquiry is a diagnosis in the making.
type inquiry struct {
	*kase
	ctx   context.Context
	means Means
	most  int // questions beside those that repeat the check
	asked map[dialect.Variation]*kase
	log   []string
}

func newInquiry(ctx context.Context, c *kase, m Means, most int) *inquiry {
	return &inquiry{kase: c, ctx: ctx, means: m, most: most, asked: map[dialect.Variation]*kase{}}
}

// ask puts a question, once. It returns nil if there is no answer to be had: the questions are used up, the time is over,
// or it cannot be put from here.
func (in *inquiry) ask(v dialect.Variation) *kase {
	if answer, before := in.asked[v]; before {
		return answer
	}
	most := in.most
	if v.Again > 0 {
		most = MaxQuestions
	}
	if in.means.Ask == nil || len(in.log) >= most || in.ctx.Err() != nil {
		return nil
	}
	x := in.means.Ask(in.ctx, v)
	if x == nil || in.ctx.Err() != nil {
		in.asked[v] = nil // nobody was asked
		return nil
	}
	answer := newCase(x)
	answer.hosts = in.hosts
	in.asked[v] = answer
	in.log = append(in.log, fmt.Sprintf("%s: %s", v, Brief(x)))
	return answer
}

// says is the proof that a question and its answer make.
func says(v dialect.Variation, answer *kase) string {
	return fmt.Sprintf("the same request with %s: %s", v, Brief(answer.x))
}

// passes reports whether an answer is one that the check accepts.
func (c *kase) passes() bool { return c != nil && c.x.Outcome.Verdict() == triage.Pass }

// suspicion is an entry that an answer may be about.
type suspicion struct {
	entry *Entry
	clue
	tried bool // its questions were put, and have not decided
}

// suspicions are the entries that the answer may be about, the weightiest first, else in the catalogue's order.
func suspicions(c *kase, green bool) []suspicion {
	var all []suspicion
	for _, e := range catalogue {
		if e.match == nil || e.green() != green {
			continue
		}
		if found := e.match(c); found.weight > none {
			all = append(all, suspicion{entry: e, clue: found})
		}
	}
	byWeight(all)
	return all
}

func byWeight(all []suspicion) {
	slices.SortStableFunc(all, func(a, b suspicion) int { return int(b.weight) - int(a.weight) })
}

// conclude makes a diagnosis of what is left: a name if one stands out, else what is still possible and what would decide.
func conclude(c *kase, left []suspicion) *triage.Diagnosis {
	if len(left) == 0 {
		return undiagnosed(c)
	}
	first := left[0]
	if first.weight >= fits && (len(left) == 1 || left[1].weight < first.weight) {
		d := first.entry.diagnosis(c, first.evidence, triage.Likely)
		d.Candidates = codes(left[1:])
		return d
	}
	d := undiagnosed(c)
	d.Candidates = codes(left)
	for _, s := range left {
		if s.entry.Decides != "" && !s.tried {
			d.Decides = append(d.Decides, fmt.Sprintf("%s: %s", s.entry.Code, c.fill(s.entry.Decides)))
		}
	}
	return d
}

func codes(all []suspicion) []string {
	names := []string{}
	for _, s := range all {
		names = append(names, s.entry.Code)
	}
	return names
}

// inquire asks about each suspicion until one is proved.
func (in *inquiry) inquire(all []suspicion) *triage.Diagnosis {
	var left []suspicion
	proofs := map[string]string{}
	for _, s := range all {
		if s.entry.prove == nil {
			left = append(left, s)
			continue
		}
		before := len(in.log)
		found := s.entry.prove(in)
		s.tried = len(in.log) > before
		switch found.kind {
		case proved:
			if d := in.changing(); d != nil {
				return d
			}
			d := s.entry.diagnosis(in.kase, s.evidence, triage.Proved)
			d.Proof, d.Asked = found.proof, slices.Clone(in.log)
			return d
		case weakened:
			s.weight = min(s.weight, possible)
			left = append(left, s)
		case open:
			left = append(left, s)
			proofs[s.entry.Code] = found.proof
		}
	}
	if in.anyPassed() {
		if d := in.changing(); d != nil {
			return d
		}
	}
	byWeight(left)
	d := conclude(in.kase, left)
	d.Proof, d.Asked = proofs[d.Code], append([]string{}, in.log...)
	return d
}

// anyPassed reports whether some question was answered with a pass, though nothing was proved by it.
func (in *inquiry) anyPassed() bool {
	for _, answer := range in.asked {
		if answer.passes() {
			return true
		}
	}
	return false
}

// changing asks the unchanged check again, twice in a row. It returns a diagnosis if that ends otherwise than before: of a
// target that comes and goes, whatever was asked between two failures seems to be a cure. (Once would not do: servers
// that take turns answer every second question alike.)
func (in *inquiry) changing() *triage.Diagnosis {
	for n := range repeats {
		again := dialect.Variation{Again: n + 1}
		if answer := in.ask(again); answer != nil && !in.same(answer) {
			d := comesAndGoes.diagnosis(in.kase, []string{Brief(in.x), Brief(answer.x)}, triage.Proved)
			d.Proof, d.Asked = says(again, answer), slices.Clone(in.log)
			return d
		}
	}
	return nil
}

// same reports whether an answer is the one that the check had. A server that hangs up without a word does so by FIN or by
// RST as it happens to have read the request or not (RFC 9293 section 3.6.1), which is no change.
func (c *kase) same(answer *kase) bool {
	if c.silent() && answer.silent() {
		return true
	}
	return answer.x.Outcome == c.x.Outcome && answer.x.Status == c.x.Status
}

// first is the first line of a text.
func first(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
