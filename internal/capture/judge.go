package capture

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// Forwarded is what became of a request that was passed on.
type Forwarded struct {
	To     netip.AddrPort `json:"to"`
	Took   time.Duration  `json:"-"`
	Millis float64        `json:"took_ms"`          // Took, for JSON
	Status int            `json:"status,omitempty"` // that the application answered; 0 if it did not
	Whole  bool           `json:"whole"`            // its answer came to its end, within MaxAnswer bytes and the time
	Judged []Judgement    `json:"judged"`           // by each load balancer that may be the sender

	// Answer is what the application sent, byte for byte: at most MaxAnswer of it.
	Answer []byte `json:"-"`
}

// Judgement is what a load balancer makes of an answer, by its default settings.
type Judgement struct {
	Dialect   triage.Dialect    `json:"dialect"`
	Healthy   bool              `json:"healthy"`
	Outcome   triage.Outcome    `json:"outcome"`
	Detail    string            `json:"detail,omitempty"`
	Follows   string            `json:"follows,omitempty"` // the URL that it asks next, and by whose answer it judges; "": it has judged
	Reason    dialect.Words     `json:"reason"`            // what it would show
	Diagnosis *triage.Diagnosis `json:"diagnosis,omitempty"`

	Exchange *triage.Exchange `json:"-"` // the check as it would have seen it, with the application's address
}

// judged puts an application's answer before each row that may be the sender's. A sender that nobody knows is judged as we
// would.
func (c *conn) judged(a *appAnswer, head []byte, rows []*dialect.Spec) *Forwarded {
	f := &Forwarded{
		To:     c.server.cfg.Forward.To,
		Took:   a.took,
		Millis: float64(a.took.Microseconds()) / 1000,
		Status: a.head.Status,
		Whole:  a.whole,
		Answer: a.raw,
	}
	if len(rows) == 0 {
		rows = []*dialect.Spec{dialect.Get(triage.Own)}
	}
	for _, row := range rows {
		f.Judged = append(f.Judged, c.judge(a, head, row))
	}
	return f
}

// judge plays what happened to a check's session of one dialect.
func (c *conn) judge(a *appAnswer, head []byte, row *dialect.Spec) Judgement {
	spec := *row
	spec.Method = a.method // that was asked with decides whether an answer has a body
	settings := triage.DefaultHealthCheck()
	settings.Protocol, settings.Path = triage.HTTP, c.rec.Request.Target
	settings.SuccessCodes = spec.Codes
	settings.Timeout = cmp.Or(spec.Timing.Timeout, c.server.cfg.Forward.Timeout)
	plan := probe.Compile(&spec, settings)
	plan.KeepBody = MaxBody

	s, follows := play(plan, c.asked(), a)
	defer s.Stop()
	x := s.Exchange().Clone()
	to := c.server.cfg.Forward.To
	x.Key, x.Address, x.Sent = triage.Key{Target: triage.TargetID(to.String()), Address: to}, to, head
	if p := c.rec.Proxy; p != nil {
		x.Proxy = triage.ProxyProtocol(fmt.Sprintf("v%d", p.Version))
	}
	j := Judgement{Dialect: spec.Name, Outcome: x.Outcome, Detail: x.Detail, Exchange: x}
	if follows {
		j.Follows = x.Redirects[len(x.Redirects)-1]
		return j
	}
	j.Healthy = x.Outcome.Verdict() == triage.Pass
	j.Reason = spec.WordsFor(x)
	j.Diagnosis = diagnose.Look(x)
	return j
}

// asked is the target as the sender has called it: redirects lead back to that, not to the application behind.
func (c *conn) asked() triage.Key {
	host := c.local.Addr().String()
	if h := c.rec.Request.Host; h.Form == HostName {
		host = strings.TrimSuffix(h.Value, ":"+h.Port)
	}
	return triage.Key{Target: triage.TargetID(net.JoinHostPort(host, fmt.Sprint(c.local.Port()))), Address: c.local}
}

// play tells a new session what happened, until it has a verdict. follows means that it would now follow a redirect
// instead, for which there is nothing to tell it: the sender will ask by itself.
func play(plan *probe.Plan, key triage.Key, a *appAnswer) (s *probe.Session, follows bool) {
	s, _ = plan.Start(key, a.started)
	deadline := a.started.Add(plan.Timeout)
	for _, e := range a.events {
		if e.At.After(deadline) {
			break
		}
		switch s.Handle(e).Kind {
		case probe.Done:
			return s, false
		case probe.Dial:
			return s, true
		}
	}
	s.Handle(probe.Event{Kind: probe.DeadlinePassed, At: deadline})
	return s, false
}
