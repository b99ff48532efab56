package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// named is a roster of n targets behind one address, in a group of this name.
func named(name triage.GroupName, c triage.HealthCheck, address netip.AddrPort, n int) triage.Roster {
	r := many(c, address, n)
	r.Name = name
	for i := range r.Members {
		r.Members[i].Key.Group = name
	}
	return r
}

var nowhere = netip.MustParseAddrPort("127.0.0.1:1")

// TestPlainDoesNotStarveEncrypted: where more hang than there is room for, the lines are served in turns.
func TestPlainDoesNotStarveEncrypted(t *testing.T) {
	hanging := newSilent(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	plain, encrypted := fastCheck(), fastCheck()
	encrypted.Protocol = triage.HTTPS
	a, b := many(plain, hanging.address, 100), named("tls", encrypted, netip.MustParseAddrPort(server.Listener.Addr().String()), 1)
	e, _ := start(t, Config{MaxInFlight: 4, Shards: 1})
	e.Set([]triage.Roster{a})
	eventually(t, "most wait", func() bool { return e.Stats().Waiting > 50 })
	e.Set([]triage.Roster{a, b})
	eventually(t, "the encrypted one is asked", func() bool { return e.Snapshot("tls")[0].Checks > 0 })
}

// TestKeptConnectionNeedsNoRoom: who has a connection already does not wait behind those who have none.
func TestKeptConnectionNeedsNoRoom(t *testing.T) {
	k := newKeeper(t, func(int32, int32) (string, bool) { return answerOK, false })
	hanging := newSilent(t)
	hang := fastCheck()
	hang.Timeout, hang.Interval = time.Hour, 2*time.Hour
	e, _ := start(t, Config{Shards: 1, MaxInFlight: 8})
	well, ill := roster(reusing(), k.address), named("ill", hang, hanging.address, 60)
	e.Set([]triage.Roster{well})
	eventually(t, "kept", func() bool { return k.requests.Load() >= 3 })
	e.Set([]triage.Roster{well, ill})
	eventually(t, "the room is full", func() bool { return e.Stats().Waiting > 50 })
	asked := k.requests.Load()
	eventually(t, "the kept one is asked again and again", func() bool { return k.requests.Load() > asked+3 })
}

// TestHangingHandshakesLeaveHalfOfASmallRoom: however few descriptors there are, checks in plain text have some.
func TestHangingHandshakesLeaveHalfOfASmallRoom(t *testing.T) {
	hanging := newSilent(t)
	well := newSick(t, 200, 0)
	encrypted := fastCheck()
	encrypted.Protocol, encrypted.Timeout = triage.TLS, time.Hour
	a, b := named("tls", encrypted, hanging.address, 100), many(fastCheck(), well.address(), 1)
	e, _ := start(t, Config{MaxInFlight: 40, Shards: 1})
	e.Set([]triage.Roster{a})
	eventually(t, "the handshakes have all they get", func() bool { return e.Stats().InFlight == 20 && e.Stats().Waiting == 80 })
	e.Set([]triage.Roster{a, b})
	eventually(t, "the one in plain text is asked", func() bool { return well.requests.Load() > 0 })
}

// TestSettingsChangeInLine: a check whose protocol changes while it waits goes over to the other line.
func TestSettingsChangeInLine(t *testing.T) {
	l := New(Config{Shards: 1, MaxInFlight: 10, MaxEncrypted: 2}).shards[0]
	l.driver = parked{}
	plain := fastCheck()
	encrypted := plain
	encrypted.Protocol = triage.TLS
	hang, x, y, filler := named("hang", encrypted, nowhere, 2), named("x", plain, nowhere, 1), named("y", plain, nowhere, 1), named("filler", plain, nowhere, 8)
	l.take(hang, x, y, filler)
	line := func(name triage.GroupName) {
		for _, s := range l.groups[name].slots {
			l.wheel.Stop(&s.timer)
			l.room.wait(s)
		}
	}
	line("hang")
	line("filler")
	l.startDue(l.now())
	line("x")
	line("y")
	l.startDue(l.now())
	if l.room.inFlight != 10 || l.room.waiting != 2 {
		t.Fatalf("%d under way, %d wait", l.room.inFlight, l.room.waiting)
	}
	x.HealthCheck.Protocol = triage.TLS
	l.take(hang, x, y, filler)
	for _, s := range l.groups["filler"].slots {
		l.finish(result{slot: s, plan: s.plan(), exchange: &triage.Exchange{Outcome: triage.Matched}})
		l.wheel.Stop(&s.timer)
	}
	l.startDue(l.now())
	if !l.groups["y"].slots[0].flying() {
		t.Error("a check in plain text waits behind an encrypted one that has no room")
	}
}

// TestRoomAddsUp: whatever begins, ends, is kept, lost, edited and removed, the counts stay those of the slots, and nobody
// waits while there is room.
func TestRoomAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := New(Config{Shards: 1, MaxInFlight: 6, MaxEncrypted: 2}).shards[0]
		l.driver = parked{}
		checks := []triage.HealthCheck{fastCheck(), reusing(), reusing()}
		checks[2].Protocol = triage.HTTPS
		rosters := []triage.Roster{named("a", checks[0], nowhere, 6), named("b", checks[1], nowhere, 6), named("c", checks[2], nowhere, 6)}
		l.take(rosters...)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			s := l.order[rapid.IntRange(0, len(l.order)-1).Draw(t, "slot")]
			switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
			case what == 0:
				i := rapid.IntRange(0, 2).Draw(t, "group")
				rosters[i].HealthCheck = checks[rapid.IntRange(0, 2).Draw(t, "check")]
				l.take(rosters...)
			case what == 1 && s.flight != nil && !s.flying():
				l.lost(s)
			case s.flying():
				kept := l.finish(result{slot: s, plan: s.plan(), policy: s.group.policy, exchange: &triage.Exchange{Outcome: triage.Matched}, reusable: what > 2 && s.plan().Reuse})
				if kept != (s.flight != nil) {
					t.Fatal("finish says otherwise than the slot")
				}
				l.wheel.Stop(&s.timer)
			case s.line == notFlying:
				l.wheel.Stop(&s.timer)
				l.room.wait(s)
			}
			l.startDue(0)
			inFlight, encrypted, idle, idleEncrypted := 0, 0, 0, 0
			for _, s := range l.order {
				tls := s.group.check.Protocol.Encrypted()
				switch {
				case s.flying():
					inFlight++
					if s.takes == needHandshake {
						encrypted++
					}
				case s.flight != nil:
					idle++
					if tls {
						idleEncrypted++
					}
				}
			}
			r := &l.room
			if r.inFlight != inFlight || r.encrypted != encrypted || r.idle != idle || r.idleEncrypted != idleEncrypted {
				t.Fatalf("counted %d/%d under way, %d/%d idle; they are %d/%d, %d/%d", r.inFlight, r.encrypted, r.idle, r.idleEncrypted, inFlight, encrypted, idle, idleEncrypted)
			}
			if inFlight+idle > r.most || encrypted > r.mostEncrypted || idleEncrypted > r.mostEncrypted {
				t.Fatalf("%d under way and %d idle, %d handshakes, %d idle over TLS", inFlight, idle, encrypted, idleEncrypted)
			}
			for _, s := range l.order {
				if n := needOf(s); s.line != notFlying && (n == needNothing || inFlight+idle < r.most && (n == needRoom || encrypted < r.mostEncrypted)) {
					t.Fatal("one waits although there is room")
				}
			}
		}
	})
}

