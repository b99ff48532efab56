package main

import (
	"log/slog"
	"runtime/debug"
	"strconv"
	"syscall"
)

// gcPercent is how much garbage may come between two collections, in percent of what is in use. Go's default of
// 100 would double what each of very many targets costs; a balancer makes so little garbage that half of it is cheap.
const gcPercent = 50

// ballastSize is added to what is in use when the collector reckons how much garbage may come: a small balancer would
// else collect after every 2 MiB, which with checks over TLS is a fifth of its time.
const ballastSize = 16 << 20

// limitGarbage applies gcPercent, unless the person who started us knows better, and returns the setting as it is
// written in the environment. The ballast must be kept for as long as it is to count; as nobody ever writes into it, it
// takes no memory of the machine.
func limitGarbage(getenv func(string) string) (setting string, ballast []byte) {
	if given := getenv("GOGC"); given != "" {
		return "GOGC=" + given, nil
	}
	debug.SetGCPercent(gcPercent)
	if getenv("GOMEMLIMIT") != "" {
		return "GOGC=" + strconv.Itoa(gcPercent), nil // it would count as memory in use
	}
	return "GOGC=" + strconv.Itoa(gcPercent), make([]byte, ballastSize)
}

const (
	maxChecks = 1 << 16 // at once, however many descriptors there are: each holds memory in the kernel, too
	maxIdle   = 1 << 13
	fewFiles  = 4096 // descriptors with which a balancer may run short
)

// room is how the descriptors that this process may open are shared out: three quarters for checks, a sixteenth for
// connections that are kept to targets; the rest is for clients, the requests that run, and files. 0 is a part's default.
type room struct{ checks, idle int }

// shareDescriptors reads the limit. The soft one is at the hard one already: the Go runtime raises it.
func shareDescriptors(log *slog.Logger) room {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return room{}
	}
	if limit.Cur < fewFiles {
		log.Warn("this process may open few files: each check, client and request to a target needs one", "limit", limit.Cur,
			"hint", "raise it: ulimit -Hn, LimitNOFILE= of systemd, or --ulimit nofile= of docker")
	}
	return room{checks: int(min(limit.Cur/4*3, maxChecks)), idle: int(min(limit.Cur/16, maxIdle))}
}
