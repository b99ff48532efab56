package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/triage-lb/triage"
)

// File is a config file that was read and found to be right. It is immutable; an edit makes a new one.
type File struct {
	Path     string        // as it was given
	Config   triage.Config // what the file says, defaults filled in
	Warnings []string      // what is doubtful in it: "file:line: message (hint)", by line

	src    []byte // without the mark
	mark   []byte // the byte order mark, if there is one
	faults []fault
	getenv func(string) string
}

// Load reads the config file at path. getenv looks up the variables that the file names as ${NAME}; an empty
// answer counts as not set.
//
// The error is a [*triage.Error] with every problem of the file, up to 20, each with its line: KindNotFound,
// KindDenied or KindUnavailable if the file cannot be read, KindInvalid if it is wrong or a folder. Only of a file
// that is wrong the error holds [Faults].
func Load(path string, getenv func(string) string) (*File, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, src, getenv)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return src, nil
}

func unreadable(path string, err error) error {
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	e := &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("read %s: %s", path, cause), Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Hint = triage.KindNotFound, "name the config file with -c FILE, or write one"
	case errors.Is(err, syscall.EISDIR):
		e.Kind, e.Hint = triage.KindInvalid, "name the config file in it: -c "+filepath.Join(path, "triage.yaml")
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Hint = triage.KindDenied, "the user that runs triage must be able to read the file"
	}
	return e
}

// Parse is [Load] for bytes that are at hand; path only names them, and the folder of the files that they name.
func Parse(path string, src []byte, getenv func(string) string) (*File, error) {
	return parse(path, src, getenv, pemsOf(filepath.Dir(path), triage.Config{}))
}

func parse(path string, src []byte, getenv func(string) string, pems *pems) (*File, error) {
	f := &File{Path: path, getenv: getenv, Config: triage.Config{Admin: triage.DefaultAdmin}}
	f.src = bytes.Clone(bytes.TrimPrefix(src, byteOrderMark)) // what was read grew in a buffer, which is larger
	f.mark = byteOrderMark[:len(src)-len(f.src)]
	root, bad := parseYAML(f.src)
	if bad != nil {
		return nil, f.invalid([]fault{*bad})
	}
	if root == nil {
		return nil, f.invalid([]fault{{line: 1, message: "the file is empty", hint: needs}})
	}
	if root.form != mapping {
		return nil, f.invalid([]fault{{line: root.line, message: fmt.Sprintf("a config is %s, this is %s", formNames[mapping], formNames[root.form]), hint: "begin with listeners: and groups:"}})
	}
	r := reader{getenv: getenv, pems: pems}
	readMapping(&r, root, "the file", fileKeys, &f.Config)
	f.faults = f.judge(root, r.faults)
	slices.SortStableFunc(f.faults, func(a, b fault) int { return a.line - b.line })
	if wrong := slices.DeleteFunc(slices.Clone(f.faults), func(f fault) bool { return f.warning }); len(wrong) > 0 {
		return nil, f.invalid(wrong)
	}
	for _, w := range f.faults {
		f.Warnings = append(f.Warnings, f.render(w))
	}
	return f, nil
}

// tree parses the file once more. Only edits and the line of a rare error need it, and for the rest of the time it
// would take four times as much memory as the file.
func (f *File) tree() *node {
	root, _ := parseYAML(f.src) // without a fault, as the first time
	return root
}

// byteOrderMark begins files that some editors save.
var byteOrderMark = []byte("\ufeff")

// judge adds to what was unreadable what is wrong or doubtful with the config as a whole. Something unreadable
// left a default or nothing behind, so a second complaint about its line is not trusted, nor is any doubt.
func (f *File) judge(root *node, unreadable []fault) []fault {
	lines := map[int]bool{}
	for _, bad := range unreadable {
		lines[bad.line] = true
	}
	found := unreadable
	for _, p := range validate(f.Config) {
		if line := root.lineOf(p.Path); !lines[line] {
			found = append(found, fault{line: line, message: p.Message, hint: p.Hint, warning: p.Warning})
		}
	}
	if !isWrong(found) {
		found = append(found, f.lacks(root)...)
	}
	if !isWrong(found) {
		found = append(found, f.doubts(root)...)
	}
	return found
}

