package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// ask runs a check with the limit of the table, again if this machine was too busy to say how it ended.
func ask(p triage.Protocol, to netip.AddrPort) *triage.Exchange {
	c := settings(p)
	c.Timeout = badinput.Limit
	plan := Compile(dialect.Get(triage.Own), c)
	x := Do(context.Background(), plan, triage.Key{Address: to}, triage.AddressPolicy{})
	for tries := 0; x.Outcome.Verdict() == triage.Neutral && tries < 10; tries++ {
		x = Do(context.Background(), plan, triage.Key{Address: to}, triage.AddressPolicy{})
	}
	return x
}

// TestBadAnswersOnTheWire: the same outcomes over real connections, plain and inside TLS, and those of two servers that do
// not get as far as a connection.
func TestBadAnswersOnTheWire(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	expect := func(a badinput.Answer, p triage.Protocol, to netip.AddrPort) {
		all.Go(func() {
			x := ask(p, to)
			if x.Outcome != a.Want || x.Status != a.Status || !strings.Contains(x.Detail, a.Detail) {
				t.Errorf("%s, asked by %s: %s %d (%s), want %s %d (%s)", a.Name, p, x.Outcome, x.Status, x.Detail, a.Want, a.Status, a.Detail)
			}
		})
	}
	for _, table := range [][]badinput.Answer{badinput.Answers(), badinput.H2Answers()} {
		all.Wait() // one table after the other: together they keep a small machine so busy that checks run out of time
		for _, a := range table {
			for _, p := range a.Protocols() {
				expect(a, p, badinput.Listen(t, a, p).Address)
			}
		}
	}
	nobody, release := badinput.Nobody(t)
	t.Cleanup(release)
	expect(badinput.Answer{Name: "nobody listens", Want: triage.Refused}, triage.HTTP, nobody)
	if runtime.GOOS == "linux" {
		deaf, release := badinput.Deaf(t)
		t.Cleanup(release)
		expect(badinput.Answer{Name: "nobody accepts", Want: triage.ConnectTimeout, Detail: "the limit is"}, triage.HTTP, deaf)
	}
}

// truncating passes on so many bytes and then resets the connection.
type truncating struct {
	*net.TCPConn
	left int
}

func (c *truncating) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	if _, err := c.TCPConn.Write(b[:n]); err != nil {
		return 0, err
	}
	if c.left -= n; n < len(b) {
		c.SetLinger(0)
		c.Close()
		return n, net.ErrClosed
	}
	return n, nil
}

// TestResetAfterEveryByte: wherever a good answer breaks off, the check says how far it came, and its connection is gone.
func TestResetAfterEveryByte(t *testing.T) {
	const (
		head    = "HTTP/1.1 200 OK\r\nServer: x\r\n"
		length  = head + "Content-Length: 11\r\n\r\nhello world"
		chunked = head + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n"
	)
	certificates := []tls.Certificate{badinput.Certificate(t)}
	for name, c := range map[string]struct {
		answer string
		config *tls.Config
	}{
		"length":            {length, nil},
		"chunked":           {chunked, nil},
		"length in TLS 1.2": {length, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: certificates}},
		"chunks in TLS 1.3": {chunked, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificates}},
	} {
		t.Run(name, func(t *testing.T) {
			stages := []triage.Outcome{triage.ResetBeforeAnswer, triage.BodyTruncated, triage.Matched}
			if c.config != nil {
				stages = append([]triage.Outcome{triage.TLSClosed}, stages...)
			}
			before := descriptors()
			reached := map[triage.Outcome]bool{}
			for from := 0; !reached[triage.Matched]; from += 64 {
				if from > 8<<10 {
					t.Fatal("never a whole answer")
				}
				for i, o := range resetAfter(t, from, 64, c.config, c.answer) {
					reached[o] = true
					for len(stages) > 1 && reached[stages[0]] && o != stages[0] {
						stages = stages[1:]
					}
					if o != stages[0] {
						t.Fatalf("reset after %d bytes: %s, not %s", from+i, o, stages[0])
					}
				}
			}
			for deadline := time.Now().Add(10 * time.Second); descriptors() > before; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%d descriptors are open, %d before", descriptors(), before)
				}
			}
		})
	}
}

// resetAfter tells the outcomes of checks whose connections are reset after from bytes, one more, and so on, as many as
// there are to be.
func resetAfter(t *testing.T, from, many int, config *tls.Config, answer string) []triage.Outcome {
	outcomes := make([]triage.Outcome, many)
	var all sync.WaitGroup
	for i := range outcomes {
		server := badinput.Serve(t, func(c *net.TCPConn) {
			cut := &truncating{c, from + i}
			var conn net.Conn = cut
			if config != nil {
				conn = tls.Server(cut, config)
			}
			untilHead(conn)
			// In TLS each piece is a record. They are few, so that all are sent before the reset, which drops what waits.
			for piece := range slices.Chunk([]byte(answer), 13) {
				if _, err := conn.Write(piece); err != nil {
					return
				}
			}
			badinput.End(c, badinput.Resets)
		})
		protocol := triage.HTTP
		if config != nil {
			protocol = triage.HTTPS
		}
		all.Go(func() {
			outcomes[i] = ask(protocol, server.Address).Outcome
			server.Close()
		})
	}
	all.Wait()
	return outcomes
}

// descriptors counts this process's open files; 0 where the system does not tell.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
