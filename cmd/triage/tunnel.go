package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe"
)

// tunnel is a way to the target that is not a connection from this machine to the target's address. It leads there, to one
// port, and to nowhere else. nil is no tunnel.
type tunnel struct {
	connect string // HOST:PORT that leads to the target
	command string // or a command whose standard input and output do, with %h and %p
}

// dialTimeout bounds how long a tunnel may take to be up, which is no time of the check's.
const dialTimeout = 30 * time.Second

// applyTunnel takes over --connect and --via.
func (c *checkCommand) applyTunnel(q *question, settings *triage.HealthCheck) error {
	if c.Connect == "" && c.Via == "" {
		return nil
	}
	q.tunnel = &tunnel{connect: c.Connect, command: c.Via}
	flag := q.tunnel.flag()
	switch {
	case q.endpoint.host == "":
		return usagef("write the address that the load balancer asks: http://10.0.1.5:8000/health_check", "%s leads to one target: :%d stands for this machine's own addresses", flag, q.endpoint.port)
	case q.endpoint.protocol == triage.TCP:
		return usagef("ask for a page: http://", "%s: a tcp check would only see that the tunnel itself takes connections", flag)
	case settings.Source.IsValid():
		return usagef("leave one of them away", "%s decides where the connection comes from: --source means nothing", flag)
	case c.Connect != "":
		if _, _, err := triage.SplitHostPort(c.Connect); err != nil {
			return usagef("write where the tunnel begins: --connect localhost:9000", "--connect: %s", err)
		}
	default:
		if _, err := expandVia(c.Via, netip.AddrPort{}); err != nil {
			return usagef("write %h for the URL's address, %p for its port, and %% for a percent sign", "--via: %s", err)
		}
	}
	return nil
}

// flag is the tunnel as the command line has it, for messages.
func (t *tunnel) flag() string {
	if t.command != "" {
		return "--via"
	}
	return "--connect"
}

// suits refuses what cannot be asked through a tunnel: what holds our address, as the target would see it.
func (t *tunnel) suits(p *probe.Plan) error {
	switch {
	case t == nil:
		return nil
	case p.Proxy == triage.ProxyV1:
		return usagef("--proxy-protocol v2 holds no address", "%s: a PROXY v1 header holds the address that the connection comes from, which a tunnel hides", t.flag())
	case p.Host == "" && p.NeedsLocal():
		return usagef("--host ADDRESS:PORT sends the load balancer's", "%s: %s sends its own address as Host, which cannot be guessed through a tunnel", t.flag(), p.Dialect.Title)
	}
	return nil
}

// doubt warns where a failure may be the tunnel's as well as the target's; "" otherwise.
func (t *tunnel) doubt(x *triage.Exchange) string {
	if t == nil {
		return ""
	}
	switch x.Outcome {
	case triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer, triage.TLSClosed:
		return fmt.Sprintf("%s: a tunnel ends the connection like this too where the target has refused it; what the tunnel prints tells them apart", t.flag())
	case triage.ResponseTimeout, triage.TLSTimeout:
		if t.command != "" { // nobody sees when it is connected
			return "--via: the time that the command takes to connect counts too: --timeout 30s leaves it more"
		}
	}
	return ""
}

// do runs one check through the tunnel. It returns an error if the tunnel, and not the target, has failed.
func (t *tunnel) do(ctx context.Context, plan *probe.Plan, key triage.Key) (*triage.Exchange, error) {
	var broken error
	var commands []*commandConn
	client := probe.Client{Dial: func(ctx context.Context) (conn net.Conn, err error) {
		if t.command == "" {
			dialer := net.Dialer{Timeout: dialTimeout}
			conn, err = dialer.DialContext(ctx, "tcp", t.connect)
		} else {
			var c *commandConn
			if c, err = startVia(t.command, key.Address); err == nil {
				conn, commands = c, append(commands, c)
			}
		}
		broken = cmp.Or(broken, err)
		return conn, err
	}}
	defer client.Close()
	x := client.Do(ctx, plan, key, anywhere)
	for _, c := range commands {
		broken = cmp.Or(broken, c.failure())
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case broken != nil:
		return nil, t.brokenError(broken)
	case x.Address.Port() != key.Address.Port():
		return nil, &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("the answer redirects to %s, and %s does not follow it: a tunnel leads to one port", strings.Join(x.Redirects, ", then to "), t.flag()),
			Hint: "check the page that it redirects to by itself, through a tunnel to that port"}
	}
	return x, nil
}

func (t *tunnel) brokenError(err error) error {
	e := &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("%s: %s", t.flag(), err), Hint: "is the tunnel up, and does it lead to the target? The target was not asked", Err: err}
	if t.command != "" {
		e.Hint = "the target was not asked; run the command by hand to see what it does"
	}
	return e
}

// expandVia puts the target's address and port into a command. An address that is not valid leaves them empty.
func expandVia(command string, to netip.AddrPort) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(command, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "h"):
			b.WriteString(shellWord(to.Addr().Unmap().String()))
		case strings.HasPrefix(after, "p"):
			fmt.Fprint(&b, to.Port())
		case strings.HasPrefix(after, "%"):
			b.WriteByte('%')
		default:
			return "", fmt.Errorf("%q holds a %% that is none of %%h, %%p and %%%%", command)
		}
		command = after[1:]
	}
}
