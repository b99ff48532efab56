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

// Do runs one check over a blocking connection and returns what it saw. It connects to the target's address, at the
// plan's port if that has one, if the policy allows it; never through a proxy. When ctx ends, the check ends as canceled.
// Failing checks are results, so there is no error.
func Do(ctx context.Context, p *Plan, key triage.Key, policy triage.AddressPolicy) *triage.Exchange {
	var c Client
	defer c.Close()
	return c.Do(ctx, p, key, policy)
}

// Client runs the checks of one target one after another, and keeps the connection between them where the plan says so.
// The zero value is ready. It serves one goroutine at a time.
type Client struct {
	// Dial makes the connections instead of the client, which closes them: through a tunnel, or by somebody else's
	// command. What it takes does not count as time of the check, and no policy is asked. nil: TCP to the exchange's
	// address.
	Dial func(ctx context.Context) (net.Conn, error)

	session Session
	conn    net.Conn // kept from the check before; nil if there is none
}

// Do is the function [Do]; its result is lent until the next one. While the client holds a connection, key, plan and
// policy must be those of the check before.
func (c *Client) Do(ctx context.Context, p *Plan, key triage.Key, policy triage.AddressPolicy) *triage.Exchange {
	d := driver{ctx: ctx, timeout: p.Timeout, tunnel: c.Dial}
	if c.Dial != nil && c.conn == nil {
		d.dig()
	}
	start := time.Now()
	d.deadline = start.Add(p.Timeout)
	defer func() { d.unwatch() }()
	if c.conn != nil && !quiet(c.conn) {
		c.Close()
	}
	if c.conn != nil {
		d.watch(c.conn)
		c.conn = nil
	}
	action := c.session.Begin(p, key, start)
	buf := make([]byte, readSize)
	for {
		var e Event
		switch action.Kind {
		case Dial:
			d.close(dialect.CloseFIN)
			e = d.dial(c.session.Exchange().Address, p.Source, policy)
		case Write:
			e = d.write(action.Data)
		case Wait:
			e = d.read(buf)
		case Done:
			if action.Keep && quiet(d.conn) && d.unwatch() {
				c.conn = d.conn
				return c.session.Exchange()
			}
			c.session.Stop()
			d.close(action.Close)
			return c.session.Exchange()
		}
		e.At = time.Now()
		if d.stopped(e.At) && e.Kind != Data && e.Kind != EOF {
			e.Kind = Canceled
		}
		action = c.session.Handle(e)
	}
}

// Kept reports whether the client holds a connection for its next check.
func (c *Client) Kept() bool { return c.conn != nil }

// Close ends the connection that was kept, if there is one, and frees what the last check has left.
func (c *Client) Close() {
	c.session.Stop()
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// driver is the connection of one check. It lives as long as one call of Do, whose context it holds.
type driver struct {
	ctx      context.Context
	conn     net.Conn
	tunnel   func(context.Context) (net.Conn, error) // nil: TCP
	dug      net.Conn                                // by tunnel, before the check has asked for it
	digErr   error
	broken   error       // why writing failed: the kernel tells it once, and reading then sees an end in good order
	stop     func() bool // stops waiting for ctx
	timeout  time.Duration
	deadline time.Time
	noticed  time.Time // when we saw that the deadline had passed, and took a last look; zero before
}

// watch takes a connection on: reading and writing end at the deadline, or when ctx does.
func (d *driver) watch(conn net.Conn) {
	d.conn = conn
	conn.SetDeadline(d.deadline)
	d.stop = context.AfterFunc(d.ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// stopped reports whether ctx has ended. A dial may see a deadline of ctx a moment before ctx itself does.
func (d *driver) stopped(now time.Time) bool {
	end, ends := d.ctx.Deadline()
	return d.ctx.Err() != nil || ends && end.Before(d.deadline) && !now.Before(end)
}

// unwatch leaves the connection to itself. It returns false if ctx has ended.
func (d *driver) unwatch() bool { return d.stop == nil || d.stop() }

// dig makes the connection of a check that is not made by us.
func (d *driver) dig() { d.dug, d.digErr = d.tunnel(d.ctx) }

// dialTunnel is dial for such connections. A second one, where a redirect is followed, puts the deadline off by what it
// takes.
func (d *driver) dialTunnel() Event {
	if d.dug == nil && d.digErr == nil {
		began := time.Now()
		d.dig()
		d.deadline = d.deadline.Add(time.Since(began))
	}
	conn, err := d.dug, d.digErr
	d.dug, d.digErr = nil, nil
	if err != nil {
		return Event{Kind: ConnectFailed, Err: err}
	}
	d.watch(conn)
	local, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	return Event{Kind: Connected, Local: local}
}

func (d *driver) dial(to netip.AddrPort, from netip.Addr, policy triage.AddressPolicy) Event {
	if d.tunnel != nil {
		return d.dialTunnel()
	}
	if err := policy.Check(to); err != nil {
		return Event{Kind: ConnectFailed, Err: err}
	}
	dialer := net.Dialer{Deadline: d.deadline, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := dialer.DialContext(d.ctx, "tcp", to.String())
	if err != nil {
		return d.failed(ConnectFailed, err)
	}
	d.watch(c)
	local, _ := netip.ParseAddrPort(d.conn.LocalAddr().String())
	return Event{Kind: Connected, Local: local}
}

func (d *driver) write(b []byte) Event {
	if _, err := d.conn.Write(b); err != nil {
		// The peer may have answered before it stopped reading: what it said counts more.
		d.broken = err
		if e := d.read(make([]byte, readSize)); e.Kind == Data {
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
	case errors.Is(err, io.EOF) && d.broken != nil:
		return d.failed(Reset, d.broken)
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
	if noticed.Sub(d.deadline) > max(d.timeout/10, leastLate) {
		return Event{Kind: Late}
	}
	return Event{Kind: DeadlinePassed}
}

// leastLate is what a timer may be late by on a machine that is well.
const leastLate = 2 * time.Millisecond

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
	d.unwatch()
	if tcp, ok := d.conn.(*net.TCPConn); ok && how == dialect.CloseRST {
		tcp.SetLinger(0)
	}
	d.conn.Close()
	d.conn, d.broken = nil, nil
}

// quiet reports whether a kept connection is as we left it: the target has neither ended it nor said what nobody asked for.
func quiet(c net.Conn) bool {
	tcp, ok := c.(*net.TCPConn)
	if !ok || c.SetReadDeadline(time.Time{}) != nil { // the last check's
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	idle := false
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK) // does not block: the descriptor is net's
		idle = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && idle
}
