package metrics

import (
	"sync"

	"github.com/triage-lb/triage"
)

// transitions counts changes of state by group. The zero value has counted nothing.
type transitions struct {
	mu     sync.Mutex
	groups map[triage.GroupName]*changes // guarded by mu, with what it points to; may be nil
}

// changes is what has been counted of one group.
type changes struct {
	to     [numStates]uint64 // by the new state
	doubts uint64            // targets that became "not trustworthy"
}

// observe counts a batch. The targets of a batch are mostly of one group, so that one look into the map is enough
// for many.
func (ts *transitions) observe(batch []triage.Transition) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var name triage.GroupName
	var counted *changes
	for i := range batch {
		t := &batch[i]
		if counted == nil || t.Key.Group != name {
			name, counted = t.Key.Group, ts.of(t.Key.Group)
		}
		switch {
		case t.Doubted:
			counted.doubts++
		case t.From.State != t.To.State: // else the cause changed, or the target is trusted again
			counted.to[t.To.State]++
		}
	}
}

// of returns the counters of a group. The caller holds mu.
func (ts *transitions) of(name triage.GroupName) *changes {
	c := ts.groups[name]
	if c == nil {
		if ts.groups == nil {
			ts.groups = make(map[triage.GroupName]*changes)
		}
		c = &changes{}
		ts.groups[name] = c
	}
	return c
}

// read returns what was counted of each group, in their order, and forgets every group that is none of these.
func (ts *transitions) read(groups []triage.GroupCheckStats) []changes {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	kept := make(map[triage.GroupName]*changes, len(groups))
	counted := make([]changes, len(groups))
	for i := range groups {
		name := groups[i].Group
		if c := ts.groups[name]; c != nil {
			kept[name], counted[i] = c, *c
		}
	}
	ts.groups = kept
	return counted
}
