package loop

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls bypass Go's scheduler, as none of them can wait. A call that the scheduler knows about and that takes
// 20 µs, as connect does over loopback, may lose its P meanwhile. An exchange costs about a tenth less CPU this way.

func socket(family int) (int, syscall.Errno) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return int(fd), errno
}

func connect(fd, family int, to netip.AddrPort) syscall.Errno {
	var a sockaddr
	n, errno := a.set(fd, family, to)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a)), n)
	}
	return errno
}

func bind(fd, family int, from netip.AddrPort) syscall.Errno {
	var a sockaddr
	n, errno := a.set(fd, family, from)
	if errno == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a)), n)
	}
	return errno
}

func watch(epoll, fd int, tag Conn, events uint32) syscall.Errno {
	e := unix.EpollEvent{Events: events, Fd: int32(uint32(tag)), Pad: int32(uint32(tag >> 32))}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	return errno
}

func receive(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

func send(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

func setInt(fd, level, name int, value int32) syscall.Errno {
	return setOption(fd, level, name, unsafe.Pointer(&value), unsafe.Sizeof(value))
}

// setLinger0 makes close send a RST.
func setLinger0(fd int) {
	linger := unix.Linger{Onoff: 1}
	_ = setOption(fd, unix.SOL_SOCKET, unix.SO_LINGER, unsafe.Pointer(&linger), unsafe.Sizeof(linger))
}

func setOption(fd, level, name int, value unsafe.Pointer, size uintptr) syscall.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(value), size, 0)
	return errno
}

func closeFD(fd int) {
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// sockaddr has room for either family: one that is shorter than the other is a prefix of it in memory.
type sockaddr struct {
	unix.RawSockaddrInet6
}

func (a *sockaddr) inet4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
}

// set fills in an address for a socket of this family and returns its length.
func (a *sockaddr) set(fd, family int, to netip.AddrPort) (uintptr, syscall.Errno) {
	addr := to.Addr().Unmap()
	if addr.Is4() != (family == unix.AF_INET) || !addr.IsValid() {
		return 0, unix.EAFNOSUPPORT
	}
	if addr.Is4() {
		v4 := a.inet4()
		v4.Family, v4.Addr = unix.AF_INET, addr.As4()
		v4.Port = networkOrder(to.Port())
		return unix.SizeofSockaddrInet4, 0
	}
	var errno syscall.Errno
	a.Family, a.Addr, a.Port = unix.AF_INET6, addr.As16(), networkOrder(to.Port())
	a.Scope_id, errno = scope(fd, addr.Zone())
	return unix.SizeofSockaddrInet6, errno
}

// scope is the number of a zone's interface.
func scope(fd int, zone string) (uint32, syscall.Errno) {
	if zone == "" {
		return 0, 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), 0
	}
	request, err := unix.NewIfreq(zone)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	}
	if err != nil {
		return 0, unix.ENODEV
	}
	return request.Uint32(), 0
}

func localAddr(fd int) (netip.AddrPort, error) {
	var a sockaddr
	size := uint32(unsafe.Sizeof(a))
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}, errno
	}
	if a.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4(a.inet4().Addr), networkOrder(a.inet4().Port)), nil
	}
	addr := netip.AddrFrom16(a.Addr)
	if a.Scope_id != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(a.Scope_id), 10))
	}
	return netip.AddrPortFrom(addr, networkOrder(a.Port)), nil
}

// networkOrder turns a port between ours and the network's order of bytes, either way.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
