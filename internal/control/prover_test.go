package control

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triage-lb/triage"
)

// desk is a [Prove] that a test plays: it notes who asks when, and answers when the test lets it.
type desk struct {
	mu    sync.Mutex
	asked []Inquiry
	at    []time.Duration // since the first time
	start time.Time

	wait   chan struct{} // not nil: answers wait for it to be closed
	unsure bool          // nothing can be said
	ended  bool          // an answer was cut short, and that is over
}

func (d *desk) prove(ctx context.Context, in Inquiry) *triage.Diagnosis {
	d.mu.Lock()
	if d.start.IsZero() {
		d.start = time.Now()
	}
	d.asked, d.at = append(d.asked, in), append(d.at, time.Since(d.start))
	wait, unsure := d.wait, d.unsure
	d.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			time.Sleep(time.Second) // whoever waits for us has to be patient
			d.mu.Lock()
			d.ended = true
			d.mu.Unlock()
		}
	}
	if unsure {
		return nil
	}
	return &triage.Diagnosis{Code: "host-not-allowed", Cause: "it wants a name", Certainty: triage.Proved, Proof: "asked " + in.Exchange.Key.Address.String(), Asked: []string{"Host localhost: 200"}}
}

func (d *desk) times() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.at)
}

// withDesk runs a control over a group of n targets whose failures are brought to a desk. It is for a synctest bubble.
func withDesk(t *testing.T, n int, d *desk) running {
	t.Helper()
	text := "listeners: [{name: web, listen: \":8080\", default: {forward: app}}]\ngroups:\n  - name: app\n    health_check: {protocol: http, path: /ok, host: shop.example}\n    targets:\n"
	for i := range n {
		text += "      - " + memberKey(i).Address.String() + "\n"
	}
	r := running{world: &world{}, log: &logBook{}, path: filepath.Join(t.TempDir(), "triage.yaml")}
	write(t, r.path, text)
	c, err := New(Config{
		Path: r.path, Getenv: env, Log: r.log.logger(), Prove: d.prove,
		Explain: func(x *triage.Exchange) *triage.Diagnosis {
			return &triage.Diagnosis{Code: fmt.Sprint("code-", x.Status), Cause: "it says " + fmt.Sprint(x.Status), Certainty: triage.Likely}
		},
		Engine: worldEngine{r.world}, Table: worldTable{r.world}, Listeners: worldListeners{r.world}, Resolver: worldResolver{r.world},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Control = c
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Started()
	r.stop = func() error { cancel(); return <-done }
	return r
}

// fails has a target fail with a status, with evidence.
func (r running) fails(i int, status uint16) {
	x := &triage.Exchange{Key: memberKey(i), Outcome: triage.CodeMismatch, Status: int(status)}
	r.Observe([]triage.Transition{{Key: x.Key, From: well, To: sick(x.Outcome, status), Source: triage.FromCheck, At: time.Now(), Evidence: x}})
	synctest.Wait()
}

func (r running) recovers(i int) {
	r.Observe([]triage.Transition{{Key: memberKey(i), From: sick(triage.CodeMismatch, 400), To: well, Source: triage.FromCheck, At: time.Now()}})
	synctest.Wait()
}

func (r running) has(text string) (lines []string) {
	for _, line := range r.log.lines() {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r running) diagnosisOf(t *testing.T, i int) *triage.Diagnosis {
	return r.Status(t.Context()).Groups[0].Targets[i].Diagnosis
}

// settle lets time pass until all that is going on has ended.
func settle(d time.Duration) {
	time.Sleep(d) // in the bubble's time
	synctest.Wait()
}

// TestTheProofFollows as a line of its own, and in the status of the target that was asked: what was found out about one
// target is never said of another, however alike they are.
func TestTheProofFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		r := withDesk(t, 3, d)
		r.fails(0, 400)
		r.fails(1, 400)
		settle(10 * time.Second)
		equal(t, "log", r.has("diagnosed"), []string{
			`level=INFO msg="target diagnosed" event=2 group=app target=10.0.0.0:80 address=10.0.0.0:80 code=host-not-allowed certainty=proved cause="it wants a name" proof="asked 10.0.0.0:80"`,
		})
		if got := r.diagnosisOf(t, 0); got.Certainty != triage.Proved || got.Proof != "asked 10.0.0.0:80" {
			t.Errorf("the one that was asked: %+v", got)
		}
		if got := r.diagnosisOf(t, 1); got.Certainty != triage.Likely || got.Code != "code-400" {
			t.Errorf("another: %+v", got)
		}
		in := d.asked[0]
		if in.Check.Path != "/ok" || !in.Access.Admin.IsValid() || in.Exchange.Status != 400 || !slices.Equal(in.Hosts, []string{"shop.example"}) {
			t.Errorf("asked %+v", in)
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestOneDiagnosisASecond at most, however many kinds of failures there are, and each kind once in ten minutes.
func TestOneDiagnosisASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		r := withDesk(t, 4, d)
		for i := range 4 {
			r.fails(i, 500+uint16(i))
		}
		settle(10 * time.Second)
		equal(t, "times", d.times(), []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second})
		for range 60 {
			r.recovers(0)
			r.fails(0, 500)
			settle(10 * time.Second)
		}
		times := d.times()
		if len(times) != 5 || times[4] < proveAgain || times[4] > proveAgain+11*time.Second {
			t.Errorf("asked at %v", times)
		}
		r.stop()
	})
}

