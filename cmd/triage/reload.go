package main

import (
	"github.com/triage-lb/triage/internal/control"
)

// reloadCommand makes the balancer read its file again, and waits until the file is in effect.
type reloadCommand struct{ adminFlags }

// reloadJSON is what reload prints with --json.
type reloadJSON struct {
	Schema string `json:"schema"`
	control.ReloadResult
}

// Run is called by kong.
func (c *reloadCommand) Run(env *environment) error {
	client, err := c.editor(env)
	if err != nil {
		return err
	}
	result, err := client.Reload(env.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.stdout, reloadJSON{"triage.reload/1", result})
	}
	term := newTerminal(env, env.stdout)
	said := "in effect"
	if !result.Changed {
		said = "nothing changed"
	}
	term.printf("%s: %s\n", term.safe(result.File), said)
	warn(env, result.Warnings)
	return nil
}
