// Package capture is the listening side of a health check: it accepts connections, writes down exactly what
// came, says what it is and who sends such a thing, and answers. It does what "nc -l 8080" does for somebody
// who wonders what a load balancer sends, and then judges it.
//
// [Listen] opens the sockets, [Server.Run] serves until its context ends or enough has been recorded; each
// [Record] goes to [Config.OnRecord]. Whatever a sender does ends in a record: a request, a malformed one, a
// TLS hello, a PROXY header, HTTP/2, other bytes, silence, or a connection without a byte. Requests on one
// connection are one record each. With [Config.Forward] it stands in front of an application: a health check's request
// is passed on, and the answer is recorded, judged as the sender would, and returned.
//
// [OpenTap] does not listen: a [Tap] shows the checks that come in at a port which another process has.
//
// The package speaks plain HTTP/1.x only: it names TLS and HTTP/2 but completes neither. What a sender can make
// it hold is bounded: [MaxConnections] connections, [MaxHead] and [MaxBody] bytes of each message, one deadline
// for each head and each body; of an application's answer [MaxAnswer] bytes.
//
// All methods of a Server may be called from any goroutine; a Tap belongs to one. Run returns after all its goroutines have ended.
package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
)

// Defaults of a Config's fields.
const (
	DefaultAddress = ":8080"
	DefaultStatus  = 200
	DefaultSilence = 10 * time.Second
)

// What a sender can make a server hold.
const (
	MaxConnections = 128      // open at once; further ones wait in the kernel's backlog
	MaxHead        = 64 << 10 // bytes kept of a head, or of what is no HTTP; reading stops there
	MaxBody        = 64 << 10 // bytes kept of a body as it travelled; the rest is counted
)

// acceptPause is the wait after an accept that failed for lack of file descriptors: retrying at once would burn
// a core until one is free.
const acceptPause = 50 * time.Millisecond

// Config is how a Server listens and answers. The zero value listens on port 8080 of all addresses and answers
// 200 to everything until it is stopped.
type Config struct {
	// Addresses to listen on: "host:port", ":port" or "port" for all addresses, port 0 for a free one. The
	// host is an address or localhost. Default: DefaultAddress alone.
	Addresses []string

	// Status answers every valid request, 200 to 599. Malformed ones get 400, too large ones 413 or 431, and
	// those that do not come to an end 408. Default: DefaultStatus.
	Status int

	// Count ends Run after so many records. Default: 0, which is never.
	Count int

	// Silence is how long a connection may take to send its first byte, and after that to complete a head,
	// and then to complete a body. Default: DefaultSilence.
	Silence time.Duration

	// Forward passes health checks on to an application, and refuses other requests with 403. Default: nothing is
	// passed on.
	Forward Forward

	// OnRecord, if set, gets every record, one at a time and in the order of their IDs, on the goroutine of
	// the connection. While it runs, other connections that have something to record wait.
	OnRecord func(Record)
}

// Validate reports the first field that a server cannot be built from. The error is of kind invalid.
func (c Config) Validate() error {
	if c.Status != 0 && (c.Status < 200 || c.Status > 599) {
		return &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("status %d: a final answer has a status from 200 to 599", c.Status),
		}
	}
	if c.Count < 0 {
		return &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("count %d: must not be negative", c.Count)}
	}
	if c.Silence < 0 {
		return &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("silence %v: must not be negative", c.Silence)}
	}
	return c.Forward.validate()
}

func (c Config) withDefaults() Config {
	if len(c.Addresses) == 0 {
		c.Addresses = []string{DefaultAddress}
	}
	if c.Status == 0 {
		c.Status = DefaultStatus
	}
	if c.Silence == 0 {
		c.Silence = DefaultSilence
	}
	if c.Forward.Timeout == 0 {
		c.Forward.Timeout = DefaultForwardTimeout
	}
	if c.OnRecord == nil {
		c.OnRecord = func(Record) {}
	}
	return c
}

// Server listens and records. Make it with Listen.
type Server struct {
	cfg       Config // defaults filled in; never written after Listen
	listeners []*net.TCPListener
	slots     chan struct{} // one element for each open connection
	full      chan struct{} // closed when Count is reached

	mu          sync.Mutex // guards the fields below, and calls of OnRecord
	recorded    int
	connections int
}

// Listen opens all addresses, or none and returns why: a *triage.Error that says what to do. Connections are
// accepted by the kernel from now on and served from Run on. The caller must call Run or Close.
func Listen(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:   cfg.withDefaults(),
		slots: make(chan struct{}, MaxConnections),
		full:  make(chan struct{}),
	}
	for _, address := range s.cfg.Addresses {
		l, err := listen(address)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.listeners = append(s.listeners, l)
		if at := addrPort(l.Addr()); s.cfg.Forward.loops(at) {
			s.Close()
			return nil, &triage.Error{
				Kind:    triage.KindInvalid,
				Message: fmt.Sprintf("forward to %s: that is where triage itself listens", s.cfg.Forward.To),
				Hint:    "give the address of the application, and listen on another port",
			}
		}
	}
	return s, nil
}

