package loop

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eachWaiter runs a test with both ways of waiting: New takes the one for a single P, or the other.
func eachWaiter(t *testing.T, test func(*testing.T, *Loop)) {
	for name, procs := range map[string]int{"nap": 2, "park": 1} {
		t.Run(name, func(t *testing.T) {
			open := descriptors(t)
			before := runtime.GOMAXPROCS(procs)
			l, err := New()
			runtime.GOMAXPROCS(before)
			if err != nil {
				t.Fatal(err)
			}
			if parks := l.waiter.file != nil; parks != (procs == 1) {
				t.Fatalf("parks: %v", parks)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				eventually(t, "all descriptors are closed", func() bool { return descriptors(t) <= open })
			})
			test(t, l)
		})
	}
}

// descriptors is how many this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	listen(t, "127.0.0.1:0").Close() // Go's own poller opens some at its first use
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// pollUntil polls until ok.
func pollUntil(t *testing.T, l *Loop, what string, ok func() bool, handle func(Event)) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		if err := l.Poll(20*time.Millisecond, handle); err != nil {
			t.Fatal(err)
		}
	}
}

// nextEvent polls for an event of c that is as wanted.
func nextEvent(t *testing.T, l *Loop, c Conn, what string, want func(Event) bool) Event {
	t.Helper()
	var found *Event
	pollUntil(t, l, what, func() bool { return found != nil }, func(e Event) {
		if e.Conn == c && want(e) {
			found = &e
		}
	})
	return *found
}

func listen(t *testing.T, address string) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener)
}

func addrOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

func accept(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	l.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// connected opens a connection and returns it when it is there, and its other side.
func connected(t *testing.T, l *Loop, listener *net.TCPListener, o Options) (Conn, *net.TCPConn) {
	t.Helper()
	c, err := l.Connect(addrOf(listener), o)
	if err != nil {
		t.Fatal(err)
	}
	if e := nextEvent(t, l, c, "connected", func(e Event) bool { return e.Writable }); e.Failed {
		t.Fatal(l.Err(c))
	}
	return c, accept(t, listener)
}

func TestExchangeOfBytes(t *testing.T) {
	for _, v := range []struct {
		listen  string
		options Options
	}{
		{"127.0.0.1:0", Options{}},
		{"[::1]:0", Options{}},
		{"127.0.0.1:0", Options{Source: netip.MustParseAddr("127.0.0.2"), NoDelay: true, DelayAck: true}},
		{"127.0.0.1:0", Options{Source: netip.MustParseAddr("::ffff:127.0.0.3")}},
		{"[::1]:0", Options{Source: netip.MustParseAddr("::1"), NoDelay: true, DelayAck: true}},
	} {
		eachWaiter(t, func(t *testing.T, l *Loop) {
			listener := listen(t, v.listen)
			c, peer := connected(t, l, listener, v.options)
			local, err := l.LocalAddr(c)
			if seen := peer.RemoteAddr().(*net.TCPAddr).AddrPort(); err != nil || local != seen {
				t.Errorf("we are %v (%v), the peer sees %v", local, err, seen)
			}
			if s := v.options.Source; s.IsValid() && local.Addr() != s.Unmap() {
				t.Errorf("we are %v, not %v", local, s)
			}
			b := make([]byte, 100)
			if n, err := l.Read(c, b); n != 0 || err != ErrWouldBlock {
				t.Errorf("read before anything came: %d, %v", n, err)
			}
			if n, err := l.Write(c, []byte("ping")); n != 4 || err != nil {
				t.Fatal(n, err)
			}
			if n, err := io.ReadFull(peer, b[:4]); string(b[:n]) != "ping" || err != nil {
				t.Fatal(string(b[:n]), err)
			}
			peer.Write([]byte("pong"))
			nextEvent(t, l, c, "readable", func(e Event) bool { return e.Readable && !e.PeerClosed })
			if n, err := l.Read(c, nil); n != 0 || err != nil {
				t.Errorf("read into nothing: %d, %v", n, err)
			}
			if n, err := l.Read(c, b); string(b[:n]) != "pong" || err != nil {
				t.Error(string(b[:n]), err)
			}
			l.Free(c, false)
			if n, err := peer.Read(b); n != 0 || err != io.EOF {
				t.Errorf("the peer read %d, %v instead of the end", n, err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		to := addrOf(listen(t, "127.0.0.1:0"))
		for _, o := range []Options{{}, {NoDelay: true}, {Source: to.Addr()}} {
			c, err := l.Connect(to, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []struct {
				name          string
				level, option int
				want          bool
			}{
				{"no delay", unix.IPPROTO_TCP, unix.TCP_NODELAY, o.NoDelay},
				{"no port at bind", unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, o.Source.IsValid()},
			} {
				got, err := unix.GetsockoptInt(int(l.conns[c.Index()].fd), v.level, v.option)
				if err != nil || (got != 0) != v.want {
					t.Errorf("%+v: %s is %d, %v", o, v.name, got, err)
				}
			}
		}
	})
}

// TestDelayAck counts the packets that a connection has sent when it is there: with DelayAck the SYN only. (As the
// ACK leaves after 200 ms nevertheless, a slow machine gets some tries.)
func TestDelayAck(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		to := addrOf(listen(t, "127.0.0.1:0"))
		sent := func(o Options) uint32 {
			c, err := l.Connect(to, o)
			if err != nil {
				t.Fatal(err)
			}
			nextEvent(t, l, c, "connected", func(e Event) bool { return e.Writable })
			info, err := unix.GetsockoptTCPInfo(int(l.conns[c.Index()].fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			return info.Segs_out
		}
		if n := sent(Options{}); n != 2 {
			t.Errorf("%d packets, not SYN and ACK", n)
		}
		eventually(t, "a SYN only", func() bool { return sent(Options{DelayAck: true}) == 1 })
	})
}

func TestWriteUntilFull(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
		block, sent := make([]byte, 1<<20), 0
		var err error
		for err == nil {
			var n int
			n, err = l.Write(c, block)
			sent += n
		}
		if err != ErrWouldBlock {
			t.Fatal(err)
		}
		received := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, peer)
			received <- n
		}()
		nextEvent(t, l, c, "writable again", func(e Event) bool { return e.Writable })
		l.Free(c, false)
		if n := <-received; n != int64(sent) {
			t.Errorf("%d bytes were written and %d arrived", sent, n)
		}
	})
}

func TestRefused(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			listener := listen(t, address)
			listener.Close()
			c, err := l.Connect(addrOf(listener), Options{})
			if err != nil {
				t.Fatal(err)
			}
			nextEvent(t, l, c, "failed", func(e Event) bool { return e.Failed })
			if err := l.Err(c); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: %v", address, err)
			}
			l.Free(c, true)
		}
	})
}

