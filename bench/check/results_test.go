//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSections: a section measured again takes the place of the old one, all others stay, and a new
// one comes before what is written by hand.
func TestSections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "check.md")
	r := results{path: path, terminal: io.Discard}
	for _, s := range []section{{"a", "one\n"}, {"b", "two\n"}, {byHand, "### its own\n\nthree\n"}, {"a", "four\n"}, {"new", "five\n"}} {
		if err := r.put(s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := preamble + "\n## a\n\nfour\n\n## b\n\ntwo\n\n## new\n\nfive\n\n## What stands in the way\n\n### its own\n\nthree\n"; string(got) != want {
		t.Errorf("%s", got)
	}
}

// costing makes a checker's row whose rounds cost that many microseconds per check.
func costing(name string, micros ...int) *row {
	r := &row{checker: checker{name: name, about: "x"}}
	for _, m := range micros {
		r.samples = append(r.samples, sample{
			work: work{targets: 10_000}, asked: 10_000, window: 10 * time.Second, due: 100, done: 100, cpu: time.Duration(100*m) * time.Microsecond,
		})
	}
	return r
}

// TestRatioIsPaired: a round in which the machine was slow for both sides does not count against one.
func TestRatioIsPaired(t *testing.T) {
	if got := ratio(costing("triage", 60, 200, 61), costing("haproxy", 50, 160, 50)); got != 1.22 {
		t.Errorf("ratio %g", got)
	}
	if got := ratio(nil, costing("haproxy", 50)); got != 0 {
		t.Errorf("of nobody: %g", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %g", c.values, got)
		}
	}
}

// TestComparedSaysWhatIsMissed: a goal that is not reached, and a checker that did not run, are told plainly.
func TestComparedSaysWhatIsMissed(t *testing.T) {
	absent := costing("triage-reuse")
	absent.fault = errors.New("triage-reuse: it ended\nby itself")
	s := compared(work{targets: 10_000, interval: time.Second}, "", []*row{costing("triage", 100), absent, costing("haproxy", 50)})
	if s.title != "10,000 targets every 1s" {
		t.Errorf("title %q", s.title)
	}
	for _, want := range []string{
		"| triage | 100.0 µs | 2.00 × |",
		"a new connection each time: goal ≤ 1.05 × HAProxy's: **missed**, measured 2.00 ×.",
		"connection kept: goal ≤ 0.3 × HAProxy's: not measured.",
		"- Not measured: triage-reuse: it ended by itself\n",
	} {
		if !strings.Contains(s.body, want) {
			t.Errorf("%q is not in\n%s", want, s.body)
		}
	}
}

func TestRememberedTakesTheBaseAway(t *testing.T) {
	of := func(targets int, bytes int64) held {
		w := work{targets: targets, interval: 10 * time.Second}
		m := memory{anonymous: bytes}
		return held{work: w, before: sample{work: w, due: 10, done: 10, memory: m}, after: m}
	}
	s := remembered("", 10, of(10, 10<<20), of(100_000, 10<<20+99_990*2048))
	for _, want := range []string{"goal ≤ 1.20 KiB: **missed**, measured 2.00 KiB", "Base: goal ≤ 35.0 MiB: **reached**, measured 10.0 MiB"} {
		if !strings.Contains(s.body, want) {
			t.Errorf("%q is not in\n%s", want, s.body)
		}
	}
}

// TestEncryptedSaysWhoResumed: a handshake that takes up a session is another thing than a full one, and a server
// without time to spare measures itself.
func TestEncryptedSaysWhoResumed(t *testing.T) {
	of := func(name string, micros, resumed int) *row {
		r := costing(name, micros)
		r.samples[0].serverCore = 95 * r.samples[0].window / 100
		r.samples[0].report = siteReport{Accepted: 100, Handshakes: 100, Resumed: resumed, TLS: "TLS 1.3"}
		return r
	}
	rows := []*row{of("triage", 300, 0), of("haproxy", 200, 99), of("haproxy-no-ssl-reuse", 400, 0)}
	s := encrypted(work{targets: 500, interval: time.Second}, "", []protocol{httpsRSA}, [][]*row{rows})
	for _, want := range []string{
		"| RSA-2048 | triage | 300.0 µs | 1.50 × | 0.75 × | 100.0 % | 1.00 | 0 % | TLS 1.3 |",
		"| RSA-2048 | haproxy | 200.0 µs | 1.00 × | 0.50 × | 100.0 % | 1.00 | 99 % | TLS 1.3 |",
		"**RSA-2048, triage: the server limits**",
	} {
		if !strings.Contains(s.body, want) {
			t.Errorf("%q is not in\n%s", want, s.body)
		}
	}
}

func TestText(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	if got := micros(1234 * time.Nanosecond); got != "1.2 µs" {
		t.Error(got)
	}
	if got := bytesText(1.2 * 1024); got != "1.20 KiB" {
		t.Error(got)
	}
}
