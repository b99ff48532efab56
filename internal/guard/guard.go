// Package guard is a sidecar in front of an application that cannot be changed. It does what the application
// or nginx would do for users, and lets the load balancer's check through where they would not.
//
// [Listen] takes a [Config] and binds its address, [Guard.Run] serves. Each request passes, in this order,
//
//   - the list of hosts (behind.Hosts): 400 for a host that is not the site's;
//   - the redirect to https (behind.HTTPSRedirect), for users that came by http;
//   - proxy, which sends it on to the one upstream.
//
// The health path is an exception to each of them: it admits the addresses that load balancers ask for, is
// never redirected, and goes to the upstream with a Host and a scheme that an application made for users
// accepts. No other request's Host is changed.
//
// The package does not check the upstream and does not decide what healthy means: that is the application's
// answer on the health path. Everything that an operator should know is logged, at a rate that strangers do
// not decide.
package guard

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/behind"
	"github.com/triage-lb/triage/behind/aws"
	"github.com/triage-lb/triage/internal/balance"
	"github.com/triage-lb/triage/internal/proxy"
)

// listener is the name of the one listener: none, since nobody gave it one.
const listener triage.ListenerName = ""

// Guard is a bound listener, its policy and its upstream. Make one with [Listen].
type Guard struct {
	config  Config
	trusted []netip.Prefix
	host    string       // Host of what goes to the upstream on the health path; "": as it came
	learner *aws.Learner // nil unless addresses are to be learned
	audit   *proxy.Audit
	table   *balance.Table
	proxy   *proxy.Proxy

	mu       sync.Mutex // held while the upstream's addresses are looked up and published
	upstream string     // what was logged of them last; guarded by mu
}

// Listen binds the config's address. Connections wait until [Guard.Run] takes them; it must be called, since it
// is what closes them. An error is a [triage.Error] for the person who wrote the config; nothing is bound then.
func Listen(c Config) (*Guard, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	g := &Guard{
		config:  c,
		trusted: c.Trusted,
		host:    c.siteHost(),
		audit:   proxy.NewAudit(c.Log),
		table:   balance.New(),
	}
	if c.Learned {
		g.learner = &aws.Learner{
			AllowV1:  c.IMDSv1,
			Getenv:   c.Getenv,
			OnChange: g.learned,
			OnError:  g.notLearned,
		}
	}
	g.proxy = proxy.New(proxy.Config{
		Table:           g.table,
		Suspect:         g.suspect,
		ShutdownTimeout: c.ShutdownTimeout,
		Wrap:            g.wrap,
		Forwarding:      g.forward,
		Drop:            dropped,
		Sentence:        sentence,
		Log:             c.Log,
	})
	commit, _, err := g.proxy.Prepare([]triage.Listener{{
		Name:     listener,
		Listen:   c.Listen,
		Protocol: triage.HTTP,
		Default:  triage.Action{Forward: group},
	}})
	if err != nil {
		return nil, err
	}
	commit()
	return g, nil
}

// Addr returns where the guard listens. It is nil once [Guard.Run] has begun to stop.
func (g *Guard) Addr() net.Addr { return g.proxy.Addr(listener) }

// Run logs the policy and serves until ctx is done; then it stops accepting, lets running requests finish, and
// returns nil. It returns earlier only if accepting fails for good, and says why. It is called once.
func (g *Guard) Run(ctx context.Context) error {
	back, stop := context.WithCancel(context.WithoutCancel(ctx))
	front, leave := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { _ = g.table.Run(back) }) // neither this nor the learner ends by itself
	parts.Go(func() { g.audit.Run(back) })
	if g.learner != nil {
		parts.Go(func() { _ = g.learner.Run(back) })
	}
	parts.Go(func() {
		<-front.Done()
		if ctx.Err() != nil {
			g.config.Log.Info("stopping: no new connections, running requests finish")
		}
	})
	g.announce()
	g.findUpstream()
	err := g.proxy.Run(front)
	leave()
	stop()
	parts.Wait()
	g.config.Log.Info("stopped")
	return err
}

// wrap puts the policy around the proxy. The list of hosts goes outside, so that a redirect never leads to a
// foreign host.
func (g *Guard) wrap(next http.Handler) http.Handler {
	c := &g.config
	if c.HTTPSRedirect {
		next = behind.HTTPSRedirect{
			HealthPath:  c.HealthPath,
			Trusted:     g.trusted,
			OnUntrusted: g.untrusted,
		}.Wrap(next)
	}
	if len(c.AllowedHosts) > 0 {
		next = g.hosts().Wrap(next)
	}
	return next
}

func (g *Guard) hosts() behind.Hosts {
	hosts := behind.Hosts{
		Allowed:     g.config.AllowedHosts,
		HealthPath:  g.config.HealthPath,
		HealthHosts: g.config.HealthHosts,
		OnRefused:   g.refused,
	}
	if g.learner != nil {
		hosts.HealthAddr = g.learner.Contains
	}
	return hosts
}
