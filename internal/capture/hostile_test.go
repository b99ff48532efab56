package capture_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// TestWhatIsNoRequest sends bytes and closes its side, so that nothing has to be waited for.
func TestWhatIsNoRequest(t *testing.T) {
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	l := listen(t, capture.Config{})
	for _, tt := range []struct {
		name, in string
		kind     capture.Kind
		end      capture.End
		problem  string // a part of it; "" for none
		answered int
	}{
		{"nothing", "", capture.Empty, capture.Closed, "", 0},
		{"a banner", "SSH-2.0-Go\r\n", capture.Other, capture.Closed, "", 0},
		{"binary", "\x00\x00\x00\x08\x04\xd2\x16\x2f", capture.Other, capture.Closed, "", 0},
		{"words", "hello world\r\n\r\n", capture.Other, capture.Complete, "", 0},
		{"a line end", "\r\n", capture.Other, capture.Complete, "", 0},
		{"no slash", "GET health HTTP/1.1\r\nHost: a\r\n\r\n", capture.HTTPRequest, capture.Complete, "neither a path nor a URL", 400},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", capture.HTTPRequest, capture.Complete, "Host", 400},
		{"bare LF", "GET / HTTP/1.0\n\n", capture.HTTPRequest, capture.Complete, "bare LF", 400},
		{"HTTP/0.9", "GET /\r\n", capture.HTTPRequest, capture.Closed, "HTTP/0.9", 400},
		{"half a head", "GET / HTTP/1.1\r\nHost:", capture.HTTPRequest, capture.Closed, "the head is not complete: the sender closed", 400},
		{"smuggling", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", capture.HTTPRequest, capture.Complete, "both Content-Length and Transfer-Encoding", 400},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", capture.HTTPRequest, capture.Closed, "the body is not complete", 408},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", capture.HTTPRequest, capture.Quiet, "in the body, malformed HTTP", 400},
		{"too many fields", "GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 257) + "\r\n", capture.HTTPRequest, capture.Complete, "64 KiB", 431},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", capture.HTTP2Preface, capture.Closed, "", 0},
		{"half of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM", capture.HTTPRequest, capture.Complete, "HTTP", 400},
		{"no TLS after all", "\x16\x03\x01\x00\x05hello", capture.TLSHello, capture.Complete, "not a valid TLS hello", 0},
		{"half a hello", "\x16\x03\x01\x02\x00\x01", capture.TLSHello, capture.Closed, "the TLS hello is not complete", 0},
		{"PROXY v1 alone", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 80\r\n", capture.ProxyV1, capture.Closed, "", 0},
		{"half of PROXY v1", "PROXY TCP4 192.0.2.1", capture.ProxyV1, capture.Closed, "the PROXY header is not complete", 0},
		{"PROXY v1 without end", "PROXY " + strings.Repeat("x", 200), capture.ProxyV1, capture.Closed, "longer than 107 bytes", 0},
		{"PROXY v1 without protocol", "PROXY UDP 1 2 3 4\r\n", capture.ProxyV1, capture.Closed, "none of TCP4", 0},
		{"PROXY v1 with too few words", "PROXY TCP4 1.2.3.4\r\n", capture.ProxyV1, capture.Closed, "six words", 0},
		{"PROXY v1 with the wrong family", "PROXY TCP6 1.2.3.4 ::1 1 2\r\n", capture.ProxyV1, capture.Closed, "source", 0},
		{"PROXY v1 with a bad port", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", capture.ProxyV1, capture.Closed, "destination", 0},
		{"PROXY v1 with a bare LF", "PROXY UNKNOWN\n", capture.ProxyV1, capture.Closed, "CRLF", 0},
		{"PROXY v2, LOCAL", v2 + "\x20\x00\x00\x00", capture.ProxyV2, capture.Closed, "", 0},
		{"PROXY v2, version 3", v2 + "\x31\x00\x00\x00", capture.ProxyV2, capture.Closed, "version", 0},
		{"PROXY v2, command 7", v2 + "\x27\x00\x00\x00", capture.ProxyV2, capture.Closed, "command", 0},
		{"PROXY v2, too short", v2 + "\x21\x11\x00\x04abcd", capture.ProxyV2, capture.Closed, "too small", 0},
		{"half of PROXY v2", v2 + "\x21\x11\x00\x0cabcd", capture.ProxyV2, capture.Closed, "not complete", 0},
		{"PROXY v1, then garbage", "PROXY UNKNOWN\r\n\x00\x01", capture.ProxyV1, capture.Closed, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := l.send(tt.in)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			r := l.record()
			if r.Kind != tt.kind || r.End != tt.end || r.Answered != tt.answered || string(r.Raw) != tt.in {
				t.Errorf("record %+v, raw %q", r, r.Raw)
			}
			if (tt.problem == "") != (r.Problem == "") || !strings.Contains(r.Problem, tt.problem) {
				t.Errorf("problem %q, want %q", r.Problem, tt.problem)
			}
			answer, err := io.ReadAll(c)
			if err != nil || strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", tt.answered)) != (tt.answered != 0) {
				t.Errorf("answer %q, %v", answer, err)
			}
		})
	}
}

