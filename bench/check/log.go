//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// messages counts the lines of a log of triage by level and message.
func messages(log []byte) map[string]int {
	counts := make(map[string]int)
	for line := range bytes.Lines(log) {
		message := attribute(line, "msg")
		if message == "" {
			message = "(another sort of line)"
		}
		counts[strings.TrimSpace(attribute(line, "level")+" "+message)]++
	}
	return counts
}

// collector is what triage said of its garbage collector when it began to serve; "" if it said nothing.
func collector(log []byte) string {
	for line := range bytes.Lines(log) {
		if attribute(line, "msg") == "serving" {
			return attribute(line, "gc")
		}
	}
	return ""
}

// attribute finds key=value in a line of slog's text format; the value may be quoted.
func attribute(line []byte, key string) string {
	found := regexp.MustCompile(`(?:^| )` + key + `=("(?:[^"\\]|\\.)*"|\S*)`).FindSubmatch(line)
	if found == nil {
		return ""
	}
	return strings.Trim(string(found[1]), `"`)
}

// most writes the largest counts first, at most n of them.
func most(counts map[string]int, n int) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	words := make([]string, min(n, len(keys)))
	for i := range words {
		words[i] = fmt.Sprintf("%s × %s", thousands(counts[keys[i]]), keys[i])
	}
	if len(keys) > n {
		words = append(words, "…")
	}
	return cmp.Or(strings.Join(words, "; "), "none")
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}
