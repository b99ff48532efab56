package control

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// linesPerSecond is how many transitions of a group are logged one by one in each second. In a mass failure
// the rest is one line; so it is for checks that stop saying anything, or do again.
const linesPerSecond = 100

// startsPerSecond is the same for targets whose first check passed. A start is no news: there the number is enough.
const startsPerSecond = 10

// second counts what happened of one kind in this second, so that a mass failure is a hundred lines and a summary.
type second struct {
	told     int // a line each
	good     int // no line: for the better
	bad      int // and for the worse
	outcomes outcomeCounts
}

// claim takes one of the second's lines. If none is left it counts what would have been told, and returns false.
func (s *second) claim(good bool, lines int) bool {
	switch {
	case s.told < lines:
		s.told++
		return true
	case good:
		s.good++
	default:
		s.bad++
	}
	return false
}

// untold is how many got no line.
func (s *second) untold() int { return s.good + s.bad }

// outcomeCounts is how many have ended with each outcome.
type outcomeCounts [triage.NumOutcomes]int

// mostTold is how many outcomes are named.
const mostTold = 5

// String names the most frequent ones, and how many there are beside them: "refused=900 response-timeout=20". It is
// "" if there were none.
func (c *outcomeCounts) String() string {
	var kinds []triage.Outcome
	for o, n := range c {
		if n > 0 {
			kinds = append(kinds, triage.Outcome(o))
		}
	}
	slices.SortStableFunc(kinds, func(a, b triage.Outcome) int { return c[b] - c[a] })
	var told []string
	others := 0
	for i, o := range kinds {
		if i < mostTold {
			told = append(told, fmt.Sprintf("%s=%d", o, c[o]))
		} else {
			others += c[o]
		}
	}
	if others > 0 {
		told = append(told, fmt.Sprintf("others=%d", others))
	}
	return strings.Join(told, " ")
}

// summarise ends a second of logging: what was not told one by one is told in one line for each group and kind, and then
// what most targets of a group have in common.
func (j *journal) summarise() {
	j.tick = nil
	for _, g := range j.groups {
		j.summariseStarts(g)
		j.summariseChanges(g)
		j.summariseDoubts(g)
		g.starts, g.changes, g.doubts = second{}, second{}, second{}
		if !j.tellWave(g) && j.tick == nil {
			j.tick = time.After(time.Second)
		}
	}
}

func (j *journal) summariseStarts(g *groupJournal) {
	if n := g.starts.untold(); n > 0 {
		j.log.Info("and more targets of the group are healthy", "group", string(g.name), "more", n, "in_rotation", g.rotation())
	}
}

func (j *journal) summariseChanges(g *groupJournal) {
	c := &g.changes
	if c.untold() == 0 {
		return
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("group", string(g.name)),
		slog.Int("more", c.untold()),
		slog.Int("to_healthy", c.good),
		slog.Int("to_unhealthy", c.bad),
	}
	if c.bad > 0 {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("outcomes", c.outcomes.String()))
	}
	attrs = append(attrs, slog.String("in_rotation", g.rotation()))
	j.log.LogAttrs(context.Background(), level, "and more targets of the group changed", attrs...)
}

func (j *journal) summariseDoubts(g *groupJournal) {
	d := &g.doubts
	if d.untold() == 0 {
		return
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("group", string(g.name)),
		slog.Int("more", d.untold()),
		slog.Int("to_trustworthy", d.good),
		slog.Int("to_not_trustworthy", d.bad),
	}
	if d.bad > 0 {
		level = slog.LevelError
	}
	if known := d.outcomes.String(); known != "" {
		attrs = append(attrs, slog.String("known_outcomes", known))
	}
	j.log.LogAttrs(context.Background(), level, "and more checks of the group changed", attrs...)
}
