package engine

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// keeper is a server that says of each connection's n-th request, from 0, what to answer and whether to end the
// connection after it.
type keeper struct {
	address     netip.AddrPort
	connections atomic.Int32
	requests    atomic.Int32
	open        atomic.Int32
}

func newKeeper(t *testing.T, answer func(connection, n int32) (say string, end bool)) *keeper {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{address: netip.MustParseAddrPort(l.Addr().String())}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connection := k.connections.Add(1) - 1
			k.open.Add(1)
			all.Go(func() {
				defer k.open.Add(-1)
				defer c.Close()
				in := bufio.NewReader(c)
				for n := int32(0); ; n++ {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					k.requests.Add(1)
					say, end := answer(connection, n)
					fmt.Fprint(c, say)
					if end {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return k
}

const (
	answerOK  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	answer500 = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
)

func reusing() triage.HealthCheck {
	c := fastCheck()
	c.ReuseConnection = true
	return c
}

// TestConnectionIsKept: one connection serves all checks, and goes when the target does, or its question changes.
func TestConnectionIsKept(t *testing.T) {
	k := newKeeper(t, func(int32, int32) (string, bool) { return answerOK, false })
	e, _ := start(t, Config{})
	c := reusing()
	e.Set([]triage.Roster{roster(c, k.address)})
	eventually(t, "five checks", func() bool { return k.requests.Load() >= 5 })
	if n := k.connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	eventually(t, "it is counted", func() bool { return e.Stats().Connections == 1 })
	c.Path = "/other"
	e.Set([]triage.Roster{roster(c, k.address)})
	eventually(t, "another question, another connection", func() bool { return k.connections.Load() == 2 && k.open.Load() == 1 })
	c.ReuseConnection = false
	e.Set([]triage.Roster{roster(c, k.address)})
	eventually(t, "a connection for each check", func() bool { return k.connections.Load() > 5 })
	c.ReuseConnection = true
	e.Set([]triage.Roster{roster(c, k.address)})
	eventually(t, "kept again", func() bool { return e.Stats().Connections == 1 })
	e.Set(nil)
	eventually(t, "all are closed", func() bool { return k.open.Load() == 0 && e.Stats().Connections == 0 })
}

// TestIdleConnectionMayEnd: a server that ends connections while nobody uses them, or just as a request arrives, is
// well. It is asked again on a new connection, and nothing is counted against it.
func TestIdleConnectionMayEnd(t *testing.T) {
	for name, answer := range map[string]func(connection, n int32) (string, bool){
		"after the answer": func(int32, int32) (string, bool) { return answerOK, true },
		"as it is asked":   func(_, n int32) (string, bool) { return map[bool]string{true: answerOK}[n == 0], n == 1 },
		"it says so before": func(int32, int32) (string, bool) {
			return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false
		},
		"HTTP/1.0":          func(int32, int32) (string, bool) { return "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false },
		"something follows": func(int32, int32) (string, bool) { return answerOK + "HTTP/1.1 500 Oh\r\n", false },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, answer)
			e, seen := start(t, Config{})
			e.Set([]triage.Roster{roster(reusing(), k.address)})
			eventually(t, "six checks", func() bool { return e.Snapshot("app")[0].Checks >= 6 })
			for _, tr := range seen.list() {
				if tr.To.State != triage.Healthy {
					t.Errorf("%s: %s", tr.To.State, tr.To.Outcome)
				}
			}
			if s := e.Snapshot("app")[0]; s.Health.Streak != 0 || k.connections.Load() < 5 {
				t.Errorf("streak %d, %d connections", s.Health.Streak, k.connections.Load())
			}
		})
	}
}

// TestDeadOnANewConnectionCounts: the second try is the last one.
func TestDeadOnANewConnectionCounts(t *testing.T) {
	k := newKeeper(t, func(connection, n int32) (string, bool) {
		if connection == 0 && n == 0 {
			return answerOK, false
		}
		return "", true
	})
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(reusing(), k.address)})
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	if h := e.Snapshot("app")[0].Health; h.Outcome != triage.ClosedBeforeAnswer {
		t.Errorf("%s", h.Outcome)
	}
}

