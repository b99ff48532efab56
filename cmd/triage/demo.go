package main

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/term"
)

// demoCommand tells the story of a health check, on this machine and for real: the servers are simulated, the
// balancer, its checks and its clients are not.
type demoCommand struct {
	Play bool `help:"Play all acts without waiting for anybody. Exits with 1 if one does not show what it claims."`
}

// Help is what kong prints below the first line of --help.
func (*demoCommand) Help() string {
	return "Three simulated servers, a balancer in front of them, and seven acts. Each says what happens, and what " +
		"to type in another terminal to do it and to see it; Enter has the demo do it and goes on. Nothing stays " +
		"behind at the end."
}

// Run tells the story until it ends or somebody has enough.
func (c *demoCommand) Run(env *environment) error {
	teller := &demoTeller{out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}
	if !c.Play {
		in, ok := env.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return usagef("triage demo --play plays all acts by itself", "stdin is not a terminal, so nobody could press Enter")
		}
		teller.keys = &keyboard{in}
	}
	stage, err := newDemoStage(env, demoSettings{Program: os.Args[0]})
	if err != nil {
		return err
	}
	defer stage.close()
	return stage.run(env.ctx, func(ctx context.Context) error {
		start := time.Now()
		stage.introduce(teller.out)
		acts := stage.acts()
		if err := teller.tell(ctx, acts); err != nil {
			if errors.Is(err, exit(exitUnhealthy)) {
				stage.confess(teller.err)
			}
			return err
		}
		if c.Play {
			teller.out.printf("\nAll %d acts showed what they claim, in %.0f s.\n", len(acts), time.Since(start).Seconds())
		}
		return nil
	})
}
