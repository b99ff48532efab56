package engine

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// misbehave answers a check in one of the ways in which a server can be wrong. It returns when the client is gone
// or after what it had to say.
func misbehave(c net.Conn, how int) {
	io.ReadAtLeast(c, make([]byte, 512), 20)
	say := func(s string) { io.WriteString(c, s) }
	switch how % 12 {
	case 0: // nothing
	case 1:
		c.(*net.TCPConn).SetLinger(0)
	case 2:
		say("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
	case 3:
		say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")
	case 4:
		say("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
	case 5:
		say("SSH-2.0-OpenSSH\r\n")
	case 6:
		say("\x15\x03\x01\x00\x02\x02\x46")
	case 7:
		say("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Filler: yes\r\n", 10_000) + "\r\n")
	case 8:
		say(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100))
	case 9:
		say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx")
	case 10:
		say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")
	case 11: // for ever
		io.Copy(io.Discard, c)
	}
}

// TestChaos: targets that are wrong in every way neither pass nor disturb those that are well, and nothing of them
// is left behind.
func TestChaos(t *testing.T) {
	before := descriptors()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				misbehave(c, rand.IntN(12))
			})
		}
	})
	well := newSick(t, 200, 0)
	check := fastCheck()
	check.Interval, check.Timeout = time.Second, 900*time.Millisecond
	sick := many(check, netip.MustParseAddrPort(l.Addr().String()), 200)
	good := many(check, well.address(), 200)
	sick.Name, good.Name = "sick", "good"
	for i := range sick.Members {
		sick.Members[i].Key.Group, good.Members[i].Key.Group = "sick", "good"
	}

	e, seen := start(t, Config{})
	e.Set([]triage.Roster{sick, good})
	eventually(t, "each was asked three times", func() bool {
		for _, s := range append(e.Snapshot("sick"), e.Snapshot("good")...) {
			if s.Checks < 3 {
				return false
			}
		}
		return true
	})
	for _, tr := range seen.list() {
		if tr.Key.Group == "good" && tr.To.State != triage.Healthy || tr.Key.Group == "sick" && tr.To.State != triage.Unhealthy {
			t.Errorf("%s became %s: %s (%s)", tr.Key, tr.To.State, tr.Evidence.Outcome, tr.Evidence.Detail)
		}
	}
	e.Set(nil)
	l.Close()
	all.Wait()
	well.Close()
	eventually(t, fmt.Sprintf("no more than %d descriptors are open", before+4), func() bool { return descriptors() <= before+4 })
}

// descriptors counts this process's open files; 0 where the system does not tell.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
