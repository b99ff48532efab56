package control

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/triage-lb/triage"
)

// A wave is most of a group's targets that began to fail the same way at about the same time. Each of them may be sick,
// but it is likelier that something is that they share.
type wave struct {
	illness
	fell  int // targets that fell with it; 0: there is no wave
	of    int // that were in rotation before, or all if it is from the start
	since time.Time
	start bool // none of them has ever been healthy
	told  bool
}

// illness is how checks fail, as far as it is the same for several targets.
type illness struct {
	outcome triage.Outcome
	status  uint16
}

// String is the illness in a word or two: "code-mismatch 503".
func (i illness) String() string {
	if i.status == 0 {
		return i.outcome.String()
	}
	return fmt.Sprintf("%s %d", i.outcome, i.status)
}

// fewestAlike is how many targets make a wave at least. Two may fail alike by chance.
const fewestAlike = 3

// isOver reports whether so many are back in rotation that the group is not without most of its targets any more.
func (w *wave) isOver(up int) bool { return 4*up > w.of }

// together says what most targets have in common, what to suspect, and what becomes of requests.
func (g *groupJournal) together() string {
	w := &g.wave
	if w.start {
		return fmt.Sprintf("all %d targets have failed the same way from the start (%s): suspect what they share, or the check itself; %s", w.fell, w.illness, g.decision())
	}
	of := fmt.Sprintf("%d of %d targets", w.fell, w.of)
	if w.of < g.targets {
		of = fmt.Sprintf("%d of the %d targets that were in rotation", w.fell, w.of)
	}
	return fmt.Sprintf("%s began to fail the same way within one interval (%s): suspect what they share, or the check itself; %s", of, w.illness, g.decision())
}

// fall notes when a member has left rotation because of its checks, or that it is back.
func (j *journal) fall(g *groupJournal, m *memberJournal, t *triage.Transition) {
	switch {
	case t.To.State != triage.Unhealthy || m.drained():
		m.fell = 0
	case t.From.State == triage.Initial:
		g.fallen = true
	case t.From.State == triage.Healthy:
		g.fallen = true
		if j.epoch.IsZero() {
			j.epoch = t.At
		}
		m.fell = uint32(max(t.At.Sub(j.epoch)/tenth, 0)) + 1
	}
}

// tenth is the unit of [memberJournal.fell].
const tenth = 100 * time.Millisecond

// window is how long it takes at most until all checks have seen what happened to all targets at once.
func (g *groupJournal) window() time.Duration {
	c := &g.check
	return c.Interval + time.Duration(c.Thresholds.Unhealthy)*c.Jitter + c.Timeout
}

// ebb forgets a wave of which enough targets are back.
func (g *groupJournal) ebb() {
	if g.wave.fell > 0 && g.wave.isOver(g.up()) {
		g.wave = wave{}
	}
}

// mayHaveWave reports whether it is worth looking at each member: somebody has fallen, and few enough are left.
func (g *groupJournal) mayHaveWave() bool {
	return (g.fallen || g.wave.fell > 0) && g.targets >= fewestAlike && 4*g.up() <= g.targets
}

// crest is the wave that the group's members are in, if there is one.
func (j *journal) crest(g *groupJournal) wave {
	newest, oldest := uint32(0), uint32(0)
	for i := range g.members {
		newest = max(newest, g.members[i].fell)
	}
	if newest == 0 {
		return g.sickFromTheStart()
	}
	if n := uint32(g.window() / tenth); newest > n {
		oldest = newest - n
	}
	type count struct {
		n     int
		first uint32
	}
	counts := map[illness]count{}
	var most illness
	before := g.up()
	for i := range g.members {
		m := &g.members[i]
		if m.state != triage.Unhealthy || m.fell == 0 || m.fell < oldest || m.drained() {
			continue
		}
		before++
		c := counts[m.ill()]
		c.n++
		if c.first == 0 || m.fell < c.first {
			c.first = m.fell
		}
		counts[m.ill()] = c
		if c.n > counts[most].n {
			most = m.ill()
		}
	}
	if n := counts[most].n; n >= fewestAlike && 4*n >= 3*before {
		return wave{illness: most, fell: n, of: before, since: j.epoch.Add(time.Duration(counts[most].first-1) * tenth)}
	}
	return wave{}
}

// sickFromTheStart is the wave of a group of which no member has ever been healthy. Anything less is no news at a start.
func (g *groupJournal) sickFromTheStart() wave {
	if g.in[triage.Unhealthy] != g.targets {
		return wave{}
	}
	var same *memberJournal
	for i := range g.members {
		m := &g.members[i]
		switch {
		case m.drained():
		case same == nil:
			same = m
		case same.ill() != m.ill():
			return wave{}
		}
	}
	return wave{illness: same.ill(), fell: g.targets, of: g.targets, start: true}
}

// tellWave looks for a wave and says that there is one, once it has reached all that it will. It returns false if that is
// to be awaited.
func (j *journal) tellWave(g *groupJournal) bool {
	w := &g.wave
	if w.told || !g.mayHaveWave() {
		return true
	}
	g.fallen = false
	if *w = j.crest(g); w.fell == 0 {
		return true
	}
	if g.up() > 0 && time.Since(w.since) < g.window() {
		return false
	}
	w.told = true
	attrs := []slog.Attr{slog.String("group", string(g.name)), slog.String("outcome", w.outcome.String())}
	if w.status != 0 {
		attrs = append(attrs, slog.Int("status", int(w.status)))
	}
	j.log.LogAttrs(context.Background(), slog.LevelError, g.together(), attrs...)
	return true
}

// decision says what becomes of requests while most targets are sick.
func (g *groupJournal) decision() string {
	switch up := g.up(); {
	case !g.routed:
		return "no listener leads to the group"
	case up > 0:
		return fmt.Sprintf("requests go to the %d in rotation", up)
	case g.policy == triage.FailOpen && g.open > 0:
		return "none is healthy, so requests go to all of them (fail-open)"
	}
	return "none is healthy, so requests are answered 503"
}

// failingTogether is the wave that was told of a group, for as long as it lasts; nil if there is none.
func (j *journal) failingTogether(name triage.GroupName) *FailingTogether {
	g := j.groups[name]
	if g == nil || !g.wave.told || g.wave.isOver(g.up()) {
		return nil
	}
	w := &g.wave
	f := &FailingTogether{
		Description: g.together(),
		Outcome:     w.outcome, Status: int(w.status), Targets: w.fell, Of: w.of,
	}
	if !w.since.IsZero() {
		f.Since = &w.since
	}
	return f
}
