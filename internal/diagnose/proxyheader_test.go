package diagnose

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// behindProxy answers requests behind a PROXY line with this, and closes every other connection.
func behindProxy(answer string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
			return
		}
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(c, answer)
		}
	}
}

func TestProxyHeader(t *testing.T) {
	hosts := []string{"shop.example"}
	notFound := "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	live{protocol: triage.HTTP, hosts: hosts, code: "proxy-header-expected", certainty: triage.Proved, proof: "a PROXY v1 header: 200"}.check(t, accept(t, behindProxy(ok)))
	live{protocol: triage.HTTP, code: "proxy-header-expected", certainty: triage.Proved, proof: "a PROXY v1 header: 404"}.check(t, accept(t, behindProxy(notFound)))
	live{protocol: triage.TLS, as: triage.AWSCLB, code: Undiagnosed, certainty: triage.Unknown, among: []string{"tls-to-plain-port"}}.check(t, accept(t, behindProxy(ok)))
}

// TestProxyLineIsNoProofByItself: a server that closes every good request still answers 400 to a line that it cannot read.
func TestProxyLineIsNoProofByItself(t *testing.T) {
	live{protocol: triage.HTTP, code: Undiagnosed, certainty: triage.Unknown, among: []string{"closed-on-purpose"}}.check(t, serve(t, abort, nil, nil))
}

// TestUnexpectedProxyHeader: what is said in plain text may be about our header, and proves nothing about TLS.
func TestUnexpectedProxyHeader(t *testing.T) {
	for _, v := range []triage.ProxyProtocol{triage.ProxyV1, triage.ProxyV2} {
		live{protocol: triage.HTTP, proxy: v, code: "proxy-header-unexpected", certainty: triage.Proved, proof: "no PROXY header: 200"}.check(t, serve(t, fine, nil, nil))
		live{protocol: triage.HTTPS, proxy: v, code: Undiagnosed, certainty: triage.Unknown}.check(t, serve(t, fine, nil, nil))
	}
}
