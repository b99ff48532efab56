package balance

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/triage-lb/triage"
)

// Entry is one address of one target as requests see it. It outlives pools: while its key is registered, or
// still has requests to finish, all pools name the same entry.
type Entry struct {
	key      triage.Key
	table    *Table
	inFlight atomic.Int64 // requests running; gone is added to it when the target is gone
	requests atomic.Uint64
	leaving  atomic.Bool // the table waits for the last request to end

	mu     sync.Mutex
	isGone bool
	onGone []func()
}

// gone, added to the count of running requests, makes every further take fail: one atomic word says both how
// many run and whether more may come, so that no request slips in between "idle" and "gone".
const gone = math.MinInt64 / 2

func newEntry(key triage.Key, t *Table) *Entry { return &Entry{key: key, table: t} }

// Key names the target and its address.
func (e *Entry) Key() triage.Key { return e.key }

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
	if e.inFlight.Add(-1) == 0 && e.leaving.Load() {
		e.table.stir()
	}
}

// OnGone arranges for f to be called once, when the target was removed and either has no request left or has
// run out of time: what is still connected to it is to be closed. If it is gone already, f is called at once.
// f runs on the goroutine of [Table.Run], [Table.Publish] or OnGone itself and must not block.
func (e *Entry) OnGone(f func()) {
	e.mu.Lock()
	late := e.isGone
	if !late {
		e.onGone = append(e.onGone, f)
	}
	e.mu.Unlock()
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
	e.mu.Lock()
	e.isGone = true
	hooks := e.onGone
	e.onGone = nil
	e.mu.Unlock()
	for _, f := range hooks {
		f()
	}
	return true
}
