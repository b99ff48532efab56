//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated runs this program again, inside a network namespace of its own. Root makes one just so; others get
// one together with a user namespace, where the machine allows that. Temporary files go to dir; a signal from
// interrupts kills the other process and all that it has started.
func isolated(args []string, dir string, interrupts <-chan os.Signal) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread() // Pdeathsig follows the thread that started the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command(self, append([]string{roleInside}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make a network namespace (only root may, on some machines): %w", err)
	}
	ended := make(chan struct{})
	go func() {
		err = cmd.Wait() // read only after ended is closed
		close(ended)
	}()
	select {
	case <-ended:
	case <-interrupts:
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		return errors.New("interrupted")
	}
	if err != nil {
		return fmt.Errorf("the measurement: %w", err)
	}
	return nil
}

// prepareNamespace brings the loopback interface up and lifts the limits that would be measured otherwise.
func prepareNamespace() error {
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	// Caddy begins all its checks at the same moment. Both files belong to the namespace; where they cannot be
	// written, checks that are turned away show as missing.
	for _, file := range []string{"/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/tcp_max_syn_backlog"} {
		_ = os.WriteFile(file, []byte("65535"), 0)
	}
	const enough = 1 << 20 // fs.nr_open's default: root may go there, others to their hard limit
	limit := syscall.Rlimit{Cur: enough, Max: enough}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		return nil
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raise RLIMIT_NOFILE to %d: %w", limit.Max, err)
	}
	return nil
}

// limited becomes another program that may have so many descriptors: the arguments are the number, the program
// and its arguments. It is a process of its own because a limit has to be there before the program starts.
func limited(args []string) error {
	if len(args) < 2 {
		return errors.New("limited: a number and a program are needed")
	}
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return fmt.Errorf("limited: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return fmt.Errorf("set RLIMIT_NOFILE to %d: %w", n, err)
	}
	return fmt.Errorf("start %s: %w", args[1], syscall.Exec(args[1], args[1:], os.Environ()))
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// startOn starts a command whose threads may run on one core alone, as "taskset -c core" does: Go programs
// then have GOMAXPROCS 1 from the start. The caller is locked to its thread.
func startOn(core int, cmd *exec.Cmd) error {
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the affinity: %w", err)
	}
	only.Set(core)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("go to core %d: %w", core, err)
	}
	startErr := cmd.Start()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		return fmt.Errorf("leave core %d: %w", core, err)
	}
	return startErr
}

// otherCore returns a core that the process may use and that is not the given one; the same if there is no other.
func otherCore(core int) (int, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return 0, fmt.Errorf("read the affinity: %w", err)
	}
	if !allowed.IsSet(core) {
		return 0, fmt.Errorf("-core %d: this process may not run there", core)
	}
	for other := range len(allowed) * 64 {
		if other != core && allowed.IsSet(other) {
			return other, nil
		}
	}
	return core, nil
}
