package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/balance"
	"github.com/triage-lb/triage/internal/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that happens at once on any machine that is not stuck.
const patience = 20 * time.Second

// rig is a proxy that runs, with one listener that forwards to the group "app".
type rig struct {
	t     *testing.T
	table *balance.Table
	proxy *proxy.Proxy
	addr  string // of the listener
	stop  func() // ends Run and waits for it

	mu       sync.Mutex
	suspects []triage.Key
}

// options of a rig; the zero value is a usual one.
type options struct {
	group  func(*triage.Roster)
	config func(*proxy.Config)
	listen string
}

func start(t *testing.T, o options, targets ...string) *rig {
	t.Helper()
	r := &rig{t: t, table: balance.New()}
	r.table.Publish([]triage.Roster{roster(o.group, targets...)})
	config := proxy.Config{Table: r.table, ShutdownTimeout: 5 * time.Second, Suspect: func(k triage.Key) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.suspects = append(r.suspects, k)
	}}
	if o.config != nil {
		o.config(&config)
	}
	r.proxy = proxy.New(config)
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	commit, _, err := r.proxy.Prepare([]triage.Listener{{Name: "web", Listen: o.listen, Protocol: triage.HTTP, Default: triage.Action{Forward: "app"}}})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	r.addr = r.proxy.Addr("web").String()

	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.proxy.Run(ctx); err != nil {
			t.Errorf("proxy's Run: %v", err)
		}
	})
	done.Go(func() {
		if err := r.table.Run(ctx); err != nil {
			t.Errorf("table's Run: %v", err)
		}
	})
	r.stop = sync.OnceFunc(func() {
		cancel()
		done.Wait()
	})
	t.Cleanup(r.stop)
	return r
}

// roster is a group that fails open, so that no test needs checks.
func roster(edit func(*triage.Roster), targets ...string) triage.Roster {
	g := triage.DefaultGroup()
	g.Name = "app"
	r := triage.Roster{Group: g, Routed: true}
	for _, target := range targets {
		addr := netip.MustParseAddrPort(strings.TrimPrefix(target, "http://"))
		key := triage.Key{Group: "app", Target: triage.TargetID(addr.String()), Address: addr}
		r.Members = append(r.Members, triage.Member{Key: key, Weight: 1})
	}
	if edit != nil {
		edit(&r)
	}
	return r
}

func (r *rig) suspected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.suspects)
}

