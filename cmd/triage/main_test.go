package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/api"
	"github.com/triage-lb/triage/internal/simulate"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"triage": main})
}

// TestScripts runs the sessions of testdata/script: what a person types and what the terminal shows. Each
// script finds nine free ports of 127.0.0.1 in $PORT1 to $PORT9.
func TestScripts(t *testing.T) {
	var ports portSource
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                scriptCommands,
		Setup: func(env *testscript.Env) error {
			for i := 1; i <= 9; i++ {
				port, err := ports.next()
				if err != nil {
					return err
				}
				env.Vars = append(env.Vars, fmt.Sprintf("PORT%d=%d", i, port))
			}
			env.Vars = append(env.Vars, "GORACE=atexit_sleep_ms=0") // else each command of a -race run takes a second
			env.Values[simulated{}] = map[string]*simulate.Server{}
			return nil
		},
	})
}

// scriptCommands are what the scripts can do besides running triage.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"eventually": eventually,
	"expand":     expand,
	"get":        get,
	"waitready":  waitReady,
	"simulated":  simulateServer,
}

// portSource hands out ports below those that the kernel takes for outgoing connections, so that none is taken
// between the moment it is chosen and the moment it is used, and no two scripts get the same.
type portSource struct{ taken atomic.Int32 }

func (p *portSource) next() (int, error) {
	const low, span = 12000, 18000
	start := os.Getpid() * 97
	for range span {
		port := low + (start+int(p.taken.Add(1)))%span
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no port from %d to %d is free", low, low+span)
}

// patience is how long a script waits for something to come true.
const patience = 20 * time.Second

// eventually runs a command again and again until it succeeds, and with -stdout PATTERN until its output
// matches too. The next stdout and stderr commands look at its last run.
//
//	eventually [-stdout PATTERN] COMMAND [ARGS...]
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile("")
	if len(args) > 2 && args[0] == "-stdout" {
		var err error
		pattern, err = regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		args = args[2:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually [-stdout PATTERN] COMMAND [ARGS...]")
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s: %v", patience, err)
		}
	}
}

// get prints the page at a URL. With a pattern it asks again and again until the page matches. Negated, the answer
// must be an error.
//
//	get URL [PATTERN]
func get(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: get URL [PATTERN]")
	}
	pattern := regexp.MustCompile("(?m)" + strings.Join(args[1:], ""))
	transport := &http.Transport{DisableKeepAlives: true}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodGet, args[0], nil)
		ts.Check(err)
		resp, err := transport.RoundTrip(req)
		ts.Check(err)
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if neg != (resp.StatusCode < 400) && pattern.Match(page) {
			_, _ = ts.Stdout().Write(page)
			return
		}
		if len(args) == 1 || time.Now().After(deadline) {
			ts.Fatalf("%s: %s\n%s", args[0], resp.Status, page)
		}
	}
}

// waitReady waits until the balancer at an admin address takes traffic.
//
//	waitready ADDRESS
func waitReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitready ADDRESS")
	}
	client, err := api.NewClient(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := client.Ready(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not ready within %s: %v", args[0], patience, err)
		}
	}
}

// expand replaces $NAME and ${NAME} in files by the script's variables, as cmpenv does.
//
//	expand FILE...
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// simulated is the key of a script's simulated servers.
type simulated struct{}

// simulateServer starts a server with an illness that runs until the script ends, or gives a server that runs
// another illness.
//
//	simulated ADDRESS:PORT ILLNESS
func simulateServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: simulated ADDRESS:PORT ILLNESS")
	}
	address, err := netip.ParseAddrPort(args[0])
	ts.Check(err)
	illness, err := simulate.ParseIllness(args[1])
	ts.Check(err)
	servers := ts.Value(simulated{}).(map[string]*simulate.Server)
	if running, ok := servers[args[0]]; ok {
		ts.Check(running.SetIllness(illness))
		return
	}
	server, err := simulate.Listen(simulate.Config{Address: address, Illness: illness})
	ts.Check(err)
	servers[args[0]] = server
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(context.Background()) }) // ends without an error when it is closed
	ts.Defer(func() {
		server.Close()
		running.Wait()
	})
}

// TestAPanicIsNotSuccess: it was swallowed with the one that ends --help, and the exit code was 0.
func TestAPanicIsNotSuccess(t *testing.T) {
	broken := errors.New("a fault of our own")
	var out bytes.Buffer
	env := &environment{
		ctx:       t.Context(),
		getenv:    func(string) string { return "" },
		stdin:     strings.NewReader(""),
		stdout:    &out,
		stderr:    &out,
		addresses: func() []netip.Addr { panic(broken) },
	}
	defer func() {
		if got := recover(); got != broken {
			t.Errorf("recovered %v, want the fault itself", got)
		}
	}()
	code := env.run([]string{"check", ":8000/"})
	t.Errorf("a panic ended as exit %d: %s", code, &out)
}

// TestHelpIsSuccess: it ends inside the parser, by the panic that is expected.
func TestHelpIsSuccess(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"check", "--help"}} {
		if r := runTriage(t, nil, args...); r.code != exitOK || !strings.Contains(r.stdout, "Usage: triage") {
			t.Errorf("%q: exit %d, %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}

// TestUnknownFaultsAreFaults: an error without a kind was exit 0.
func TestUnknownFaultsAreFaults(t *testing.T) {
	var out bytes.Buffer
	env := &environment{ctx: t.Context(), getenv: func(string) string { return "" }, stdout: &out, stderr: &out}
	for _, err := range []error{errors.New("something"), &triage.Error{Message: "something"}} {
		if code := env.fail(err); code != exitFault {
			t.Errorf("%#v: exit %d", err, code)
		}
	}
}
