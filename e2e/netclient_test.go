package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
)

// netClient asks by Go's own client, set up as a product that is written in Go sets it up: the products themselves are
// too large to run here. Options and values are from their sources.
type netClient struct {
	name      string
	transport http.Transport
	redirect  func(*http.Request, []*http.Request) error // nil: net/http's own rule
	header    http.Header
	read      int64 // bytes of the body that are read; -1: to its end
	passes    func(code int) bool
}

// netClients returns the products, for one test. Those that verify certificates do it by this configuration.
func netClients(t *testing.T, verify *tls.Config) []*netClient {
	dialer := net.Dialer{Control: lingerOneSecond}
	either := new(http.Protocols)
	either.SetHTTP1(true)
	either.SetHTTP2(true)
	clients := []*netClient{
		{ // pkg/probe/http/http.go, pkg/probe/dialer_others.go, staging/src/k8s.io/apimachinery/pkg/util/net/http.go
			name: "kubelet",
			transport: http.Transport{
				DisableKeepAlives: true, DisableCompression: true, DialContext: dialer.DialContext,
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: either,
			},
			redirect: redirectToSameHost,
			header:   http.Header{"User-Agent": {"kube-probe/1.32"}, "Accept": {"*/*"}},
			read:     10 << 10,
			passes:   func(code int) bool { return code >= 200 && code < 400 },
		},
		{ // pkg/healthcheck/healthcheck.go, pkg/server/service/transport.go
			name:      "traefik",
			transport: http.Transport{TLSClientConfig: verify.Clone(), Protocols: either},
			passes:    func(code int) bool { return code >= 200 && code < 400 },
		},
		{ // agent/checks/check.go
			name:      "consul",
			transport: http.Transport{DisableKeepAlives: true, TLSClientConfig: verify.Clone(), Protocols: either},
			header:    http.Header{"User-Agent": {"Consul Health Check"}, "Accept": {"text/plain, text/*, */*"}},
			read:      -1,
			passes:    func(code int) bool { return code >= 200 && code < 300 },
		},
	}
	for _, n := range clients {
		t.Cleanup(n.transport.CloseIdleConnections)
	}
	return clients
}

// check asks once, and returns whether that would be a pass, and the code or error that decided.
func (n *netClient) check(url string) (ok bool, code int, err error) {
	client := http.Client{Transport: &n.transport, CheckRedirect: n.redirect, Timeout: limit}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return false, 0, err
	}
	req.Header = n.header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := client.Do(req)
	if err != nil {
		return false, 0, err
	}
	defer resp.Body.Close()
	switch {
	case n.read < 0:
		_, err = io.Copy(io.Discard, resp.Body)
	case n.read > 0:
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, n.read))
	}
	return err == nil && n.passes(resp.StatusCode), resp.StatusCode, err
}

// redirectToSameHost is the kubelet's rule: a redirect to another host name is the answer itself, and an eleventh request an
// error.
func redirectToSameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// lingerOneSecond is the kubelet's socket option.
func lingerOneSecond(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
	})
	return errors.Join(err, failed)
}