func TestConnectFailsAtOnce(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		open := descriptors(t)
		for _, v := range []struct {
			to     string
			source string
			want   syscall.Errno
		}{
			{"255.255.255.255:80", "", syscall.ENETUNREACH}, // no TCP to a broadcast address
			{"[fe80::1%nosuchinterface]:80", "", syscall.ENODEV},
			{"[fe80::1]:80", "", syscall.EINVAL}, // link-local, and which link is not said
			{"127.0.0.1:80", "192.0.2.1", syscall.EADDRNOTAVAIL},
			{"127.0.0.1:80", "::1", syscall.EAFNOSUPPORT},
			{"[::1]:80", "127.0.0.1", syscall.EAFNOSUPPORT},
		} {
			var o Options
			if v.source != "" {
				o.Source = netip.MustParseAddr(v.source)
			}
			if c, err := l.Connect(netip.MustParseAddrPort(v.to), o); err != v.want || c != 0 {
				t.Errorf("%s from %q: %v, %v; want %v", v.to, v.source, c, err, v.want)
			}
		}
		if _, err := l.Connect(netip.AddrPort{}, Options{}); err != syscall.EAFNOSUPPORT {
			t.Errorf("no address: %v", err)
		}
		if n := descriptors(t); n != open {
			t.Errorf("%d descriptors were left open", n-open)
		}
	})
}

// TestZone connects over the loopback interface's zone, by name and by number.
func TestZone(t *testing.T) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	var a sockaddr
	for _, zone := range []string{"lo", "1"} {
		addr := netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(zone), 80)
		fd, errno := socket(unix.AF_INET6)
		if errno != 0 {
			t.Skip(errno)
		}
		if _, errno := a.set(fd, unix.AF_INET6, addr); errno != 0 || a.Scope_id != uint32(loopback.Index) {
			t.Errorf("%s: interface %d, %v; want %d", zone, a.Scope_id, errno, loopback.Index)
		}
		closeFD(fd)
	}
}

// TestHang connects to a listener whose queue is full: the kernel drops our SYN and nothing happens.
func TestHang(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
			t.Fatal(err)
		}
		to, err := localAddr(fd)
		if err != nil {
			t.Fatal(err)
		}
		there := map[Conn]bool{}
		var conns []Conn
		for range 4 {
			c, err := l.Connect(to, Options{})
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			for range 3 { // one of them at least waits its time out
				if err := l.Poll(10*time.Millisecond, func(e Event) { there[e.Conn] = true }); err != nil {
					t.Fatal(err)
				}
			}
		}
		last := conns[3]
		if _, err := l.Write(last, []byte("x")); there[last] || !there[conns[0]] || err != ErrWouldBlock {
			t.Errorf("there: %v of %v; write: %v", there, conns, err)
		}
		l.Free(last, true)
	})
}

