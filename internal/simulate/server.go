// Package simulate runs HTTP servers with a chosen illness, to see what a load
// balancer makes of them.
//
// Listen opens one server and its Run serves; ListenFleet opens several
// together with a control address at which a person switches them while they
// run:
//
//	curl localhost:7390
//	curl -X PUT localhost:7390/127.0.1.13:8000/error500
//
// Illnesses are real on the wire: a refusing server has no listening socket, a
// hanging one holds the connection, an empty reply has no bytes. The package
// speaks plain HTTP/1.x only, without TLS, HTTP/2 or upgrades, and simulates
// servers, not networks: it loses and delays no packets.
//
// All methods may be called from any goroutine. Run returns after all
// goroutines of its server have ended.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
)

// maxConns bounds the open connections of one server. Further clients wait in
// the kernel's backlog, as they do at a real server that is full.
const maxConns = 4096

// acceptPause is the wait after an accept that failed for lack of file
// descriptors: retrying at once would burn a core until one is free.
const acceptPause = 50 * time.Millisecond

// A Server is one simulated server. Make it with Listen.
type Server struct {
	cfg      Config         // defaults filled in; never written after Listen
	addr     netip.AddrPort // where it listens, with the real port
	slots    chan struct{}  // one element for each open connection
	requests atomic.Uint64

	mu       sync.Mutex // guards the fields below
	closed   bool
	illness  Illness
	since    time.Time
	listener *net.TCPListener // nil while refusing and after Close
	conns    map[*conn]struct{}
	changed  chan struct{} // closed and replaced at each change of illness
}

// Listen opens a server on cfg's address. Connections are accepted by the
// kernel from now on and served from Run on. The caller must call Run or
// Close. An address that cannot be used is an error, also for a server that
// starts with Refuse.
func Listen(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l, err := listen(cfg.Address)
	if err != nil {
		return nil, err
	}
	addr := addrPort(l.Addr())
	if cfg.Name == "" {
		cfg.Name = addr.String()
	}
	if cfg.Illness == Refuse {
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("close %s: %w", addr, err)
		}
		l = nil
	}
	return &Server{
		cfg:      cfg,
		addr:     addr,
		slots:    make(chan struct{}, maxConns),
		illness:  cfg.Illness,
		since:    time.Now(),
		listener: l,
		conns:    make(map[*conn]struct{}),
		changed:  make(chan struct{}),
	}, nil
}

// Name returns the configured name, or the address if there was none.
func (s *Server) Name() string { return s.cfg.Name }

// Address returns the address it listens on, with the real port, also while
// connections are refused.
func (s *Server) Address() netip.AddrPort { return s.addr }

// Requests returns how many requests have been read so far, answered or not.
func (s *Server) Requests() uint64 { return s.requests.Load() }

// Illness returns the current illness.
func (s *Server) Illness() Illness {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.illness
}

// SetIllness switches the server. When it returns, requests that are read from
// now on, on new and on open connections, meet the new illness; those that hang
// have been closed. Setting the present illness again changes nothing.
//
// Refuse closes the listening socket and all connections. The next switch
// listens again on the same address; if another process has taken it
// meanwhile, that is the error, and the server goes on refusing.
func (s *Server) SetIllness(illness Illness) error {
	if _, err := ParseIllness(string(illness)); err != nil {
		return err
	}
	was, err := s.enter(illness)
	if hook := s.cfg.OnSwitch; hook != nil && err == nil && was != illness {
		hook(s, was, illness)
	}
	return err
}