// TestBeatIsNotLateness: on a machine that is well no time-out is excused, however short it is.
func TestBeatIsNotLateness(t *testing.T) {
	for _, timeout := range []time.Duration{triage.MinTimeout, 30 * time.Millisecond, 80 * time.Millisecond} {
		c := fastCheck()
		c.Interval, c.Timeout = 100*time.Millisecond, timeout
		d := live(t, c, 20, 10*time.Second, func(*slot, uint32) (time.Duration, triage.Outcome) { return timeout, triage.ResponseTimeout })
		if o := d.shard.groups["app"].outcomes; o[triage.CheckerLate] > 0 || o[triage.ResponseTimeout] < 100 {
			t.Errorf("timeout %s: %d time-outs, %d excused", timeout, o[triage.ResponseTimeout], o[triage.CheckerLate])
		}
	}
}

// TestHandshakesAreOurOwnBound: where an outage of encrypted targets is larger than the room for handshakes, but not than
// that for checks, it is seen all the same.
func TestHandshakesAreOurOwnBound(t *testing.T) {
	c := fastCheck()
	c.Protocol, c.Interval, c.Timeout = triage.HTTPS, 5*time.Second, 2*time.Second
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Shards: 1, MaxInFlight: 10_000, MaxEncrypted: 100, OnTransitions: func([]triage.Transition) {}}).shards[0]
		d := &virtual{shard: l, starts: map[*slot][]moment{}, ends: map[*slot]moment{}}
		d.script = func(_ *slot, n uint32) (time.Duration, triage.Outcome) {
			if n < 4 {
				return 5 * time.Millisecond, triage.Matched
			}
			return c.Timeout, triage.TLSTimeout
		}
		l.driver = d
		l.take(many(c, nowhere, 500))
		for l.now() < 2*time.Minute {
			most := l.startDue(l.now())
			l.report()
			d.wait(min(most, 2*time.Minute-l.now()))
		}
		for _, s := range l.order {
			if s.health.State != triage.Unhealthy {
				t.Fatalf("%s is %s after two minutes of time-outs", s.member.Key, s.health.State)
			}
		}
	})
}

