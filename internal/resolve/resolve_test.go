package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// names is a resolver's world: what each name leads to, changed while it runs.
type names struct {
	delay time.Duration

	mu      sync.Mutex
	answers map[string][]netip.Addr // guarded by mu
	err     error                   // guarded by mu
	asked   int                     // guarded by mu
}

func (n *names) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	select {
	case <-time.After(n.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.err != nil {
		return nil, n.err
	}
	if a := n.answers[host]; a != nil {
		return slices.Clone(a), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// set changes where a name leads to; nowhere if there are no addresses.
func (n *names) set(host string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[host] = addrs(addresses...)
}

func (n *names) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// run starts a resolver in the bubble and returns how to stop it.
func run(r *Resolver) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func addrs(s ...string) []netip.Addr {
	var all []netip.Addr
	for _, a := range s {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestNamesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{answers: map[string][]netip.Addr{"app": addrs("10.0.0.2", "10.0.0.1", "::ffff:10.0.0.1")}}
		var changes atomic.Int32
		r := New(Config{LookupNetIP: world.lookup, OnChange: func() { changes.Add(1) }})
		defer run(r)()

		r.Set([]string{"app", "gone"}, time.Second)
		if got, err := r.Lookup("app"); err != nil || !slices.Equal(got, addrs("10.0.0.1", "10.0.0.2")) {
			t.Errorf("app: %v, %v; want both, sorted, once each", got, err)
		}
		if got, err := r.Lookup("gone"); err == nil {
			t.Errorf("gone resolves to %v", got)
		}
		if _, err := r.Lookup("stranger"); err == nil {
			t.Error("a name that nobody set was looked up")
		}

		synctest.Wait() // OnChange comes after Set has returned
		world.set("app", "10.0.0.3")
		before := changes.Load()
		time.Sleep(defaultEvery + time.Second)
		if got, _ := r.Lookup("app"); !slices.Equal(got, addrs("10.0.0.3")) || changes.Load() != before+1 {
			t.Errorf("after 30 s: %v, told %d times", got, changes.Load()-before)
		}

		asked := world.count()
		r.Set(nil, time.Second)
		time.Sleep(time.Hour)
		if world.count() != asked {
			t.Error("a forgotten name is still looked up")
		}
	})
}

// TestBrokenResolverKeepsAddresses: when DNS itself is down, the targets are not.
func TestBrokenResolverKeepsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{answers: map[string][]netip.Addr{"app": addrs("10.0.0.1")}}
		r := New(Config{LookupNetIP: world.lookup})
		defer run(r)()
		r.Set([]string{"app"}, time.Second)

		world.fail(errors.New("i/o timeout"))
		time.Sleep(5 * time.Minute)
		if got, err := r.Lookup("app"); err != nil || len(got) != 1 {
			t.Errorf("while DNS is down: %v, %v", got, err)
		}
		world.fail(nil)
		world.set("app")
		time.Sleep(5 * time.Minute)
		if got, err := r.Lookup("app"); err == nil {
			t.Errorf("a name that does not exist any more: %v", got)
		}
	})
}

func TestRefreshAsksSoonButNotTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{answers: map[string][]netip.Addr{"app": addrs("10.0.0.1")}}
		r := New(Config{LookupNetIP: world.lookup})
		defer run(r)()
		r.Set([]string{"app"}, time.Second)
		world.set("app", "10.0.0.9")
		for range 1000 {
			r.Refresh("app")
		}
		time.Sleep(1500 * time.Millisecond)
		if got, _ := r.Lookup("app"); !slices.Equal(got, addrs("10.0.0.9")) {
			t.Errorf("1.5 s after Refresh: %v", got)
		}
		if n := world.count(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestSlowNameDoesNotHoldUpTheRest: a start waits for names, but not for ever.
func TestSlowNameDoesNotHoldUpTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{answers: map[string][]netip.Addr{"slow": addrs("10.0.0.1")}, delay: 3 * time.Second}
		changed := make(chan struct{}, 1)
		r := New(Config{LookupNetIP: world.lookup, OnChange: func() { changed <- struct{}{} }})
		defer run(r)()
		start := time.Now()
		r.Set([]string{"slow"}, time.Second)
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("Set waited %s", waited)
		}
		if _, err := r.Lookup("slow"); err == nil {
			t.Error("resolved before the answer came")
		}
		<-changed
		if got, err := r.Lookup("slow"); err != nil || len(got) != 1 {
			t.Errorf("after the answer: %v, %v", got, err)
		}
	})
}

// TestSlowRefusalIsTold: the answer that a name does not exist comes after Set has given up waiting. Nobody was
// told, and the target was "not looked up yet" for ever.
func TestSlowRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{delay: 3 * time.Second}
		var told atomic.Int32
		r := New(Config{LookupNetIP: world.lookup, OnChange: func() { told.Add(1) }})
		defer run(r)()
		r.Set([]string{"gone"}, time.Second)
		_, before := r.Lookup("gone")
		time.Sleep(3 * time.Second)
		_, after := r.Lookup("gone")
		if dns, ok := errors.AsType[*net.DNSError](after); !ok || !dns.IsNotFound || told.Load() != 1 {
			t.Errorf("first %q, then %q; told %d times", before, after, told.Load())
		}
		time.Sleep(time.Hour)
		if told.Load() != 1 {
			t.Errorf("told %d times of the same", told.Load())
		}
	})
}

// TestAnswerOfAFormerLife: a name was forgotten and set again while its first lookup ran. The old answer came
// last, and won.
func TestAnswerOfAFormerLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		r := New(Config{LookupNetIP: func(context.Context, string) ([]netip.Addr, error) {
			if asked.Add(1) == 1 {
				time.Sleep(4 * time.Second) // asked first, answers last
				return addrs("10.0.0.1"), nil
			}
			return addrs("10.0.0.2"), nil
		}})
		defer run(r)()
		r.Set([]string{"app"}, time.Second)
		r.Set(nil, time.Second)
		r.Set([]string{"app"}, time.Second)
		for range 2 {
			if got, err := r.Lookup("app"); err != nil || !slices.Equal(got, addrs("10.0.0.2")) {
				t.Errorf("%v, %v", got, err)
			}
			time.Sleep(10 * time.Second)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times within half a minute", n)
		}
	})
}

// TestResolverThatIsDownAtTheStart: a second without DNS must not cost half a minute without the target.
func TestResolverThatIsDownAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := &names{answers: map[string][]netip.Addr{"app": addrs("10.0.0.1")}}
		world.fail(&net.DNSError{Err: "server misbehaving", IsTemporary: true})
		r := New(Config{LookupNetIP: world.lookup})
		defer run(r)()
		r.Set([]string{"app"}, time.Second)
		world.fail(nil)
		time.Sleep(retryUnknown + time.Second)
		if got, err := r.Lookup("app"); err != nil || len(got) != 1 || world.count() != 2 {
			t.Errorf("%v, %v after %d lookups", got, err, world.count())
		}
		time.Sleep(defaultEvery - 2*time.Second)
		if n := world.count(); n != 2 {
			t.Errorf("%d lookups: a name that has addresses is asked for as often as one that has none", n)
		}
	})
}

// TestRefreshOfAStranger: a check of an address that no name leads to must not wake anybody.
func TestRefreshOfAStranger(t *testing.T) {
	r := New(Config{})
	r.Refresh("10.0.0.1")
	if len(r.wake) != 0 {
		t.Error("woken for a name that nobody set")
	}
	r.names["app"] = &name{}
	r.Refresh("app")
	if len(r.wake) != 1 {
		t.Error("not woken for a name that somebody set")
	}
}
