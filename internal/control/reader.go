package control

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// key is one key of a mapping in the config file. The tables of keys (keys.go) are the only description of
// the format: the reader, the edits and the JSON Schema all follow them.
type key[T any] struct {
	name string
	kind string // in words, for people and the JSON Schema: text, number, duration, …
	doc  string // what it is for, its default and its range
	read func(r *reader, n *node, path string, to *T)
}

// reader turns nodes into settings and collects what is wrong with them.
type reader struct {
	getenv func(string) string
	pems   *pems
	faults []fault
}

func (r *reader) errorf(n *node, hint, format string, args ...any) {
	r.faults = append(r.faults, fault{line: n.line, message: fmt.Sprintf(format, args...), hint: hint})
}

// readMapping reads the keys of one mapping into to. A key without a value is as good as absent.
func readMapping[T any](r *reader, n *node, path string, keys []key[T], to *T) {
	if !n.written() {
		return
	}
	if n.form != mapping {
		r.errorf(n, "", "%s: expected %s, got %s", path, formNames[mapping], formNames[n.form])
		return
	}
	first := make(map[string]int, len(n.pairs))
	for _, p := range n.pairs {
		at := &node{line: p.line}
		i := slices.IndexFunc(keys, func(k key[T]) bool { return k.name == p.key })
		if i < 0 {
			names := make([]string, len(keys))
			for i := range keys {
				names[i] = keys[i].name
			}
			r.errorf(at, suggest(p.key, names), "unknown key %q in %s", p.key, path)
			continue
		}
		if line, twice := first[p.key]; twice {
			r.errorf(at, "keep one of the two", "key %q is there twice in %s, also in line %d", p.key, path, line)
			continue
		}
		first[p.key] = p.line
		if p.value.written() {
			keys[i].read(r, p.value, p.key, to)
		}
	}
}

// readList calls read for each entry of a list.
func readList(r *reader, n *node, path string, read func(i int, n *node, path string)) {
	if n.form != sequence {
		r.errorf(n, "", "%s: expected a list, got %s", path, formNames[n.form])
		return
	}
	for i, it := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !it.value.written() {
			r.errorf(it.value, "remove the dash or write the entry", "%s: the entry is empty", at)
			continue
		}
		read(i, it.value, at)
	}
}

// text returns what a scalar says, ${ENV} replaced. Numbers are text too, as written.
func (r *reader) text(n *node, path string) (string, bool) {
	if n.form != text && n.form != number {
		hint := ""
		if n.form == boolean {
			hint = fmt.Sprintf("if it is text, put it in quotes: %q", n.text)
		}
		r.errorf(n, hint, "%s: expected text, got %s", path, formNames[n.form])
		return "", false
	}
	return r.expand(n, path)
}

func (r *reader) number(n *node, path string) (int, bool) {
	if n.form != number && !isExpanded(n) {
		got := formNames[n.form]
		if n.form == text {
			got = strconv.Quote(n.text)
		}
		r.errorf(n, "write it without quotes and units", "%s: expected a number, got %s", path, got)
		return 0, false
	}
	s, ok := r.expand(n, path)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(s)
	if err != nil {
		r.errorf(n, "", "%s: %q is not a whole number", path, s)
		return 0, false
	}
	return i, true
}

func (r *reader) boolean(n *node, path string) (value, ok bool) {
	s := n.text
	if n.form != boolean {
		if !isExpanded(n) {
			r.errorf(n, "", "%s: expected true or false, got %s", path, formNames[n.form])
			return false, false
		}
		if s, ok = r.expand(n, path); !ok {
			return false, false
		}
	}
	switch strings.ToLower(s) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	r.errorf(n, "", "%s: expected true or false, got %q", path, s)
	return false, false
}

func (r *reader) duration(n *node, path string, to *time.Duration) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		hint := "write a number with its unit, as in 500ms, 5s or 1m30s"
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = fmt.Sprintf("write the unit: %ss for seconds, %sms for milliseconds", s, s)
		}
		if tooLong.MatchString(s) {
			r.errorf(n, "no setting is longer than 24h", "%s: %s is far too long", path, s)
			return
		}
		r.errorf(n, hint, "%s: %q is not a duration", path, s)
		return
	}
	*to = d
}

// tooLong is what [time.ParseDuration] takes, unless it is more than 292 years.
var tooLong = regexp.MustCompile(`^[-+]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$`)

// isExpanded reports whether the scalar's value comes from the environment: then it is text in the file,
// whatever it will be.
func isExpanded(n *node) bool { return n.form == text && strings.Contains(n.text, "${") }

// expand replaces each ${NAME} by that environment variable, and $${ by ${.
func (r *reader) expand(n *node, path string) (string, bool) {
	rest := n.text
	if !strings.Contains(rest, "${") {
		return rest, true
	}
	var b strings.Builder
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			return b.String(), true
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		b.WriteString(rest[:i])
		name, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed || name == "" {
			r.errorf(n, "write ${NAME}, or $${ if the two characters are meant", "%s: %q has a ${ without a name and a }", path, n.text)
			return "", false
		}
		value := r.getenv(name)
		if value == "" {
			r.errorf(n, "set it where triage is started", "%s: the environment variable %s is not set, or empty", path, name)
			return "", false
		}
		b.WriteString(value)
		rest = after
	}
}

// unexpanded is the opposite of expand for text that names no variable.
func unexpanded(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// suggest is the hint for a word that is none of those that there are.
func suggest(word string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	if near := triage.Nearest(word, words); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	const most = 16
	if len(words) > most {
		words = append(slices.Clone(words[:most]), "…")
	}
	if len(words) == 1 {
		return "there is " + words[0]
	}
	return "there are " + strings.Join(words, ", ")
}
