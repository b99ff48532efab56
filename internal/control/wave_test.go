package control

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triage-lb/triage"
)

// healthyJournal is a journal over n targets that are in rotation, and are checked by the defaults: a wave takes 7 s.
func healthyJournal(n int, policy triage.NoneHealthy) (*journal, *logBook) {
	j, log, rosters := journalOver(n, policy)
	rosters[0].HealthCheck = triage.DefaultHealthCheck()
	j.follow(rosters, unknown)
	for i := range n {
		changes(j, i, well)
	}
	return j, log
}

// changes tells a journal that a target's checks have decided something else.
func changes(j *journal, i int, to triage.Health) {
	_, m := j.find(memberKey(i))
	from := triage.Health{State: m.state, Outcome: m.outcome, Status: m.status}
	j.tell([]triage.Transition{{Key: memberKey(i), From: from, To: to, Source: triage.FromCheck, At: time.Now()}})
}

// passes lets time go by, as control's goroutine does.
func passes(j *journal, d time.Duration) {
	for end := time.After(d); ; {
		select {
		case <-j.tick:
			j.summarise()
		case <-end:
			return
		}
	}
}

// common are the lines about what targets have in common.
func common(log *logBook) (lines []string) {
	for _, line := range log.lines() {
		if strings.Contains(line, "the same way") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestMostFailTheSameWay: it is one line at the group's level, when all have fallen that will, and stands in the status
// until enough are back.
func TestMostFailTheSameWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, log := healthyJournal(8, triage.FailOpen)
		passes(j, time.Minute)
		began := time.Now()
		for i := range 7 {
			changes(j, i, sick(triage.CodeMismatch, 503))
			passes(j, 700*time.Millisecond)
		}
		if lines := common(log); lines != nil || j.failingTogether("app") != nil {
			t.Errorf("told before the last could have fallen: %q", lines)
		}
		passes(j, 3*time.Second)
		const says = "7 of 8 targets began to fail the same way within one interval (code-mismatch 503): suspect what they share, or the check itself; requests go to the 1 in rotation"
		equal(t, "log", common(log), []string{`level=ERROR msg="` + says + `" group=app outcome=code-mismatch status=503`})
		f := j.failingTogether("app")
		if f == nil || f.Description != says || f.Outcome != triage.CodeMismatch || f.Status != 503 || f.Targets != 7 || f.Of != 8 || !f.Since.Equal(began) {
			t.Fatalf("status: %+v", f)
		}

		changes(j, 7, sick(triage.Refused, 0))
		if f := j.failingTogether("app"); f == nil || !strings.HasSuffix(f.Description, "; none is healthy, so requests go to all of them (fail-open)") {
			t.Errorf("the last is gone too: %+v", f)
		}
		changes(j, 0, well)
		changes(j, 1, well)
		if j.failingTogether("app") == nil {
			t.Error("two of eight are back, and nothing is wrong any more")
		}
		changes(j, 2, well)
		if f := j.failingTogether("app"); f != nil {
			t.Errorf("three of eight are back: %+v", f)
		}
		passes(j, time.Minute)
		if lines := common(log); len(lines) != 1 {
			t.Errorf("told again: %q", lines)
		}

		for i := range 3 { // with their like gone already
			changes(j, i, sick(triage.Refused, 0))
		}
		passes(j, 1100*time.Millisecond)
		if lines := common(log); len(lines) != 2 || !strings.Contains(lines[1], "3 of the 3 targets that were in rotation began to fail the same way within one interval (refused)") {
			t.Errorf("the next one: %q", lines)
		}
	})
}

// TestAllFailTheSameWay is told within a second, with what becomes of requests.
func TestAllFailTheSameWay(t *testing.T) {
	for policy, decision := range map[triage.NoneHealthy]string{
		triage.FailOpen:  "none is healthy, so requests go to all of them (fail-open)",
		triage.Answer503: "none is healthy, so requests are answered 503",
	} {
		synctest.Test(t, func(t *testing.T) {
			j, log := healthyJournal(3, policy)
			for i := range 3 {
				changes(j, i, sick(triage.Refused, 0))
			}
			passes(j, 1100*time.Millisecond)
			equal(t, "log", common(log), []string{`level=ERROR msg="3 of 3 targets began to fail the same way within one interval (refused): suspect what they share, or the check itself; ` + decision + `" group=app outcome=refused`})
		})
	}
}

