package engine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(everyDriver{m}) }

// everyDriver runs all tests of the package over each driver that this system has: one suite for all.
type everyDriver struct{ m *testing.M }

// driverUnderTest is what start gives to an engine.
var driverUnderTest func(*shard) (driver, error)

func (e everyDriver) Run() (code int) {
	for name, d := range map[string]func(*shard) (driver, error){"goroutines": newGoroutines, "the system's": newDriver} {
		driverUnderTest = d
		if failed := e.m.Run(); failed != 0 {
			fmt.Println("failed with driver:", name)
			code = failed
		}
	}
	return code
}

// parked is a driver whose checks never end by themselves, for tests of what a shard does around them.
type parked struct{}

func (parked) start(s *slot)            { s.flight = parked{} }
func (parked) cancel(*slot)             {}
func (parked) release(*slot)            {}
func (parked) wait(time.Duration) error { return nil }
func (parked) wake()                    {}
func (parked) close()                   {}

// parkedShard is a shard that does nothing until the test makes it.
func parkedShard() *shard {
	l := New(Config{Shards: 1}).shards[0]
	l.driver = parked{}
	return l
}

// take gives a shard its part of the rosters, which is all of them.
func (l *shard) take(rosters ...triage.Roster) { l.set(l.engine.split(rosters)[0]) }

// sick is a server whose answer can be changed while it runs.
type sick struct {
	*httptest.Server
	status   atomic.Int32
	requests atomic.Int32
	path     atomic.Value // of the last request
	slow     time.Duration
}

func newSick(t *testing.T, status int, slow time.Duration) *sick {
	s := &sick{slow: slow}
	s.status.Store(int32(status))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.path.Store(r.URL.Path)
		if s.slow > 0 {
			select {
			case <-time.After(s.slow):
			case <-r.Context().Done():
			}
		}
		w.WriteHeader(int(s.status.Load()))
		io.WriteString(w, "body")
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sick) address() netip.AddrPort { return netip.MustParseAddrPort(s.Listener.Addr().String()) }

// silent is a server that takes connections and never says a word.
type silent struct {
	address  netip.AddrPort
	accepted atomic.Int32
	open     atomic.Int32 // connections that the checker has not closed
}

func newSilent(t *testing.T) *silent {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{address: netip.MustParseAddrPort(l.Addr().String())}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			s.open.Add(1)
			all.Go(func() {
				defer c.Close()
				io.Copy(io.Discard, c)
				s.open.Add(-1)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return s
}

// asked is a server whose answers the test gives one by one: a status code for each request, by path.
func asked(t *testing.T, paths ...string) (address netip.AddrPort, answer map[string]chan int) {
	answer = map[string]chan int{}
	for _, path := range paths {
		answer[path] = make(chan int)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case status := <-answer[r.URL.Path]:
			w.WriteHeader(status)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), answer
}

// observed collects transitions.
type observed struct {
	mu  sync.Mutex
	all []triage.Transition
}

func (o *observed) add(batch []triage.Transition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, batch...)
}

func (o *observed) list() []triage.Transition {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]triage.Transition(nil), o.all...)
}

func fastCheck() triage.HealthCheck {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Interval, c.Timeout = triage.HTTP, 100*time.Millisecond, 90*time.Millisecond
	return c
}

func roster(c triage.HealthCheck, addresses ...netip.AddrPort) triage.Roster {
	g := triage.DefaultGroup()
	g.Name, g.HealthCheck = "app", c
	r := triage.Roster{Group: g, Routed: true}
	for _, a := range addresses {
		r.Members = append(r.Members, triage.Member{Key: triage.Key{Group: "app", Target: triage.TargetID(a.String()), Address: a}, Weight: 1})
	}
	return r
}

// start runs an engine until the test ends.
func start(t *testing.T, cfg Config) (*Engine, *observed) {
	t.Helper()
	seen := &observed{}
	cfg.OnTransitions, cfg.newDriver = seen.add, driverUnderTest
	e := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return e, seen
}

