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
	Protocol           *string          `placeholder:"P" help:"tcp, tls, http, https, h2, h2c, grpc or grpcs."`
	Port               *string          `placeholder:"N" help:"A port number, or traffic-port for the target's own."`
	Path               *string          `placeholder:"PATH" help:"What to ask for: /health_check."`
	SuccessCodes       *string          `placeholder:"CODES" help:"Status codes that pass: 200, 200,202 or 200-299."`
	GRPCCodes          *string          `name:"grpc-codes" placeholder:"CODES" help:"gRPC status codes that pass: 0, 0,5 or 0-99."`
	Service            *string          `placeholder:"NAME" help:"gRPC: the service to ask the health service about; empty for the server as a whole."`
	Host               *string          `placeholder:"HOST" help:"Host header to send; empty for the load balancer's own way: ours sends the target's address and port."`
	ExpectHeader       *string          `placeholder:"FIELD" help:"Header field that the answer must have: 'Name: value', or Name for any value; empty for none."`
	ExpectBody         *string          `placeholder:"TEXT" help:"Text that the answer must contain; empty for none."`
	ExpectBodyRegex    *string          `placeholder:"REGEX" help:"Regular expression (RE2) that must match somewhere in the answer; empty for none."`
	ExpectBodyWithin   *int             `placeholder:"N" help:"How many bytes of the answer are read for that."`
	Expect             *string          `placeholder:"CEL" help:"Expression over status, header, body, json, latency and tls that must be true; empty for none."`
	TLSServerName      *string          `name:"tls-server-name" placeholder:"NAME" help:"Server name (SNI) to send, and that the certificate must be for; empty for the load balancer's own way."`
	TLSVerify          *bool            `name:"tls-verify" negatable:"" help:"Whether the target's certificate must be one to trust."`
	TLSCAFile          *string          `name:"tls-ca-file" placeholder:"FILE" help:"Certificates (PEM) to trust instead of the system's; from the config file's folder on. Empty for the system's."`
	TLSCertFile        *string          `name:"tls-cert-file" placeholder:"FILE" help:"Certificate (PEM) to show to targets that ask for one; empty for none."`
	TLSKeyFile         *string          `name:"tls-key-file" placeholder:"FILE" help:"Its private key (PEM)."`
	TLSMinVersion      *string          `name:"tls-min-version" placeholder:"V" help:"Lowest version of TLS: 1.0 to 1.3; empty for the load balancer's own."`
	ProxyProtocol      *string          `placeholder:"V" help:"Send a header of the PROXY protocol first: v1 or v2; empty for none."`
	SourceAddress      *string          `placeholder:"ADDRESS" help:"Address of the balancer's machine to ask from; empty for the system's choice."`
	Interval           *string          `placeholder:"TIME" help:"From one check to the next: 5s."`
	Timeout            *string          `placeholder:"TIME" help:"For the whole check: 2s."`
	HealthyThreshold   *int             `placeholder:"N" help:"Passes in a row that bring a target back."`
	UnhealthyThreshold *int             `placeholder:"N" help:"Failures in a row that take a target out."`
	ThresholdWindow    *int             `placeholder:"N" help:"Count both among the last N results instead of in a row; 0: in a row."`
	HoldDown           *string          `placeholder:"TIME" help:"How long a target that comes and goes has to stay well before it returns: 30s; 0s: no longer than others."`
	HoldDownLimit      *string          `placeholder:"TIME" help:"The longest that this becomes, as it doubles: 10m."`
	HoldDownWindow     *string          `placeholder:"TIME" help:"How near two returns are that count as coming and going: 10m."`
	UnhealthyInterval  *string          `placeholder:"TIME" help:"Instead of the interval while a target is unhealthy: 30s; 0s: use the interval."`
	TransitionInterval *string          `placeholder:"TIME" help:"Instead of either while results disagree with the state: 1s; 0s: use the interval."`
	Jitter             *string          `placeholder:"TIME" help:"Start each check up to this much later, at random: 500ms."`
	ReuseConnection    *bool            `negatable:"" help:"Ask again on the connection of the check before."`
}

// Run is called by kong.
func (c *healthCheckSetCommand) Run(env *environment) error {
	edit := control.HealthCheckEdit{
		As: c.As, Protocol: c.Protocol, Port: c.Port, Path: c.Path, SuccessCodes: c.SuccessCodes,
		GRPCCodes: c.GRPCCodes, Service: c.Service, Host: c.Host,
		ExpectHeader: c.ExpectHeader, ExpectBody: c.ExpectBody, ExpectBodyRegex: c.ExpectBodyRegex,
		ExpectBodyWithin: c.ExpectBodyWithin, Expect: c.Expect,
		TLSServerName: c.TLSServerName, TLSVerify: c.TLSVerify, TLSCAFile: c.TLSCAFile,
		TLSCertFile: c.TLSCertFile, TLSKeyFile: c.TLSKeyFile, TLSMinVersion: c.TLSMinVersion,
		ProxyProtocol: c.ProxyProtocol, SourceAddress: c.SourceAddress,
		Interval: c.Interval, Timeout: c.Timeout,
		HealthyThreshold: c.HealthyThreshold, UnhealthyThreshold: c.UnhealthyThreshold, ThresholdWindow: c.ThresholdWindow,
		HoldDown: c.HoldDown, HoldDownLimit: c.HoldDownLimit, HoldDownWindow: c.HoldDownWindow,
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
