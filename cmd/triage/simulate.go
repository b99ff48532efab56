package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/simulate"
)

// simulateCommand runs servers with chosen illnesses until it is stopped.
type simulateCommand struct {
	Servers []string `arg:"" optional:"" name:"ADDRESS" default:"127.0.0.1:8000" help:"ADDRESS, or ADDRESS=ILLNESS: 127.0.1.11:8000 127.0.1.12:8000=error500. Default: 127.0.0.1:8000."`

	Illness    string        `default:"healthy" placeholder:"ILLNESS" help:"Of the servers that are given without one. Default: ${default}."`
	Control    string        `placeholder:"ADDRESS" help:"Where they are switched while they run, or none. Default: 127.0.0.1:7390."`
	HealthPath string        `default:"/health_check" placeholder:"PATH" help:"Path that a healthy server answers with ok. Default: ${default}."`
	Slow       time.Duration `default:"3s" placeholder:"TIME" help:"How long an answer of a slow server takes. Default: ${default}."`
	FlapPeriod time.Duration `default:"10s" placeholder:"TIME" help:"How long each phase of a flapping server lasts. Default: ${default}."`
}

// Help is what kong prints below the first line of --help: the illnesses. Indented lines stay as they are.
func (*simulateCommand) Help() string {
	var b strings.Builder
	b.WriteString("The servers speak plain HTTP. Their illnesses, and what each plays:\n\n")
	const column = 20
	for _, d := range simulate.Illnesses() {
		fmt.Fprintf(&b, "    %-15s %s\n", d.Illness, hang(d.Wire, column))
		fmt.Fprintf(&b, "%*s%s\n", column, "", hang("("+d.Plays+")", column))
	}
	return b.String()
}

// Run opens all servers or none, and serves until somebody stops it.
func (c *simulateCommand) Run(env *environment) error {
	cfg, err := c.config(newTerminal(env, env.stderr))
	if err != nil {
		return err
	}
	fleet, err := simulate.ListenFleet(cfg)
	if problem := (*triage.Error)(nil); errors.As(err, &problem) {
		return err
	}
	if err != nil {
		return &triage.Error{Kind: triage.KindInvalid, Message: err.Error(), Err: err}
	}
	announce(newTerminal(env, env.stdout), fleet)
	if err := fleet.Run(env.ctx); err != nil {
		return err
	}
	return env.ctx.Err()
}

// config reads the command line. Switches are told on log.
func (c *simulateCommand) config(log *terminal) (simulate.FleetConfig, error) {
	var cfg simulate.FleetConfig
	for _, s := range c.Servers {
		address, illness, given := strings.Cut(s, "=")
		if !given {
			illness = c.Illness
		}
		at, err := simulateAddress(address)
		if err != nil {
			return cfg, err
		}
		server := simulate.Config{
			Address:    at,
			HealthPath: c.HealthPath,
			Slow:       c.Slow,
			FlapPeriod: c.FlapPeriod,
			OnSwitch:   logSwitch(log),
		}
		if server.Illness, err = simulate.ParseIllness(illness); err != nil {
			return cfg, &triage.Error{Kind: triage.KindInvalid, Message: err.Error(), Hint: "triage simulate --help says what each does", Err: err}
		}
		cfg.Servers = append(cfg.Servers, server)
	}
	if c.Control == "none" {
		return cfg, nil
	}
	var err error
	cfg.Control, err = simulateAddress(cmp.Or(c.Control, simulate.DefaultControl))
	return cfg, err
}

// simulateAddress reads "127.0.1.11:8000"; without a host it is 127.0.0.1, since a sick server is not for the
// whole network unless somebody says so.
func simulateAddress(s string) (netip.AddrPort, error) {
	if strings.HasPrefix(s, ":") {
		s = "127.0.0.1" + s
	}
	at, err := netip.ParseAddrPort(strings.Replace(s, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		return at, usagef("write 127.0.0.1:8000, or 127.0.0.1:8000=error500", "%q is not an address and a port", s)
	}
	return at, nil
}

// simulateIndent is the column of an illness, after "127.0.1.11:18000".
const simulateIndent = 18

// announce prints what runs, and how to switch it.
func announce(out *terminal, fleet *simulate.Fleet) {
	for _, s := range fleet.Servers() {
		text := hang(illnessText(s.Illness()), simulateIndent)
		out.printf("%-*s%s\n", simulateIndent, s.Address().String()+" ", text)
	}
	if control := fleet.Control(); control.IsValid() {
		out.printf("\n")
		out.label("Switch", fmt.Sprintf("curl -X PUT %s/%s/error500", control, fleet.Servers()[0].Address()))
		out.label("See all", fmt.Sprintf("curl %s", control))
	}
	out.label("Stop", "Ctrl-C")
}

// hang wraps text that begins at a column; further lines stand under the first.
func hang(text string, column int) string {
	return strings.ReplaceAll(wrap(text, lineWidth-column, ""), "\n", "\n"+strings.Repeat(" ", column))
}

// illnessText is an illness with what a client sees of it.
func illnessText(illness simulate.Illness) string {
	for _, d := range simulate.Illnesses() {
		if d.Illness == illness {
			return fmt.Sprintf("%s: %s", illness, d.Wire)
		}
	}
	return string(illness)
}

// logSwitch returns what prints a line when a server is switched.
func logSwitch(out *terminal) func(s *simulate.Server, was, is simulate.Illness) {
	return func(s *simulate.Server, was, is simulate.Illness) {
		out.printf("%s  %s  was %s, is %s\n", time.Now().Format(time.TimeOnly), s.Address(), was, illnessText(is))
	}
}
