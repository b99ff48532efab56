package balance

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// roster is a routed group with n targets of weight 1.
func roster(name triage.GroupName, n int) triage.Roster {
	g := triage.DefaultGroup()
	g.Name = name
	r := triage.Roster{Group: g, Routed: true}
	for i := range n {
		r.Members = append(r.Members, triage.Member{Key: key(name, i+1), Weight: 1})
	}
	return r
}

func healthy(keys ...triage.Key) []triage.Transition {
	var ts []triage.Transition
	for _, k := range keys {
		ts = append(ts, triage.Transition{Key: k, To: triage.Health{State: triage.Healthy}})
	}
	return ts
}

// run runs the table within a synctest bubble until the test ends.
func run(t *testing.T, table *Table) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRemovedTargetFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New()
		run(t, table)
		r := roster("app", 1)
		table.Publish([]triage.Roster{r})
		e := table.Pool("app").pick(Want{})
		var isGone atomic.Bool
		e.OnGone(func() { isGone.Store(true) })

		r.Members = nil
		table.Publish([]triage.Roster{r})
		time.Sleep(r.DeregistrationDelay - time.Second)
		synctest.Wait()
		all := table.Snapshot("app")
		if len(all) != 1 || all[0].State != triage.Draining || all[0].Reason != triage.DeregistrationInProgress || all[0].InFlight != 1 {
			t.Fatalf("while its request runs the snapshot is %+v", all)
		}
		if isGone.Load() {
			t.Fatal("gone with time left and a request running")
		}
		if next := table.Pool("app").pick(Want{}); next != nil {
			t.Fatalf("picked %v, which was removed", next.Key())
		}
		e.Done()
		synctest.Wait()
		if all := table.Snapshot("app"); !isGone.Load() || len(all) != 0 {
			t.Fatalf("after its last request: gone %t, snapshot %+v", isGone.Load(), all)
		}
	})
}

func TestRemovedTargetRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New()
		run(t, table)
		r := roster("app", 1)
		r.DeregistrationDelay = 10 * time.Second
		table.Publish([]triage.Roster{r})
		e := table.Pool("app").pick(Want{})
		var isGone atomic.Bool
		e.OnGone(func() { isGone.Store(true) })

		table.Publish(nil) // the whole group goes
		synctest.Wait()
		if all := table.Snapshot("app"); len(all) != 1 {
			t.Fatalf("the removed group's draining target is not shown: %+v", all)
		}
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		if isGone.Load() {
			t.Fatal("cut off too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !isGone.Load() || e.InFlight() != 1 {
			t.Fatalf("gone %t with %d in flight, want it cut off with 1", isGone.Load(), e.InFlight())
		}
		if table.Pool("app") != nil {
			t.Fatal("the removed group is still there")
		}
		e.Done()
		late := false
		e.OnGone(func() { late = true })
		if !late {
			t.Fatal("OnGone after the end did not call at once")
		}
	})
}

func TestTargetComesBackWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New()
		run(t, table)
		r := roster("app", 1)
		r.NoneHealthy = triage.Answer503
		table.Publish([]triage.Roster{r})
		table.Observe(healthy(r.Members[0].Key))
		synctest.Wait()
		e := table.Pool("app").pick(Want{})

		table.Publish([]triage.Roster{roster("app", 0)})
		table.Publish([]triage.Roster{r})
		if all := table.Snapshot("app"); len(all) != 1 || all[0].State != triage.Initial || all[0].InFlight != 1 {
			t.Fatalf("back again it is %+v, want initial with its request counted", all)
		}
		e.Done()
		time.Sleep(2 * r.DeregistrationDelay)
		synctest.Wait()
		table.Observe(healthy(r.Members[0].Key))
		synctest.Wait()
		again := table.Pool("app").pick(Want{})
		if again != e {
			t.Fatalf("picked %v, want the same entry", again)
		}
		again.Done()
	})
}

func TestStaleHealthOfARemovedTargetIsDropped(t *testing.T) {
	table := New()
	r := roster("app", 1)
	r.NoneHealthy = triage.Answer503
	table.Publish([]triage.Roster{r})
	table.Publish([]triage.Roster{roster("app", 0)})
	table.Observe(healthy(r.Members[0].Key))
	table.Publish([]triage.Roster{r})
	table.round(time.Now())
	if e := table.Pool("app").pick(Want{}); e != nil {
		t.Fatal("a new target took traffic on the health of its predecessor")
	}
}

