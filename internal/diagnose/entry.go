package diagnose

import "github.com/triage-lb/triage"

// Entry is one known illness: a row of the catalogue. Its texts hold placeholders, {path} or {host}, which a diagnosis
// fills with what was seen.
type Entry struct {
	Code     string // stable, kebab-case
	Title    string // a few words
	Stage    Stage
	Seen     string // what it looks like from outside
	Cause    string // one sentence, without a full stop
	Decides  string // the second question that separates it from its look-alikes; "" if the answer alone does
	Fixes    []Fix  // what to change, by software; one with For "" is for all others
	Wrong    Wrong  // what people do instead
	Sources  []string
	Covers   []string // codes of more particular causes, of which this one is true as well
	Unseen   bool     // nothing that a check sees leads here: it is for those who look it up
	Severity Severity

	// match looks at the answer alone. nil for what is Unseen.
	match func(*kase) clue

	// prove asks second questions. nil if there is nothing to ask: then the answer alone has to do.
	prove func(*inquiry) finding

	// tell gives cause and fix where they depend on more than placeholders; nil: as Cause and Fixes say.
	tell func(*kase) (cause, fix string)
}

// Stage is the part of a check, or of a target's life, to which an illness belongs.
type Stage string

// The stages, in the order of the catalogue.
const (
	StageResolve       Stage = "resolve"
	StageConnect       Stage = "connect"
	StageTLS           Stage = "tls"
	StageHTTP          Stage = "http"
	StageStatus        Stage = "status"
	StageRedirect      Stage = "redirect"
	StageHost          Stage = "host"
	StageAuth          Stage = "auth"
	StageBody          Stage = "body"
	StageTiming        Stage = "timing"
	StageFlapping      Stage = "flapping"
	StageFalsePositive Stage = "false-positive"
)

// Severity is what an illness does.
type Severity string

// The severities.
const (
	Failing Severity = ""        // the check fails
	Warning Severity = "warning" // the check passes, and should not be believed as it is
)

// Fix is what to change in one kind of software.
type Fix struct {
	For string // a name among marks, or one that no answer shows; "" for all
	Do  string // lines; the first says where
}

// Wrong is a cure that is popular and makes things worse.
type Wrong struct {
	Fix  string // what people do
	Cost string // what it costs
}

// clue is what an answer tells about an entry.
type clue struct {
	weight   weight
	evidence []string // what in the answer leads here, for people
}

// weight is how much a clue is worth.
type weight uint8

const (
	none     weight = iota
	possible        // one of several illnesses that look like this: without a proof it is not named
	fits            // the usual reason for such an answer
	sure            // words or bytes that only this illness has
)

// no is the clue of an answer that has nothing to do with the entry.
var no = clue{}

func maybe(evidence ...string) clue     { return clue{possible, evidence} }
func fitting(evidence ...string) clue   { return clue{fits, evidence} }
func certainly(evidence ...string) clue { return clue{sure, evidence} }

// finding is what the second questions have shown of an entry.
type finding struct {
	kind  findingKind
	proof string // the question and its answer, in words
}

type findingKind uint8

const (
	open     findingKind = iota // neither
	proved                      // it is this
	refuted                     // it is something else
	weakened                    // it may be this, but is no longer the usual reason
)

func undecided(proof string) finding { return finding{open, proof} }
func proof(text string) finding      { return finding{proved, text} }
func disproof(text string) finding   { return finding{refuted, text} }
func doubt(text string) finding      { return finding{weakened, text} }

// Undiagnosed is the code of a failure that no entry explains.
const Undiagnosed = "undiagnosed"

// Entries returns the catalogue, in its order: by stage, and within it the commonest first.
func Entries() []*Entry { return catalogue[:len(catalogue):len(catalogue)] }

// Lookup returns the entry of a code.
func Lookup(code string) (*Entry, bool) {
	for _, e := range catalogue {
		if e.Code == code {
			return e, true
		}
	}
	return nil, false
}

// green reports whether the entry is about answers that pass.
func (e *Entry) green() bool { return e.Stage == StageFalsePositive }

// diagnosis is the entry as an answer to a person's question why.
func (e *Entry) diagnosis(c *kase, evidence []string, how triage.Certainty) *triage.Diagnosis {
	cause, fix := c.fill(e.Cause), c.cure(e.Fixes)
	if e.tell != nil {
		cause, fix = e.tell(c)
	}
	return &triage.Diagnosis{
		Code:       e.Code,
		Title:      c.fill(e.Title),
		Stage:      string(e.Stage),
		Cause:      cause,
		Fix:        fix,
		WrongFix:   e.Wrong.text(c),
		Evidence:   evidence,
		Certainty:  how,
		Candidates: []string{},
		Decides:    []string{},
		Asked:      []string{},
	}
}

func (w Wrong) text(c *kase) string {
	if w.Fix == "" {
		return ""
	}
	return c.fill(w.Fix) + ": " + c.fill(w.Cost)
}
