package engine

import "slices"

// room is how many checks a shard may run at once, and who waits for it. Descriptors and the memory of handshakes are
// what is short.
type room struct {
	most          int // checks under way and kept connections together
	mostEncrypted int // handshakes at once; kept connections over TLS
	inFlight      int // checks under way
	encrypted     int // … of those, on new connections over TLS
	idle          int // kept connections that wait for the next check of their target
	idleEncrypted int // … of those, over TLS
	lines         [needs]line
	waiting       int    // slots in line
	turn          need   // the line that is served next, so that none starves
	fullEncrypted moment // when a check had to wait for mostEncrypted alone, the last time
}

// need is what a check takes while it is under way.
type need uint8

const (
	notFlying     need = iota // no check is under way; as a line: in none
	needNothing               // it has its connection already, or no address to go to
	needRoom                  // a descriptor
	needHandshake             // and the memory of a handshake, some 24 KiB
	needs
)

// needOf is what the slot's next check takes.
func needOf(s *slot) need {
	switch {
	case s.flight != nil || s.member.Unresolved != "":
		return needNothing
	case s.group.check.Protocol.Encrypted():
		return needHandshake
	}
	return needRoom
}

// wait puts a slot that is due in line. There is a line for each need, so that nobody waits behind somebody who needs more.
func (r *room) wait(s *slot) {
	s.line = needOf(s)
	r.lines[s.line].push(s)
	r.waiting++
}

// leave takes a slot out of its line, if it is in one. Its place there stays until it comes first.
func (r *room) leave(s *slot) {
	if s.line != notFlying {
		s.line = notFlying
		r.waiting--
	}
}

// move puts a slot whose needs have changed while it was in line at the end of the right one.
func (r *room) move(s *slot) {
	if s.line != notFlying && s.line != needOf(s) {
		r.leave(s)
		r.wait(s)
	}
}

// next takes the slot whose turn it is out of its line, or returns nil if nobody may begin.
func (r *room) next(now moment) *slot {
	for range r.lines {
		at := r.turn
		r.turn = (r.turn + 1) % needs
		s := r.lines[at].first()
		for s != nil && s.line != at { // it has left, or moved
			r.lines[at].pop()
			s = r.lines[at].first()
		}
		if s != nil && r.has(at, now) {
			r.lines[at].pop()
			r.leave(s)
			return s
		}
	}
	return nil
}

// has reports whether there is room for one more check, and notes when it is our own bound of handshakes that says no.
func (r *room) has(n need, now moment) bool {
	if n == needNothing {
		return true
	}
	if r.inFlight+r.idle >= r.most {
		return false
	}
	if n == needHandshake && r.encrypted >= r.mostEncrypted {
		r.fullEncrypted = now
		return false
	}
	return true
}

// begin counts a check that begins.
func (r *room) begin(s *slot) {
	s.takes = needOf(s)
	if s.flight != nil {
		r.unkeep(s)
	}
	r.inFlight++
	if s.takes == needHandshake {
		r.encrypted++
	}
}

// end counts a check that has ended.
func (r *room) end(s *slot) {
	r.inFlight--
	if s.takes == needHandshake {
		r.encrypted--
	}
	s.takes = notFlying
}

// keep reports whether the slot's connection may be kept, and counts it. Connections that are kept leave a quarter of the
// room to those who have none; one over TLS holds as much memory as a handshake.
func (r *room) keep(s *slot) bool {
	encrypted := s.group.check.Protocol.Encrypted()
	if r.idle >= r.most*3/4 || encrypted && r.idleEncrypted >= r.mostEncrypted {
		return false
	}
	r.idle++
	if encrypted {
		r.idleEncrypted++
	}
	return true
}

// unkeep counts a kept connection that is lost, or used. The slot's group is the one with which it was kept.
func (r *room) unkeep(s *slot) {
	r.idle--
	if s.group.check.Protocol.Encrypted() {
		r.idleEncrypted--
	}
}

// line is slots that wait, in the order in which they came.
type line struct {
	slots []*slot
	begun int // how many of slots have left
}

func (q *line) push(s *slot) { q.slots = append(q.slots, s) }

// first is who is next; nil if nobody waits.
func (q *line) first() *slot {
	if q.begun == len(q.slots) {
		return nil
	}
	return q.slots[q.begun]
}

// pop lets the first go. The places of those who left are used again once they are most of the line; a line that was very
// long gives its memory back as it shrinks.
func (q *line) pop() {
	q.slots[q.begun] = nil
	q.begun++
	rest := q.slots[q.begun:]
	switch {
	case len(rest) >= q.begun:
	case cap(q.slots) > maxSpareLine && cap(q.slots) > 4*len(rest):
		*q = line{slots: slices.Clone(rest)}
	default:
		n := copy(q.slots, rest)
		clear(q.slots[n:])
		*q = line{slots: q.slots[:n]}
	}
}

const maxSpareLine = 1024
