package badinput

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// Nobody returns an address at which nobody listens, and nobody else can begin to until release is called.
func Nobody(t testing.TB) (address netip.AddrPort, release func()) {
	t.Helper()
	fd := bound(t)
	return addressOf(t, fd), func() { syscall.Close(fd) }
}

// Deaf returns the address of a server that never accepts, and whose queue of connections is full: whatever else tries to
// connect gets no answer. How many the queue takes is as on Linux.
func Deaf(t testing.TB) (address netip.AddrPort, release func()) {
	t.Helper()
	fd := bound(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	address = addressOf(t, fd)
	only, err := net.Dial("tcp", address.String()) // a queue of length 0 takes one
	if err != nil {
		t.Fatal(err)
	}
	return address, func() {
		only.Close()
		syscall.Close(fd)
	}
}

// bound returns a TCP socket with an address on loopback.
func bound(t testing.TB) (fd int) {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func addressOf(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	own := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port))
}
