// Command triage is a load balancer that tells the truth about the servers behind it, and the tools around
// it: run "triage --help" for the list, "triage COMMAND --help" for each.
//
// This package parses, wires and waits. One file per command; serve.go is where the parts of the balancer
// meet. Results go to stdout, everything else to stderr.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triage-lb/triage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes, the same for every command.
const (
	exitOK          = 0
	exitUnhealthy   = 1   // the answer is no: a target is unhealthy
	exitUsage       = 2   // the command line or the configuration is wrong
	exitFault       = 3   // no answer, by our own fault or because the balancer cannot be reached
	exitInterrupted = 130 // stopped by a signal
)

// commands is the command line.
type commands struct {
	Serve       serveCommand       `cmd:"" help:"Run the balancer."`
	Status      statusCommand      `cmd:"" help:"Show listeners, groups and targets of a running balancer."`
	HealthCheck healthCheckCommand `cmd:"" help:"Edit how a group of a running balancer is checked."`
	Target      targetCommand      `cmd:"" help:"Add, remove, drain and undrain targets of a running balancer."`
	Reload      reloadCommand      `cmd:"" help:"Make a running balancer read its config file again."`
	Validate    validateCommand    `cmd:"" help:"Read a config file and say what is wrong with it."`
	Check       checkCommand       `cmd:"" help:"Check a target as a load balancer does, and explain."`
	Explain     explainCommand     `cmd:"" help:"Say what is behind a failure: a code, a console's words, or a pasted answer."`
	Dialects    dialectsCommand    `cmd:"" help:"Show how each load balancer asks and judges, and how that is known."`
	Listen      listenCommand      `cmd:"" help:"Show what a load balancer's health check sends."`
	Guard       guardCommand       `cmd:"" help:"Stand in front of an application and answer checks properly."`
	Simulate    simulateCommand    `cmd:"" help:"Run servers with a chosen illness."`
	Demo        demoCommand        `cmd:"" help:"Tell the whole story on this machine."`
	Version     versionCommand     `cmd:"" help:"Print the version."`

	// VersionFlag is what hands type by themselves.
	VersionFlag kong.VersionFlag `name:"version" hidden:""`
}

// environment is what a command may touch of the world around it.
type environment struct {
	ctx            context.Context
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	addresses      func() []netip.Addr // of this machine, as a load balancer could ask it
}

// exit is an error that only carries an exit code: everything that there is to say has been said.
type exit int

func (e exit) Error() string { return "" }

// run is the program. It never calls os.Exit, so that tests can run it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := &environment{ctx, getenv, stdin, stdout, stderr, privateAddresses}
	return env.run(args)
}

// run parses the command line and runs the command.
func (env *environment) run(args []string) (code int) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exit:
			code = int(e) // --help ends inside the parser
		default:
			panic(e)
		}
	}()
	var cli commands
	parser := kong.Must(&cli,
		kong.Name("triage"),
		kong.Description("A load balancer that tells the truth about the servers behind it."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 80}),
		kong.Writers(env.stdout, env.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.Vars{"admin": triage.DefaultAdmin, "version": "triage " + buildVersion()},
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration)),
	)
	if len(args) == 0 {
		return env.overview(parser)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return env.fail(usageError(err))
	}
	if err := emptyFlag(command); err != nil {
		return env.fail(err)
	}
	return env.fail(command.Run(env))
}

// overview answers a bare "triage". It prints what --help prints, but nothing was done, so it is no success: a
// script whose variable with the command is empty must not go on.
func (env *environment) overview(parser *kong.Kong) int {
	nothing, err := kong.Trace(parser, nil)
	if err == nil {
		err = nothing.PrintUsage(false)
	}
	if err != nil {
		return env.fail(err)
	}
	return exitUsage
}

// fail reports an error as people read it, and returns the exit code that goes with it.
func (env *environment) fail(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exit](err); ok {
		return int(e)
	}
	term := newTerminal(env, env.stderr)
	if env.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	term.hanging("triage: ", err.Error())
	if hint := triage.HintOf(err); hint != "" {
		term.hanging("hint: ", hint)
	}
	return exitCode(err)
}

// exitCodes maps the kinds of errors to exit codes, for every command.
var exitCodes = map[triage.Kind]int{
	triage.KindInvalid:     exitUsage,
	triage.KindNotFound:    exitUsage,
	triage.KindConflict:    exitUsage,
	triage.KindDenied:      exitUsage,
	triage.KindUnavailable: exitFault,
	triage.KindInternal:    exitFault,
}

// exitCode is the exit code that goes with an error.
func exitCode(err error) int {
	if code, known := exitCodes[triage.KindOf(err)]; known {
		return code
	}
	return exitFault
}

// usagef is an error about the command line; hint says what to write instead.
func usagef(hint, format string, args ...any) error {
	return &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf(format, args...), Hint: hint}
}
