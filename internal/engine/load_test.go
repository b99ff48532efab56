package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// many is a roster of n targets behind one address.
func many(c triage.HealthCheck, address netip.AddrPort, n int) triage.Roster {
	r := roster(c)
	for i := range n {
		r.Members = append(r.Members, triage.Member{Key: triage.Key{Group: "app", Target: triage.TargetID(fmt.Sprintf("app-%d:80", i)), Address: address}, Weight: 1})
	}
	return r
}

// TestKickComesBeforeItsTurn: traffic that failed asks for a check at once, but for no more than one a second.
func TestKickComesBeforeItsTurn(t *testing.T) {
	t.Parallel()
	server := newSick(t, 200, 0)
	c := fastCheck()
	c.Interval = time.Hour
	e, _ := start(t, Config{})
	r := roster(c, server.address())
	begin := time.Now()
	e.Set([]triage.Roster{r})
	eventually(t, "a second check within the hour", func() bool {
		e.Kick(r.Members[0].Key)
		return server.requests.Load() >= 2
	})
	if took := time.Since(begin); took < minKick {
		t.Errorf("two checks within %s, however often one was asked for", took)
	}
}

// TestKickOfAStranger: traffic may still fail on a target that is gone.
func TestKickOfAStranger(t *testing.T) {
	e, _ := start(t, Config{})
	e.Kick(triage.Key{Group: "app", Target: "gone:80"})
	e.Set(nil)
	if all := e.Snapshot("app"); len(all) != 0 {
		t.Errorf("%v", all)
	}
}

// TestTooManyChecksWait: no more connections than allowed are open at once, and whoever waits comes when one ends.
func TestTooManyChecksWait(t *testing.T) {
	server := newSilent(t)
	c := fastCheck()
	c.Timeout = time.Hour
	e, _ := start(t, Config{MaxInFlight: 3, Shards: 1})
	r := many(c, server.address, 8)
	e.Set([]triage.Roster{r})
	eventually(t, "three are under way", func() bool { return server.open.Load() == 3 })
	l := e.shards[0]
	eventually(t, "the others are due", func() (due bool) {
		l.do(func() { due = l.room.waiting == 5 })
		return due
	})
	if all := e.Snapshot("app"); len(all) != 8 || server.accepted.Load() != 3 {
		t.Errorf("%d targets, %d connections", len(all), server.accepted.Load())
	}
	l.do(func() {
		r.Members = slices.DeleteFunc(slices.Clone(r.Members), func(m triage.Member) bool { return l.slots.Get(m.Key).flying() })
	})
	e.Set([]triage.Roster{r})
	eventually(t, "three others are under way", func() bool { return server.accepted.Load() == 6 && server.open.Load() == 3 })
}

// TestLateChecksAreTold: nobody should believe in an interval that is not kept.
func TestLateChecksAreTold(t *testing.T) {
	t.Parallel()
	server := newSilent(t)
	c := fastCheck()
	c.Interval, c.Timeout = 20*time.Millisecond, 60*time.Millisecond
	var told atomic.Int32
	var worst atomic.Int64
	begin := time.Now()
	e, _ := start(t, Config{MaxInFlight: 1, Shards: 1, OnBehind: func(late time.Duration) {
		worst.Store(max(worst.Load(), int64(late)))
		told.Add(1)
	}})
	e.Set([]triage.Roster{many(c, server.address, 3)})
	eventually(t, "told", func() bool { return told.Load() > 0 })
	if late := time.Duration(worst.Load()); late <= c.Interval {
		t.Errorf("told of %s, which is within the interval", late)
	}
	eventually(t, "told again", func() bool { return told.Load() > 1 })
	if took := time.Since(begin); took < time.Second {
		t.Errorf("told twice within %s", took)
	}
}

// TestFirstChecksAreSpread: neither a start nor an edit may ask 20,000 targets in the same instant.
func TestFirstChecksAreSpread(t *testing.T) {
	const targets = 20_000
	l := parkedShard()
	r := many(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1"), targets)
	spread := func() time.Duration {
		first, last := l.order[0].due, moment(0)
		for _, s := range l.order {
			first, last = min(first, s.due), max(last, s.due)
		}
		return last - first
	}
	for _, when := range []string{"at the start", "after an edit of the path"} {
		l.take(r)
		if got := spread(); got != (targets-1)*firstChecksPace {
			t.Errorf("%s the first checks come within %s", when, got)
		}
		r.HealthCheck.Path = "/other"
	}
}

// TestAShortTimeoutEjects: with a timeout of 10 ms our own last look at the connection must not pass for lateness.
func TestAShortTimeoutEjects(t *testing.T) {
	server := newSilent(t)
	c := fastCheck()
	c.Timeout = triage.MinTimeout
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(c, server.address)})
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	if h := e.Snapshot("app")[0].Health; h.Outcome != triage.ResponseTimeout {
		t.Errorf("%s", h.Outcome)
	}
}

// TestWarmWaitsForNobodyLonger: targets that hang, one after the other, hold the first clients up for one timeout.
func TestWarmWaitsForNobodyLonger(t *testing.T) {
	server := newSilent(t)
	c := fastCheck()
	c.Interval = time.Hour
	begin := time.Now()
	e, _ := start(t, Config{MaxInFlight: 1, Shards: 1})
	e.Set([]triage.Roster{many(c, server.address, 40)})
	<-e.Warm()
	if took := time.Since(begin); took < c.Timeout {
		t.Errorf("warm after %s: nobody had a result", took)
	}
	unchecked := func(s triage.CheckStatus) bool { return s.Checks == 0 }
	if !slices.ContainsFunc(e.Snapshot("app"), unchecked) {
		t.Error("warm only when the last of forty had timed out")
	}
}

// TestOurOwnAdminAddressIsNotChecked: a name may lead there.
func TestOurOwnAdminAddressIsNotChecked(t *testing.T) {
	server := newSick(t, 200, 0)
	e, _ := start(t, Config{})
	r := roster(fastCheck(), server.address())
	r.Policy.Admin = server.address()
	e.Set([]triage.Roster{r})
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	if h := e.Snapshot("app")[0].Health; h.Outcome != triage.AddressForbidden || server.requests.Load() != 0 {
		t.Errorf("%s, %d requests", h.Outcome, server.requests.Load())
	}
}

// TestSnapshotIsInTheRostersOrder: a table that is read every second must not shuffle.
func TestSnapshotIsInTheRostersOrder(t *testing.T) {
	server := newSick(t, 200, 0)
	e, _ := start(t, Config{Shards: 4})
	r := many(fastCheck(), server.address(), 50)
	for _, order := range []string{"as registered", "reversed"} {
		e.Set([]triage.Roster{r})
		for i, s := range e.Snapshot("app") {
			if s.Key != r.Members[i].Key {
				t.Fatalf("%s: number %d is %s", order, i, s.Key)
			}
		}
		r.Members = slices.Clone(r.Members)
		slices.Reverse(r.Members)
	}
}

// TestUnresolvedIsToldAtOnce: nothing else need happen for it, not even another check an hour later.
func TestUnresolvedIsToldAtOnce(t *testing.T) {
	e, seen := start(t, Config{})
	e.Set(nil)
	<-e.Warm()
	c := fastCheck()
	c.Interval = time.Hour
	r := roster(c)
	r.Members = []triage.Member{{Key: triage.Key{Group: "app", Target: "gone.invalid:80"}, Unresolved: "no such host"}}
	e.Set([]triage.Roster{r})
	eventually(t, "told", func() bool { return len(seen.list()) == 1 })
}
