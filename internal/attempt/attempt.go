// Package attempt decides the fate of a request: which target it is sent to, whether it may be sent again
// after a failure, and what the client is told if it may not.
//
// A [Request] is a state machine without I/O, clock or goroutine. Whoever moves the bytes tells it what
// happened ([Request.Start], [Request.Failed], [Request.Head], [Request.ClientGone]) and does the [Action]
// that it returns. The package knows neither headers nor connections.
//
// The rules, in short. A request that did not reach a target because no connection was made goes to another
// target, three tries in all, no target twice. A kept connection that died before the first byte of an answer
// says nothing about the target: the request goes to the same target once more over a new connection, if
// nothing of it had been sent, or if its method is idempotent (RFC 9110, 9.2.2) and its body can be sent
// again. Everything else might have been done by the target already, so it is never sent twice.
//
// A Request is used by one goroutine at a time.
package attempt

import (
	"slices"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/balance"
)

// MaxTries is how often a request is sent, or tried to be sent, at the most.
const MaxTries = 3

// Do is what to do next.
type Do uint8

// What there is to do.
const (
	Send Do = iota // the request to Action.Entry
	Use            // the answer of try Action.Try: it goes to the client
	Fail           // answer Action.Status ourselves
)

// Action is what the state machine wants done. Send hands over the entry with the request counted as in
// flight on it; every further event of the try gives that back except [Request.Head]: after Use, call Done
// on the entry when the answer is through.
type Action struct {
	Do     Do
	Try    int            // Send, Use: number of the try, from 0
	Entry  *balance.Entry // Send, Use
	Pool   *balance.Pool  // Send: the pool that named Entry; its settings hold for this try
	Fresh  bool           // Send: over a new connection
	Status int            // Fail: the status code to answer
	Reason Reason         // Fail
}

// Request is one request of a client on its way. Make one with [New].
type Request struct {
	table  *balance.Table
	group  triage.GroupName
	method string
	tries  int
	tried  []*balance.Entry
	room   [MaxTries]*balance.Entry // what tried grows into, so that it costs no allocation
	last   Action
}

// New returns a request to a target of the group that was not sent yet.
func New(table *balance.Table, group triage.GroupName, method string) *Request {
	r := &Request{table: table, group: group, method: method}
	r.tried = r.room[:0]
	return r
}

// Start asks for the first action.
func (r *Request) Start() Action {
	act, pool := r.sendToAnother()
	if act.Do != Send {
		return fail(whyNobody(pool))
	}
	return act
}

// whyNobody is why a pool names no target. The pool is nil if there is no such group.
func whyNobody(pool *balance.Pool) Reason {
	if pool == nil {
		return NoGroup
	}
	members := pool.Roster().Members
	switch {
	case len(members) == 0:
		return NoTarget
	case !slices.ContainsFunc(members, func(m triage.Member) bool { return m.Person != triage.PersonDrained }):
		return AllDrain
	}
	return NoneHealthy
}

// Failed says that the newest try ended without an answer, and asks what to do instead.
func (r *Request) Failed(f Failure) Action {
	failed := r.last
	if f.Reason == ClosedBeforeAnswer && f.Kept && r.tries < MaxTries && r.mayRepeat(f) {
		r.tries++
		r.last.Try++
		r.last.Fresh = true
		return r.last
	}
	failed.Entry.Done()
	if f.Reason.beforeConnect() && r.tries < MaxTries {
		if act, _ := r.sendToAnother(); act.Do == Send {
			return act
		}
	}
	return fail(f.Reason)
}

// Head says that the head of the newest try's answer is there.
func (r *Request) Head(status int) Action {
	// Which status could be worth another try is a question for later; none is now: the target has answered.
	return Action{Do: Use, Try: r.last.Try, Entry: r.last.Entry, Status: status}
}

// ClientGone says that the client does not wait any more. The action is always Fail; nobody will read the
// answer.
func (r *Request) ClientGone() Action {
	r.last.Entry.Done()
	return fail(ClientGone)
}

// sendToAnother picks a target that was not tried. The action is Fail if there is none.
func (r *Request) sendToAnother() (Action, *balance.Pool) {
	pool, e := r.table.Pick(r.group, balance.Want{Not: r.tried})
	if e == nil {
		return Action{Do: Fail}, pool
	}
	// A second try goes over a new connection: a kept one may be dead too, and the tries are few.
	r.last = Action{Do: Send, Try: r.tries, Entry: e, Pool: pool, Fresh: r.tries > 0}
	r.tries++
	r.tried = append(r.tried, e)
	return r.last, pool
}

// mayRepeat reports whether the target cannot have acted on the request, or may act on it twice.
func (r *Request) mayRepeat(f Failure) bool {
	if f.BodyRead > 0 {
		return false // those bytes are gone
	}
	return f.Sent == 0 || slices.Contains(idempotent[:], r.method)
}

// idempotent methods: RFC 9110, 9.2.2. Method names are case-sensitive.
var idempotent = [...]string{"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}

// Failure is how a try ended that brought no answer.
type Failure struct {
	Reason   Reason
	Kept     bool  // the connection was not new: it had carried an answer before
	Sent     int64 // bytes of the request that left this process, head included
	BodyRead int64 // bytes of the content that were read from the client
}

func fail(why Reason) Action {
	return Action{Do: Fail, Status: why.Info().Status, Reason: why}
}

// Suspicious reports whether the failure speaks against the target, so that it is worth a check at once. A
// kept connection that was closed does not: targets close idle connections as they like.
func (f Failure) Suspicious() bool {
	return f.Reason.Info().Target && !(f.Reason == ClosedBeforeAnswer && f.Kept)
}
