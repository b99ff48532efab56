package main

import (
	"context"
	"fmt"

	"github.com/triage-lb/triage/internal/capture"
)

// runTap shows the checks that come in at a port which another process has.
func (c *listenCommand) runTap(env *environment) error {
	const hint = "triage listen --tap :80 looks at a port and answers nothing"
	if c.Forward != "" || c.AllowRemote || c.Raw != "" {
		return usagef(hint, "--tap goes with --path, --count and --json only")
	}
	ctx, stop := context.WithCancelCause(env.ctx)
	defer stop(nil)
	messages := newTerminal(env, env.stderr)
	r := &listenReport{out: newTerminal(env, env.stdout), json: c.JSON}
	shown := 0
	show := func(err error) {
		shown++
		if err != nil {
			stop(err)
		}
	}
	tap, err := capture.OpenTap(capture.TapConfig{
		Address:  c.Tap,
		Path:     c.Path,
		Count:    c.Count,
		OnRecord: func(record capture.Record) { show(r.add(record)) },
		OnPeer:   func(p capture.Peer) { show(r.peer(p)) },
		OnLull:   func(l capture.Lull) { messages.hanging("triage: ", lullText(l, c.Tap)) },
	})
	if err != nil {
		return err
	}
	defer tap.Close()
	messages.printf("looking at port %s; Ctrl-C ends\n", messages.safe(c.Tap))
	if blind := tap.Blind(); blind != nil {
		messages.hanging("triage: warning: ", fmt.Sprintf("packets cannot be seen (%v): only who is connected is shown, or was until a minute ago if this machine closed first. This allows it:\n"+
			"    sudo setcap cap_net_raw=+ep $(command -v triage)", blind))
	}
	if err := tap.Run(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && env.ctx.Err() == nil {
		return cause
	}
	if n := tap.Others(); n > 0 {
		messages.hanging("triage: ", fmt.Sprintf("%s not shown: no check of a load balancer that triage knows; --path shows those for a path", count(n, "other request")))
	}
	if c.Count > 0 && shown == c.Count {
		return nil
	}
	return env.ctx.Err()
}

// peerJSON is a line of triage listen --tap --json where packets cannot be seen: fields are only ever added.
type peerJSON struct {
	Schema string `json:"schema"`
	Kind   string `json:"kind"`
	capture.Peer
}

// peer prints a connection that the kernel's tables show.
func (r *listenReport) peer(p capture.Peer) error {
	if r.json {
		return writeJSON(r.out.w, peerJSON{"triage.listen/1", "connection", p}, "")
	}
	r.out.printf("%s  %s  connected to %s (%s)\n", r.out.dim(p.Time.Format("15:04:05.000")), r.out.bold(p.Peer.String()), p.Local, p.State)
	return nil
}

// lullText says what it means that no check comes.
func lullText(l capture.Lull, at string) string {
	switch {
	case l.Knocking > 0 && !l.Listening:
		return fmt.Sprintf("%s asked for port %s (one was %s) and got none: no process listens there", count(l.Knocking, "connection"), at, l.Who)
	case l.Knocking > 0:
		return fmt.Sprintf("%s asked for port %s (one was %s) and got none, though a process listens there: "+
			"does this machine's own firewall drop them (nft list ruleset), or is the process too busy to accept?", count(l.Knocking, "connection"), at, l.Who)
	case l.Others > 0:
		return fmt.Sprintf("no load balancer's check in %s, but %s: is the health check's port another one, or does it come in TLS? --path shows what asks for a path",
			l.For, count(l.Others, "other request"))
	}
	text := fmt.Sprintf("nobody connected to %s in %s: what a load balancer sends does not arrive here. Look at the security groups of this machine and of "+
		"the load balancer, at network ACLs and routes, and whether the target is registered with this address and port", at, l.For)
	if !l.Listening {
		text += "; and no process listens on this port"
	}
	return text
}
