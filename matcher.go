package triage

import (
	"fmt"
	"strconv"
	"strings"
)

// Matcher is a set of status codes that count as a pass (AWS's word; the console says "success codes"): those of HTTP,
// 100-599, or those of gRPC, 0-99. The zero value matches nothing.
type Matcher struct {
	set [(maxCode + 64) / 64]uint64 // a bit per code: comparable, and a match is one load
}

// Status codes that can be written in a matcher.
const (
	minCode = 100
	maxCode = 599

	maxGRPCCode = 99
)

// MatchCodes returns the matcher for the codes lo to hi, both included. It is meant for constants: it panics
// outside 100-599.
func MatchCodes(lo, hi int) Matcher {
	if lo < minCode || hi > maxCode || lo > hi {
		panic(fmt.Sprintf("triage: bad code range %d-%d", lo, hi))
	}
	var m Matcher
	m.add(lo, hi)
	return m
}

// MatchGRPC returns the matcher for the gRPC status codes lo to hi, both included. It is meant for constants: it panics
// outside 0-99.
func MatchGRPC(lo, hi int) Matcher {
	if lo < 0 || hi > maxGRPCCode || lo > hi {
		panic(fmt.Sprintf("triage: bad gRPC code range %d-%d", lo, hi))
	}
	var m Matcher
	m.add(lo, hi)
	return m
}

// ParseMatcher reads AWS's syntax: single codes and ranges, separated by commas: "200", "200,202", "200-299".
// Codes go from 100 to 599.
func ParseMatcher(s string) (Matcher, error) { return parseMatcher(s, "success codes", parseCode) }

// ParseGRPCMatcher reads the same syntax with gRPC's codes, which go from 0 to 99: "0", "0-99", "12".
func ParseGRPCMatcher(s string) (Matcher, error) { return parseMatcher(s, "gRPC codes", parseGRPCCode) }

func parseMatcher(s, what string, parseCode func(string) (int, error)) (Matcher, error) {
	var m Matcher
	for item := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			high = low
		}
		lo, err := parseCode(low)
		if err != nil {
			return Matcher{}, fmt.Errorf("%s %q: %w", what, s, err)
		}
		hi, err := parseCode(high)
		if err != nil {
			return Matcher{}, fmt.Errorf("%s %q: %w", what, s, err)
		}
		if lo > hi {
			return Matcher{}, fmt.Errorf("%s %q: the range %d-%d runs backwards", what, s, lo, hi)
		}
		m.add(lo, hi)
	}
	return m, nil
}

func parseCode(s string) (int, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	if err != nil || len(s) != 3 {
		return 0, fmt.Errorf("%q is not a status code; write 200, 200,202 or 200-299", s)
	}
	if n < minCode || n > maxCode {
		return 0, fmt.Errorf("%d is outside %d-%d", n, minCode, maxCode)
	}
	return n, nil
}

func parseGRPCCode(s string) (int, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a gRPC status code; write 0, 0,5 or 0-99", s)
	}
	if n < 0 || n > maxGRPCCode {
		return 0, fmt.Errorf("%d is outside 0-%d", n, maxGRPCCode)
	}
	return n, nil
}

func (m *Matcher) add(lo, hi int) {
	for code := lo; code <= hi; code++ {
		m.set[code/64] |= 1 << (code % 64)
	}
}

// Match reports whether the status code is in the set.
func (m Matcher) Match(code int) bool {
	return code >= 0 && code <= maxCode && m.set[code/64]&(1<<(code%64)) != 0
}

// Empty reports whether nothing matches.
func (m Matcher) Empty() bool { return m == Matcher{} }

// Within reports whether every code of m is also in n.
func (m Matcher) Within(n Matcher) bool {
	for i := range m.set {
		if m.set[i]&^n.set[i] != 0 {
			return false
		}
	}
	return true
}

// String writes the set in the syntax of [ParseMatcher], in its shortest form.
func (m Matcher) String() string {
	var b strings.Builder
	for code := 0; code <= maxCode; code++ {
		if !m.Match(code) {
			continue
		}
		first := code
		for m.Match(code + 1) {
			code++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		switch {
		case code == first+1:
			fmt.Fprintf(&b, ",%d", code)
		case code > first:
			fmt.Fprintf(&b, "-%d", code)
		}
	}
	return b.String()
}
