package main

import (
	"cmp"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// checkJSON is the contract of triage check --json: fields are only ever added.
type checkJSON struct {
	Schema    string             `json:"schema"`
	At        time.Time          `json:"at"`
	Took      float64            `json:"took_ms"`
	Target    string             `json:"target"`
	Address   string             `json:"address,omitempty"` // that was asked; of the last request, where redirects were followed
	Dialect   triage.Dialect     `json:"dialect"`
	Altered   []string           `json:"altered,omitempty"` // options that the load balancer does not have
	Healthy   bool               `json:"healthy"`
	Outcome   triage.Outcome     `json:"outcome"`
	Detail    string             `json:"detail,omitempty"`
	Status    int                `json:"status,omitempty"`
	Reason    dialect.Words      `json:"reason"`
	Sent      *string            `json:"sent,omitempty"`
	SentBytes *string            `json:"sent_base64,omitempty"`
	Received  receivedJSON       `json:"received"`
	Assumed   []string           `json:"assumed"`
	Phases    map[string]float64 `json:"phases"`              // milliseconds
	Redirects []string           `json:"redirects,omitempty"` // the URLs that were followed, in order
	TLS       *triage.TLSFacts   `json:"tls,omitempty"`
	GRPC      *triage.GRPCFacts  `json:"grpc,omitempty"`
	Warnings  []string           `json:"warnings"`
	Diagnosis *triage.Diagnosis  `json:"diagnosis,omitempty"`

	Doubts   []*triage.Diagnosis `json:"doubts,omitempty"`     // why a pass means little
	Untested string              `json:"not_tested,omitempty"` // what a check from here cannot see
	Through  string              `json:"through,omitempty"`    // the tunnel, if there was one
}

type receivedJSON struct {
	Head      *string `json:"head,omitempty"`
	HeadBytes *string `json:"head_base64,omitempty"`
	Body      *string `json:"body,omitempty"`
	BodyBytes *string `json:"body_base64,omitempty"`
	Truncated bool    `json:"truncated"`
}

func (r *checkReport) json(x *triage.Exchange, found findings, warnings []string) error {
	report := checkJSON{
		Schema:    "triage.check/1",
		At:        x.Started,
		Took:      float64(x.Took.Microseconds()) / 1000,
		Target:    r.target(x),
		Dialect:   x.Dialect,
		Altered:   r.question.departs,
		Healthy:   x.Outcome.Verdict() == triage.Pass,
		Outcome:   x.Outcome,
		Detail:    x.Detail,
		Status:    x.Status,
		Reason:    r.question.spec.WordsFor(x),
		Received:  receivedJSON{Truncated: x.Truncated},
		Assumed:   append([]string{}, r.question.spec.Assumed()...),
		Phases:    map[string]float64{},
		Redirects: x.Redirects,
		TLS:       x.TLS,
		GRPC:      x.GRPC,
		Warnings:  append([]string{}, warnings...),
		Diagnosis: found.diagnosis,
		Doubts:    found.doubts,
		Untested:  r.untested(x),
		Through:   cmp.Or(r.command.Connect, r.command.Via),
	}
	if x.Address.IsValid() {
		report.Address = x.Address.String()
	}
	report.Sent, report.SentBytes = exactText(x.Sent)
	report.Received.Head, report.Received.HeadBytes = exactText(x.Head)
	report.Received.Body, report.Received.BodyBytes = exactText(x.Body)
	for phase, took := range x.Timing.All {
		report.Phases[phase.String()] = float64(took.Microseconds()) / 1000
	}
	return printJSON(r.out.w, report)
}
