package balance

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/triage-lb/triage"
)

const many = 100_000

// large is a routed group with that many targets.
func large(n int) triage.Roster {
	r := roster("app", 0)
	r.Members = make([]triage.Member, n)
	for i := range r.Members {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 9000)
		r.Members[i] = triage.Member{Key: triage.Key{Group: "app", Target: triage.TargetID(addr.String()), Address: addr}, Weight: 1}
	}
	return r
}

// levels is every member of the roster in that state.
func levels(r triage.Roster, s triage.State) []triage.HealthLevel {
	all := make([]triage.HealthLevel, len(r.Members))
	for i := range all {
		all[i] = triage.HealthLevel{Key: r.Members[i].Key, Health: triage.Health{State: s}}
	}
	return all
}

// TestBytesPerTarget: what the table keeps of a target beside the roster's member, also after a storm.
func TestBytesPerTarget(t *testing.T) {
	r := large(many)
	table := New()
	before := live()
	table.Publish([]triage.Roster{r})
	tell := func(when string, most int) {
		if each := (live() - before) / many; each > most {
			t.Errorf("%s: %d B for each target, want %d at most", when, each, most)
		} else {
			t.Logf("%s: %d B for each target", when, each)
		}
	}
	tell("initial", 90)
	for _, state := range []triage.State{triage.Unhealthy, triage.Healthy} {
		table.Level(levels(r, state))
		table.Settle()
		tell("all "+state.String(), 90)
	}
	table.Level(levels(r, triage.Unhealthy)[1:])
	table.Settle()
	tell("all but one unhealthy", 90)
	table.Level(levels(r, triage.Healthy)[1:])
	table.Level(levels(r, triage.Unhealthy)[:1])
	table.Settle()
	tell("all but one healthy", 100) // the rotation is a list of its own
	r.Members = slices.Clone(r.Members[1:])
	table.Publish([]triage.Roster{r})
	tell("without the one", 90)
	r.Members = r.Members[:10]
	table.Publish([]triage.Roster{r})
	tell("nearly all removed", 1)
	runtime.KeepAlive(table)
}

// live is how many bytes are in use.
func live() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestALeavingTargetHoldsNoRoster: a target takes minutes to leave, and the roster that named it is ten megabytes.
func TestALeavingTargetHoldsNoRoster(t *testing.T) {
	table := New()
	r := large(2)
	table.Publish([]triage.Roster{r})
	e := table.Pool("app").pick(Want{})
	old := weak.Make(&r.Members[0])
	r.Members = large(4).Members[2:]
	table.Publish([]triage.Roster{r})
	runtime.GC()
	if old.Value() != nil {
		t.Error("the old roster is still in memory")
	}
	if all := table.Snapshot("app"); len(all) != 3 || all[2].Key != e.Key() {
		t.Errorf("got %+v", all)
	}
}

// TestPublisherKeepsUp with a group of 100,000 in which a hundred change in every millisecond: it does not build as
// many pools as there are batches, and the last one is right.
func TestPublisherKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const batch = 100
		table := New()
		run(t, table)
		r := large(many)
		table.Publish([]triage.Roster{r})
		all := levels(r, triage.Healthy)
		pools := map[*Pool]bool{}
		for chunk := range slices.Chunk(all, batch) {
			table.Level(chunk)
			synctest.Wait()
			pools[table.Pool("app")] = true
			if len(pools) == 1 && table.Pool("app").Healthy() != batch {
				t.Fatal("the first change had to wait")
			}
			time.Sleep(time.Millisecond)
		}
		const took = many / batch * time.Millisecond
		if most := int(took/rest(many)) + 1; len(pools) > most {
			t.Errorf("%d batches in %s led to %d pools, want %d at most", many/batch, took, len(pools), most)
		}
		time.Sleep(rest(many))
		synctest.Wait()
		if n := table.Pool("app").Healthy(); n != many {
			t.Errorf("at rest %d of %d are healthy", n, many)
		}
	})
}

// TestRunStopsWhileItRests: a process that stops in the middle of a mass failure need not wait for it.
func TestRunStopsWhileItRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- table.Run(ctx) }()
		r := large(many)
		table.Publish([]triage.Roster{r})
		table.Level(levels(r, triage.Healthy)[:1])
		synctest.Wait()
		cancel()
		start := time.Now()
		if err := <-done; err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// TestSameStateSamePool: health that is told again, or has another reason, changes nothing about requests.
func TestSameStateSamePool(t *testing.T) {
	table := New()
	r := roster("app", 3)
	table.Publish([]triage.Roster{r})
	table.Level(levels(r, triage.Unhealthy))
	table.Settle()
	pool := table.Pool("app")
	table.Level([]triage.HealthLevel{{Key: r.Members[0].Key, Health: triage.Health{State: triage.Unhealthy, Outcome: triage.ResponseTimeout}}})
	table.Settle()
	if table.Pool("app") != pool {
		t.Error("a new pool for the same states")
	}
	if s := table.Snapshot("app")[0]; s.Reason != triage.Timeout {
		t.Errorf("the reason is %q", s.Reason)
	}
	table.Level(levels(r, triage.Healthy)[1:2])
	table.Settle()
	if p := table.Pool("app"); p == pool || p.Healthy() != 1 || p.FailingOpen() {
		t.Error("a level that differs is not made up for")
	}
}

// TestCountsSurviveAnEdit: members that move in the roster stay who they are.
func TestCountsSurviveAnEdit(t *testing.T) {
	table := New()
	r := roster("app", 3)
	table.Publish([]triage.Roster{r})
	for range 3 {
		defer table.Pool("app").pick(Want{}).Done()
	}
	old := r.Members
	r.Members = []triage.Member{{Key: key("app", 9), Weight: 1}, old[2], old[1]}
	table.Publish([]triage.Roster{r})
	for i, s := range table.Snapshot("app") {
		want := triage.BalanceStatus{Key: key("app", []int{9, 3, 2, 1}[i]), Reason: triage.InitialHealthChecking, InFlight: 1, Requests: 1}
		switch i {
		case 0:
			want.InFlight, want.Requests = 0, 0
		case 3:
			want.State, want.Reason, want.Registration = triage.Draining, triage.DeregistrationInProgress, triage.Deregistered
		}
		if s != want {
			t.Errorf("got  %+v\nwant %+v", s, want)
		}
	}
}

func BenchmarkBuild100k(b *testing.B) {
	for name, healthy := range map[string]int{"all": many, "half": many / 2} {
		b.Run(name+" healthy", func(b *testing.B) {
			table := New()
			r := large(many)
			table.Publish([]triage.Roster{r})
			table.Level(levels(r, triage.Healthy)[:healthy])
			table.Settle()
			g := (*table.groups.Load())["app"]
			b.ReportAllocs()
			for b.Loop() {
				g.build()
			}
		})
	}
}

func BenchmarkPublish100k(b *testing.B) {
	table := New()
	full := large(many)
	b.Run("other settings", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			table.Publish([]triage.Roster{full})
		}
	})
	b.Run("one target more or less", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r := full
			r.Members = full.Members[i%2:]
			table.Publish([]triage.Roster{r})
		}
	})
}

// BenchmarkLearn100k is a mass failure that arrives at once.
func BenchmarkLearn100k(b *testing.B) {
	table := New()
	r := large(many)
	table.Publish([]triage.Roster{r})
	news := [2][]triage.HealthLevel{levels(r, triage.Healthy), levels(r, triage.Unhealthy)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Level(news[i%2])
		table.Settle()
	}
}
