package loop

import (
	"errors"
	"math"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many events are taken at once. At 50 µs each, timers wait some 6 ms for them at worst.
const batchSize = 128

// nap is how long a loop keeps its P while it waits.
const nap = time.Millisecond

// waiter waits for events of an epoll instance.
//
// The plain way, a system call that blocks, is dear in a loop that waits some 100 µs several thousand times
// a second: each time sysmon wakes up to take the P away, and the thread has to find one again. It costs
// a quarter of the CPU time of a small exchange on one core, and an eighth on two. So
//   - where there is more than one P, the loop keeps its own for the first millisecond. The scheduler's signal
//     (garbage collection, or a goroutine that waits) ends the system call, and so the wait, at any time.
//   - where there is only one, others would starve: the goroutine parks in Go's own poller, which watches the epoll
//     instance as it would a socket. (With more than one P this costs more than it saves, as
//     another thread wakes up for each event.)
type waiter struct {
	epoll  int // -1 once closed
	events [batchSize]unix.EpollEvent

	// Of the parking one only; file is nil in the other.
	file     *os.File
	conn     syscall.RawConn
	ready    func(uintptr) bool // looks once, and keeps the result in the next two
	n        int
	err      error
	deadline bool // file has one
}

func (w *waiter) open() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	w.epoll = epoll
	if runtime.GOMAXPROCS(0) > 1 {
		return nil
	}
	if err = unix.SetNonblock(epoll, true); err == nil { // or else os does not hand it to the poller
		w.file = os.NewFile(uintptr(epoll), "epoll")
		w.conn, err = w.file.SyscallConn()
	}
	if err != nil {
		w.close()
		return err
	}
	w.ready = func(uintptr) bool {
		w.n, w.err = w.look(0)
		return w.n > 0 || w.err != nil
	}
	return nil
}

func (w *waiter) close() error {
	epoll := w.epoll
	w.epoll = -1
	if w.file != nil {
		return w.file.Close()
	}
	return unix.Close(epoll)
}

// wait fills in events and returns their number; it may be 0 before the timeout is over.
func (w *waiter) wait(timeout time.Duration) (int, error) {
	switch {
	case timeout == 0:
		return w.look(0)
	case w.file != nil:
		return w.park(timeout)
	case timeout > 0 && timeout <= nap:
		return w.look(timeout)
	}
	n, err := w.look(nap)
	if n > 0 || err != nil {
		return n, err
	}
	if timeout > 0 {
		timeout -= nap
	}
	return w.block(timeout)
}

// look waits without the scheduler's knowledge.
func (w *waiter) look(timeout time.Duration) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&w.events)),
		batchSize, uintptr(milliseconds(timeout)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

func (w *waiter) block(timeout time.Duration) (int, error) {
	n, err := unix.EpollWait(w.epoll, w.events[:], milliseconds(timeout))
	if err == unix.EINTR {
		return 0, nil
	}
	return n, err
}

func (w *waiter) park(timeout time.Duration) (int, error) {
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	if timeout > 0 || w.deadline {
		if err := w.file.SetReadDeadline(until); err != nil {
			return 0, err
		}
		w.deadline = timeout > 0
	}
	err := w.conn.Read(w.ready)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return w.look(0) // a deadline that is over already is noticed before the first look
	}
	if err != nil {
		return 0, err
	}
	return w.n, w.err
}

// milliseconds rounds up: a wait that is too short would be repeated.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int(min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
}