// TestProvingNeverBlocks: while nobody answers, four are under way, some wait, and the rest is counted; control goes on.
func TestProvingNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{wait: make(chan struct{})}
		r := withDesk(t, 200, d)
		for i := range 200 {
			r.fails(i, 300+uint16(i))
		}
		settle(time.Minute)
		if n := len(d.times()); n != maxProving {
			t.Errorf("%d are under way", n)
		}
		if n := len(r.Status(t.Context()).Groups[0].Targets); n != 200 {
			t.Errorf("the status has %d targets", n)
		}
		close(d.wait)
		settle(2 * time.Minute)
		// One had begun before the queue was full.
		asked, dropped := len(d.times()), 0
		for _, line := range r.has("more kinds of failures than can be asked about") {
			n := 0
			if _, err := fmt.Sscanf(line[strings.Index(line, "dropped="):], "dropped=%d", &n); err != nil {
				t.Fatal(line)
			}
			dropped += n
		}
		if asked != maxSuspect+1 || dropped != 200-asked || len(r.has("target diagnosed")) != asked {
			t.Errorf("%d asked, %d dropped, %d told", asked, dropped, len(r.has("target diagnosed")))
		}
		r.stop()
	})
}

// TestOldFindingsAreNotTold: a target that is well again, or is checked otherwise, has nothing of what was asked before.
func TestOldFindingsAreNotTold(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r running){
		"recovered":      func(_ *testing.T, r running) { r.recovers(0) },
		"another answer": func(_ *testing.T, r running) { r.fails(0, 500) },
		"drained": func(t *testing.T, r running) {
			if _, err := r.Drain(t.Context(), "app", memberKey(0).Target, true); err != nil {
				t.Fatal(err)
			}
		},
		"edited": func(t *testing.T, r running) {
			path := "/other"
			if _, err := r.SetHealthCheck(t.Context(), "app", HealthCheckEdit{Path: &path}); err != nil {
				t.Fatal(err)
			}
		},
		"removed": func(t *testing.T, r running) {
			if _, err := r.RemoveTarget(t.Context(), "app", memberKey(0).Target); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &desk{wait: make(chan struct{}), unsure: false}
				r := withDesk(t, 2, d)
				r.fails(0, 400)
				d.mu.Lock()
				wait := d.wait
				d.wait, d.unsure = nil, true // for whoever comes later
				d.mu.Unlock()
				change(t, r)
				close(wait)
				settle(time.Minute)
				if lines := r.has("target diagnosed"); lines != nil {
					t.Errorf("told: %q", lines)
				}
				r.stop()
			})
		})
	}
}

// TestNothingToSayMeansAskAgain: a target that did not fail any more when it was asked is asked at its next failure.
func TestNothingToSayMeansAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{unsure: true}
		r := withDesk(t, 1, d)
		for range 3 {
			r.fails(0, 400)
			r.recovers(0)
			settle(5 * time.Second)
		}
		if n := len(d.times()); n != 3 || r.has("target diagnosed") != nil {
			t.Errorf("asked %d times, told %q", n, r.has("target diagnosed"))
		}
		r.stop()
	})
}

// TestUndecidedIsToldToo, with what was asked: nobody has to ask it again.
func TestUndecidedIsToldToo(t *testing.T) {
	j, log, _ := journalOver(1, triage.FailOpen)
	changes(j, 0, sick(triage.CodeMismatch, 400))
	g, m := j.find(memberKey(0))
	j.tellDiagnosed(g, m, &triage.Diagnosis{
		Code: "undiagnosed", Cause: "the answer is 400", Certainty: triage.Unknown,
		Candidates: []string{"host-not-allowed", "http2-only"}, Asked: []string{"Host localhost: 400", "path /: 400"},
	})
	if line := log.lines()[len(log.lines())-1]; !strings.HasSuffix(line, ` code=undiagnosed certainty=unknown cause="the answer is 400" candidates=host-not-allowed,http2-only asked="Host localhost: 400; path /: 400"`) {
		t.Errorf("got %s", line)
	}
}

// TestProvingEndsWithControl: whoever is asking is told to stop, and waited for.
func TestProvingEndsWithControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{wait: make(chan struct{})}
		r := withDesk(t, 1, d)
		r.fails(0, 400)
		if len(d.times()) != 1 {
			t.Fatal("nobody asks")
		}
		r.stop()
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.ended {
			t.Error("control has ended before whoever it has sent")
		}
		if lines := r.has("target diagnosed"); lines != nil {
			t.Errorf("told: %q", lines)
		}
	})
}
