// Package resolve keeps the addresses behind the names of targets up to date.
//
// A [Resolver] is told with [Resolver.Set] which names matter, looks each of them up every 30 s and whenever
// [Resolver.Refresh] asks for it, and answers [Resolver.Lookup] from what it knows, without waiting. It does
// not decide what an address that came or went means: it says that something changed, and control looks.
//
// All methods may be called from any goroutine. Lookups run in [Resolver.Run], a bounded number at a time.
package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is the settings of a [Resolver]. The zero value of each field means its default.
type Config struct {
	// LookupNetIP finds the addresses of a name. Default: net.DefaultResolver's.
	LookupNetIP func(ctx context.Context, host string) ([]netip.Addr, error)

	// Every is how long an answer is used before it is asked for again. Default: 30 s. The system's resolver
	// does not tell how long an answer may be kept.
	Every time.Duration

	// OnChange is called, from a goroutine of the resolver, after the answer for some name changed. It must
	// not block. Default: nothing.
	OnChange func()
}

// The defaults and bounds of a resolver.
const (
	defaultEvery  = 30 * time.Second
	lookupTimeout = 5 * time.Second
	minRefresh    = time.Second     // between two lookups of one name, however often Refresh is called
	retryUnknown  = 5 * time.Second // after a lookup that left a name without an address
	parallel      = 16
)

// Resolver keeps addresses by name. Make it with [New], and run it.
type Resolver struct {
	lookup   func(ctx context.Context, host string) ([]netip.Addr, error)
	every    time.Duration
	onChange func()
	wake     chan struct{}

	mu    sync.Mutex
	names map[string]*name // guarded by mu
}

// name is what is known of one host name. Guarded by the resolver's mu.
type name struct {
	addresses []netip.Addr // sorted; nil while err is set
	err       error
	asked     time.Time // when the last lookup began
	due       time.Time
	running   bool
	known     chan struct{} // closed after the first lookup
}

// New returns a resolver that knows no name yet.
func New(c Config) *Resolver {
	if c.LookupNetIP == nil {
		c.LookupNetIP = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.OnChange == nil {
		c.OnChange = func() {}
	}
	return &Resolver{
		lookup:   c.LookupNetIP,
		every:    cmp.Or(c.Every, defaultEvery),
		onChange: c.OnChange,
		wake:     make(chan struct{}, 1),
		names:    map[string]*name{},
	}
}

// Set says which names matter from now on; others are forgotten. It waits until each new name was looked up
// once, but no longer than patience: a name that takes longer is unresolved until its answer comes.
func (r *Resolver) Set(hosts []string, patience time.Duration) {
	var fresh []chan struct{}
	r.mu.Lock()
	keep := make(map[string]*name, len(hosts))
	for _, host := range hosts {
		if old := r.names[host]; old != nil {
			keep[host] = old
			continue
		}
		if keep[host] == nil {
			n := &name{err: errors.New("not looked up yet"), known: make(chan struct{})}
			keep[host] = n
			fresh = append(fresh, n.known)
		}
	}
	r.names = keep
	r.mu.Unlock()
	r.poke()

	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for _, known := range fresh {
		select {
		case <-known:
		case <-timeout.C:
			return
		}
	}
}

// Lookup returns the addresses of a name that [Resolver.Set] named, sorted, or why there are none.
func (r *Resolver) Lookup(host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.names[host]
	if n == nil {
		return nil, fmt.Errorf("%s: not a name that is looked after", host)
	}
	return n.addresses, n.err
}

// Refresh asks for a name again soon, because its addresses do not answer. Calls within a second of the last
// lookup, and names that nobody has Set, do nothing.
func (r *Resolver) Refresh(host string) {
	r.mu.Lock()
	if n := r.names[host]; n != nil {
		if soon := n.asked.Add(minRefresh); soon.Before(n.due) {
			n.due = soon
		}
		defer r.poke()
	}
	r.mu.Unlock()
}

func (r *Resolver) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run looks names up as they fall due, until ctx ends and the lookups under way have returned.
func (r *Resolver) Run(ctx context.Context) error {
	var lookups errgroup.Group
	lookups.SetLimit(parallel)
	defer lookups.Wait()
	for {
		host, n, wait := r.next(time.Now())
		if n != nil {
			lookups.Go(func() error {
				r.ask(ctx, host, n)
				return nil
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next claims a name that is due, or says how long none will be.
func (r *Resolver) next(now time.Time) (host string, n *name, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = r.every
	for host, n := range r.names {
		if n.running {
			continue
		}
		if !n.due.After(now) {
			n.running, n.asked = true, now
			return host, n, 0
		}
		wait = min(wait, n.due.Sub(now))
	}
	return "", nil, wait
}

// ask looks one name up and keeps the answer. A resolver that does not answer right now says nothing about
// the addresses: the last good ones stay. That the name does not exist is an answer.
func (r *Resolver) ask(ctx context.Context, host string, n *name) {
	asking, cancel := context.WithTimeout(ctx, lookupTimeout)
	addresses, err := r.lookup(asking, host)
	cancel()
	if ctx.Err() != nil {
		return
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	addresses = slices.Compact(addresses)

	r.mu.Lock()
	changed := false
	if r.names[host] == n { // else nobody wants it any more, or it was forgotten and is asked for anew
		notFound, isDNS := errors.AsType[*net.DNSError](err)
		passing := err != nil && (!isDNS || !notFound.IsNotFound) && n.addresses != nil
		if !passing {
			changed = !slices.Equal(addresses, n.addresses) || fmt.Sprint(err) != fmt.Sprint(n.err)
			n.addresses, n.err = addresses, err
		}
		n.running, n.due = false, time.Now().Add(r.every)
		if err != nil && n.addresses == nil {
			n.due = time.Now().Add(min(r.every, retryUnknown))
		}
		select {
		case <-n.known:
		default:
			close(n.known)
		}
	}
	r.mu.Unlock()
	if changed {
		r.onChange()
	}
	r.poke()
}
