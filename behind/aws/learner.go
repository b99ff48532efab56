// Package aws tells an application on AWS its machine's private addresses,
// which are what a Classic or Application Load Balancer writes into the Host
// header of its health check. Run a [Learner] in the background and give its
// Contains to behind.Hosts as HealthAddr:
//
//	learner := &aws.Learner{OnError: report}
//	go learner.Run(ctx)
//	hosts := behind.Hosts{Allowed: sites, HealthPath: "/health_check", HealthAddr: learner.Contains}
//
// Addresses come from the instance metadata service of EC2, in version 2 with
// its session tokens, and from the task metadata endpoint of ECS. Every answer
// is checked to be an address: a client that took the text as it is would put
// an error page into the list as soon as tokens are required.
//
// It does not help behind a Network Load Balancer, which asks for its own
// node's address, and it never delays a start: until something is learned
// nothing is contained. A Learner may be used from any number of goroutines.
package aws

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultTimeout = 2 * time.Second
	defaultRefresh = 5 * time.Minute
	firstRetry     = time.Second
	slowestRetry   = time.Minute
)

// ErrDisabled is the error of a [Learner] that has nobody to ask, because
// AWS_EC2_METADATA_DISABLED is true and the machine's addresses are not those
// of an ECS task.
var ErrDisabled = errors.New("instance metadata is off by AWS_EC2_METADATA_DISABLED=true; unset it, or list this machine's addresses by hand")

// Learner asks AWS's metadata services for this machine's private addresses and
// keeps the answer. Its zero value is ready; it must not be copied after use.
//
// If ECS_CONTAINER_METADATA_URI_V4 is set, this is an ECS task and the task
// metadata is asked. In network mode awsvpc, which Fargate always uses, it
// knows the address that a load balancer asks for. In the other modes (bridge,
// host) a load balancer asks for the address of the instance, so that EC2 is
// asked, as it is for everything outside ECS: all interfaces, IPv4 and IPv6,
// because an ip target may be any of them.
//
// These environment variables have the meaning they have for AWS's SDKs:
// AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE
// (IPv6), AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_V1_DISABLED. Proxies are
// never used, whatever HTTP_PROXY says.
type Learner struct {
	// AllowV1 permits version 1 of the instance metadata service, without a
	// token, if version 2 cannot be had. Off by default: whoever makes the
	// application fetch a URL can read the metadata by version 1, and a
	// machine should not come to depend on it silently.
	AllowV1 bool

	// Timeout bounds one try, all its requests together. Zero means 2 s.
	Timeout time.Duration

	// Refresh is the time from one successful try to the next. Zero means
	// 5 min. After a failure Run tries again in 1 s, then 2 s, 4 s, and so on
	// up to 1 min, or up to Refresh if that is shorter.
	Refresh time.Duration

	// Getenv reads the environment. Nil means [os.Getenv].
	Getenv func(string) string

	// OnChange, if set, is told the addresses whenever they have changed, in
	// ascending order. It is called in the goroutine of Run or Once and owns
	// the slice.
	OnChange func(addrs []netip.Addr)

	// OnError, if set, is told why a try of Run failed and what may help. The
	// same reason is told once, until a try succeeds or fails for another one.
	// It is called in the goroutine of Run.
	OnError func(err error)

	publishing sync.Mutex // held for a change of known
	known      atomic.Pointer[[]netip.Addr]
}

// Run tries at once, then again and again, until ctx ends, and returns nil
// then. It starts no goroutine that outlives it. Nothing that a metadata
// service does or fails to do makes it return earlier.
func (l *Learner) Run(ctx context.Context) error {
	refresh := cmp.Or(l.Refresh, defaultRefresh)
	retry := min(firstRetry, refresh)
	told := ""
	for {
		wait := refresh
		_, err := l.Once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			told = ""
			retry = min(firstRetry, refresh)
		default:
			if l.OnError != nil && err.Error() != told {
				l.OnError(err)
			}
			told = err.Error()
			wait = retry
			retry = min(2*retry, slowestRetry, refresh)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Once makes one try and returns the addresses it learned, in ascending order,
// which are the known ones from then on. If it fails half-way it returns an
// error and what it learned until then; these addresses are added to the known
// ones, and no known one is forgotten. It may be called while Run runs. The
// caller owns the slice.
func (l *Learner) Once(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(l.Timeout, defaultTimeout))
	defer cancel()
	addrs, err := l.source().ask(ctx)
	addrs = sortedSet(addrs)
	l.publish(addrs, err == nil)
	return addrs, err
}

// Addresses returns the known addresses in ascending order: none before the
// first successful try. The caller owns the slice.
func (l *Learner) Addresses() []netip.Addr {
	known := l.known.Load()
	if known == nil {
		return nil
	}
	return slices.Clone(*known)
}

// Contains reports whether addr is known to be an address of this machine.
func (l *Learner) Contains(addr netip.Addr) bool {
	known := l.known.Load()
	if known == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(*known, addr.Unmap(), netip.Addr.Compare)
	return found
}

// publish makes addrs the known set, or adds them to it. A published slice is
// never written again.
func (l *Learner) publish(addrs []netip.Addr, complete bool) {
	l.publishing.Lock()
	old := l.Addresses()
	if !complete {
		addrs = sortedSet(append(slices.Clone(old), addrs...))
	}
	changed := !slices.Equal(old, addrs)
	if changed {
		fresh := slices.Clone(addrs)
		l.known.Store(&fresh)
	}
	l.publishing.Unlock()
	if changed && l.OnChange != nil {
		l.OnChange(slices.Clone(addrs))
	}
}

func (l *Learner) getenv(name string) string {
	if l.Getenv == nil {
		return os.Getenv(name)
	}
	return l.Getenv(name)
}

func sortedSet(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
