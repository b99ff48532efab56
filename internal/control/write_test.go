package control

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/triage-lb/triage"
)

// loaded writes the text to a file and loads it.
func loaded(t *testing.T, path, text string) *File {
	t.Helper()
	write(t, path, text)
	f, err := Load(path, env)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drained is f with its first target drained.
func drained(t *testing.T, f *File) *File {
	t.Helper()
	c, err := f.drainTarget("app", "127.0.0.1:8001", true)
	if err != nil {
		t.Fatal(err)
	}
	edited, err := f.apply(c)
	if err != nil {
		t.Fatal(err)
	}
	return edited
}

func TestSaveKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real.yaml")
	link := filepath.Join(t.TempDir(), "triage.yaml")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	f := loaded(t, link, app)
	if err := os.Chmod(real, 0o604); err != nil {
		t.Fatal(err)
	}
	edited := drained(t, f)
	if err := f.save(edited); err != nil {
		t.Fatal(err)
	}
	if got := content(t, real); got != string(edited.whole()) || got == app {
		t.Errorf("the file:\n%s", got)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v %v", info.Mode(), err)
	}
	if info, err = os.Stat(real); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("the mode became %v %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSaveKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "triage.yaml")
	f := loaded(t, path, app)
	if err := os.Chown(path, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if err := f.save(drained(t, f)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 12345 || s.Gid != 54321 {
		t.Errorf("the owner became %d:%d", s.Uid, s.Gid)
	}
}

// TestSaveWhereWritingIsForbidden: the person gets the change as a diff, and the file is untouched.
func TestSaveWhereWritingIsForbidden(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "triage.yaml")
	f := loaded(t, path, app)
	edited := drained(t, f)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	asNobody(t, func() { err = f.save(edited) })
	if triage.KindOf(err) != triage.KindDenied || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v (%s)", err, triage.KindOf(err))
	}
	if hint := triage.HintOf(err); !strings.Contains(hint, "\n-      - 127.0.0.1:8001 # one\n+      - {address: 127.0.0.1:8001, drain: true} # one\n") {
		t.Errorf("the hint: %s", hint)
	}
	if got := content(t, path); got != app {
		t.Errorf("the file:\n%s", got)
	}
}

func TestUnwritablePlaces(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EROFS: true, syscall.EBUSY: true, syscall.EACCES: true, syscall.EPERM: true, syscall.ENOSPC: false, syscall.EIO: false,
	} {
		if got := unwritable(&os.PathError{Op: "rename", Err: err}); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
