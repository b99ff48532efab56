package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	auditEvery   = time.Minute
	maxIncidents = 100 // of one message that are told apart at a time
	maxQuoted    = 200 // bytes of a stranger's text in a line
)

// Audit logs what others cause, at a rate that they do not decide: an incident is logged when it is first seen,
// and from then on once per minute with how often it was seen again, until it stays away for a whole minute.
// Make one with [NewAudit].
type Audit struct {
	log *slog.Logger

	mu    sync.Mutex
	seen  map[incident]*tally // guarded by mu
	kinds map[string]int      // how many are in seen, by message: at most maxIncidents; guarded by mu
	rest  int                 // events that found no place in it; guarded by mu
}

// incident is what makes two events the same.
type incident struct{ message, about string }

// tally is an incident's next line, and how many events it stands for.
type tally struct {
	level slog.Level
	args  []any
	again int
}

// NewAudit returns an audit that writes to the log.
func NewAudit(log *slog.Logger) *Audit {
	return &Audit{log: log, seen: map[incident]*tally{}, kinds: map[string]int{}}
}

// Note takes note of an event. Events with one message and the same about are one incident. args, for slog, is
// called once for each line: it is the first event that the line stands for which describes it. about and args
// are kept for a minute or more: what a stranger wrote goes through [Clip].
func (a *Audit) Note(level slog.Level, message, about string, args func() []any) {
	if t := a.count(incident{message, about}, level, args); t != nil {
		a.log.Log(context.Background(), level, message, t.args...)
	}
}

// count returns the incident's tally if it is to be logged now.
func (a *Audit) count(i incident, level slog.Level, args func() []any) *tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.seen[i]; t != nil {
		if t.again == 0 {
			*t = tally{level: level, args: args()}
		}
		t.again++
		return nil
	}
	if a.kinds[i.message] >= maxIncidents {
		a.rest++
		return nil
	}
	a.seen[i] = &tally{}
	a.kinds[i.message]++
	return &tally{level: level, args: args()}
}

// Run writes what was counted, every minute and once more when ctx is done; then it returns.
func (a *Audit) Run(ctx context.Context) {
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

func (a *Audit) flush() {
	type line struct {
		incident
		tally
	}
	var lines []line
	a.mu.Lock()
	for i, t := range a.seen {
		if t.again == 0 {
			delete(a.seen, i)
			a.kinds[i.message]--
			continue
		}
		lines = append(lines, line{i, *t})
		t.again = 0
	}
	rest := a.rest
	a.rest = 0
	a.mu.Unlock()

	for _, l := range lines {
		a.log.Log(context.Background(), l.level, l.message, append(l.args, "again", l.again)...)
	}
	if rest > 0 {
		a.log.Warn("and more of the kind, too many to tell apart", "events", rest)
	}
}

// Clip bounds a text that a stranger wrote.
func Clip(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "…"
	}
	return s
}
