package engine

import (
	"context"
	"sync"
	"time"

	"github.com/triage-lb/triage/internal/probe"
)

// driver carries the checks under way of one shard. All methods but wake are called on the shard's goroutine.
type driver interface {
	// start begins the slot's check, which ends in shard.finish, perhaps at once.
	start(s *slot)

	// cancel ends the slot's check soon, as canceled; it ends in shard.finish like any other.
	cancel(s *slot)

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
	ended []result // guarded by mu
}

func newGoroutines(s *shard) (driver, error) {
	d := &goroutines{shard: s, woken: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

func (d *goroutines) start(s *slot) {
	ctx, cancel := context.WithCancel(d.ctx)
	s.flight = cancel
	p, policy, key := s.plan(), s.group.policy, s.key
	d.checks.Go(func() {
		x := probe.Do(ctx, p, key, policy)
		cancel()
		d.mu.Lock()
		d.ended = append(d.ended, result{s, p, x})
		d.mu.Unlock()
		d.wake()
	})
}

func (d *goroutines) cancel(s *slot) { s.flight.(context.CancelFunc)() }

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
	for _, r := range ended {
		d.shard.finish(r)
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
}
