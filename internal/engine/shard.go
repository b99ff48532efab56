package engine

import (
	"context"
	"sync"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/loop"
	"github.com/triage-lb/triage/internal/probe"
)

// shard is a part of the targets, with the goroutine that checks them. Everything below mail is owned by it.
type shard struct {
	engine *Engine
	driver driver
	ready  chan struct{} // closed when driver is there
	epoch  time.Time     // from which the timers count

	mu    sync.Mutex
	mail  []func()                // guarded by mu
	kicks map[triage.Key]struct{} // guarded by mu

	slots    map[triage.Key]*slot
	groups   map[triage.GroupName]*group
	wheel    loop.Wheel[*slot]
	queue    []*slot // due, in the order in which they became so
	inFlight int
	batch    []triage.Transition
	fire     func(*loop.Timer[*slot])

	late     time.Duration // the worst late start since it was told
	lateTold time.Time

	warming  map[*slot]bool // slots of the first set without a result; nil once warm
	warmTime time.Time      // when we stop waiting for them
}

// group is what the slots of one group share. It is replaced, never changed.
type group struct {
	check  triage.HealthCheck
	plan   *probe.Plan
	policy triage.AddressPolicy
	slots  []*slot // in the order of the roster
}

// slot is one target of one group: its check and what came of it.
type slot struct {
	key        triage.Key
	group      *group
	unresolved string
	order      int // in the group's roster
	flight     any // the driver's handle of the check under way; nil if there is none

	timer  loop.Timer[*slot]
	due    time.Time
	queued bool // due, and in line

	health  triage.Health
	last    *triage.Exchange
	started time.Time // of the last check
	checked uint64
	neutral uint64
	doubts  int // neutral results in a row
}

func (s *slot) plan() *probe.Plan { return s.group.plan }

// result is a check that ended.
type result struct {
	slot     *slot
	plan     *probe.Plan // that it was made with
	exchange *triage.Exchange
}

func newShard(e *Engine) *shard {
	l := &shard{
		engine: e,
		ready:  make(chan struct{}),
		epoch:  time.Now(),
		kicks:  map[triage.Key]struct{}{},
		slots:  map[triage.Key]*slot{},
	}
	l.fire = func(t *loop.Timer[*slot]) {
		t.Owner.queued = true
		l.queue = append(l.queue, t.Owner)
	}
	return l
}

// since is a moment as the timers count it.
func (l *shard) since(t time.Time) time.Duration { return t.Sub(l.epoch) }

// run is the shard's goroutine.
func (l *shard) run(ctx context.Context) (err error) {
	if l.driver, err = l.engine.cfg.newDriver(l); err != nil {
		return err
	}
	close(l.ready)
	defer l.driver.close()
	defer context.AfterFunc(ctx, l.driver.wake)()
	for ctx.Err() == nil {
		l.readMail()
		most := l.startDue(time.Now())
		l.report()
		if err := l.driver.wait(most); err != nil {
			return err
		}
	}
	return nil
}

// do runs a func on the shard's goroutine and waits for it; not at all if the engine has stopped.
func (l *shard) do(f func()) {
	done := make(chan struct{})
	l.mu.Lock()
	l.mail = append(l.mail, func() { f(); close(done) })
	l.mu.Unlock()
	l.wake()
	select {
	case <-done:
	case <-l.engine.stopped:
	}
}

// kickSoon notes that a check is wanted.
func (l *shard) kickSoon(key triage.Key) {
	l.mu.Lock()
	if len(l.kicks) < maxKicks {
		l.kicks[key] = struct{}{}
	}
	l.mu.Unlock()
	l.wake()
}

func (l *shard) wake() {
	select {
	case <-l.ready:
		l.driver.wake()
	default: // run will look before it waits
	}
}

// readMail does what others have asked for.
func (l *shard) readMail() {
	l.mu.Lock()
	mail := l.mail
	l.mail = nil
	for key := range l.kicks {
		mail = append(mail, func() { l.kick(key) })
	}
	clear(l.kicks)
	l.mu.Unlock()
	for _, f := range mail {
		f()
	}
}
