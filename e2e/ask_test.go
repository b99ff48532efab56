package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// answer is a response as it came, byte for byte, and what it says.
type answer struct {
	raw    []byte
	status int
	header http.Header
	body   string
}

// ask sends request, which must ask for the connection to be closed, and reads
// the answer to its end.
func ask(t *testing.T, addr netip.AddrPort, request string) answer {
	t.Helper()
	a, err := exchange(addr, request)
	if err != nil {
		t.Fatalf("ask %s: %v", addr, err)
	}
	return a
}

// askHealth sends what an Application Load Balancer sends, header set and
// order as in a published capture: above all, Host is the target's address.
func askHealth(t *testing.T, addr netip.AddrPort, path string) answer {
	t.Helper()
	return ask(t, addr, fmt.Sprintf("GET %s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n"+
		"user-agent: ELB-HealthChecker/2.0\r\naccept-encoding: gzip, compressed\r\n\r\n", path, addr))
}

// askPage asks for a page as a visitor of mysite.com does whose https ended at
// the load balancer.
func askPage(t *testing.T, addr netip.AddrPort) answer {
	t.Helper()
	return ask(t, addr, "GET / HTTP/1.1\r\nHost: mysite.com\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
}

// answers tells whether anything answers HTTP at addr.
func answers(addr netip.AddrPort) bool {
	_, err := exchange(addr, "GET /health_check HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	return err == nil
}

func exchange(addr netip.AddrPort, request string) (answer, error) {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return answer{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if err != nil {
		return answer{}, err
	}
	return parseAnswer(raw)
}

func parseAnswer(raw []byte) (answer, error) {
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		return answer{}, fmt.Errorf("%w in %q", err, raw)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{raw: raw, status: resp.StatusCode, header: resp.Header, body: string(body)}, err
}

// portText is a port in decimal.
func portText(p uint16) string { return strconv.Itoa(int(p)) }
