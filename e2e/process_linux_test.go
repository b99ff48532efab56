package e2e

import "syscall"

// endWithUs has the kernel send quit to a server should the test binary die
// without its clean-up (a timeout, Ctrl-C). It goes by the thread that started
// the server, and Go ends a thread only when a goroutine dies locked to it.
func endWithUs(attr *syscall.SysProcAttr, quit syscall.Signal) { attr.Pdeathsig = quit }
