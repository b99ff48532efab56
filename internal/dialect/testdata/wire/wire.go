// Package wire is what real health checkers put on the wire, byte for byte, as golden files.
//
// [Files] reads the table. A file has a head, an empty line, and then the bytes in Go's quotes, one line of the request on
// each line, so that a CRLF is visible and no editor, and no git, changes it. A request over HTTP/2 is there as text, one
// frame on each line and its fields indented below it ([File.Frames]): its bytes depend on what was sent before. The
// package is for tests only: of package dialect, which must write the same, and of e2e, which asks the real programs
// again. It does no network I/O; its functions may be called concurrently.
package wire

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The keys of a head. Those that [Measured] lists are compared with what the program does today.
const (
	Dialect    = "dialect"    // the row of the table that writes this
	Program    = "program"    // who, and the version that was seen
	Setup      = "setup"      // how it was told to ask so
	Origin     = "origin"     // how the bytes came here
	Captured   = "captured"   // the day
	Asks       = "asks"       // the URL that is checked, its address as in the bytes below
	Host       = "host"       // the Host header that was set, if one was
	Varies     = "varies"     // a regular expression: what it matches in the bytes may be anything else that it matches
	Shuffled   = "shuffled"   // that the fields of HTTP/2 have no order, and why; "" if they have
	Accepted   = "accepted"   // whether the server's accept returns
	Preamble   = "preamble"   // what comes before all else, in Go's quotes: the header of the PROXY protocol
	Connection = "connection" // of a second check: a new one, or kept
	Ends       = "ends"       // what the server sees after its answer
	TLS        = "tls"        // the versions that are offered
	SNI        = "sni"        // the server name in the hello
	ALPN       = "alpn"       // the protocols in the hello
	Resumes    = "resumes"    // whether the second check takes up the session of the first
	Note       = "note"       // more, for people
)

// Measured lists the keys of facts.
func Measured() []string {
	return []string{Accepted, Preamble, Connection, Ends, TLS, SNI, ALPN, Resumes}
}

// Target is the address that stands in the bytes for the one that was really asked.
const Target = "127.0.0.1:8080"

// File is one golden file.
type File struct {
	Name  string // without .txt
	Head  []Field
	Bytes []byte // what one check writes before it has an answer; inside TLS if that is spoken; nil if that is HTTP/2
	// Frames is what one check writes over HTTP/2 up to the end of its request, acknowledgements left out: a line for each
	// frame, as in "SETTINGS ENABLE_PUSH 0", and below HEADERS its fields in order, as in "  :method: GET".
	Frames []string
}

// Field is one line of a head.
type Field struct{ Key, Value string }

//go:embed *.txt
var folder embed.FS

// Files returns the golden files by their names' order.
func Files(t testing.TB) []File {
	t.Helper()
	entries, err := folder.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for _, e := range entries {
		text, err := folder.ReadFile(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(string(text))
		if err != nil {
			t.Fatalf("%s: %v", e.Name(), err)
		}
		f.Name = strings.TrimSuffix(e.Name(), ".txt")
		files = append(files, f)
	}
	return files
}

func parse(text string) (File, error) {
	var f File
	head, quoted, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(head) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			return f, fmt.Errorf("%q is not KEY: VALUE", line)
		}
		f.Head = append(f.Head, Field{key, value})
	}
	for line := range strings.Lines(quoted) {
		if !strings.HasPrefix(line, `"`) {
			f.Frames = append(f.Frames, strings.TrimSuffix(line, "\n"))
			continue
		}
		b, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			return f, fmt.Errorf("%s: %w", line, err)
		}
		f.Bytes = append(f.Bytes, b...)
	}
	return f, nil
}

// Get returns the first value of a key, "" if the head does not have it.
func (f *File) Get(key string) string {
	for _, field := range f.Head {
		if field.Key == key {
			return field.Value
		}
	}
	return ""
}

// Set changes the value of a key that the head has.
func (f *File) Set(key, value string) {
	for i := range f.Head {
		if f.Head[i].Key == key {
			f.Head[i].Value = value
		}
	}
}

// Matches reports whether a request is the file's, but for the part that varies.
func (f *File) Matches(request []byte) bool {
	return f.constant(string(request)) == f.constant(string(f.Bytes))
}

// MatchesFrames reports whether a request over HTTP/2 is the file's, but for the part that varies.
func (f *File) MatchesFrames(frames []string) bool {
	return f.constant(strings.Join(frames, "\n")) == f.constant(strings.Join(f.Frames, "\n"))
}

// constant is a request without the part that varies.
func (f *File) constant(request string) string {
	varies := f.Get(Varies)
	if varies == "" {
		return request
	}
	return regexp.MustCompile(varies).ReplaceAllLiteralString(request, "\x00")
}

// Write puts the file into a folder.
func (f *File) Write(t testing.TB, dir string) {
	t.Helper()
	var b strings.Builder
	for _, field := range f.Head {
		fmt.Fprintf(&b, "%s: %s\n", field.Key, field.Value)
	}
	b.WriteString("\n" + Quote(f.Bytes))
	for _, line := range f.Frames {
		b.WriteString(line + "\n")
	}
	if err := os.WriteFile(filepath.Join(dir, f.Name+".txt"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Quote is a request as the files have it.
func Quote(request []byte) string {
	var b strings.Builder
	for line := range bytes.Lines(request) {
		fmt.Fprintf(&b, "%q\n", line)
	}
	return b.String()
}