func TestFailOpen(t *testing.T) {
	table := New()
	r := roster("app", 3)
	r.Members[1].Person = triage.PersonDrained
	r.Members = append(r.Members, triage.Member{Key: triage.Key{Group: "app", Target: "gone.example:80"}, Weight: 1, Unresolved: "no such host"})
	table.Publish([]triage.Roster{r})
	pool := table.Pool("app")
	if !pool.FailingOpen() || pool.Healthy() != 0 {
		t.Fatalf("failing open %t with %d healthy", pool.FailingOpen(), pool.Healthy())
	}
	picked := map[triage.Key]int{}
	for range 10 {
		e := pool.pick(Want{})
		picked[e.Key()]++
		e.Done()
	}
	if len(picked) != 2 || picked[key("app", 1)] != 5 || picked[key("app", 3)] != 5 {
		t.Fatalf("picked %v, want the two that are neither drained nor unresolved", picked)
	}
	table.Observe(healthy(key("app", 3)))
	table.round(time.Now())
	if pool := table.Pool("app"); pool.FailingOpen() || pool.Healthy() != 1 {
		t.Fatalf("with one healthy: failing open %t, %d healthy", pool.FailingOpen(), pool.Healthy())
	}
}

// TestSecondPicksDoNotMoveTheTurn: with two targets, one of them refusing, moving the turn on at each second
// pick would send every first pick to the one that refuses.
func TestSecondPicksDoNotMoveTheTurn(t *testing.T) {
	table := New()
	table.Publish([]triage.Roster{roster("app", 2)})
	first := map[triage.Key]int{}
	for range 10 {
		e := table.Pool("app").pick(Want{})
		first[e.Key()]++
		other := table.Pool("app").pick(Want{Not: []*Entry{e}})
		if other == e {
			t.Fatal("picked the same again")
		}
		e.Done()
		other.Done()
	}
	if first[key("app", 1)] != 5 {
		t.Fatalf("first picks went %v", first)
	}
}

// TestRaces lets readers, observers and publishers at the table at once, for the race detector, and holds the
// counts to their sum.
func TestRaces(t *testing.T) {
	table := New()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- table.Run(ctx) }()
	full, half := roster("app", 4), roster("app", 2)
	table.Publish([]triage.Roster{full})

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				if e := table.Pool("app").pick(Want{}); e != nil {
					e.Done()
				}
			}
		})
		wg.Go(func() {
			for i := range 500 {
				state := triage.Healthy
				if i%3 == 0 {
					state = triage.Unhealthy
				}
				table.Observe([]triage.Transition{{Key: key("app", i%4+1), To: triage.Health{State: state}}})
				table.Level([]triage.HealthLevel{{Key: key("app", (i+1)%4+1), Health: triage.Health{State: state}}})
				table.Snapshot("app")
				table.States("app")
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			table.Publish([]triage.Roster{map[bool]triage.Roster{true: full, false: half}[i%2 == 0]})
		}
	})
	wg.Wait()
	table.Publish([]triage.Roster{half})
	for _, s := range table.Snapshot("app") {
		if s.InFlight != 0 || s.Registration == triage.Deregistered {
			t.Errorf("at rest: %+v", s)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWheelKeepsHeavyTurnsApart(t *testing.T) {
	w := newWheel([]int{3, 3, 2})
	var turns []int
	for n := range uint64(8) {
		turns = append(turns, w.at(n))
	}
	for i := range turns {
		if i >= 2 && turns[i] == turns[i-1] && turns[i] == turns[i-2] {
			t.Fatalf("three turns in a row for member %d: %v", turns[i], turns)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	table := New()
	r := roster("app", 8)
	r.Members[0].Weight = 3
	table.Publish([]triage.Roster{r})
	b.ReportAllocs()
	for b.Loop() {
		table.Pool("app").pick(Want{}).Done()
	}
}

// TestSettledPoolsKnowWhatWasObserved: the first clients met pools in which nobody was healthy yet, because
// whoever let them in did not wait for the news to arrive.
func TestSettledPoolsKnowWhatWasObserved(t *testing.T) {
	for _, running := range []bool{false, true} {
		for range 50 {
			table := New()
			if running {
				run(t, table)
			}
			r := roster("app", 2)
			table.Publish([]triage.Roster{r})
			table.Observe(healthy(r.Members[0].Key))
			table.Settle()
			if n := table.Pool("app").Healthy(); n != 1 {
				t.Fatalf("running %t: settled with %d healthy targets of 1", running, n)
			}
		}
	}
}
