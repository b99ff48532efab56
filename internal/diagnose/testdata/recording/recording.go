// Package recording reads and writes what a real server answered to a check and to the second questions of a diagnosis.
//
// A [File] is one case: in its head what the server is, how it is started and what is wrong with it, then the files that
// the server needs, then the check's exchange and those of the second questions. [Load] reads a folder of them; [File.Ask]
// answers a second question from the record. The end-to-end tests write the exchanges anew from the running servers
// (make capture); nothing here starts or asks anything. A File is read-only once it is loaded, but for whoever captures.
package recording

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// File is one case.
type File struct {
	Name  string // of the file, without .txtar
	Title string // what is the matter, in a sentence
	Head  []Field
	Setup []txtar.File // what the server reads: its configuration, its program
	Check *triage.Exchange
	Asked []Question // in the order in which they were put
}

// Field is a line of a file's head.
type Field struct{ Key, Value string }

// Question is a second question with its answer.
type Question struct {
	Words    string // Variation.String
	Exchange *triage.Exchange
}

// The keys of a head.
const (
	Origin       = "origin"        // captured, or synthetic
	Why          = "why"           // synthetic: why there is no server to ask
	Want         = "want"          // the cause's code, or undiagnosed; of a check that passes, the doubts' codes, or none
	Program      = "program"       // what was asked, with versions; written by make capture
	Captured     = "captured"      // when; written by make capture
	Debian       = "debian"        // the packages that it needs
	NPM          = "npm"           // the packages of Node that it needs
	Version      = "version"       // a command that prints the version of what comes from elsewhere; may be repeated
	Path         = "path"          // "caller": programs are looked for where the caller's PATH says, not in the system's folders alone
	Run          = "run"           // a program to start, in the folder of the files, {dir}; may be repeated
	Ready        = "ready"         // a further address that must answer before the check; may be repeated. "no": but not the check's own
	Certificate  = "certificate"   // that in cert.pem and key.pem: its names, and for how many days from now it is valid; see capture_server_test.go for more
	As           = "as"            // the dialect of the check
	URL          = "url"           // what it asks: the protocol, the address, the path
	Codes        = "codes"         // success codes, if they are not the dialect's
	Expect       = "expect"        // what the content must hold
	ExpectHeader = "expect-header" // the field of the head that there must be
	ExpectCEL    = "expect-cel"    // the expression that must be true
	Proxy        = "proxy"         // header of the PROXY protocol that the check sends: v1 or v2
	Timeout      = "timeout"       // of the check, if that is not a second
	Target       = "target"        // the target's name, if it has one
	Other        = "other"         // the target's address of the other family, if its name has one
	Hosts        = "hosts"         // the public host names that the diagnosis knows
	Before       = "before"        // so many checks are put before the one that is recorded
)

// The names by which an exchange begins in a file.
const (
	check = "check"
	asked = "asked: "
)

// None is what a check that passes wants if nothing is to be said.
const None = "none"

// Load reads the files of a folder, by name. In one that was never captured, Check is nil.
func Load(t testing.TB, folder string) []File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		f.Name = strings.TrimSuffix(filepath.Base(path), ".txtar")
		files = append(files, f)
	}
	return files
}

// Get returns the value of a key; "" if there is none.
func (f *File) Get(key string) string { return cmp.Or(f.All(key)...) }

// All returns the values of a key that may be repeated.
func (f *File) All(key string) []string {
	var values []string
	for _, h := range f.Head {
		if h.Key == key {
			values = append(values, h.Value)
		}
	}
	return values
}

// Set gives a key its value, behind the others if it is new.
func (f *File) Set(key, value string) {
	for i := range f.Head {
		if f.Head[i].Key == key {
			f.Head[i].Value = value
			return
		}
	}
	f.Head = append(f.Head, Field{key, value})
}

// HostNames are the public host names that the diagnosis knows.
func (f *File) HostNames() []string { return strings.Fields(f.Get(Hosts)) }

// Wanted are the codes that are right.
func (f *File) Wanted() []string { return strings.Fields(f.Get(Want)) }

// Ask returns the answer to a second question; nil if it was not put when the file was made.
func (f *File) Ask(v dialect.Variation) *triage.Exchange {
	words := v.String()
	for _, q := range f.Asked {
		if q.Words == words {
			return q.Exchange
		}
	}
	return nil
}

