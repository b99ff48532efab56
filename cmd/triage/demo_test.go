package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage/internal/simulate"
)

// demoPlacesAnywhere are free ports, so that a test meets nobody.
func demoPlacesAnywhere(t *testing.T) demoPlaces {
	t.Helper()
	var c claimer
	defer c.release()
	p := demoPlaces{clients: c.free(), admin: c.free(), control: c.free(), listen: c.free()}
	for i := range p.instances {
		p.instances[i] = c.free()
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	return p
}

func newTestStage(t *testing.T, places demoPlaces) *demoStage {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	env := &environment{ctx: t.Context(), getenv: func(string) string { return "" }, stdout: t.Output(), stderr: t.Output()}
	s, err := newDemoStage(env, demoSettings{Program: "triage", Places: places, Every: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// An act that shows something else than it claims must not pass, whatever it is wrong about.
func TestDemoFindsWrongClaims(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newTestStage(t, demoPlacesAnywhere(t))
	sick := s.infect(simulate.Error500, "c")
	config := []string{"health-check", "set", "app", "--admin", s.places.admin.String(), "--interval", "150ms"}
	late := s.balancerSays(demoClaim{says: "a notice", holds: s.stillHealthy().holds, promised: time.Nanosecond})
	soon := late.do
	late.do = func(ctx context.Context, out *terminal) error {
		s.changed = time.Now().Add(-time.Hour)
		return soon(ctx, out)
	}
	acts := []struct {
		name, expected, seen string
		step                 demoStep
	}{
		{"visitors", "30 requests: 30 ok; answered by a, b, c", "30 requests: 20 ok, 10 errors (500); answered by a, b, c",
			s.visitors(met(map[int]int{200: 30}, "a", "b", "c"))},
		{"who answers", "answered by a, b", "answered by a, b, c",
			s.visitors(met(map[int]int{200: 20, 500: 10}, "a", "b"))},
		{"exit code", "exit code 0", "exit code 1", s.runs(exitOK, 0, nil, "check", "-q", s.sick().String())},
		{"words", `"HEALTHY AND WELL"`, "UNHEALTHY", s.runs(exitUnhealthy, 0, []string{"HEALTHY AND WELL"}, "check", "-q", s.sick().String())},
		{"config", `"protocol: https" in the config`, "interval: 150ms", s.edits([]string{"protocol: https"}, config...)},
		{"illness", "200 to PUT", "400", s.infect("plague", "c")},
		{"promise", "a notice within 1ns", "it took", late},
	}
	err := s.run(t.Context(), func(ctx context.Context) error {
		for _, a := range acts {
			var out, errs bytes.Buffer
			teller := &demoTeller{out: &terminal{w: &out}, err: &terminal{w: &errs}}
			err := teller.tell(ctx, []demoAct{
				{title: "Wrong", steps: []demoStep{sick, a.step}, life: "NEVER REACHED"},
				{title: "Next", life: "NEVER REACHED"},
			})
			if !errors.Is(err, exit(exitUnhealthy)) {
				t.Errorf("%s: error %v, want exit code 1", a.name, err)
			}
			said := errs.String()
			if !strings.HasPrefix(said, "triage: act 1 did not show what it claims\n") ||
				!strings.Contains(said, a.expected) || !strings.Contains(said, a.seen) {
				t.Errorf("%s: said %q, want expected %q and seen %q", a.name, said, a.expected, a.seen)
			}
			if strings.Contains(out.String(), "NEVER REACHED") {
				t.Errorf("%s: the story went on:\n%s", a.name, &out)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s.confess(&terminal{w: &log})
	if !strings.HasPrefix(log.String(), "log  ") || !strings.Contains(log.String(), "level=INFO") {
		t.Errorf("the balancer's log is told as %q", &log)
	}
}

// A taken port moves all instances to 127.0.0.1, and the story says so and still comes true.
func TestDemoElsewhere(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	places := demoPlacesAnywhere(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	places.instances[1] = taken.Addr().(*net.TCPAddr).AddrPort()
	foreign := netip.MustParseAddrPort("192.0.2.1:8080") // not an address of this machine
	places.clients = foreign

	s := newTestStage(t, places)
	var out bytes.Buffer
	term := &terminal{w: &out}
	err = s.run(t.Context(), func(ctx context.Context) error {
		s.introduce(term)
		return (&demoTeller{out: term, err: term}).tell(ctx, s.acts())
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, note := range []string{
		fmt.Sprintf("%s cannot be used (%s)", taken.Addr(), syscall.EADDRINUSE),
		fmt.Sprintf("%s cannot be used (%s)", foreign, syscall.EADDRNOTAVAIL),
		"so the instances are at free ports of 127.0.0.1",
		"so the balancer listens at another port",
	} {
		if said := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(said, note) {
			t.Errorf("no note %q in:\n%s", note, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if utf8.RuneCountInString(line) > lineWidth+1 && !strings.Contains(line, s.folder) {
			t.Errorf("wider than %d columns: %s", lineWidth, line)
		}
	}
	seen := map[netip.AddrPort]bool{s.places.clients: true, s.places.admin: true, s.places.control: true, s.places.listen: true}
	for _, at := range s.places.instances {
		if at.Addr() != netip.MustParseAddr("127.0.0.1") || seen[at] {
			t.Errorf("instance at %s: not a port of its own on 127.0.0.1", at)
		}
		seen[at] = true
	}
}

// Several demos at one moment, as in tests on one machine, do not take each other's addresses.
func TestDemosSideBySide(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Setenv("TMPDIR", t.TempDir())
	places := demoPlacesAnywhere(t)
	env := &environment{ctx: t.Context(), getenv: func(string) string { return "" }}
	var demos errgroup.Group
	for range 6 {
		demos.Go(func() error {
			s, err := newDemoStage(env, demoSettings{Program: "triage", Places: places})
			if err != nil {
				return err
			}
			defer s.close()
			return s.run(t.Context(), func(ctx context.Context) error {
				return s.visitors(met(map[int]int{200: 30}, "a", "b", "c")).do(ctx, &terminal{w: io.Discard})
			})
		})
	}
	if err := demos.Wait(); err != nil {
		t.Error(err)
	}
}

// Ctrl-C in the middle ends everything that was started and removes the folder.
func TestDemoInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, during := range []string{"The story of", "1  The port answers", "$ curl -X PUT"} {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		ctx, interrupt := context.WithCancel(t.Context())
		out := &trigger{on: during, pull: interrupt}
		var errs bytes.Buffer
		code := run(ctx, []string{"demo", "--play"}, func(string) string { return "" }, strings.NewReader(""), out, &errs)
		interrupt()
		if code != exitInterrupted || errs.Len() > 0 {
			t.Errorf("interrupted at %q: exit code %d and %q, want %d and nothing", during, code, &errs, exitInterrupted)
		}
		if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
			t.Errorf("interrupted at %q: left behind %v, %v", during, left, err)
		}
	}
}

// trigger pulls when a text is written.
type trigger struct {
	bytes.Buffer
	on   string
	pull func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.on) {
		w.pull()
	}
	return w.Buffer.Write(b)
}

// A person who spoils an act is told, and the story goes on.
func TestDemoGoesOnWithAPerson(t *testing.T) {
	in, keys, err := os.Pipe() // as good as a terminal for whoever reads lines
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer keys.Close()
	fmt.Fprint(keys, "\n\n\n")
	var out, errs bytes.Buffer
	spoilt := demoStep{typed: "triage drain", do: func(context.Context, *terminal) error {
		return &demoMismatch{expected: "one thing", seen: "another"}
	}}
	teller := &demoTeller{out: &terminal{w: &out}, err: &terminal{w: &errs}, keys: &keyboard{in}}
	err = teller.tell(t.Context(), []demoAct{{title: "Spoilt", steps: []demoStep{spoilt, spoilt}}, {title: "Next", life: "REACHED"}})
	if !errors.Is(err, exit(exitUnhealthy)) || !strings.Contains(errs.String(), "seen       another") {
		t.Errorf("error %v and %q, want exit code 1 and what was seen", err, &errs)
	}
	if said := out.String(); !strings.Contains(said, "REACHED") || strings.Count(said, "$ triage drain") != 1 {
		t.Errorf("said:\n%s", said)
	}
}

// Nobody types: an interrupt ends the wait without a goroutine that goes on reading; a closed terminal means q.
func TestKeyboardEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&keyboard{in}).line(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	keys.Close()
	if line, err := (&keyboard{in}).line(t.Context()); line != "q" || err != nil {
		t.Errorf("closed terminal: %q, %v, want q", line, err)
	}
}
