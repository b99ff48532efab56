package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// binaryOrder is the machine's.
func binaryOrder() string {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return "little"
	}
	return "big"
}

// packet makes the packet of a segment.
func packet(from, to string, seq uint32, flags byte, payload string) []byte {
	source, destination := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	tcp := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(tcp[0:], source.Port())
	binary.BigEndian.PutUint16(tcp[2:], destination.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = 5<<4, flags
	tcp = append(tcp, payload...)
	if source.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0], ip[9] = 0x45, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		copy(ip[12:], source.Addr().AsSlice())
		copy(ip[16:], destination.Addr().AsSlice())
		return append(ip, tcp...)
	}
	ip := make([]byte, 40)
	ip[0], ip[6] = 0x60, 6
	binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
	copy(ip[8:], source.Addr().AsSlice())
	copy(ip[24:], destination.Addr().AsSlice())
	return append(ip, tcp...)
}

const (
	client  = "10.0.0.9:4000"
	server  = "10.0.1.5:80"
	request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
)

func TestParsePacket(t *testing.T) {
	for _, ends := range [][2]string{{client, server}, {"[2001:db8::9]:4000", "[2001:db8::5]:80"}} {
		b := packet(ends[0], ends[1], 7, flagSYN|flagFIN, "abc")
		s, ok := parsePacket(append(b, "padding of Ethernet"...))
		if !ok || s.from.String() != ends[0] || s.to.String() != ends[1] || s.seq != 7 || !s.syn || !s.fin || s.rst || string(s.payload) != "abc" {
			t.Errorf("%v: %+v, %v", ends, s, ok)
		}
		for n := range b {
			if _, ok := parsePacket(b[:n]); ok {
				t.Errorf("%v: %d bytes of %d are a packet", ends, n, len(b))
			}
		}
	}
	for name, change := range map[string]func(b []byte){
		"a fragment":            func(b []byte) { b[6] = 0x20 },
		"a later fragment":      func(b []byte) { b[7] = 1 },
		"UDP":                   func(b []byte) { b[9] = 17 },
		"a short IP header":     func(b []byte) { b[0] = 0x44 },
		"a long IP header":      func(b []byte) { b[0] = 0x4f },
		"a short TCP header":    func(b []byte) { b[20+12] = 4 << 4 },
		"a long TCP header":     func(b []byte) { b[20+12] = 15 << 4 },
		"a length below itself": func(b []byte) { b[2], b[3] = 0, 19 },
		"version 5":             func(b []byte) { b[0] = 0x55 },
	} {
		b := packet(client, server, 7, 0, "abc")
		change(b)
		if s, ok := parsePacket(b); ok {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// story plays segments from one client, and tells what was found.
type story struct {
	*flows
	records []Record
	others  int
}

func newStory() *story {
	s := &story{}
	s.flows = &flows{byEnds: map[ends]*flow{}, found: func(r Record) { s.records = append(s.records, r) }, passed: func() { s.others++ }}
	return s
}

func (s *story) packet(from string, seq uint32, flags byte, payload string) {
	if g, ok := parsePacket(packet(from, server, seq, flags, payload)); ok {
		s.take(g, time.Now())
	}
}

func TestFlows(t *testing.T) {
	const ack = 0
	for _, tt := range []struct {
		name   string
		play   func(s *story)
		heads  int
		empty  int
		others int
	}{
		{"one packet", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, request)
		}, 1, 0, 0},
		{"a number that wraps", func(s *story) {
			s.packet(client, 0xfffffffe, flagSYN, "")
			for i, c := range []byte(request) {
				s.packet(client, uint32(0xffffffff+uint64(i)), ack, string(c))
			}
		}, 1, 0, 0},
		{"everything twice, and overlapping", func(s *story) {
			for range 2 {
				s.packet(client, 9, flagSYN, "")
			}
			for range 2 {
				s.packet(client, 10, ack, request[:8])
			}
			for range 2 {
				s.packet(client, 14, ack, request[4:])
			}
			s.packet(client, 10, ack, request)
		}, 1, 0, 0},
		{"two requests in a packet", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, request+request)
		}, 2, 0, 0},
		{"an older connection", func(s *story) { s.packet(client, 10, ack, request) }, 1, 0, 0},
		{"something missing", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, request[:8])
			s.packet(client, 20, ack, request[10:])
			s.packet(client, 18, ack, request[8:])
		}, 0, 0, 1},
		{"the port used again", func(s *story) {
			for i := range uint32(2) {
				s.packet(client, 9+i*1000, flagSYN, "")
				s.packet(client, 10+i*1000, ack, request)
				s.packet(client, 10+i*1000+uint32(len(request)), flagFIN, "")
			}
		}, 2, 0, 0},
		{"a TCP check", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, "")
			s.packet(client, 10, flagRST, "")
		}, 0, 1, 0},
		{"a body", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n"+request+request)
		}, 1, 0, 0},
		{"TLS", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, "\x16\x03\x01\x02\x00\x01\x00\x01")
			s.packet(client, 18, flagFIN, "")
		}, 0, 0, 1},
		{"a head without an end", func(s *story) {
			s.packet(client, 9, flagSYN, "")
			s.packet(client, 10, ack, "GET / HTTP/1.1\r\nX: ")
			for i := range uint32(3) {
				s.packet(client, 10+19+i*40_000, ack, strings.Repeat("x", 40_000))
			}
		}, 0, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory()
			tt.play(s)
			heads, empty := 0, 0
			for _, r := range s.records {
				switch {
				case r.Kind == Empty:
					empty++
				case r.Request != nil && strings.HasSuffix(string(r.Raw), "\r\n\r\n"):
					heads++
				}
			}
			if heads != tt.heads || empty != tt.empty || s.others != tt.others {
				t.Errorf("%d heads, %d empty, %d others: %+v", heads, empty, s.others, s.records)
			}
		})
	}
}

