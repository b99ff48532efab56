package proxy

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAudit: others decide neither how many lines are written nor how much is kept.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text lockedText
		a := NewAudit(slog.New(slog.NewTextHandler(&text, nil)))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { a.Run(ctx) })
		events := 0
		say := func(about string) {
			events++
			event := events
			a.Note(slog.LevelInfo, "refused", about, func() []any { return []any{"host", about, "event", event} })
		}
		wrote := func(want ...string) {
			t.Helper()
			var got []string
			for line := range strings.Lines(text.take()) {
				_, message, _ := strings.Cut(strings.TrimSpace(line), "msg=")
				got = append(got, message)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("wrote %q, want %q", got, want)
			}
		}
		minute := func() {
			time.Sleep(auditEvery) // of the bubble's clock
			synctest.Wait()
		}

		say("evil")
		say("evil")
		say("evil")
		wrote(`refused host=evil event=1`)
		minute()
		wrote(`refused host=evil event=2 again=2`)
		say("evil")
		wrote()
		minute()
		wrote(`refused host=evil event=4 again=1`)
		minute() // it stayed away
		say("evil")
		wrote(`refused host=evil event=5`)

		for i := range 10 * maxIncidents {
			say(fmt.Sprint(i))
		}
		if n := strings.Count(text.take(), "\n"); n != maxIncidents-1 {
			t.Errorf("%d lines", n)
		}
		if len(a.seen) != maxIncidents {
			t.Errorf("%d incidents are kept", len(a.seen))
		}
		a.Note(slog.LevelWarn, "another message", "", func() []any { return nil }) // is not crowded out
		wrote(`"another message"`)
		stop()
		running.Wait()
		wrote(fmt.Sprintf(`"and more of the kind, too many to tell apart" events=%d`, 9*maxIncidents+1))
	})
}

// lockedText is what a log wrote since it was last looked at.
type lockedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
