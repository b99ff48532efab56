package control

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on a config file. A million targets fit; a bomb does not.
const (
	maxFile  = 64 << 20
	maxDepth = 40   // a config needs seven; the parser below is recursive
	maxKeys  = 1000 // a config needs ten; the parser takes time by the square of it
)

// fault is one thing that is wrong, or doubtful, in a file, and where.
type fault struct {
	line    int
	message string
	hint    string
	warning bool
}

// parseYAML reads a file into nodes. The only YAML library's types are in this file. It returns a nil node
// and no fault for a file that says nothing.
func parseYAML(src []byte) (*node, *fault) {
	if f := notText(src); f != nil {
		return nil, f
	}
	tokens := lexer.Tokenize(lineFeeds.Replace(string(src)))
	if f := unwanted(tokens); f != nil {
		return nil, f
	}
	file, err := parseTokens(tokens)
	if err != nil {
		return nil, syntaxFault(src, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, &fault{line: doc.Body.GetToken().Position.Line, message: "a second YAML document begins here", hint: "keep one, without --- between its parts"}
		}
		body = doc.Body
	}
	if body == nil {
		return nil, nil
	}
	t := tree{src: src, lines: lineStarts(src)}
	root := t.node(body, 0)
	return root, t.fault
}

// lineFeeds makes every line end one LF. The library (v1.19.2) reads the others too, but counts a line twice
// where a comment ends in CRLF.
var lineFeeds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// parseTokens shields us from the parser: a file that it trips over must not end a balancer that runs.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser cannot read this: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// notText finds what no config file holds.
func notText(src []byte) *fault {
	if len(src) > maxFile {
		return &fault{line: 1, message: fmt.Sprintf("the file is larger than %d MiB", maxFile>>20)}
	}
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		bad := r == utf8.RuneError && size == 1 || r == 0x7f || r < ' ' && r != '\t' && r != '\n' && r != '\r'
		if bad {
			line := 1 + bytes.Count(src[:i], []byte("\n"))
			return &fault{line: line, message: fmt.Sprintf("byte %#02x does not belong in a text file", src[i]), hint: "save the file as UTF-8 text"}
		}
		i += size
	}
	return nil
}

// unwanted refuses, before anything recursive runs, what is nested too deeply, and the parts of YAML that a
// config does without: with anchors, an edit of one value would be an edit of others.
func unwanted(tokens token.Tokens) *fault {
	var open nesting
	for _, tk := range tokens {
		line := tk.Position.Line
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return &fault{line: line, message: "YAML anchors and aliases (&, *, <<) are not read", hint: "write the value at each place; quote text that begins with & or *"}
		case token.TagType, token.DirectiveType, token.MappingKeyType:
			return &fault{line: line, message: fmt.Sprintf("YAML's %q is not read here", tk.Value), hint: "quote it if it is text"}
		case token.SequenceStartType, token.MappingStartType:
			open.flows++
		case token.SequenceEndType, token.MappingEndType:
			open.flows--
		case token.SequenceEntryType:
			open.enter(tk.Position.Column, false)
		case token.MappingValueType:
			column := tk.Position.Column
			if tk.Prev != nil && tk.Prev.Position.Line == line {
				column = tk.Prev.Position.Column // where the key begins
			}
			open.enter(column, true)
		}
		if open.flows+len(open.blocks) > maxDepth {
			return &fault{line: line, message: fmt.Sprintf("nested more than %d deep", maxDepth)}
		}
		if n := len(open.blocks); n > 0 && open.blocks[n-1].keys > maxKeys {
			return &fault{line: line, message: fmt.Sprintf("more than %d keys in one mapping", maxKeys)}
		}
	}
	return nil
}

// nesting is which collections are open at a token.
type nesting struct {
	flows  int
	blocks []struct{ column, keys int }
}

// enter notes a key or a dash in that column: a new collection, or the next element of an open one.
func (n *nesting) enter(column int, key bool) {
	if n.flows > 0 {
		return
	}
	for len(n.blocks) > 0 && n.blocks[len(n.blocks)-1].column > column {
		n.blocks = n.blocks[:len(n.blocks)-1]
	}
	if len(n.blocks) == 0 || n.blocks[len(n.blocks)-1].column < column {
		n.blocks = append(n.blocks, struct{ column, keys int }{column: column})
	}
	if key {
		n.blocks[len(n.blocks)-1].keys++
	}
}

