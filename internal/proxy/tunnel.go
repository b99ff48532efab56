package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/triage-lb/triage/internal/attempt"
)

// tunnel is a connection that was upgraded: bytes in both directions, until both have ended, nothing moves
// any more, the target is gone or the proxy stops.
type tunnel struct {
	client net.Conn
	target *conn
}

// close ends the tunnel from any goroutine.
func (t *tunnel) close() {
	t.client.Close()
	t.target.close()
}

// tunnel passes the target's "101 Switching Protocols" on and then whatever either side sends.
func (x *exchange) tunnel(answer *http.Response, c *conn) {
	p := x.proxy
	// The connection's goroutine stops counting as one when it is hijacked: this takes over.
	p.work.Add(1)
	defer p.work.Done()

	defer c.close()
	backend, ok := answer.Body.(io.ReadWriter)
	if !ok {
		x.answerOurselves(attempt.BadAnswer.Info().Status, p.config.Sentence(attempt.BadAnswer, x.group))
		return
	}
	client, buffered, err := x.control.Hijack()
	if err != nil {
		x.log("cannot take over the client's connection", attempt.BadAnswer, c.upstream.entry, err)
		x.answerOurselves(http.StatusBadGateway, "this connection cannot be upgraded")
		return
	}
	defer client.Close()
	t := &tunnel{client, c}
	if !p.enter(t) {
		return
	}
	defer p.leave(t)

	head := bytes.NewBufferString("HTTP/1.1 101 Switching Protocols\r\n")
	header := make(http.Header, len(answer.Header)+2)
	headerToClient(header, answer.Header)
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", answer.Header.Get("Upgrade"))
	_ = header.Write(head) // into memory
	head.WriteString("\r\n")
	if _, err := client.Write(head.Bytes()); err != nil {
		return
	}
	err = x.relay(client, buffered.Reader, backend, c)
	expired := x.watch.stop()
	if err != nil || expired {
		x.log("upgraded connection broke off", attempt.ClientGone, c.upstream.entry, errors.Join(err, expiredError(expired)))
	}
}

func expiredError(expired bool) error {
	if expired {
		return errors.New("nothing moved for too long")
	}
	return nil
}

// relay copies in both directions until both have ended or one has failed.
func (x *exchange) relay(client net.Conn, fromClient *bufio.Reader, backend io.ReadWriter, c *conn) error {
	t := &tunnel{client, c}
	var up, down error
	var both sync.WaitGroup
	both.Go(func() {
		if up = x.pump(backend, fromClient); up != nil {
			t.close()
			return
		}
		closeWrite(c.wire.Conn)
	})
	if down = x.pump(client, backend); down != nil {
		t.close()
	} else {
		closeWrite(client)
	}
	both.Wait()
	if up != nil {
		return up
	}
	return down
}

// pump copies until the source ends.
func (x *exchange) pump(to io.Writer, from io.Reader) error {
	buffer := make([]byte, 4<<10) // tunnels are many and mostly silent
	for {
		n, err := from.Read(buffer)
		x.watch.touch()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
			x.watch.touch()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// closeWrite tells the peer that nothing more will come, which it may answer at length.
func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		return
	}
	c.Close()
}

// enter counts a tunnel among those that stop closes, unless it is too late.
func (p *Proxy) enter(t *tunnel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == stopping {
		return false
	}
	p.tunnels[t] = struct{}{}
	return true
}

func (p *Proxy) leave(t *tunnel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tunnels, t)
}
