package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// TestUnaskedAnswerIsNobodys: what comes on a kept connection before the next question is no answer to it. Servers say
// 408 before they end an idle connection, and a server that answers twice must not be judged by the wrong one for ever.
func TestUnaskedAnswerIsNobodys(t *testing.T) {
	const (
		good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	)
	config := &tls.Config{Certificates: []tls.Certificate{badinput.Certificate(t)}}
	for name, c := range map[string]struct {
		protocol triage.Protocol
		later    bool // it comes between two checks
		closes   bool // and the connection ends after it
	}{
		"at once":               {triage.HTTP, false, false},
		"later":                 {triage.HTTP, true, false},
		"later, and closes":     {triage.HTTP, true, true},
		"at once, in TLS":       {triage.HTTPS, false, false},
		"later, in TLS":         {triage.HTTPS, true, false},
		"later, closes, in TLS": {triage.HTTPS, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			speak, spoken := make(chan struct{}), make(chan struct{})
			server := badinput.Serve(t, func(tcp *net.TCPConn) {
				packet := &gathering{TCPConn: tcp}
				var conn net.Conn = packet
				if c.protocol == triage.HTTPS {
					conn = tls.Server(packet, config)
				}
				untilHead(conn)
				packet.held = !c.later
				io.WriteString(conn, good)
				if c.later {
					<-speak
				}
				io.WriteString(conn, late)
				packet.release()
				if c.closes {
					conn.Close()
				}
				if c.later {
					spoken <- struct{}{}
				}
				io.Copy(io.Discard, tcp)
			})
			defer server.Close()
			settings := settings(c.protocol)
			settings.ReuseConnection = true
			plan := Compile(dialect.Get(triage.Own), settings)
			var client Client
			defer client.Close()
			for range 3 {
				if x := client.Do(context.Background(), plan, triage.Key{Address: server.Address}, triage.AddressPolicy{}); x.Outcome != triage.Matched {
					t.Fatalf("%s %d (%s)", x.Outcome, x.Status, x.Detail)
				}
				if c.later {
					speak <- struct{}{}
					<-spoken
				}
			}
		})
	}
}

// gathering holds what is written back while it is held, to send it at once.
type gathering struct {
	*net.TCPConn
	held bool
	back []byte
}

func (g *gathering) Write(b []byte) (int, error) {
	if !g.held {
		return g.TCPConn.Write(b)
	}
	g.back = append(g.back, slices.Clone(b)...)
	return len(b), nil
}

func (g *gathering) release() {
	g.held = false
	g.TCPConn.Write(g.back)
}

// TestTiredOfWaiting: a server may say 408 just as the question is on its way, on a connection that was idle (RFC 9110
// section 15.5.9). On a new connection it means what it says.
func TestTiredOfWaiting(t *testing.T) {
	const (
		good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	)
	c := settings(triage.HTTP)
	c.ReuseConnection = true
	plan := Compile(dialect.Get(triage.Own), c)
	var s Session
	at := time.Unix(1, 0)
	converse := func(a Action, answer string) Action {
		for _, e := range []Event{{Kind: Connected}, {Kind: Written}, {Kind: Data, Data: []byte(answer)}} {
			if e.At = at; e.Kind != Connected || a.Kind == Dial {
				a = s.Handle(e)
			}
		}
		return a
	}
	if a := converse(s.Begin(plan, target, at), good); a.Kind != Done || !a.Keep {
		t.Fatalf("the connection is not kept: %+v", a)
	}
	a := converse(s.Begin(plan, target, at), late)
	if a.Kind != Dial {
		t.Fatalf("not asked again on a new connection: action %d, %s %d", a.Kind, s.Exchange().Outcome, s.Exchange().Status)
	}
	converse(a, late)
	if x := s.Exchange(); x.Outcome != triage.CodeMismatch || x.Status != 408 || x.Reused {
		t.Errorf("on a new connection: %s %d, reused: %v", x.Outcome, x.Status, x.Reused)
	}
}