var bareIPv6 = regexp.MustCompile(`(?:^|[\s,\[{])(\[[0-9a-fA-F:.%]*:[0-9a-fA-F:.%]*\](?::\d+)?)`)

// syntaxFault says what the parser disliked, with the hint that its line suggests.
func syntaxFault(src []byte, err error) *fault {
	f := &fault{line: 1, message: "not valid YAML: " + err.Error(), hint: "look at the indentation, colons and quotes of this line and the one above"}
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return f
	}
	f.message = "not valid YAML: " + at.GetMessage()
	f.line = at.GetToken().Position.Line
	starts := lineStarts(src)
	f.line = min(max(f.line, 1), len(starts))
	rest := src[starts[f.line-1]:]
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	if strings.Contains(string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))]), "\t") {
		f.hint = "indent with spaces: YAML allows no tabs"
	} else if m := bareIPv6.FindSubmatch(line); m != nil {
		f.hint = fmt.Sprintf("put an IPv6 address in quotes: %q", m[1])
	}
	return f
}

// lineStarts returns where each line begins. Lines end with LF, CRLF, or CR.
func lineStarts(src []byte) []int {
	starts := []int{0}
	for i, c := range src {
		if c == '\n' || c == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// tree turns the library's nodes into ours.
type tree struct {
	src   []byte
	lines []int
	fault *fault // the first thing that could not be taken over

	// The place that was asked for last. Places come in order, and a line may hold a million of them.
	line, column, offset int
}

// place turns the library's line and column, which counts characters, into an offset in bytes, and checks
// that what stands there begins with what should. It returns -1 if not: then no edit is possible.
func (t *tree) place(p *token.Position, begins string) int {
	if p.Line < 1 || p.Line > len(t.lines) {
		return -1
	}
	if p.Line != t.line || p.Column < t.column {
		t.line, t.column, t.offset = p.Line, 1, t.lines[p.Line-1]
	}
	for ; t.column < p.Column && t.offset < len(t.src); t.column++ {
		_, size := utf8.DecodeRune(t.src[t.offset:])
		t.offset += size
	}
	if !bytes.HasPrefix(t.src[t.offset:], []byte(begins)) {
		return -1
	}
	return t.offset
}

// node takes over one node. after is where the node would stand if it is not written.
func (t *tree) node(from ast.Node, after int) *node {
	switch from := from.(type) {
	case *ast.MappingNode:
		return t.mapping(from)
	case *ast.SequenceNode:
		return t.sequence(from)
	case *ast.LiteralNode:
		line := from.Start.Position.Line
		return &node{form: text, style: lines, line: line, start: t.place(from.Start.Position, ""), end: -1, text: from.Value.Value}
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return t.scalar(from, after)
	}
	line := from.GetToken().Position.Line
	t.report(line, fmt.Sprintf("a YAML %s is not read here", strings.ToLower(from.Type().String())))
	return &node{line: line, start: -1, end: -1}
}

func (t *tree) report(line int, message string) {
	if t.fault == nil {
		t.fault = &fault{line: line, message: message}
	}
}

func (t *tree) scalar(from ast.Node, after int) *node {
	tk := from.GetToken()
	n := &node{form: text, line: tk.Position.Line, text: tk.Value}
	switch from.(type) {
	case *ast.NullNode:
		n.form, n.text = empty, ""
		if tk.Type == token.ImplicitNullType {
			n.start, n.end = after, after
			return n
		}
	case *ast.BoolNode:
		n.form = boolean
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.form = number
	}
	switch tk.Type {
	case token.SingleQuoteType:
		n.style = single
		n.start = t.place(tk.Position, "'")
		n.end = quotedEnd(t.src, n.start)
	case token.DoubleQuoteType:
		n.style = double
		n.start = t.place(tk.Position, `"`)
		n.end = quotedEnd(t.src, n.start)
	default:
		n.start = t.place(tk.Position, "")
		n.end = plainEnd(t.src, n.start, tk.Value)
	}
	return n
}

// quotedEnd returns where the quoted scalar that begins at start ends, or -1.
func quotedEnd(src []byte, start int) int {
	if start < 0 {
		return -1
	}
	quote := src[start]
	for i := start + 1; i < len(src); i++ {
		switch {
		case src[i] == '\\' && quote == '"':
			i++
		case src[i] == quote && quote == '\'' && i+1 < len(src) && src[i+1] == quote:
			i++
		case src[i] == quote:
			return i + 1
		}
	}
	return -1
}

// plainEnd returns where the plain scalar that begins at start ends, or -1. Written over several lines, it
// has other white space than its value, and the same words.
func plainEnd(src []byte, start int, value string) int {
	if start < 0 {
		return -1
	}
	i := start
	for _, want := range []byte(value) {
		if isSpace(want) {
			continue
		}
		for i < len(src) && isSpace(src[i]) {
			i++
		}
		if i == len(src) || src[i] != want {
			return -1
		}
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (t *tree) mapping(from *ast.MappingNode) *node {
	n := &node{form: mapping, style: block, line: from.GetToken().Position.Line, end: -1}
	if from.IsFlowStyle {
		n.style = flow
		n.start = t.place(from.Start.Position, "{")
	}
	for _, v := range from.Values {
		n.pairs = append(n.pairs, t.pair(v))
	}
	if from.IsFlowStyle {
		n.end = t.endOf(from.End, "}")
		return n
	}
	if len(n.pairs) > 0 {
		n.start, n.line = n.pairs[0].start, n.pairs[0].line
		n.end = n.pairs[len(n.pairs)-1].value.end
	}
	return n
}

func (t *tree) pair(from *ast.MappingValueNode) pair {
	tk := from.Key.GetToken()
	p := pair{key: tk.Value, line: tk.Position.Line}
	switch from.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	default:
		t.report(p.line, "a key must be a word")
	}
	key := t.scalar(from.Key, -1)
	p.start = key.start
	p.after = key.end
	if from.Start != nil && from.Start.Type == token.MappingValueType {
		p.after = t.endOf(from.Start, ":")
	}
	p.value = t.node(from.Value, p.after)
	return p
}

func (t *tree) sequence(from *ast.SequenceNode) *node {
	n := &node{form: sequence, style: block, line: from.Start.Position.Line, end: -1}
	if from.IsFlowStyle {
		n.style = flow
		n.start = t.place(from.Start.Position, "[")
	}
	for i, v := range from.Values {
		var it item
		if from.IsFlowStyle {
			it.value = t.rejoin(t.node(v, -1))
			it.mark = it.value.start
		} else {
			it.mark = t.place(from.Entries[i].Start.Position, "-")
			it.value = t.node(v, it.mark+1)
		}
		n.items = append(n.items, it)
	}
	if from.IsFlowStyle {
		n.end = t.endOf(from.End, "]")
		return n
	}
	if len(n.items) > 0 {
		n.start = n.items[0].mark
		n.end = n.items[len(n.items)-1].value.end
	}
	return n
}

// rejoin makes one scalar again of a plain host:port in a flow list. The library (v1.19.2) splits it into a key
// and a value if a { is open further out; YAML wants a blank after a key's colon.
func (t *tree) rejoin(n *node) *node {
	if n.form != mapping || n.style == flow || len(n.pairs) != 1 {
		return n
	}
	p := n.pairs[0]
	if p.start < 0 || p.after < 0 || p.value.end < 0 || p.value.start != p.after || !p.value.written() || t.src[p.after-2] == '"' || t.src[p.after-2] == '\'' {
		return n
	}
	return &node{form: text, line: p.line, start: p.start, end: p.value.end, text: string(t.src[p.start:p.value.end])}
}

// endOf returns the offset right after a token of one byte.
func (t *tree) endOf(tk *token.Token, is string) int {
	if tk == nil {
		return -1
	}
	if at := t.place(tk.Position, is); at >= 0 {
		return at + 1
	}
	return -1
}