// TestKickForgetsNoLateness: who waits in line has been due since it came there.
func TestKickForgetsNoLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Shards: 1, MaxInFlight: 1}).shards[0]
		l.driver = parked{}
		time.Sleep(time.Hour)
		l.take(many(fastCheck(), nowhere, 2))
		time.Sleep(time.Second)
		l.startDue(l.now())
		first, second := l.order[0], l.order[1]
		if second.flying() {
			first, second = second, first
		}
		time.Sleep(10 * time.Second)
		l.kick(second.member.Key)
		l.finish(result{slot: first, plan: first.plan(), exchange: &triage.Exchange{Outcome: triage.Matched}})
		l.wheel.Stop(&first.timer)
		l.startDue(l.now())
		x := &triage.Exchange{Outcome: triage.ResponseTimeout}
		l.finish(result{slot: second, plan: second.plan(), exchange: x})
		if x.Outcome != triage.CheckerLate {
			t.Errorf("it began 10 s late, and its time-out counts: %s", x.Outcome)
		}
	})
}

// TestEditInLineIsNotEarly: an edit makes nobody due later than it was, so no start is early and no sum of lags shrinks.
func TestEditInLineIsNotEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Shards: 1, MaxInFlight: 1}).shards[0]
		l.driver = parked{}
		time.Sleep(time.Hour)
		r := many(fastCheck(), nowhere, 1000)
		l.take(r)
		time.Sleep(time.Second)
		l.startDue(l.now())
		r.HealthCheck.Path = "/new"
		l.take(r)
		before := l.lag.Sum
		l.room.most = 10_000
		for range 8 {
			l.startDue(l.now())
		}
		if l.lag.Sum < before+900*time.Second {
			t.Errorf("a thousand waited a second each, and their lags add up to %s", l.lag.Sum-before)
		}
	})
}

// TestPaceOfFirstChecksIsOfAllShards: 20,000 new targets are asked within two seconds, not two seconds for each shard.
func TestPaceOfFirstChecksIsOfAllShards(t *testing.T) {
	e := New(Config{Shards: 16})
	var last moment
	for i, p := range e.split([]triage.Roster{many(fastCheck(), nowhere, 20_000)}) {
		l := e.shards[i]
		l.driver = parked{}
		now := l.now()
		l.set(p)
		for _, s := range l.order {
			last = max(last, s.due-now)
		}
	}
	if last < 1900*time.Millisecond {
		t.Errorf("20,000 first checks within %s", last)
	}
}

// TestForbiddenAddressIsNotAskedAnyMore: not over a connection either that was made when it was allowed.
func TestForbiddenAddressIsNotAskedAnyMore(t *testing.T) {
	k := newKeeper(t, func(int32, int32) (string, bool) { return answerOK, false })
	e, _ := start(t, Config{})
	r := roster(reusing(), k.address)
	e.Set([]triage.Roster{r})
	eventually(t, "kept", func() bool { return k.requests.Load() >= 3 })
	r.Policy.Admin = k.address
	e.Set([]triage.Roster{r})
	eventually(t, "refused", func() bool { return e.Snapshot("app")[0].Last.Outcome == triage.AddressForbidden })
	asked := k.requests.Load()
	eventually(t, "unhealthy", stateIs(e, triage.Unhealthy))
	if now := k.requests.Load(); now != asked {
		t.Errorf("asked %d times more", now-asked)
	}
}

// TestAnswersBeforeTheDeadlineCount: however many wait to be read when the shard comes back from a stall.
func TestAnswersBeforeTheDeadlineCount(t *testing.T) {
	const n, timeout = 600, 3 * time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					mu.Lock()
					asked = append(asked, c)
					mu.Unlock()
				}
			})
		}
	})
	c := fastCheck()
	c.Interval, c.Timeout = time.Hour, timeout
	e, _ := start(t, Config{Shards: 1})
	begin := time.Now()
	e.Set([]triage.Roster{many(c, netip.MustParseAddrPort(l.Addr().String()), n)})
	eventually(t, "all are asked", func() bool { mu.Lock(); defer mu.Unlock(); return len(asked) == n })
	time.Sleep(time.Until(begin.Add(timeout * 5 / 6)))
	inTime := false
	e.shards[0].do(func() { // the shard stands still while the answers come
		for _, c := range asked {
			io.WriteString(c, answerOK)
		}
		inTime = time.Since(begin) < timeout*19/20
		time.Sleep(time.Until(begin.Add(timeout + timeout/15)))
	})
	if !inTime {
		t.Log("the machine was too slow for this test")
	} else {
		eventually(t, "all have ended", func() bool {
			for _, s := range e.Snapshot("app") {
				if s.Checks == 0 {
					return false
				}
			}
			return true
		})
		if o := e.Stats().Groups[0].Outcomes; o[triage.Matched] != n {
			t.Errorf("%d of %d passed, %d timed out, %d were excused", o[triage.Matched], n, o[triage.ResponseTimeout], o[triage.CheckerLate])
		}
	}
	l.Close()
	for _, c := range asked {
		c.Close()
	}
	all.Wait()
}
