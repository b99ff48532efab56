//go:build linux

package main

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAnswer: a request counts once it is complete, however it is cut, and only if it asks for the path that
// there is.
func TestAnswer(t *testing.T) {
	const good = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
	const other = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	const client = "GET /request HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name   string
		mood   mood
		pieces []string
		checks int
		answer string
	}{
		{"whole", moodAnswer, []string{good}, 1, siteOK},
		{"cut in the empty line", moodAnswer, []string{good[:len(good)-3], "\n\r", "\n"}, 1, siteOK},
		{"incomplete", moodAnswer, []string{good[:len(good)-1]}, 0, ""},
		{"two at once", moodAnswer, []string{good + good}, 2, siteOK + siteOK},
		{"one after the other", moodAnswer, []string{good, good}, 2, siteOK + siteOK},
		{"another path", moodAnswer, []string{other, good}, 1, siteUnknown + siteOK},
		{"carriage returns", moodAnswer, []string{"GET /health HTTP/1.1\r\nx: \r\r\n\r\n"}, 1, siteOK},
		{"sick", moodFail, []string{good, client}, 1, siteFault + siteOK},
		{"hangs for checks", moodHang, []string{good, client}, 1, siteOK},
	} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := &site{tally: &tally{}, mood: c.mood, buf: make([]byte, 4<<10)}
		s.tally.reset(3)
		s.tally.record()
		s.conns = make([]siteConn, pair[0]+1)
		s.conns[pair[0]].target = 2
		for _, piece := range c.pieces {
			if _, err := unix.Write(pair[1], []byte(piece)); err != nil {
				t.Fatal(err)
			}
			s.answer(pair[0])
		}
		got := make([]byte, 1000)
		n, err := unix.Read(pair[1], got)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		if answer := string(got[:max(n, 0)]); answer != c.answer || len(s.tally.arrivals) != c.checks {
			t.Errorf("%s: %d checks, answer %q", c.name, len(s.tally.arrivals), answer)
		}
		if c.checks > 0 && (s.tally.distinct != 1 || !s.tally.asked[2] || s.tally.arrivals[0].target != 2) {
			t.Errorf("%s: counted for another target: %+v", c.name, s.tally.arrivals)
		}
		unix.Close(pair[1])
		s.answer(pair[0]) // sees the end and closes
		if err := unix.Close(pair[0]); !errors.Is(err, unix.EBADF) {
			t.Errorf("%s: the connection was left open", c.name)
		}
	}
}

func TestTargetAddress(t *testing.T) {
	for i, want := range map[int]string{0: "127.16.0.0:8000", 1: "127.16.0.1:8000", 256: "127.16.1.0:8000", 300_000: "127.20.147.224:8000"} {
		addr := targetAddress(i, plain)
		if addr.String() != want {
			t.Errorf("target %d is %s, want %s", i, addr, want)
		}
		if back := targetNumber(addr.Addr().As4()); back != i {
			t.Errorf("%s is number %d, want %d", addr, back, i)
		}
	}
	if last := targetAddress(maxTargets, plain); !strings.HasPrefix(last.String(), "127.") {
		t.Errorf("the last target is %s, which is not this machine", last)
	}
}
