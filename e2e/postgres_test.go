package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// postgres is the database server of one instance.
type postgres struct {
	*process
	port  uint16
	ready string // path of pg_isready
}

// postgresTemplate is a data folder with the site's table in it, made once and
// copied for each server: initdb costs a second, a copy a tenth of that.
type postgresTemplate struct {
	dir  string
	user *syscall.Credential
}

// newPostgresTemplate makes the data folder below dir.
func newPostgresTemplate(t *testing.T, dir string) postgresTemplate {
	t.Helper()
	tpl := postgresTemplate{dir: filepath.Join(dir, "template"), user: postgresUser(t)}
	ownedFolder(t, tpl.dir, tpl.user)
	tpl.run(t, "", postgresPath(t, "initdb"), "--pgdata", tpl.dir, "--username", "site", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--wal-segsize", "1", "--no-sync")
	// A single-user server reads one statement a line and needs no port.
	tpl.run(t, "create table article (title text);\n"+
		"insert into article values ('Health check on a Django server');\n",
		postgresPath(t, "postgres"), "--single", "-D", tpl.dir, "-c", "fsync=off", "postgres")
	return tpl
}

// newPostgres makes a stopped server with its own copy of the template.
func newPostgres(t *testing.T, dir string, tpl postgresTemplate, port uint16) *postgres {
	t.Helper()
	data := filepath.Join(dir, "data")
	ownedFolder(t, dir, tpl.user)
	tpl.run(t, "", "/bin/cp", "-a", tpl.dir, data)
	return &postgres{
		port:  port,
		ready: postgresPath(t, "pg_isready"),
		process: newProcess(t, &process{
			name: "PostgreSQL on port " + portText(port),
			path: postgresPath(t, "postgres"),
			args: []string{"-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "port=" + portText(port),
				"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=30"},
			dir:  dir,
			user: tpl.user,
			quit: syscall.SIGQUIT, // what pg_ctl stop -m immediate sends
		}),
	}
}

// waitUntilReady returns once the server accepts connections.
func (p *postgres) waitUntilReady(t *testing.T) {
	t.Helper()
	p.waitUntil(t, "accepts connections", func() bool {
		return exec.Command(p.ready, "--quiet", "--host=127.0.0.1", "--port="+portText(p.port)).Run() == nil
	})
}

// run runs a PostgreSQL program to its end as the data folder's owner.
func (tpl postgresTemplate) run(t *testing.T, stdin, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{systemPath, "LANG=C.UTF-8"}
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: tpl.user}
	out, err := cmd.CombinedOutput()
	// In single-user mode a statement that fails does not fail the program.
	if err != nil || bytes.Contains(out, []byte("ERROR:")) {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// postgresUser is who runs PostgreSQL: it refuses to be root. Debian's package
// comes with a user for it.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL refuses to run as root, and Debian's user for it is gone: %v", err)
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("user postgres has uid %q, gid %q", u.Uid, u.Gid)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func ownedFolder(t *testing.T, dir string, owner *syscall.Credential) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if owner == nil {
		return
	}
	if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
		t.Fatal(err)
	}
}
