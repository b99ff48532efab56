//go:build linux

package main

import (
	"context"
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
// stdin. It leaves the closing to the checker, as a server does that keeps connections alive.
type site struct {
	tally  *tally
	mood   mood
	poll   int
	listen int        // -1 while it refuses
	conns  []siteConn // by descriptor
	buf    []byte
	secure *secureSite // nil until somebody asks for it
}

// siteConn is an open connection.
type siteConn struct {
	target   int
	requests requests
}

// mood is how the site takes checks.
type mood string

const (
	moodAnswer mood = "answer"
	moodFail   mood = "fail"   // answers 500
	moodHang   mood = "hang"   // never answers
	moodRefuse mood = "refuse" // does not listen
)

// serveSite runs the server until stdin ends.
func serveSite() error {
	s := &site{tally: &tally{}, mood: moodAnswer, buf: make([]byte, 4<<10)}
	var err error
	if s.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := s.watch(int(os.Stdin.Fd())); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	err = s.run(ctx)
	stop()
	if s.secure != nil {
		s.secure.wait()
	}
	return err
}

func (s *site) open() error {
	var err error
	if s.listen, err = listenAll(); err != nil {
		return fmt.Errorf("listen on port %d: %w", plain.port(), err)
	}
	return s.watch(s.listen)
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
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: plain.port()}); err != nil {
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

func (s *site) run(ctx context.Context) error {
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
				if ended, err = s.obey(ctx); ended {
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
		s.tally.connection()
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
	for in := s.buf[:n]; len(in) > 0; {
		wants, rest, complete := c.requests.next(in)
		if !complete {
			return
		}
		in = rest
		s.write(fd, wants)
		if wants == askedCheck {
			s.tally.check(c.target)
		}
	}
}

// write answers as the mood is. The answer is far smaller than a socket's buffer, so it leaves whole or not at
// all; what a checker that is gone does not get, nobody misses.
func (s *site) write(fd int, wants asked) {
	answer := siteOK
	switch {
	case wants == askedUnknown:
		answer = siteUnknown
	case wants == askedCheck && s.mood == moodFail:
		answer = siteFault
	case wants == askedCheck && s.mood == moodHang:
		return
	}
	_, _ = unix.Write(fd, []byte(answer))
}

// turn changes the mood.
func (s *site) turn(m mood) error {
	s.mood = m
	switch {
	case m == moodRefuse && s.listen >= 0:
		_ = unix.Close(s.listen)
		s.listen = -1
	case m != moodRefuse && s.listen < 0:
		return s.open()
	}
	return nil
}

// obey reads one order from stdin, carries it out and writes a report to stdout. An order is a line, written
// at once, and the next one follows only after the report.
//
//	reset N     from now on there are N targets, and none was asked
//	look        how many were asked?
//	record      begin to record
//	stop NANOS  end to record; the interval is that many nanoseconds
//	turn MOOD   take checks like that from now on
//	secure      serve HTTPS as well
func (s *site) obey(ctx context.Context) (ended bool, err error) {
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
	report := s.tally.look()
	switch order {
	case "reset":
		s.tally.reset(number)
	case "record":
		s.tally.record()
	case "stop":
		report = s.tally.stop(time.Duration(number))
	case "turn":
		err = s.turn(mood(argument))
	case "secure":
		if s.secure == nil {
			s.secure, err = startSecure(ctx, s.tally)
		}
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", order, err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return false, fmt.Errorf("report: %w", err)
	}
	return false, nil
}