// Addresses returns where the server listens, in the order of the Config and with real ports. An unspecified
// address stands for all addresses of the machine, IPv4 included.
func (s *Server) Addresses() []netip.AddrPort {
	addresses := make([]netip.AddrPort, len(s.listeners))
	for i, l := range s.listeners {
		addresses[i] = addrPort(l.Addr())
	}
	return addresses
}

// Run serves until ctx is done or Count records have been made, closes everything and returns nil. What has
// come of an unfinished message by the end of ctx is still recorded. The error of a listener that fails ends
// Run too. It must be called at most once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, l := range s.listeners {
		wg.Go(func() { cancel(s.accept(ctx, l, &wg)) })
	}
	select {
	case <-s.full:
		cancel(nil)
	case <-ctx.Done():
	}
	s.Close()
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// Close closes the listening sockets. It is needed for a server that never ran. Closing twice is harmless.
func (s *Server) Close() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing to flush, nobody to tell
	}
}

// accept serves connections from l until ctx is done or l fails.
func (s *Server) accept(ctx context.Context, l *net.TCPListener, wg *sync.WaitGroup) error {
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		tcp, err := l.AcceptTCP()
		if err != nil {
			<-s.slots
			if ctx.Err() != nil {
				return nil
			}
			if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !errors.Is(err, syscall.ECONNABORTED) {
				return fmt.Errorf("accept on %s: %w", addrPort(l.Addr()), err)
			}
			pause(ctx, acceptPause)
			continue
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			defer tcp.Close()
			// Closing is what ends a read at once, whatever deadline it has.
			stop := context.AfterFunc(ctx, func() { _ = tcp.Close() })
			defer stop()
			newConn(s, tcp, s.nextConnection()).serve(ctx)
		})
	}
}

func (s *Server) nextConnection() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
	return s.connections
}

// emit gives the record its ID and hands it over, unless enough have been recorded.
func (s *Server) emit(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Count > 0 && s.recorded == s.cfg.Count {
		return
	}
	s.recorded++
	r.ID = s.recorded
	s.cfg.OnRecord(r)
	if s.recorded == s.cfg.Count {
		close(s.full)
	}
}

// listen opens one address as Config.Addresses has them.
func listen(address string) (*net.TCPListener, error) {
	to, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", to)
	if err != nil {
		return nil, explainBind(address, to, err)
	}
	return l, nil
}

// explainBind adds what to do to the errors that people meet.
func explainBind(address string, to *net.TCPAddr, err error) error {
	cause := err
	if op, ok := errors.AsType[*net.OpError](err); ok {
		cause = op.Err // without the address, which is said before it
	}
	problem := &triage.Error{
		Kind:    triage.KindInvalid,
		Message: fmt.Sprintf("listen %s: %v", address, cause),
		Err:     err,
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		problem.Kind = triage.KindConflict
		problem.Hint = fmt.Sprintf("stop the process that has port %d (ss -ltnp shows it), or choose another port", to.Port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		problem.Hint = fmt.Sprintf("this machine does not have that address; :%d listens on all that it has", to.Port)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		problem.Kind = triage.KindDenied
		problem.Message = fmt.Sprintf("listen %s: no permission for port %d", address, to.Port)
		problem.Hint = "allow it with\n    sudo setcap cap_net_bind_service=+ep $(command -v triage)\n" +
			"or choose a port above 1023, and give it as the health check's port"
	}
	return problem
}

func parseAddress(address string) (*net.TCPAddr, error) {
	invalid := func(why string) error {
		return &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("listen %s: %s", address, why),
			Hint:    "write :8080 for port 8080 of all addresses, or 10.0.1.5:8080, or [::1]:8080",
		}
	}
	if _, err := strconv.Atoi(address); err == nil {
		address = ":" + address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, invalid("not an address and a port")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, invalid("the port must be a number from 0 to 65535")
	}
	to := &net.TCPAddr{Port: int(number)}
	switch host {
	case "":
		return to, nil
	case "localhost":
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return nil, invalid(fmt.Sprintf("%q is not an address of this machine", host))
	}
	to.IP, to.Zone = ip.AsSlice(), ip.Zone()
	return to, nil
}

// addrPort converts the address of a TCP socket. IPv4 is never shown in its IPv6-mapped form, which dual-stack
// sockets report.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
