package triage

// Certainty is how sure a diagnosis is of its cause.
type Certainty string

// The certainties.
const (
	Proved  Certainty = "proved"  // a second question separated this cause from its look-alikes
	Likely  Certainty = "likely"  // the evidence fits; no second question was asked, or none decided
	Unknown Certainty = "unknown" // the evidence says what was seen, not why
)

// Diagnosis says why a check failed and what to do. Its JSON names are a contract: fields are only added.
type Diagnosis struct {
	Code       string    `json:"code"`       // stable, kebab-case: redirect-to-https
	Title      string    `json:"title"`      // a few words
	Stage      string    `json:"stage"`      // resolve, connect, tls, http, status, redirect, host, auth, body, timing, flapping, false-positive; "" where no entry explains it
	Cause      string    `json:"cause"`      // one sentence
	Proof      string    `json:"proof"`      // the second question and its answer
	Fix        string    `json:"fix"`        // what to change; lines, the first says where
	WrongFix   string    `json:"wrong_fix"`  // what people do instead, and what it costs; "" if nothing is known
	Evidence   []string  `json:"evidence"`   // what in the answer led here
	Certainty  Certainty `json:"certainty"`  //
	Candidates []string  `json:"candidates"` // codes of other causes that the evidence allows
	Decides    []string  `json:"decides"`    // what would decide between the candidates
	Asked      []string  `json:"asked"`      // the second questions, in order, with their answers
}
