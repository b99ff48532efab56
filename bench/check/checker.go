//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// work is what every checker gets: how many targets, how often, and how they are asked.
type work struct {
	targets     int
	interval    time.Duration
	protocol    protocol
	descriptors int // RLIMIT_NOFILE of the checker; 0: as many as there may be
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

// checkers lists the programs that can be measured.
func checkers() []checker {
	return []checker{
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
			configure: func(dir string, w work) ([]string, error) { return configureHAProxy(dir, w, "") },
		},
		{
			name:    "haproxy-no-ssl-reuse",
			about:   "the same with `no-ssl-reuse`: a full handshake for each check",
			program: "haproxy",
			version: []string{"-v"},
			configure: func(dir string, w work) ([]string, error) {
				return configureHAProxy(dir, w, " no-ssl-reuse")
			},
		},
		{
			name:      "caddy",
			about:     "keeps its connections open; it begins all checks of an interval at the same moment",
			program:   "caddy",
			version:   []string{"version"},
			configure: configureCaddy,
		},
	}
}

// checkerNamed returns the checker of that name.
func checkerNamed(name string) (checker, bool) {
	for _, c := range checkers() {
		if c.name == name {
			return c, true
		}
	}
	return checker{}, false
}

func checkerNames() []string {
	var names []string
	for _, c := range checkers() {
		names = append(names, c.name)
	}
	return names
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
	if name := cmp.Or(c.program, "triage"); !strings.HasPrefix(strings.ToLower(line), name) {
		line = name + " " + line // Caddy tells its number alone
	}
	return line
}

const (
	triageConfig = "triage.yaml"
	webAddress   = "127.0.0.1:8080" // where every checker takes requests
	adminAddress = "127.0.0.1:7380" // of triage
)

// configureTriage writes one group with all targets, and a listener, because a group without one is not checked.
func configureTriage(dir string, w work, more string) ([]string, error) {
	path := filepath.Join(dir, triageConfig)
	protocol := "http"
	if w.protocol.secure() {
		protocol = "https"
	}
	err := writeConfig(path, func(out *bufio.Writer) {
		fmt.Fprintf(out, "admin: {listen: %s}\n", adminAddress)
		fmt.Fprintf(out, "listeners:\n  - {name: web, listen: %s, protocol: http, default: {forward: app}}\n", webAddress)
		fmt.Fprintf(out, "groups:\n  - name: app\n    idle_timeout: 60s\n")
		fmt.Fprintf(out, "    health_check: {protocol: %s, path: %s, interval: %s, timeout: %s%s}\n    targets:\n",
			protocol, targetPath, w.interval, w.timeout(), more)
		for i := range w.targets {
			fmt.Fprintf(out, "      - %s\n", targetAddress(i, w.protocol))
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

func configureHAProxy(dir string, w work, more string) ([]string, error) {
	if w.protocol.secure() {
		more = " check-ssl verify none" + more
	}
	path := filepath.Join(dir, "haproxy.cfg")
	err := writeConfig(path, func(out *bufio.Writer) {
		ms := func(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }
		fmt.Fprintf(out, "global\n  nbthread 1\n  maxconn 2000\n")
		fmt.Fprintf(out, "defaults\n  mode http\n  timeout connect %[1]s\n  timeout client %[1]s\n  timeout server %[1]s\n  timeout check %[1]s\n",
			ms(w.timeout()))
		fmt.Fprintf(out, "frontend web\n  bind %s\n  default_backend app\n", webAddress)
		fmt.Fprintf(out, "backend app\n  option httpchk\n  http-check send meth GET uri %s ver HTTP/1.1 hdr Host %s\n", targetPath, targetHost)
		fmt.Fprintf(out, "  default-server check%s inter %s\n", more, ms(w.interval))
		for i := range w.targets {
			fmt.Fprintf(out, "  server t%d %s\n", i, targetAddress(i, w.protocol))
		}
	})
	return []string{"-db", "-q", "-f", path}, err
}

func configureCaddy(dir string, w work) ([]string, error) {
	type object = map[string]any
	upstreams := make([]object, w.targets)
	for i := range upstreams {
		upstreams[i] = object{"dial": targetAddress(i, w.protocol).String()}
	}
	active := object{"path": targetPath, "interval": w.interval.String(), "timeout": w.timeout().String()}
	handler := object{"handler": "reverse_proxy", "upstreams": upstreams, "health_checks": object{"active": active}}
	if w.protocol.secure() {
		handler["transport"] = object{"protocol": "http", "tls": object{"insecure_skip_verify": true}}
	}
	route := object{"handle": []object{handler}}
	config := object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"web": object{
			"listen":          []string{webAddress},
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
