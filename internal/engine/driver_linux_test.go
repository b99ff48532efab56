package engine

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/triage-lb/triage"
)

// TestReadingGoesOnAfterAnAcknowledgement: an event tells once that there is something to read. What is left when something
// has to be written first must not wait for another event, which never comes.
func TestReadingGoesOnAfterAnAcknowledgement(t *testing.T) {
	var answer bytes.Buffer
	frames := http2.NewFramer(&answer, nil)
	frames.WriteSettings()
	frames.WritePing(false, [8]byte{1})
	var head bytes.Buffer
	hpack.NewEncoder(&head).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true})
	frames.WriteData(1, true, bytes.Repeat([]byte("x"), 4000))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write(answer.Bytes()) // all at once, before it was asked
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })

	e, _ := start(t, Config{Shards: 1})
	e.shards[0].do(func() {
		if d, ok := e.shards[0].driver.(*events); ok {
			d.buf = make([]byte, 20) // a frame of settings, and a part of the next
		}
	})
	c := fastCheck()
	c.Protocol, c.Interval, c.Timeout = triage.H2C, 3*time.Second, 2*time.Second
	e.Set([]triage.Roster{roster(c, netip.MustParseAddrPort(l.Addr().String()))})
	eventually(t, "the first check", func() bool { return e.Snapshot("app")[0].Checks > 0 })
	if s := e.Snapshot("app")[0]; s.Last.Outcome != triage.Matched {
		t.Errorf("%s (%s)", s.Last.Outcome, s.Last.Detail)
	}
}
