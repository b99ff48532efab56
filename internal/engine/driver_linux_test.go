package engine

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
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

// TestNothingIsWrittenIntoTheRequest: an acknowledgement that became due while the request was half written used to take the
// place of its other half.
func TestNothingIsWrittenIntoTheRequest(t *testing.T) {
	const long = 12 << 20 // more than sockets hold
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settled, asked := make(chan struct{}), make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		frames := http2.NewFramer(c, c)
		frames.WriteSettings()
		<-settled
		if _, err := io.CopyN(io.Discard, c, int64(len(http2.ClientPreface))); err != nil {
			asked <- err
			return
		}
		for {
			f, err := frames.ReadFrame()
			if err != nil {
				asked <- err
				return
			}
			if f, ok := f.(*http2.ContinuationFrame); ok && f.HeadersEnded() {
				break
			}
		}
		f, err := frames.ReadFrame()
		if s, ok := f.(*http2.SettingsFrame); err == nil && (!ok || !s.IsAck()) {
			err = fmt.Errorf("%v behind the request", f)
		}
		asked <- err
	}()
	t.Cleanup(func() { l.Close(); <-done })

	e, _ := start(t, Config{Shards: 1})
	c := fastCheck()
	c.Protocol, c.Host, c.Interval, c.Timeout = triage.H2C, strings.Repeat("a", long), 20*time.Second, 10*time.Second
	e.Set([]triage.Roster{roster(c, netip.MustParseAddrPort(l.Addr().String()))})
	if d, ok := e.shards[0].driver.(*events); ok {
		eventually(t, "the settings, in the middle of the request", func() (unread bool) {
			e.shards[0].do(func() {
				for _, f := range d.flights {
					unread = unread || f != nil && len(f.out) > 0 && f.unread
				}
			})
			return unread
		})
	}
	close(settled)
	if err := <-asked; err != nil {
		t.Error(err)
	}
}