// client returns an HTTP client with connections of its own.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// get asks the rig and returns the status and the body.
func (r *rig) get(c *http.Client, path string) (int, string) {
	r.t.Helper()
	resp, err := c.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// dial opens a raw connection to the rig.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// say sends bytes over a new connection and returns all that comes back until it is closed.
func (r *rig) say(request string) string {
	r.t.Helper()
	c := r.dial()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil && len(answer) == 0 {
		r.t.Fatalf("after %q: %v", request, err)
	}
	return string(answer)
}

// target is a server of net/http.
func target(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// rawTarget accepts connections and plays f on each, numbered from 0.
func rawTarget(t testing.TB, f func(n int, c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			conns.Go(func() {
				defer c.Close()
				f(n, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// nobody is an address that refuses connections.
func nobody(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// readHead reads a head up to its empty line, as it came.
func readHead(r *bufio.Reader) (string, error) {
	head := ""
	for {
		line, err := r.ReadString('\n')
		head += line
		if err != nil || line == "\r\n" {
			return head, err
		}
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func name(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func TestWeights(t *testing.T) {
	a, b := target(t, name("a")), target(t, name("b"))
	r := start(t, options{group: func(r *triage.Roster) { r.Members[0].Weight = 3 }}, a, b)
	got := map[string]int{}
	c := client(t)
	for range 40 {
		_, body := r.get(c, "/")
		got[body]++
	}
	if got["a"] != 30 || got["b"] != 10 {
		t.Errorf("weights 3 and 1 gave %v", got)
	}
	for _, s := range r.table.Snapshot("app") {
		if s.InFlight != 0 {
			t.Errorf("%v: %d in flight at rest", s.Key, s.InFlight)
		}
	}
}

func TestRefusedGoesToAnother(t *testing.T) {
	r := start(t, options{}, nobody(t), nobody(t), target(t, name("alive")))
	c := client(t)
	for range 9 {
		resp, err := c.Post("http://"+r.addr, "text/plain", strings.NewReader("the body goes there whole"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || string(body) != "alive" {
			t.Fatalf("%d %q", resp.StatusCode, body)
		}
	}
	if r.suspected() == 0 {
		t.Error("nobody was suspected")
	}
}

func TestOurOwnAnswers(t *testing.T) {
	garbage := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
	})
	closes := rawTarget(t, func(_ int, c net.Conn) { _, _ = readHead(bufio.NewReader(c)) })
	hangs := rawTarget(t, func(_ int, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	huge := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 70<<10)+"\r\n\r\n")
	})
	switches := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	})
	endless := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 60000)+"\r\n\r\n"); err != nil {
				return
			}
		}
	})
	short := func(r *triage.Roster) { r.ResponseTimeout = 300 * time.Millisecond }
	tests := []struct {
		name      string
		target    string
		group     func(*triage.Roster)
		status    int
		sentence  string
		suspicion bool
	}{
		{"refused", nobody(t), nil, 502, "no connection to a target could be made", true},
		{"not HTTP", garbage, nil, 502, "the target's answer is not valid HTTP", true},
		{"closed", closes, nil, 502, "the target closed the connection without an answer", true},
		{"silent", hangs, short, 504, "the target did not answer in time", true},
		{"huge head", huge, nil, 502, "the target's answer is not valid HTTP", true},
		{"unasked switch", switches, nil, 502, "the target's answer is not valid HTTP", true},
		{"forbidden address", "169.254.169.254:80", nil, 502, "no connection to a target could be made", true},
		{"nobody healthy", closes, func(r *triage.Roster) { r.NoneHealthy = triage.Answer503 }, 503, "no target is healthy", false},
		{"nobody registered", closes, func(r *triage.Roster) { r.Members = nil }, 503, "no target is registered", false},
		{"no group", closes, func(r *triage.Roster) { r.Name = "other" }, 503, "there is no group to forward to", false},
		{"interim answers without end", endless, short, 504, "the target did not answer in time", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, options{group: tt.group}, tt.target)
			if tt.name == "interim answers without end" {
				c := r.dial()
				_, _ = io.WriteString(c, "GET / HTTP/1.0\r\nHost: h\r\n\r\n")
				answer, _ := io.ReadAll(c)
				if !strings.HasPrefix(string(answer), "HTTP/1.0 504") {
					t.Fatalf("%.80q", answer)
				}
				return
			}
			status, body := r.get(client(t), "/")
			if want := "triage: " + tt.sentence + " (group app)\n"; status != tt.status || body != want {
				t.Errorf("got  %d %q\nwant %d %q", status, body, tt.status, want)
			}
			if (r.suspected() > 0) != tt.suspicion {
				t.Errorf("suspected %d times, want any: %t", r.suspected(), tt.suspicion)
			}
		})
	}
}

