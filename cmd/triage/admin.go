package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

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

// editor is client for commands that change something: the balancer must run the file that -c names, if it does.
func (f adminFlags) editor(env *environment) (*api.Client, error) {
	client, err := f.client(env)
	if err != nil || f.Config == "" {
		return client, err
	}
	status, err := client.Status(env.ctx, "")
	if err != nil {
		return nil, err
	}
	return client, f.otherFile(client, status)
}

// otherFile returns an error if -c names another file than the one that the balancer runs. Two files may well
// say the same admin address, or none.
func (f adminFlags) otherFile(client *api.Client, status control.Status) error {
	if f.Config == "" {
		return nil
	}
	named, err := filepath.Abs(f.Config)
	if err != nil || named == filepath.Clean(status.Config) {
		return err
	}
	mine, err := os.Stat(named)
	theirs, err2 := os.Stat(status.Config)
	if err == nil && err2 == nil && os.SameFile(mine, theirs) {
		return nil
	}
	return &triage.Error{
		Kind:    triage.KindInvalid,
		Message: fmt.Sprintf("the balancer at %s runs %s, not %s", client.Address(), status.Config, named),
		Hint:    "leave -c away if that one is meant, else say with --admin where the other one answers",
	}
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
	if _, wrong := errors.AsType[control.Faults](err); err != nil && !wrong {
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

// warn prints warnings for people. The hint of a long one, in parentheses at its end, has lines of its own: it may
// be a command to copy.
func warn(env *environment, warnings []string) {
	const label = "warning: "
	term := newTerminal(env, env.stderr)
	for _, w := range warnings {
		w = term.safe(w)
		text := hang(w, len(label))
		if i := strings.LastIndex(w, " ("); i >= 0 && strings.HasSuffix(w, ")") && strings.Contains(text, "\n") {
			text = hang(w[:i], len(label)) + "\n" + strings.Repeat(" ", len(label)) + hang(w[i+1:], len(label))
		}
		term.printf("%s%s\n", term.amber(label), text)
	}
}
