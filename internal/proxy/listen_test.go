package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/balance"
	"github.com/triage-lb/triage/internal/proxy"
)

func listener(name, address, group string) triage.Listener {
	return triage.Listener{
		Name: triage.ListenerName(name), Listen: address, Protocol: triage.HTTP,
		Default: triage.Action{Forward: triage.GroupName(group)},
	}
}

func (r *rig) reload(listeners ...triage.Listener) {
	r.t.Helper()
	commit, _, err := r.proxy.Prepare(listeners)
	if err != nil {
		r.t.Fatal(err)
	}
	commit()
}

// TestReloadUnderLoad changes groups, listeners and targets while clients ask: no request may fail.
func TestReloadUnderLoad(t *testing.T) {
	r := start(t, options{}, target(t, name("a")))
	other := roster(nil, target(t, name("b")))
	other.Name = "other"
	other.Members[0].Key.Group = "other"
	app := roster(nil, target(t, name("a")), target(t, name("a")))

	load := r.load(client(t), client(t), client(t), client(t))
	for i := range 30 {
		load.await(3)
		some := app
		some.Members = app.Members[i%2 : i%2+1]
		r.table.Publish([]triage.Roster{some, other})
		group := []string{"app", "other"}[i%2]
		extra := listener("extra", nobody(t), group)
		r.reload(listener(fmt.Sprint("web", i), "127.0.0.1:0", group), extra)
		r.reload(listener("web", "127.0.0.1:0", group))
	}
	load.stop()
}

// TestGroupReplacedUnderLoad replaces the group that requests go to by another one, again and again.
func TestGroupReplacedUnderLoad(t *testing.T) {
	r := start(t, options{}, target(t, name("a")))
	groups := []triage.Roster{roster(nil, target(t, name("a"))), roster(nil, target(t, name("b")))}
	groups[1].Name = "other"
	groups[1].Members[0].Key.Group = "other"
	load := r.load(client(t), client(t), client(t), client(t))
	for i := range 60 {
		load.await(3)
		next := groups[(i+1)%2]
		r.table.Publish(groups)
		r.reload(listener("web", "127.0.0.1:0", string(next.Name)))
		r.table.Publish([]triage.Roster{next})
	}
	load.stop()
}

// load is clients that ask without a pause, and none of whose requests may fail.
type load struct {
	t       *testing.T
	ended   atomic.Bool
	asked   atomic.Int64
	clients sync.WaitGroup
}

func (r *rig) load(clients ...*http.Client) *load {
	l := &load{t: r.t}
	for _, c := range clients {
		l.clients.Go(func() {
			for !l.ended.Load() && l.ask(c, "http://"+r.addr) {
				l.asked.Add(1)
			}
		})
	}
	r.t.Cleanup(l.stop)
	return l
}

func (l *load) ask(c *http.Client, url string) bool {
	resp, err := c.Get(url)
	if err != nil {
		l.t.Errorf("request %d: %v", l.asked.Load(), err)
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(body) != "a" && string(body) != "b" {
		l.t.Errorf("request %d: %d %q %v", l.asked.Load(), resp.StatusCode, body, err)
		return false
	}
	return true
}

// await waits until more than n further requests are answered.
func (l *load) await(n int64) {
	l.t.Helper()
	seen := l.asked.Load()
	eventually(l.t, "some requests", func() bool { return l.asked.Load() > seen+n || l.t.Failed() })
}

func (l *load) stop() {
	l.ended.Store(true)
	l.clients.Wait()
}

func TestChangedForwardHoldsForTheNextRequest(t *testing.T) {
	r := start(t, options{}, target(t, name("a")))
	other := roster(nil, target(t, name("b")))
	other.Name = "other"
	r.table.Publish([]triage.Roster{roster(nil, target(t, name("a"))), other})
	c := r.dial()
	br := bufio.NewReader(c)
	for _, group := range []string{"app", "other", "app"} {
		r.reload(listener("web", "127.0.0.1:0", group))
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("the connection did not outlive the reload: %v", err)
		}
		body, _ := io.ReadAll(resp.Body)
		if want := map[string]string{"app": "a", "other": "b"}[group]; string(body) != want {
			t.Errorf("forward to %s answered %q", group, body)
		}
	}
}

func TestRemovedListenerFinishes(t *testing.T) {
	arrived, let := make(chan bool), make(chan bool)
	r := start(t, options{}, target(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-let
		fmt.Fprint(w, "finished")
	}))
	c := r.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	r.reload()
	eventually(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(let)
	answer, err := io.ReadAll(c) // ends because the connection is closed after it
	if err != nil || !strings.HasSuffix(string(answer), "finished") || !strings.Contains(string(answer), "Connection: close") {
		t.Errorf("%q %v", answer, err)
	}
}

func TestGracefulStop(t *testing.T) {
	arrived, let := make(chan bool), make(chan bool)
	r := start(t, options{}, target(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- true
		<-let
		fmt.Fprint(w, "finished")
	}))
	c := r.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	stopped := make(chan bool)
	go func() {
		r.stop()
		close(stopped)
	}()
	eventually(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	select {
	case <-stopped:
		t.Error("stopped with a request running")
	default:
	}
	close(let)
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(answer), "finished") {
		t.Errorf("%q %v", answer, err)
	}
	<-stopped
}

// TestStopDoesNotWaitForEver: a request that does not end is cut off when the time is over.
func TestStopDoesNotWaitForEver(t *testing.T) {
	arrived := make(chan bool)
	r := start(t, options{config: func(c *proxy.Config) { c.ShutdownTimeout = 50 * time.Millisecond }},
		target(t, func(_ http.ResponseWriter, r *http.Request) {
			arrived <- true
			<-r.Context().Done()
		}))
	c := r.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	r.stop()
	if answer, err := io.ReadAll(c); err == nil && strings.Contains(string(answer), "200") {
		t.Errorf("%q", answer)
	}
}

