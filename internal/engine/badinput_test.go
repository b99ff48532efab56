package engine

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// place is where something wrong answers, or nothing does.
type place struct {
	badinput.Answer
	protocol triage.Protocol // to ask with
	address  netip.AddrPort
}

// badPlaces serves the whole table, and the two that do not get as far as a connection, until closed.
func badPlaces(t *testing.T) (all []place, closed func()) {
	t.Helper()
	var closing []func()
	add := func(a badinput.Answer, p triage.Protocol, address netip.AddrPort, end func()) {
		all, closing = append(all, place{a, p, address}), append(closing, end)
	}
	for _, a := range append(badinput.Answers(), badinput.H2Answers()...) {
		for _, p := range a.Protocols() {
			s := badinput.Listen(t, a, p)
			add(a, p, s.Address, s.Close)
		}
	}
	nobody, release := badinput.Nobody(t)
	add(badinput.Answer{Name: "nobody listens", Want: triage.Refused}, triage.HTTP, nobody, release)
	if runtime.GOOS == "linux" {
		deaf, release := badinput.Deaf(t)
		add(badinput.Answer{Name: "nobody accepts", Want: triage.ConnectTimeout, Detail: "the limit is"}, triage.HTTPS, deaf, release)
	}
	return all, func() {
		for _, end := range closing {
			end()
		}
	}
}

// cutAnswers serves a good answer that is reset after each of its bytes but the last.
func cutAnswers(t *testing.T) (all []place, closed func()) {
	t.Helper()
	const head, body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n"
	var servers []*badinput.Server
	for n := range len(head + body) {
		a := badinput.Answer{Name: fmt.Sprintf("reset after %d bytes", n), Says: (head + body)[:n], Then: badinput.Resets, Want: triage.ResetBeforeAnswer}
		if n >= len(head) {
			a.Want, a.Status, a.Detail = triage.BodyTruncated, 200, "reset after"
		}
		s := badinput.Listen(t, a, triage.HTTP)
		servers, all = append(servers, s), append(all, place{a, triage.HTTP, s.Address})
	}
	return all, func() {
		for _, s := range servers {
			s.Close()
		}
	}
}

// groupOf is a roster of so many targets, spread over the places that are asked with its protocol.
func groupOf(name triage.GroupName, c triage.HealthCheck, places []place, targets int) triage.Roster {
	r := roster(c)
	r.Name = name
	for i := 0; len(r.Members) < targets; i++ {
		if p := places[i%len(places)]; p.protocol == c.Protocol {
			id := triage.TargetID(fmt.Sprintf("%s %d", p.Name, i))
			r.Members = append(r.Members, triage.Member{Key: triage.Key{Group: name, Target: id, Address: p.address}, Weight: 1})
		}
	}
	return r
}

// leavesNothing notes what the process holds now, and returns a func that waits until it holds no more than that.
func leavesNothing(t *testing.T) (check func()) {
	t.Helper()
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime opens its own descriptors with the first
		l.Close()
	}
	files, goroutines := descriptors(), runtime.NumGoroutine()
	return func() {
		t.Helper()
		eventually(t, fmt.Sprintf("no more than %d descriptors are open", files), func() bool { return descriptors() <= files })
		eventually(t, fmt.Sprintf("no more than %d goroutines live", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
	}
}

// TestBadAnswersAreNamed: all wrong answers at once, each with its own name.
func TestBadAnswersAreNamed(t *testing.T) {
	e, _ := start(t, Config{})
	e.Set(nil)
	nothingLeft := leavesNothing(t)
	bad, badClosed := badPlaces(t)
	cut, cutClosed := cutAnswers(t)
	want := map[triage.GroupName][]place{}
	for _, p := range append(bad, cut...) {
		name := triage.GroupName(p.protocol)
		want[name] = append(want[name], p)
	}
	var rosters []triage.Roster
	for name, places := range want {
		c := fastCheck()
		c.Protocol, c.Interval, c.Timeout = triage.Protocol(name), badinput.Limit+800*time.Millisecond, badinput.Limit
		rosters = append(rosters, groupOf(name, c, places, len(places)))
	}
	e.Set(rosters)
	named := map[triage.Key]bool{} // at least once: a later check may find this machine busy
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		faults := misnamed(e, want, named)
		if len(faults) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d answers have not got their names:\n%s", len(faults), strings.Join(faults, "\n"))
		}
	}
	e.Set(nil)
	badClosed()
	cutClosed()
	nothingLeft()
}

// misnamed says what is wrong with the newest checks of targets that were not named yet.
func misnamed(e *Engine, want map[triage.GroupName][]place, named map[triage.Key]bool) (faults []string) {
	for group, places := range want {
		for i, s := range e.Snapshot(group) {
			p, last, id := places[i], s.Last, s.Key.Target
			if last.Outcome == p.Want && last.Status == p.Status && strings.Contains(last.Detail, p.Detail) && last.Took < 2*badinput.Limit {
				named[s.Key] = true
			}
			if !named[s.Key] {
				faults = append(faults, fmt.Sprintf("%s %s: %s %d (%s) after %s, want %s %d (%s)",
					group, id, last.Outcome, last.Status, last.Detail, last.Took, p.Want, p.Status, p.Detail))
			}
		}
	}
	return faults
}
