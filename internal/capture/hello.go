package capture

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// errSeen ends a handshake once its hello has been read.
var errSeen = errors.New("the hello has been seen")

// readHello records a TLS hello. crypto/tls itself reads it: a server that stops before its first answer.
func (c *conn) readHello() {
	from := tap{conn: c}
	server := tls.Server(&from, &tls.Config{
		GetConfigForClient: func(offer *tls.ClientHelloInfo) (*tls.Config, error) {
			c.rec.Hello = helloOf(offer)
			return nil, errSeen
		},
	})
	err := server.Handshake()
	c.rec.End = Complete
	switch {
	case c.rec.Hello != nil:
	case from.end != "":
		c.rec.End = from.end
		c.rec.Problem = "the TLS hello is not complete: " + c.why(from.end)
	default:
		c.rec.Problem = "not a valid TLS hello: " + err.Error()
	}
}

func helloOf(offer *tls.ClientHelloInfo) *Hello {
	h := &Hello{ServerName: offer.ServerName, ALPN: offer.SupportedProtos}
	for _, version := range offer.SupportedVersions {
		if version&0x0f0f == 0x0a0a && version>>8 == version&0xff {
			continue // GREASE (RFC 8701): not a version, only there to be ignored
		}
		h.Versions = append(h.Versions, tls.VersionName(version))
	}
	return h
}

// tap is a connection for crypto/tls that reads what a conn receives, without consuming it, and drops what is
// written: nothing is meant for the sender. crypto/tls uses nothing else of a net.Conn in a handshake.
type tap struct {
	net.Conn
	conn *conn
	at   int // how many bytes of conn.in have been read
	end  End // why there is no more
}

func (t *tap) Read(b []byte) (int, error) {
	for t.at == len(t.conn.in) {
		if t.at >= MaxHead {
			t.end = Limit
		} else {
			t.end = t.conn.fill(0)
		}
		if t.end != "" {
			return 0, io.EOF
		}
	}
	n := copy(b, t.conn.in[t.at:])
	t.at += n
	return n, nil
}

func (t *tap) Write(b []byte) (int, error) { return len(b), nil }