// TestNoWave: what only looks as if targets had something in common is not told.
func TestNoWave(t *testing.T) {
	for name, play := range map[string]func(j *journal){
		"two targets": func(j *journal) {
			for i := range 6 {
				j.groups["app"].members[i].member.Person = triage.PersonDrained
			}
			changes(j, 6, sick(triage.Refused, 0))
			changes(j, 7, sick(triage.Refused, 0))
		},
		"different illnesses": func(j *journal) {
			for i := range 8 {
				changes(j, i, sick(triage.CodeMismatch, uint16(500+i%2)))
			}
		},
		"one after another": func(j *journal) {
			for i := range 8 {
				changes(j, i, sick(triage.Refused, 0))
				passes(j, 8*time.Second)
			}
		},
		"fewer than most": func(j *journal) {
			for i := range 5 {
				changes(j, i, sick(triage.Refused, 0))
			}
		},
		"one that comes and goes": func(j *journal) {
			for range 8 {
				changes(j, 0, sick(triage.Refused, 0))
				passes(j, 500*time.Millisecond)
				changes(j, 0, well)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, log := healthyJournal(8, triage.FailOpen)
				play(j)
				passes(j, time.Minute)
				if lines := common(log); lines != nil || j.failingTogether("app") != nil {
					t.Errorf("told: %q", lines)
				}
			})
		})
	}
}

// TestAllSickFromTheStart is told; that some are is the usual way of a start.
func TestAllSickFromTheStart(t *testing.T) {
	for _, tt := range []struct {
		healthy int
		want    []string
	}{
		{0, []string{`level=ERROR msg="all 4 targets have failed the same way from the start (refused): suspect what they share, or the check itself; none is healthy, so requests go to all of them (fail-open)" group=app outcome=refused`}},
		{1, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			j, log, rosters := journalOver(4, triage.FailOpen)
			for i := range 4 {
				if j.failingTogether("app") != nil {
					t.Errorf("said of %d of 4", i)
				}
				to := sick(triage.Refused, 0)
				if i < tt.healthy {
					to = well
				}
				changes(j, i, to)
			}
			passes(j, 10*time.Second)
			equal(t, "log", common(log), tt.want)
			j.follow(rosters, unknown)
			if f := j.failingTogether("app"); (f != nil) != (tt.want != nil) || f != nil && f.Since != nil {
				t.Errorf("status after an edit: %+v", f)
			}
		})
	}
}

// TestAWaveSurvivesAnEdit that comes before it is told, as the targets do.
func TestAWaveSurvivesAnEdit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, log, rosters := journalOver(8, triage.FailOpen)
		rosters[0].HealthCheck = triage.DefaultHealthCheck()
		for i := range 8 {
			changes(j, i, well)
		}
		for i := range 7 {
			changes(j, i, sick(triage.Refused, 0))
			var levels []triage.CheckStatus
			for k := range 8 {
				_, m := j.find(memberKey(k))
				levels = append(levels, triage.CheckStatus{Key: memberKey(k), Health: triage.Health{State: m.state, Outcome: m.outcome, Status: m.status}})
			}
			j.follow(rosters, func(triage.GroupName) []triage.CheckStatus { return levels })
		}
		passes(j, 9*time.Second)
		if lines := common(log); len(lines) != 1 || !strings.Contains(lines[0], "7 of 8 targets") {
			t.Errorf("told: %q", lines)
		}
	})
}

// TestFailingTogetherIsInTheStatus of the group.
func TestFailingTogetherIsInTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withDesk(t, 4, &desk{})
		for i := range 4 {
			r.fails(i, 503)
		}
		settle(2 * time.Second)
		f := r.Status(t.Context()).Groups[0].Together
		if f == nil {
			t.Fatal("nothing is said")
		}
		f.Since = nil
		const want = `{"description":"4 of 4 targets began to fail the same way within one interval (code-mismatch 503): suspect what they share, or the check itself; none is healthy, so requests go to all of them (fail-open)","outcome":"code-mismatch","status":503,"targets":4,"of":4}`
		if got := jsonOf(t, f); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		r.recovers(0)
		r.recovers(1)
		if f := r.Status(t.Context()).Groups[0].Together; f != nil {
			t.Errorf("half of them are back: %+v", f)
		}
		r.stop()
	})
}

func ExamplePredict() {
	h := triage.DefaultHealthCheck()
	h.HoldDown.First = 30 * time.Second
	fmt.Println(Predict(h))
	h.As = triage.HAProxy // which waits for one check to end before it begins to wait for the next
	fmt.Println(Predict(h))
	// Output:
	// {5s to 12s 5s to 12s 10m}
	// {5s to 16s 5s to 16s 10m}
}