func TestResetByPeer(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
		peer.SetLinger(0)
		peer.Close()
		nextEvent(t, l, c, "reset", func(e Event) bool { return e.Failed && e.PeerClosed && e.Readable })
		if _, err := l.Read(c, make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := l.Write(c, []byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	})
}

func TestAbortSendsReset(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
		l.Free(c, true)
		if _, err := peer.Read(make([]byte, 10)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
		peer.Write([]byte("last words"))
		peer.CloseWrite()
		nextEvent(t, l, c, "half closed", func(e Event) bool { return e.PeerClosed && e.Readable && !e.Failed })
		b := make([]byte, 100)
		if n, err := l.Read(c, b); string(b[:n]) != "last words" || err != nil {
			t.Error(string(b[:n]), err)
		}
		if _, err := l.Read(c, b); err != io.EOF {
			t.Error(err)
		}
		if _, err := l.Write(c, []byte("still here")); err != nil {
			t.Error(err)
		}
		if n, err := peer.Read(b); string(b[:n]) != "still here" || err != nil {
			t.Error(string(b[:n]), err)
		}
	})
}

// TestStaleHandles opens and closes 10,000 connections and keeps all handles.
func TestStaleHandles(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		const total, atOnce = 10_000, 100
		listener := listen(t, "127.0.0.1:0")
		var server sync.WaitGroup
		server.Go(func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		})
		open := descriptors(t)
		live := map[Conn]bool{}
		var stale []Conn
		start := func() {
			c, err := l.Connect(addrOf(listener), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if live[c] {
				t.Fatalf("handle %x is in use already", c)
			}
			live[c] = true
		}
		for range atOnce {
			start()
		}
		pollUntil(t, l, "all connections have ended", func() bool { return len(live) == 0 }, func(e Event) {
			if !live[e.Conn] {
				t.Fatalf("an event for %x, which is not open", e.Conn)
			}
			if !e.PeerClosed {
				return
			}
			delete(live, e.Conn)
			stale = append(stale, e.Conn)
			l.Free(e.Conn, true)
			if len(live)+len(stale) < total {
				start()
			}
		})
		listener.Close()
		server.Wait()
		if len(l.conns) > atOnce {
			t.Errorf("%d slots for %d connections", len(l.conns), atOnce)
		}
		c, _ := connected(t, l, listen(t, "127.0.0.1:0"), Options{}) // in one of their slots
		for _, old := range stale {
			_, read := l.Read(old, make([]byte, 1))
			_, write := l.Write(old, []byte("x"))
			_, local := l.LocalAddr(old)
			if read != ErrClosed || write != ErrClosed || local != ErrClosed || l.Err(old) != ErrClosed {
				t.Fatalf("%x: %v, %v, %v, %v", old, read, write, local, l.Err(old))
			}
			l.Free(old, true)
		}
		if len(stale) != total || l.Err(c) != nil {
			t.Errorf("%d handles; the open connection: %v", len(stale), l.Err(c))
		}
		l.Free(c, true)
		eventually(t, "descriptors are back", func() bool { return descriptors(t) <= open+1 }) // +1: accepted
	})
}

// TestFreedLaterInTheBatch frees all connections of a batch at its first event, and opens new ones in their slots.
func TestFreedLaterInTheBatch(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		listener := listen(t, "127.0.0.1:0")
		var conns []Conn
		var peers []*net.TCPConn
		for range 8 {
			c, peer := connected(t, l, listener, Options{})
			conns, peers = append(conns, c), append(peers, peer)
		}
		for _, p := range peers {
			p.Write([]byte("x"))
		}
		slots, files := map[int]bool{}, map[int32]bool{}
		fresh := map[Conn]bool{}
		pollUntil(t, l, "an event", func() bool { return len(fresh) > 0 }, func(e Event) {
			if len(fresh) > 0 {
				t.Errorf("after all were freed: %+v", e)
				return
			}
			for _, c := range conns {
				slots[c.Index()], files[l.conns[c.Index()].fd] = true, true
				l.Free(c, true)
			}
			for range conns {
				c, err := l.Connect(addrOf(listener), Options{})
				if err != nil {
					t.Fatal(err)
				}
				if fd := l.conns[c.Index()].fd; !slots[c.Index()] || files[fd] {
					t.Errorf("%x is not in an old slot, or descriptor %d was closed within the batch", c, fd)
				}
				fresh[c] = true
			}
		})
		pollUntil(t, l, "the new connections are there", func() bool { return len(fresh) == 0 }, func(e Event) {
			if !fresh[e.Conn] {
				t.Errorf("not one of the new: %+v", e)
			}
			delete(fresh, e.Conn)
		})
	})
}

