// Package proxy is the data plane: HTTP listeners that send each request to a target and copy its answer
// back.
//
// A [Proxy] serves what [Proxy.Prepare] bound; [Proxy.Run] does it until its context ends. For each request
// it asks balance who takes it and attempt whether it may be tried again, writes a header of its own (see
// [Forwarding]), and moves bytes. It decides nothing about health: it only reports a suspicion.
//
// Clients are read with net/http's server, targets with connections of net/http's Transport, one pool for
// each target: the Transport's own pool re-sends some requests without being asked. What goes to a target is
// always written anew, so that a request which two parsers could read in two ways arrives in one.
//
// All exported methods may be called from any goroutine; Prepare and what it returns, by one at a time.
package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/attempt"
	"github.com/triage-lb/triage/internal/balance"
)

// Limits towards clients and targets that have no setting of their own.
const (
	maxHead        = 64 << 10               // bytes of a request's or answer's head, as the Application Load Balancer
	headTimeout    = 10 * time.Second       // for the whole head of a request, however slowly it drips
	targetIdle     = 60 * time.Second       // a target's connection without a request
	maxIdlePer     = 64                     // connections kept to one target
	defaultMaxIdle = 1024                   // Config.MaxIdle
	sweepEvery     = 5 * time.Second        // how exactly targetIdle is kept
	continueWait   = time.Second            // for a target's "100 Continue"; then the body is sent anyway (RFC 9110, 10.1.1)
	bodyLinger     = 500 * time.Millisecond // for what a client still sends when its answer is through: closing at once would be a reset
	bufferSize     = 32 << 10
	defaultStopMax = 30 * time.Second
	defaultClient  = 60 * time.Second // Config.ClientIdle
)

// Config is what a proxy needs. Table is required; every other zero value is as documented.
type Config struct {
	// Table says who takes a request.
	Table *balance.Table

	// Suspect is told when a target refused, closed or garbled an exchange. It is called from the goroutines of
	// requests, for every such failure, and must not block. Nil: nobody is told.
	Suspect func(triage.Key)

	// Ready is closed when requests may be served. Until then connections wait in the kernel's queue. Nil: at
	// once.
	Ready <-chan struct{}

	// ShutdownTimeout is how long running requests may take to end when a listener is removed or Run's context
	// is done. 0: 30 s.
	ShutdownTimeout time.Duration

	// ClientIdle is how long a client's connection may be without a request, and how long a client may take to
	// accept an answer that is none of a target's. 0: 60 s.
	ClientIdle time.Duration

	// MaxIdle bounds the connections kept to all targets together: each holds a descriptor, and there may be
	// more targets than descriptors. 0: 1024.
	MaxIdle int

	// Wrap puts a handler around that of each listener; it may answer itself. What is forwarded is the request
	// as it came (its RequestURI, not its URL). Nil: nothing is put around.
	Wrap func(http.Handler) http.Handler

	// Forwarding may change what a target is told about the client. Nil: nothing is changed.
	Forwarding func(in *http.Request, f *Forwarding)

	// Drop says which headers and trailers of a client no target gets, besides its claims about where it comes
	// from. Names come in net/http's canonical form. Nil: none.
	Drop func(name string) bool

	// Sentence is what a client is told when no target of the group answered: lower case, no full stop. Nil: the
	// reason's own sentence, and the group's name.
	Sentence func(attempt.Reason, triage.GroupName) string

	// Log gets why single exchanges failed, at level debug. At level warning it gets which requests no target
	// answered, by group and reason, at most once per minute each and with their number (see [Audit]), and what
	// net/http's server has to say. Nil: nothing is logged.
	Log *slog.Logger
}

// Proxy is a set of listeners and the connections behind them. Make one with [New].
type Proxy struct {
	config    Config
	audit     *Audit          // of requests that failed
	transport *http.Transport // makes connections; its own pool stays empty
	upstreams sync.Map        // *balance.Entry → *upstream
	idle      atomic.Int64    // connections kept to all targets
	buffers   sync.Pool       // *[bufferSize]byte

	work   sync.WaitGroup // client connections, accept loops, tunnels, listeners that drain
	failed chan error     // an accept loop ended by itself

	mu       sync.Mutex
	phase    phase
	bindings []*binding // in the order of the config
	tunnels  map[*tunnel]struct{}
}

// phase is how far a proxy's life has come.
type phase uint8

const (
	waiting phase = iota // listeners are bound, nobody accepts
	serving
	stopping
)

// New returns a proxy without listeners.
func New(c Config) *Proxy {
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = defaultStopMax
	}
	if c.ClientIdle == 0 {
		c.ClientIdle = defaultClient
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = defaultMaxIdle
	}
	if c.Drop == nil {
		c.Drop = func(string) bool { return false }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Sentence == nil {
		c.Sentence = func(why attempt.Reason, group triage.GroupName) string {
			return why.Info().Sentence + " (group " + string(group) + ")"
		}
	}
	return &Proxy{
		config:    c,
		audit:     NewAudit(c.Log),
		transport: newTransport(),
		buffers:   sync.Pool{New: func() any { return new([bufferSize]byte) }},
		failed:    make(chan error, 1),
		tunnels:   make(map[*tunnel]struct{}),
	}
}

// Handler returns the handler that forwards every request to the group. Its connections to targets are closed
// by [Proxy.Run].
func (p *Proxy) Handler(group triage.GroupName) http.Handler {
	return p.handler(func() triage.GroupName { return group })
}

// Run serves the listeners, those that come later included, until ctx is done. Then it stops accepting, tells
// clients with "Connection: close" not to come again, waits for running requests up to
// Config.ShutdownTimeout, closes upgraded connections, and returns nil. If accepting fails for good it stops
// in the same way and returns why. All listeners are closed when it returns; it is called once.
func (p *Proxy) Run(ctx context.Context) error {
	back, end := context.WithCancel(context.WithoutCancel(ctx))
	var auditing sync.WaitGroup
	auditing.Go(func() { p.audit.Run(back) })
	var err error
	if p.ready(ctx) {
		p.open()
		err = p.sweepUntil(ctx)
	}
	p.stop(ctx)
	end()
	auditing.Wait()
	return err
}

// ready waits until requests may be served, and reports whether they may.
func (p *Proxy) ready(ctx context.Context) bool {
	if p.config.Ready == nil {
		return ctx.Err() == nil
	}
	select {
	case <-p.config.Ready:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *Proxy) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = serving
	for _, b := range p.bindings {
		p.serve(b)
	}
}

// sweepUntil closes connections to targets that idled too long, until ctx is done or a listener fails.
func (p *Proxy) sweepUntil(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-p.failed:
			return err
		case now := <-ticker.C:
			p.upstreams.Range(func(_, u any) bool {
				u.(*upstream).sweep(now.Add(-targetIdle))
				return true
			})
		}
	}
}

// stop ends everything that Run and commit began, and waits for it.
func (p *Proxy) stop(ctx context.Context) {
	p.mu.Lock()
	p.phase = stopping
	bindings := p.bindings
	p.bindings = nil
	p.mu.Unlock()

	var drains sync.WaitGroup
	for _, b := range bindings {
		drains.Go(func() { p.drain(context.WithoutCancel(ctx), b) })
	}
	drains.Wait()

	p.mu.Lock()
	for t := range p.tunnels {
		t.close()
	}
	p.mu.Unlock()
	// Closing the connections to targets also ends the handlers whose clients were cut off just now.
	p.upstreams.Range(func(_, u any) bool {
		u.(*upstream).close()
		return true
	})
	p.work.Wait()
}
