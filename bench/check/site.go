//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// site is the HTTP server behind all targets: one epoll loop in one thread, which also reads its orders from
// stdin, so nothing in it is locked. It leaves the closing to the checker, as a server does that keeps
// connections alive.
type site struct {
	poll   int
	listen int
	conns  []siteConn // by descriptor
	buf    []byte

	asked    []bool // by target, since the last reset
	distinct int

	recording bool
	began     time.Time
	arrivals  []arrival
}

// siteConn is an open connection.
type siteConn struct {
	target  int
	matched int  // bytes of the empty line that ends a request, so far
	begun   bool // the first bytes of the request were looked at
	found   bool // it asks for the path that there is
}

// siteReport is the answer to every order.
type siteReport struct {
	Asked  int           // targets asked since the last reset
	Checks int           // while recording
	Window time.Duration // for which it was recording
	Lagged int           // checks that the lags are of
	Lag50  time.Duration
	Lag99  time.Duration
	LagMax time.Duration
}

const (
	siteOK      = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
	siteUnknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	siteRequest = "GET " + targetPath + " "
	endOfHead   = "\r\n\r\n"
)

// serveSite runs the server until stdin ends.
func serveSite() error {
	s := &site{buf: make([]byte, 4<<10)}
	var err error
	if s.listen, err = listenAll(); err != nil {
		return fmt.Errorf("listen on port %d: %w", targetPort, err)
	}
	if s.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, fd := range []int{s.listen, int(os.Stdin.Fd())} {
		if err := s.watch(fd); err != nil {
			return err
		}
	}
	return s.run()
}

// listenAll binds every address of the namespace, which has none but loopback ones.
func listenAll() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: targetPort}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 65535)
}

func (s *site) watch(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	return nil
}

func (s *site) run() error {
	events := make([]unix.EpollEvent, 512)
	stdin := int(os.Stdin.Fd())
	for {
		n, err := unix.EpollWait(s.poll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			switch fd := int(event.Fd); fd {
			case s.listen:
				err = s.accept()
			case stdin:
				var ended bool
				if ended, err = s.obey(); ended {
					return nil
				}
			default:
				s.answer(fd)
				continue
			}
			if err != nil {
				return err
			}
		}
	}
}

// accept takes some of the connections that wait; those that came already must not starve behind new ones.
func (s *site) accept() error {
	for range 64 {
		fd, _, err := unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("accept: %w", err)
		}
		local, err := unix.Getsockname(fd)
		here, ok := local.(*unix.SockaddrInet4)
		if err != nil || !ok {
			_ = unix.Close(fd)
			continue
		}
		for fd >= len(s.conns) {
			s.conns = append(s.conns, siteConn{})
		}
		s.conns[fd] = siteConn{target: targetNumber(here.Addr)}
		if err := s.watch(fd); err != nil {
			return err
		}
	}
	return nil
}

// answer reads what came and answers each request that is complete.
func (s *site) answer(fd int) {
	n, err := unix.Read(fd, s.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if n <= 0 {
		_ = unix.Close(fd)
		return
	}
	c := &s.conns[fd]
	for i, b := range s.buf[:n] {
		if !c.begun {
			c.begun, c.found = true, bytes.HasPrefix(s.buf[i:n], []byte(siteRequest))
		}
		switch b {
		case endOfHead[c.matched]:
			c.matched++
		case endOfHead[0]:
			c.matched = 1
		default:
			c.matched = 0
		}
		if c.matched < len(endOfHead) {
			continue
		}
		s.write(fd, c.found)
		if c.found {
			s.count(c.target)
		}
		*c = siteConn{target: c.target}
	}
}

// write answers. The answer is far smaller than a socket's buffer, so it leaves whole or not at all; what a
// checker that is gone does not get, nobody misses.
func (s *site) write(fd int, found bool) {
	answer := siteUnknown
	if found {
		answer = siteOK
	}
	_, _ = unix.Write(fd, []byte(answer))
}

func (s *site) count(target int) {
	if target < 0 || target >= len(s.asked) {
		return
	}
	if !s.asked[target] {
		s.asked[target] = true
		s.distinct++
	}
	if s.recording {
		s.arrivals = append(s.arrivals, arrival{target: target, at: time.Since(s.began)})
	}
}

// obey reads one order from stdin, carries it out and writes a report to stdout. An order is a line, written
// at once, and the next one follows only after the report.
//
//	reset N     from now on there are N targets, and none was asked
//	look        how many were asked?
//	record      begin to record
//	stop NANOS  end to record; the interval is that many nanoseconds
func (s *site) obey() (ended bool, err error) {
	var line [64]byte
	n, err := os.Stdin.Read(line[:])
	if n == 0 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read an order: %w", err)
	}
	order, argument, _ := strings.Cut(strings.TrimSpace(string(line[:n])), " ")
	number, _ := strconv.Atoi(argument) // 0 for orders without
	var report siteReport
	switch order {
	case "reset":
		s.asked, s.distinct = make([]bool, number), 0
	case "record":
		s.recording, s.began, s.arrivals = true, time.Now(), s.arrivals[:0]
	case "stop":
		s.recording = false
		report = s.summary(time.Duration(number))
	}
	report.Asked = s.distinct
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return false, fmt.Errorf("report: %w", err)
	}
	return false, nil
}

func (s *site) summary(interval time.Duration) siteReport {
	window := time.Since(s.began)
	late := lags(s.arrivals, interval)
	return siteReport{
		Checks: len(s.arrivals),
		Window: window,
		Lagged: len(late),
		Lag50:  quantile(late, 0.50),
		Lag99:  quantile(late, 0.99),
		LagMax: quantile(late, 1),
	}
}
