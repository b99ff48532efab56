package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/triage-lb/triage"
)

// terminal writes text for people: verdict first, labels dim, state words in their colours with their shape.
// Colours appear only on a real terminal, and never when NO_COLOR is set (https://no-color.org).
type terminal struct {
	w      io.Writer
	colour bool
}

func newTerminal(env *environment, w io.Writer) *terminal {
	f, isFile := w.(*os.File)
	colour := isFile && term.IsTerminal(int(f.Fd())) && env.getenv("NO_COLOR") == "" && env.getenv("TERM") != "dumb"
	return &terminal{w: w, colour: colour}
}

func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// label prints a dim label of a fixed width and its text; further lines of the text stand under the first.
func (t *terminal) label(name, text string) {
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			name = ""
		}
		t.printf("%s\n", strings.TrimRight(t.dim(fmt.Sprintf("%-*s", labelWidth, name))+t.safe(line), " "))
	}
}

const labelWidth = 11

// hanging prints a label and its text; further lines of the text stand under the first. What is too long is
// broken at spaces, but a line that is indented is a command to copy, and stays whole.
func (t *terminal) hanging(label, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(label))
	for line := range strings.SplitSeq(text, "\n") {
		line = t.safe(line)
		if len(indent)+utf8.RuneCountInString(line) > lineWidth && !strings.HasPrefix(line, " ") {
			line = hang(line, len(indent))
		}
		t.printf("%s%s\n", t.dim(label), line)
		label = indent
	}
}

func (t *terminal) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *terminal) dim(s string) string   { return t.paint("2", s) }
func (t *terminal) bold(s string) string  { return t.paint("1", s) }
func (t *terminal) green(s string) string { return t.paint("32", s) }
func (t *terminal) red(s string) string   { return t.paint("31;1", s) }
func (t *terminal) amber(s string) string { return t.paint("33", s) }

// state is a state's shape and word, in its colour, padded to a width.
func (t *terminal) state(s triage.State, width int) string {
	shape, paint := "–", t.dim
	switch s {
	case triage.Healthy:
		shape, paint = "●", t.green
	case triage.Unhealthy, triage.UnhealthyDraining:
		shape, paint = "◆", t.red
	case triage.Initial:
		shape = "◌"
	case triage.Draining:
		shape, paint = "▽", t.amber
	}
	return paint(fmt.Sprintf("%s %-*s", shape, width, s))
}

// safe makes text from elsewhere harmless: what is not printable appears as \xNN, so that nothing a target
// sends can reach the terminal as an escape sequence.
func (t *terminal) safe(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size <= 1 || !unicode.IsPrint(r) {
			for _, c := range []byte(s[:size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
