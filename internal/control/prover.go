package control

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
)

// Prove finds out why a check has failed, by asking its target more. It is called on a goroutine of its own, a few at a
// time, and ends soon after ctx does. It returns nil if nothing can be said: the target does not fail like that any more,
// or cannot be asked.
type Prove func(ctx context.Context, failed Inquiry) *triage.Diagnosis

// Inquiry is a failed check of a member of a group, and what is needed to ask that one again.
type Inquiry struct {
	Check    triage.HealthCheck
	Access   triage.AddressPolicy // asked before each connect
	Exchange *triage.Exchange     // read-only
	Hosts    []string             // by which visitors may know the group's site, as the config says; the best known first. Addresses may be among them
}

// Bounds on what is asked beyond the checks.
const (
	proveEvery = time.Second      // one diagnosis begins at most
	proveAgain = 10 * time.Minute // until the same is asked of the same group again
	maxProving = 4                // diagnoses under way
	maxSuspect = 64               // that wait for their turn
	maxHosts   = 4                // names that are tried
)

// prover has failing checks proved, one in each second at most. What does not fit into its queue is counted and left: its
// targets keep their first look. It is owned by control's goroutine, but for what Prove does.
type prover struct {
	prove   Prove
	log     *slog.Logger
	asked   map[topic]time.Time // when it was taken up
	waiting []suspect
	dropped int // since it was last told
	running int
	next    time.Time        // the earliest that another may begin
	due     <-chan time.Time // fires at the next, if one waits for that
	found   chan finding     // has room for all that run
	workers sync.WaitGroup
}

// topic is what is asked about once, however many targets of a group have it.
type topic struct {
	group triage.GroupName
	code  string  // of the first look; "" if that knows no cause
	ill   illness // only if code is ""
}

// suspect is a failed check that is to be proved.
type suspect struct {
	topic
	exchange *triage.Exchange
	key      triage.Key
}

// finding is what came of it.
type finding struct {
	suspect
	check     triage.HealthCheck // as it was asked
	diagnosis *triage.Diagnosis  // nil: nothing can be said
}

func newProver(prove Prove, log *slog.Logger) prover {
	return prover{prove: prove, log: log, asked: map[topic]time.Time{}, found: make(chan finding, maxProving)}
}

// suspect takes up a check that has made a member unhealthy, unless the same was asked of its group lately.
func (p *prover) suspect(g *groupJournal, m *memberJournal, x *triage.Exchange) {
	if m.drained() {
		return
	}
	about := topicOf(g, m)
	now := time.Now()
	if before, ok := p.asked[about]; ok && now.Sub(before) < proveAgain {
		return
	}
	if len(p.waiting) == maxSuspect {
		p.dropped++
		return
	}
	maps.DeleteFunc(p.asked, func(_ topic, at time.Time) bool { return now.Sub(at) >= proveAgain })
	p.asked[about] = now
	p.waiting = append(p.waiting, suspect{about, x, m.member.Key})
	p.wake()
}

func topicOf(g *groupJournal, m *memberJournal) topic {
	if d := m.diagnosis; d != nil && d.Code != "" && d.Code != diagnose.Undiagnosed {
		return topic{group: g.name, code: d.Code}
	}
	return topic{group: g.name, ill: m.ill()}
}

// wake sets the timer for who waits, unless none may begin before another has ended.
func (p *prover) wake() {
	if p.due == nil && len(p.waiting) > 0 && p.running < maxProving {
		p.due = time.After(time.Until(p.next))
	}
}

// begin has the next one proved that is still of interest.
func (p *prover) begin(ctx context.Context, j *journal) {
	p.due = nil
	if p.dropped > 0 {
		p.log.Warn("more kinds of failures than can be asked about: some targets keep the first look at them", "dropped", p.dropped)
		p.dropped = 0
	}
	for len(p.waiting) > 0 {
		s := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		g, m := j.find(s.key)
		if m == nil || !s.isAbout(m) {
			delete(p.asked, s.topic) // nobody was asked
			continue
		}
		p.next = time.Now().Add(proveEvery)
		p.running++
		in := Inquiry{Check: g.check, Access: g.access, Exchange: s.exchange, Hosts: g.hosts()}
		p.workers.Go(func() { p.found <- finding{s, in.Check, p.prove(ctx, in)} })
		break
	}
	p.wake()
}

// end takes over what was found out about a target, if that is still so.
func (p *prover) end(f finding, j *journal) {
	p.running--
	p.wake()
	if f.diagnosis == nil {
		delete(p.asked, f.topic)
		return
	}
	g, m := j.find(f.key)
	if m != nil && f.isAbout(m) && f.check == g.check && len(f.diagnosis.Asked) > 0 {
		j.tellDiagnosed(g, m, f.diagnosis)
	}
}

// isAbout reports whether a member is unhealthy, and in rotation but for that, as the suspect's check has found it.
func (s *suspect) isAbout(m *memberJournal) bool {
	return m.state == triage.Unhealthy && !m.drained() && m.ill() == illness{s.exchange.Outcome, uint16(s.exchange.Status)}
}

// hosts are the names by which visitors may know the group's site: that of its check, and those of its targets. Those of
// the listeners' rules come here once there are rules. What clients send is never among them: they would choose what is
// printed as a cure.
func (g *groupJournal) hosts() []string {
	var names []string
	if g.check.Host != "" {
		names = append(names, g.check.Host)
	}
	for i := range g.members {
		if len(names) == maxHosts {
			break
		}
		id := g.members[i].member.Key.Target
		if _, isAddress := id.AddrPort(); isAddress {
			continue
		}
		if name, _, err := id.Split(); err == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
