package probe

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestMissingClientCertificateIsARefusal: in TLS 1.3 the alert comes when our side of the handshake is over and
// the request is sent. It used to be told as a reset in place of an answer.
func TestMissingClientCertificateIsARefusal(t *testing.T) {
	for version, alert := range map[uint16]string{tls.VersionTLS12: "tls: handshake failure", tls.VersionTLS13: "tls: certificate required"} {
		config := &tls.Config{MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{certificate(t)}, ClientAuth: tls.RequireAnyClientCert}
		address := serveRaw(t, func(c net.Conn) {
			tls.Server(c, config).Handshake()
			io.Copy(io.Discard, c) // closing with the request unread would be a reset
		})
		x := do(t, address, settings(triage.HTTPS))
		if x.Outcome != triage.TLSRefused || x.Detail != "the target's alert: "+alert {
			t.Errorf("%s: %s (%s)", tls.VersionName(version), x.Outcome, x.Detail)
		}
	}
}

// TestResetBeforeOurLastHandshakeMessage: a tls check asks nothing, so nothing can end before an answer.
func TestResetBeforeOurLastHandshakeMessage(t *testing.T) {
	client, server := net.Pipe()
	ended := make(chan error, 1)
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	go func() { ended <- tls.Server(server, config).Handshake() }()
	s, _ := Compile(dialect.Get(triage.Own), settings(triage.TLS)).Start(target, time.Unix(1, 0))
	at := time.Unix(2, 0)
	a := s.Handle(Event{Kind: Connected, At: at})
	buf := make([]byte, 16<<10)
	for s.stage != finishing {
		switch a.Kind {
		case Write:
			if _, err := client.Write(a.Data); err != nil {
				t.Fatal(err)
			}
			a = s.Handle(Event{Kind: Written, At: at})
		case Wait:
			n, err := client.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			a = s.Handle(Event{Kind: Data, Data: buf[:n], At: at})
		default:
			t.Fatalf("done before the last message: %s", s.Exchange().Outcome)
		}
	}
	client.Close()
	<-ended
	a = s.Handle(Event{Kind: Reset, Err: syscall.ECONNRESET, At: at})
	if x := s.Exchange(); a.Kind != Done || x.Outcome != triage.TLSClosed {
		t.Errorf("action %d, %s (%s)", a.Kind, x.Outcome, x.Detail)
	}
}

// TestTLSCheckOffersNoHTTP: a target that speaks another protocol inside TLS would refuse the handshake for the offer alone.
func TestTLSCheckOffersNoHTTP(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"imap"}}
	address := serveRaw(t, func(c net.Conn) {
		tls.Server(c, config).Handshake()
		io.Copy(io.Discard, c)
	})
	check := settings(triage.TLS)
	check.TLS.Verify = triage.No
	for _, as := range []triage.Dialect{triage.Consul, triage.Blackbox} {
		x := Do(context.Background(), Compile(dialect.Get(as), check), keyOf(address), triage.AddressPolicy{})
		if x.Outcome != triage.Handshaken {
			t.Errorf("%s: %s (%s)", as, x.Outcome, x.Detail)
		}
	}
}
