package probe

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/triage-lb/triage"
)

// proxyServer reads a PROXY header of so many bytes (a line, where it is 0), hands it on, and goes on as a server does.
func proxyServer(t *testing.T, header chan<- []byte, size int, config *tls.Config) string {
	return serveRaw(t, func(c net.Conn) {
		var got []byte
		for b := make([]byte, 1); size == 0 && !bytes.HasSuffix(got, []byte("\r\n")) || len(got) < size; got = append(got, b[0]) {
			if _, err := c.Read(b); err != nil {
				break
			}
		}
		header <- got
		if config != nil {
			c = tls.Server(c, config)
		}
		untilHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Close()
	})
}

// TestProxyHeader: it comes before everything else, TLS included, and says the truth.
func TestProxyHeader(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	for _, c := range []struct {
		protocol triage.Protocol
		version  triage.ProxyProtocol
		size     int
		want     triage.Outcome
	}{
		{triage.HTTP, triage.ProxyV1, 0, triage.Matched},
		{triage.HTTP, triage.ProxyV2, 16, triage.Matched},
		{triage.HTTPS, triage.ProxyV1, 0, triage.Matched},
		{triage.HTTPS, triage.ProxyV2, 16, triage.Matched},
		{triage.TCP, triage.ProxyV1, 0, triage.Connected},
		{triage.TCP, triage.ProxyV2, 16, triage.Connected},
	} {
		header := make(chan []byte, 1)
		secure := config
		if !c.protocol.Encrypted() {
			secure = nil
		}
		address := proxyServer(t, header, c.size, secure)
		check := settings(c.protocol)
		check.ProxyProtocol = c.version
		x := do(t, address, check)
		got := <-header
		if x.Outcome != c.want || x.Proxy != c.version {
			t.Errorf("%s %s: %s (%s)", c.protocol, c.version, x.Outcome, x.Detail)
		}
		to := netip.MustParseAddrPort(address)
		want := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
		if c.version == triage.ProxyV1 {
			want = fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", x.Local.Port(), to.Port())
		}
		if string(got) != want {
			t.Errorf("%s %s: the server got %q, want %q", c.protocol, c.version, got, want)
		}
		if bytes.Contains(x.Sent, []byte("PROXY")) {
			t.Errorf("%s %s: the request shown is %q", c.protocol, c.version, x.Sent)
		}
	}
}

// TestSourceAddress: checks come from where they are told to.
func TestSourceAddress(t *testing.T) {
	from := make(chan string, 1)
	address := serveRaw(t, func(c net.Conn) {
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
	})
	c := settings(triage.TCP)
	c.Source = netip.MustParseAddr("127.0.0.9")
	if x := do(t, address, c); x.Outcome != triage.Connected || x.Local.Addr() != c.Source {
		t.Fatalf("%s (%s) from %s", x.Outcome, x.Detail, x.Local)
	}
	if got := <-from; got != "127.0.0.9" {
		t.Errorf("the server saw %s", got)
	}
	c.Source = netip.MustParseAddr("203.0.113.7")
	x := do(t, address, c)
	if x.Outcome.Verdict() != triage.Neutral || !bytes.Contains([]byte(x.Detail), []byte("is the source address 203.0.113.7 one of this machine?")) {
		t.Errorf("not ours: %s (%s)", x.Outcome, x.Detail)
	}
	c.Source = netip.MustParseAddr("::1")
	x = do(t, address, c)
	if x.Outcome.Verdict() != triage.Neutral || !bytes.Contains([]byte(x.Detail), []byte("127.0.0.1 cannot be asked from the source address ::1")) {
		t.Errorf("of the other sort: %s (%s)", x.Outcome, x.Detail)
	}
}
