package control

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/triage-lb/triage"
)

// save writes an edited file in place of the one it was made from. When it returns nil, the new bytes are on
// the disk, and so is their name. The file is replaced as a whole: no reader sees half of it, and a power cut
// leaves the old or the new one.
func (f *File) save(edited *File) error {
	if err := f.unchangedOnDisk(); err != nil {
		return err
	}
	old, news := f.whole(), edited.whole()
	err := replaceFile(f.Path, news)
	if err == nil {
		return nil
	}
	e := &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("write %s: %s", f.Path, err), Err: err}
	if unwritable(err) {
		e.Kind = triage.KindDenied
		e.Hint = "triage cannot write this file; apply the change by hand, then run triage reload:\n" + diff(f.Path, old, news)
	}
	return e
}

// whole returns the bytes of the file, the byte order mark included.
func (f *File) whole() []byte { return slices.Concat(f.mark, f.src) }

// unchangedOnDisk returns an error if the disk holds other bytes than those that were loaded: what a person
// wrote there in the meantime must not be overwritten.
func (f *File) unchangedOnDisk() error {
	src, err := read(f.Path)
	if err != nil {
		return err
	}
	loaded := f.whole()
	if bytes.Equal(src, loaded) {
		return nil
	}
	line := 1
	for i := 0; i < min(len(src), len(loaded)) && src[i] == loaded[i]; i++ {
		if src[i] == '\n' {
			line++
		}
	}
	e := &triage.Error{
		Kind:    triage.KindConflict,
		Message: fmt.Sprintf("%s:%d: the file changed on disk since it was loaded", f.Path, line),
		Hint:    "run triage reload first, then repeat the edit",
	}
	if _, err := Parse(f.Path, src, f.getenv); err != nil {
		e.Message += ", and cannot be loaded:\n" + err.Error()
		e.Hint = "repair the file, run triage reload, then repeat the edit"
		e.Err = err
	}
	return e
}

// unwritable reports whether the place forbids writing, now and later: no permission, a read-only file
// system, or a file that is mounted by itself, which cannot be replaced (EBUSY; ConfigMaps, docker -v file).
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EBUSY)
}

// replaceFile writes src beside the file that path leads to, symbolic links followed, and renames it there.
func replaceFile(path string, src []byte) (err error) {
	path, err = filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(src); err != nil {
		return err
	}
	if err := copyOwner(temp, info); err != nil {
		return err
	}
	if err := temp.Chmod(info.Mode().Perm()); err != nil { // after the owner: chown clears bits
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// copyOwner gives the file the owner and the group of another, where they differ.
func copyOwner(to *os.File, from fs.FileInfo) error {
	info, err := to.Stat()
	if err != nil {
		return err
	}
	want, ok := from.Sys().(*syscall.Stat_t)
	have, ok2 := info.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || want.Uid == have.Uid && want.Gid == have.Gid {
		return nil
	}
	return to.Chown(int(want.Uid), int(want.Gid))
}

// syncDir makes a rename in the folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
