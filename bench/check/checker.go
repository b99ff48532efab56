//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// work is what every checker gets: how many targets, how often.
type work struct {
	targets  int
	interval time.Duration
}

// timeout is what a check may take: half the interval, at most two seconds.
func (w work) timeout() time.Duration { return min(w.interval/2, 2*time.Second) }

// checker is a program under measurement.
type checker struct {
	name    string
	about   string // for the results
	program string // looked up in PATH; "" for triage
	version []string
	// configure writes the config into a folder and returns the arguments after the program.
	configure func(dir string, w work) (args []string, err error)
}

// checkerNamed returns the checker of that name.
func checkerNamed(name string) (checker, bool) {
	for _, c := range []checker{
		{
			name:    "triage",
			about:   "`triage serve` with its defaults, a new connection for each check",
			version: []string{"version"},
			configure: func(dir string, w work) ([]string, error) {
				return configureTriage(dir, w, "")
			},
		},
		{
			name:    "triage-reuse",
			about:   "the same with `reuse_connection: true`",
			version: []string{"version"},
			configure: func(dir string, w work) ([]string, error) {
				return configureTriage(dir, w, ", reuse_connection: true")
			},
		},
		{
			name:      "haproxy",
			about:     "one thread, no log, a new connection for each check; it counts the interval from the end of a check",
			program:   "haproxy",
			version:   []string{"-v"},
			configure: configureHAProxy,
		},
		{
			name:      "caddy",
			about:     "keeps its connections open; it begins all checks of an interval at the same moment",
			program:   "caddy",
			version:   []string{"version"},
			configure: configureCaddy,
		},
	} {
		if c.name == name {
			return c, true
		}
	}
	return checker{}, false
}

// path returns the program's file, or an error that says what to type.
func (c checker) path(triage string) (string, error) {
	if c.program == "" {
		return triage, nil
	}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, c.program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: sh bench/install.sh", c.program)
}

// versionOf asks a program for its version: the first line that it prints.
func (c checker) versionOf(path string) string {
	out, err := exec.Command(path, c.version...).Output()
	if err != nil {
		return "unknown version"
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	line, _, _ = strings.Cut(line, " - ") // HAProxy's home page
	if !strings.HasPrefix(strings.ToLower(line), filepath.Base(path)) {
		line = filepath.Base(path) + " " + line // Caddy tells its number alone
	}
	return line
}

const triageConfig = "triage.yaml"

// configureTriage writes one group with all targets, and a listener, because a group without one is not checked.
func configureTriage(dir string, w work, more string) ([]string, error) {
	path := filepath.Join(dir, triageConfig)
	err := writeConfig(path, func(out *bufio.Writer) {
		fmt.Fprintf(out, "listeners:\n  - {name: web, listen: 127.0.0.1:8080, protocol: http, default: {forward: app}}\n")
		fmt.Fprintf(out, "groups:\n  - name: app\n    idle_timeout: 60s\n")
		fmt.Fprintf(out, "    health_check: {protocol: http, path: %s, interval: %s, timeout: %s%s}\n    targets:\n",
			targetPath, w.interval, w.timeout(), more)
		for i := range w.targets {
			fmt.Fprintf(out, "      - %s\n", targetAddress(i))
		}
	})
	return []string{"serve", "--config", path}, err
}

// editTriage changes something in a config of configureTriage that has nothing to do with checks.
func editTriage(dir string) error {
	path := filepath.Join(dir, triageConfig)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Replace(text, []byte("idle_timeout: 60s"), []byte("idle_timeout: 61s"), 1), 0o600)
}

func configureHAProxy(dir string, w work) ([]string, error) {
	path := filepath.Join(dir, "haproxy.cfg")
	err := writeConfig(path, func(out *bufio.Writer) {
		ms := func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }
		fmt.Fprintf(out, "global\n  nbthread 1\n  maxconn 2000\n")
		fmt.Fprintf(out, "defaults\n  mode http\n  timeout connect %[1]s\n  timeout client %[1]s\n  timeout server %[1]s\n  timeout check %[1]s\n",
			ms(w.timeout()))
		fmt.Fprintf(out, "frontend web\n  bind 127.0.0.1:8080\n  default_backend app\n")
		fmt.Fprintf(out, "backend app\n  option httpchk\n  http-check send meth GET uri %s ver HTTP/1.1 hdr Host %s\n", targetPath, targetHost)
		fmt.Fprintf(out, "  default-server check inter %s\n", ms(w.interval))
		for i := range w.targets {
			fmt.Fprintf(out, "  server t%d %s\n", i, targetAddress(i))
		}
	})
	return []string{"-db", "-q", "-f", path}, err
}

func configureCaddy(dir string, w work) ([]string, error) {
	type object = map[string]any
	upstreams := make([]object, w.targets)
	for i := range upstreams {
		upstreams[i] = object{"dial": targetAddress(i).String()}
	}
	active := object{"path": targetPath, "interval": w.interval.String(), "timeout": w.timeout().String()}
	route := object{"handle": []object{{
		"handler":       "reverse_proxy",
		"upstreams":     upstreams,
		"health_checks": object{"active": active},
	}}}
	config := object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"web": object{
			"listen":          []string{"127.0.0.1:8080"},
			"automatic_https": object{"disable": true},
			"routes":          []object{route},
		}}}},
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "caddy.json")
	return []string{"run", "--config", path}, os.WriteFile(path, text, 0o600)
}

func writeConfig(path string, write func(*bufio.Writer)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	write(out)
	return out.Flush()
}
