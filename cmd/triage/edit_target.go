package main

import (
	"fmt"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/api"
	"github.com/triage-lb/triage/internal/control"
)

// targetCommand groups what can be done to a target.
type targetCommand struct {
	Add     targetAddCommand     `cmd:"" help:"Add a target to a group."`
	Remove  targetRemoveCommand  `cmd:"" help:"Remove a target from a group; what runs on it may finish."`
	Drain   targetDrainCommand   `cmd:"" help:"Take a target out of rotation; what runs on it may finish."`
	Undrain targetUndrainCommand `cmd:"" help:"Let a drained target back into rotation."`
}

// targetFlags name a target of a running balancer.
type targetFlags struct {
	adminFlags
	Group  triage.GroupName `arg:"" help:"The group."`
	Target triage.TargetID  `arg:"" name:"address" help:"The target as the config writes it: host:port."`
}

type targetAddCommand struct {
	targetFlags
	Weight *int `placeholder:"N" help:"The target's share of the group's requests, 1 to 256. Default 1."`
}

// Run is called by kong.
func (c *targetAddCommand) Run(env *environment) error {
	target := triage.Target{ID: c.Target}
	if c.Weight != nil {
		if target.Weight = *c.Weight; target.Weight < 1 || target.Weight > 256 {
			return usagef("to take a target out of rotation: triage target drain", "--weight %d is outside 1-256", target.Weight)
		}
	}
	return c.edit(env, "is added and takes requests once a check passed", "is there already",
		func(client *api.Client) (control.EditResult, error) {
			return client.AddTarget(env.ctx, c.Group, target)
		})
}

type targetRemoveCommand struct{ targetFlags }

// Run is called by kong.
func (c *targetRemoveCommand) Run(env *environment) error {
	return c.edit(env, "is removed, what runs on it may finish", "is not there",
		func(client *api.Client) (control.EditResult, error) {
			return client.RemoveTarget(env.ctx, c.Group, c.Target)
		})
}

type targetDrainCommand struct{ targetFlags }

// Run is called by kong.
func (c *targetDrainCommand) Run(env *environment) error {
	return c.edit(env, "drains", "drains already",
		func(client *api.Client) (control.EditResult, error) {
			return client.Drain(env.ctx, c.Group, c.Target, true)
		})
}

type targetUndrainCommand struct{ targetFlags }

// Run is called by kong.
func (c *targetUndrainCommand) Run(env *environment) error {
	return c.edit(env, "drains no longer", "was not draining: nothing to change",
		func(client *api.Client) (control.EditResult, error) {
			return client.Drain(env.ctx, c.Group, c.Target, false)
		})
}

// edit asks the balancer for one edit and says what happened to whom: did or idle, depending on whether
// anything changed.
func (c *targetFlags) edit(env *environment, did, idle string, do func(*api.Client) (control.EditResult, error)) error {
	client, err := c.editor(env)
	if err != nil {
		return err
	}
	result, err := do(client)
	if err != nil {
		return err
	}
	if c.JSON {
		return printEdit(env, result)
	}
	said := fmt.Sprintf("%s %s", c.Target, idle)
	if result.Changed {
		said = fmt.Sprintf("%s %s", c.Target, did)
	}
	// The edit is done; a balancer that cannot say now what became of the others takes nothing back.
	if status, err := client.Status(env.ctx, c.Group); err == nil && len(status.Groups) == 1 {
		said += "; " + tallyOf(status.Groups[0]).rotation()
	}
	reportEdit(env, result, said)
	return nil
}
