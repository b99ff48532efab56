package engine

import (
	"context"
	"sync"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/keyed"
	"github.com/triage-lb/triage/internal/loop"
	"github.com/triage-lb/triage/internal/probe"
)

// shard is a part of the targets, with the goroutine that checks them. Everything below kicks is owned by it.
type shard struct {
	engine *Engine
	driver driver
	ready  chan struct{} // closed when driver is there
	epoch  time.Time     // from which moments count

	mu    sync.Mutex
	mail  []func()                // guarded by mu
	kicks map[triage.Key]struct{} // guarded by mu

	slots  keyed.Set[*slot]
	order  []*slot // the same, group by group
	groups map[triage.GroupName]*group
	wheel  loop.Wheel[*slot]
	pulse  moment // the next beat, see pulse
	room   room
	batch  []triage.Transition
	fire   func(*loop.Timer[*slot])

	lag      triage.Histogram
	late     moment // the worst late start since it was told
	lateTold moment
	offered  int    // how far in order levels were told
	offerDue moment // when the next ones are

	warming  int    // slots of the first set without a result
	warmTime moment // when we stop waiting for them; 0: no set yet
	isWarm   bool
}

// moment is a time as a shard counts it: since its epoch. A third of the size of a time.Time, and what timers want.
type moment = time.Duration

// group is what the slots of one group share. It is replaced, never changed, but for what it counts.
type group struct {
	check  triage.HealthCheck
	plan   *probe.Plan
	policy *triage.AddressPolicy // the same one for as long as it says the same
	slots  []*slot               // part of shard.order, in the order of the roster
	*counts
}

// slot is one target of one group: its check and what came of it. There are very many, so every word counts: nothing
// is kept that the next check or the roster tells.
type slot struct {
	member *triage.Member // of the roster
	group  *group
	flight any // what the driver holds for the slot: the check under way, or a kept connection; nil if nothing
	timer  loop.Timer[*slot]
	due    moment

	health  triage.Health
	started moment // of the check under way, or else the last
	last    moment // when the last one that ended began; the next four are of it
	detail  string
	took    uint32 // microseconds
	status  uint16
	outcome triage.Outcome
	doubts  uint8  // neutral results in a row, up to doubtAfter
	checked uint32 // checks that ended
	neutral uint32 // … of those, neutral
	order   int32  // in the group's roster

	takes   need // what the check under way does; notFlying if there is none
	line    need // the line in which it waits, as it is due; notFlying if it does not
	warming bool // awaited, see Engine.Warm
	gone    bool // removed
}

// KeyOf is what the slot is found by.
func (s *slot) KeyOf() *triage.Key { return &s.member.Key }

func (s *slot) plan() *probe.Plan { return s.group.plan }

// flying reports whether a check is under way.
func (s *slot) flying() bool { return s.takes != notFlying }

// result is a check that ended.
type result struct {
	slot     *slot
	plan     *probe.Plan           // that it was made with
	policy   *triage.AddressPolicy // likewise
	exchange *triage.Exchange      // lent until finish returns
	reusable bool                  // the connection could serve the next check
}

func newShard(e *Engine) *shard {
	l := &shard{
		engine: e,
		ready:  make(chan struct{}),
		epoch:  time.Now(),
		kicks:  map[triage.Key]struct{}{},
	}
	l.room.most, l.room.mostEncrypted = e.cfg.MaxInFlight, e.cfg.MaxEncrypted
	l.fire = func(t *loop.Timer[*slot]) { l.room.wait(t.Owner) }
	return l
}

// now is the present moment.
func (l *shard) now() moment { return time.Since(l.epoch) }

// time is a moment as everybody else knows it.
func (l *shard) time(m moment) time.Time { return l.epoch.Add(m) }

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
		most := l.startDue(l.now())
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
