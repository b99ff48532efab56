// Package engine runs the health checks of many targets: when each is due, what its results add up to, and
// who hears of a change.
//
// [Engine.Set] says what to check, [Engine.Run] does it, and [Config].OnTransitions is told of what changed, in
// batches. Targets are spread over shards, and stay on theirs. One goroutine owns a shard: its slots (a target's
// plan, health and next due time), its timers, and its driver, which carries the checks under way. On Linux the
// driver is an event loop, elsewhere a goroutine for each check; either way a slow target never delays another,
// and an idle target costs no goroutine, no timer of the runtime and no context
// (unless its connection is kept over TLS, which takes a coroutine).
//
// The engine does not resolve names, does not balance, and does not explain.
package engine

import (
	"cmp"
	"context"
	"hash/maphash"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// Config is the settings of an [Engine].
type Config struct {
	// OnTransitions hears of every change of a target's health, in order for each target, a batch per turn of a
	// shard. It is called from the shards' goroutines, so it must not block and must not call the engine; the slice
	// is its to keep.
	OnTransitions func([]triage.Transition)

	// OnLevels hears, every second, the health of a 64th of each shard's targets as it stands, so that whoever missed a
	// transition has it a minute later. Called from the shards; must not block. May be nil.
	OnLevels func([]triage.HealthLevel)

	// OnConnectFailure hears of checks that could not connect, so that a name can be resolved again. Called
	// from the shards; must not block. May be nil.
	OnConnectFailure func(triage.Key)

	// OnBehind hears, at most once a second, that checks start later than they should by more than their interval:
	// too many are under way, or the machine is too busy. Called from the shards; must not block. May be nil.
	OnBehind func(late time.Duration)

	// MaxInFlight bounds how many checks run at once, connections that are kept for later ones included; further ones
	// wait their turn. The shards share it evenly. It belongs below the limit of descriptors. Default: 4096.
	MaxInFlight int

	// MaxEncrypted bounds how many of those may be new connections over TLS, and how many connections over TLS may be kept:
	// each holds some 24 KiB. Default: 4096, and never more than half of MaxInFlight.
	MaxEncrypted int

	// Shards is how many shards there are. Default: half of GOMAXPROCS, at least 1.
	Shards int

	newDriver func(*shard) (driver, error) // nil: the best that this system has
}

const (
	defaultMaxInFlight  = 4096
	defaultMaxEncrypted = 4096

	firstChecksPace = 100 * time.Microsecond // between the first checks of new targets: 10,000 a second
	doubtAfter      = 3                      // neutral results in a row
	minKick         = time.Second            // between a check and one that traffic asked for
	maxKicks        = 1024                   // that wait for a shard
	maxWarmUp       = 10 * time.Second       // see Warm
)

// Engine runs checks. Make it with [New].
type Engine struct {
	cfg       Config // with the defaults filled in, and the bounds those of one shard
	seed      maphash.Seed
	shards    []*shard
	stopped   chan struct{} // closed when Run has returned
	warm      chan struct{} // closed once, see Warm
	firstPace time.Duration // of one shard's part of first checks
	cold      atomic.Int32  // shards that are not warm yet
}

// New returns an engine with nothing to check.
func New(cfg Config) *Engine {
	cfg.Shards = cmp.Or(cfg.Shards, max(1, runtime.GOMAXPROCS(0)/2))
	cfg.MaxInFlight = max(1, cmp.Or(cfg.MaxInFlight, defaultMaxInFlight)/cfg.Shards)
	cfg.MaxEncrypted = max(1, min(cmp.Or(cfg.MaxEncrypted, defaultMaxEncrypted)/cfg.Shards, cfg.MaxInFlight/2))
	if cfg.newDriver == nil {
		cfg.newDriver = newDriver
	}
	e := &Engine{
		cfg:       cfg,
		firstPace: firstChecksPace * time.Duration(cfg.Shards),
		seed:      maphash.MakeSeed(),
		shards:    make([]*shard, cfg.Shards),
		stopped:   make(chan struct{}),
		warm:      make(chan struct{}),
	}
	e.cold.Store(int32(cfg.Shards))
	for i := range e.shards {
		e.shards[i] = newShard(e)
	}
	return e
}

// Set replaces what is checked. A target that stays keeps its health; if its check's settings changed it
// keeps its state but not its streak, and a result of the old settings no longer counts; how often it has returned is
// known for as long as its check's HoldDown is on. A new target is checked at once. Groups that no listener leads to are
// not checked. Set returns once all shards have taken over; after Run has returned it does nothing.
func (e *Engine) Set(rosters []triage.Roster) {
	parts := e.split(rosters)
	var taken sync.WaitGroup
	for i, s := range e.shards {
		taken.Go(func() { s.do(func() { s.set(parts[i]) }) })
	}
	taken.Wait()
}

// Kick asks for a check of one target now, because traffic to it failed. It is ignored within a second of the
// last check, while one is under way, and when very many wait already. It never blocks.
func (e *Engine) Kick(key triage.Key) { e.shards[e.shardOf(key)].kickSoon(key) }

// Snapshot returns what is known of each member of a group, in the order of its roster. It is empty after Run
// has returned.
func (e *Engine) Snapshot(group triage.GroupName) []triage.CheckStatus {
	var all []placed
	for _, s := range e.shards {
		s.do(func() { all = s.snapshot(group, all) })
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.order, b.order) })
	statuses := make([]triage.CheckStatus, len(all))
	for i := range all {
		statuses[i] = all[i].CheckStatus
	}
	return statuses
}

