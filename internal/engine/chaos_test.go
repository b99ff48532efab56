package engine

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// TestChaos: a thousand targets that are wrong in every way that we know neither pass nor disturb a thousand that are well,
// and nothing of them is left behind.
func TestChaos(t *testing.T) {
	targets, results := map[triage.Protocol]int{triage.HTTP: 750, triage.HTTPS: 250}, uint64(3)
	if badinput.Race {
		targets, results = map[triage.Protocol]int{triage.HTTP: 150, triage.HTTPS: 50}, 2
	}
	e, seen := start(t, Config{})
	e.Set(nil)
	nothingLeft := leavesNothing(t)
	bad, badClosed := badPlaces(t)
	bad = slices.DeleteFunc(bad, func(p place) bool { return p.Want.Verdict() == triage.Pass })
	hasty, hastyClosed := hastyPlaces(t)
	bad = append(bad, hasty...)
	good, goodClosed := goodPlaces(t)

	check := triage.DefaultHealthCheck()
	check.Interval, check.Timeout = 2*time.Second, 1500*time.Millisecond
	patient := check
	patient.Timeout = time.Minute    // the servers share two cores with all this: only what they say shall count
	patient.Thresholds.Unhealthy = 1 // and one wrong word is enough
	var rosters []triage.Roster
	want := map[triage.GroupName]triage.State{}
	members := 0
	for p, n := range targets {
		ill, well := triage.GroupName("ill "+p), triage.GroupName("well "+p)
		want[ill], want[well] = triage.Unhealthy, triage.Healthy
		check.Protocol, patient.Protocol = p, p
		patient.ReuseConnection = p == triage.HTTP
		rosters = append(rosters, groupOf(ill, check, bad, n), groupOf(well, patient, good, n))
		members += 2 * n
	}
	e.Set(rosters)
	for _, r := range rosters {
		eventually(t, fmt.Sprintf("%s: %d results of each", r.Name, results), func() bool {
			return !slices.ContainsFunc(e.Snapshot(r.Name), func(s triage.CheckStatus) bool { return s.Checks-s.Neutral < results })
		})
	}
	decided := 0
	for _, tr := range seen.list() {
		if tr.Source != triage.FromCheck {
			continue
		}
		if tr.From.State == triage.Initial {
			decided++
		}
		if tr.To.State != want[tr.Key.Group] {
			t.Errorf("%s of %s became %s: %s %d", tr.Key.Target, tr.Key.Group, tr.To.State, tr.To.Outcome, tr.To.Status)
		}
	}
	if decided != members {
		t.Errorf("%d targets of %d were reported", decided, members)
	}
	e.Set(nil)
	badClosed()
	hastyClosed()
	goodClosed()
	nothingLeft()
}

// hastyPlaces end each connection as soon as they have it, with the question on its way. What the checker sees of that is a
// matter of chance, so they are not in the table.
func hastyPlaces(t *testing.T) (all []place, closed func()) {
	t.Helper()
	closes := badinput.Serve(t, func(*net.TCPConn) {})
	resets := badinput.Serve(t, func(c *net.TCPConn) { c.SetLinger(0) })
	for _, p := range []triage.Protocol{triage.HTTP, triage.HTTPS} {
		all = append(all,
			place{badinput.Answer{Name: "closes at once"}, p, closes.Address},
			place{badinput.Answer{Name: "resets at once"}, p, resets.Address})
	}
	return all, func() {
		closes.Close()
		resets.Close()
	}
}

// goodPlaces serves good answers until closed: net/http, plain and over TLS, and one that hangs up on idle connections with
// an answer that nobody asked for.
func goodPlaces(t *testing.T) (all []place, closed func()) {
	t.Helper()
	var closing []func()
	add := func(p triage.Protocol, address string, end func()) {
		all = append(all, place{badinput.Answer{Name: "well"}, p, netip.MustParseAddrPort(address)})
		closing = append(closing, end)
	}
	well := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "well") })
	plain := httptest.NewServer(well)
	t.Cleanup(plain.Close)
	add(triage.HTTP, plain.Listener.Addr().String(), plain.Close)

	encrypted := httptest.NewUnstartedServer(well)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that the end of the test breaks off
	encrypted.TLS = &tls.Config{Certificates: []tls.Certificate{badinput.Certificate(t)}}
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	add(triage.HTTPS, encrypted.Listener.Addr().String(), encrypted.Close)

	impatient := badinput.Serve(t, func(c *net.TCPConn) {
		for in := bufio.NewReader(c); ; {
			if _, err := http.ReadRequest(in); err != nil {
				io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")
			c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		}
	})
	add(triage.HTTP, impatient.Address.String(), impatient.Close)
	return all, func() {
		for _, end := range closing {
			end()
		}
	}
}

// descriptors counts this process's open files; 0 where the system does not tell.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
