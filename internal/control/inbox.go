package control

import (
	"sync"

	"github.com/triage-lb/triage"
)

// maxInbox is how many transitions wait for control at most. A mass failure of 100,000 targets fits.
const maxInbox = 1 << 17

// inbox holds the transitions that control has not looked at yet. Its zero value lacks ready.
type inbox struct {
	ready chan struct{} // of capacity 1: there is something to take

	mu      sync.Mutex
	waiting []triage.Transition
	dropped int
}

// put takes over what fits of the batch, and counts the rest. It never blocks. The batch stays the caller's.
func (i *inbox) put(batch []triage.Transition) {
	i.mu.Lock()
	fits := min(len(batch), maxInbox-len(i.waiting))
	i.waiting = append(i.waiting, batch[:fits]...)
	i.dropped += len(batch) - fits
	i.mu.Unlock()
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// take empties the inbox, and keeps none of the room that a storm took. dropped counts what did not fit since the
// last take.
func (i *inbox) take() (batch []triage.Transition, dropped int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	batch, dropped = i.waiting, i.dropped
	i.waiting, i.dropped = nil, 0
	return batch, dropped
}
