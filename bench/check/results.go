//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// results is the file of results: a heading, then a section per part. Parts are measured at different times, so
// a new section replaces the old one of the same title, and all others stay, also those written by hand.
type results struct {
	path     string    // "-": none
	terminal io.Writer // gets each section as well
}

// byHand is the title of the section that people write. It stays the last one.
const byHand = "What stands in the way"

// section is a part of the results.
type section struct {
	title string
	body  string
}

const preamble = `# What a health check costs

Written by ` + "`make bench-check`" + ` (bench/check). A light HTTP server stands for all targets, each an address of its own
in 127.0.0.0/8; the checkers have the same targets, interval and path, one at a time, on one core. CPU is user and
system time of the checking process from /proc, divided by the checks that the server counted, over a window that
begins when every target has been asked and an interval and a half has passed. Medians of the rounds; a ratio is the
median of the rounds' own ratios. Start lag is how late a check comes at the server, compared with the fixed-rate
grid of its target. Absolute figures belong to the machine; compare ratios. Versions of triage that end in -dirty were built with changes that
no commit had yet.
`

// put prints a section and writes it to the file.
func (r results) put(s section) error {
	fmt.Fprintf(r.terminal, "\n## %s\n\n%s", s.title, s.body)
	if r.path == "-" {
		return nil
	}
	old, err := os.ReadFile(r.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(r.path, []byte(replaceSection(string(old), s)), 0o644)
}

// replaceSection returns the file with a new preamble, and the section in the place of its predecessor, or else at
// the end, before what is written by hand.
func replaceSection(file string, s section) string {
	const mark = "\n## "
	var out strings.Builder
	out.WriteString(preamble)
	written := false
	write := func(s section) {
		fmt.Fprintf(&out, "%s%s\n\n%s\n", mark, s.title, strings.Trim(s.body, "\n"))
	}
	_, rest, _ := strings.Cut(file, mark)
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, mark)
		title, body, _ := strings.Cut(part, "\n")
		if !written && (title == s.title || title == byHand) {
			write(s)
			written = true
		}
		if title == s.title {
			continue
		}
		write(section{title, body})
	}
	if !written {
		write(s)
	}
	return out.String()
}
