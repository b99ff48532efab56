package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// demoAct is one act of the story.
type demoAct struct {
	title string
	words string     // what happens and what to look at, in two or three sentences
	steps []demoStep // in order
	life  string     // what a person types when the same happens at work
}

// demoStep is one thing that an act does or shows.
type demoStep struct {
	typed string // the commands that do or show the same, one on each line; "" if there are none
	looks bool   // it only looks, and prints under a label, so that it can be understood without the commands

	// do does it, or nothing if it has been done already, and prints what is to be seen. What differs from
	// the act's claim is a *demoMismatch.
	do func(ctx context.Context, out *terminal) error
}

// demoMismatch is an act that did not show what it claims.
type demoMismatch struct{ expected, seen string }

func (m *demoMismatch) Error() string {
	return fmt.Sprintf("expected %s, seen %s", m.expected, m.seen)
}

// demoTeller tells acts to a person, or to nobody in particular.
type demoTeller struct {
	out, err *terminal
	keys     *keyboard // nil: play without waiting
}

// tell tells the acts in order. A person who plays with the balancer may spoil an act, so the next one is told
// all the same; without a person a mismatch is the end. Acts that did not show what they claim make the error
// exit code 1; they have been reported.
func (t *demoTeller) tell(ctx context.Context, acts []demoAct) error {
	code := exitOK
	for i, a := range acts {
		t.announce(i+1, a)
		if goOn, err := t.wait(ctx, "Enter goes on and does it, q ends: "); err != nil || !goOn {
			return err
		}
		err := t.perform(ctx, a)
		m, isMismatch := errors.AsType[*demoMismatch](err)
		switch {
		case isMismatch:
			t.report(i+1, m)
			code = exitUnhealthy
		case err != nil:
			return err
		}
		if isMismatch && t.keys == nil {
			return exit(code)
		}
		if a.life != "" {
			t.out.label("real life", a.life)
		}
	}
	if t.keys != nil {
		t.out.printf("\nThat was the story. Everything still runs, to play with.\n")
	}
	if _, err := t.wait(ctx, "Enter ends the demo: "); err != nil {
		return err
	}
	if code != exitOK {
		return exit(code)
	}
	return nil
}

// announce prints the title and the words, and for a person what to type.
func (t *demoTeller) announce(number int, a demoAct) {
	t.out.printf("\n%s\n%s\n", t.out.bold(fmt.Sprintf("%d  %s", number, a.title)), wrap(a.words, lineWidth, ""))
	if t.keys == nil {
		return
	}
	t.out.printf("%s\n", t.out.dim("In another terminal:"))
	var told []string
	for _, s := range a.steps {
		if !slices.Contains(told, s.typed) {
			t.prompted(s.typed)
			told = append(told, s.typed)
		}
	}
}

// prompted prints commands as they stand in a terminal.
func (t *demoTeller) prompted(typed string) {
	if typed == "" {
		return
	}
	for line := range strings.SplitSeq(typed, "\n") {
		prompt := "$ "
		if strings.HasPrefix(line, " ") {
			prompt = "  " // goes on from the line before
		}
		t.out.printf("%s\n", t.out.dim(prompt)+line)
	}
}

// perform does the steps. Where nobody was told what to type, commands stand above what they show.
func (t *demoTeller) perform(ctx context.Context, a demoAct) error {
	for _, s := range a.steps {
		if t.keys == nil && !s.looks {
			t.prompted(s.typed)
		}
		if err := s.do(ctx, t.out); err != nil {
			return err
		}
	}
	return nil
}

// wait asks the person to go on.
func (t *demoTeller) wait(ctx context.Context, question string) (goOn bool, err error) {
	if t.keys == nil {
		return true, ctx.Err()
	}
	t.out.printf("%s", t.out.dim(question))
	answer, err := t.keys.line(ctx)
	if err != nil {
		t.out.printf("\n") // the question has no answer on its line
	}
	return !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "q"), err
}

func (t *demoTeller) report(number int, m *demoMismatch) {
	t.err.printf("triage: act %d did not show what it claims\n", number)
	t.err.label("expected", m.expected)
	t.err.label("seen", m.seen)
}
