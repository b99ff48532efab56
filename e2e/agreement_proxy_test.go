package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// TestAgreementProxy is TestAgreement for checks with a header of the PROXY protocol before them, of servers that want one
// or do not.
func TestAgreementProxy(t *testing.T) {
	requireTools(t)
	t.Parallel()
	none := func([]byte, net.Addr) bool { return false }
	text := func(header []byte, _ net.Addr) bool { return bytes.HasPrefix(header, []byte("PROXY ")) }
	binary := func(header []byte, _ net.Addr) bool { return bytes.HasPrefix(header, []byte("\r\n\r\n\x00\r\nQUIT\n")) }
	servers := []sickServer{
		{"takes v1", serveProxied(t, text)},
		{"takes v2", serveProxied(t, binary)},
		{"takes either", serveProxied(t, func(header []byte, a net.Addr) bool { return text(header, a) || binary(header, a) })},
		{"takes none, and closes", serveProxied(t, none)},
		{"wants the checker's own address and port", serveProxied(t, func(header []byte, client net.Addr) bool {
			host, port, err := net.SplitHostPort(client.String())
			return err == nil && bytes.HasPrefix(header, []byte("PROXY TCP4 "+host+" "+host+" "+port+" "))
		})},
		{"wants LOCAL without an address", serveProxied(t, func(header []byte, a net.Addr) bool {
			return binary(header, a) && bytes.Equal(header[12:], []byte{0x20, 0, 0, 0})
		})},
		{"knows no PROXY protocol", serveRequests(t, func(*http.Request) badinput.Answer { return answerOf(200, "") })},
	}
	way := func(name string, version triage.ProxyProtocol, words string) haproxyWay {
		return haproxyWay{judge{name: name, dialect: triage.HAProxyHTTP11, path: "/health", host: realName, codes: true, settings: func(c *triage.HealthCheck) {
			c.ProxyProtocol = version
		}}, httpchk + sendHTTP11, words}
	}
	judges := judgeByHAProxy(t, servers,
		way("haproxy", triage.NoProxy, ""),
		way("haproxy, v1", triage.ProxyV1, "check-send-proxy"),
		way("haproxy, v2", triage.ProxyV2, "check-send-proxy send-proxy-v2"))
	compareJudgements(t, judges, servers, nil)
}

// serveProxied answers a request behind a header that it takes, and closes the connection after any other.
func serveProxied(t *testing.T, takes func(header []byte, client net.Addr) bool) netip.AddrPort {
	t.Helper()
	return badinput.Serve(t, func(c *net.TCPConn) {
		header, err := readPreamble(c)
		if err != nil || !takes(header, c.RemoteAddr()) {
			badinput.End(c, badinput.Closes)
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			a := answerOf(200, "")
			io.WriteString(c, a.Says)
			badinput.End(c, a.Then)
		}
	}).Address
}
