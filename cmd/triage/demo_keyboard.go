package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keyboard reads lines from a terminal.
type keyboard struct{ in *os.File }

// keyLook is how often a waiting keyboard looks whether its context has ended.
const keyLook = 100 * time.Millisecond

// line returns the next line, and "q" if the terminal has closed. It asks the kernel whether there is something
// to read before it reads: a read that has begun could not be ended when ctx does, and whoever called would
// leave it behind. It takes byte by byte, so that what was typed ahead stays for the next call.
func (k *keyboard) line(ctx context.Context) (string, error) {
	var typed strings.Builder
	for {
		ready, err := readable(int(k.in.Fd()), keyLook)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return "", fmt.Errorf("wait for the keyboard: %w", err)
		}
		if !ready {
			continue
		}
		var b [1]byte
		switch _, err := k.in.Read(b[:]); {
		case errors.Is(err, io.EOF):
			return "q", nil
		case err != nil:
			return "", fmt.Errorf("read the keyboard: %w", err)
		case b[0] == '\n':
			return typed.String(), nil
		}
		typed.WriteByte(b[0])
	}
}

// readable waits until a descriptor has something to read, for as long as patience says. It uses select, since
// poll knows no terminals on older versions of macOS.
func readable(fd int, patience time.Duration) (bool, error) {
	var set unix.FdSet
	set.Set(fd)
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	n, err := unix.Select(fd+1, &set, nil, nil, &limit)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}