// Stats returns what has been counted. Its groups are in the order of their names.
func (e *Engine) Stats() triage.CheckStats {
	var stats triage.CheckStats
	groups := map[triage.GroupName]*triage.GroupCheckStats{}
	for _, s := range e.shards {
		s.do(func() { s.stats(&stats, groups) })
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		stats.Groups = append(stats.Groups, *groups[name])
	}
	return stats
}

// Warm is closed when every target of the first [Engine.Set] has a result, or after the largest timeout among
// them (at most 10 s): from then on the balancer knows enough to take traffic.
func (e *Engine) Warm() <-chan struct{} { return e.warm }

// Run checks until ctx ends, then stops the checks under way and returns when all of them have ended. It returns
// earlier, with the reason, if a driver cannot go on.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.stopped)
	running, ctx := errgroup.WithContext(ctx)
	for _, s := range e.shards {
		running.Go(func() error { return s.run(ctx) })
	}
	return running.Wait()
}

// shardOf is where a key lives, as long as the process does.
func (e *Engine) shardOf(key triage.Key) int {
	return int(maphash.Comparable(e.seed, key) >> 32 % uint64(len(e.shards)))
}

// task is what a shard checks of one group.
type task struct {
	roster  *triage.Roster
	plan    *probe.Plan // for the dialect in which the group is checked
	members []taskMember
}

type taskMember struct {
	member *triage.Member
	order  int // in the roster
}

// split gives each shard its part of the rosters.
func (e *Engine) split(rosters []triage.Roster) [][]task {
	parts := make([][]task, len(e.shards))
	for i := range rosters {
		r := &rosters[i]
		if !r.Routed {
			continue
		}
		shared := probe.Compile(dialect.Get(cmp.Or(r.HealthCheck.As, triage.Own)), r.HealthCheck)
		shared.Cluster = string(r.Name)
		for s := range parts {
			parts[s] = append(parts[s], task{roster: r, plan: shared})
		}
		for order := range r.Members {
			m := &r.Members[order]
			part := parts[e.shardOf(m.Key)]
			t := &part[len(part)-1]
			t.members = append(t.members, taskMember{m, order})
		}
	}
	return parts
}

// shardIsWarm counts the shards that are.
func (e *Engine) shardIsWarm() {
	if e.cold.Add(-1) == 0 {
		close(e.warm)
	}
}
