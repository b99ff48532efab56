package e2e

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the answers of the real servers to testdata/captured, and what the real checkers ask to internal/dialect/testdata/wire")

// stack is three instances of the site, as they stand behind a load balancer.
type stack struct {
	port      uint16 // on which each instance's nginx listens
	instances [3]*instance
	ports     *ports // for whatever a test adds
}

// instance is one machine: nginx, gunicorn with Django, its database, and the
// metadata service that tells it its address.
type instance struct {
	name string // as in X-Instance
	addr netip.AddrPort
	db   *postgres
	app  *django
	web  *nginx
	imds *imds
}

// startStack starts everything and returns once each instance shows its page.
// nginx passes everything on, Django knows no address, the metadata service
// wants version 2. All of it is gone when the test ends.
func startStack(t *testing.T) *stack {
	t.Helper()
	requireTools(t)
	begin := time.Now()
	dir := workFolder(t)
	addrs := []netip.Addr{
		netip.MustParseAddr("127.0.1.11"), netip.MustParseAddr("127.0.1.12"), netip.MustParseAddr("127.0.1.13"),
	}
	s := &stack{ports: newPorts()}
	s.port = s.ports.pick(t, addrs...)
	for i, addr := range addrs {
		s.instances[i] = newInstance(t, dir, netip.AddrPortFrom(addr, s.port), s.ports)
	}
	// The servers that need no database come up while it is made.
	template := newPostgresTemplate(t, dir)
	for _, in := range s.instances {
		in.db = newPostgres(t, filepath.Join(dir, in.name, "postgres"), template, in.app.db)
		in.db.start(t)
	}
	for _, in := range s.instances {
		in.waitUntilReady(t)
	}
	t.Logf("the stack stands after %v", time.Since(begin).Round(time.Millisecond))
	return s
}

// newInstance starts all of an instance but its database.
func newInstance(t *testing.T, dir string, addr netip.AddrPort, ports *ports) *instance {
	t.Helper()
	local := netip.MustParseAddr("127.0.0.1")
	name := "instance-" + addr.Addr().String()
	dir = filepath.Join(dir, name)
	app := netip.AddrPortFrom(local, ports.pick(t, local))
	in := &instance{
		name: name,
		addr: addr,
		app:  newDjango(t, filepath.Join(dir, "django"), name, app, ports.pick(t, local)),
		web:  newNginx(t, filepath.Join(dir, "nginx"), addr, app),
		imds: newIMDS(t, filepath.Join(dir, "imds"), netip.AddrPortFrom(local, ports.pick(t, local)), addr.Addr()),
	}
	in.app.start(t, "")
	in.web.start(t, nginxSite{})
	in.imds.start(t, true)
	return in
}

func (in *instance) waitUntilReady(t *testing.T) {
	t.Helper()
	in.db.waitUntilReady(t)
	in.app.waitUntilReady(t)
	in.web.waitUntilReady(t)
	in.imds.waitUntilReady(t)
	if page := askPage(t, in.addr); page.status != 200 {
		t.Fatalf("%s shows no page:\n%s", in.name, page.raw)
	}
}

// TestStack holds the real servers to what the story says of them.
func TestStack(t *testing.T) {
	s := startStack(t)
	sick := s.instances[2]
	const askAddress = "GET /latest/meta-data/local-ipv4 HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n"

	t.Run("a page fails when its database is away", func(t *testing.T) {
		crowd := startVisitors(t, "http://"+s.instances[0].addr.String()+"/", 20*time.Millisecond)
		sick.db.stop(t)
		if got := askPage(t, sick.addr); got.status != 500 || got.header.Get("X-Instance") != sick.name {
			t.Errorf("with PostgreSQL stopped the page says:\n%s", got.raw)
		}
		if got := askHealth(t, sick.app.addr, "/health_check"); got.status != 400 {
			t.Errorf("Django looks at the database before it looks at Host:\n%s", got.raw)
		}
		sick.db.start(t)
		sick.db.waitUntilReady(t)
		if got := askPage(t, sick.addr); got.status != 200 {
			t.Errorf("with PostgreSQL back the page says:\n%s", got.raw)
		}
		for _, v := range crowd.stop() {
			if v.Status != 200 || v.Instance != s.instances[0].name {
				t.Errorf("a visitor of another instance saw %+v", v)
			}
		}
	})

	t.Run("nginx redirects the check", func(t *testing.T) {
		sick.web.reload(t, nginxSite{Server: redirectUnlessHTTPS})
		got := askHealth(t, sick.addr, "/health_check")
		if got.status != 301 || got.header.Get("Location") != "https://127.0.1.13/health_check" {
			t.Errorf("the check is answered:\n%s", got.raw)
		}
		compareCaptured(t, "nginx-301.http", got)
		if page := askPage(t, sick.addr); page.status != 200 {
			t.Errorf("a visitor who came by https sees:\n%s", page.raw)
		}
	})

	t.Run("the rule spares the check, and Django refuses its Host", func(t *testing.T) {
		sick.web.reload(t, nginxSite{Server: spareHealthPath + redirectUnlessHTTPS})
		got := askHealth(t, sick.addr, "/health_check")
		if got.status != 400 {
			t.Errorf("the check is answered:\n%s", got.raw)
		}
		compareCaptured(t, "django-400.http", got)
		sick.app.waitUntil(t, "logs why", func() bool {
			return sick.app.logHas(0, fmt.Sprintf("Invalid HTTP_HOST header: '%s'. You may need to add '127.0.1.13' to ALLOWED_HOSTS.", sick.addr))
		})
	})

	t.Run("Django learns its address from EC2", func(t *testing.T) {
		if got := ask(t, sick.imds.addr, askAddress); got.status != 401 {
			t.Errorf("the metadata service answers without a token:\n%s", got.raw)
		}
		sick.app.stop(t)
		sick.app.start(t, sick.imds.endpoint())
		sick.app.waitUntilReady(t)
		if got := askHealth(t, sick.addr, "/health_check"); got.status != 200 || got.body != "ok" {
			t.Errorf("the check is answered:\n%s", got.raw)
		}
	})

	t.Run("the metadata service can be had without a token", func(t *testing.T) {
		sick.imds.stop(t)
		sick.imds.start(t, false)
		sick.imds.waitUntilReady(t)
		if got := ask(t, sick.imds.addr, askAddress); got.status != 200 || got.body != "127.0.1.13" {
			t.Errorf("the metadata service answers:\n%s", got.raw)
		}
	})

	t.Run("a metadata service that is away stops nobody", func(t *testing.T) {
		sick.imds.stop(t)
		sick.app.stop(t)
		sick.app.start(t, sick.imds.endpoint())
		sick.app.waitUntilReady(t)
		if got := askPage(t, sick.addr); got.status != 200 {
			t.Errorf("the page says:\n%s", got.raw)
		}
	})
}

// compareCaptured holds a real server's answer to the recorded one, which
// tests without real servers use. Head fields come and go with versions, so it
// is the status and the body that must stay. Run the tests with -update to
// record the answers anew.
func compareCaptured(t *testing.T, name string, got answer) {
	t.Helper()
	path := filepath.Join("testdata", "captured", name)
	if *update {
		if err := os.WriteFile(path, got.raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := parseAnswer(raw)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	version := regexp.MustCompile(`nginx/[0-9.]+`)
	if got.status != want.status || version.ReplaceAllString(got.body, "") != version.ReplaceAllString(want.body, "") {
		t.Errorf("the server does not send what is in %s any more:\n%s", path, got.raw)
	}
}
