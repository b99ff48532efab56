package engine

import (
	"errors"
	"io"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/loop"
	"github.com/triage-lb/triage/internal/probe"
)

// newDriver returns the best driver that this system has.
func newDriver(s *shard) (driver, error) { return newEvents(s) }

// events is the driver for Linux: all checks under way share one event loop.
type events struct {
	shard    *shard
	loop     *loop.Loop
	flights  []*flight // by the index of their connection; nil where there is none
	deadline loop.Wheel[*flight]
	spare    []*flight // to be used again
	buf      []byte    // for reading, shared by all
	handle   func(loop.Event)
	fire     func(*loop.Timer[*flight])
}

// flight is the check under way of a slot, or the connection that is kept for its next one.
type flight struct {
	slot      *slot
	plan      *probe.Plan
	policy    *triage.AddressPolicy
	session   probe.Session
	conn      loop.Conn // 0: none
	out       []byte    // what is still to be written
	connected bool
	broken    error // why writing failed: the kernel tells it once, and reading then sees an end in good order
	unread    bool  // there may be more to read, of which no event will tell: something has to be written first
	timer     loop.Timer[*flight]
	due       moment // the deadline
}

const (
	readSize = 64 << 10
	maxSpare = 1024 // flights that wait to be used again
)

func newEvents(s *shard) (driver, error) {
	l, err := loop.New()
	if err != nil {
		return nil, err
	}
	d := &events{shard: s, loop: l, buf: make([]byte, readSize)}
	d.handle, d.fire = d.ready, d.expired
	return d, nil
}

func (d *events) start(s *slot) {
	f, kept := s.flight.(*flight)
	if !kept {
		f = d.take()
		f.slot = s
		s.flight = f
	}
	f.plan, f.policy = s.plan(), s.group.policy
	now := d.shard.now()
	f.due = now + f.plan.Timeout
	d.deadline.Set(&f.timer, f.due)
	d.act(f, f.session.Begin(f.plan, s.member.Key, d.shard.time(now)))
}

// take returns a flight that may be used.
func (d *events) take() *flight {
	if last := len(d.spare) - 1; last >= 0 {
		f := d.spare[last]
		d.spare = d.spare[:last]
		return f
	}
	f := &flight{}
	f.timer.Owner = f
	return f
}

// act does what the session wants until it wants to wait or is done.
func (d *events) act(f *flight, a probe.Action) {
	for {
		switch a.Kind {
		case probe.Dial:
			err := d.dial(f)
			if err != nil {
				a = f.session.Handle(probe.Event{Kind: probe.ConnectFailed, At: time.Now(), Err: err})
				continue
			}
			return // an event says how it ended
		case probe.Write:
			f.out = a.Data
			var done bool
			if a, done = d.write(f); !done {
				return
			}
		case probe.Wait:
			if !f.unread {
				return
			}
			var more bool
			if a, more = d.read(f); more {
				return
			}
		case probe.Done:
			d.end(f, a)
			return
		}
	}
}

func (d *events) dial(f *flight) error {
	d.hangUp(f, dialect.CloseFIN) // a kept connection that turned out to be dead
	to := f.session.Exchange().Address
	if err := f.policy.Check(to); err != nil {
		return err
	}
	writes := f.plan.Protocol != triage.TCP || f.plan.Proxy != triage.NoProxy
	conn, err := d.loop.Connect(to, loop.Options{Source: f.plan.Source, DelayAck: writes})
	if err != nil {
		return err
	}
	f.conn = conn
	for len(d.flights) <= conn.Index() {
		d.flights = append(d.flights, nil)
	}
	d.flights[conn.Index()] = f
	return nil
}

// write sends what is left to be sent. done is false if the rest has to wait for an event.
func (d *events) write(f *flight) (a probe.Action, done bool) {
	for len(f.out) > 0 {
		n, err := d.loop.Write(f.conn, f.out)
		f.out = f.out[n:]
		switch {
		case errors.Is(err, loop.ErrWouldBlock):
			return a, false
		case err != nil:
			// The peer may have answered before it stopped reading: what it said counts more.
			f.out, f.broken = nil, err
			if a, more := d.read(f); !more {
				return a, true
			}
			return f.session.Handle(probe.Event{Kind: probe.Reset, At: time.Now(), Err: err}), true
		}
	}
	return f.session.Handle(probe.Event{Kind: probe.Written, At: time.Now()}), true
}

// ready handles an event of a connection.
func (d *events) ready(e loop.Event) {
	f := d.flights[e.Conn.Index()]
	if f == nil || f.conn != e.Conn {
		return
	}
	if !f.slot.flying() {
		d.idle(f, e)
		return
	}
	if !f.connected {
		if !d.connect(f, e) {
			return
		}
	} else if len(f.out) > 0 && e.Writable {
		a, done := d.write(f)
		if done {
			d.act(f, a)
		}
	}
	switch came := e.Readable || e.PeerClosed || e.Failed; {
	case f.conn != e.Conn || !came || !f.slot.flying():
	case len(f.out) > 0:
		f.unread = true // the session is told of nothing else before it is told Written
	default:
		if a, more := d.read(f); !more {
			d.act(f, a)
		}
	}
	if e.PeerClosed && f.conn == e.Conn && !f.slot.flying() {
		d.idle(f, e) // the end came with the answer, and is not told again
	}
}