// TestWaitsUntilReady: connections that come early are served late, not refused.
func TestWaitsUntilReady(t *testing.T) {
	ready := make(chan struct{})
	r := start(t, options{config: func(c *proxy.Config) { c.Ready = ready }}, target(t, name("ok")))
	c := r.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("answered before it was ready")
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	close(ready)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("%q %v", line, err)
	}
}

func TestStopBeforeReady(t *testing.T) {
	r := start(t, options{config: func(c *proxy.Config) { c.Ready = make(chan struct{}) }}, nobody(t))
	r.stop()
	if c, err := net.Dial("tcp", r.addr); err == nil {
		c.Close()
		t.Error("the listener is still open")
	}
}

func TestBindErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := taken.Addr().String()
	_, port, _ := net.SplitHostPort(inUse)
	free := nobody(t)
	p := proxy.New(proxy.Config{Table: balance.New()})
	tests := []struct {
		address, message, hint string
		kind                   triage.Kind
	}{
		{inUse, `listener "bad" cannot listen on ` + inUse + `: the port is in use`, "ss -ltnp 'sport = :" + port + "'", triage.KindConflict},
		{"192.0.2.1:8080", `listener "bad" cannot listen on 192.0.2.1:8080: this machine does not have the address 192.0.2.1`, "ip -brief address", triage.KindInvalid},
	}
	for _, tt := range tests {
		_, _, err := p.Prepare([]triage.Listener{listener("good", free, "app"), listener("bad", tt.address, "app")})
		if err == nil || err.Error() != tt.message || !strings.Contains(triage.HintOf(err), tt.hint) || triage.KindOf(err) != tt.kind {
			t.Errorf("%s: %v (kind %s, hint %q)", tt.address, err, triage.KindOf(err), triage.HintOf(err))
		}
		// Nothing is half bound.
		l, err := net.Listen("tcp", free)
		if err != nil {
			t.Fatalf("the good listener was left bound: %v", err)
		}
		l.Close()
	}
}

func TestOwnListenerInTheWay(t *testing.T) {
	own := nobody(t)
	_, port, _ := net.SplitHostPort(own)
	r := start(t, options{listen: own}, nobody(t))
	_, _, err := r.proxy.Prepare([]triage.Listener{listener("web", "0.0.0.0:"+port, "app")})
	if want := "triage itself listens on " + own; err == nil || !strings.HasPrefix(triage.HintOf(err), want) {
		t.Errorf("%v, hint %q", err, triage.HintOf(err))
	}
}

// TestNoPermission makes up its error: tests often run as root, who may do everything.
func TestNoPermission(t *testing.T) {
	err := proxy.ExplainBind(listener("web", ":80", "app"), os.NewSyscallError("bind", syscall.EACCES))
	if err.Error() != `listener "web" cannot listen on :80: no permission for port 80` || triage.KindOf(err) != triage.KindDenied ||
		!strings.Contains(triage.HintOf(err), "setcap cap_net_bind_service=+ep") {
		t.Errorf("%v, hint %q", err, triage.HintOf(err))
	}
	err = proxy.ExplainBind(listener("", ":80", "app"), os.NewSyscallError("bind", syscall.EACCES))
	if err.Error() != "cannot listen on :80: no permission for port 80" {
		t.Errorf("without a name: %v", err)
	}
}

func TestAbortChangesNothing(t *testing.T) {
	r := start(t, options{}, target(t, name("ok")))
	free := nobody(t)
	_, abort, err := r.proxy.Prepare([]triage.Listener{listener("new", free, "app")})
	if err != nil {
		t.Fatal(err)
	}
	abort()
	if status, body := r.get(client(t), "/"); status != 200 || body != "ok" {
		t.Errorf("%d %q", status, body)
	}
	if l, err := net.Listen("tcp", free); err != nil {
		t.Errorf("abort left the address bound: %v", err)
	} else {
		l.Close()
	}
}

// TestWildcardsOfBothFamilies: "0.0.0.0:p" and "[::]:p" are two listeners.
func TestWildcardsOfBothFamilies(t *testing.T) {
	_, port, _ := net.SplitHostPort(nobody(t))
	p := proxy.New(proxy.Config{Table: balance.New()})
	_, abort, err := p.Prepare([]triage.Listener{listener("four", "0.0.0.0:"+port, "app"), listener("six", "[::]:"+port, "app")})
	if err != nil {
		t.Fatal(err)
	}
	abort()
}

func TestWrapAnswersItself(t *testing.T) {
	wrap := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/own" {
				http.Error(w, "own", http.StatusTeapot)
				return
			}
			w.Header().Set("X-Wrapped", "yes")
			next.ServeHTTP(w, r)
		})
	}
	r := start(t, options{config: func(c *proxy.Config) { c.Wrap = wrap }}, target(t, name("ok")))
	c := client(t)
	if status, _ := r.get(c, "/own"); status != http.StatusTeapot {
		t.Errorf("own answer: %d", status)
	}
	resp, err := c.Get("http://" + r.addr)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("X-Wrapped") != "yes" || resp.StatusCode != 200 {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestRunEndsWhenAcceptFails(t *testing.T) {
	table := balance.New()
	p := proxy.New(proxy.Config{Table: table})
	commit, _, err := p.Prepare([]triage.Listener{listener("web", "127.0.0.1:0", "app")})
	if err != nil {
		t.Fatal(err)
	}
	commit()
	proxy.CloseSocket(p, "web")
	if err := p.Run(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "accept on 127.0.0.1:0: ") {
		t.Errorf("Run returned %v", err)
	}
}
