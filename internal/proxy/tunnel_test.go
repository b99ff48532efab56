package proxy_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGVzdA==\r\n\r\n"

// echoTarget switches protocols and sends back what it gets, in capitals, until the client's end, and then
// "bye".
func echoTarget(t *testing.T, heads chan<- string) string {
	return rawTarget(t, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		head, err := readHead(br)
		if err != nil {
			return
		}
		heads <- head
		// The first message comes in one piece with the head.
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nwelcome\n")
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				_, _ = io.WriteString(c, "bye\n")
				return
			}
			_, _ = io.WriteString(c, strings.ToUpper(line))
		}
	})
}

func (r *rig) upgrade() (net.Conn, *bufio.Reader) {
	r.t.Helper()
	c := r.dial()
	br := bufio.NewReader(c)
	// So does the client's.
	_, _ = io.WriteString(c, upgradeRequest+"first\n")
	head, err := readHead(br)
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: x\r\nUpgrade: websocket\r\n\r\n"
	if head != want {
		r.t.Fatalf("head %q (%v), want %q", head, err, want)
	}
	for _, want := range []string{"welcome\n", "FIRST\n"} {
		if line, err := br.ReadString('\n'); line != want {
			r.t.Fatalf("%q %v, want %q", line, err, want)
		}
	}
	return c, br
}

func TestWebSocket(t *testing.T) {
	heads := make(chan string, 1)
	r := start(t, options{}, echoTarget(t, heads))
	c, br := r.upgrade()
	if head := <-heads; !strings.Contains(head, "\r\nConnection: Upgrade\r\n") || !strings.Contains(head, "\r\nUpgrade: WebSocket\r\n") {
		t.Errorf("the target got %q", head)
	}
	for range 3 {
		_, _ = io.WriteString(c, "hello\n")
		if line, err := br.ReadString('\n'); line != "HELLO\n" {
			t.Fatalf("%q %v", line, err)
		}
	}
	if n := r.table.Snapshot("app")[0].InFlight; n != 1 {
		t.Errorf("%d in flight while upgraded", n)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(br); string(rest) != "bye\n" || err != nil {
		t.Errorf("after our end: %q %v", rest, err)
	}
	eventually(t, "nothing in flight", func() bool { return r.table.Snapshot("app")[0].InFlight == 0 })
}

func TestWebSocketIsCutOff(t *testing.T) {
	ends := func(t *testing.T, br *bufio.Reader) {
		t.Helper()
		if rest, err := io.ReadAll(br); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("still open: %q %v", rest, err)
		}
	}
	t.Run("when nothing moves", func(t *testing.T) {
		r := start(t, options{group: func(r *triage.Roster) { r.IdleTimeout = 100 * time.Millisecond }}, echoTarget(t, make(chan string, 1)))
		_, br := r.upgrade()
		ends(t, br)
	})
	t.Run("when the target is out of time", func(t *testing.T) {
		short := func(r *triage.Roster) { r.DeregistrationDelay = 10 * time.Millisecond }
		r := start(t, options{group: short}, echoTarget(t, make(chan string, 1)))
		_, br := r.upgrade()
		r.table.Publish([]triage.Roster{roster(short)})
		ends(t, br)
	})
	t.Run("when the proxy stops", func(t *testing.T) {
		r := start(t, options{}, echoTarget(t, make(chan string, 1)))
		_, br := r.upgrade()
		r.stop()
		ends(t, br)
	})
}

// TestRefusedUpgrade: a target may answer an upgrade with a usual answer.
func TestRefusedUpgrade(t *testing.T) {
	r := start(t, options{}, target(t, name("plain")))
	c := r.dial()
	_, _ = io.WriteString(c, upgradeRequest)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("%q %v", line, err)
	}
}

// TestSwitchToAnotherProtocol: only what was asked for passes, since nobody here knows what the bytes would mean.
func TestSwitchToAnotherProtocol(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	})
	r := start(t, options{}, addr)
	c := r.dial()
	_, _ = io.WriteString(c, upgradeRequest)
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 502 Bad Gateway\r\n" {
		t.Errorf("%q %v", line, err)
	}
}

// TestWebSocketTargetEndsFirst: that the target has no more to say does not keep it from listening.
func TestWebSocketTargetEndsFirst(t *testing.T) {
	heard := make(chan string, 1)
	addr := rawTarget(t, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		_, _ = readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye\n")
		_ = c.(*net.TCPConn).CloseWrite()
		line, _ := br.ReadString('\n')
		heard <- line
	})
	r := start(t, options{}, addr)
	c := r.dial()
	_, _ = io.WriteString(c, upgradeRequest)
	if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), "\r\n\r\nbye\n") || err != nil {
		t.Errorf("%q %v", got, err)
	}
	_, _ = io.WriteString(c, "late\n")
	if line := <-heard; line != "late\n" {
		t.Errorf("after its end the target heard %q", line)
	}
}
