//go:build linux

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// secureSite is the site's HTTPS half: crypto/tls with its defaults, which hand out session tickets, and a port
// for each sort of certificate. It always answers checks well. It ends with its context.
type secureSite struct {
	tally   *tally
	running sync.WaitGroup
}

// startSecure makes the certificates and listens on every address of the namespace.
func startSecure(ctx context.Context, t *tally) (*secureSite, error) {
	s := &secureSite{tally: t}
	for _, p := range []protocol{httpsP256, httpsRSA} {
		certificate, err := selfSigned(p)
		if err != nil {
			return s, fmt.Errorf("%s: %w", p, err)
		}
		listener, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: p.port()})
		if err != nil {
			return s, err
		}
		s.serve(ctx, listener, certificate)
	}
	return s, nil
}

// wait returns when all connections have ended; the context has to end before.
func (s *secureSite) wait() { s.running.Wait() }

// serve takes connections until ctx ends.
func (s *secureSite) serve(ctx context.Context, listener net.Listener, certificate tls.Certificate) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	s.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.tally.connection()
			s.running.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				s.converse(ctx, conn, config)
			})
		}
	})
}

// converse answers the requests of one connection until the checker closes it.
func (s *secureSite) converse(ctx context.Context, raw net.Conn, config *tls.Config) {
	here, ok := raw.LocalAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	target := targetNumber([4]byte(here.IP.To4()))
	conn := tls.Server(raw, config)
	if conn.HandshakeContext(ctx) != nil {
		return
	}
	s.tally.handshake(conn.ConnectionState())
	var found requests
	buf := make([]byte, 1<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		for in := buf[:n]; len(in) > 0; {
			wants, rest, complete := found.next(in)
			if !complete {
				break
			}
			in = rest
			answer := siteOK
			if wants == askedUnknown {
				answer = siteUnknown
			}
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
			if wants == askedCheck {
				s.tally.check(target)
			}
		}
	}
}

// selfSigned makes a key and a certificate for it, as a small server behind a balancer has one.
func selfSigned(p protocol) (tls.Certificate, error) {
	var key crypto.Signer
	var err error
	if p == httpsRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{targetHost},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, nil
}
