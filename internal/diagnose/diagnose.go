// Package diagnose turns the exchange of a failed check into a cause, its evidence, and a cure.
//
// [Look] reads the exchange alone and never waits: the balancer calls it for each transition. [Ask] goes on
// from there with second questions, small changes of the same request that separate causes which look alike;
// it does no I/O itself but asks through a func that it is given. Both read one table of rules. What no rule
// explains is called undiagnosed and told as it was seen: the package never invents a cause.
//
// Everything here is read-only and safe for concurrent use.
package diagnose

import (
	"context"
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// Question is a change to the request of a check.
type Question struct {
	Host    string           // Host header; "" keeps the check's
	Headers []dialect.Header // further header lines
}

// String says how the question differs from the check, for people.
func (q Question) String() string {
	var parts []string
	if q.Host != "" {
		parts = append(parts, "Host "+q.Host)
	}
	for _, h := range q.Headers {
		parts = append(parts, h.Name+": "+h.Value)
	}
	return strings.Join(parts, " and ")
}

// Asker asks the target of a check a second question and returns what came back; the outcome is judged by the
// check's own rules. It must respect ctx and keep the check's timeout.
type Asker func(ctx context.Context, q Question) *triage.Exchange

// Look explains a failed check from what it saw. It returns nil if the check did not fail.
func Look(x *triage.Exchange) *triage.Diagnosis {
	if x.Outcome.Verdict() != triage.Fail {
		return nil
	}
	d, _ := look(newCase(x))
	return d
}

// Ask explains a failed check, with as many second questions as it takes to be sure, at most three. It
// returns nil if the check did not fail. If ctx ends in the middle, it returns what is known by then.
func Ask(ctx context.Context, x *triage.Exchange, ask Asker) *triage.Diagnosis {
	if x.Outcome.Verdict() != triage.Fail {
		return nil
	}
	c := newCase(x)
	d, r := look(c)
	if r == nil || r.prove == nil {
		return d
	}
	in := inquiry{d: d, c: c, r: r, put: func(q Question) *triage.Exchange {
		answer := ask(ctx, q)
		d.Asked = append(d.Asked, fmt.Sprintf("%s: %s", q, Brief(answer)))
		return answer
	}}
	if proved := r.prove(&in); proved != nil {
		proved.Asked = d.Asked
		return proved
	}
	return d
}

// Brief is an exchange's result in a few words: its status code where that decided, else what went wrong.
func Brief(x *triage.Exchange) string {
	switch {
	case x.Outcome == triage.Matched || x.Outcome == triage.CodeMismatch:
		return fmt.Sprint(x.Status)
	case x.Status != 0:
		return fmt.Sprintf("%d, %s", x.Status, x.Outcome.Info().Sentence)
	}
	return x.Outcome.Info().Sentence
}

// LoadBalancer names the load balancer that answered in place of a target, if the answer says so. Whoever
// sees this has asked the wrong address: the check of a load balancer goes to the targets behind it.
func LoadBalancer(x *triage.Exchange) (name string, ok bool) {
	server := newCase(x).header("Server")
	if strings.HasPrefix(server, "awselb/") {
		return server, true
	}
	return "", false
}

// rule is one known illness.
type rule struct {
	code, title string

	// match returns the evidence for the illness, nothing if the answer does not look like it.
	match func(*kase) []string

	// describe gives cause and fix.
	describe func(*kase) (cause, fix string)

	// suspect: the evidence alone is too weak to name the cause; it takes the proof.
	suspect func(*kase) bool

	// prove asks second questions and completes the diagnosis. It returns nil to keep the first look.
	prove func(*inquiry) *triage.Diagnosis
}

// inquiry is a diagnosis in the making.
type inquiry struct {
	d   *triage.Diagnosis // the first look
	c   *kase
	r   *rule
	put func(Question) *triage.Exchange
}

// proved is the diagnosis of the rule, with what proves it.
func (in *inquiry) proved(proof string) *triage.Diagnosis {
	d := in.r.diagnosis(in.c, in.r.match(in.c), triage.Proved)
	d.Proof = proof
	return d
}

// rules is the table. The first rule that matches wins.
var rules = [...]*rule{&redirectToHTTPS, &hostNotAllowed}

func look(c *kase) (*triage.Diagnosis, *rule) {
	for _, r := range rules {
		evidence := r.match(c)
		if len(evidence) == 0 {
			continue
		}
		if r.suspect != nil && r.suspect(c) {
			d := undiagnosed(c)
			d.Candidates = []string{r.code}
			return d, r
		}
		return r.diagnosis(c, evidence, triage.Likely), r
	}
	return undiagnosed(c), nil
}

func (r *rule) diagnosis(c *kase, evidence []string, how triage.Certainty) *triage.Diagnosis {
	cause, fix := r.describe(c)
	return &triage.Diagnosis{
		Code:       r.code,
		Title:      r.title,
		Cause:      cause,
		Fix:        fix,
		Evidence:   evidence,
		Certainty:  how,
		Candidates: []string{},
		Asked:      []string{},
	}
}

// kase is an exchange made ready for the rules. (The word itself is taken by the language.)
type kase struct {
	x      *triage.Exchange
	answer http1.Response
	asked  http1.Request
}

func newCase(x *triage.Exchange) *kase {
	c := &kase{x: x}
	// What the probe has written and parsed is valid; a head that was cut short leaves the answer empty.
	c.asked, _, _ = http1.ParseRequest(inHTTP1(x.Sent, " HTTP/2\r\n", " HTTP/1.1\r\n"), nil, http1.Limits{})
	if x.Status != 0 {
		c.answer, _, _ = http1.ParseResponse(inHTTP1(x.Head, "HTTP/2 ", "HTTP/1.1 "), nil, http1.Limits{})
	}
	return c
}

// inHTTP1 is a request or the head of an answer with the other version in its first line: what travels over HTTP/2 is kept
// as text that differs in nothing else.
func inHTTP1(text []byte, version, other string) []byte {
	line, rest, _ := strings.Cut(string(text), "\n")
	line += "\n"
	if !strings.HasSuffix(line, version) && !strings.HasPrefix(line, version) {
		return text
	}
	return []byte(strings.Replace(line, version, other, 1) + rest)
}

func (c *kase) header(name string) string {
	v, _ := http1.Get(c.answer.Fields, name)
	return string(v)
}

// host is the Host header that the check sent.
func (c *kase) host() string {
	v, _ := http1.Get(c.asked.Fields, "Host")
	return string(v)
}

// path is the path that the check asked for, without its query.
func (c *kase) path() string {
	path, _, _ := strings.Cut(string(c.asked.Target), "?")
	return path
}

func (c *kase) statusLine() string {
	if len(c.answer.Reason) == 0 {
		return fmt.Sprint(c.x.Status)
	}
	return fmt.Sprintf("%d %s", c.x.Status, c.answer.Reason)
}

func (c *kase) bodyHas(s string) bool { return strings.Contains(string(c.x.Body), s) }
