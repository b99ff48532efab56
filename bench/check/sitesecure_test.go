//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
)

// TestSecureSite: checks and handshakes are counted, and a handshake that takes up a session is told apart.
func TestSecureSite(t *testing.T) {
	for _, p := range []protocol{httpsP256, httpsRSA} {
		t.Run(p.String(), func(t *testing.T) {
			certificate, err := selfSigned(p)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := x509.ParseCertificate(certificate.Certificate[0])
			if want := map[protocol]x509.PublicKeyAlgorithm{httpsP256: x509.ECDSA, httpsRSA: x509.RSA}[p]; err != nil || parsed.PublicKeyAlgorithm != want {
				t.Fatalf("the key is %s, %v", parsed.PublicKeyAlgorithm, err)
			}
			listener, err := net.Listen("tcp4", "127.16.0.2:0") // target number 2
			if err != nil {
				t.Fatal(err)
			}
			counts := &tally{}
			counts.reset(3)
			counts.record()
			s := &secureSite{tally: counts}
			ctx, stop := context.WithCancel(t.Context())
			s.serve(ctx, listener, certificate)
			client := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			for range 2 {
				askTwice(t, listener.Addr().String(), client)
			}
			stop()
			s.wait()
			report := counts.stop(1)
			if report.Checks != 4 || report.Accepted != 2 || report.Handshakes != 2 || report.Resumed != 1 || report.TLS != "TLS 1.3" {
				t.Errorf("%+v", report)
			}
			if counts.arrivals[0].target != 2 {
				t.Errorf("counted for target %d", counts.arrivals[0].target)
			}
		})
	}
}

// askTwice sends two checks over one connection.
func askTwice(t *testing.T, address string, config *tls.Config) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "ok\n" || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %q, %v", answer.Status, text, err)
		}
		_ = answer.Body.Close()
	}
}
