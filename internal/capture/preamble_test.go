package capture_test

import (
	"bytes"
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
	"github.com/triage-lb/triage/internal/dialect"
)

func TestTLSHello(t *testing.T) {
	l := listen(t, capture.Config{})
	for _, tt := range []struct {
		name   string
		before string
		config *tls.Config
		kind   capture.Kind
		want   capture.Hello
	}{
		{"a browser", "", &tls.Config{ServerName: "mysite.com", NextProtos: []string{"h2", "http/1.1"}}, capture.TLSHello,
			capture.Hello{ServerName: "mysite.com", ALPN: []string{"h2", "http/1.1"}, Versions: []string{"TLS 1.3", "TLS 1.2"}}},
		{"a Classic ELB", "", dialect.Get(triage.AWSCLB).TLS.Config(), capture.TLSHello,
			capture.Hello{Versions: []string{"TLS 1.2", "TLS 1.1", "TLS 1.0"}}},
		{"after PROXY", "PROXY UNKNOWN\r\n", &tls.Config{ServerName: "a.example"}, capture.ProxyV1,
			capture.Hello{ServerName: "a.example", Versions: []string{"TLS 1.3", "TLS 1.2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := l.send(tt.before)
			tt.config.InsecureSkipVerify = true
			if err := tls.Client(c, tt.config).HandshakeContext(t.Context()); err == nil {
				t.Error("the handshake completed")
			}
			r := l.record()
			if r.Kind != tt.kind || r.Hello == nil || r.Problem != "" || !bytes.HasPrefix(r.Raw, []byte(tt.before+"\x16\x03")) {
				t.Fatalf("record %+v", r)
			}
			if r.Hello.ServerName != tt.want.ServerName || !slices.Equal(r.Hello.ALPN, tt.want.ALPN) || !slices.Equal(r.Hello.Versions, tt.want.Versions) {
				t.Errorf("hello %+v, want %+v", r.Hello, tt.want)
			}
			if !strings.Contains(strings.Join(r.Remarks, "\n"), "This is TLS") {
				t.Errorf("remarks %q", r.Remarks)
			}
		})
	}
}

// TestHTTP2 is named as what it is, and what a load balancer's own connection says before it does not hide it.
func TestHTTP2(t *testing.T) {
	const preface, settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	l := listen(t, capture.Config{})
	for _, version := range []triage.ProxyProtocol{triage.NoProxy, triage.ProxyV1, triage.ProxyV2} {
		for _, as := range []triage.Dialect{triage.Own, triage.AWSNLB} {
			header := dialect.Get(as).AppendProxy(nil, version, netip.MustParseAddrPort("10.0.0.9:1"), netip.MustParseAddrPort("10.0.0.1:80"))
			l.send(string(header) + preface + settings).Close()
			r := l.record()
			remarks := strings.Join(r.Remarks, "\n")
			if (r.Kind == capture.HTTP2Preface) != (version == triage.NoProxy) || (r.Proxy != nil) == (version == triage.NoProxy) {
				t.Errorf("%s, PROXY %q: %s, %+v", as, version, r.Kind, r.Proxy)
			}
			if !strings.Contains(remarks, "prior knowledge): a check over h2c or gRPC") || strings.Contains(remarks, "Nothing follows") {
				t.Errorf("%s, PROXY %q: remarks %q", as, version, r.Remarks)
			}
		}
	}
}

func TestProxyHeaders(t *testing.T) {
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	client, us := netip.MustParseAddrPort("192.0.2.1:1234"), netip.MustParseAddrPort("10.0.0.1:80")
	client6, us6 := netip.MustParseAddrPort("[2001:db8::1]:1234"), netip.MustParseAddrPort("[2001:db8::2]:80")
	l := listen(t, capture.Config{})
	for _, tt := range []struct {
		name, header string
		kind         capture.Kind
		want         capture.Proxy
	}{
		{"v1", "PROXY TCP4 192.0.2.1 10.0.0.1 1234 80\r\n", capture.ProxyV1, capture.Proxy{Version: 1, Command: "PROXY", Source: client, Destination: us}},
		{"v1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 80\r\n", capture.ProxyV1, capture.Proxy{Version: 1, Command: "PROXY", Source: client6, Destination: us6}},
		{"v1, unknown", "PROXY UNKNOWN whatever\r\n", capture.ProxyV1, capture.Proxy{Version: 1, Command: "UNKNOWN"}},
		{"v2", v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x04\xd2\x00\x50", capture.ProxyV2, capture.Proxy{Version: 2, Command: "PROXY", Source: client, Destination: us}},
		{"v2, IPv6 and more", v2 + "\x21\x21\x00\x28" + string(client6.Addr().AsSlice()) + string(us6.Addr().AsSlice()) + "\x04\xd2\x00\x50\x03\x00\x01x", capture.ProxyV2, capture.Proxy{Version: 2, Command: "PROXY", Source: client6, Destination: us6}},
		{"v2, local", v2 + "\x20\x00\x00\x00", capture.ProxyV2, capture.Proxy{Version: 2, Command: "LOCAL"}},
		{"v2, a Unix socket", v2 + "\x21\x31\x00\x03abc", capture.ProxyV2, capture.Proxy{Version: 2, Command: "PROXY"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sent := tt.header + request(t, triage.AWSALB, l.server.Addresses()[0])
			l.send(sent)
			r := l.record()
			tt.want.HeaderBytes = len(tt.header)
			if r.Kind != tt.kind || r.Proxy == nil || *r.Proxy != tt.want || string(r.Raw) != sent {
				t.Errorf("record %+v, header %+v", r, r.Proxy)
			}
			if r.Request == nil || r.Sender == nil || r.Answered != 200 {
				t.Errorf("the request after the header: %+v", r)
			}
		})
	}
}
