package loop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// naive is what a Wheel has to be equal to: a map of timers to the ticks at which they fire.
type naive struct {
	limit int64
	due   map[int]int64
}

func (n *naive) set(id int, at time.Duration) {
	tick := at / Resolution
	if at%Resolution > 0 {
		tick++
	}
	n.due[id] = max(int64(tick), n.limit)
}

// TestWheelIsEqualToASortedList sets, stops and advances at random, over steps from nothing to hours, with
// timers that set and stop others (and themselves) when they fire.
func TestWheelIsEqualToASortedList(t *testing.T) {
	delays := rapid.OneOf(
		rapid.Int64Range(-int64(time.Second), int64(20*time.Millisecond)),
		rapid.Int64Range(0, int64(10*time.Second)),
		rapid.Int64Range(0, int64(100*time.Hour)),
		rapid.Custom(func(t *rapid.T) int64 { // the edges of places
			return rapid.Int64Range(0, 1<<20).Draw(t, "n")*int64(Resolution) + rapid.Int64Range(-1, 1).Draw(t, "off")
		}),
	)
	rapid.Check(t, func(t *rapid.T) {
		var w Wheel[int]
		model := naive{due: map[int]int64{}}
		timers := make([]Timer[int], 12)
		for i := range timers {
			timers[i].Owner = i
		}
		ids := rapid.IntRange(0, len(timers)-1)
		now := time.Duration(0)
		set := func() {
			id, at := ids.Draw(t, "set"), now+time.Duration(delays.Draw(t, "in"))
			w.Set(&timers[id], at)
			model.set(id, at)
		}
		stop := func() {
			id := ids.Draw(t, "stop")
			w.Stop(&timers[id])
			delete(model.due, id)
		}
		advance := func() {
			now = max(0, now+time.Duration(delays.Draw(t, "advance")))
			model.limit = max(model.limit, int64(now/Resolution))
			expected := map[int]int64{} // what was set before, unless it is set or stopped meanwhile
			for id, tick := range model.due {
				if tick <= model.limit {
					expected[id] = tick
				}
			}
			last := int64(math.MinInt64)
			w.Advance(now, func(fired *Timer[int]) {
				id := fired.Owner
				tick, ok := expected[id]
				if !ok || fired.Pending() {
					t.Fatalf("timer %d fired; expected %v", id, expected)
				}
				if tick < last {
					t.Fatalf("timer %d of tick %d fired after one of tick %d", id, tick, last)
				}
				last = tick
				delete(expected, id)
				delete(model.due, id)
				for range rapid.IntRange(0, 2).Draw(t, "while firing") {
					other, at := ids.Draw(t, "other"), now+time.Duration(delays.Draw(t, "in"))
					delete(expected, other)
					if rapid.Bool().Draw(t, "set") {
						w.Set(&timers[other], at)
						model.set(other, at)
					} else {
						w.Stop(&timers[other])
						delete(model.due, other)
					}
				}
			})
			if len(expected) > 0 {
				t.Fatalf("not fired: %v", expected)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			rapid.SampledFrom([]func(){set, set, stop, advance}).Draw(t, "step")()
			next, ok := w.Next()
			for id, tick := range model.due {
				if !timers[id].Pending() {
					t.Fatalf("timer %d is not pending", id)
				}
				if !ok || int64(next/Resolution) > tick {
					t.Fatalf("Next is %v, %v; timer %d is due at tick %d", next, ok, id, tick)
				}
			}
		}
	})
}

// TestWheelFollowsItsOwnAdvice drives a wheel by Next alone, as a loop does.
func TestWheelFollowsItsOwnAdvice(t *testing.T) {
	for _, at := range []time.Duration{0, 1, Resolution, Resolution + 1, time.Second, time.Hour, 24 * 365 * time.Hour, math.MaxInt64} {
		var w Wheel[string]
		const start = 17 * time.Millisecond
		w.Advance(start, nil)
		timer := Timer[string]{Owner: "it"}
		w.Set(&timer, at)
		advances := 0
		for timer.Pending() {
			next, ok := w.Next()
			if advances++; !ok || advances > levels {
				t.Fatalf("%v: not fired by advance %d; Next is %v, %v", at, advances, next, ok)
			}
			w.Advance(next, func(fired *Timer[string]) {
				late := next - at
				if at > start && at < math.MaxInt64 && (late < 0 || late >= Resolution) {
					t.Errorf("%v fired at %v", at, next)
				}
			})
		}
		if next, ok := w.Next(); ok {
			t.Errorf("%v: Next of the empty wheel is %v", at, next)
		}
	}
}

// TestWheelOverIdleHours fires 100,000 timers of one hour by one Advance, in order.
func TestWheelOverIdleHours(t *testing.T) {
	var w Wheel[int]
	timers := make([]Timer[int], 100_000)
	for i := range timers {
		w.Set(&timers[i], rand.N(time.Hour))
	}
	var ticks []int64
	w.Advance(48*time.Hour, func(t *Timer[int]) {
		ticks = append(ticks, t.tick)
		w.Set(t, 0) // for the next Advance, or this one would never end
	})
	if len(ticks) != len(timers) || !slices.IsSorted(ticks) {
		t.Errorf("%d fired, in order: %v", len(ticks), slices.IsSorted(ticks))
	}
}

func TestWheelNeedsNoMemory(t *testing.T) {
	var w Wheel[int]
	timers := make([]Timer[int], 1000)
	now := time.Duration(0)
	fire := func(t *Timer[int]) { w.Set(t, now+time.Second) }
	if n := testing.AllocsPerRun(100, func() {
		for i := range timers {
			w.Set(&timers[i], now+time.Duration(i)*time.Millisecond)
		}
		w.Stop(&timers[0])
		now += 300 * time.Millisecond
		w.Advance(now, fire)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWheel(b *testing.B) {
	const count = 100_000
	fill := func(interval time.Duration) (*Wheel[int], []Timer[int]) {
		w, timers := new(Wheel[int]), make([]Timer[int], count)
		for i, place := range rand.Perm(count) {
			w.Set(&timers[i], time.Duration(place)*interval/count)
		}
		return w, timers
	}
	b.Run("set", func(b *testing.B) {
		w, timers := fill(10 * time.Second)
		for i := range b.N {
			w.Set(&timers[i%count], time.Duration(i%10_000)*time.Millisecond)
		}
	})
	b.Run("set+stop", func(b *testing.B) {
		w, _ := fill(10 * time.Second)
		var t Timer[int]
		for i := range b.N {
			w.Set(&t, time.Duration(i%10_000)*time.Millisecond)
			w.Stop(&t)
		}
	})
	for _, interval := range []time.Duration{time.Second, 10 * time.Second, time.Hour} {
		// One operation is one timer that fires and is set again, its part of the empty turns included.
		b.Run(fmt.Sprintf("fire/interval=%v", interval), func(b *testing.B) {
			w, _ := fill(interval)
			now, fired := time.Duration(0), 0
			fire := func(t *Timer[int]) {
				fired++
				w.Set(t, now+interval)
			}
			for fired < b.N {
				now, _ = w.Next()
				w.Advance(now, fire)
			}
		})
	}
}
