package control

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triage-lb/triage"
)

// journalOver returns a journal over a group with n targets that no check has decided yet, and its log.
func journalOver(n int, policy triage.NoneHealthy) (*journal, *logBook, []triage.Roster) {
	log := &logBook{}
	j := &journal{log: log.logger(), explain: func(x *triage.Exchange) *triage.Diagnosis {
		return &triage.Diagnosis{Cause: "cause of " + x.Detail}
	}}
	r := triage.Roster{Group: triage.Group{Name: "app", NoneHealthy: policy}, Routed: true}
	for i := range n {
		r.Members = append(r.Members, triage.Member{Key: memberKey(i)})
	}
	j.follow([]triage.Roster{r}, unknown)
	return j, log, []triage.Roster{r}
}

func memberKey(i int) triage.Key {
	ap := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)
	return triage.Key{Group: "app", Target: triage.TargetID(ap.String()), Address: ap}
}

func unknown(triage.GroupName) []triage.CheckStatus { return nil }

func sick(o triage.Outcome, status uint16) triage.Health {
	return triage.Health{State: triage.Unhealthy, Outcome: o, Status: status}
}

var well = triage.Health{State: triage.Healthy, Outcome: triage.Matched, Status: 200}

func TestOneLinePerTransition(t *testing.T) {
	now := time.Unix(1000, 0)
	since := func(h triage.Health) triage.Health { h.Since = now.Add(-90 * time.Second); return h }
	refused := &triage.Exchange{Detail: "refused"}
	for _, c := range []struct {
		name string
		t    triage.Transition
		want string
	}{
		{"first pass", triage.Transition{To: well},
			`level=INFO msg="target healthy" event=1 group=app target=10.0.0.0:80 address=10.0.0.0:80 from=initial to=healthy outcome=matched status=200 in_rotation="1 of 2"`},
		{"first failure", triage.Transition{To: sick(triage.Refused, 0), Evidence: refused},
			`level=WARN msg="target unhealthy" event=1 group=app target=10.0.0.0:80 address=10.0.0.0:80 from=initial to=unhealthy reason=Target.FailedHealthChecks outcome=refused cause="cause of refused" in_rotation="0 of 2"`},
		{"without evidence", triage.Transition{From: since(well), To: sick(triage.CodeMismatch, 301)},
			`level=WARN msg="target unhealthy" event=1 group=app target=10.0.0.0:80 address=10.0.0.0:80 from=healthy to=unhealthy reason=Target.ResponseCodeMismatch outcome=code-mismatch status=301 cause="the status code is not one of the success codes" after=1m30s in_rotation="0 of 2"`},
		{"other cause", triage.Transition{From: since(sick(triage.Refused, 0)), To: sick(triage.ResponseTimeout, 0), Evidence: refused},
			`level=WARN msg="target still unhealthy, other cause" event=1 group=app target=10.0.0.0:80 address=10.0.0.0:80 from=unhealthy to=unhealthy reason=Target.Timeout outcome=response-timeout cause="cause of refused" after=1m30s in_rotation="0 of 2"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, log, _ := journalOver(2, triage.FailOpen)
			c.t.Key, c.t.At, c.t.Source = memberKey(0), now, triage.FromCheck
			j.tell([]triage.Transition{c.t})
			equal(t, "log", log.lines(), []string{c.want})
		})
	}
}

// TestTheDialectIsLogged, because a failure in another one need not be one in ours.
func TestTheDialectIsLogged(t *testing.T) {
	j, log, rosters := journalOver(2, triage.FailOpen)
	rosters[0].HealthCheck.As = triage.AWSALB
	j.follow(rosters, unknown)
	j.tell([]triage.Transition{{Key: memberKey(0), To: well}})
	equal(t, "log", log.lines(), []string{
		`level=INFO msg="target healthy" event=1 group=app target=10.0.0.0:80 address=10.0.0.0:80 as=aws-alb from=initial to=healthy outcome=matched status=200 in_rotation="1 of 2"`,
	})
}

// TestUndiagnosed: without a diagnosis, the cause is what the check saw, in the detail that there is.
func TestUndiagnosed(t *testing.T) {
	j, log, _ := journalOver(2, triage.FailOpen)
	j.explain = func(*triage.Exchange) *triage.Diagnosis { return nil }
	j.tell([]triage.Transition{{Key: memberKey(0), To: sick(triage.NotHTTP, 0), Evidence: &triage.Exchange{Detail: "bare LF ends a line"}}})
	if got := log.lines()[0]; !strings.Contains(got, `cause="the answer is not valid HTTP/1.x: bare LF ends a line"`) {
		t.Errorf("got %s", got)
	}
}

// TestChecksThatSayNothing: a balancer that cannot check is told apart from targets that are sick.
func TestChecksThatSayNothing(t *testing.T) {
	j, log, _ := journalOver(2, triage.FailOpen)
	doubt := triage.Transition{
		Key: memberKey(0), From: well, To: well, Source: triage.FromChecker, Doubted: true,
		Evidence: &triage.Exchange{Outcome: triage.OutOfResources, Detail: "too many open files"},
	}
	trust := doubt
	trust.Doubted = false
	j.tell([]triage.Transition{doubt, trust})
	equal(t, "log", log.lines(), []string{
		`level=ERROR msg="checks not trustworthy, the last state stays" event=1 group=app target=10.0.0.0:80 state=healthy outcome=out-of-resources cause="this machine had no file descriptor, port, memory or source address for the check: too many open files"`,
		`level=INFO msg="checks trustworthy again" event=2 group=app target=10.0.0.0:80 state=healthy`,
	})
}

func TestDiagnosisIsKeptWhileItHolds(t *testing.T) {
	j, _, rosters := journalOver(2, triage.FailOpen)
	key := memberKey(0)
	tell := func(h triage.Health, x *triage.Exchange) *triage.Diagnosis {
		j.tell([]triage.Transition{{Key: key, To: h, Evidence: x}})
		return j.diagnosis(key)
	}
	if d := tell(sick(triage.Refused, 0), &triage.Exchange{Detail: "a"}); d == nil || d.Cause != "cause of a" {
		t.Errorf("got %v", d)
	}
	j.follow(rosters, unknown)
	if d := j.diagnosis(key); d == nil {
		t.Error("an edit elsewhere lost the diagnosis")
	}
	if d := tell(sick(triage.CodeMismatch, 500), nil); d != nil {
		t.Errorf("the cause changed, and %v is still told", d)
	}
	tell(sick(triage.Refused, 0), &triage.Exchange{Detail: "b"})
	if d := tell(well, nil); d != nil {
		t.Errorf("healthy, with %v", d)
	}
	tell(sick(triage.Refused, 0), &triage.Exchange{Detail: "c"})
	rosters[0].Members = rosters[0].Members[1:]
	j.follow(rosters, unknown)
	if d := j.diagnosis(key); d != nil {
		t.Errorf("removed, with %v", d)
	}
}

func TestTransitionsOfRemovedTargetsAreNotTold(t *testing.T) {
	j, log, _ := journalOver(1, triage.FailOpen)
	j.tell([]triage.Transition{{Key: memberKey(5), To: well}, {Key: triage.Key{Group: "other"}, To: well}})
	equal(t, "log", log.lines(), []string{""})
}

func TestNoHealthyTarget(t *testing.T) {
	for policy, says := range map[triage.NoneHealthy]string{
		triage.FailOpen:  `level=ERROR msg="no healthy target in the group: requests go to all of them (fail-open)" group=app targets=2 outcomes="refused=2"`,
		triage.Answer503: `level=ERROR msg="no healthy target in the group: requests are answered 503" group=app targets=2 outcomes="refused=2"`,
	} {
		j, log, rosters := journalOver(2, policy)
		told := func() (lines []string) {
			for _, l := range log.lines() {
				if strings.Contains(l, "the group") {
					lines = append(lines, l)
				}
			}
			return lines
		}
		j.tell([]triage.Transition{{Key: memberKey(0), To: sick(triage.Refused, 0)}})
		equal(t, "one target has no result yet", told(), nil)
		j.tell([]triage.Transition{{Key: memberKey(1), To: sick(triage.Refused, 0)}})
		equal(t, "both", told(), []string{says})
		j.tell([]triage.Transition{{Key: memberKey(1), From: sick(triage.Refused, 0), To: sick(triage.ConnectTimeout, 0)}})
		j.follow(rosters, unknown)
		equal(t, "still both", told(), []string{says})
		j.tell([]triage.Transition{{Key: memberKey(1), To: well}})
		equal(t, "one again", told(), []string{says, `level=INFO msg="the group has a healthy target again" group=app healthy=1 targets=2`})
		rosters[0].Members[1].Person = triage.PersonDrained
		j.follow(rosters, unknown)
		if lines := told(); len(lines) != 3 || lines[2] != strings.NewReplacer("targets=2", "targets=1", "=2\"", "=1\"").Replace(says) {
			t.Errorf("the only healthy one is drained: %q", lines)
		}
	}
}

// TestNobodyLeft: what becomes of requests is told as it is, also where the checks have nothing to do with it.
func TestNobodyLeft(t *testing.T) {
	j, log, rosters := journalOver(2, triage.FailOpen)
	j.tell([]triage.Transition{{Key: memberKey(0), To: well}, {Key: memberKey(1), To: well}})
	members := rosters[0].Members
	rosters[0].Members = []triage.Member{members[0], members[1]}
	for i := range members {
		rosters[0].Members[i].Person = triage.PersonDrained
		j.follow(rosters, unknown)
	}
	rosters[0].Members = nil
	j.follow(rosters, unknown)
	nameless := triage.Member{Key: triage.Key{Group: "app", Target: "app.internal:80"}, Unresolved: "no such host"}
	rosters[0].Members = []triage.Member{nameless}
	j.follow(rosters, unknown)
	j.tell([]triage.Transition{{Key: nameless.Key, To: sick(triage.ResolveFailed, 0)}})
	rosters[0].Routed = false
	j.follow(rosters, unknown)
	var errors []string
	for _, line := range log.lines() {
		if strings.HasPrefix(line, "level=ERROR") {
			errors = append(errors, line)
		}
	}
	equal(t, "log", errors, []string{
		`level=ERROR msg="every target of the group drains: requests are answered 503" group=app targets=2`,
		`level=ERROR msg="the group has no targets: requests are answered 503" group=app targets=0`,
		`level=ERROR msg="no healthy target in the group: requests are answered 503" group=app targets=1 outcomes="resolve=1"`,
	})
}

// TestMassFailure: a group in which everything fails at once is a hundred lines and a summary in each second, the
// summary says why, and no event is forgotten in the count.
func TestMassFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, log, _ := journalOver(500, triage.FailOpen)
		var batch []triage.Transition
		for i := range 500 {
			from, to := well, sick(triage.Refused, 0)
			switch {
			case i%5 == 0:
				from, to = sick(triage.Refused, 0), well
			case i%50 == 1:
				to = sick(triage.ResponseTimeout, 0)
			}
			batch = append(batch, triage.Transition{Key: memberKey(i), From: from, To: to})
		}
		j.tell(batch)
		before := time.Now()
		<-j.tick
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("summary after %s", waited)
		}
		j.summarise()
		lines := log.lines()
		if len(lines) != linesPerSecond+2 {
			t.Fatalf("%d lines", len(lines))
		}
		if want := `level=ERROR msg="390 of 500 targets began to fail the same way within one interval (refused): suspect what they share, or the check itself; requests go to the 100 in rotation" group=app outcome=refused`; lines[linesPerSecond+1] != want {
			t.Errorf("got %s", lines[linesPerSecond+1])
		}
		if want := `level=WARN msg="and more targets of the group changed" group=app more=400 to_healthy=80 to_unhealthy=320 outcomes="refused=312 response-timeout=8" in_rotation="100 of 500"`; lines[linesPerSecond] != want {
			t.Errorf("got %s", lines[linesPerSecond])
		}
		j.tell([]triage.Transition{{Key: memberKey(0), To: sick(triage.Refused, 0)}})
		if lines = log.lines(); !strings.Contains(lines[len(lines)-1], "event=501 ") {
			t.Errorf("the next second begins with %s", lines[len(lines)-1])
		}
		<-j.tick
	})
}

// TestMassStart: that a large group is healthy from the start is ten lines and a number; its sick targets have a line
// each all the same, and so has one that comes back.
func TestMassStart(t *testing.T) {
	j, log, _ := journalOver(2000, triage.FailOpen)
	var batch []triage.Transition
	for i := range 1999 {
		batch = append(batch, triage.Transition{Key: memberKey(i), To: well})
	}
	j.tell(append(batch,
		triage.Transition{Key: memberKey(1999), To: sick(triage.Refused, 0)},
		triage.Transition{Key: memberKey(1999), From: sick(triage.Refused, 0), To: well},
	))
	j.summarise()
	lines := log.lines()
	if len(lines) != startsPerSecond+3 {
		t.Fatalf("%d lines", len(lines))
	}
	lines = lines[startsPerSecond:]
	if !strings.Contains(lines[0], "target unhealthy") || !strings.Contains(lines[1], "target healthy") {
		t.Errorf("got %s\nand %s", lines[0], lines[1])
	}
	if want := `level=INFO msg="and more targets of the group are healthy" group=app more=1989 in_rotation="2000 of 2000"`; lines[2] != want {
		t.Errorf("got %s", lines[2])
	}
}

// TestMassDoubt: a machine that has no descriptors left is told apart from its targets, and not once for each. Of a
// check whose evidence is not there, no outcome is claimed.
func TestMassDoubt(t *testing.T) {
	j, log, _ := journalOver(500, triage.FailOpen)
	var batch []triage.Transition
	for i := range 500 {
		doubt := triage.Transition{Key: memberKey(i), From: well, To: well, Source: triage.FromChecker, Doubted: i%5 > 0}
		if i < 20 {
			doubt.Evidence = &triage.Exchange{Outcome: triage.OutOfResources}
		}
		batch = append(batch, doubt)
	}
	j.tell(batch)
	j.tell([]triage.Transition{{Key: memberKey(0), To: well}})
	j.summarise()
	lines := log.lines()
	if len(lines) != linesPerSecond+2 {
		t.Fatalf("%d lines", len(lines))
	}
	if line := lines[19]; !strings.Contains(line, "outcome=out-of-resources cause=") {
		t.Errorf("with evidence: %s", line)
	}
	if line := lines[21]; strings.Contains(line, "outcome=") || !strings.Contains(line, `cause="the last three checks ended by our own fault`) {
		t.Errorf("without evidence: %s", line)
	}
	if !strings.Contains(lines[linesPerSecond], "target healthy") {
		t.Errorf("a change of a target got no line of its own: %s", lines[linesPerSecond])
	}
	if want := `level=ERROR msg="and more checks of the group changed" group=app more=400 to_trustworthy=80 to_not_trustworthy=320 known_outcomes="out-of-resources=16"`; lines[linesPerSecond+1] != want {
		t.Errorf("got %s", lines[linesPerSecond+1])
	}
}

// TestTrustIsNoAlarm: checks that say something again are no error, however many there are.
func TestTrustIsNoAlarm(t *testing.T) {
	j, log, _ := journalOver(200, triage.FailOpen)
	for i := range 200 {
		j.tell([]triage.Transition{{Key: memberKey(i), From: well, To: well, Source: triage.FromChecker}})
	}
	j.summarise()
	lines := log.lines()
	if want := `level=INFO msg="and more checks of the group changed" group=app more=100 to_trustworthy=100 to_not_trustworthy=0`; lines[len(lines)-1] != want {
		t.Errorf("got %s", lines[len(lines)-1])
	}
}

// TestOutcomeCounts: the most frequent come first, and the rest is not forgotten.
func TestOutcomeCounts(t *testing.T) {
	var c outcomeCounts
	if got := c.String(); got != "" {
		t.Errorf("nothing is %q", got)
	}
	c[triage.Refused], c[triage.ResponseTimeout] = 2, 900
	if got := c.String(); got != "response-timeout=900 refused=2" {
		t.Errorf("two are %q", got)
	}
	c[triage.ConnectTimeout], c[triage.NotHTTP], c[triage.TLSClosed], c[triage.BodyTimeout], c[triage.CodeMismatch] = 7, 6, 5, 1, 1
	if got := c.String(); got != "response-timeout=900 connect-timeout=7 not-http=6 tls-closed=5 refused=2 others=2" {
		t.Errorf("seven are %q", got)
	}
}

// TestNoEvidenceNoDiagnosis: what was found out about one target names that one's Host, and is said of no other, however
// alike their answers are; nor of the same target after it was ill in another way.
func TestNoEvidenceNoDiagnosis(t *testing.T) {
	j, log, _ := journalOver(3, triage.FailOpen)
	tell := func(i int, h triage.Health, x *triage.Exchange) *triage.Diagnosis {
		j.tell([]triage.Transition{{Key: memberKey(i), To: h, Source: triage.FromCheck, Evidence: x}})
		return j.diagnosis(memberKey(i))
	}
	if d := tell(0, sick(triage.CodeMismatch, 400), &triage.Exchange{Detail: "10.0.0.0:80"}); d == nil {
		t.Error("no diagnosis with evidence")
	}
	if d := tell(1, sick(triage.CodeMismatch, 400), nil); d != nil {
		t.Errorf("another target's: %v", d)
	}
	if d := tell(0, sick(triage.CodeMismatch, 500), nil); d != nil {
		t.Errorf("of another illness: %v", d)
	}
	if lines := log.lines(); !strings.HasSuffix(lines[1], `cause="the status code is not one of the success codes" in_rotation="0 of 3"`) {
		t.Errorf("got %s", lines[1])
	}
}

func TestInboxNeverBlocksAndSaysWhatItDropped(t *testing.T) {
	i := inbox{ready: make(chan struct{}, 1)}
	batch := make([]triage.Transition, maxInbox/2+1)
	i.put(batch)
	i.put(batch)
	i.put(batch)
	got, dropped := i.take()
	if len(got) != maxInbox || dropped != 3*len(batch)-maxInbox {
		t.Errorf("%d taken, %d dropped", len(got), dropped)
	}
	if got, dropped = i.take(); len(got) != 0 || dropped != 0 {
		t.Errorf("then %d taken, %d dropped", len(got), dropped)
	}
}

// TestGapIsHealed: after transitions were lost, the levels come from the engine.
func TestGapIsHealed(t *testing.T) {
	r := start(t, app)
	var checks []triage.CheckStatus
	for _, m := range r.roster().Members {
		checks = append(checks, triage.CheckStatus{Key: m.Key, Health: sick(triage.Refused, 0)})
	}
	r.mu.Lock()
	r.checks = checks
	r.mu.Unlock()
	r.Observe(make([]triage.Transition, maxInbox+9))
	eventually(t, "levels", func() bool { return strings.Contains(fmt.Sprint(r.log.lines()), "no healthy target") })
	if all := fmt.Sprint(r.log.lines()); !strings.Contains(all, "level=WARN msg=\"gap: more transitions came than could be told\" dropped=9") {
		t.Errorf("log: %s", all)
	}
}
