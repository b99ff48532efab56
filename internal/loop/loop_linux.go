package loop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wakeTag is the tag of the eventfd in epoll. No connection has it: generations begin at 1.
const wakeTag Conn = 0

// Loop waits for connections to become ready. Make one with New. Except for Wake it is owned by one goroutine.
type Loop struct {
	waiter waiter

	conns []conn   // by index of the handle
	free  []uint32 // indexes not in use
	late  []ending // freed by this batch, to be closed after it
	batch bool     // Poll is calling handle

	woken   atomic.Bool // a wake-up is on its way: the eventfd was written and Poll has not seen it yet
	wakeMu  sync.Mutex  // so that Wake never writes into a descriptor that Close gave back
	eventfd int         // guarded by wakeMu; -1 once closed
}

// Event says what a connection is ready for. As it comes only once for each change (epoll's edge-triggered
// mode), the owner reads or writes until ErrWouldBlock, or until a read gives less than was asked for, before it
// waits for the next event; after PeerClosed it reads until it has io.EOF or an error.
type Event struct {
	Conn       Conn
	Readable   bool // Read has bytes, the end, or an error
	Writable   bool // Write takes bytes, or has an error; the first time without Failed: the connection is there
	PeerClosed bool // the peer sends no more, by FIN or RST
	Failed     bool // Err knows why
}

// New opens an epoll instance and an eventfd. Close gives them back.
func New() (*Loop, error) {
	l := &Loop{eventfd: -1}
	if err := l.waiter.open(); err != nil {
		return nil, fmt.Errorf("open an epoll instance: %w", err)
	}
	var err error
	if l.eventfd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		l.waiter.close()
		return nil, fmt.Errorf("open an eventfd: %w", err)
	}
	if errno := watch(l.waiter.epoll, l.eventfd, wakeTag, unix.EPOLLIN|unix.EPOLLET); errno != 0 {
		l.Close()
		return nil, fmt.Errorf("watch the eventfd: %w", errno)
	}
	return l, nil
}

// Close aborts all connections and gives all descriptors back. After it Poll and Connect give ErrClosed and
// Wake does nothing; a second Close does nothing either. It must not be called by handle.
func (l *Loop) Close() error {
	if l.waiter.epoll < 0 {
		return nil
	}
	for i, c := range l.conns {
		if c.fd >= 0 {
			l.Free(handleOf(uint32(i), c.generation), true)
		}
	}
	l.wakeMu.Lock()
	err := unix.Close(l.eventfd)
	l.eventfd = -1
	l.wakeMu.Unlock()
	return errors.Join(err, l.waiter.close())
}

// Wake makes the Poll that runs, or else the next one, return. Any goroutine may call it at any time. Many calls
// before that Poll count as one; what a caller did before Wake is visible to the owner after Poll.
func (l *Loop) Wake() {
	// A swap and not a compare-and-swap: one that fails would not order the caller's writes before Poll's swap.
	if l.woken.Swap(true) {
		return
	}
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	// It cannot fail but on a closed loop: the counter is full after 2^64.
	unix.Write(l.eventfd, binary.NativeEndian.AppendUint64(make([]byte, 0, 8), 1))
}

// Poll waits until a connection is ready, Wake is called or timeout is over (0: does not wait, negative: waits
// for ever), then calls handle for each connection that is ready, 128 at most. It may return earlier, and a timeout is
// rounded up to the millisecond. handle may use all of the loop but Poll and Close. A connection that it frees
// gets no more events, not even those that came with the same batch. Use one handle for all calls: a closure made for
// each would be the only memory that Poll needs.
func (l *Loop) Poll(timeout time.Duration, handle func(Event)) error {
	if l.waiter.epoll < 0 {
		return ErrClosed
	}
	n, err := l.waiter.wait(timeout)
	if err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	l.batch = true
	for i := range n {
		e := event(&l.waiter.events[i])
		if e.Conn == wakeTag {
			// The eventfd is never read: in edge-triggered mode each write is an event of its own.
			l.woken.Swap(false)
		} else if l.slot(e.Conn) != nil {
			handle(e)
		}
	}
	l.batch = false
	l.closeLate()
	return nil
}

func event(e *unix.EpollEvent) Event {
	// EPOLLERR and EPOLLHUP come alone on some paths, but reading and writing have something to tell then.
	const over = unix.EPOLLERR | unix.EPOLLHUP
	return Event{
		Conn:       Conn(uint32(e.Pad))<<32 | Conn(uint32(e.Fd)),
		Readable:   e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|over) != 0,
		Writable:   e.Events&(unix.EPOLLOUT|over) != 0,
		PeerClosed: e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0,
		Failed:     e.Events&unix.EPOLLERR != 0,
	}
}
