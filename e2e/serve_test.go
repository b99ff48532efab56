package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage/internal/simulate"
)

// These tests run the real program on simulated servers, so they need nothing but Go.

// fleet is simulated servers, all on free ports.
func fleet(t *testing.T, configs ...simulate.Config) []*simulate.Server {
	t.Helper()
	f, err := simulate.ListenFleet(simulate.FleetConfig{Servers: configs})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f.Servers()
}

// server is a triage serve in a folder of its own.
type server struct {
	*process
	cli
	file string
	url  string // of the listener
}

// quickCheck sees a sick server within half a second.
const quickCheck = "health_check: {protocol: http, path: /health_check, interval: 200ms, timeout: 150ms, unhealthy_threshold: 2, healthy_threshold: 2}"

// startServer runs triage serve with a group of the given body ("targets: …"), a listener and an admin address
// on host, and waits until it is ready.
func startServer(t *testing.T, host, group string, flags ...string) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the whole program")
	}
	dir := workFolder(t)
	ports, at := newPorts(), netip.MustParseAddr(host)
	listen, admin := netip.AddrPortFrom(at, ports.pick(t, at)), netip.AddrPortFrom(at, ports.pick(t, at))
	s := &server{cli: cli{admin.String()}, url: "http://" + listen.String()}
	s.file = writeFile(t, dir, "triage.yaml", fmt.Sprintf("admin: {listen: %q}\nlisteners:\n  - {name: web, listen: %q, protocol: http, default: {forward: app}}\n"+
		"groups:\n  - name: app\n    %s\n", admin, listen, strings.ReplaceAll(group, "\n", "\n    ")))
	s.process = newProcess(t, &process{
		name: "triage serve", path: triagePath(t), args: append([]string{"serve", "-c", s.file}, flags...), dir: dir, quit: syscall.SIGTERM,
	})
	s.start(t)
	s.waitUntil(t, "is ready", func() bool { return s.probe("/readyz") == 200 })
	return s
}

// probe asks the admin address and returns the status, 0 if nobody answers.
func (s *server) probe(path string) int {
	resp, err := http.Get("http://" + s.admin + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// get asks the listener for a page, on a connection of its own.
func (s *server) get(t *testing.T) (status int, instance string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(s.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("X-Instance")
}

// becomes waits until a target is in a state.
func (s *server) becomes(t *testing.T, target, state string) {
	t.Helper()
	s.waitUntil(t, "calls "+target+" "+state, func() bool { return s.target(t, target).State == state })
}

func (s *server) edit(t *testing.T, old, new string) {
	t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%q is not in\n%s", old, text)
	}
	if err := os.WriteFile(s.file, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestServeIPv6: listener, target and admin address on ::1.
func TestServeIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no ::1")
	} else {
		l.Close()
	}
	servers := fleet(t, simulate.Config{Address: netip.MustParseAddrPort("[::1]:0"), Name: "six"})
	s := startServer(t, "::1", fmt.Sprintf("targets: [%q]\n%s", servers[0].Address(), quickCheck))
	if status, instance := s.get(t); status != 200 || instance != "six" {
		t.Errorf("%d from %q", status, instance)
	}
	s.must(t, "status", "--exit-code")
	if out, code := s.run(t, "check", "--host", "localhost", "tcp://"+servers[0].Address().String()); code != 2 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	address := servers[0].Address().String()
	s.must(t, "target", "drain", "app", address)
	s.must(t, "target", "undrain", "app", address)
	s.must(t, "target", "remove", "app", address)
	s.must(t, "target", "add", "app", address)
	s.becomes(t, address, "healthy")
}

// TestServeNames: a target may be a name, and one that leads nowhere is unhealthy, not a refused start.
func TestServeNames(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "local"})
	name := fmt.Sprintf("localhost:%d", servers[0].Address().Port())
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%s, 'no-such-host.invalid:80']\n%s", name, quickCheck))
	s.becomes(t, "no-such-host.invalid:80", "unhealthy")
	for range 4 {
		if status, instance := s.get(t); status != 200 || instance != "local" {
			t.Errorf("%d from %q", status, instance)
		}
	}
	if _, code := s.run(t, "status", "--exit-code"); code != 1 {
		t.Errorf("status --exit-code: %d", code)
	}
}