func TestWakeIsNeverLost(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		const wakers, each = 8, 2000
		var inbox atomic.Int64
		var done sync.WaitGroup
		for range wakers {
			done.Go(func() {
				for range each {
					inbox.Add(1)
					l.Wake()
				}
			})
		}
		giveUp := time.AfterFunc(20*time.Second, func() { panic("a wake-up was lost") })
		for seen := int64(0); seen < wakers*each; seen += inbox.Swap(0) {
			if err := l.Poll(-1, nil); err != nil {
				t.Fatal(err)
			}
		}
		giveUp.Stop()
		done.Wait()
		l.Close()
		l.Wake() // of a closed loop
	})
}

func TestWakesAreOne(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		var wakers sync.WaitGroup
		for range 8 {
			wakers.Go(func() {
				for range 1000 {
					l.Wake()
				}
			})
		}
		wakers.Wait()
		written := make([]byte, 8)
		if n, err := unix.Read(l.eventfd, written); n != 8 || err != nil {
			t.Fatal(n, err)
		}
		if n := binary.NativeEndian.Uint64(written); n != 1 {
			t.Errorf("8,000 wake-ups became %d", n)
		}
	})
}

// TestShortTimeouts: with timeouts that are over before the wait begins, events are still seen.
func TestShortTimeouts(t *testing.T) {
	for _, timeout := range []time.Duration{0, 1} {
		eachWaiter(t, func(t *testing.T, l *Loop) {
			c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
			peer.Write([]byte("x"))
			eventually(t, "readable", func() (ok bool) {
				if err := l.Poll(timeout, func(e Event) { ok = e.Conn == c && e.Readable }); err != nil {
					t.Fatal(err)
				}
				return ok
			})
		})
	}
}

// TestTimeoutEnds: a wait without events ends by itself, and one without a timeout that follows does not end by it.
func TestTimeoutEnds(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		for range 3 {
			for start := time.Now(); time.Since(start) < 5*time.Millisecond; {
				if err := l.Poll(5*time.Millisecond, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		var called atomic.Bool
		wake := time.AfterFunc(20*time.Millisecond, func() {
			called.Store(true)
			l.Wake()
		})
		defer wake.Stop()
		for polls := 0; !called.Load(); polls++ {
			if err := l.Poll(-1, nil); err != nil || polls > 100 {
				t.Fatalf("after %d polls: %v", polls, err)
			}
		}
	})
}

func TestOutOfDescriptors(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		listener := listen(t, "127.0.0.1:0")
		var before syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		low := syscall.Rlimit{Cur: uint64(descriptors(t) + 20), Max: before.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
		var conns []Conn
		var err error
		for err == nil && len(conns) < 100 {
			var c Conn
			if c, err = l.Connect(addrOf(listener), Options{}); err == nil {
				conns = append(conns, c)
			}
		}
		if !errors.Is(err, syscall.EMFILE) || len(conns) == 0 {
			t.Fatalf("after %d connections: %v", len(conns), err)
		}
		replaced := false
		pollUntil(t, l, "an event", func() bool { return replaced }, func(Event) {
			if replaced {
				return
			}
			replaced = true
			l.Free(conns[0], true) // within a batch too, this makes room
			if _, err := l.Connect(addrOf(listener), Options{}); err != nil {
				t.Error(err)
			}
		})
		l.Free(conns[1], true)
		if _, err := l.Connect(addrOf(listener), Options{}); err != nil {
			t.Error(err)
		}
	})
}

func TestClosedLoop(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		c, peer := connected(t, l, listen(t, "127.0.0.1:0"), Options{})
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		_, connect := l.Connect(addrOf(listen(t, "127.0.0.1:0")), Options{})
		if poll := l.Poll(0, nil); poll != ErrClosed || connect != ErrClosed || l.Err(c) != ErrClosed {
			t.Error(poll, connect, l.Err(c))
		}
	})
}

func TestExchangeNeedsNoMemory(t *testing.T) {
	eachWaiter(t, func(t *testing.T, l *Loop) {
		to := addrOf(listen(t, "127.0.0.1:0")) // its queue takes them all
		var there Conn
		handle := func(e Event) {
			if e.Writable {
				there = e.Conn
			}
		}
		if n := testing.AllocsPerRun(50, func() {
			c, err := l.Connect(to, Options{Source: to.Addr(), NoDelay: true, DelayAck: true})
			for err == nil && there != c {
				err = l.Poll(time.Second, handle)
			}
			if err == nil {
				_, err = l.Write(c, request)
			}
			if err != nil {
				t.Fatal(err)
			}
			l.Free(c, true)
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
