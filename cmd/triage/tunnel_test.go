package main

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestCheckThroughAConnection: what is dialed is the tunnel's beginning; what is asked, shown and judged is the URL's address.
func TestCheckThroughAConnection(t *testing.T) {
	hosts := make(chan string, 8)
	entrance := serveOn(t, "127.0.0.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }))
	r := runTriage(t, []netip.Addr{netip.MustParseAddr("127.0.1.6")}, "check", "--connect", entrance, "--no-follow-up", "http://10.0.1.5:8000/health_check")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "HEALTHY    aws-alb  10.0.1.5:8000/health_check  200 in ") || <-hosts != "10.0.1.5:8000" {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if want := "asked through --connect: security groups, ACLs and routes of the load balancer were not tested"; !strings.Contains(joined(r.stdout), want) {
		t.Errorf("stdout does not say %q:\n%s", want, r.stdout)
	}
	if r := runTriage(t, nil, "check", "--json", "--connect", entrance, "http://10.0.1.5:8000/"); !strings.Contains(r.stdout, `"through": "`+entrance+`"`) {
		t.Errorf("--json: exit %d\n%s", r.code, r.stdout)
	}
}

// TestSecondQuestionsThroughATunnel: they go the same way, and never to this machine in the target's place.
func TestSecondQuestionsThroughATunnel(t *testing.T) {
	entrance := serveOn(t, "127.0.0.1", http.HandlerFunc(asDjango))
	r := runTriage(t, []netip.Addr{netip.MustParseAddr("10.0.1.5")}, "check", "--connect", entrance, "http://10.0.1.5:8000/")
	if want := "the same request with Host localhost: 200"; r.code != exitUnhealthy || !strings.Contains(r.stdout, want) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestBrokenTunnelIsNoVerdict: who has not been asked is not unhealthy.
func TestBrokenTunnelIsNoVerdict(t *testing.T) {
	elsewhere := serveOn(t, "127.0.0.1", http.RedirectHandler("https://10.0.1.5:8443/", http.StatusFound))
	for want, args := range map[string][]string{
		"--connect: dial tcp 127.0.0.1:1: connect: connection refused":                                            {"--connect", "127.0.0.1:1"},
		`--via: "echo no way to 10.0.1.5 port 8000 >&2; exit 255" ended with exit status 255 before anything`:     {"--via", "echo no way to %h port %p >&2; exit 255"},
		"before anything came: no way to 10.0.1.5 port 8000 hint: the target was not asked":                       {"--via", "echo no way to %h port %p >&2; exit 255"},
		"the answer redirects to https://10.0.1.5:8443/, and --connect does not follow it: a tunnel leads to one": {"--connect", elsewhere, "--as", "kubelet"},
	} {
		r := runTriage(t, nil, append(append([]string{"check"}, args...), "http://10.0.1.5:8000/")...)
		if r.code != exitFault || r.stdout != "" || !strings.Contains(joined(r.stderr), want) {
			t.Errorf("%q: exit %d, want %q\n%s%s", args, r.code, want, r.stdout, r.stderr)
		}
	}
}

// answerInShell is a command that takes a request and answers it.
const answerInShell = `sed '/^.$/q' >request; printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'`

// TestCheckThroughACommand: its input and output are the connection.
func TestCheckThroughACommand(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Chdir(t.TempDir())
	r := runTriage(t, nil, "check", "--no-follow-up", "--via", "echo '%h %p 100%%' >to; "+answerInShell, "http://10.0.1.5:8000/health_check")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "HEALTHY    aws-alb  10.0.1.5:8000/health_check  200 in ") || r.stderr != "" {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for name, want := range map[string]string{"to": "10.0.1.5 8000 100%\n", "request": "GET /health_check HTTP/1.1\r\nHost: 10.0.1.5:8000\r\n"} {
		if got, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	quiet := runTriage(t, nil, "check", "-q", "--via", "sed '/^.$/q' >request", "http://10.0.1.5:8000/")
	if quiet.code != exitUnhealthy || !strings.Contains(quiet.stdout, "closed-before-answer") || !strings.Contains(joined(quiet.stderr), "where the target has refused it") {
		t.Errorf("exit %d\n%s%s", quiet.code, quiet.stdout, quiet.stderr)
	}
}

// TestCommandEndsWithItsGroup: nothing that a command has started stays.
func TestCommandEndsWithItsGroup(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	note := filepath.Join(t.TempDir(), "pid")
	r := runTriage(t, nil, "check", "-q", "--timeout", "300ms", "--via", "sleep 600 & echo $! >"+note+"; wait", "http://10.0.1.5:8000/")
	if r.code != exitUnhealthy || !strings.Contains(r.stdout, "response-timeout") || !strings.Contains(joined(r.stderr), "--timeout 30s leaves it more") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !gone(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// gone reports whether a process has ended, be it that nobody has asked for its exit code yet.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestExpandVia(t *testing.T) {
	for _, c := range []struct{ command, to, want string }{
		{"ssh web1 -W %h:%p", "10.0.1.5:80", "ssh web1 -W 10.0.1.5:80"},
		{"nc '%h' %p", "[::ffff:10.0.1.5]:80", "nc '10.0.1.5' 80"},
		{"ssh web1 -W [%h]:%p", "[fd00::5]:80", "ssh web1 -W [fd00::5]:80"},
		{"x %h", "[fe80::1%a;reboot]:80", "x 'fe80::1%a;reboot'"},
		{"date +%%s", "10.0.1.5:80", "date +%s"},
	} {
		if got, err := expandVia(c.command, netip.MustParseAddrPort(c.to)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.command, got, err, c.want)
		}
	}
}

func TestTunnelUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"can't be used together":                      {"--connect", "a:1", "--via", "x", "10.0.1.5:80"},
		"--connect leads to one target":               {"--connect", "127.0.0.1:1", ":80"},
		"--via: a tcp check would only see":           {"--via", "x", "tcp://10.0.1.5:80"},
		"--source means nothing":                      {"--via", "x", "--source", "127.0.0.1", "10.0.1.5:80"},
		"write where the tunnel begins":               {"--connect", "localhost", "10.0.1.5:80"},
		"none of %h, %p and %%":                       {"--via", "ssh %r@web1", "10.0.1.5:80"},
		"a PROXY v1 header holds the address":         {"--via", "x", "--proxy-protocol", "v1", "10.0.1.5:80"},
		"sends its own address as Host":               {"--connect", "127.0.0.1:1", "--as", "aws-nlb", "10.0.1.5:80"},
		"--public-host \"a:1\" is not a host name":    {"--public-host", "a:1", "10.0.1.5:80"},
		"\"10.0.0.1\" is not a host name":             {"--public-host", "10.0.0.1", "10.0.1.5:80"},
		"--public-host \"*.example\" is not":          {"--public-host", "*.example", "10.0.1.5:80"},
		"write it as visitors do, without a port: --": {"--public-host", "http://x/", "10.0.1.5:80"},
	} {
		r := runTriage(t, nil, append([]string{"check"}, args...)...)
		if r.code != exitUsage || r.stdout != "" || !strings.Contains(joined(r.stderr), want) {
			t.Errorf("%q: exit %d, want %q\n%s%s", args, r.code, want, r.stdout, r.stderr)
		}
	}
}
