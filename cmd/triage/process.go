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

// limitGarbage applies gcPercent, unless the person who started us knows better, and returns the setting as it is
// written in the environment.
func limitGarbage(getenv func(string) string) string {
	if given := getenv("GOGC"); given != "" {
		return "GOGC=" + given
	}
	debug.SetGCPercent(gcPercent)
	return "GOGC=" + strconv.Itoa(gcPercent)
}

const (
	maxChecks = 1 << 16 // at once, however many descriptors there are: each holds memory in the kernel, too
	fewFiles  = 4096    // descriptors with which a balancer may run short
)

// roomForChecks is how many checks may be under way at once: three quarters of the descriptors that this process may
// open; the rest is for clients and files. The soft limit is at the hard one already: the Go runtime raises it.
func roomForChecks(log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0 // the engine's default
	}
	if limit.Cur < fewFiles {
		log.Warn("this process may open few files: each check, client and request to a target needs one", "limit", limit.Cur,
			"hint", "raise it: ulimit -Hn, LimitNOFILE= of systemd, or --ulimit nofile= of docker")
	}
	return int(min(limit.Cur/4*3, maxChecks))
}
