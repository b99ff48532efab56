// Package engine runs the health checks of many targets: when each is due, what its results add up to, and
// who hears of a change.
//
// [Engine.Set] says what to check, [Engine.Run] does it, and [Config].OnTransitions is told of what changed, in batches.
// One goroutine, the loop inside Run, owns every slot (a target's plan, health and next due time); all
// methods talk to it by messages. Each check under way has a goroutine of its own, so that a slow target
// never delays another; an idle target costs no goroutine and no timer.
//
// The engine does not resolve names, does not balance, and does not explain.
package engine

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// Config is the settings of an [Engine].
type Config struct {
	// OnTransitions hears of every change of a target's health, in order, a batch per turn of the loop. It is
	// called from the loop, so it must not block and must not call the engine; the slice is its to keep.
	OnTransitions func([]triage.Transition)

	// OnConnectFailure hears of checks that could not connect, so that a name can be resolved again. Called
	// from the loop; must not block. May be nil.
	OnConnectFailure func(triage.Key)

	// OnBehind hears, at most once a second, that checks start later than they should by more than their interval:
	// too many are under way, or the machine is too busy. Called from the loop; must not block. May be nil.
	OnBehind func(late time.Duration)

	// MaxInFlight bounds how many checks run at once; further ones wait their turn. Default: 4096.
	MaxInFlight int
}

const (
	defaultMaxInFlight = 4096
	firstChecksPace    = 100 * time.Microsecond // between the first checks of new targets: 10,000 a second
	doubtAfter         = 3                      // neutral results in a row
	minKick            = time.Second            // between a check and one that traffic asked for
	maxKicks           = 1024                   // that wait for the loop
	maxWarmUp          = 10 * time.Second       // see Warm
)

// Engine runs checks. Make it with [New].
type Engine struct {
	cfg      Config
	messages chan func(*loop)
	kicks    chan triage.Key
	stopped  chan struct{} // closed when Run has returned
	warm     chan struct{} // closed once, see Warm
}

// New returns an engine with nothing to check.
func New(cfg Config) *Engine {
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, defaultMaxInFlight)
	return &Engine{
		cfg:      cfg,
		messages: make(chan func(*loop)),
		kicks:    make(chan triage.Key, maxKicks),
		stopped:  make(chan struct{}),
		warm:     make(chan struct{}),
	}
}

// Set replaces what is checked. A target that stays keeps its health; if its check's settings changed it
// keeps its state but not its streak, and a result of the old settings no longer counts. A new target is
// checked at once. Groups that no listener leads to are not checked. Set returns once the loop has taken
// over; after Run has returned it does nothing.
func (e *Engine) Set(rosters []triage.Roster) { e.do(func(l *loop) { l.set(rosters) }) }

// Kick asks for a check of one target now, because traffic to it failed. It is ignored within a second of the
// last check, while one is under way, and when very many wait already. It never blocks.
func (e *Engine) Kick(key triage.Key) {
	select {
	case e.kicks <- key:
	default:
	}
}

// Snapshot returns what is known of each member of a group, in no order. It is empty after Run has returned.
func (e *Engine) Snapshot(group triage.GroupName) []triage.CheckStatus {
	var all []triage.CheckStatus
	e.do(func(l *loop) { all = l.snapshot(group) })
	return all
}

// Warm is closed when every target of the first [Engine.Set] has a result, or after the largest timeout among
// them (at most 10 s): from then on the balancer knows enough to take traffic.
func (e *Engine) Warm() <-chan struct{} { return e.warm }

// do runs a func on the loop and waits for it.
func (e *Engine) do(f func(*loop)) {
	done := make(chan struct{})
	select {
	case e.messages <- func(l *loop) { f(l); close(done) }:
		<-done
	case <-e.stopped:
	}
}

// Run checks until ctx ends, then stops the checks under way and returns when all of them have ended.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	var checks sync.WaitGroup
	defer checks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newLoop(ctx, e, &checks)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(l.startDue(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case message := <-e.messages:
			message(l)
		case key := <-e.kicks:
			l.kick(key)
		case r := <-l.results:
			l.finish(r)
			l.finishWaiting()
		case <-timer.C:
		}
		l.report()
	}
}

// plan compiles a group's settings for the dialect in which triage itself asks.
func plan(c triage.HealthCheck) *probe.Plan { return probe.Compile(dialect.Get(triage.Own), c) }