// TestNobodyHealthy: fail-open as ALB does, or 503 as the Classic ELB does.
func TestNobodyHealthy(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "sick", Illness: simulate.Error500})
	address := servers[0].Address().String()
	open := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\n%s", address, quickCheck))
	open.becomes(t, address, "unhealthy")
	if status, instance := open.get(t); status != 500 || instance != "sick" {
		t.Errorf("fail-open: %d from %q", status, instance)
	}
	if out, _ := open.run(t, "status"); !strings.Contains(out, "FAILING OPEN") {
		t.Errorf("status hides that it fails open:\n%s", out)
	}
	closed := startServer(t, "127.0.0.1", fmt.Sprintf("none_healthy: \"503\"\ntargets: [%q]\n%s", address, quickCheck))
	closed.becomes(t, address, "unhealthy")
	if status, _ := closed.get(t); status != 503 {
		t.Errorf("503: %d", status)
	}
}

// TestReloadRefused: a broken file changes nothing, says where it is broken, and a mended one is taken; no
// request is dropped meanwhile.
func TestReloadRefused(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "a"}, simulate.Config{Name: "b"})
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\n%s", servers[0].Address(), quickCheck))
	crowd := startVisitors(t, s.url+"/", 2*time.Millisecond)

	s.edit(t, "interval: 200ms", "intervall: 200ms")
	out, code := s.run(t, "reload")
	if code != 2 {
		t.Errorf("triage reload of a broken file: exit %d\n%s", code, out)
	}
	s.signal(t, syscall.SIGHUP)
	s.waitUntil(t, "refuses the file", func() bool { return s.logHas(0, "triage.yaml:7: ") && s.logHas(0, "intervall") })
	s.must(t, "validate", "--help")
	if _, code := s.run(t, "validate", "-c", s.file); code != 2 {
		t.Errorf("triage validate of a broken file: exit %d", code)
	}
	if status, instance := s.get(t); status != 200 || instance != "a" {
		t.Errorf("after the refused reload: %d from %q", status, instance)
	}

	s.edit(t, "intervall: 200ms", "interval: 200ms")
	for i := range 20 {
		from, to := servers[i%2].Address().String(), servers[(i+1)%2].Address().String()
		s.edit(t, from, to)
		s.must(t, "reload")
		s.becomes(t, to, "healthy")
	}
	for _, v := range crowd.stop() {
		if v.Err != nil || v.Status != 200 {
			t.Errorf("a request during the reloads: %+v", v)
		}
	}
}

func TestWatch(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "a"}, simulate.Config{Name: "b"})
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\n%s", servers[0].Address(), quickCheck), "--watch")
	s.edit(t, servers[0].Address().String(), servers[1].Address().String())
	s.becomes(t, servers[1].Address().String(), "healthy")

	// As editors and Kubernetes do it: another file takes the name.
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(filepath.Dir(s.file), "next.yaml")
	swapped := strings.Replace(string(text), servers[1].Address().String(), servers[0].Address().String(), 1)
	if err := os.WriteFile(next, []byte(swapped), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, s.file); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, servers[0].Address().String(), "healthy")
}

