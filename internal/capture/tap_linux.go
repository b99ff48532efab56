package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/triage-lb/triage"
)

// packetMemory bounds what the kernel keeps for us of packets that we have not read yet; what does not fit is missed.
const packetMemory = 1 << 20

// tick is how often the kernel's tables are looked at. A connection that has ended stays in them for a minute, if it was
// this machine that closed first.
const tick = time.Second

// openPackets opens a socket that gets the TCP packets which come in for a port, beginning with their IP headers, and takes
// nothing away from anybody. Without permission (CAP_NET_RAW), blind says so.
func openPackets(port uint16) (packets *os.File, blind, err error) {
	// Without a protocol nothing is received: the filter comes first.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, err, nil
	}
	if err == nil {
		err = preparePackets(fd, port)
		if err != nil {
			_ = unix.Close(fd) // it was never used
		}
	}
	if err != nil {
		return nil, nil, &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("open a packet socket: %v", err), Err: err}
	}
	return os.NewFile(uintptr(fd), "packets"), nil, nil
}

func preparePackets(fd int, port uint16) error {
	filter, err := bpf.Assemble(packetFilter(port))
	if err != nil {
		return err
	}
	program := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		program[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, packetMemory); err != nil {
		return fmt.Errorf("bound its memory: %w", err)
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		return fmt.Errorf("attach its filter: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})}); err != nil {
		return fmt.Errorf("bind it: %w", err)
	}
	return nil
}

// packetFilter passes the first fragments of TCP packets to a port. What goes out is left away: on loopback each packet goes
// out and comes in.
func packetFilter(port uint16) []bpf.Instruction {
	const (
		drop, accept = 17, 16 // the last two
		whole        = 1 << 18
	)
	to := func(from, target int) uint8 { return uint8(target - from - 1) }
	return []bpf.Instruction{
		0:      bpf.LoadExtension{Num: bpf.ExtType},
		1:      bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipTrue: to(1, drop)},
		2:      bpf.LoadExtension{Num: bpf.ExtProto},
		3:      bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: to(3, 12)},
		4:      bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IP, SkipTrue: to(4, drop)},
		5:      bpf.LoadAbsolute{Off: 9, Size: 1}, // IPv4's protocol
		6:      bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolTCP, SkipTrue: to(6, drop)},
		7:      bpf.LoadAbsolute{Off: 6, Size: 2}, // its flags and fragment offset
		8:      bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: to(8, drop)},
		9:      bpf.LoadMemShift{Off: 0}, // X: the length of its header
		10:     bpf.LoadIndirect{Off: 2, Size: 2},
		11:     bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: to(11, accept), SkipFalse: to(11, drop)},
		12:     bpf.LoadAbsolute{Off: 6, Size: 1}, // IPv6's next header
		13:     bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolTCP, SkipTrue: to(13, drop)},
		14:     bpf.LoadAbsolute{Off: 42, Size: 2},
		15:     bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: to(15, accept), SkipFalse: to(15, drop)},
		accept: bpf.RetConstant{Val: whole},
		drop:   bpf.RetConstant{Val: 0},
	}
}

// watchPackets follows the connections whose packets come in.
func (t *Tap) watchPackets(ctx context.Context) error {
	stop := context.AfterFunc(ctx, t.Close) // ends a read at once
	defer stop()
	fs := &flows{byEnds: map[ends]*flow{}, found: t.show, passed: func() { t.others++ }}
	buffer := make([]byte, 1<<16)
	for !t.enough() {
		_ = t.packets.SetReadDeadline(t.lullAt) // fails only on a closed file, as the read then does
		n, err := t.packets.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
		case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENOBUFS):
			pause(ctx, acceptPause) // a link went down, or the kernel is short of memory: the socket goes on
		case err != nil:
			return fmt.Errorf("read packets: %w", err)
		default:
			if s, ok := parsePacket(buffer[:n]); ok && t.concerns(s.to) {
				fs.take(s, time.Now())
			}
		}
		t.lull(t.silence(fs))
	}
	return nil
}

// silence is what is known of a port where no check comes.
func (t *Tap) silence(fs *flows) Lull {
	if time.Now().Before(t.lullAt) || t.lullAt.IsZero() {
		return Lull{}
	}
	var l Lull
	l.Knocking, l.Who = fs.knocking()
	_, l.Listening, _ = readTables(t) // unreadable tables show nobody
	return l
}

// watchTables shows who is, or was lately, connected to the port.
func (t *Tap) watchTables(ctx context.Context) error {
	seen := map[ends]bool{}
	for {
		peers, listening, err := readTables(t)
		if err != nil {
			return err
		}
		now := map[ends]bool{}
		for _, p := range peers {
			key := ends{p.Peer, p.Local}
			now[key] = true
			if !seen[key] && t.next() {
				t.cfg.OnPeer(p)
			}
		}
		seen = now // what has left the tables may come back as another connection
		t.lull(Lull{Listening: listening})
		if t.enough() {
			return nil
		}
		pause(ctx, tick)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// readTables reads the kernel's tables of TCP sockets, of IPv4 and of IPv6, as far as they concern the port.
func readTables(t *Tap) (peers []Peer, listening bool, err error) {
	missing := 0
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) && missing == 0 {
			missing++ // a machine without IPv6
			continue
		}
		if err != nil {
			return nil, false, &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("read the kernel's table of connections: %v", err), Err: err}
		}
		for p := range parseTable(string(text)) {
			switch {
			case !t.concerns(p.Local) && (p.State != stateListen || p.Local.Port() != t.at.Port()):
			case p.State == stateListen:
				listening = true
			default:
				p.Time = time.Now()
				peers = append(peers, p)
			}
		}
	}
	return peers, listening, nil
}