// age makes all checks of the past older, so that a test need not wait until a kick counts again.
func age(e *Engine) {
	for _, l := range e.shards {
		l.do(func() {
			for _, s := range l.order {
				s.started -= minKick
			}
		})
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func stateIs(e *Engine, want triage.State) func() bool {
	return func() bool {
		all := e.Snapshot("app")
		return len(all) == 1 && all[0].Health.State == want
	}
}

func TestSickAndCured(t *testing.T) {
	server := newSick(t, 200, 0)
	e, seen := start(t, Config{})
	e.Set([]triage.Roster{roster(fastCheck(), server.address())})
	eventually(t, "healthy", stateIs(e, triage.Healthy))
	server.status.Store(500)
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	server.status.Store(503)
	eventually(t, "the cause changed", func() bool { return e.Snapshot("app")[0].Health.Status == 503 })
	server.status.Store(200)
	eventually(t, "healthy again", stateIs(e, triage.Healthy))

	want := []string{"initial healthy 200", "healthy unhealthy 500", "unhealthy unhealthy 503", "unhealthy healthy 200"}
	var got []string
	for _, tr := range seen.list() {
		got = append(got, fmt.Sprint(tr.From.State, " ", tr.To.State, " ", tr.Evidence.Status))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("transitions %q, want %q", got, want)
	}
}

// TestOneCheckAtATime: a target that is slower than the interval and suspected all the time is never asked
// twice at once, and never holds up another.
func TestOneCheckAtATime(t *testing.T) {
	slow, quick := newSilent(t), newSick(t, 200, 0)
	c := fastCheck()
	c.Interval, c.Timeout = 10*time.Millisecond, time.Hour
	e, _ := start(t, Config{})
	r := roster(c, slow.address, quick.address())
	e.Set([]triage.Roster{r})
	eventually(t, "thirty checks of the quick one", func() bool {
		age(e)
		e.Kick(r.Members[0].Key)
		return quick.requests.Load() >= 30
	})
	if n := slow.accepted.Load(); n != 1 {
		t.Errorf("the slow one was asked %d times while its first check ran", n)
	}
}

// TestFixedRate: the number of checks follows the interval, start to start, however long the answers take.
func TestFixedRate(t *testing.T) {
	server := newSick(t, 200, 40*time.Millisecond)
	e, _ := start(t, Config{})
	begin := time.Now()
	e.Set([]triage.Roster{roster(fastCheck(), server.address())})
	eventually(t, "twenty checks", func() bool { return server.requests.Load() >= 20 })
	// Twenty starts are nineteen intervals; the first step may be half an interval. More than that would be
	// too fast on any machine; too slow is what a busy one may be.
	if took := time.Since(begin); took < 18*fastCheck().Interval {
		t.Errorf("twenty checks began within %s", took)
	}
}

func TestEditKeepsTheState(t *testing.T) {
	server := newSick(t, 200, 0)
	e, seen := start(t, Config{})
	c := fastCheck()
	e.Set([]triage.Roster{roster(c, server.address())})
	eventually(t, "healthy", stateIs(e, triage.Healthy))
	since := e.Snapshot("app")[0].Health.Since

	unrelated := roster(c, server.address())
	unrelated.IdleTimeout = time.Minute
	e.Set([]triage.Roster{unrelated})
	c.Path = "/other"
	e.Set([]triage.Roster{roster(c, server.address())})
	eventually(t, "asked by the new path", func() bool {
		return server.path.Load() == "/other"
	})
	if h := e.Snapshot("app")[0].Health; h.State != triage.Healthy || !h.Since.Equal(since) {
		t.Errorf("after the edits: %s since %s, before: since %s", h.State, h.Since, since)
	}
	if n := len(seen.list()); n != 1 {
		t.Errorf("%d transitions, want the first alone: %v", n, seen.list())
	}
}

// TestRemovedAndAddedAgain: what is registered anew starts anew, and a result of its former life is dropped.
func TestRemovedAndAddedAgain(t *testing.T) {
	server := newSick(t, 200, 0)
	e, _ := start(t, Config{})
	r := []triage.Roster{roster(fastCheck(), server.address())}
	e.Set(r)
	eventually(t, "healthy", stateIs(e, triage.Healthy))
	e.Set(nil)
	if left := e.Snapshot("app"); len(left) != 0 {
		t.Fatalf("still there: %v", left)
	}
	server.status.Store(500)
	e.Set(r)
	eventually(t, "unhealthy at the first failure", func() bool {
		all := e.Snapshot("app")
		if all[0].Health.State == triage.Healthy {
			t.Fatal("healthy from its former life")
		}
		return all[0].Health.State == triage.Unhealthy && all[0].Checks >= 1
	})
}

func TestUnresolvedIsUnhealthy(t *testing.T) {
	e, seen := start(t, Config{})
	r := roster(fastCheck())
	r.Members = []triage.Member{{Key: triage.Key{Group: "app", Target: "gone.invalid:80"}, Unresolved: "no such host"}}
	e.Set([]triage.Roster{r})
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	x := seen.list()[0].Evidence
	if x.Outcome != triage.ResolveFailed || x.Detail != "no such host" {
		t.Errorf("%s (%s)", x.Outcome, x.Detail)
	}
}

// TestNobodyLeadsThere: a group that no listener forwards to is not checked, as on AWS.
func TestNobodyLeadsThere(t *testing.T) {
	server := newSick(t, 200, 0)
	e, _ := start(t, Config{})
	r := roster(fastCheck(), server.address())
	r.Routed = false
	e.Set([]triage.Roster{r})
	if all := e.Snapshot("app"); len(all) != 0 || server.requests.Load() != 0 {
		t.Errorf("%d slots, %d requests", len(all), server.requests.Load())
	}
}

// TestNeutralResultsDecideNothing: a machine without descriptors must not eject its targets.
func TestNeutralResultsDecideNothing(t *testing.T) {
	l := parkedShard()
	l.take(roster(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1")))
	s, now := l.order[0], time.Hour
	x := func(o triage.Outcome) *triage.Exchange { return &triage.Exchange{Outcome: o} }
	l.observe(s, x(triage.Matched), now)
	l.batch = nil
	for range 5 {
		l.observe(s, x(triage.OutOfResources), now)
	}
	if s.health.State != triage.Healthy || s.health.Streak != 0 {
		t.Errorf("%s, streak %d", s.health.State, s.health.Streak)
	}
	if len(l.batch) != 1 || l.batch[0].Source != triage.FromChecker || !l.batch[0].Doubted {
		t.Errorf("five neutral results were told as %v", l.batch)
	}
	l.batch = nil
	l.observe(s, x(triage.Matched), now)
	if len(l.batch) != 1 || l.batch[0].Doubted || l.batch[0].Source != triage.FromChecker {
		t.Errorf("trust was not told: %v", l.batch)
	}
}

// TestSpread: targets are checked all over the interval, each at the same point every time.
func TestSpread(t *testing.T) {
	l := parkedShard()
	c := fastCheck()
	c.Interval = 10 * time.Second
	l.take(many(c, netip.MustParseAddrPort("127.0.0.1:1"), 10_000))
	now := 1000*time.Second + 123
	var tenths [10]int
	for _, s := range l.order {
		s.started = now
		next := l.next(s, now)
		if wait := next - now; wait < c.Interval/4 || wait > c.Interval*5/4 {
			t.Fatalf("the first step is %s", wait)
		}
		s.started = next
		if again := l.next(s, next+time.Second) - next; again != c.Interval {
			t.Fatalf("the second step is %s", again)
		}
		tenths[next%c.Interval/time.Second]++
	}
	for i, n := range tenths {
		if n < 800 || n > 1200 {
			t.Errorf("tenth %d of the interval has %d of 10000 checks", i, n)
		}
	}
}

func TestWarm(t *testing.T) {
	server := newSick(t, 200, 0)
	hang, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hang.Close()
	e, _ := start(t, Config{})
	select {
	case <-e.Warm():
		t.Fatal("warm before the first Set")
	default:
	}
	e.Set([]triage.Roster{roster(fastCheck(), server.address(), netip.MustParseAddrPort(hang.Addr().String()))})
	<-e.Warm() // the one that hangs times out
	for _, s := range e.Snapshot("app") {
		if s.Key.Address == server.address() && s.Health.State != triage.Healthy {
			t.Errorf("warm, but %s is %s", s.Key, s.Health.State)
		}
	}

	empty, _ := start(t, Config{})
	empty.Set(nil)
	<-empty.Warm()
}

func TestConnectFailureIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	told := make(chan triage.Key, 100)
	e, _ := start(t, Config{OnConnectFailure: func(k triage.Key) {
		select {
		case told <- k:
		default:
		}
	}})
	e.Set([]triage.Roster{roster(fastCheck(), address)})
	if k := <-told; k.Address != address {
		t.Errorf("told of %s", k)
	}
}
