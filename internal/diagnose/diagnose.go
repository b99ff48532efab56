// Package diagnose turns the exchange of a check into a cause, its evidence, a proof, and a cure.
//
// [Look] reads the exchange of a failed check alone and never waits: the balancer calls it for each transition. [Ask] goes
// on from there with second questions, small changes of the same request that separate causes which look alike; it does
// no I/O itself but asks through a func that it is given. [Doubt] does the same for a check that has passed, where the
// pass may mean little. All read one catalogue, [Entries]. What no entry explains is called undiagnosed and told as it
// was seen: the package never invents a cause.
//
// Everything here is read-only and safe for concurrent use.
package diagnose

import (
	"context"
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
)

// Look explains a failed check from what it saw. It returns nil if the check did not fail.
func Look(x *triage.Exchange) *triage.Diagnosis {
	if x.Outcome.Verdict() != triage.Fail {
		return nil
	}
	c := newCase(x)
	return conclude(c, suspicions(c, false))
}

// Ask explains a failed check, with as many second questions as it takes to be sure: [MaxQuestions] and 10 s at most. It
// returns nil if the check did not fail. If ctx ends in the middle, it returns what is known by then.
func Ask(ctx context.Context, x *triage.Exchange, m Means) *triage.Diagnosis {
	if x.Outcome.Verdict() != triage.Fail {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	c := newCase(x)
	c.hosts = m.Hosts
	return newInquiry(ctx, c, m, MaxQuestions-repeats).inquire(suspicions(c, false))
}

// Doubt says why a check that has passed may mean little, with second questions as [Ask]. It returns nothing if the check
// has not passed, or if there is no reason to doubt it.
func Doubt(ctx context.Context, x *triage.Exchange, m Means) []*triage.Diagnosis {
	if x.Outcome.Verdict() != triage.Pass {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	c := newCase(x)
	c.hosts = m.Hosts
	in := newInquiry(ctx, c, m, MaxQuestions)
	var doubts []*triage.Diagnosis
	for _, s := range suspicions(c, true) {
		found := undecided("")
		if s.entry.prove != nil {
			found = s.entry.prove(in)
		}
		switch {
		case found.kind == proved:
			d := s.entry.diagnosis(c, s.evidence, triage.Proved)
			d.Proof = found.proof
			doubts = append(doubts, d)
		case found.kind == open && s.weight >= fits:
			doubts = append(doubts, s.entry.diagnosis(c, s.evidence, triage.Likely))
		}
	}
	if len(doubts) > 0 {
		if d := in.changing(); d != nil {
			return []*triage.Diagnosis{d} // the other answers may have been chance
		}
	}
	for _, d := range doubts {
		d.Asked = append(d.Asked, in.log...)
	}
	return doubts
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
