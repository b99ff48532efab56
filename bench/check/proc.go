//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// processCPU returns the CPU time that a process has used, in user mode and in the kernel, all threads together.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessStat(string(text))
}

// parseProcessStat adds utime and stime, fields 14 and 15 of proc_pid_stat(5). The second field is the name in
// parentheses and may hold both spaces and parentheses.
func parseProcessStat(text string) (time.Duration, error) {
	_, rest, found := cutLast(text, ")")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return 0, fmt.Errorf("%q is not what /proc/PID/stat looks like", text)
	}
	const afterName = 3 // the number of the first field behind the name
	user, err := strconv.ParseInt(fields[14-afterName], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("utime: %w", err)
	}
	system, err := strconv.ParseInt(fields[15-afterName], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("stime: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// memory is what a process holds for itself, in bytes: RssAnon leaves out its program file and what it shares.
type memory struct {
	anonymous int64 // RssAnon
	peak      int64 // VmHWM: the most that was resident, files included
}

func processMemory(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	return parseProcessStatus(string(text))
}

func parseProcessStatus(text string) (memory, error) {
	anonymous, err := statusBytes(text, "RssAnon")
	if err != nil {
		return memory{}, err
	}
	peak, err := statusBytes(text, "VmHWM")
	return memory{anonymous: anonymous, peak: peak}, err
}

// statusBytes finds a line like "RssAnon:	    1234 kB".
func statusBytes(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		value, found := strings.CutPrefix(line, key+":")
		if !found {
			continue
		}
		number, isKilo := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || !isKilo {
			return 0, fmt.Errorf("%s: %q is not a number of kB", key, strings.TrimSpace(value))
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", key)
}

// coreBusy returns how long a core has been busy since the machine started, whoever used it.
func coreBusy(core int) (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseCoreBusy(string(text), core)
}

// parseCoreBusy adds the fields of a line of proc_stat(5) but idle and iowait. Steal is busy for us: the host
// gave the core to somebody else. Guest time is contained in user time.
func parseCoreBusy(text string, core int) (time.Duration, error) {
	name := "cpu" + strconv.Itoa(core)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[0] != name {
			continue
		}
		var ticks int64
		for i, field := range fields[1:9] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			if idle := i == 3 || i == 4; !idle {
				ticks += n
			}
		}
		return time.Duration(ticks) * tick, nil
	}
	return 0, fmt.Errorf("/proc/stat has no line %s", name)
}
