package capture

import (
	"net/netip"
	"slices"
	"time"

	"github.com/triage-lb/triage/internal/http1"
)

// MaxFlows is how many connections a Tap follows at once; of each it keeps at most MaxHead bytes. With more of them, the
// one that has been silent for longest is forgotten.
const MaxFlows = 1024

// flows follows connections by the segments that come in, and takes the heads of requests out of them. The data is taken
// only as it comes in order: what is missed is not waited for, and ends that connection's story. It belongs to one
// goroutine.
type flows struct {
	byEnds map[ends]*flow
	count  int          // connections so far
	found  func(Record) // is given each head, and each connection without a byte
	passed func()       // is told of what is neither: TLS, other protocols, malformed heads
}

// ends are the two ends of a connection.
type ends struct{ from, to netip.AddrPort }

// flow is one direction of a connection: what its client sends.
type flow struct {
	number int
	began  time.Time
	seen   time.Time
	next   uint32 // the sequence number of the next byte
	fresh  bool   // it was seen from its first packet on
	spoke  bool   // bytes came
	made   bool   // the client has gone on after its first packet, so there is a connection
	over   bool   // nothing more is looked at
	in     []byte // what came and is no whole head yet
	looked int    // bytes of it in which no head ends
	proxy  *Proxy // the header that it began with
}

// take follows the connection of a segment, which came at a time.
func (fs *flows) take(s segment, at time.Time) {
	key := ends{s.from, s.to}
	f := fs.byEnds[key]
	switch {
	case s.syn && (f == nil || f.next != s.seq+1):
		fs.add(key, &flow{began: at, seen: at, next: s.seq + 1, fresh: true})
		return
	case s.syn: // the same once more
		f.seen = at
		return
	case f == nil && len(s.payload) == 0:
		return
	case f == nil: // a connection that is older than we are: its next request is as good as its first
		f = &flow{began: at, next: s.seq}
		fs.add(key, f)
	}
	f.seen, f.made = at, true
	if !f.over {
		fs.receive(key, f, s)
	}
	if s.fin || s.rst {
		if f.fresh && !f.spoke {
			fs.empty(key, f, s.rst)
		}
		delete(fs.byEnds, key)
	}
}

func (fs *flows) add(key ends, f *flow) {
	if len(fs.byEnds) >= MaxFlows && fs.byEnds[key] == nil {
		var oldest ends
		for k, other := range fs.byEnds {
			if old := fs.byEnds[oldest]; old == nil || other.seen.Before(old.seen) {
				oldest = k
			}
		}
		delete(fs.byEnds, oldest)
	}
	fs.count++
	f.number = fs.count
	fs.byEnds[key] = f
}

// receive takes the part of a segment that is new, if it follows on what came before.
func (fs *flows) receive(key ends, f *flow, s segment) {
	data := s.payload
	if len(data) == 0 {
		return
	}
	known := int64(int32(f.next - s.seq)) // bytes of it that we have; the difference survives the wrap at 2³²
	switch {
	case known < 0:
		fs.leave(f) // something is missing
		return
	case known >= int64(len(data)):
		return // sent again
	}
	data = data[known:]
	f.next += uint32(len(data))
	f.spoke = true
	f.in = append(f.in, data[:min(len(data), MaxHead-len(f.in))]...)
	for !f.over && f.introduced() && fs.head(key, f) {
	}
}

// head takes one head from what came, and reports whether there was one.
func (fs *flows) head(key ends, f *flow) (found bool) {
	if len(f.in) >= len("OPTIONS ") && !looksLikeHTTP(f.in) {
		fs.leave(f)
		return false
	}
	n, looked := http1.HeadEnd(f.in, f.looked)
	if n == 0 {
		f.looked = looked
		if len(f.in) >= MaxHead {
			fs.leave(f)
		}
		return false
	}
	raw := slices.Clone(f.in[:n])
	r, _, err := http1.ParseRequest(raw, nil, http1.Limits{Head: MaxHead})
	if err != nil {
		fs.leave(f)
		return false
	}
	record := f.record(key, HTTPRequest)
	record.Raw, record.End, record.Proxy = raw, Complete, f.proxy
	record.describe(r)
	fs.found(record)
	f.in, f.looked, f.began = f.in[:copy(f.in, f.in[n:])], 0, f.seen
	if framing, err := r.Framing(); err != nil || framing.Kind == http1.Chunked || framing.Length > 0 {
		f.leave() // a body comes, which is not looked at
	}
	return true
}

// introduced takes the PROXY header off with which a connection may begin, and reports whether a request may follow now.
// One that is malformed stays: it looks like no request.
func (f *flow) introduced() bool {
	if !f.fresh || f.proxy != nil {
		return len(f.in) > 0
	}
	for kind, start := range map[Kind]string{ProxyV1: proxyV1Start, ProxyV2: proxyV2Start} {
		n := min(len(start), len(f.in))
		if string(f.in[:n]) != start[:n] {
			continue
		}
		header, what := parseProxy(kind, f.in)
		if n < len(start) || header == nil && what == "" {
			return false // more has to come
		}
		if header != nil {
			f.proxy = header
			f.in = f.in[:copy(f.in, f.in[header.HeaderBytes:])]
			break
		}
	}
	return len(f.in) > 0
}

// empty records a connection that has ended without a byte.
func (fs *flows) empty(key ends, f *flow, reset bool) {
	record := f.record(key, Empty)
	record.End = Closed
	if reset {
		record.End = Reset
	}
	fs.found(record)
}

func (f *flow) record(key ends, kind Kind) Record {
	return Record{Connection: f.number, Time: f.began, Peer: key.from, Local: key.to, Kind: kind}
}

// leave looks no further into a connection, and counts it among those that hold no check that can be read.
func (fs *flows) leave(f *flow) {
	f.leave()
	fs.passed()
}

func (f *flow) leave() { f.over, f.in = true, nil }

// knocking returns how many clients have asked for a connection that was not made, and one of them.
func (fs *flows) knocking() (n int, who netip.AddrPort) {
	for key, f := range fs.byEnds {
		if !f.made {
			n++
			who = key.from
		}
	}
	return n, who
}