// Parse reads a file.
func Parse(text []byte) (File, error) {
	archive := txtar.Parse(text)
	f, err := parseHead(string(archive.Comment))
	if err != nil {
		return f, err
	}
	var at time.Time
	if s := f.Get(Captured); s != "" {
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return f, err
		}
	}
	begins := func(p txtar.File) bool { return p.Name == check || strings.HasPrefix(p.Name, asked) }
	for parts := archive.Files; len(parts) > 0; {
		n := slices.IndexFunc(parts[1:], begins) + 1
		if n == 0 {
			n = len(parts)
		}
		if !begins(parts[0]) {
			f.Setup, parts = parts[:n:n], parts[n:]
			continue
		}
		x, err := parseExchange(parts[:n], f.Check)
		if err != nil {
			return f, fmt.Errorf("%s: %w", parts[0].Name, err)
		}
		x.Started, x.Dialect = at, triage.Dialect(f.Get(As))
		x.Key.Target = triage.TargetID(cmp.Or(f.Get(Target), x.Address.String()))
		if words, second := strings.CutPrefix(parts[0].Name, asked); second {
			f.Asked = append(f.Asked, Question{words, x})
		} else {
			f.Check = x
		}
		parts = parts[n:]
	}
	return f, nil
}

// parseHead reads a title, which ends at an empty line, and the fields below it.
func parseHead(text string) (File, error) {
	title, rest, _ := strings.Cut(text, "\n\n")
	f := File{Title: strings.TrimSpace(title)}
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return f, fmt.Errorf("the head has a line without a key: %q", line)
		}
		f.Head = append(f.Head, Field{key, strings.TrimSpace(value)})
	}
	return f, nil
}

// Format writes the file.
func (f *File) Format() []byte {
	var head strings.Builder
	head.WriteString(f.Title + "\n\n")
	for _, h := range f.Head {
		fmt.Fprintf(&head, "%s: %s\n", h.Key, h.Value)
	}
	archive := txtar.Archive{Comment: []byte(head.String()), Files: slices.Clone(f.Setup)}
	add := func(name string, x *triage.Exchange) {
		archive.Files = append(archive.Files, formatExchange(name, x, f.Check)...)
	}
	if f.Check != nil {
		add(check, f.Check)
	}
	for _, q := range f.Asked {
		add(asked+q.Words, q.Exchange)
	}
	return txtar.Format(&archive)
}

// Text makes bytes readable: lines that end as usual, in CR LF or in LF, are written as they are, and what is not printable
// or ends otherwise is escaped.
func Text(b []byte, crlf bool) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		text, returned := bytes.CutSuffix(text, []byte("\r"))
		if returned && !ended {
			text, returned = line, false
		}
		quoted := strconv.Quote(string(text))
		escaped := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		if strings.HasPrefix(escaped, "-- ") { // a marker of the archive
			escaped = `\x2d` + escaped[1:]
		}
		out.WriteString(escaped)
		switch {
		case !ended:
			out.WriteString(`\`)
		case returned && !crlf:
			out.WriteString(`\r`)
		case !returned && crlf:
			out.WriteString(`\n`)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// Bytes undoes Text.
func Bytes(text []byte, crlf bool) ([]byte, error) {
	var out []byte
	for line := range bytes.Lines(text) {
		s := strings.TrimSuffix(string(line), "\n")
		end := "\n"
		if crlf {
			end = "\r\n"
		}
		trailing := len(s) - len(strings.TrimRight(s, `\`))
		switch {
		case trailing%2 == 1:
			s, end = s[:len(s)-1], ""
		case !crlf && escapedEnd(s, 'r'):
			s, end = s[:len(s)-2], "\r\n"
		case crlf && escapedEnd(s, 'n'):
			s, end = s[:len(s)-2], "\n"
		}
		raw, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		out = append(append(out, raw...), end...)
	}
	return out, nil
}

// escapedEnd reports whether a line ends in a backslash, which is not itself escaped, and this letter.
func escapedEnd(s string, letter byte) bool {
	if len(s) < 2 || s[len(s)-1] != letter {
		return false
	}
	before := s[:len(s)-1]
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}
