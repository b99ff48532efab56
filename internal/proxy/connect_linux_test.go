package proxy_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// silence is an address where nobody answers a SYN: a listener whose queue is full.
func silence(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the queue of a listener with a backlog of 0 takes more than ten connections here")
	return ""
}

func TestConnectTimeout(t *testing.T) {
	r := start(t, options{group: func(r *triage.Roster) { r.ConnectTimeout = 50 * time.Millisecond }}, silence(t))
	began := time.Now()
	status, body := r.get(client(t), "/")
	if want := "triage: no target accepted a connection in time (group app)\n"; status != 504 || body != want {
		t.Errorf("%d %q", status, body)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("took %s", took)
	}
	if r.suspected() != 1 {
		t.Errorf("suspected %d times", r.suspected())
	}
}
