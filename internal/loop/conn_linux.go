package loop

import (
	"errors"
	"io"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	// ErrClosed is the error of a handle whose connection was freed, and of a loop that was closed.
	ErrClosed = errors.New("the connection or its loop is closed")
	// ErrWouldBlock says that there is nothing to do before the next event.
	ErrWouldBlock = errors.New("not ready yet")
)

// Conn is the handle of a connection: the index of a slot and the slot's generation, which changes when the
// connection is freed. A handle kept too long is refused with ErrClosed and never means another connection. (After
// 2^32 connections of one slot it would.) 0 is no connection.
type Conn uint64

// Index is the number of the connection's slot, for a table of what is known about each. It is smaller than the
// largest number of connections that were open at once, and goes to another connection when this one is freed.
func (c Conn) Index() int { return int(uint32(c)) }

// conn is a slot.
type conn struct {
	fd         int32 // -1 if the slot is free
	generation uint32
}

// ending is a descriptor that is to be closed.
type ending struct {
	fd    int
	abort bool
}

// Options are those of a connection. The zero value is a connection as the kernel makes it.
type Options struct {
	// Source is the local address; the zero Addr leaves it to the kernel. The port is always the kernel's choice, and
	// made by connect (IP_BIND_ADDRESS_NO_PORT), so that one port serves for many targets.
	Source netip.Addr
	// NoDelay sends small writes at once, also when earlier ones are not acknowledged (TCP_NODELAY).
	NoDelay bool
	// DelayAck lets the handshake's last ACK wait for the first bytes that are written, and saves its packet
	// (TCP_QUICKACK off). It is for those who write at once: otherwise the ACK leaves after 200 ms
	// (TCP_DELACK_MAX of the kernel), and the peer does not see the connection before.
	DelayAck bool
}

// Connect opens a TCP connection to an IPv4 or IPv6 address; a zone is an interface's name or number. It does not
// wait: the first event with Writable says that the connection is there, or with Failed that it is not, and why
// is Err's to say. Write may be tried at once and gives ErrWouldBlock until the connection is there;
// over loopback it mostly is when Connect returns.
//
// An error is what the kernel knew at once, such as no route, no descriptor, no port; nothing is left open then. It is
// a plain syscall.Errno, as all errors of connections are: a text for each refusal would be an allocation, and the
// caller knows what it tried.
func (l *Loop) Connect(to netip.AddrPort, o Options) (Conn, error) {
	if l.waiter.epoll < 0 {
		return 0, ErrClosed
	}
	family := unix.AF_INET6
	if addr := to.Addr(); addr.Is4() || addr.Is4In6() {
		family = unix.AF_INET
	}
	fd, errno := socket(family)
	if errno == unix.EMFILE && len(l.late) > 0 {
		l.closeLate()
		fd, errno = socket(family)
	}
	if errno != 0 {
		return 0, errno
	}
	c := l.take(fd)
	errno = prepare(fd, family, o)
	if errno == 0 {
		errno = connect(fd, family, to)
	}
	if errno == 0 || errno == unix.EINPROGRESS {
		// Not before connect: epoll would report the unconnected socket as hung up.
		errno = watch(l.waiter.epoll, fd, c, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
	}
	if errno != 0 {
		l.Free(c, true)
		return 0, errno
	}
	return c, nil
}

func prepare(fd, family int, o Options) syscall.Errno {
	if o.NoDelay {
		if errno := setInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); errno != 0 {
			return errno
		}
	}
	if o.DelayAck {
		if errno := setInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0); errno != 0 {
			return errno
		}
	}
	if !o.Source.IsValid() {
		return 0
	}
	if errno := setInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); errno != 0 {
		return errno
	}
	return bind(fd, family, netip.AddrPortFrom(o.Source, 0))
}

// Read reads what has arrived into b: as read(2), with ErrWouldBlock if it is nothing yet and io.EOF if the peer
// has ended its side.
func (l *Loop) Read(c Conn, b []byte) (int, error) {
	s := l.slot(c)
	if s == nil {
		return 0, ErrClosed
	}
	n, errno := receive(int(s.fd), b)
	switch {
	case errno == unix.EAGAIN:
		return 0, ErrWouldBlock
	case errno != 0:
		return 0, errno
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes as much of b as the kernel takes now and says how much that is; ErrWouldBlock if it is nothing.
func (l *Loop) Write(c Conn, b []byte) (int, error) {
	s := l.slot(c)
	if s == nil {
		return 0, ErrClosed
	}
	n, errno := send(int(s.fd), b)
	switch {
	case errno == unix.EAGAIN:
		return 0, ErrWouldBlock
	case errno != 0:
		return 0, errno
	}
	return n, nil
}

// Err is why the connection failed, as a syscall.Errno, and nil if it did not. The kernel tells it once: whichever
// of Err, Read and Write asks first gets it.
func (l *Loop) Err(c Conn) error {
	s := l.slot(c)
	if s == nil {
		return ErrClosed
	}
	value, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && value != 0 {
		err = syscall.Errno(value)
	}
	return err
}

// LocalAddr is this side's address and port.
func (l *Loop) LocalAddr(c Conn) (netip.AddrPort, error) {
	s := l.slot(c)
	if s == nil {
		return netip.AddrPort{}, ErrClosed
	}
	return localAddr(int(s.fd))
}

// Free ends a connection; its handle is void from now on. The peer gets a FIN, after what was written, or with
// abort a RST at once. abort leaves nothing behind; otherwise the side that ends first keeps its port in TIME_WAIT
// for a minute. In handle the descriptor itself is closed after the batch (or when descriptors run out), so that the
// other connections of the batch do not wait for it. A handle that is void already is ignored.
func (l *Loop) Free(c Conn, abort bool) {
	s := l.slot(c)
	if s == nil {
		return
	}
	e := ending{int(s.fd), abort}
	s.fd = -1
	s.generation = max(1, s.generation+1)
	l.free = append(l.free, uint32(c))
	if l.batch {
		l.late = append(l.late, e)
	} else {
		e.close()
	}
}

// closeLate closes what this batch has freed.
func (l *Loop) closeLate() {
	for _, e := range l.late {
		e.close()
	}
	l.late = l.late[:0]
}

func (e ending) close() {
	if e.abort {
		setLinger0(e.fd)
	}
	closeFD(e.fd) // epoll forgets it by itself
}

// take finds a slot for a descriptor.
func (l *Loop) take(fd int) Conn {
	if len(l.free) == 0 {
		l.conns = append(l.conns, conn{fd: -1, generation: 1})
		l.free = append(l.free, uint32(len(l.conns)-1))
	}
	last := len(l.free) - 1
	index := l.free[last]
	l.free = l.free[:last]
	l.conns[index].fd = int32(fd)
	return handleOf(index, l.conns[index].generation)
}

// slot is that of a connection, and nil if the handle is void.
func (l *Loop) slot(c Conn) *conn {
	if c.Index() >= len(l.conns) {
		return nil
	}
	s := &l.conns[c.Index()]
	if s.fd < 0 || s.generation != uint32(c>>32) {
		return nil
	}
	return s
}

func handleOf(index, generation uint32) Conn { return Conn(generation)<<32 | Conn(index) }