// TestFailureIsAskedAgainOnANewConnection: what is wrong with one connection takes no target out.
func TestFailureIsAskedAgainOnANewConnection(t *testing.T) {
	k := newKeeper(t, func(connection, n int32) (string, bool) {
		if n > 0 {
			return answer500, false // this worker of the server is broken
		}
		return answerOK, false
	})
	e, seen := start(t, Config{})
	e.Set([]triage.Roster{roster(reusing(), k.address)})
	eventually(t, "three connections", func() bool { return k.connections.Load() >= 3 })
	for _, tr := range seen.list() {
		if tr.To.State != triage.Healthy {
			t.Errorf("%s: %s", tr.To.State, tr.To.Outcome)
		}
	}
}

// TestEncryptedConnectionIsKept: one handshake serves all checks.
func TestEncryptedConnectionIsKept(t *testing.T) {
	var connections, requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	c := reusing()
	c.Protocol = triage.HTTPS
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(c, netip.MustParseAddrPort(server.Listener.Addr().String()))})
	eventually(t, "five checks", func() bool { return requests.Load() >= 5 })
	if n := connections.Load(); n != 1 || !stateIs(e, triage.Healthy)() {
		t.Errorf("%d connections", n)
	}
	server.CloseClientConnections()
	eventually(t, "five more", func() bool { return requests.Load() >= 10 })
	if s := e.Snapshot("app")[0]; s.Health.State != triage.Healthy || connections.Load() != 2 {
		t.Errorf("%s, %d connections", s.Health.State, connections.Load())
	}
}

// TestEncryptedServerTiredOfWaiting: over TLS as well, a 408 on a kept connection is about the time before the question.
func TestEncryptedServerTiredOfWaiting(t *testing.T) {
	type nth struct{}
	var again atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(nth{}).(*atomic.Int32).Add(1) > 1 {
			again.Add(1)
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, nth{}, new(atomic.Int32))
	}
	server.StartTLS()
	defer server.Close()
	c := reusing()
	c.Protocol = triage.HTTPS
	e, seen := start(t, Config{})
	e.Set([]triage.Roster{roster(c, netip.MustParseAddrPort(server.Listener.Addr().String()))})
	eventually(t, "three were asked again", func() bool { return again.Load() >= 3 })
	for _, tr := range seen.list() {
		if tr.To.State != triage.Healthy {
			t.Errorf("%s: %s %d", tr.To.State, tr.To.Outcome, tr.To.Status)
		}
	}
}

// TestKeptConnectionsLeaveRoom: those who keep connections must not take all descriptors from those who have none.
func TestKeptConnectionsLeaveRoom(t *testing.T) {
	k := newKeeper(t, func(int32, int32) (string, bool) { return answerOK, false })
	e, _ := start(t, Config{MaxInFlight: 8, Shards: 1})
	e.Set([]triage.Roster{many(reusing(), k.address, 50)})
	eventually(t, "each was asked twice", func() bool {
		for _, s := range e.Snapshot("app") {
			if s.Checks < 2 {
				return false
			}
		}
		return true
	})
	if n := e.Stats().Connections; n == 0 || n > 6 {
		t.Errorf("%d connections are kept, want 6 at most", n)
	}
}

// TestHandshakesThatHangHoldUpNobodyElse: checks over TLS have a room of their own.
func TestHandshakesThatHangHoldUpNobodyElse(t *testing.T) {
	hanging := newSilent(t)
	well := newSick(t, 200, 0)
	tls, plain := fastCheck(), fastCheck()
	tls.Protocol, tls.Timeout = triage.TLS, time.Hour
	a, b := many(tls, hanging.address, 20), many(plain, well.address(), 1)
	a.Name = "tls"
	for i := range a.Members {
		a.Members[i].Key.Group = "tls"
	}
	e, _ := start(t, Config{MaxEncrypted: 2, Shards: 1})
	e.Set([]triage.Roster{a, b})
	eventually(t, "the one in plain text is asked again and again", func() bool { return well.requests.Load() > 3 })
	if n := hanging.accepted.Load(); n != 2 {
		t.Errorf("%d handshakes at once", n)
	}
	if stats := e.Stats(); stats.Waiting != 18 || stats.InFlight < 2 {
		t.Errorf("%d wait, %d under way", stats.Waiting, stats.InFlight)
	}
}

