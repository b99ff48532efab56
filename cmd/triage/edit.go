package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// healthCheckCommand groups what can be done to the health check of a group.
type healthCheckCommand struct {
	Set healthCheckSetCommand `cmd:"" help:"Change settings of a group's health check, in the file and in the running balancer."`
}

// healthCheckSetCommand is the button "Edit Health Check". A setting that is not named stays as it is.
type healthCheckSetCommand struct {
	adminFlags
	Group              triage.GroupName `arg:"" help:"The group to edit."`
	As                 *string          `placeholder:"NAME" help:"Load balancer to check as: kubelet, aws-alb and so on; triage for our own way. Settings that the file does not name follow."`
	Protocol           *string          `placeholder:"P" help:"tcp, tls, http or https."`
	Port               *string          `placeholder:"N" help:"A port number, or traffic-port for the target's own."`
	Path               *string          `placeholder:"PATH" help:"What to ask for: /health_check."`
	SuccessCodes       *string          `placeholder:"CODES" help:"Status codes that pass: 200, 200,202 or 200-299."`
	Host               *string          `placeholder:"HOST" help:"Host header to send; empty for the load balancer's own way: ours sends the target's address and port."`
	Interval           *string          `placeholder:"TIME" help:"From one check to the next: 5s."`
	Timeout            *string          `placeholder:"TIME" help:"For the whole check: 2s."`
	HealthyThreshold   *int             `placeholder:"N" help:"Passes in a row that bring a target back."`
	UnhealthyThreshold *int             `placeholder:"N" help:"Failures in a row that take a target out."`
	UnhealthyInterval  *string          `placeholder:"TIME" help:"Instead of the interval while a target is unhealthy: 30s; 0s: use the interval."`
	TransitionInterval *string          `placeholder:"TIME" help:"Instead of either while results disagree with the state: 1s; 0s: use the interval."`
	Jitter             *string          `placeholder:"TIME" help:"Start each check up to this much later, at random: 500ms."`
	ReuseConnection    *bool            `negatable:"" help:"Ask again on the connection of the check before."`
}

// Run is called by kong.
func (c *healthCheckSetCommand) Run(env *environment) error {
	edit := control.HealthCheckEdit{
		As: c.As, Protocol: c.Protocol, Port: c.Port, Path: c.Path, SuccessCodes: c.SuccessCodes, Host: c.Host,
		Interval: c.Interval, Timeout: c.Timeout,
		HealthyThreshold: c.HealthyThreshold, UnhealthyThreshold: c.UnhealthyThreshold,
		UnhealthyInterval: c.UnhealthyInterval, TransitionInterval: c.TransitionInterval, Jitter: c.Jitter,
		ReuseConnection: c.ReuseConnection,
	}
	if reflect.ValueOf(edit).IsZero() {
		return usagef("for example --protocol http --path /health_check; triage health-check set --help lists the settings",
			"there is nothing to set")
	}
	client, err := c.editor(env)
	if err != nil {
		return err
	}
	result, err := client.SetHealthCheck(env.ctx, c.Group, edit)
	if err != nil {
		return err
	}
	if c.JSON {
		return printEdit(env, result)
	}
	said := fmt.Sprintf("%s: health check changed", c.Group)
	if !result.Changed {
		said = fmt.Sprintf("%s: nothing to change (%s already says so)", c.Group, result.File)
	}
	reportEdit(env, result, said)
	return nil
}

// editJSON is what an edit prints with --json.
type editJSON struct {
	Schema string `json:"schema"`
	control.EditResult
}

func printEdit(env *environment, result control.EditResult) error {
	return printJSON(env.stdout, editJSON{"triage.edit/1", result})
}

// reportEdit prints what an edit did: the sentence, and the lines of the file that changed.
func reportEdit(env *environment, result control.EditResult, said string) {
	term := newTerminal(env, env.stdout)
	term.printf("%s\n", wrap(term.safe(said), lineWidth, "  "))
	for line := range strings.Lines(result.Diff) {
		line = term.safe(strings.TrimRight(line, "\n"))
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "@@"):
			line = term.dim(line)
		case strings.HasPrefix(line, "+"):
			line = term.green(line)
		case strings.HasPrefix(line, "-"):
			line = term.red(line)
		}
		term.printf("%s\n", line)
	}
	warn(env, result.Warnings)
}
