package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/api"
	"github.com/triage-lb/triage/internal/balance"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/engine"
	"github.com/triage-lb/triage/internal/metrics"
	"github.com/triage-lb/triage/internal/proxy"
	"github.com/triage-lb/triage/internal/resolve"
)

// serveCommand runs the balancer.
type serveCommand struct {
	Config string `short:"c" placeholder:"FILE" help:"Config file. Default: TRIAGE_CONFIG, else ./triage.yaml, else /etc/triage/triage.yaml."`
	Watch  bool   `help:"Reload when the config file changes, but not when only a certificate does. SIGHUP and triage reload work as well."`

	NoFollowUp bool `help:"Ask no second questions about targets that fail."`

	logFlags
}

// Run serves until a signal.
func (c *serveCommand) Run(env *environment) error {
	path, err := needConfig(env, c.Config)
	if err != nil {
		return err
	}
	gc, ballast := limitGarbage(env.getenv)
	defer runtime.KeepAlive(ballast)
	b, err := newBalancer(path, env.getenv, c.logger(env))
	if err != nil {
		return err
	}
	b.gc, b.noFollowUp = gc, c.NoFollowUp
	return b.serve(env.ctx, c.Watch)
}

// stopWithin is how long running requests may take to end when the balancer stops.
const stopWithin = 30 * time.Second

// balancer is the parts of triage serve, wired.
type balancer struct {
	path     string
	log      *slog.Logger
	resolver *resolve.Resolver
	engine   *engine.Engine
	table    *balance.Table
	proxy    *proxy.Proxy
	control  *control.Control
	metrics  *metrics.Metrics
	admin    *api.Server
	gc       string        // the collector's setting, as it is told
	settled  chan struct{} // closed when the first results are in the pools: clients may come
	draining atomic.Bool   // no new clients, please

	noFollowUp bool // targets that fail are asked nothing but their checks
}

// newBalancer builds the parts and says who talks to whom. This function is the architecture:
//
//	control ──rosters──► engine ──transitions──► table ──pools──► proxy
//	   ▲ ▲                  │ └────transitions────► control, metrics   │
//	   │ └─ resolver        └◄──────────── kick: traffic failed ───────┘
//	  admin
//
// Nothing runs yet, and only the admin address is taken: two balancers with one config stop here.
func newBalancer(path string, getenv func(string) string, log *slog.Logger) (*balancer, error) {
	b := &balancer{path: path, log: log, table: balance.New(), settled: make(chan struct{})}
	files := shareDescriptors(log)
	b.resolver = resolve.New(resolve.Config{
		OnChange: func() { b.control.Resolved() },
	})
	b.engine = engine.New(engine.Config{
		MaxInFlight: files.checks,
		OnTransitions: func(batch []triage.Transition) {
			b.table.Observe(batch)
			b.control.Observe(batch)
			b.metrics.Observe(batch)
		},
		OnLevels: b.table.Level,
		OnBehind: func(late time.Duration) {
			b.log.Error("checks start late: too many are under way, or this machine is too busy", "late", late.Round(time.Millisecond))
		},
		OnConnectFailure: func(key triage.Key) {
			if host, _, err := key.Target.Split(); err == nil {
				b.resolver.Refresh(host)
			}
		},
	})
	b.proxy = proxy.New(proxy.Config{
		Table:   b.table,
		Suspect: b.engine.Kick,
		Ready:   b.settled,
		MaxIdle: files.idle,
		Log:     log,

		ShutdownTimeout: stopWithin,
	})
	var err error
	b.control, err = control.New(control.Config{
		Path:      path,
		Getenv:    getenv,
		Version:   buildVersion(),
		Log:       log,
		Explain:   diagnose.Look,
		Prove:     b.prove,
		Engine:    b.engine,
		Table:     b.table,
		Listeners: b.proxy,
		Resolver:  b.resolver,
	})
	if err != nil {
		return nil, err
	}
	b.metrics = metrics.New(metrics.Config{
		Version: buildVersion(),
		Checks:  b.engine.Stats,
		States:  func(group triage.GroupName) metrics.States { return metrics.States(b.table.States(group)) },
		Targets: b.engine.Snapshot,
		Log:     log,
	})
	b.admin = api.New(api.Config{
		Address: b.control.Admin(),
		Version: buildVersion(),
		Control: b.control,
		Ready:   b.ready,
		Metrics: b.metrics.Handler,
		Log:     log,
	})
	return b, b.admin.Listen()
}

// serve runs the parts until ctx ends: then clients are seen off first, while everything behind them still
// works. If a part ends by itself, all end, and its error is the reason.
func (b *balancer) serve(ctx context.Context, watch bool) error {
	back, stop := context.WithCancel(context.WithoutCancel(ctx))
	parts, back := errgroup.WithContext(back)
	front, stopFront := context.WithCancel(back)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		b.log.Info("stopping: no new connections, running requests finish; a second signal ends it at once", "at_most", stopWithin)
		b.draining.Store(true)
		b.control.Stopping()
		stopFront()
	})()
	part := func(run func(context.Context) error, ctx context.Context) {
		parts.Go(func() error {
			defer stop()
			return run(ctx)
		})
	}
	part(b.resolver.Run, back)
	part(b.table.Run, back)
	part(b.engine.Run, back)
	part(b.control.Run, back)
	part(b.admin.Run, back)
	part(b.reloads(watch), back)
	part(b.proxy.Run, front)
	parts.Go(func() error { b.announce(back); return nil })
	err := parts.Wait()
	select {
	case <-b.control.Started():
		b.log.Info("stopped")
	default: // nothing had begun; the error says why
	}
	return err
}

// announce says when the balancer begins to take requests.
func (b *balancer) announce(ctx context.Context) {
	select {
	case <-b.control.Started():
	case <-ctx.Done():
		return
	}
	select {
	case <-b.engine.Warm():
		b.table.Settle() // or the first clients meet pools in which everybody is still initial
		close(b.settled)
		status := b.control.Status(ctx)
		listen := make([]string, len(status.Listeners))
		for i, l := range status.Listeners {
			listen[i] = l.Listen
		}
		b.log.Info("serving", "version", buildVersion(), "listen", strings.Join(listen, ","), "config", status.Config, "admin", b.control.Admin(), "gc", b.gc)
	case <-ctx.Done():
	}
}

// ready tells /readyz whether new clients may come.
func (b *balancer) ready() error {
	if b.draining.Load() {
		return errors.New("draining: running requests finish, then triage stops")
	}
	select {
	case <-b.settled:
		return nil
	default:
		return errors.New("starting: the first checks have not ended")
	}
}

// reloads reads the config again on SIGHUP, and when the file changes if it is watched.
func (b *balancer) reloads(watch bool) func(context.Context) error {
	return func(ctx context.Context) error {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		changes, closeWatch, err := watchFile(b.path, watch)
		if err != nil {
			return err
		}
		defer closeWatch()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangups:
			case <-changes:
			}
			_, _ = b.control.Reload(ctx) // which logs what it refuses
		}
	}
}
