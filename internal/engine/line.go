package engine

// line is the slots that are due and have no room yet, in the order in which they became so.
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

// pop lets the first go. The places of those who left are used again once they are most of the line, or it is empty; a
// line that was very long gives its memory back then.
func (q *line) pop() {
	q.slots[q.begun] = nil
	q.begun++
	switch n := len(q.slots) - q.begun; {
	case n == 0 && cap(q.slots) > maxSpareLine:
		*q = line{}
	case n < q.begun:
		copy(q.slots, q.slots[q.begun:])
		clear(q.slots[n:])
		q.slots, q.begun = q.slots[:n], 0
	}
}

const maxSpareLine = 1024

func (q *line) len() int { return len(q.slots) - q.begun }
