package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/capture"
)

// listenCommand shows what comes in at a port, as "nc -l 8080" does, and names it.
type listenCommand struct {
	Address []string `arg:"" optional:"" name:"ADDRESS" default:":8080" help:"Where to listen: :8080 (all addresses), 10.0.1.5:8080, [::1]:8080. Default: :8080."`

	Status      int    `default:"200" placeholder:"CODE" help:"Answer with this status. Default: ${default}."`
	Forward     string `placeholder:"ADDRESS" help:"Pass health checks on to the application at this address, as 127.0.0.1:8000, and show and judge what it answers. GET and HEAD of known load balancers only; other requests get 403."`
	Path        string `placeholder:"PATH" help:"With --forward and --tap: also pass on, or show, what asks for this path, whoever sends it."`
	AllowRemote bool   `help:"With --forward: the application may be on another machine."`
	Tap         string `placeholder:"ADDRESS" help:"Look at a port that another process has, as :80, without taking it, and show the checks that come in (Linux; CAP_NET_RAW, else only who connects)."`
	Count       int    `placeholder:"N" help:"End after N records. Default: go on until Ctrl-C."`
	JSON        bool   `help:"Print one JSON object for each record, on one line."`
	Raw         string `placeholder:"FILE" help:"Append the bytes, exactly as they came, to this file."`
}

// Help is what kong prints below the first line of --help.
func (*listenCommand) Help() string {
	return "Point the load balancer's health check at this port. Every request is shown as it came, with its " +
		"line ends; what is neither printable nor ASCII appears as \\xNN. TLS, PROXY headers, HTTP/2 and " +
		"connections without a byte are shown and named too, and it is said what a sender accepts.\n\n" +
		"With --forward the whole dialogue is seen: the check, the application's answer, and what the load " +
		"balancer makes of it. With --tap nothing is answered: the checks that another process gets are shown."
}

// Run listens until enough has been recorded or somebody stops it.
func (c *listenCommand) Run(env *environment) error {
	if c.Tap != "" {
		return c.runTap(env)
	}
	forward, err := c.forward()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(env.ctx)
	defer stop(nil)
	r := &listenReport{out: newTerminal(env, env.stdout), json: c.JSON}
	server, err := capture.Listen(capture.Config{
		Addresses: c.Address,
		Status:    c.Status,
		Count:     c.Count,
		Forward:   forward,
		OnRecord: func(record capture.Record) {
			if err := r.add(record); err != nil {
				stop(err)
			}
		},
	})
	if err != nil {
		return err
	}
	defer server.Close()
	messages := newTerminal(env, env.stderr)
	if c.Raw != "" {
		if r.raw, err = openRaw(messages, c.Raw); err != nil {
			return err
		}
		defer r.raw.Close()
	}
	messages.printf("listening on %s; Ctrl-C ends\npoint the load balancer's health check here\n", listenAddresses(server))
	if forward.To.IsValid() {
		messages.hanging("triage: warning: ", exposed(forward, listenAddresses(server)))
	}
	if err := server.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && env.ctx.Err() == nil {
		return cause
	}
	if c.Count > 0 && r.records == c.Count {
		return nil
	}
	return env.ctx.Err()
}

// listenAddresses names where the server listens, as people write it.
func listenAddresses(server *capture.Server) string {
	var names []string
	for _, a := range server.Addresses() {
		names = append(names, addressName(a))
	}
	return strings.Join(names, " and ")
}

func addressName(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return fmt.Sprintf(":%d", a.Port())
	}
	return a.String()
}

// openRaw opens the file of --raw. What it holds already stays.
func openRaw(messages *terminal, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		cause := err
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			cause = path.Err
		}
		return nil, &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("open %s: %v", name, cause),
			Hint:    "give --raw a file in a folder that you may write to",
			Err:     err,
		}
	}
	note := ""
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		note = fmt.Sprintf(", after the %s bytes that it has", grouped(info.Size()))
	}
	messages.printf("the exact bytes are appended to %s%s\n", messages.safe(name), note)
	return f, nil
}
