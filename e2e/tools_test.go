package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// systemPath is the PATH of every program a stack runs. It leaves out what the
// caller's PATH may begin with: a version manager's python3 knows no Debian
// package.
const systemPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	pythonPath = "/usr/bin/python3"
	nginxPath  = "/usr/sbin/nginx"
	nodePath   = "/usr/bin/node"
)

// requireTools skips the test unless the real servers are installed. With
// CI=true their absence is a failure: there, make test has installed them.
func requireTools(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real servers; left out by -short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("needs Debian's packages and 127.0.1.11-13, so Linux")
	}
	missing, err := exec.Command("sh", "install.sh", "--check").CombinedOutput()
	if err == nil {
		return
	}
	complain := t.Skipf
	if os.Getenv("CI") == "true" {
		complain = t.Fatalf
	}
	complain("missing:\n%sinstall with: sh e2e/install.sh", missing)
}

// repoFile is the absolute path of a file given relative to the repository.
func repoFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// postgresPath finds a program of the newest PostgreSQL that is installed.
// Debian keeps the servers of all versions off PATH.
func postgresPath(t *testing.T, program string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s in /usr/lib/postgresql/*/bin", program)
	}
	return slices.MaxFunc(found, func(a, b string) int {
		return len(a) - len(b) + strings.Compare(a, b)
	})
}
