package loop

import (
	"math"
	"math/bits"
	"time"
)

// Resolution is the width of a tick of a [Wheel]: a timer fires up to this much late and never early.
// (A power of two makes a shift of what would be a division.)
const Resolution = time.Duration(1) << tickBits

const (
	tickBits  = 20 // 1.05 ms
	digitBits = 6
	digits    = 1 << digitBits
	levels    = 8 // of 6 bits each hold every tick of a time.Duration, 43 bits
	lastTick  = math.MaxInt64 >> tickBits
)

// Timer is one moment at which its owner wants to be called. It is part of the owner's own struct, so
// that setting it costs no memory, and must not be copied or moved while it is set.
type Timer[T any] struct {
	// Owner is whoever the timer belongs to. It is set once, by the owner; the wheel never looks at it.
	Owner T

	next, prev *Timer[T] // in the list of its place; nil if the timer is not set
	tick       int64
}

// Pending says whether the timer is set and has not fired yet.
func (t *Timer[T]) Pending() bool { return t.next != nil }

// Wheel is a hierarchical timer wheel: setting and stopping a timer cost the same however many there are,
// and idle time costs nothing however long it lasts. Times are durations since a moment that the owner
// chooses, usually its own start. The zero value is a wheel at time 0, ready for use; it must not be copied.
//
// A tick is a number of eight digits to the base 64, and there is a level for each digit. A timer is on the
// level of the highest digit in which its tick differs from the wheel's, in the place that this digit names.
// It follows that on each level only places above the wheel's own digit are in use, that a lower level is due
// before a higher one, and that a timer moves at most seven times, one or more levels down each time.
type Wheel[T any] struct {
	tick   int64 // the places are laid out for this tick, and hold only later ones
	limit  int64 // the tick of the last Advance; above tick only while Advance runs
	used   [levels]uint64
	places [levels][digits]list[T]
	past   list[T] // set for a tick that was over already
	firing list[T] // what Advance has taken out and not yet fired
}

// Set makes t fire at the first Advance to at or later, and moves it if it is set already. What is set for
// a time that is over fires at the next Advance.
func (w *Wheel[T]) Set(t *Timer[T], at time.Duration) {
	w.Stop(t)
	t.tick = int64(at >> tickBits)
	if at&(Resolution-1) != 0 && t.tick < lastTick {
		t.tick++
	}
	if t.tick <= w.limit {
		w.past.push(t)
		return
	}
	w.insert(t)
}

// Stop unsets t; if it is not set, nothing happens.
func (w *Wheel[T]) Stop(t *Timer[T]) {
	if t.next != nil {
		t.unlink()
	}
}

// Advance moves the wheel to now and calls fire for each timer that is due, in the order of their ticks; what was
// set for a time already over comes first. Timers are unset when they fire. fire may set and stop any timer of the wheel: one that is stopped does not fire,
// and one that is set, to whatever time, does not fire before the next Advance. A now before that of an earlier
// Advance counts as that.
func (w *Wheel[T]) Advance(now time.Duration, fire func(*Timer[T])) {
	w.limit = max(w.limit, int64(now>>tickBits))
	w.firing.take(&w.past)
	w.fire(fire)
	for {
		start, level, ok := w.first()
		if !ok || start > w.limit {
			break
		}
		w.tick = start
		w.empty(level)
		w.fire(fire)
	}
	w.tick = w.limit // nothing is due before it, and the nearer the tick, the fewer levels a new timer has to go down
}

// Next is when Advance has to be called next, and false if there is no need. It is never late. It may be early: a
// timer costs at most seven calls of Advance for nothing while its time is far, and one after it was stopped.
func (w *Wheel[T]) Next() (time.Duration, bool) {
	if !w.past.empty() {
		return time.Duration(w.limit) << tickBits, true
	}
	start, _, ok := w.first()
	return time.Duration(start) << tickBits, ok
}

// first is the tick at which the earliest place in use begins, and its level.
func (w *Wheel[T]) first() (start int64, level int, ok bool) {
	for level, used := range w.used {
		if used != 0 {
			shift := level * digitBits
			above := w.tick >> (shift + digitBits) << digitBits
			return (above | int64(bits.TrailingZeros64(used))) << shift, level, true
		}
	}
	return 0, 0, false
}

// empty takes all timers out of the place on this level that begins at the wheel's tick. Those of this tick
// are to fire, the others go to lower levels.
func (w *Wheel[T]) empty(level int) {
	digit := w.tick >> (level * digitBits) & (digits - 1)
	w.used[level] &^= 1 << digit
	place := &w.places[level][digit]
	if level == 0 {
		w.firing.take(place)
		return
	}
	for t := place.pop(); t != nil; t = place.pop() {
		if t.tick == w.tick {
			w.firing.push(t)
		} else {
			w.insert(t)
		}
	}
}

func (w *Wheel[T]) fire(fire func(*Timer[T])) {
	for t := w.firing.pop(); t != nil; t = w.firing.pop() {
		fire(t)
	}
}

// insert puts a timer in its place. Its tick is after the wheel's.
func (w *Wheel[T]) insert(t *Timer[T]) {
	level := (bits.Len64(uint64(t.tick^w.tick)) - 1) / digitBits
	digit := t.tick >> (level * digitBits) & (digits - 1)
	w.used[level] |= 1 << digit
	w.places[level][digit].push(t)
}

// list is a ring of timers around an end of its own, in the order in which they were pushed. A timer leaves
// it without knowing which list it is in. (So Stop cannot see that a place becomes empty, and leaves its bit
// in used: the place is then emptied once for nothing.)
type list[T any] struct {
	end Timer[T]
}

func (l *list[T]) empty() bool { return l.end.next == nil || l.end.next == &l.end }

func (l *list[T]) push(t *Timer[T]) {
	if l.end.next == nil {
		l.end.next, l.end.prev = &l.end, &l.end
	}
	t.next, t.prev = &l.end, l.end.prev
	t.prev.next, t.next.prev = t, t
}

// pop takes the first timer out; nil if there is none.
func (l *list[T]) pop() *Timer[T] {
	if l.empty() {
		return nil
	}
	t := l.end.next
	t.unlink()
	return t
}

// take moves all timers of other to l, which must be empty.
func (l *list[T]) take(other *list[T]) {
	if other.empty() {
		return
	}
	l.end.next, l.end.prev = other.end.next, other.end.prev
	l.end.next.prev, l.end.prev.next = &l.end, &l.end
	other.end.next, other.end.prev = &other.end, &other.end
}

func (t *Timer[T]) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}