// TestFlowsAreBounded: a flood of connections makes the oldest be forgotten, and no more kept.
func TestFlowsAreBounded(t *testing.T) {
	s := newStory()
	for i := range 3 * MaxFlows {
		s.packet(fmt.Sprintf("10.%d.%d.1:4000", i/256, i%256), 9, flagSYN, "")
	}
	if n, _ := s.knocking(); len(s.byEnds) != MaxFlows || n != MaxFlows {
		t.Errorf("%d connections, %d of them knocking", len(s.byEnds), n)
	}
}

// FuzzPackets: whatever comes, nothing panics, what is found is whole, and what is kept is bounded.
func FuzzPackets(f *testing.F) {
	join := func(packets ...[]byte) (stream []byte) {
		for _, p := range packets {
			stream = append(binary.BigEndian.AppendUint16(stream, uint16(len(p))), p...)
		}
		return stream
	}
	f.Add(join(packet(client, server, 9, flagSYN, ""), packet(client, server, 10, 0, request), packet(client, server, 40, flagFIN, "")))
	f.Add(join(packet(client, server, 9, flagSYN, ""), packet(client, server, 10, 0, "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"+request)))
	f.Add(join(packet(client, server, 9, flagSYN, ""), packet(client, server, 10, 0, proxyV2Start+"\x21\x11\x00\x0c\x01\x02\x03\x04\x01\x02\x03\x04\x00\x01\x00\x02"+request)))
	f.Add(join(packet("[::1]:1", "[::2]:80", 9, flagSYN, ""), packet("[::1]:1", "[::2]:80", 10, flagRST, "")))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newStory()
		at := time.Unix(0, 0)
		for len(stream) >= 2 {
			n := min(int(binary.BigEndian.Uint16(stream)), len(stream)-2)
			g, ok := parsePacket(stream[2 : 2+n])
			stream = stream[2+n:]
			if !ok {
				continue
			}
			at = at.Add(time.Second)
			s.take(g, at)
		}
		for _, r := range s.records {
			if r.Kind != Empty && (r.Request == nil || len(r.Raw) == 0 || len(r.Raw) > MaxHead) {
				t.Errorf("record %+v", r)
			}
		}
		for _, f := range s.byEnds {
			if len(f.in) > MaxHead || f.over && f.in != nil {
				t.Errorf("%d bytes are kept", len(f.in))
			}
		}
		if len(s.byEnds) > MaxFlows {
			t.Errorf("%d connections are kept", len(s.byEnds))
		}
	})
}
