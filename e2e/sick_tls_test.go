package e2e

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// startSickTLS starts servers that speak TLS, or should. Those that are well have a certificate of the authority.
func startSickTLS(t *testing.T, trusted *authority) []sickServer {
	t.Helper()
	ok := func(*http.Request) badinput.Answer { return answerOf(200, "") }
	well := tls.Config{Certificates: []tls.Certificate{trusted.issue(t, nil)}}
	var servers []sickServer
	add := func(name string, change func(*tls.Config), says func(*http.Request) badinput.Answer) {
		config := well.Clone()
		if change != nil {
			change(config)
		}
		servers = append(servers, sickServer{name, serveSecurely(t, config, says)})
	}
	show := func(c tls.Certificate) func(*tls.Config) {
		return func(config *tls.Config) { config.Certificates = []tls.Certificate{c} }
	}
	only := func(version uint16) func(*tls.Config) {
		return func(config *tls.Config) { config.MinVersion, config.MaxVersion = version, version }
	}

	add("well", nil, ok)
	add("503", nil, func(*http.Request) badinput.Answer { return answerOf(503, "") })
	add("302 to plain HTTP", nil, func(*http.Request) badinput.Answer {
		return answerOf(302, "Location: http://127.0.0.1:1/\r\n")
	})
	addCertificates(t, trusted, func(name string, c tls.Certificate) { add(name, show(c), ok) })

	add("TLS 1.0 alone", only(tls.VersionTLS10), ok)
	add("TLS 1.1 alone", only(tls.VersionTLS11), ok)
	add("TLS 1.2 alone", only(tls.VersionTLS12), ok)
	add("TLS 1.3 alone", only(tls.VersionTLS13), ok)
	big := rsaKey(t)
	add("ciphers without forward secrecy alone", func(c *tls.Config) {
		show(trusted.issueFor(t, big, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }))(c)
		only(tls.VersionTLS12)(c)
		c.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	}, ok)
	add("wants a client certificate, TLS 1.2", func(c *tls.Config) {
		only(tls.VersionTLS12)(c)
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, trusted.pool()
	}, ok)
	add("wants a client certificate, TLS 1.3", func(c *tls.Config) {
		only(tls.VersionTLS13)(c)
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, trusted.pool()
	}, ok)
	add("knows localhost alone", func(c *tls.Config) {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName != "localhost" {
				return nil, io.ErrUnexpectedEOF // an alert: internal error
			}
			return nil, nil
		}
	}, ok)
	add("knows HTTP/1.1 alone (ALPN)", func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, ok)
	servers = append(servers, sickServer{"offers HTTP/2", serveHTTP2(t, &well)})
	add("knows another protocol alone (ALPN)", func(c *tls.Config) { c.NextProtos = []string{"mqtt"} }, ok)

	for _, name := range []string{
		"no handshake, and hangs", "no handshake, and closes", "no handshake, and resets", "an alert, and closes", "half a hello, and closes",
		"a hello of zeros", "HTTP in place of a handshake", "an SSH server in place of a handshake",
	} {
		a := knownAnswer(t, name)
		servers = append(servers, sickServer{name, badinput.Listen(t, a, "https").Address})
	}
	for _, name := range []string{"nothing, and hangs", "nothing, and closes", "nothing, and resets", "less than the length, and closes", "half a head, and closes"} {
		a := knownAnswerOr(t, name)
		add(name, nil, func(*http.Request) badinput.Answer { return a })
	}
	plain := serveRequests(t, ok)
	gone, release := badinput.Nobody(t)
	t.Cleanup(release)
	return append(servers, sickServer{"plain HTTP", plain}, sickServer{"nobody", gone})
}

// addCertificates issues a certificate of each kind of fault.
func addCertificates(t *testing.T, trusted *authority, add func(string, tls.Certificate)) {
	t.Helper()
	stranger := newAuthority(t, "Somebody Else")
	between := trusted.under(t, "Between")
	faulty := func(change func(*x509.Certificate)) tls.Certificate { return trusted.issue(t, change) }
	add("expired", faulty(func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}))
	add("not valid yet", faulty(func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
	}))
	add("for another name", faulty(func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames, c.IPAddresses = "other.example", []string{"other.example"}, nil
	}))
	add("for a name as its subject alone", faulty(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }))
	add("for clients", faulty(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
	add("of an unknown authority", stranger.issue(t, nil))
	add("signed by itself", ownCertificate(t))
	add("with its chain", between.issue(t, nil))
	alone := between.issue(t, nil)
	alone.Certificate = alone.Certificate[:1]
	add("without its chain", alone)
}

// knownAnswerOr is knownAnswer, and half a head that then closes.
func knownAnswerOr(t *testing.T, name string) badinput.Answer {
	t.Helper()
	if name == "half a head, and closes" {
		return badinput.Answer{Says: "HTTP/1.1 200 OK\r\nContent-", Then: badinput.Closes}
	}
	return knownAnswer(t, name)
}

// serveHTTP2 starts Go's own web server, which speaks HTTP/2 to whoever offers it.
func serveHTTP2(t *testing.T, config *tls.Config) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS, s.EnableHTTP2, s.Config.ErrorLog = config.Clone(), true, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

// serveSecurely answers one request on each connection, inside TLS.
func serveSecurely(t *testing.T, config *tls.Config, says func(*http.Request) badinput.Answer) netip.AddrPort {
	t.Helper()
	return badinput.Serve(t, func(c *net.TCPConn) {
		inside := tls.Server(c, config)
		r, err := http.ReadRequest(bufio.NewReader(inside))
		if err != nil {
			return
		}
		a := says(r)
		if _, err := io.WriteString(inside, a.Bytes(1<<20)); err != nil {
			return
		}
		if a.Then == badinput.Closes {
			inside.CloseWrite()
		}
		badinput.End(c, a.Then)
	}).Address
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
