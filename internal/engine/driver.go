package engine

import (
	"context"
	"sync"
	"time"

	"github.com/triage-lb/triage/internal/probe"
)

// driver carries the checks under way of one shard. All methods but wake are called on the shard's goroutine.
type driver interface {
	// start begins the slot's check, which ends in shard.finish, perhaps at once. What the driver wants to find again it
	// puts into slot.flight, and leaves it there for the next check if finish says that the connection is kept. A
	// kept connection that ends by itself may be reported to shard.lost.
	start(s *slot)

	// cancel ends the slot's check soon, as canceled; it ends in shard.finish like any other.
	cancel(s *slot)

	// release ends the connection that was kept for a slot without a check under way.
	release(s *slot)

	// wait returns when something happened, when somebody called wake, or after at most the given time. It
	// finishes the checks that have ended.
	wait(most time.Duration) error

	// wake makes wait return. Any goroutine may call it.
	wake()

	// close gives up all checks and returns when nothing of them is left. They are not finished.
	close()
}

// goroutines is the driver for every system: each check under way has a goroutine of its own.
type goroutines struct {
	shard  *shard
	ctx    context.Context
	stop   context.CancelFunc
	checks sync.WaitGroup
	woken  chan struct{}
	timer  *time.Timer

	mu    sync.Mutex
	ended []*goroutineFlight // guarded by mu
}

// goroutineFlight is what a slot has in this driver: a client for one check after another, while it holds a connection.
type goroutineFlight struct {
	client probe.Client
	stop   context.CancelFunc // of the check under way
	result result             // of the check that ended
}

func newGoroutines(s *shard) (driver, error) {
	d := &goroutines{shard: s, woken: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

func (d *goroutines) start(s *slot) {
	f, kept := s.flight.(*goroutineFlight)
	if !kept {
		f = &goroutineFlight{}
		s.flight = f
	}
	ctx, stop := context.WithCancel(d.ctx)
	f.stop = stop
	p, policy, key := s.plan(), s.group.policy, s.member.Key
	d.checks.Go(func() {
		x := f.client.Do(ctx, p, key, *policy)
		stop()
		d.mu.Lock()
		f.result = result{s, p, policy, x, f.client.Kept()}
		d.ended = append(d.ended, f)
		d.mu.Unlock()
		d.wake()
	})
}

func (d *goroutines) cancel(s *slot) { s.flight.(*goroutineFlight).stop() }

func (d *goroutines) release(s *slot) { s.flight.(*goroutineFlight).client.Close() }

func (d *goroutines) wait(most time.Duration) error {
	d.timer.Reset(most)
	select {
	case <-d.woken:
	case <-d.timer.C:
	}
	d.mu.Lock()
	ended := d.ended
	d.ended = nil
	d.mu.Unlock()
	for _, f := range ended {
		if !d.shard.finish(f.result) {
			f.client.Close()
		}
	}
	return nil
}

func (d *goroutines) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

func (d *goroutines) close() {
	d.stop()
	d.checks.Wait()
	d.timer.Stop()
	for _, s := range d.shard.order {
		if f, ok := s.flight.(*goroutineFlight); ok {
			f.client.Close()
		}
	}
	for _, f := range d.ended { // of slots that are gone, perhaps
		f.client.Close()
	}
}
