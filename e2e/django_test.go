package e2e

import (
	"net/netip"
	"syscall"
	"testing"
)

// django is the site of one instance: gunicorn running testdata/site.
type django struct {
	*process
	name string // goes into the header X-Instance
	addr netip.AddrPort
	db   uint16 // port of its database
}

func newDjango(t *testing.T, dir, name string, addr netip.AddrPort, db uint16) *django {
	t.Helper()
	return &django{
		name: name, addr: addr, db: db,
		process: newProcess(t, &process{
			name: "gunicorn of " + name,
			path: pythonPath,
			args: []string{"-m", "gunicorn", "--bind", addr.String(), "--workers", "1", "--threads", "4",
				"--worker-tmp-dir", dir, "--chdir", repoFile(t, "e2e/testdata/site"), "mysite.wsgi"},
			dir:  dir,
			quit: syscall.SIGQUIT, // at once; SIGTERM waits for requests
		}),
	}
}

// start runs the site. Given the address of a metadata service, its settings
// ask that for the private address and append it to ALLOWED_HOSTS; given "",
// they name only mysite.com and localhost.
func (d *django) start(t *testing.T, metadata string) {
	t.Helper()
	d.env = []string{
		"PYTHONDONTWRITEBYTECODE=1", // nothing of it in the source tree
		"SITE_INSTANCE=" + d.name,
		"SITE_DATABASE_PORT=" + portText(d.db),
		"SITE_METADATA=" + metadata,
	}
	d.process.start(t)
}

// waitUntilReady returns once the site answers requests, whatever it answers.
func (d *django) waitUntilReady(t *testing.T) {
	t.Helper()
	d.waitUntil(t, "answers", func() bool { return answers(d.addr) })
}
