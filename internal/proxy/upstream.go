package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triage-lb/triage/internal/attempt"
	"github.com/triage-lb/triage/internal/balance"
)

// upstream is the connections to one target. A connection belongs to one entry for as long as it lives: it is
// never used for another target that has the same address.
type upstream struct {
	proxy *Proxy
	entry *balance.Entry

	mu     sync.Mutex
	idle   []*conn // the one that was used last is last
	live   map[*conn]struct{}
	closed bool
}

// conn is one connection to a target. Between take and release it is owned by one request.
type conn struct {
	http     *http.ClientConn
	wire     *wire
	upstream *upstream
	kept     bool // has carried an answer
	since    time.Time
}

// wire is a connection that counts its bytes, from which follows what a failure left undone.
type wire struct {
	net.Conn
	sent, received atomic.Int64
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.sent.Add(int64(n))
	return n, err
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.received.Add(int64(n))
	return n, err
}

// dialed carries a connection that we made ourselves into the transport, which would otherwise make it: it
// is we who know the address policy, and which error is whose fault.
type dialed struct{}

func newTransport() *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(dialed{}).(*wire), nil
		},
		DisableCompression:     true, // a target is not asked for what the client did not ask for
		MaxResponseHeaderBytes: maxHead,
		ExpectContinueTimeout:  continueWait,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// upstream returns the connections to the entry.
func (p *Proxy) upstream(e *balance.Entry) *upstream {
	if u, ok := p.upstreams.Load(e); ok {
		return u.(*upstream)
	}
	u, loaded := p.upstreams.LoadOrStore(e, &upstream{proxy: p, entry: e, live: make(map[*conn]struct{})})
	up := u.(*upstream)
	if !loaded {
		e.OnGone(func() {
			up.close()
			p.upstreams.Delete(e)
		})
	}
	return up
}

// take returns an idle connection if there is one, else a new one. fresh asks for a new one. The error's
// reason is one of those that say that no connection was made.
func (u *upstream) take(ctx context.Context, pool *balance.Pool, fresh bool) (*conn, attempt.Reason, error) {
	if !fresh {
		if c := u.pop(); c != nil {
			return c, 0, nil
		}
	}
	c, err := u.dial(ctx, pool)
	if err != nil {
		return nil, dialReason(err), err
	}
	return c, 0, nil
}

// pop returns the idle connection that was used last, or nil.
func (u *upstream) pop() *conn {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.idle) > 0 {
		last := len(u.idle) - 1
		c := u.idle[last]
		u.idle[last] = nil
		u.keep(u.idle[:last])
		if c.http.Available() > 0 {
			return c
		}
		u.drop(c)
	}
	return nil
}

func (u *upstream) dial(ctx context.Context, pool *balance.Pool) (*conn, error) {
	to := u.entry.Key().Address
	group := pool.Roster()
	if err := group.Policy.Check(to); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: group.ConnectTimeout}
	nc, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	if u.proxy.answers(nc) {
		nc.Close()
		return nil, errLoop
	}
	c := &conn{wire: &wire{Conn: nc}, upstream: u}
	c.http, err = u.proxy.transport.NewClientConn(context.WithValue(ctx, dialed{}, c.wire), "http", to.String())
	if err != nil {
		nc.Close()
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		c.http.Close()
		return nil, errGone
	}
	u.live[c] = struct{}{}
	return c, nil
}

var errLoop = errors.New("the target is one of our own listeners: a request would go round for ever")

var errGone = errors.New("the target was removed")

func dialReason(err error) attempt.Reason {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL),
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return attempt.OutOfResources
	case errors.As(err, &timeout) && timeout.Timeout():
		return attempt.ConnectTimeout
	}
	return attempt.ConnectFailed
}

// release gives the connection back after an answer was read to its end, or closes it if it cannot carry
// another request.
func (c *conn) release() {
	u := c.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	full := len(u.idle) >= maxIdlePer || u.proxy.idle.Load() >= int64(u.proxy.config.MaxIdle)
	if u.closed || full || c.http.Available() == 0 {
		u.drop(c)
		return
	}
	c.kept, c.since = true, time.Now()
	u.keep(append(u.idle, c))
}

// keep replaces the list of idle connections. The caller holds mu.
func (u *upstream) keep(idle []*conn) {
	u.proxy.idle.Add(int64(len(idle) - len(u.idle)))
	u.idle = idle
}

// close closes the connection, whatever runs on it.
func (c *conn) close() {
	c.upstream.mu.Lock()
	defer c.upstream.mu.Unlock()
	c.upstream.drop(c)
}

// drop closes a connection that is not idle. The caller holds mu.
func (u *upstream) drop(c *conn) {
	c.http.Close()
	c.wire.Close() // an upgraded connection is not the transport's any more
	delete(u.live, c)
}

// sweep closes connections that have idled since before the given time, or that the target closed.
func (u *upstream) sweep(before time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.idle[:0]
	for _, c := range u.idle {
		if c.since.Before(before) || c.http.Available() == 0 {
			u.drop(c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(u.idle[len(kept):])
	u.keep(kept)
}

// close closes all connections, idle or not, and lets no new one be made.
func (u *upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.live {
		u.drop(c)
	}
	u.keep(nil)
}
