package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// demoClaim is what the balancer is to say about its group.
type demoClaim struct {
	says     string
	holds    func(control.GroupStatus) bool
	promised time.Duration // how long the balancer may take to notice; 0: nothing is promised
}

// demoPatience is how long an act waits for what it claims, which takes a second or two.
const demoPatience = 15 * time.Second

// await waits until a claim holds.
func (s *demoStage) await(ctx context.Context, c demoClaim) (g control.GroupStatus, err error) {
	err = s.eventually(ctx, c.says, func() (bool, string) {
		status, err := s.admin.Status(ctx, demoGroup)
		if err != nil || len(status.Groups) == 0 {
			return false, fmt.Sprint("no status: ", err)
		}
		g = status.Groups[0]
		return c.holds(g), describeGroup(g)
	})
	return g, err
}

// eventually waits until something holds. If it does not come true, what was seen last is in the mismatch.
func (s *demoStage) eventually(ctx context.Context, expected string, holds func() (ok bool, seen string)) error {
	for deadline := time.Now().Add(demoPatience); ; {
		ok, seen := holds()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case ok:
			return nil
		case time.Now().After(deadline):
			return &demoMismatch{expected: expected, seen: seen}
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

// describeGroup is a group in some lines, for a mismatch.
func describeGroup(g control.GroupStatus) string {
	lines := []string{tallyOf(g).verdict()}
	for _, t := range g.Targets {
		last := "never checked"
		if c := t.LastCheck; c != nil {
			last = fmt.Sprintf("last check: %s, status %d", c.Outcome, c.Status)
		}
		lines = append(lines, fmt.Sprintf("%s is %s (%s)", t.Target, t.State, last))
	}
	return strings.Join(lines, "\n")
}

// allHealthy claims that every instance is healthy, and was checked since the last change.
func (s *demoStage) allHealthy() demoClaim {
	return demoClaim{says: "every instance healthy", holds: func(g control.GroupStatus) bool {
		return each(g, func(t control.TargetStatus) bool {
			return t.State == triage.Healthy && t.LastCheck.Outcome.Verdict() == triage.Pass && t.LastCheck.At.After(s.changed)
		})
	}}
}

// stillHealthy claims that every instance goes on being healthy for as long as noticing an illness may take.
func (s *demoStage) stillHealthy() demoClaim {
	c := s.allHealthy()
	healthy := c.holds
	_, most := s.check.Noticed()
	c.holds = func(g control.GroupStatus) bool { return healthy(g) && time.Since(s.changed) > most }
	return c
}

// onlySick claims that the third instance alone is unhealthy, and which status code it answers.
func (s *demoStage) onlySick(status int) demoClaim {
	says := fmt.Sprintf("%s unhealthy for its %d, and no other instance", s.sick(), status)
	_, most := s.check.Noticed()
	return demoClaim{says: says, promised: most, holds: func(g control.GroupStatus) bool {
		return each(g, func(t control.TargetStatus) bool {
			if t.Address != s.sick().String() {
				return t.State == triage.Healthy
			}
			return t.State == triage.Unhealthy && t.Reason == triage.ResponseCodeMismatch && t.LastCheck.Status == status
		})
	}}
}

// failingOpen claims that nobody is healthy and requests go to all.
func (s *demoStage) failingOpen() demoClaim {
	return demoClaim{says: "every instance unhealthy, and requests to all", holds: func(g control.GroupStatus) bool {
		return g.FailingOpen && each(g, func(t control.TargetStatus) bool { return t.State == triage.Unhealthy })
	}}
}

// each reports whether all instances were checked and are so.
func each(g control.GroupStatus, so func(control.TargetStatus) bool) bool {
	return len(g.Targets) == len(demoNames) && !slices.ContainsFunc(g.Targets, func(t control.TargetStatus) bool {
		return t.LastCheck == nil || t.Since == nil || !so(t)
	})
}
