package control

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	e := &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("write %s: %s", f.Path, bare(err)), Err: err}
	if !unwritable(err) {
		return e
	}
	e.Kind = triage.KindDenied
	byHand := "apply the change by hand, then run triage reload:\n" + indented(diff(f.Path, old, news))
	e.Hint = "triage cannot write this file; " + byHand
	if owner, ok := errors.AsType[*ownerError](err); ok {
		e.Message = fmt.Sprintf("triage runs as %s and cannot keep the owner %s of %s", owner.us, owner.file, f.Path)
		e.Hint = fmt.Sprintf("give it the file: chown %s %s; or %s", owner.us, f.Path, byHand)
	}
	return e
}

// indented marks lines as text to copy, which no terminal breaks. patch(1) takes an indented diff, too.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// bare is what went wrong, without the name of the temporary file that it went wrong with.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
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
	if err := writable(path, info); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	folder, err := os.Open(dir) // now: after the rename it would be too late to refuse
	if err != nil {
		return err
	}
	defer folder.Close()
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("make a new file in %s: %w", dir, bare(err))
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
	return folder.Sync() // makes the rename last
}

// writable returns an error if the file itself is not to be written. The replacement would not ask: for that, the
// folder's permission is enough, and root needs none.
func writable(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return &fs.PathError{Op: "write", Path: path, Err: errReadOnly}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// errReadOnly is a permission that somebody took away from everybody.
var errReadOnly = fmt.Errorf("the file is read-only (%w)", fs.ErrPermission)

// ownerError says that a file cannot be replaced by one with the same owner.
type ownerError struct {
	us, file string // "user:group"
	err      error
}

func (e *ownerError) Error() string { return e.err.Error() }
func (e *ownerError) Unwrap() error { return e.err }

// owner names a user and a group, by number where they have no name here.
func owner(uid, gid uint32) string {
	name, group := strconv.Itoa(int(uid)), strconv.Itoa(int(gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name + ":" + group
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
	if err := to.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return &ownerError{us: owner(have.Uid, have.Gid), file: owner(want.Uid, want.Gid), err: err}
	}
	return nil
}
