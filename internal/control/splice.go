package control

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/triage-lb/triage"
)

// splice replaces src[start:end] by text.
type splice struct {
	start, end int
	text       string
}

// splicer collects the splices of one edit. Nothing outside them changes: comments, quotes, line ends and
// indentation stay as the person wrote them. (The YAML library could print the tree too, but drops the comment
// of an edited line and re-aligns others.)
type splicer struct {
	path    string // of the file, for errors
	src     []byte
	eol     string
	splices []splice
	err     error // the first thing that cannot be edited
}

func newSplicer(f *File) *splicer {
	s := &splicer{path: f.Path, src: f.src, eol: "\n"}
	if i := bytes.IndexAny(f.src, "\r\n"); i >= 0 && f.src[i] == '\r' {
		s.eol = "\r"
		if bytes.HasPrefix(f.src[i:], []byte("\r\n")) {
			s.eol = "\r\n"
		}
	}
	return s
}

func (s *splicer) add(start, end int, text string) {
	s.splices = append(s.splices, splice{start, end, text})
}

// refuse says that the place in that line is written so that only a person can edit it.
func (s *splicer) refuse(line int) {
	if s.err == nil {
		s.err = &triage.Error{
			Kind:    triage.KindDenied,
			Message: fmt.Sprintf("%s:%d: this is written in a way that triage does not edit", s.path, line),
			Hint:    "edit the file by hand, then run triage reload",
		}
	}
}

// result returns the source with the splices applied.
func (s *splicer) result() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	slices.SortStableFunc(s.splices, func(a, b splice) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, sp := range s.splices {
		if sp.start < at || sp.end < sp.start || sp.end > len(s.src) {
			return nil, &triage.Error{Kind: triage.KindInternal, Message: "the edit's parts overlap", Hint: "edit the file by hand, then run triage reload"}
		}
		out = append(append(out, s.src[at:sp.start]...), sp.text...)
		at = sp.end
	}
	return append(out, s.src[at:]...), nil
}

// setScalar writes text in place of a scalar, or of nothing.
func (s *splicer) setScalar(p pair, text string) {
	n := p.value
	switch {
	case n.start < 0 || n.end < 0 || n.form == mapping || n.form == sequence:
		s.refuse(p.line)
	case n.end > n.start:
		s.add(n.start, n.end, text)
	case s.src[n.start-1] == ':':
		s.add(n.start, n.end, " "+text)
	default: // a key without a colon: {path, port: 80}
		s.add(n.start, n.end, ": "+text)
	}
}

// addPairs writes new keys at the end of a mapping that is not empty, or is {}.
func (s *splicer) addPairs(m *node, pairs ...string) {
	if len(pairs) == 0 {
		return
	}
	if m.style == flow {
		s.addFlow(m, pairSpans(m), strings.Join(pairs, ", "))
		return
	}
	end := lastEnd(pairSpans(m))
	if end < 0 || m.start < 0 {
		s.refuse(m.line)
		return
	}
	for _, p := range pairs {
		s.addLine(end, s.indent(m)+p)
	}
}

// addFlow writes new elements at the end of {…} or […].
func (s *splicer) addFlow(n *node, elements []span, text string) {
	switch {
	case n.start < 0 || n.end < 0:
		s.refuse(n.line)
	case len(elements) == 0:
		s.add(n.start+1, n.start+1, text)
	case elements[len(elements)-1].end < 0:
		s.refuse(n.line)
	default:
		end := elements[len(elements)-1].end
		s.add(end, end, ", "+text)
	}
}

// addLine writes a new line after the line in which offset is.
func (s *splicer) addLine(offset int, line string) {
	end := s.lineEnd(offset)
	if end > 0 && isLineEnd(s.src[end-1]) {
		s.add(end, end, line+s.eol)
	} else {
		s.add(end, end, s.eol+line)
	}
}

