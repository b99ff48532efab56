package capture

import (
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net/netip"
	"strconv"
	"strings"
)

// stateListen is that of a socket which waits for connections.
const stateListen = "LISTEN"

// tcpStates are the names that ss gives to the states in /proc/net/tcp (include/net/tcp_states.h).
var tcpStates = [...]string{
	1: "ESTAB", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT", 7: "CLOSE",
	8: "CLOSE-WAIT", 9: "LAST-ACK", 10: stateListen, 11: "CLOSING", 12: "SYN-RECV",
}

// parseTable yields the sockets in the text of /proc/net/tcp or tcp6 (proc(5)). Lines that it cannot read are left out.
func parseTable(text string) iter.Seq[Peer] {
	return func(yield func(Peer) bool) {
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) < 4 {
				continue
			}
			local, ok := tableAddress(words[1])
			remote, alsoOK := tableAddress(words[2])
			state, err := strconv.ParseUint(words[3], 16, 8)
			if !ok || !alsoOK || err != nil || state == 0 || state >= uint64(len(tcpStates)) {
				continue
			}
			if !yield(Peer{Peer: remote, Local: local, State: tcpStates[state]}) {
				return
			}
		}
	}
}

// tableAddress reads "0100007F:1F90": groups of four bytes as the machine has them in memory, and the port.
func tableAddress(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	n, bad := strconv.ParseUint(port, 16, 16)
	if err != nil || bad != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}
