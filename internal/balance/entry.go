package balance

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/triage-lb/triage"
)

// Entry is one address of one target as requests see it. It outlives pools: while its key is registered, or
// still has requests to finish, all pools name the same entry.
//
// There are as many as targets, so it holds only what every target needs: 48 bytes.
type Entry struct {
	member   atomic.Pointer[triage.Member] // of the newest roster; of a removed target, a copy
	inFlight atomic.Int64                  // requests running; gone is added to it when the target is gone
	requests atomic.Uint64
	leaving  atomic.Pointer[Table]    // of a removed target: the table that waits for its last request to end
	farewell atomic.Pointer[farewell] // nil until somebody asks to hear of the end

	// Guarded by Table.mu.
	seat    uint32         // the place in its group's order, if that place names this entry
	check   triage.State   // what the checks say
	outcome triage.Outcome // and why
	state   triage.State   // effective
	isOpen  bool           // it has an address and nobody drains it: the least that a target needs to take requests
}

// farewell is whom to tell when a target is gone.
type farewell struct {
	mu    sync.Mutex
	hooks []func()
}

// gone, added to the count of running requests, makes every further take fail: one atomic word says both how
// many run and whether more may come, so that no request slips in between "idle" and "gone".
const gone = math.MinInt64 / 2

// Key names the target and its address.
func (e *Entry) Key() triage.Key { return e.member.Load().Key }

// KeyOf is [Entry.Key] where it stands, for internal/keyed. It is read-only.
func (e *Entry) KeyOf() *triage.Key { return &e.member.Load().Key }

// InFlight returns how many requests run on the target.
func (e *Entry) InFlight() int64 {
	n := e.inFlight.Load()
	if n < 0 {
		n -= gone
	}
	return n
}

// Requests returns how many requests the target was picked for.
func (e *Entry) Requests() uint64 { return e.requests.Load() }

// Done says that a request which [Table.Pick] counted here is over, however it ended. Call it exactly once.
func (e *Entry) Done() {
	if e.inFlight.Add(-1) != 0 {
		return
	}
	if t := e.leaving.Load(); t != nil {
		t.stir()
	}
}

// OnGone arranges for f to be called once, when the target was removed and either has no request left or has
// run out of time: what is still connected to it is to be closed. If it is gone already, f is called at once.
// f runs on the goroutine of [Table.Run], [Table.Publish] or OnGone itself and must not block.
func (e *Entry) OnGone(f func()) {
	if e.farewell.Load() == nil {
		e.farewell.CompareAndSwap(nil, new(farewell))
	}
	end := e.farewell.Load()
	end.mu.Lock()
	late := e.inFlight.Load() < 0 // retire says so before it looks for hooks, so that none is overlooked
	if !late {
		end.hooks = append(end.hooks, f)
	}
	end.mu.Unlock()
	if late {
		f()
	}
}

// take counts a request in, unless the target is gone.
func (e *Entry) take() bool {
	if e.inFlight.Add(1) < 0 {
		e.inFlight.Add(-1)
		return false
	}
	e.requests.Add(1)
	return true
}

// retire makes the target gone if it is idle, or in any case if its time is up, and reports whether it is.
func (e *Entry) retire(timeUp bool) bool {
	if !e.inFlight.CompareAndSwap(0, gone) {
		if !timeUp {
			return false
		}
		e.inFlight.Add(gone)
	}
	end := e.farewell.Load()
	if end == nil {
		return true
	}
	end.mu.Lock()
	hooks := end.hooks
	end.hooks = nil
	end.mu.Unlock()
	for _, f := range hooks {
		f()
	}
	return true
}

// register makes the entry what the roster says of it. The caller holds Table.mu.
func (e *Entry) register(m *triage.Member, as triage.Registration) {
	e.member.Store(m)
	e.isOpen = m.Key.Address.IsValid() && m.Person != triage.PersonDrained
	e.judge(as)
}

// learn takes over what the checks say, and reports whether that changes the effective state. The caller holds
// Table.mu.
func (e *Entry) learn(v verdict, as triage.Registration) bool {
	before := e.state
	e.check, e.outcome = v.state, v.outcome
	e.judge(as)
	return e.state != before
}

func (e *Entry) judge(as triage.Registration) { e.state, _ = e.effective(as) }

// effective is the state that counts, and its reason. The caller holds Table.mu.
func (e *Entry) effective(as triage.Registration) (triage.State, triage.Reason) {
	// Traffic has nothing to say yet: passive ejection will put its word into the entry.
	return triage.Effective(triage.Health{State: e.check, Outcome: e.outcome}, triage.TrafficGood, e.member.Load().Person, as)
}

// inRotation reports whether the target takes requests because it is healthy. The caller holds Table.mu.
func (e *Entry) inRotation() bool { return e.state == triage.Healthy && e.isOpen }

// status is the entry for people. The caller holds Table.mu.
func (e *Entry) status(as triage.Registration) triage.BalanceStatus {
	state, reason := e.effective(as)
	return triage.BalanceStatus{
		Key:          e.Key(),
		State:        state,
		Reason:       reason,
		Registration: as,
		InFlight:     e.InFlight(),
		Requests:     e.Requests(),
	}
}