// idle handles an event of a kept connection: the target has ended it, or says something that nobody asked for. Either
// way it is of no more use.
func (d *events) idle(f *flight, e loop.Event) {
	if e.Readable || e.PeerClosed || e.Failed {
		s := f.slot
		d.release(s)
		d.shard.lost(s)
	}
}

// connect tells the session how its dial ended. It returns whether the check goes on.
func (d *events) connect(f *flight, e loop.Event) bool {
	if e.Failed {
		if err := d.loop.Err(e.Conn); err != nil {
			d.act(f, f.session.Handle(probe.Event{Kind: probe.ConnectFailed, At: time.Now(), Err: err}))
			return false
		}
	}
	if !e.Writable && !e.Failed {
		return false
	}
	f.connected = true
	conn := f.conn
	connected := probe.Event{Kind: probe.Connected, At: time.Now()}
	if f.plan.NeedsLocal() {
		connected.Local, _ = d.loop.LocalAddr(conn)
	}
	d.act(f, f.session.Handle(connected))
	return f.conn == conn
}

// read hands what has come to the session until nothing is left. more is true if there may be more later; else
// the action is still to be done.
func (d *events) read(f *flight) (a probe.Action, more bool) {
	f.unread = false
	for {
		n, err := d.loop.Read(f.conn, d.buf)
		e := probe.Event{Kind: probe.Data, At: time.Now(), Data: d.buf[:n]}
		switch {
		case n > 0:
		case errors.Is(err, loop.ErrWouldBlock):
			return a, true
		case errors.Is(err, io.EOF) && f.broken != nil:
			e.Kind, e.Err = probe.Reset, f.broken
		case errors.Is(err, io.EOF):
			e.Kind = probe.EOF
		default:
			e.Kind, e.Err = probe.Reset, err
		}
		if a = f.session.Handle(e); a.Kind != probe.Wait {
			f.unread = a.Kind == probe.Write
			return a, false
		}
		if e.Kind != probe.Data {
			return a, true // the session knows that the end has come, and waits for its deadline
		}
	}
}

// end gives the result to the shard, and the connection back unless it is kept.
func (d *events) end(f *flight, a probe.Action) {
	x := f.session.Exchange()
	if f.conn != 0 && x.Outcome.Verdict() != triage.Pass {
		x.Local, _ = d.loop.LocalAddr(f.conn) // evidence; a check that passed needs none
	}
	d.deadline.Stop(&f.timer)
	f.out = nil
	if d.shard.finish(result{f.slot, f.plan, f.policy, x, a.Keep}) {
		f.session.Rest()
		return
	}
	d.hangUp(f, a.Close)
	d.spend(f)
}

// hangUp ends the flight's connection, if there is one.
func (d *events) hangUp(f *flight, how dialect.Close) {
	if f.conn != 0 {
		d.flights[f.conn.Index()] = nil
		d.loop.Free(f.conn, how == dialect.CloseRST)
		f.conn, f.connected, f.unread, f.broken = 0, false, false, nil
	}
}

// spend lays a flight aside, to be used again. It keeps the session's memory, and nothing that runs.
func (d *events) spend(f *flight) {
	f.session.Stop()
	f.session.Rest()
	f.slot, f.plan, f.policy = nil, nil, nil
	if len(d.spare) < maxSpare {
		d.spare = append(d.spare, f)
	}
}

func (d *events) release(s *slot) {
	f := s.flight.(*flight)
	d.hangUp(f, f.plan.Dialect.Close)
	d.spend(f)
}

func (d *events) cancel(s *slot) {
	f := s.flight.(*flight)
	d.act(f, f.session.Handle(probe.Event{Kind: probe.Canceled, At: time.Now()}))
}

// expired ends a check whose time is over, unless its answer has come and only waits to be read: then it was in time. If
// we ourselves come a tenth of the timeout late, the answer may be missing because nobody was there to read it.
func (d *events) expired(t *loop.Timer[*flight]) {
	f, now := t.Owner, d.shard.now()
	if f.connected {
		if a, more := d.read(f); !more && a.Kind == probe.Done {
			d.act(f, a)
			return
		}
	}
	kind := probe.DeadlinePassed
	if now-f.due > max(f.plan.Timeout/10, 2*loop.Resolution) {
		kind = probe.Late
	}
	d.act(f, f.session.Handle(probe.Event{Kind: kind, At: d.shard.time(now)}))
}

func (d *events) wait(most time.Duration) error {
	if next, ok := d.deadline.Next(); ok {
		most = min(most, max(0, next-d.shard.now()))
	}
	if err := d.loop.Poll(most, d.handle); err != nil {
		return err
	}
	d.deadline.Advance(d.shard.now(), d.fire)
	return nil
}

func (d *events) wake() { d.loop.Wake() }

func (d *events) close() {
	for _, f := range d.flights {
		if f != nil {
			f.session.Stop()
		}
	}
	d.loop.Close()
}
