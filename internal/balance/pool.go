package balance

import (
	"slices"
	"sync/atomic"

	"github.com/triage-lb/triage"
)

// Pool is a group at one moment: its settings, and who takes requests. It is immutable; what moves (counts, the
// round robin's turn) is shared with the group's other pools.
type Pool struct {
	roster      *triage.Roster
	rotation    []*Entry // who takes requests; may be shared with other pools
	wheel       wheel    // over rotation
	turn        *atomic.Uint64
	healthy     int
	failingOpen bool
	states      states // of the roster's members
}

// states is how many members are in each effective state, by its number.
type states = [triage.Unavailable + 1]int

// Want is what a pick has to respect. The zero value is the first pick for a request.
type Want struct {
	Not []*Entry // tried already: pick another
}

// pick returns the target that takes the next request, with the request counted, or nil.
//
// The algorithm is weighted round robin. A pick that has to avoid somebody does not move the turn on: it is a
// second pick for the same request, and with two targets it would otherwise send every first pick to the
// same one.
func (p *Pool) pick(w Want) *Entry {
	if len(p.rotation) == 0 {
		return nil
	}
	turn := p.turn.Load()
	if len(w.Not) == 0 {
		turn = p.turn.Add(1) - 1
	}
	// Looking along the wheel spreads the requests of a target that fails over all others; only if that is slow
	// (the failing one has most of the weight) is the neighbour good enough.
	const looks = 16
	for i := range uint64(looks) {
		e := p.rotation[p.wheel.at(turn+i)]
		if !slices.Contains(w.Not, e) && e.take() {
			return e
		}
	}
	start := p.wheel.at(turn)
	for i := range p.rotation {
		e := p.rotation[(start+i)%len(p.rotation)]
		if !slices.Contains(w.Not, e) && e.take() {
			return e
		}
	}
	return nil
}

// Roster returns the settings and members that the pool was built from. It is read-only.
func (p *Pool) Roster() *triage.Roster { return p.roster }

// Healthy returns how many members are in rotation because they are healthy.
func (p *Pool) Healthy() int { return p.healthy }

// FailingOpen reports that nobody is healthy and requests go to everybody who is registered, as the group says.
func (p *Pool) FailingOpen() bool { return p.failingOpen }
