package badinput

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// Server is a listener that treats every connection in the same way.
type Server struct {
	Address netip.AddrPort

	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu; nil once closed
}

// Listen serves the answer to every connection, inside TLS if the checks are of https.
func Listen(t testing.TB, a Answer, p triage.Protocol) *Server {
	t.Helper()
	var config *tls.Config
	if p.Encrypted() && !a.Handshake {
		config = &tls.Config{Certificates: []tls.Certificate{Certificate(t)}}
	}
	if p == triage.H2 {
		config.NextProtos = []string{"h2"}
	}
	return Serve(t, func(c *net.TCPConn) {
		switch {
		case a.Handshake:
			awaitHello(c)
			say(c, a)
		case config != nil:
			if inside := tls.Server(c, config); inside.Handshake() == nil {
				awaitRequest(inside)
				say(inside, a)
				if io.WriteString(c, a.Beyond); a.Then == Closes && a.Beyond == "" {
					inside.CloseWrite()
				}
			}
		default:
			awaitRequest(c)
			say(c, a)
		}
		End(c, a.Then)
	})
}

// Serve calls handle for every connection, on a goroutine of its own, and closes the connection when that returns.
// The server is closed at the end of the test, if not before.
func Serve(t testing.TB, handle func(*net.TCPConn)) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		Address:  netip.MustParseAddrPort(l.Addr().String()),
		listener: l,
		conns:    map[net.Conn]struct{}{},
	}
	s.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.all.Go(func() {
				defer s.drop(c)
				if s.admit(c) {
					handle(c.(*net.TCPConn))
				}
			})
		}
	})
	t.Cleanup(s.Close)
	return s
}

// Close ends the listener and all connections, and returns when nothing of them is left. Closing twice is harmless.
func (s *Server) Close() {
	s.mu.Lock()
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.all.Wait()
}

func (s *Server) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	c.Close()
}

// say says what the answer has to say, or as much of it as is taken.
func say(c net.Conn, a Answer) {
	if a.Drips {
		drip(c, a)
		return
	}
	piece, times := a.Again, a.Times
	if times == Forever {
		piece = strings.Repeat(piece, 1+(64<<10)/len(piece))
	} else {
		piece, times = strings.Repeat(piece, times), 1
	}
	if _, err := io.WriteString(c, a.Says); err != nil {
		return
	}
	for range times {
		if _, err := io.WriteString(c, piece); err != nil {
			return
		}
	}
	io.WriteString(c, a.Last)
}

// drip says a drop of the answer each second until the client is gone.
func drip(c net.Conn, a Answer) {
	io.WriteString(c, a.Says)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, c)
	}()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-second.C:
			io.WriteString(c, a.Again)
		case <-gone:
			return
		}
	}
}

// End ends a connection.
func End(c *net.TCPConn, how Ending) {
	switch how {
	case Resets:
		c.SetLinger(0)
		return
	case Closes:
		c.CloseWrite()
	}
	io.Copy(io.Discard, c) // to close with bytes unread would be a reset
}

// awaitRequest reads a request.
func awaitRequest(c net.Conn) {
	var got []byte
	b := make([]byte, 1024)
	for !asked(string(got)) {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		got = append(got, b[:n]...)
	}
}

// asked tells whether got is a whole request without content, or one over HTTP/2.
func asked(got string) bool {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	rest, http2 := strings.CutPrefix(got, preface)
	if !http2 {
		return strings.HasSuffix(got, "\r\n\r\n") && !strings.HasPrefix(preface, got)
	}
	for len(rest) >= frameHeader {
		kind, flags := rest[3], rest[4]
		n := frameHeader + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
		if (kind == typeData || kind == typeHeaders) && flags&endsStream != 0 {
			return len(rest) >= n
		}
		rest = rest[min(n, len(rest)):]
	}
	return false
}

// awaitHello reads the record that begins a TLS handshake.
func awaitHello(c net.Conn) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(c, header); err == nil {
		io.CopyN(io.Discard, c, int64(header[3])<<8|int64(header[4]))
	}
}

// Certificate makes a certificate that nobody else has signed. Its signatures are all of one length.
func Certificate(t testing.TB) tls.Certificate {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, own, own, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
