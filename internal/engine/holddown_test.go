package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// heldDown is a check that holds down what comes and goes.
func heldDown() triage.HealthCheck {
	c := fastCheck()
	c.Thresholds = triage.Thresholds{Healthy: 2, Unhealthy: 1}
	c.HoldDown = triage.HoldDown{First: 10 * time.Second, Limit: 40 * time.Second, Window: 10 * time.Minute}
	return c
}

// sees counts results of a slot, a second apart.
func (l *shard) sees(s *slot, outcomes ...triage.Outcome) {
	for _, o := range outcomes {
		time.Sleep(time.Second)
		l.observe(s, &triage.Exchange{Outcome: o}, l.now())
	}
}

const (
	pass = triage.Matched
	fail = triage.Refused
)

// TestHoldDownKeepsOutWhatComesAndGoes: a target that fails for the first three seconds of each minute is out for longer
// each time, is asked at the pace of a transition meanwhile, and both changes of its state are told.
func TestHoldDownKeepsOutWhatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := heldDown()
		c.Interval, c.TransitionInterval = 2*time.Second, time.Second
		var l *shard
		down, returned := 0, []moment{} // when it came back, from the end of the failures
		l = New(Config{Shards: 1, OnTransitions: func(batch []triage.Transition) {
			for _, change := range batch {
				switch change.To.State {
				case triage.Unhealthy:
					down++
				case triage.Healthy:
					if change.From.State == triage.Unhealthy {
						returned = append(returned, change.At.Sub(l.epoch)%time.Minute-3*time.Second)
					}
				}
			}
		}}).shards[0]
		d := &virtual{shard: l, starts: map[*slot][]moment{}, ends: map[*slot]moment{}}
		d.script = func(*slot, uint32) (time.Duration, triage.Outcome) {
			if at := l.now(); at > time.Minute && at%time.Minute < 3*time.Second {
				return 0, fail
			}
			return 0, pass
		}
		l.driver = d
		l.take(many(c, nowhere, 1))
		held := 0
		for l.now() < 7*time.Minute-time.Second {
			most := l.startDue(l.now())
			l.report()
			d.wait(most)
			if status := l.snapshot("app", nil)[0]; !status.HeldUntil.IsZero() {
				held++
				if status.Return != len(returned)+1 || status.Health.State != triage.Unhealthy || status.Health.Streak < 2 {
					t.Errorf("held for return %d as %s, %d have passed", status.Return, status.Health.State, status.Health.Streak)
				}
			}
		}
		want := []time.Duration{time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 40 * time.Second, 40 * time.Second}
		if down != len(want) || len(returned) != len(want) {
			t.Fatalf("went %d times, came back at %v", down, returned)
		}
		for i, at := range returned {
			if at < want[i] || at > want[i]+2*c.Interval+slack {
				t.Errorf("return %d came after %s, want %s", i+1, at, want[i])
			}
		}
		if held < 100 { // seconds, of some 150: it is asked each second
			t.Errorf("seen as held %d times", held)
		}
	})
}

// TestEditKeepsTheFlaps: how often a target has returned outlives an edit of its check, the passes do not; and who
// switches hold-down off has all that forgotten.
func TestEditKeepsTheFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := parkedShard()
		r := many(heldDown(), nowhere, 1)
		l.take(r)
		s := l.order[0]
		is := func(state triage.State, which int) {
			t.Helper()
			if got := l.snapshot("app", nil)[0]; got.Health.State != state || got.Return != which || got.HeldUntil.IsZero() != (which == 0) {
				t.Errorf("%s, held for return %d until %s; want %s, %d", got.Health.State, got.Return, got.HeldUntil, state, which)
			}
		}
		l.sees(s, fail, pass, pass)
		is(triage.Healthy, 0)
		l.sees(s, fail, pass, pass)
		is(triage.Unhealthy, 2)

		r.HealthCheck.Path = "/new"
		l.take(r)
		is(triage.Unhealthy, 0)
		l.sees(s, pass)
		is(triage.Unhealthy, 0)
		l.sees(s, pass)
		is(triage.Unhealthy, 2)

		r.HealthCheck.HoldDown.First = time.Second
		l.take(r)
		l.sees(s, pass, pass)
		is(triage.Healthy, 0)
		r.HealthCheck.HoldDown.First = 10 * time.Second
		l.take(r)
		l.sees(s, fail, pass, pass)
		is(triage.Unhealthy, 3)

		r.HealthCheck.HoldDown = triage.HoldDown{}
		l.take(r)
		is(triage.Unhealthy, 0)
		r.HealthCheck.HoldDown = heldDown().HoldDown
		l.take(r)
		l.sees(s, pass, pass)
		is(triage.Healthy, 0)
	})
}

// flapStep is something that happens to a shard of three targets.
type flapStep struct {
	after   time.Duration
	what    int // 0: an edit, 1: one that switches hold-down, 2: removal, 3: registration anew; else a result
	target  int
	outcome triage.Outcome
}

func anyFlapStep(t *rapid.T) flapStep {
	return flapStep{
		after:   time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second,
		what:    rapid.IntRange(0, 49).Draw(t, "what"),
		target:  rapid.IntRange(0, 2).Draw(t, "target"),
		outcome: rapid.SampledFrom([]triage.Outcome{pass, pass, pass, fail, triage.Canceled}).Draw(t, "outcome"),
	}
}