// TestTooManyToCarryAreNotEjected: where more hangs than there is room for, a time-out says nothing.
func TestTooManyToCarryAreNotEjected(t *testing.T) {
	server := newSilent(t)
	c := fastCheck()
	c.Interval, c.Timeout, c.Thresholds.Unhealthy = 100*time.Millisecond, 90*time.Millisecond, 2
	e, seen := start(t, Config{MaxInFlight: 2, Shards: 1})
	r := many(c, server.address, 40)
	e.Set([]triage.Roster{r})
	eventually(t, "most were late", func() bool {
		late := 0
		for _, s := range e.Snapshot("app") {
			if s.Last.Outcome == triage.CheckerLate {
				late++
			}
		}
		return late > 30
	})
	unhealthy := 0
	for _, tr := range seen.list() {
		if tr.To.State == triage.Unhealthy && tr.Source == triage.FromCheck {
			unhealthy++
		}
	}
	if unhealthy > 2 { // the first two began in time
		t.Errorf("%d were ejected", unhealthy)
	}
}

// TestEvidenceIsBounded: in a mass failure a hundred exchanges of an outcome say it all.
func TestEvidenceIsBounded(t *testing.T) {
	l := parkedShard()
	l.take(many(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1"), 300))
	shown := func(now moment) (n int) {
		l.batch = nil
		for _, s := range l.order {
			s.health = triage.Health{}
			l.observe(s, &triage.Exchange{Outcome: triage.Refused}, now)
		}
		for _, tr := range l.batch {
			if tr.Evidence != nil {
				n++
			}
		}
		return n
	}
	for i, want := range []int{maxEvidence, 0} {
		if got := shown(10 * time.Second); got != want {
			t.Errorf("round %d: %d of 300 failures have evidence, want %d", i, got, want)
		}
	}
	if got := shown(70 * time.Second); got != maxEvidence {
		t.Errorf("a minute later: %d", got)
	}
}

// TestStats: what was counted is there, by group and outcome.
func TestStats(t *testing.T) {
	well := newSick(t, 200, 0)
	e, _ := start(t, Config{Shards: 2})
	r := many(fastCheck(), well.address(), 4)
	r.Members = append(r.Members, roster(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1")).Members...)
	e.Set([]triage.Roster{r})
	eventually(t, "two rounds", func() bool {
		o := e.Stats().Groups[0].Outcomes
		return o[triage.Refused] >= 2 && o[triage.Matched] >= 8
	})
	stats := e.Stats()
	g := stats.Groups[0]
	var took, ended, lag uint64
	for _, n := range g.Took.Counts {
		took += n
	}
	for _, n := range g.Outcomes {
		ended += n
	}
	for _, n := range stats.Lag.Counts {
		lag += n
	}
	if g.Group != "app" || g.Outcomes[triage.Matched] < 8 || took != ended || lag < ended || g.Took.Sum <= 0 {
		t.Errorf("%d took, %d ended, %d started: %+v", took, ended, lag, g)
	}
	if stats.MaxInFlight != defaultMaxInFlight {
		t.Errorf("room for %d", stats.MaxInFlight)
	}
	e.Set([]triage.Roster{r})
	if again := e.Stats().Groups[0].Outcomes[triage.Matched]; again < g.Outcomes[triage.Matched] {
		t.Errorf("a reload forgot what was counted: %d after %d", again, g.Outcomes[triage.Matched])
	}
}
