package main

import (
	"os"
	"regexp"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/api"
	"github.com/triage-lb/triage/internal/control"
)

// adminFlags are the flags of every command that asks a running balancer.
type adminFlags struct {
	Admin  string `placeholder:"ADDR" help:"Admin address of the balancer: address:port or unix:/path. Default: what -c FILE says, else TRIAGE_ADMIN, else what the config file says, else ${admin}."`
	Config string `short:"c" placeholder:"FILE" help:"Config file to find the admin address in. Default: TRIAGE_CONFIG, else ./triage.yaml, else /etc/triage/triage.yaml."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// client returns a client for the balancer that the flags, the environment or the config file name.
func (f adminFlags) client(env *environment) (*api.Client, error) {
	address, err := f.address(env)
	if err != nil {
		return nil, err
	}
	return api.NewClient(address)
}

func (f adminFlags) address(env *environment) (string, error) {
	if f.Admin != "" {
		return f.Admin, nil
	}
	if named := env.getenv("TRIAGE_ADMIN"); named != "" && f.Config == "" { // a flag outweighs the environment
		return named, nil
	}
	path, found := findConfig(env, f.Config)
	if !found {
		return triage.DefaultAdmin, nil
	}
	file, err := control.Load(path, env.getenv)
	switch triage.KindOf(err) {
	case triage.KindNotFound, triage.KindDenied, triage.KindUnavailable:
		return "", err // the file cannot be read at all
	}
	if err != nil {
		// The balancer may well run, with the config from before the file was broken.
		if listen := brokenAdmin(path); listen != "" {
			return listen, nil
		}
		warn(env, []string{path + " is wrong (triage validate says how), so its admin address is not known: asking " + triage.DefaultAdmin})
		return triage.DefaultAdmin, nil
	}
	return file.Config.Admin, nil
}

// brokenAdmin finds the admin address in a file that is no config, and may be no YAML: "" if it is not written
// in one of the two usual ways. Without it, triage reload could not ask why the balancer refuses the file.
func brokenAdmin(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	found := adminListen.FindSubmatch(text)
	if found == nil || triage.CheckAdmin(string(found[1])) != nil {
		return ""
	}
	return string(found[1])
}

var adminListen = regexp.MustCompile(`(?m)^admin:[ \t]*(?:\{[ \t]*|(?:#.*)?\r?\n[ \t]+)listen:[ \t]*["']?([^\s"'},]+)`)

// warn prints warnings for people.
func warn(env *environment, warnings []string) {
	term := newTerminal(env, env.stderr)
	for _, w := range warnings {
		term.printf("%s %s\n", term.amber("warning:"), term.safe(w))
	}
}
