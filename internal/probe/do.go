package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Do runs one check over a blocking connection and returns what it saw. It connects to the target's address, at
// the plan's port if that has one, never through a proxy, unless the policy refuses that. When ctx ends, the check ends as canceled. Failing checks
// are results, so there is no error.
func Do(ctx context.Context, p *Plan, key triage.Key, policy triage.AddressPolicy) *triage.Exchange {
	start := time.Now()
	d := driver{timeout: p.Timeout, deadline: start.Add(p.Timeout)}
	session, action := p.Start(key, start)
	defer session.Stop()
	buf := make([]byte, 4<<10)
	for {
		var e Event
		switch action.Kind {
		case Dial:
			e = d.dial(ctx, session.Exchange().Address, policy)
			if d.conn != nil {
				stop := context.AfterFunc(ctx, func() { d.conn.SetDeadline(time.Unix(1, 0)) })
				defer stop()
			}
		case Write:
			e = d.write(action.Data)
		case Wait:
			e = d.read(buf)
		case Done:
			d.close(action.Close)
			return session.Exchange()
		}
		e.At = time.Now()
		if ctx.Err() != nil && e.Kind != Data && e.Kind != EOF {
			e.Kind = Canceled
		}
		action = session.Handle(e)
	}
}

// driver is the connection of one check.
type driver struct {
	conn     *net.TCPConn
	timeout  time.Duration
	deadline time.Time
	noticed  time.Time // when we saw that the deadline had passed, and took a last look; zero before
}

func (d *driver) dial(ctx context.Context, to netip.AddrPort, policy triage.AddressPolicy) Event {
	if err := policy.Check(to); err != nil {
		return Event{Kind: ConnectFailed, Err: err}
	}
	dialer := net.Dialer{Deadline: d.deadline, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return d.failed(ConnectFailed, err)
	}
	d.conn = c.(*net.TCPConn)
	d.conn.SetDeadline(d.deadline)
	local, _ := netip.ParseAddrPort(d.conn.LocalAddr().String())
	return Event{Kind: Connected, Local: local}
}

func (d *driver) write(b []byte) Event {
	if _, err := d.conn.Write(b); err != nil {
		// The peer may have answered before it stopped reading: what it said counts more.
		if e := d.read(make([]byte, 4<<10)); e.Kind == Data {
			return e
		}
		return d.failed(Reset, err)
	}
	return Event{Kind: Written}
}

func (d *driver) read(buf []byte) Event {
	n, err := d.conn.Read(buf)
	if isTimeout(err) && d.noticed.IsZero() {
		// What came before the deadline counts, however late we are to read it.
		d.noticed = time.Now() // the last look takes time of its own, which is not lateness
		d.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		n, err = d.conn.Read(buf)
	}
	switch {
	case n > 0:
		return Event{Kind: Data, Data: buf[:n]}
	case errors.Is(err, io.EOF):
		return Event{Kind: EOF}
	}
	return d.failed(Reset, err)
}

// failed turns an error of the connection into an event, and a passed deadline into its own.
//
// A time-out of a checker that was itself late says nothing about the target: if we come to see the deadline
// more than a tenth of the timeout after it, the answer may be missing because nobody was there to read it.
func (d *driver) failed(kind EventKind, err error) Event {
	if !isTimeout(err) {
		return Event{Kind: kind, Err: err}
	}
	noticed := d.noticed
	if noticed.IsZero() {
		noticed = time.Now()
	}
	if noticed.Sub(d.deadline) > d.timeout/10 {
		return Event{Kind: Late}
	}
	return Event{Kind: DeadlinePassed}
}

// isTimeout reports whether it is our deadline that has passed. Errno values may call themselves time-outs too, and
// are answers of the network.
func isTimeout(err error) bool {
	if _, errno := errors.AsType[syscall.Errno](err); errno {
		return false
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

func (d *driver) close(how dialect.Close) {
	if d.conn == nil {
		return
	}
	if how == dialect.CloseRST {
		d.conn.SetLinger(0)
	}
	d.conn.Close()
}
