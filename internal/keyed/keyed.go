// Package keyed finds values by the [triage.Key] that they carry.
//
// A [Set] holds pointers and nothing else: some 14 bytes for each value, where a map would hold a second copy of
// every key, eight times as much. With 100,000 targets in several such tables that is most of what a target
// costs. A Set belongs to one goroutine, or to whoever guards it.
package keyed

import (
	"hash/maphash"
	"iter"

	"github.com/triage-lb/triage"
)

// A Keyed value says what it is found by. Its key must not change while the value is in a set; KeyOf gives the
// place where it stands, so that looking for it copies nothing.
type Keyed interface{ KeyOf() *triage.Key }

// Set holds values that are found by their key, each key once. The zero value is empty and ready.
//
// It is a table with open addressing and linear probing, at most three quarters full. Removing moves what follows
// up, so that there are no tombstones.
type Set[V interface {
	Keyed
	comparable
}] struct {
	seed  maphash.Seed
	table []V // its length is a power of two; the zero V is a free place
	n     int
}

// Len is how many values there are.
func (s *Set[V]) Len() int { return s.n }

// Get returns the value of a key, or the zero V.
func (s *Set[V]) Get(k triage.Key) V {
	var none V
	if s.n == 0 {
		return none
	}
	return s.table[s.find(&k)]
}

// Put adds a value. One with the same key is replaced.
func (s *Set[V]) Put(v V) {
	if 4*(s.n+1) > 3*len(s.table) {
		s.grow(max(8, 2*len(s.table)))
	}
	i := s.find(v.KeyOf())
	var none V
	if s.table[i] == none {
		s.n++
	}
	s.table[i] = v
}

// Delete removes the value of a key, if there is one.
func (s *Set[V]) Delete(k triage.Key) {
	if s.n == 0 {
		return
	}
	var none V
	free := s.find(&k)
	if s.table[free] == none {
		return
	}
	s.n--
	mask := len(s.table) - 1
	for i := (free + 1) & mask; s.table[i] != none; i = (i + 1) & mask {
		// A value may move up to the free place unless its own first place lies behind that.
		if first := s.first(s.table[i].KeyOf()); (i-first)&mask >= (i-free)&mask {
			s.table[free] = s.table[i]
			free = i
		}
	}
	s.table[free] = none
}

// All yields the values in no order. The set must not be changed meanwhile.
func (s *Set[V]) All() iter.Seq[V] {
	return func(yield func(V) bool) {
		var none V
		for _, v := range s.table {
			if v != none && !yield(v) {
				return
			}
		}
	}
}

// Grow makes room for n values in all, so that putting them moves nothing.
func (s *Set[V]) Grow(n int) {
	size := max(8, len(s.table))
	for 4*n > 3*size {
		size *= 2
	}
	if size > len(s.table) {
		s.grow(size)
	}
}

func (s *Set[V]) grow(size int) {
	if s.table == nil {
		s.seed = maphash.MakeSeed()
	}
	var none V
	old := s.table
	s.table = make([]V, size)
	for _, v := range old {
		if v != none {
			s.table[s.find(v.KeyOf())] = v
		}
	}
}

// find returns the place of a key, or the free place where it would be.
func (s *Set[V]) find(k *triage.Key) int {
	var none V
	i := s.first(k)
	for s.table[i] != none && *s.table[i].KeyOf() != *k {
		i = (i + 1) & (len(s.table) - 1)
	}
	return i
}

// first is the place where a key is looked for first.
func (s *Set[V]) first(k *triage.Key) int {
	return int(maphash.Comparable(s.seed, *k)) & (len(s.table) - 1)
}
