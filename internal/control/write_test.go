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
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	var err error
	asNobody(t, func() { err = f.save(edited) })
	if triage.KindOf(err) != triage.KindDenied || err.Error() != "write "+path+": make a new file in "+dir+": permission denied" {
		t.Fatalf("got %v (%s)", err, triage.KindOf(err))
	}
	if hint := triage.HintOf(err); !strings.Contains(hint, "\n    -      - 127.0.0.1:8001 # one\n    +      - {address: 127.0.0.1:8001, drain: true} # one") {
		t.Errorf("the hint: %s", hint)
	}
	if got := content(t, path); got != app {
		t.Errorf("the file:\n%s", got)
	}
}

// TestSaveLeavesAReadOnlyFile: its folder may be written, and whoever runs triage may be root or own the file.
// TestRefusedMeansNotWritten: a folder that can be written but not opened was noticed only after the rename.
func TestRefusedMeansNotWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "triage.yaml")
	f := loaded(t, path, app)
	edited := drained(t, f)
	for _, p := range []string{filepath.Dir(dir), dir, path} {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o333); err != nil {
		t.Fatal(err)
	}
	var err error
	asNobody(t, func() { err = f.save(edited) })
	if e := os.Chmod(dir, 0o755); e != nil {
		t.Fatal(e)
	}
	if err == nil {
		t.Fatal("written, though the folder cannot be synced")
	}
	if got := content(t, path); got != app {
		t.Errorf("refused (%v), and yet written:\n%s", err, got)
	}
}

func TestSaveLeavesAReadOnlyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "triage.yaml")
	f := loaded(t, path, app)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	err := f.save(drained(t, f))
	if triage.KindOf(err) != triage.KindDenied || err.Error() != "write "+path+": the file is read-only (permission denied)" {
		t.Errorf("got %v (%s)", err, triage.KindOf(err))
	}
	if hint := triage.HintOf(err); !strings.Contains(hint, "drain: true} # one") {
		t.Errorf("the hint: %s", hint)
	}
	if got := content(t, path); got != app {
		t.Errorf("the file:\n%s", got)
	}
}

// TestSaveOfSomebodyElsesFile: it may be written, but not replaced by one with the same owner.
func TestSaveOfSomebodyElsesFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "triage.yaml")
	f := loaded(t, path, app)
	edited := drained(t, f)
	for name, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o777, path: 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	asNobody(t, func() { err = f.save(edited) })
	nobody, root := owner(65534, 0), owner(0, 0)
	if want := "triage runs as " + nobody + " and cannot keep the owner " + root + " of " + path; err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	if hint := triage.HintOf(err); !strings.HasPrefix(hint, "give it the file: chown "+nobody+" "+path+"; or apply the change by hand") || triage.KindOf(err) != triage.KindDenied {
		t.Errorf("%s, the hint: %s", triage.KindOf(err), hint)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || content(t, path) != app {
		t.Errorf("left behind: %v %v", left, err)
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
