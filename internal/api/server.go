package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/triage-lb/triage"
)

// Config is the settings of a [Server].
type Config struct {
	Address string       // "address:port" on loopback, or "unix:/path"; "" means [triage.DefaultAdmin]
	Version string       // of the program, for the OpenAPI document
	Control Control      // required
	Ready   func() error // nil while new clients may come, else why not; called by many goroutines. nil: always ready
	Log     *slog.Logger // nil means slog.Default()

	// Metrics returns who answers a scrape that wants the targets of these groups one by one, and the metrics of these
	// names only if there are any, or a [*triage.Error]; called by many goroutines. nil: there are no metrics.
	Metrics func(targets []triage.GroupName, names []string) (http.Handler, error)
}

// Server serves the admin address. Make it with [New].
type Server struct {
	cfg      Config
	routes   *routes
	listener net.Listener // set by Listen
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	if cfg.Address == "" {
		cfg.Address = triage.DefaultAdmin
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Server{cfg: cfg}
	s.routes = newRoutes(s)
	return s
}

// Listen takes the admin address, so that an address that is taken or forbidden is an error before anything
// else starts. Its errors are [*triage.Error]. Whoever calls Listen must call Run, which gives the address back.
func (s *Server) Listen() error {
	l, err := listen(s.cfg.Address)
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

// Addr is where the server listens, after Listen: a [*net.TCPAddr] or a [*net.UnixAddr].
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// The longest that a request may take to come in, and its answer to go out. An edit waits for the disk, a reload
// for listeners too: both stay below [editDeadline].
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 2 * editDeadline
	idleTimeout       = time.Minute
	maxHeader         = 64 << 10
	stopTimeout       = 5 * time.Second
)

// Run serves until ctx is done, lets requests that run finish for at most 5 seconds, and returns nil. Any
// other end is an error. It needs Listen before it and closes what Listen opened; a unix socket's file is
// removed.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           newGuard(s.Addr(), explain{s.routes}),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return &triage.Error{Kind: triage.KindInternal, Message: "admin address " + s.cfg.Address + ": " + err.Error(), Err: err}
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if how := <-served; err == nil && !errors.Is(how, http.ErrServerClosed) {
		err = how
	}
	return err
}
