package dialect

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"

	"github.com/triage-lb/triage"
)

// TestAppendProxy: the bytes are those of proxy-protocol.txt, written by hand.
func TestAppendProxy(t *testing.T) {
	const local = "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a" + "\x20\x00\x00\x00"
	for _, c := range []struct {
		version        triage.ProxyProtocol
		from, to, want string
	}{
		{triage.NoProxy, "10.0.9.9:40000", "10.0.1.5:80", ""},
		{triage.ProxyV1, "10.0.9.9:40000", "10.0.1.5:80", "PROXY TCP4 10.0.9.9 10.0.1.5 40000 80\r\n"},
		{triage.ProxyV1, "[::ffff:10.0.9.9]:40000", "10.0.1.5:80", "PROXY TCP4 10.0.9.9 10.0.1.5 40000 80\r\n"},
		{triage.ProxyV1, "[fd00::9]:1", "[fd00::5]:65535", "PROXY TCP6 fd00::9 fd00::5 1 65535\r\n"},
		{triage.ProxyV1, "[fe80::9%eth0]:1", "[fe80::5%eth0]:2", "PROXY TCP6 fe80::9 fe80::5 1 2\r\n"},
		{triage.ProxyV1, "10.0.9.9:40000", "[fd00::5]:80", "PROXY UNKNOWN\r\n"},
		{triage.ProxyV2, "10.0.9.9:40000", "10.0.1.5:80", local},
		{triage.ProxyV2, "[fd00::9]:1", "[fd00::5]:2", local},
	} {
		got := appendProxy([]byte("before "), c.version, netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to))
		if string(got) != "before "+c.want {
			t.Errorf("%s from %s to %s: %q", c.version, c.from, c.to, got)
		}
	}
	if got := appendProxy(nil, triage.ProxyV1, netip.AddrPort{}, netip.MustParseAddrPort("10.0.1.5:80")); string(got) != "PROXY UNKNOWN\r\n" {
		t.Errorf("from nowhere: %q", got)
	}
}

// TestProxyLocalOfNLB: the header that was captured is whole, since its checksum is right (proxy-protocol.txt section
// 2.2.3), and what it says is LOCAL.
func TestProxyLocalOfNLB(t *testing.T) {
	header := Get(triage.AWSNLB).AppendProxy(nil, triage.ProxyV2, netip.AddrPort{}, netip.AddrPort{})
	if len(header) != 100 || header[12] != 0x20 || binary.BigEndian.Uint16(header[14:]) != uint16(len(header)-16) {
		t.Fatalf("%d bytes: %q", len(header), header)
	}
	sum := binary.BigEndian.Uint32(header[19:])
	clear(header[19:23])
	if got := crc32.Checksum(header, crc32.MakeTable(crc32.Castagnoli)); got != sum {
		t.Errorf("checksum %x, computed %x", sum, got)
	}
}
