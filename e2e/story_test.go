package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStory plays the seed article on real software: three instances behind triage serve, and one of them
// goes through everything that can keep a health check from passing. Each act is judged by what clients and
// the balancer really see.
func TestStory(t *testing.T) {
	s := startStack(t)
	for _, well := range s.instances[:2] { // who has been through all this before
		well.app.stop(t)
		well.app.start(t, well.imds.endpoint())
		well.app.waitUntilReady(t)
	}
	b := startBalancer(t, s)

	act(t, "1 a TCP check is blind", b.tcpCheckIsBlind)
	act(t, "2 the health check asks as a user would", b.httpCheckSeesIt)
	act(t, "3 nginx redirects the check", b.nginxRedirects)
	act(t, "4 the rule spares the path, and Django refuses the Host", b.djangoRefuses)
	act(t, "5 listen shows what is sent", b.listenShows)
	act(t, "6 the settings learn the private address", b.settingsLearn)
	act(t, "7 everything is healthy", b.allIsWell)
	act(t, "8 guard in place of nginx, Django untouched", b.guardStandsIn)
}

// act runs one act; the story ends with the first that fails, since each builds on the one before.
func act(t *testing.T, name string, play func(*testing.T)) {
	t.Helper()
	if !t.Run(name, play) {
		t.FailNow()
	}
}

// balancer is triage serve in front of the stack.
type balancer struct {
	*process
	cli
	story *testing.T // owns the processes that outlive an act
	stack *stack
	sick  *instance
	url   string
	file  string
	rule  string // what triage check printed to paste into nginx
}

const (
	checkInterval = 2 * time.Second
	checkTimeout  = 1500 * time.Millisecond
)

