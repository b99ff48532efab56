package control

import (
	"strconv"
	"strings"
)

// form is what sort of YAML a node is.
type form uint8

const (
	empty    form = iota // null, or nothing at all after the colon
	text                 // a scalar that YAML reads as a string
	number               // a plain scalar that YAML reads as a number
	boolean              // true or false
	mapping              // key: value
	sequence             // a list
)

var formNames = [...]string{"nothing", "text", "a number", "true or false", "a mapping (key: value)", "a list"}

// style is how a node is written.
type style uint8

const (
	plain  style = iota // a scalar without quotes
	single              // '…'
	double              // "…"
	lines               // a block scalar, | or >
	block               // a mapping or list by indentation
	flow                // {…} or […]
)

// node is a part of the config file: what it says and which bytes say it.
type node struct {
	form  form
	style style
	line  int // counted from 1

	// src[start:end] is the node as written. A value that is not written has start == end, right after its
	// colon or dash. end is -1 where the parser does not tell (a block scalar, or what ends with one).
	start, end int

	text  string // of a scalar: its content, before ${ENV} is replaced
	pairs []pair // of a mapping, in the file's order
	items []item // of a list
}

// pair is one key of a mapping with its value.
type pair struct {
	key   string
	line  int
	start int // of the key
	after int // right after the colon, or after a key that has none
	value *node
}

// item is one entry of a list.
type item struct {
	mark  int // where its dash is; in a flow list, where the value starts
	value *node
}

// get returns the value of a mapping's key: the first, if it is there twice. It is nil if there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i := range n.pairs {
		if n.pairs[i].key == key {
			return n.pairs[i].value
		}
	}
	return nil
}

// pairOf returns the number of the key's pair, or -1.
func (n *node) pairOf(key string) int {
	for i := range n.pairs {
		if n.pairs[i].key == key {
			return i
		}
	}
	return -1
}

// lineOf returns the line of what a [triage.Problem]'s path names ("groups[0].health_check.timeout"), or of
// the nearest part above it that is written. For a key, that is the key's line, not its value's.
func (n *node) lineOf(path string) int {
	line := n.line
	for part := range strings.SplitSeq(path, ".") {
		key, rest, indexed := strings.Cut(part, "[")
		i := n.pairOf(key)
		if i < 0 {
			return line
		}
		line, n = n.pairs[i].line, n.pairs[i].value
		if !indexed {
			continue
		}
		at, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
		if err != nil || at >= len(n.items) {
			return line
		}
		n = n.items[at].value
		line = n.line
	}
	return line
}

// written reports whether the node exists and says something.
func (n *node) written() bool { return n != nil && n.form != empty }