// TestKeptConnectionThatDied: a target that closes idle connections, even at the moment of the next request,
// must never make a GET fail.
func TestKeptConnectionThatDied(t *testing.T) {
	t.Run("closed on the second request", func(t *testing.T) {
		requests := make(chan string, 10)
		addr := rawTarget(t, func(_ int, c net.Conn) {
			br := bufio.NewReader(c)
			for i := range 2 {
				head, err := readHead(br)
				if err != nil {
					return
				}
				requests <- head[:strings.IndexByte(head, ' ')]
				if i == 0 {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			}
		})
		r := start(t, options{}, addr)
		c := client(t)
		for range 3 {
			if status, body := r.get(c, "/"); status != 200 || body != "ok" {
				t.Fatalf("%d %q", status, body)
			}
		}
		if n := r.suspected(); n != 0 {
			t.Errorf("a target was suspected %d times for closing an idle connection", n)
		}
		// The POST's bytes went out: the target may have acted on it, so it is not sent again.
		for len(requests) > 0 {
			<-requests
		}
		resp, err := c.Post("http://"+r.addr, "text/plain", strings.NewReader("pay"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 502 {
			t.Errorf("POST on a dead connection: %d, want 502", resp.StatusCode)
		}
		if len(requests) != 1 || <-requests != "POST" {
			t.Errorf("the POST did not go out exactly once")
		}
	})
	t.Run("server with a short idle time", func(t *testing.T) {
		s := httptest.NewUnstartedServer(name("ok"))
		s.Config.IdleTimeout = 2 * time.Millisecond
		s.Start()
		t.Cleanup(s.Close)
		r := start(t, options{}, s.Listener.Addr().String())
		c := client(t)
		for i := range 100 {
			if status, body := r.get(c, "/"); status != 200 || body != "ok" {
				t.Fatalf("request %d: %d %q", i, status, body)
			}
			time.Sleep(time.Duration(i%5) * time.Millisecond) // around the moment when the target closes
		}
	})
}

// TestConnectionsAreKeptAndClosed: connections to a target are used again, and closed when they idle.
func TestConnectionsAreKeptAndClosed(t *testing.T) {
	var opened, closed atomic.Int64
	s := httptest.NewUnstartedServer(name("ok"))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	r := start(t, options{}, s.Listener.Addr().String())
	c := client(t)
	for range 10 {
		r.get(c, "/")
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("10 requests in a row took %d connections", n)
	}
	proxy.SweepIdle(r.proxy, time.Now().Add(-time.Minute))
	r.get(c, "/")
	if n := opened.Load(); n != 1 {
		t.Error("a connection was closed that had not idled")
	}
	proxy.SweepIdle(r.proxy, time.Now())
	eventually(t, "the idle connection is closed", func() bool { return closed.Load() == 1 })
	r.get(c, "/")
	r.table.Publish(nil)
	eventually(t, "the removed target's connection is closed", func() bool { return closed.Load() == 2 })
}

// TestKeptConnectionsAreBounded: with more targets than descriptors, one kept for each would leave none for clients.
func TestKeptConnectionsAreBounded(t *testing.T) {
	const targets, most = 20, 3
	var open atomic.Int64
	addresses := make([]string, targets)
	for i := range addresses {
		s := httptest.NewUnstartedServer(name("ok"))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		addresses[i] = s.Listener.Addr().String()
	}
	r := start(t, options{config: func(c *proxy.Config) { c.MaxIdle = most }}, addresses...)
	c := client(t)
	visit := func() {
		for range 2 * targets {
			r.get(c, "/")
		}
	}
	visit()
	eventually(t, "no more are kept than allowed", func() bool { return open.Load() == most })
	proxy.SweepIdle(r.proxy, time.Now())
	eventually(t, "all are closed", func() bool { return open.Load() == 0 })
	visit()
	eventually(t, "there is room again", func() bool { return open.Load() == most })
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"))
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	r := start(t, options{listen: "[::1]:0"}, l.Addr().String())
	if status, body := r.get(client(t), "/"); status != 200 || body != "::1" {
		t.Errorf("%d %q", status, body)
	}
}

func TestRemovedTarget(t *testing.T) {
	arrived, let := make(chan bool), make(chan bool)
	slow := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- true
			<-let
		}
		fmt.Fprint(w, "old")
	})
	r := start(t, options{}, slow)
	c := client(t)
	answer := make(chan string, 1)
	go func() {
		_, body := r.get(c, "/slow")
		answer <- body
	}()
	<-arrived
	r.table.Publish([]triage.Roster{roster(nil, target(t, name("new")))})
	for range 5 {
		if _, body := r.get(c, "/"); body != "new" {
			t.Fatalf("a removed target answered: %q", body)
		}
	}
	if all := r.table.Snapshot("app"); len(all) != 2 || all[1].State != triage.Draining || all[1].InFlight != 1 {
		t.Errorf("snapshot while it drains: %+v", all)
	}
	close(let)
	if body := <-answer; body != "old" {
		t.Errorf("the running request got %q", body)
	}
	eventually(t, "the drained target leaves", func() bool { return len(r.table.Snapshot("app")) == 1 })
}

// TestRemovedTargetOutOfTime: what still runs when the deregistration delay is over is cut off.
func TestRemovedTargetOutOfTime(t *testing.T) {
	arrived := make(chan bool)
	stuck := target(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
	})
	short := func(r *triage.Roster) { r.DeregistrationDelay = 50 * time.Millisecond }
	r := start(t, options{group: short}, stuck)
	status := make(chan int, 1)
	go func() {
		s, _ := r.get(client(t), "/")
		status <- s
	}()
	<-arrived
	empty := roster(short)
	r.table.Publish([]triage.Roster{empty})
	if s := <-status; s != 502 {
		t.Errorf("got %d, want 502", s)
	}
}

func TestDrainedTargetFinishes(t *testing.T) {
	arrived, let := make(chan bool), make(chan bool)
	slow := target(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-let
		fmt.Fprint(w, "finished")
	})
	r := start(t, options{}, slow)
	answer := make(chan string, 1)
	go func() {
		_, body := r.get(client(t), "/")
		answer <- body
	}()
	<-arrived
	r.table.Publish([]triage.Roster{roster(func(r *triage.Roster) { r.Members[0].Person = triage.PersonDrained }, slow)})
	if status, _ := r.get(client(t), "/"); status != 503 {
		t.Errorf("a new request got %d, want 503", status)
	}
	close(let)
	if body := <-answer; body != "finished" {
		t.Errorf("the running request got %q", body)
	}
}