func startBalancer(t *testing.T, s *stack) *balancer {
	t.Helper()
	dir := workFolder(t)
	local := netip.MustParseAddr("127.0.0.1")
	listen := netip.AddrPortFrom(local, s.ports.pick(t, local))
	admin := netip.AddrPortFrom(local, s.ports.pick(t, local))
	file := writeFile(t, dir, "triage.yaml", fmt.Sprintf(`# The site's balancer. This comment must survive every edit.
admin: {listen: %s}
listeners:
  - {name: web, listen: %s, protocol: http, default: {forward: app}}
groups:
  - name: app
    targets:
      - %s # the first
      - %s
      - %s # the one in trouble
    health_check:
      interval: %s # start to start
      timeout: %s
`, admin, listen, s.instances[0].addr, s.instances[1].addr, s.instances[2].addr, checkInterval, checkTimeout))
	b := &balancer{
		cli: cli{admin.String()}, story: t, stack: s, sick: s.instances[2], url: "http://" + listen.String() + "/", file: file,
		process: newProcess(t, &process{
			name: "triage serve", path: triagePath(t), args: []string{"serve", "-c", file}, dir: dir, quit: syscall.SIGTERM,
		}),
	}
	b.start(t)
	b.waitUntil(t, "is ready", func() bool {
		resp, err := http.Get("http://" + b.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	return b
}

// becomes waits until the sick instance is in a state.
func (b *balancer) becomes(t *testing.T, state string) targetStatus {
	t.Helper()
	var now targetStatus
	b.waitUntil(t, "calls "+b.sick.addr.String()+" "+state, func() bool {
		now = b.target(t, b.sick.addr.String())
		return now.State == state
	})
	return now
}

// becomesBecause waits until the sick instance is unhealthy for a reason.
func (b *balancer) becomesBecause(t *testing.T, cause string) {
	t.Helper()
	b.waitUntil(t, "gives the cause "+cause, func() bool {
		now := b.target(t, b.sick.addr.String())
		return now.State == "unhealthy" && now.Diagnosis != nil && strings.Contains(now.Diagnosis.Cause, cause)
	})
	if !b.logHas(0, cause) {
		t.Errorf("the cause %q is not in the balancer's log", cause)
	}
}

func (b *balancer) checkURL() string { return "http://" + b.sick.addr.String() + "/health_check" }

func (b *balancer) tcpCheckIsBlind(t *testing.T) {
	crowd := startVisitors(t, b.url, 10*time.Millisecond)
	b.sick.db.stop(t)
	begin := time.Now()
	time.Sleep(2*checkInterval + checkTimeout) // as long as a check that could see it would need
	visits := settled(crowd, begin)
	failed := 0
	for _, v := range visits {
		if v.Status == 500 {
			failed++
		}
	}
	if share := float64(failed) / float64(len(visits)); len(visits) < 30 || share < 0.25 || share > 0.42 {
		t.Errorf("%d of %d requests failed; with one of three instances sick it should be a third", failed, len(visits))
	}
	if now := b.target(t, b.sick.addr.String()); now.State != "healthy" {
		t.Errorf("the TCP check sees the error pages: %+v", now)
	}
	if _, code := b.run(t, "check", "tcp://"+b.sick.addr.String()); code != 0 {
		t.Errorf("triage check tcp:// exits with %d", code)
	}
}

// settled ends the visits and leaves out those that began too late to count.
func settled(crowd *visitors, begin time.Time) []visit {
	crowd.stop()
	return crowd.since(begin)
}

func (b *balancer) httpCheckSeesIt(t *testing.T) {
	crowd := startVisitors(t, b.url, 10*time.Millisecond)
	edited := time.Now()
	b.must(t, "health-check", "set", "app", "--protocol", "http", "--path", "/health_check", "--host", "mysite.com")
	now := b.becomes(t, "unhealthy")
	out := time.Now()
	if now.Reason != "Target.ResponseCodeMismatch" {
		t.Errorf("unhealthy because of %s", now.Reason)
	}
	// The promise: unhealthy_threshold × interval + timeout. Asking and a busy machine get a second.
	if took, most := out.Sub(edited), 2*checkInterval+checkTimeout+time.Second; took > most {
		t.Errorf("the sick instance left after %v, promised are %v", took, most)
	}

	b.sick.db.start(t)
	b.sick.db.waitUntilReady(t)
	b.becomes(t, "healthy")
	back := time.Now()
	b.waitUntil(t, "sends the cured instance requests", func() bool {
		for _, v := range crowd.since(back) {
			if v.Instance == b.sick.name {
				return true
			}
		}
		return false
	})
	for _, v := range settled(crowd, out) {
		if v.Status != 200 {
			t.Errorf("a request that began %v after the instance had left: %+v", v.Start.Sub(out), v)
		}
		if v.Instance == b.sick.name && v.Start.Before(back.Add(-2*checkInterval)) {
			t.Errorf("the sick instance got a request: %+v", v)
		}
	}

	text, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# The site's balancer. This comment must survive every edit.", "# the one in trouble", "# start to start", "protocol: http", "path: /health_check"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the config file after the edit:\n%s", want, text)
		}
	}
}

func (b *balancer) nginxRedirects(t *testing.T) {
	// From here on the check asks as AWS's does: by address.
	b.must(t, "health-check", "set", "app", "--host", "")
	b.sick.web.reload(t, nginxSite{Server: redirectUnlessHTTPS})
	b.becomesBecause(t, "nginx redirects plain http to https")

	out, code := b.run(t, "check", "--as", "aws-alb", b.checkURL())
	if code != 1 || !strings.HasPrefix(out, "UNHEALTHY  aws-alb  "+b.sick.addr.String()+"/health_check  301 in ") ||
		!strings.Contains(out, "Health checks failed with these codes: [301]") || !strings.Contains(out, "Cause      nginx redirects plain http to https") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	b.rule = pasteable(t, out)
}

func (b *balancer) djangoRefuses(t *testing.T) {
	b.sick.web.reload(t, nginxSite{Server: b.rule + redirectUnlessHTTPS})
	b.becomesBecause(t, "Django refuses Host")

	out, code := b.run(t, "check", b.checkURL())
	if code != 1 || !strings.Contains(out, " 400 in ") ||
		!strings.Contains(out, fmt.Sprintf("Cause      Django refuses Host %q (ALLOWED_HOSTS)\n", b.sick.addr)) ||
		!strings.Contains(out, "Proof      the same request with Host localhost: 200\n") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	b.printedSettingsWork(t, pasteable(t, out))
	if _, code := b.run(t, "check", "--host", "mysite.com", b.checkURL()); code != 0 {
		t.Errorf("with the site's own name the check exits with %d", code)
	}
}

// printedSettingsWork runs the lines that triage check prints for settings.py against the metadata service.
func (b *balancer) printedSettingsWork(t *testing.T, lines string) {
	t.Helper()
	const service = "http://169.254.169.254"
	if !strings.Contains(lines, service) {
		t.Fatalf("the fix does not ask the metadata service:\n%s", lines)
	}
	script := "ALLOWED_HOSTS = ['mysite.com']\n" + strings.ReplaceAll(lines, service, b.sick.imds.endpoint()) + "\nprint(ALLOWED_HOSTS)\n"
	cmd := exec.Command(pythonPath, "-c", script)
	cmd.Env = []string{systemPath}
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("['mysite.com', '%s']\n", b.sick.addr.Addr()); err != nil || string(out) != want {
		t.Errorf("the printed lines give %s (%v), want %s:\n%s", out, err, want, script)
	}
}

func (b *balancer) listenShows(t *testing.T) {
	b.sick.app.stop(t)
	shown := newProcess(t, &process{
		name: "triage listen", path: triagePath(t), dir: workFolder(t), quit: syscall.SIGTERM,
		args: []string{"listen", b.sick.app.addr.String(), "--json"},
	})
	shown.start(t)
	shown.waitUntil(t, "listens", func() bool { return shown.logHas(0, "listening on") })
	b.run(t, "check", "--as", "aws-clb", b.checkURL())
	for _, want := range []string{"Host: " + b.sick.addr.String(), "ELB-HealthChecker/1.0", "triage-health-check/1"} {
		shown.waitUntil(t, "shows "+want, func() bool { return shown.logHas(0, want) })
	}
	shown.stop(t)
}

func (b *balancer) settingsLearn(t *testing.T) {
	b.sick.app.start(b.story, b.sick.imds.endpoint())
	b.sick.app.waitUntilReady(t)
	if got := askHealth(t, b.sick.addr, "/health_check"); got.status != 200 || got.body != "ok" {
		t.Errorf("the check is answered:\n%s", got.raw)
	}
	b.becomes(t, "healthy")
}

func (b *balancer) allIsWell(t *testing.T) {
	b.must(t, "status", "--exit-code")
	out := b.must(t, "check", b.checkURL())
	if !strings.HasPrefix(out, "HEALTHY    aws-alb  "+b.sick.addr.String()+"/health_check  200 in ") {
		t.Errorf("triage check prints:\n%s", out)
	}
	var report struct {
		Healthy  bool
		Received struct{ Body string }
	}
	if err := json.Unmarshal([]byte(b.must(t, "check", "--json", "--as", "elb", b.checkURL())), &report); err != nil || !report.Healthy || report.Received.Body != "ok" {
		t.Errorf("triage check --json: %+v, %v", report, err)
	}
}

func (b *balancer) guardStandsIn(t *testing.T) {
	b.sick.web.stop(t)
	b.sick.app.stop(t)
	b.sick.app.start(b.story, "") // ALLOWED_HOSTS knows no address
	b.sick.app.waitUntilReady(t)
	b.becomes(t, "unhealthy")
	guard := newProcess(t, &process{
		name: "triage guard", path: triagePath(t), dir: workFolder(t), quit: syscall.SIGTERM,
		args: []string{"guard", "--listen", b.sick.addr.String(), "--upstream", b.sick.app.addr.String(),
			"--allowed-hosts", "mysite.com,.example.org", "--https-redirect", "--health-path", "/health_check"},
	})
	guard.start(t)
	guard.waitUntil(t, "listens", func() bool { return answers(b.sick.addr) })

	if out, code := b.run(t, "check", b.checkURL()); code != 0 {
		t.Errorf("exit %d:\n%s", code, out)
	}
	b.becomes(t, "healthy")
	if got := askHealth(t, b.sick.app.addr, "/health_check"); got.status != 400 {
		t.Errorf("Django was touched: without guard the check is answered\n%s", got.raw)
	}
	if page := askPage(t, b.sick.addr); page.status != 200 || page.header.Get("X-Instance") != b.sick.name {
		t.Errorf("a visitor who came by https sees:\n%s", page.raw)
	}
	plain := ask(t, b.sick.addr, "GET / HTTP/1.1\r\nHost: mysite.com\r\nConnection: close\r\n\r\n")
	if to := plain.header.Get("Location"); plain.status != 301 || to != "https://mysite.com/" {
		t.Errorf("a visitor who came by http is answered:\n%s", plain.raw)
	}
	stranger := ask(t, b.sick.addr, "GET /health_check HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n")
	if stranger.status != 400 {
		t.Errorf("a foreign name on the health path is answered:\n%s", stranger.raw)
	}
}
