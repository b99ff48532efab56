package guard

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	auditEvery   = time.Minute
	maxIncidents = 100 // that are told apart at a time
	maxQuoted    = 100 // bytes of a stranger's text in a line
)

// audit logs what strangers cause, at a rate that they do not decide: an incident is logged when it is first
// seen, and from then on once per minute with how often it was seen again, until it stays away for a whole minute.
type audit struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[incident]*tally // at most maxIncidents; guarded by mu
	rest int                 // events that found no place in it; guarded by mu
}

// incident is what makes two events the same.
type incident struct{ message, about string }

// tally is an incident's line, and how often it would have been written again.
type tally struct {
	level slog.Level
	args  []any
	again int
}

func newAudit(log *slog.Logger) *audit {
	return &audit{log: log, seen: map[incident]*tally{}}
}

// note takes note of an event. args, for slog, is called only for an incident's first. Events with one message
// and the same about are one incident.
func (a *audit) note(level slog.Level, message, about string, args func() []any) {
	if t := a.count(incident{message, clip(about)}, level, args); t != nil {
		a.log.Log(context.Background(), level, message, t.args...)
	}
}

// count returns the incident's tally if it is to be logged now.
func (a *audit) count(i incident, level slog.Level, args func() []any) *tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.seen[i]; t != nil {
		t.again++
		return nil
	}
	if len(a.seen) >= maxIncidents {
		a.rest++
		return nil
	}
	t := &tally{level: level, args: args()}
	a.seen[i] = t
	return t
}

// run writes what was counted, every minute and once more when ctx is done.
func (a *audit) run(ctx context.Context) {
	ticker := time.NewTicker(auditEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			a.flush()
		case <-ctx.Done():
			a.flush()
			return
		}
	}
}

func (a *audit) flush() {
	type line struct {
		incident
		tally
	}
	var lines []line
	a.mu.Lock()
	for i, t := range a.seen {
		if t.again == 0 {
			delete(a.seen, i)
			continue
		}
		lines = append(lines, line{i, *t})
		t.again = 0
	}
	rest := a.rest
	a.rest = 0
	a.mu.Unlock()

	for _, l := range lines {
		a.log.Log(context.Background(), l.level, l.message, append(l.args[:len(l.args):len(l.args)], "again", l.again)...)
	}
	if rest > 0 {
		a.log.Warn("more of the kind, about too many hosts and peers to list", "events", rest)
	}
}

// clip bounds a text that a stranger wrote.
func clip(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "…"
	}
	return s
}