// removeLines removes the lines from the one in which start is to the one in which end is.
func (s *splicer) removeLines(start, end int) {
	s.add(s.lineStart(start), s.lineEnd(end), "")
}

// removeFlow removes element i of {…} or […] with its comma; with its whole lines and the comment behind it,
// where it has them for itself.
func (s *splicer) removeFlow(elements []span, i int) {
	at := elements[i]
	comma := s.commaAfter(at.end)
	if i == len(elements)-1 && i > 0 && len(bytes.Trim(s.src[elements[i-1].end:at.start], ", \t")) == 0 {
		s.add(elements[i-1].end, at.end, "")
		return
	}
	end := at.end
	if comma >= 0 {
		end = comma + 1
	}
	lineStart, lineEnd := s.lineStart(at.start), s.lineEnd(end)
	rest := bytes.TrimLeft(s.src[end:lineEnd], " \t\r\n")
	alone := len(bytes.TrimSpace(s.src[lineStart:at.start])) == 0
	if alone && (len(rest) == 0 || rest[0] == '#') {
		s.add(lineStart, lineEnd, "")
		return
	}
	for comma >= 0 && end < len(s.src) && s.src[end] == ' ' {
		end++
	}
	s.add(at.start, end, "")
}

// commaAfter returns where the comma is that follows offset, or -1. Between them are only blanks and comments.
func (s *splicer) commaAfter(offset int) int {
	for i := offset; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == ',':
			return i
		case c == '#':
			i = s.lineEnd(i) - 1
		case !isSpace(c):
			return -1
		}
	}
	return -1
}

// indent returns the spaces before the keys of a block mapping. The first key may stand behind a dash.
func (s *splicer) indent(m *node) string {
	return strings.Repeat(" ", m.start-s.lineStart(m.start))
}

func (s *splicer) lineStart(offset int) int {
	for offset > 0 && !isLineEnd(s.src[offset-1]) {
		offset--
	}
	return offset
}

// lineEnd returns where the next line begins.
func (s *splicer) lineEnd(offset int) int {
	for offset < len(s.src) && !isLineEnd(s.src[offset]) {
		offset++
	}
	if bytes.HasPrefix(s.src[offset:], []byte("\r\n")) {
		return offset + 2
	}
	return min(offset+1, len(s.src))
}

func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }

// span is where an element of a collection is: a key with its value, or an entry.
type span struct{ start, end int }

func pairSpans(m *node) []span {
	spans := make([]span, len(m.pairs))
	for i, p := range m.pairs {
		spans[i] = span{p.start, p.value.end}
	}
	return spans
}

func itemSpans(l *node) []span {
	spans := make([]span, len(l.items))
	for i, it := range l.items {
		spans[i] = span{it.mark, it.value.end}
	}
	return spans
}

// lastEnd returns the end of the last element whose end is known, or -1.
func lastEnd(elements []span) int {
	for _, e := range slices.Backward(elements) {
		if e.end >= 0 {
			return e.end
		}
	}
	return -1
}

// scalarText writes a value of that kind as a scalar, in the quotes that the old one had where they can hold it.
func scalarText(value, kind string, was style) string {
	if kind == "number" || kind == "boolean" {
		return value
	}
	value = unexpanded(value)
	printable := !strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufeff' || r == '\u2028' || r == '\u2029'
	})
	switch {
	case was == single && printable:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case was == plain && kind != "codes" && plainText.MatchString(value) && (kind == "port" || !token.IsNeedQuoted(value)):
		return value
	}
	return doubleQuoted(value)
}

// plainText is what YAML's punctuation does not make into something else. It may still be a number or a
// word like true, which [token.IsNeedQuoted] knows.
var plainText = regexp.MustCompile(`^[A-Za-z0-9/_.][A-Za-z0-9/_.+=?&%@~:-]*$`)

func doubleQuoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r == '\ufeff' || r == '\u2028' || r == '\u2029':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
