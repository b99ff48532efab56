package capture

import (
	"encoding/binary"
	"net/netip"
)

// segment is a TCP segment that somebody has sent. Its payload is part of the packet.
type segment struct {
	from, to      netip.AddrPort
	seq           uint32
	syn, fin, rst bool
	payload       []byte
}

// Flags of TCP (RFC 9293 section 3.1).
const (
	flagFIN = 1 << 0
	flagSYN = 1 << 1
	flagRST = 1 << 2
)

const protocolTCP = 6

// parsePacket reads an IP packet, without what the link has put around it. ok is false for what is not a whole TCP segment:
// fragments, and IPv6 with extension headers, which no health check has. Checksums are not looked at, since on the way to
// the machine itself nobody fills them in.
func parsePacket(b []byte) (s segment, ok bool) {
	if len(b) == 0 {
		return segment{}, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return segment{}, false
}

func parseIPv4(b []byte) (segment, bool) {
	const least = 20
	if len(b) < least {
		return segment{}, false
	}
	header := int(b[0]&0xf) * 4
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size == 0 {
		size = len(b) // several segments that the kernel has joined to more than 64 KiB
	}
	fragment := binary.BigEndian.Uint16(b[6:])&0x3fff != 0 // more to come, or not the first
	if header < least || size < header || size > len(b) || fragment || b[9] != protocolTCP {
		return segment{}, false
	}
	return parseTCP(b[header:size], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])))
}

func parseIPv6(b []byte) (segment, bool) {
	const header = 40
	if len(b) < header || b[6] != protocolTCP {
		return segment{}, false
	}
	size := header + int(binary.BigEndian.Uint16(b[4:]))
	if size > len(b) {
		return segment{}, false
	}
	return parseTCP(b[header:size], netip.AddrFrom16([16]byte(b[8:24])).Unmap(), netip.AddrFrom16([16]byte(b[24:40])).Unmap())
}

func parseTCP(b []byte, from, to netip.Addr) (segment, bool) {
	const least = 20
	if len(b) < least {
		return segment{}, false
	}
	header := int(b[12]>>4) * 4
	if header < least || header > len(b) {
		return segment{}, false
	}
	return segment{
		from:    netip.AddrPortFrom(from, binary.BigEndian.Uint16(b[0:])),
		to:      netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2:])),
		seq:     binary.BigEndian.Uint32(b[4:]),
		syn:     b[13]&flagSYN != 0,
		fin:     b[13]&flagFIN != 0,
		rst:     b[13]&flagRST != 0,
		payload: b[header:],
	}, true
}
