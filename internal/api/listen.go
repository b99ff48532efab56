package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
)

// listen takes an admin address: "address:port" on loopback or "unix:/path".
func listen(address string) (net.Listener, error) {
	if err := triage.CheckAdmin(address); err != nil {
		return nil, &triage.Error{Kind: triage.KindInvalid, Message: err.Error(), Hint: "set admin.listen in the config", Err: err}
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(address, path)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, refused(address, err)
	}
	// The name localhost is whatever the machine's hosts file says.
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		return nil, errors.Join(&triage.Error{
			Kind:    triage.KindDenied,
			Message: fmt.Sprintf("admin address %s is %s here, which is not a loopback address", address, tcp.IP),
			Hint:    "write 127.0.0.1 in admin.listen",
		}, l.Close())
	}
	return l, nil
}

func refused(address string, err error) error {
	e := &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("admin address %s: %s", address, rootCause(err)), Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return taken(address)
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = triage.KindDenied, "ports below 1024 and other users' folders need privileges; set admin.listen in the config"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Kind, e.Hint = triage.KindInvalid, "this machine does not have the address; set admin.listen in the config"
	}
	return e
}

func taken(address string) error {
	return &triage.Error{
		Kind:    triage.KindConflict,
		Message: fmt.Sprintf("admin address %s is taken", address),
		Hint:    fmt.Sprintf("is another triage running? triage status --admin %s\nelse set admin.listen in the config", address),
	}
}

// rootCause is the innermost error's text: what the kernel said, without the layers of Go around it.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// maxSocketPath is what the kernel's sockaddr_un can hold, less the NUL at its end.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// listenUnix takes a unix socket, which only its owner may connect to. A file that a dead process left is
// removed first; net removes ours when the listener closes.
func listenUnix(address, path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, &triage.Error{Kind: triage.KindInvalid,
			Message: fmt.Sprintf("admin address %s: the path is longer than the %d bytes that a socket's path may have", address, maxSocketPath),
			Hint:    "set a shorter admin.listen in the config"}
	}
	if err := removeStale(address, path); err != nil {
		return nil, err
	}
	// On Linux the file takes the mode that the socket has when it is bound, so nobody can slip in before the
	// mode is set. Other systems refuse to change it then, and get it a moment later.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, refused(address, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(refused(address, err), l.Close())
	}
	return l, nil
}

const socketMode = 0o600

// removeStale removes the file of a socket that nobody listens on.
func removeStale(address, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return &triage.Error{Kind: triage.KindInvalid,
				Message: fmt.Sprintf("admin address %s: the folder %s does not exist", address, filepath.Dir(path)),
				Hint:    "make the folder (systemd: RuntimeDirectory=triage), or set admin.listen in the config", Err: err}
		}
		return nil
	}
	if err != nil {
		return refused(address, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return &triage.Error{Kind: triage.KindConflict,
			Message: fmt.Sprintf("admin address %s: %s is there and is not a socket", address, path),
			Hint:    "move it away, or set another admin.listen in the config"}
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(taken(address), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return refused(address, err)
		}
		return nil
	default:
		return refused(address, err)
	}
}
