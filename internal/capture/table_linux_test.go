package capture

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestTapWithoutPackets: who may not see packets sees who is connected, in the kernel's tables.
func TestTapWithoutPackets(t *testing.T) {
	for network, host := range map[string]string{"tcp4": "127.0.0.1", "tcp6": "::1"} {
		t.Run(network, func(t *testing.T) {
			l, err := net.Listen(network, net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skipf("no %s here: %v", network, err)
			}
			defer l.Close()
			at := l.Addr().(*net.TCPAddr).AddrPort()
			var lull Lull
			var peers []Peer
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			tap := &Tap{at: netip.AddrPortFrom(netip.Addr{}, at.Port()), cfg: TapConfig{
				Patience: time.Millisecond,
				Count:    1,
				OnPeer:   func(p Peer) { peers = append(peers, p) },
			}}
			var c net.Conn
			tap.cfg.OnLull = func(l Lull) {
				lull = l
				c, err = net.Dial(network, at.String()) // only now somebody connects
			}
			if got := tap.Run(ctx); got != nil || err != nil {
				t.Fatal(got, err)
			}
			if c == nil || len(peers) != 1 {
				t.Fatalf("lull %+v, peers %+v", lull, peers)
			}
			defer c.Close()
			if lull.Packets || !lull.Listening {
				t.Errorf("lull %+v", lull)
			}
			if p := peers[0]; p.Peer.String() != c.LocalAddr().String() || p.Local != at || p.State != "ESTAB" {
				t.Errorf("peer %+v", p)
			}
		})
	}
}

func TestParseTable(t *testing.T) {
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0501000A:0050 0900000A:C001 06 00000000:00000000 03:00000000 00000000     0        0 0
   2: 0000000000000000FFFF00000501000A:0050 0000000000000000FFFF00000900000A:C001 01 0
   3: B80D01200000000067452301EFCDAB89:0050 B80D01200000000067452301EFCDAB89:0051 01 0
   4: 0100007F 00000000:0000 0A
   5: 0100007F:0050 00000000:0000 FF
   6: zz
`
	if binaryOrder() != "little" {
		t.Skip("the text is of a little-endian machine")
	}
	var got []string
	for p := range parseTable(text) {
		got = append(got, fmt.Sprint(p.Local, " ", p.Peer, " ", p.State))
	}
	want := []string{
		"127.0.0.1:8080 0.0.0.0:0 LISTEN",
		"10.0.1.5:80 10.0.0.9:49153 TIME-WAIT",
		"10.0.1.5:80 10.0.0.9:49153 ESTAB",
		"[2001:db8::123:4567:89ab:cdef]:80 [2001:db8::123:4567:89ab:cdef]:81 ESTAB",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