// enter makes the illness the present one and returns the one before.
func (s *Server) enter(illness Illness) (was Illness, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", fmt.Errorf("switch %s to %s: %w", s.addr, illness, net.ErrClosed)
	}
	if s.illness == illness {
		return illness, nil
	}
	if illness == Refuse {
		s.hangUp()
	} else if s.listener == nil {
		l, err := listen(s.addr)
		if err != nil {
			return "", err
		}
		s.listener = l
	}
	was = s.illness
	s.illness, s.since = illness, time.Now()
	for c := range s.conns {
		if c.hanging {
			c.closeNow()
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return was, nil
}

// Run serves until ctx is done, then closes the server, waits for all its
// connections and returns nil. It must be called at most once. After Close it
// returns at once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		<-ctx.Done()
		s.Close()
	})
	defer wg.Wait()
	defer cancel()

	for {
		l, changed, closed := s.listening()
		switch {
		case closed:
			return nil
		case l != nil:
			s.accept(ctx, l, &wg)
		default:
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

// Close closes the listening socket and all connections. It is needed for a
// server that never ran, and ends Run otherwise. Closing twice is harmless.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.hangUp()
	close(s.changed)
}

// hangUp closes the listening socket and all connections. The errors of closing
// them are dropped: there is nothing to flush and nobody left to tell. The
// caller holds mu.
func (s *Server) hangUp() {
	if s.listener != nil {
		_ = s.listener.Close()
		s.listener = nil
	}
	for c := range s.conns {
		c.closeNow()
	}
}

// listening returns the present listener, nil while refusing, and a channel
// that is closed when that changes.
func (s *Server) listening() (l *net.TCPListener, changed <-chan struct{}, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener, s.changed, s.closed
}

// accept serves connections from l until l is closed.
func (s *Server) accept(ctx context.Context, l *net.TCPListener, wg *sync.WaitGroup) {
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		rwc, err := l.AcceptTCP()
		if err != nil {
			<-s.slots
			if errors.Is(err, net.ErrClosed) || !pause(ctx, acceptPause) {
				return
			}
			continue
		}
		c := newConn(s, rwc)
		if !s.admit(c, l) {
			c.closeNow()
			<-s.slots
			return
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			defer s.forget(c)
			c.serve(ctx)
		})
	}
}

// admit registers c so that hangUp finds it. It reports false if l, where c
// came from, has been closed since.
func (s *Server) admit(c *conn, l *net.TCPListener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != l {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.closeNow()
}

// hangs marks c as one to close at the next switch. It reports false if the
// server has been switched already.
func (s *Server) hangs(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.hanging = s.illness == Hang && !s.closed
	return c.hanging
}

// symptom returns what a request that is complete now meets: the illness, with
// Flap resolved to its phase.
func (s *Server) symptom() Illness {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.illness == Flap {
		return flapPhase(time.Since(s.since), s.cfg.FlapPeriod)
	}
	return s.illness
}

// flapPhase returns the phase of a flapping server this long after its switch.
func flapPhase(elapsed, period time.Duration) Illness {
	if elapsed/period%2 == 0 {
		return Healthy
	}
	return Error500
}

// listen opens a TCP socket.
func listen(addr netip.AddrPort) (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, explainBind(addr, err)
	}
	return l, nil
}

// explainBind adds what to do to the errors that people meet.
func explainBind(addr netip.AddrPort, err error) error {
	cause := err
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		cause = op.Err // without the address, which is said below
	}
	problem := &triage.Error{
		Kind:    triage.KindInvalid,
		Message: fmt.Sprintf("listen %s: %v", addr, cause),
		Err:     err,
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		problem.Kind = triage.KindConflict
		problem.Hint = fmt.Sprintf("stop the process that has port %d (ss -ltnp shows it), or choose another port", addr.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		problem.Hint = "this machine does not have that address; ip -brief address lists those that it has"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		problem.Kind = triage.KindDenied
		problem.Message = fmt.Sprintf("listen %s: no permission for port %d", addr, addr.Port())
		problem.Hint = "allow it with\n    sudo setcap cap_net_bind_service=+ep $(command -v triage)\nor choose a port above 1023"
	}
	return problem
}

// addrPort converts the address of a TCP socket. IPv4 is never shown in its
// IPv6-mapped form, which dual-stack sockets report.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// pause waits for d and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