// TestFlapsBelongToTheirTarget: whatever is seen, edited, removed and registered anew, each target is what its own results
// make of it, and nothing is kept of those that are gone.
func TestFlapsBelongToTheirTarget(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		length := rapid.SampledFrom([]int{10, 50, 200}).Draw(rt, "length")
		steps := rapid.SliceOfN(rapid.Custom(anyFlapStep), length, length).Draw(rt, "steps")
		fault := ""
		synctest.Test(t, func(t *testing.T) { fault = liveThrough(steps) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// liveThrough does the steps to a shard and, target by target, to health and flaps alone. It returns where they differ.
func liveThrough(steps []flapStep) string {
	type alone struct {
		health triage.Health
		flaps  triage.Flaps
	}
	l, r := parkedShard(), many(heldDown(), nowhere, 3)
	all, check, want := r.Members, &r.HealthCheck, map[triage.Key]alone{}
	l.take(r)
	for i, step := range steps {
		time.Sleep(step.after)
		now := l.time(l.now())
		switch step.what {
		case 0, 1:
			check.Path = fmt.Sprintf("/%d", i)
			if step.what == 1 {
				check.HoldDown.First = 10*time.Second - check.HoldDown.First // off, or on again
			}
			for key, w := range want {
				w.health, w.flaps = w.health.Undecided(), w.flaps.Undecided(now)
				if !check.HoldDown.On() {
					w.flaps = triage.Flaps{}
				}
				want[key] = w
			}
		case 2:
			delete(want, all[0].Key)
			r.Members = all[1:]
		case 3:
			r.Members = all
		default:
			s := l.order[step.target%len(l.order)]
			w := want[s.member.Key]
			w.flaps, w.health, _ = w.flaps.Observe(w.health, step.outcome, 0, check.Thresholds, check.HoldDown, now)
			want[s.member.Key] = w
			l.observe(s, &triage.Exchange{Outcome: step.outcome}, l.now())
		}
		if step.what <= 3 {
			l.take(r)
		}
		for _, got := range l.snapshot("app", nil) {
			w := want[got.Key]
			until, which := w.flaps.Held(check.HoldDown)
			if got.Health != w.health || !got.HeldUntil.Equal(until) || got.Return != which {
				return fmt.Sprintf("step %d: %s is %+v, held until %s for return %d; want %+v, %s, %d",
					i, got.Key, got.Health, got.HeldUntil, got.Return, w.health, until, which)
			}
		}
		for s := range l.groups["app"].flaps {
			if s.gone || !check.HoldDown.On() {
				return fmt.Sprintf("step %d: flaps of %s are kept; gone: %v, hold-down: %+v", i, s.member.Key, s.gone, check.HoldDown)
			}
		}
	}
	return ""
}

// TestHeldDownIsTold: over real connections, by every driver.
func TestHeldDownIsTold(t *testing.T) {
	server := newSick(t, 500, 0)
	c := heldDown()
	c.HoldDown.First, c.HoldDown.Limit, c.HoldDown.Window = time.Hour, time.Hour, time.Hour
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(c, server.address())})
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	server.status.Store(200)
	eventually(t, "back at once, the first time", stateIs(e, triage.Healthy))
	server.status.Store(500)
	eventually(t, "unhealthy again", stateIs(e, triage.Unhealthy))
	server.status.Store(200)
	begin := time.Now()
	eventually(t, "held down", func() bool {
		s := e.Snapshot("app")[0]
		return s.HeldUntil.After(begin) && s.Return == 2 && s.Health.Streak > 3 && s.Health.State == triage.Unhealthy
	})
	c.HoldDown = triage.HoldDown{}
	e.Set([]triage.Roster{roster(c, server.address())})
	eventually(t, "back once nothing holds it", stateIs(e, triage.Healthy))
	if s := e.Snapshot("app")[0]; !s.HeldUntil.IsZero() || s.Return != 0 {
		t.Errorf("still held until %s", s.HeldUntil)
	}
}

// TestWindowOfTheLastChecks: failures need not follow each other.
func TestWindowOfTheLastChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := parkedShard()
		r := many(fastCheck(), nowhere, 1)
		r.HealthCheck.Thresholds = triage.Thresholds{Healthy: 3, Unhealthy: 2, Window: 4}
		l.take(r)
		s := l.order[0]
		l.sees(s, pass, fail, pass, pass, pass, fail, pass)
		if s.health.State != triage.Healthy || s.health.Streak != 1 {
			t.Errorf("%s, %d of the last four failed", s.health.State, s.health.Streak)
		}
		l.batch = nil
		l.sees(s, fail)
		if s.health.State != triage.Unhealthy || len(l.batch) != 1 {
			t.Errorf("%s after two failures of the last four, told %v", s.health.State, l.batch)
		}
		l.sees(s, pass, pass)
		r.HealthCheck.Path = "/new"
		l.take(r)
		l.sees(s, pass, fail, pass)
		if s.health.State != triage.Unhealthy || s.health.Streak != 2 {
			t.Errorf("%s, %d of the last passed: those before the edit count", s.health.State, s.health.Streak)
		}
		l.sees(s, pass)
		if s.health.State != triage.Healthy {
			t.Errorf("%s after three passes of the last four", s.health.State)
		}
	})
}
