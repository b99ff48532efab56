package main

import (
	"cmp"
	"context"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// prove is a [control.Prove]: it asks a target of triage serve why its check has failed, in the check's own way only, and
// only where the config lets checks go.
//
// A target that recovers meanwhile would answer any question well, and so prove whatever was asked. So the check itself
// is asked again before the second questions, and after them if they have proved something: it must fail as it did. (The
// catalogue repeats it too, and would tell of a target that has recovered that it comes and goes.)
func (b *balancer) prove(ctx context.Context, failed control.Inquiry) *triage.Diagnosis {
	if b.noFollowUp || !failed.Exchange.Key.Address.IsValid() {
		return nil
	}
	i := newInterview(failed)
	again := i.repeat(ctx)
	if again == nil {
		return nil
	}
	d := diagnose.Ask(ctx, again, diagnose.Means{Ask: i.ask, Hosts: i.hosts()})
	if ctx.Err() != nil || d.Certainty == triage.Proved && i.repeat(ctx) == nil {
		return nil
	}
	return d
}

// interview asks one target more than its checks do.
type interview struct {
	control.Inquiry
	plan *probe.Plan // of the check
}

func newInterview(failed control.Inquiry) *interview {
	plan := probe.Compile(dialect.Get(cmp.Or(failed.Check.As, triage.Own)), failed.Check)
	plan.Cluster, plan.KeepTLS = string(failed.Exchange.Key.Group), true
	return &interview{failed, plan}
}

// repeat asks what the check asked. It returns nil unless the answer is the same again.
func (i *interview) repeat(ctx context.Context) *triage.Exchange {
	x := i.put(ctx, dialect.Variation{})
	if x == nil || x.Outcome != i.Exchange.Outcome || x.Status != i.Exchange.Status {
		return nil
	}
	return x
}

// ask is a [diagnose.Asker]. Other protocols and places are for a person to ask: nobody has said that the balancer may.
func (i *interview) ask(ctx context.Context, v dialect.Variation) *triage.Exchange {
	switch {
	case v.Protocol != "" && v.Protocol != i.plan.Protocol,
		v.Proxy != triage.NoProxy,
		v.Unproxied && i.plan.Proxy != triage.NoProxy,
		v.Method != "" && v.Method != "GET" && v.Method != "HEAD",
		v.At != dialect.SamePlace,
		v.Pause > 0:
		return nil
	}
	return i.put(ctx, v)
}

// put asks on a connection of its own. It returns nil if that says nothing about the target.
func (i *interview) put(ctx context.Context, v dialect.Variation) *triage.Exchange {
	x := probe.Do(ctx, i.plan.Vary(v), i.Exchange.Key, i.Access)
	if isOurs(x.Outcome) || x.Outcome == triage.AddressForbidden {
		return nil
	}
	return x
}

// hosts are the host names among those of the group.
func (i *interview) hosts() []string {
	var names []string
	for _, name := range i.Hosts {
		if isHostName(name) {
			names = append(names, name)
		}
	}
	return names
}
