package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// commandConn is a connection that consists of a command's standard input and output.
type commandConn struct {
	line    string
	cmd     *exec.Cmd
	in, out *os.File      // our ends: what we write it reads, and the other way round
	said    stderrTail    // by the command
	ended   chan struct{} // closed when the command has ended
	err     error         // how; to be read after ended
	heard   bool          // something came
	killed  bool          // by us
}

// graceOfCommands is how long a command has to end by itself when it is told to, or when its output has ended.
const graceOfCommands = time.Second

// startVia runs a command, in a session of its own (what asks for a password there fails at once, and does not wait), as a way to an address. The caller closes the connection.
func startVia(command string, to netip.AddrPort) (*commandConn, error) {
	line, err := expandVia(command, to)
	if err != nil {
		return nil, err
	}
	c := &commandConn{line: line, ended: make(chan struct{})}
	itsIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, itsOut, err := os.Pipe()
	if err != nil {
		itsIn.Close()
		in.Close()
		return nil, err
	}
	c.in, c.out = in, out
	c.cmd = exec.Command("/bin/sh", "-c", line)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = itsIn, itsOut, &c.said
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.cmd.WaitDelay = graceOfCommands // one that it has left running may hold its stderr for ever
	err = c.cmd.Start()
	itsIn.Close()
	itsOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

func (c *commandConn) Read(b []byte) (int, error) {
	n, err := c.out.Read(b)
	c.heard = c.heard || n > 0
	if errors.Is(err, io.EOF) && !c.heard {
		c.wait() // the exit code says whether it is the target that has ended the connection
	}
	return n, err
}

func (c *commandConn) Write(b []byte) (int, error) { return c.in.Write(b) }

// wait gives the command some time to end, and reports whether it has.
func (c *commandConn) wait() bool {
	select {
	case <-c.ended:
		return true
	case <-time.After(graceOfCommands):
		return false
	}
}

// Close ends the command and all that it has started in its group.
func (c *commandConn) Close() error {
	c.in.Close()
	c.out.Close()
	select {
	case <-c.ended:
	default:
		c.killed = true
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
		c.wait()
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // the shell may be gone, and what it has started not
	<-c.ended
	return nil
}

// failure says how the command has failed: it has ended by itself, badly, before anything came from the target. It is
// for after Close.
func (c *commandConn) failure() error {
	if c.heard || c.killed || c.err == nil || errors.Is(c.err, exec.ErrWaitDelay) {
		return nil
	}
	text := fmt.Sprintf("%q ended with %s before anything came", c.line, c.err)
	if said := c.said.String(); said != "" {
		text += ":\n" + said
	}
	return errors.New(text)
}

// LocalAddr is no address: nobody knows from where the command connects.
func (c *commandConn) LocalAddr() net.Addr  { return commandAddr{} }
func (c *commandConn) RemoteAddr() net.Addr { return commandAddr{} }

func (c *commandConn) SetDeadline(t time.Time) error {
	return errors.Join(c.in.SetWriteDeadline(t), c.out.SetReadDeadline(t))
}
func (c *commandConn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *commandConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

type commandAddr struct{}

func (commandAddr) Network() string { return "pipe" }
func (commandAddr) String() string  { return "a command" }

// stderrTail keeps the last of what a command says.
type stderrTail struct {
	mu   sync.Mutex
	text []byte
}

const maxStderr = 600 // bytes: a few lines

func (s *stderrTail) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b...)
	s.text = s.text[max(0, len(s.text)-maxStderr):]
	return len(b), nil
}

func (s *stderrTail) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(bytes.TrimSpace(bytes.ReplaceAll(s.text, []byte("\r"), nil)))
}
