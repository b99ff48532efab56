package probe

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestAShortTimeoutIsNotOurLateness: the last look at the connection after the deadline takes a tenth of the
// shortest timeout by itself. Every time-out of 10 ms was called ours, and no target was ever ejected.
func TestAShortTimeoutIsNotOurLateness(t *testing.T) {
	address := serveRaw(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	c := settings(triage.HTTP)
	c.Timeout = triage.MinTimeout
	for range 200 { // a busy machine may really be late, but not each time
		x := do(t, address, c)
		switch x.Outcome {
		case triage.ResponseTimeout:
			return
		case triage.CheckerLate, triage.ConnectTimeout:
		default:
			t.Fatalf("%s (%s)", x.Outcome, x.Detail)
		}
	}
	t.Error("a target that hangs was never at fault")
}

// overdue is a driver whose deadline has passed by so much, on a connection to a server of the test.
func overdue(t *testing.T, timeout, by time.Duration, server func(net.Conn)) *driver {
	t.Helper()
	c, err := net.Dial("tcp", serveRaw(t, server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &driver{conn: c.(*net.TCPConn), timeout: timeout, deadline: time.Now().Add(-by)}
}

// TestOurOwnLateness: the answer may be missing because nobody was there to read it.
func TestOurOwnLateness(t *testing.T) {
	hang := func(c net.Conn) { io.Copy(io.Discard, c) }
	for by, want := range map[time.Duration]EventKind{time.Second: DeadlinePassed, time.Hour: Late} {
		d := overdue(t, 2*time.Hour, by, hang) // late is more than twelve minutes
		d.conn.SetDeadline(d.deadline)
		if e := d.read(make([]byte, 100)); e.Kind != want {
			t.Errorf("read %s after the deadline: event %d, want %d", by, e.Kind, want)
		}
		if e := d.write([]byte("GET / HTTP/1.1\r\n\r\n")); e.Kind != want {
			t.Errorf("written %s after the deadline: event %d, want %d", by, e.Kind, want)
		}
	}
	d := overdue(t, 10*time.Second, 2*time.Second, hang)
	d.conn.SetDeadline(d.deadline)
	if e := d.read(make([]byte, 100)); e.Kind != Late {
		t.Errorf("2 s late to a timeout of 10 s: event %d", e.Kind)
	}
}

// TestAnswerThatWaitsAtTheDeadlineCounts: it came in time, only we did not.
func TestAnswerThatWaitsAtTheDeadlineCounts(t *testing.T) {
	d := overdue(t, time.Second, time.Hour, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK")
		io.Copy(io.Discard, c)
	})
	first := make([]byte, 1)
	if _, err := d.conn.Read(first); err != nil { // now the rest is there too
		t.Fatal(err)
	}
	d.conn.SetDeadline(d.deadline)
	if e := d.read(make([]byte, 100)); e.Kind != Data || string(first)+string(e.Data) != "HTTP/1.1 200 OK" {
		t.Errorf("event %d with %q", e.Kind, e.Data)
	}
	if e := d.read(make([]byte, 100)); e.Kind != Late {
		t.Errorf("after the last look: event %d", e.Kind)
	}
}