// isWrong reports whether one of the faults is more than a warning.
func isWrong(faults []fault) bool {
	return slices.ContainsFunc(faults, func(f fault) bool { return !f.warning })
}

// needs is the hint for a file in which nearly everything is missing.
const needs = "a balancer needs listeners: and groups:"

// lacks returns what is missing without which a balancer does nothing. Reloaded, such a file would drop every
// client; hardly anybody means that, and who does can stop the balancer.
func (f *File) lacks(root *node) []fault {
	var found []fault
	if len(f.Config.Listeners) == 0 {
		found = append(found, fault{line: root.lineOf("listeners"), message: "there are no listeners: no client could come in", hint: needs})
	}
	if len(f.Config.Groups) == 0 {
		found = append(found, fault{line: root.lineOf("groups"), message: "there are no groups: no target could take a request", hint: needs})
	}
	return found
}

// Fault is one thing that is wrong, or as a warning doubtful, in a config file.
type Fault struct {
	Line    int // from 1
	Message string
	Hint    string // may be empty
	Warning bool
}

// Faults is what is wrong with a config file, by line. It is the cause of the error that [Load] gives, for who
// wants more than its text.
type Faults []Fault

// Error is the messages, a line each.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = fmt.Sprintf("%d: %s", f.Line, f.Message)
	}
	return strings.Join(lines, "\n")
}

// Doubts returns the warnings, by line.
func (f *File) Doubts() Faults { return exported(f.faults) }

func exported(faults []fault) Faults {
	fs := make(Faults, len(faults))
	for i, f := range faults {
		fs[i] = Fault{Line: f.line, Message: clip(f.message), Hint: f.hint, Warning: f.warning}
	}
	return fs
}

const maxFaults = 20

// invalid makes one error of all that is wrong.
func (f *File) invalid(faults []fault) error {
	if len(faults) == 1 {
		return &triage.Error{Kind: triage.KindInvalid, Message: f.at(faults[0].line) + clip(faults[0].message), Hint: faults[0].hint, Err: exported(faults)}
	}
	var b strings.Builder
	for i, fault := range faults[:min(len(faults), maxFaults)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.render(fault))
	}
	if more := len(faults) - maxFaults; more > 0 {
		fmt.Fprintf(&b, "\n… and %d more", more)
	}
	return &triage.Error{Kind: triage.KindInvalid, Message: b.String(), Err: exported(faults)}
}

func (f *File) at(line int) string { return fmt.Sprintf("%s:%d: ", f.Path, line) }

// clip keeps a message readable that quotes megabytes of somebody's file.
func clip(s string) string {
	const most = 400
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func (f *File) render(fault fault) string {
	s := f.at(fault.line) + clip(fault.message)
	if fault.hint != "" {
		s += " (" + fault.hint + ")"
	}
	return s
}

// warningsSince returns the warnings that another version of the file does not have.
func (f *File) warningsSince(other *File) []string {
	known := map[string]bool{}
	for _, w := range other.faults {
		known[w.message] = true
	}
	var news []string
	for _, w := range f.faults {
		if !known[w.message] {
			news = append(news, f.render(w))
		}
	}
	return news
}

// bindError adds to the error of a listener that cannot be bound which line asked for it.
func (f *File) bindError(err error) error {
	e := &triage.Error{Kind: triage.KindInvalid, Message: f.Path + ": " + err.Error(), Hint: triage.HintOf(err), Err: err}
	if _, ok := errors.AsType[*triage.Error](err); ok {
		e.Kind = triage.KindOf(err)
	}
	for i, l := range f.Config.Listeners {
		if strings.Contains(err.Error(), l.Listen) {
			e.Message = f.at(f.tree().lineOf(fmt.Sprintf("listeners[%d].listen", i))) + err.Error()
			break
		}
	}
	return e
}
