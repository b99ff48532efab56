package capture

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The PROXY protocol: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
const (
	proxyV1Start  = "PROXY "
	proxyV1Max    = 107 // bytes of a line with its CRLF, section 2.1
	proxyV2Start  = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV2Prefix = 16 // bytes up to and including the length, section 2.2
)

// readProxy reads the PROXY header that c.in begins with. It reports whether the connection can go on, which
// it cannot after a header that is broken or incomplete.
func (c *conn) readProxy(kind Kind) (ok bool) {
	for {
		header, what := parseProxy(kind, c.in)
		if header != nil {
			c.rec.Proxy = header
			c.intro = slices.Clone(c.in[:header.HeaderBytes])
			c.take(header.HeaderBytes)
			return true
		}
		if what != "" {
			c.rec.Problem = "malformed PROXY header: " + what
			c.rec.End = c.settle()
			return false
		}
		if end := c.fill(0); end != "" {
			c.rec.Problem = "the PROXY header is not complete: " + c.why(end)
			c.rec.End = end
			return false
		}
	}
}

// parseProxy reads a header from the start of b. Without a header and without a fault, it takes more bytes.
func parseProxy(kind Kind, b []byte) (header *Proxy, what string) {
	if kind == ProxyV1 {
		return parseProxyV1(b)
	}
	return parseProxyV2(b)
}

func parseProxyV1(b []byte) (header *Proxy, what string) {
	end := bytes.IndexByte(b[:min(len(b), proxyV1Max)], '\n') + 1
	switch {
	case end == 0 && len(b) >= proxyV1Max:
		return nil, "the line is longer than 107 bytes"
	case end == 0:
		return nil, ""
	case !bytes.HasSuffix(b[:end], []byte("\r\n")):
		return nil, "the line does not end in CRLF"
	}
	header = &Proxy{Version: 1, Command: "PROXY", HeaderBytes: end}
	words := strings.Split(string(b[:end-2]), " ")
	if words[1] == "UNKNOWN" {
		header.Command = "UNKNOWN" // whatever follows is to be ignored
		return header, ""
	}
	if words[1] != "TCP4" && words[1] != "TCP6" {
		return nil, "the protocol is none of TCP4, TCP6 and UNKNOWN"
	}
	if len(words) != 6 {
		return nil, "the line is not made of six words"
	}
	var ok bool
	if header.Source, ok = proxyAddress(words[1], words[2], words[4]); !ok {
		return nil, "the source is not an address and a port of that protocol"
	}
	if header.Destination, ok = proxyAddress(words[1], words[3], words[5]); !ok {
		return nil, "the destination is not an address and a port of that protocol"
	}
	return header, ""
}

func proxyAddress(protocol, address, port string) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || addr.Is4() != (protocol == "TCP4") {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(addr, uint16(n)), err == nil
}

func parseProxyV2(b []byte) (header *Proxy, what string) {
	if len(b) < proxyV2Prefix {
		return nil, ""
	}
	command, family := b[12], b[13]
	size := proxyV2Prefix + int(binary.BigEndian.Uint16(b[14:]))
	header = &Proxy{Version: 2, Command: "PROXY", HeaderBytes: size}
	switch {
	case command>>4 != 2:
		return nil, "the version is not 2"
	case command&0xf == 0:
		header.Command = "LOCAL" // the addresses are to be ignored
	case command&0xf != 1:
		return nil, "the command is neither LOCAL nor PROXY"
	}
	width := 0 // bytes of an address; families without IP addresses, such as UNIX, are not taken apart
	switch family >> 4 {
	case 1:
		width = 4
	case 2:
		width = 16
	}
	switch {
	case header.Command == "PROXY" && size < proxyV2Prefix+2*width+4 && width > 0:
		return nil, "the length is too small for the addresses"
	case len(b) < size:
		return nil, ""
	case header.Command == "PROXY" && width > 0:
		addresses, ports := b[proxyV2Prefix:], b[proxyV2Prefix+2*width:]
		source, _ := netip.AddrFromSlice(addresses[:width])
		destination, _ := netip.AddrFromSlice(addresses[width : 2*width])
		header.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(ports))
		header.Destination = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(ports[2:]))
	}
	return header, ""
}
