package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker when a release is built: -ldflags "-X main.version=1.2.3". (R0: a variable of the
// package, because that is the only thing that the linker can set. Nothing else writes to it.)
var version string

// versionCommand prints which build this is.
type versionCommand struct {
	JSON bool `help:"Print a JSON object."`
}

// versionJSON is the contract of triage version --json: fields are only ever added.
type versionJSON struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`   // absent if it was built outside a repository
	Modified bool   `json:"modified,omitempty"` // the commit had uncommitted changes
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Run prints the version.
func (c *versionCommand) Run(env *environment) error {
	commit, modified := buildCommit()
	v := versionJSON{
		Schema:   "triage.version/1",
		Version:  buildVersion(),
		Commit:   commit,
		Modified: modified,
		Go:       runtime.Version(),
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
	}
	if c.JSON {
		return printJSON(env.stdout, v)
	}
	out := newTerminal(env, env.stdout)
	out.printf("triage %s\n", v.Version)
	if v.Commit != "" {
		note := ""
		if v.Modified {
			note = ", with uncommitted changes"
		}
		out.label("Commit", v.Commit+note)
	}
	out.label("Built with", fmt.Sprintf("%s for %s/%s", v.Go, v.OS, v.Arch))
	return nil
}

// buildVersion is the version of this program: the release's, else what the Go tool knows, else "dev".
func buildVersion() string {
	known := ""
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		known = info.Main.Version
	}
	return cmp.Or(version, known, "dev")
}

// buildCommit is the commit that the program was built from, if the Go tool has noted it.
func buildCommit() (commit string, modified bool) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	return commit, modified
}