// TestSendersThatWait: nobody closes, and the record comes all the same.
func TestSendersThatWait(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		kind     capture.Kind
		end      capture.End
		answered int
	}{
		{"silence", "", capture.Silence, capture.TimedOut, 0},
		{"a banner", "SSH-2.0-Go\r\n", capture.Other, capture.Quiet, 0},
		{"half a head", "GET / HTTP/1.1\r\nHost: a\r\n", capture.HTTPRequest, capture.TimedOut, 408},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", capture.HTTPRequest, capture.TimedOut, 408},
		{"half of PROXY", "PROXY TCP4", capture.ProxyV1, capture.TimedOut, 0},
		{"PROXY alone", "PROXY UNKNOWN\r\n", capture.ProxyV1, capture.TimedOut, 0},
		{"half a hello", "\x16\x03\x01\x02\x00\x01", capture.TLSHello, capture.TimedOut, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, capture.Config{Silence: 400 * time.Millisecond})
			l.send(tt.in)
			if r := l.record(); r.Kind != tt.kind || r.End != tt.end || r.Answered != tt.answered || string(r.Raw) != tt.in {
				t.Errorf("record %+v, raw %q", r, r.Raw)
			}
		})
	}
}

func TestDripIsOneRecord(t *testing.T) {
	l := listen(t, capture.Config{})
	for _, sent := range []string{
		request(t, triage.AWSCLB, l.server.Addresses()[0]),
		"PROXY TCP4 192.0.2.1 10.0.0.1 1234 80\r\n" + request(t, triage.AWSALB, l.server.Addresses()[0]),
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		c := l.dial()
		if err := c.SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
		for i := range len(sent) {
			if _, err := io.WriteString(c, sent[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if r := l.record(); string(r.Raw) != sent || r.Request == nil || r.Answered != 200 || r.Problem != "" {
			t.Errorf("record %+v, raw %q", r, r.Raw)
		}
		c.Close()
	}
}

func TestDripDoesNotOutliveTheDeadline(t *testing.T) {
	t.Parallel()
	l := listen(t, capture.Config{Silence: 300 * time.Millisecond})
	c := l.send("GET / HTTP/1.1\r\n")
	for {
		if _, err := io.WriteString(c, "A"); err != nil {
			break // closed, at last
		}
		select {
		case r := <-l.records:
			if r.End != capture.TimedOut || r.Answered != 408 {
				t.Errorf("record %+v", r)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Error("the connection ended without a record")
}

func TestReset(t *testing.T) {
	l := listen(t, capture.Config{})
	for _, in := range []string{"", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf"} {
		c := l.send(in)
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
		// The kernel may throw away what came before a reset, so bytes can be missing, not wrong.
		if r := l.record(); r.End != capture.Reset || r.Answered != 0 || !strings.HasPrefix(in, string(r.Raw)) {
			t.Errorf("after %q: %+v, raw %q", in, r, r.Raw)
		}
	}
}

func TestHugeHead(t *testing.T) {
	l := listen(t, capture.Config{})
	for _, tt := range []struct {
		start, repeat string
		kind          capture.Kind
		answered      int
	}{
		{"GET / HTTP/1.1\r\nA: ", "x", capture.HTTPRequest, 431},
		{"GET /", "x", capture.HTTPRequest, 431},
		{"", "x", capture.Other, 0},
		{"\x16\x03", "\x03", capture.TLSHello, 0},
	} {
		c := l.dial()
		go func() { // until the server closes
			piece := []byte(strings.Repeat(tt.repeat, 32<<10))
			_, err := io.WriteString(c, tt.start)
			for err == nil {
				_, err = c.Write(piece)
			}
		}()
		r := l.record()
		if r.Kind != tt.kind || r.Answered != tt.answered || len(r.Raw) > capture.MaxHead+capture.MaxBody {
			t.Errorf("%q…: %+v, %d bytes", tt.start, r, len(r.Raw))
		}
		c.Close()
	}
}

func TestBodyIsBounded(t *testing.T) {
	const size = 1 << 20
	l := listen(t, capture.Config{})
	head := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size)
	l.send(head + strings.Repeat("x", size))
	r := l.record()
	if r.Request == nil || r.Request.BodyBytes != size || r.Answered != 200 {
		t.Fatalf("record %+v", r)
	}
	if len(r.Raw) != len(head)+capture.MaxBody || r.Dropped != size-capture.MaxBody {
		t.Errorf("kept %d, dropped %d", len(r.Raw), r.Dropped)
	}
}

func TestEndlessBody(t *testing.T) {
	l := listen(t, capture.Config{})
	c := l.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	go func() { // until the server closes
		piece := []byte(strings.Repeat("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n", 8))
		for {
			if _, err := c.Write(piece); err != nil {
				return
			}
		}
	}()
	if r := l.record(); r.End != capture.Limit || r.Answered != 413 || !strings.Contains(r.Problem, "64 MiB") {
		t.Errorf("record %+v", r)
	}
	c.Close()
}

// TestGarbage: whatever is sent, there is a record, the server survives, and the raw bytes of a connection's
// records are exactly what it sent.
func TestGarbage(t *testing.T) {
	l := listen(t, capture.Config{Silence: time.Second})
	random := rand.New(rand.NewPCG(1, 2))
	starts := []string{"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET ", "PROXY ", "\r\n\r\n\x00\r\nQUIT\n\x21\x11", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\n"}
	for range 100 {
		garbage := make([]byte, random.IntN(2000))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		sent := starts[random.IntN(len(starts))] + string(garbage)
		c := l.send(sent)
		_ = c.CloseWrite() // fails where the server has seen enough and reset
		var got []byte
		for len(got) < len(sent) || got == nil {
			r := l.record()
			if got = append(got, r.Raw...); len(r.Raw) == 0 {
				break
			}
		}
		if string(got) != sent {
			t.Fatalf("recorded %q of %q", got, sent)
		}
		c.Close()
	}
}