// TestGracefulStop: on SIGTERM running requests finish, /readyz says no, and the process ends with 0.
func TestGracefulStop(t *testing.T) {
	entered := make(chan struct{}, 1)
	servers := fleet(t, simulate.Config{Name: "slow", Illness: simulate.Slow, Slow: 2 * time.Second, OnRequest: func(r *http.Request, _ simulate.Illness) {
		if r.URL.Path == "/" {
			entered <- struct{}{}
		}
	}})
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\nhealth_check: {protocol: tcp, interval: 1s, timeout: 500ms}", servers[0].Address()))
	if s.probe("/livez") != 200 {
		t.Error("not live")
	}
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.url + "/")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)), " ", err)
	}()
	<-entered
	s.signal(t, syscall.SIGTERM)
	s.waitUntil(t, "says that it is not ready", func() bool { return s.probe("/readyz") == 503 })
	if s.probe("/livez") != 200 {
		t.Error("not live while draining")
	}
	if got := <-answer; !strings.HasPrefix(got, "200 hello from slow") {
		t.Errorf("the running request ended with %s", got)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// TestEachTransitionIsOneLine: with the cause in it, in JSON too.
func TestEachTransitionIsOneLine(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "a", Illness: simulate.RedirectHTTPS})
	address := servers[0].Address().String()
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\n%s", address, quickCheck), "--log-format", "json", "--log-level", "info")
	s.becomes(t, address, "unhealthy")
	if err := servers[0].SetIllness(simulate.HostRejected); err != nil {
		t.Fatal(err)
	}
	s.waitUntil(t, "logs the other cause", func() bool { return s.logHas(0, "Django refuses Host") })
	if err := servers[0].SetIllness(simulate.Healthy); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, address, "healthy")
	log, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	var transitions strings.Builder
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, `"target diagnosed"`) { // the proof has a line of its own
			transitions.WriteString(line)
		}
	}
	for text, want := range map[string]int{`"target unhealthy"`: 1, "nginx redirects plain http to https": 1, `"target healthy"`: 1, `"status":301`: 1} {
		if got := strings.Count(transitions.String(), text); got != want {
			t.Errorf("%s is in the log %d times, want %d", text, got, want)
		}
	}
}

// TestHalfAStart: what cannot be served is refused at once, with what to do.
func TestHalfAStart(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole program")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	dir := workFolder(t)
	free := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), newPorts().pick(t, netip.MustParseAddr("127.0.0.1"))).String()
	config := func(admin, listen string) string {
		return fmt.Sprintf("admin: {listen: %q}\nlisteners: [{name: web, listen: %q, protocol: http, default: {forward: app}}]\n"+
			"groups: [{name: app, targets: ['127.0.0.1:1'], health_check: {protocol: tcp}}]\n", admin, listen)
	}
	for name, c := range map[string]struct{ text, want string }{
		"listener taken":     {config("unix:"+dir+"/a.sock", taken), taken},
		"admin taken":        {config(taken, free), taken},
		"admin not loopback": {config("0.0.0.0:7380", free), "triage.yaml:1: "},
		"foreign address":    {config("unix:"+dir+"/b.sock", "192.0.2.77:80"), "192.0.2.77:80"},
		"no config":          {"", "triage.yaml"},
		"timeout":            {strings.Replace(config(free, free), "{protocol: tcp}", "{protocol: tcp, timeout: 6s}", 1), "triage.yaml:3: "},
	} {
		t.Run(name, func(t *testing.T) {
			folder := workFolder(t)
			file := writeFile(t, folder, "triage.yaml", c.text)
			if c.text == "" {
				os.Remove(file)
			}
			p := newProcess(t, &process{name: "triage serve", path: triagePath(t), args: []string{"serve", "-c", file}, dir: folder, quit: syscall.SIGTERM})
			p.start(t)
			select {
			case <-p.done:
			case <-time.After(patience):
				t.Fatal("it runs")
			}
			text := string(p.logTail())
			if code := p.cmd.ProcessState.ExitCode(); code != 2 && code != 3 {
				t.Errorf("exit %d", code)
			}
			if !strings.Contains(text, "triage: ") || !strings.Contains(text, c.want) || !strings.Contains(text, "hint: ") && !strings.Contains(text, "triage.yaml:") {
				t.Errorf("it says\n%s", text)
			}
			if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
				t.Errorf("a stack trace:\n%s", text)
			}
		})
	}
}

// TestUnixAdmin: the admin address may be a socket, and goes away with the balancer.
func TestUnixAdmin(t *testing.T) {
	servers := fleet(t, simulate.Config{Name: "a"})
	s := startServer(t, "127.0.0.1", fmt.Sprintf("targets: [%q]\n%s", servers[0].Address(), quickCheck))
	socket := filepath.Join(filepath.Dir(s.file), "admin.sock")
	s.stop(t)
	s.edit(t, fmt.Sprintf("admin: {listen: %q}", s.admin), "admin: {listen: 'unix:"+socket+"'}")
	s.start(t)
	s.admin = "unix:" + socket
	s.waitUntil(t, "has its socket", func() bool {
		_, code := s.run(t, "status")
		return code == 0
	})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	s.stop(t)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
	if _, code := s.run(t, "status"); code != 3 {
		t.Errorf("status without a balancer: exit %d", code)
	}
}
