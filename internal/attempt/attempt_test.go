package attempt_test

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/attempt"
	"github.com/triage-lb/triage/internal/balance"
)

// table is a table with one group of n targets that fails open.
func table(n int) *balance.Table {
	g := triage.DefaultGroup()
	g.Name = "app"
	r := triage.Roster{Group: g, Routed: true}
	for i := range n {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 80)
		r.Members = append(r.Members, triage.Member{Key: triage.Key{Group: "app", Target: triage.TargetID(addr.String()), Address: addr}, Weight: 1})
	}
	t := balance.New()
	t.Publish([]triage.Roster{r})
	return t
}

var (
	refused   = attempt.Failure{Reason: attempt.ConnectFailed}
	late      = attempt.Failure{Reason: attempt.ConnectTimeout}
	stale     = attempt.Failure{Reason: attempt.ClosedBeforeAnswer, Kept: true, Sent: 90}
	staleNone = attempt.Failure{Reason: attempt.ClosedBeforeAnswer, Kept: true}
	staleBody = attempt.Failure{Reason: attempt.ClosedBeforeAnswer, Kept: true, Sent: 90, BodyRead: 7}
	died      = attempt.Failure{Reason: attempt.ClosedBeforeAnswer, Sent: 90}
	garbage   = attempt.Failure{Reason: attempt.BadAnswer, Sent: 90}
	silent    = attempt.Failure{Reason: attempt.ResponseTimeout, Sent: 90}
)

// TestFate plays failures and compares the targets that were tried, in order ("1 2 2'": second try on a new
// connection to the same one), and the answer.
func TestFate(t *testing.T) {
	tests := []struct {
		name     string
		targets  int
		method   string
		failures []attempt.Failure
		want     string
	}{
		{"the first try answers", 3, "GET", nil, "1 use"},
		{"refused goes to others", 3, "POST", []attempt.Failure{refused}, "1 2' use"},
		{"three tries in all", 5, "GET", []attempt.Failure{refused, refused, refused}, "1 2' 3' 502 connect-failed"},
		{"no target twice", 2, "GET", []attempt.Failure{refused, late}, "1 2' 504 connect-timeout"},
		{"one target, refused", 1, "GET", []attempt.Failure{refused}, "1 502 connect-failed"},
		{"stale connection, GET", 3, "GET", []attempt.Failure{stale}, "1 1' use"},
		{"stale connection, only target", 1, "GET", []attempt.Failure{stale}, "1 1' use"},
		{"stale connection, POST was sent", 3, "POST", []attempt.Failure{stale}, "1 502 closed-before-answer"},
		{"stale connection, POST was not sent", 3, "POST", []attempt.Failure{staleNone}, "1 1' use"},
		{"stale connection, PUT's body is gone", 3, "PUT", []attempt.Failure{staleBody}, "1 502 closed-before-answer"},
		{"stale connection, PUT's body is not read", 3, "PUT", []attempt.Failure{stale}, "1 1' use"},
		{"stale connection, then refused", 3, "GET", []attempt.Failure{stale, refused}, "1 1' 2' use"},
		{"a lower-case method is another method", 3, "get", []attempt.Failure{stale}, "1 502 closed-before-answer"},
		{"a new connection that dies is the target's fault", 3, "GET", []attempt.Failure{died}, "1 502 closed-before-answer"},
		{"stale, then dies", 3, "GET", []attempt.Failure{stale, died}, "1 1' 502 closed-before-answer"},
		{"a bad answer is an answer", 3, "GET", []attempt.Failure{garbage}, "1 502 bad-answer"},
		{"silence is not repeated", 3, "GET", []attempt.Failure{silent}, "1 504 response-timeout"},
		{"our own want", 2, "GET", []attempt.Failure{{Reason: attempt.OutOfResources}, {Reason: attempt.OutOfResources}}, "1 2' 503 out-of-resources"},
		{"nobody", 0, "GET", nil, "503 no-target"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := table(tt.targets)
			if got := play(table, tt.method, tt.failures); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, s := range table.Snapshot("app") {
				if s.InFlight != 0 {
					t.Errorf("%v has %d requests in flight afterwards", s.Key, s.InFlight)
				}
			}
		})
	}
}

// play runs a request to its end and writes down what happened.
func play(table *balance.Table, method string, failures []attempt.Failure) string {
	said := ""
	r := attempt.New(table, "app", method)
	act := r.Start()
	for {
		switch act.Do {
		case attempt.Send:
			said += fmt.Sprint(act.Entry.Key().Address.Addr().As4()[3])
			if act.Fresh {
				said += "'"
			}
			said += " "
			if len(failures) == 0 {
				act = r.Head(200)
				continue
			}
			act, failures = r.Failed(failures[0]), failures[1:]
		case attempt.Use:
			act.Entry.Done()
			return said + "use"
		case attempt.Fail:
			return said + fmt.Sprint(act.Status, " ", act.Reason)
		}
	}
}

func TestNobodyToAsk(t *testing.T) {
	if act := attempt.New(balance.New(), "app", "GET").Start(); act.Status != 503 || act.Reason != attempt.NoGroup {
		t.Errorf("no group: %+v", act)
	}
	g := triage.DefaultGroup()
	g.Name = "app"
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	member := func(p triage.Person) triage.Member {
		return triage.Member{Key: triage.Key{Group: "app", Target: "127.0.0.1:80", Address: addr}, Weight: 1, Person: p}
	}
	for _, tt := range []struct {
		policy  triage.NoneHealthy
		members []triage.Member
		want    attempt.Reason
	}{
		{triage.Answer503, []triage.Member{member(triage.PersonSilent)}, attempt.NoneHealthy},
		{triage.FailOpen, []triage.Member{member(triage.PersonDrained)}, attempt.AllDrain},
		{triage.FailOpen, nil, attempt.NoTarget},
	} {
		g.NoneHealthy = tt.policy
		table := balance.New()
		table.Publish([]triage.Roster{{Group: g, Routed: true, Members: tt.members}})
		if act := attempt.New(table, "app", "GET").Start(); act.Status != 503 || act.Reason != tt.want {
			t.Errorf("want %s: %+v", tt.want, act)
		}
	}
}

func TestClientGone(t *testing.T) {
	table := table(1)
	r := attempt.New(table, "app", "GET")
	r.Start()
	if act := r.ClientGone(); act.Do != attempt.Fail || act.Status != 460 {
		t.Errorf("%+v", act)
	}
	if n := table.Snapshot("app")[0].InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// TestSuspicion: a target is doubted for what it did, not for closing an idle connection, and not for our
// want of resources.
func TestSuspicion(t *testing.T) {
	for f, want := range map[attempt.Failure]bool{
		refused: true, late: true, died: true, garbage: true, silent: true,
		stale: false, {Reason: attempt.OutOfResources}: false, {Reason: attempt.BodyTimeout}: false,
	} {
		if f.Suspicious() != want {
			t.Errorf("%+v: suspicious %t, want %t", f, f.Suspicious(), want)
		}
	}
}

// TestNeverSentTwiceUnlessSafe: whatever fails in whatever order, a request is only sent again if nothing of
// it went out before, or repeating it is harmless; and the tries end.
func TestNeverSentTwiceUnlessSafe(t *testing.T) {
	harmless := map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true}
	rapid.Check(t, func(t *rapid.T) {
		table := table(rapid.IntRange(0, 4).Draw(t, "targets"))
		method := rapid.SampledFrom([]string{"GET", "PUT", "POST", "PATCH", "HEAD"}).Draw(t, "method")
		r := attempt.New(table, "app", method)
		act := r.Start()
		reached, read := false, false
		sends := 0
		for act.Do == attempt.Send {
			sends++
			if sends > attempt.MaxTries {
				t.Fatalf("sent %d times", sends)
			}
			if read || reached && !harmless[method] {
				t.Fatalf("%s was sent again after bytes went out (body read: %t)", method, read)
			}
			f := attempt.Failure{Reason: attempt.Reason(rapid.IntRange(0, int(attempt.ResponseTimeout)).Draw(t, "reason"))}
			if f.Reason > attempt.OutOfResources {
				f.Kept = !act.Fresh && rapid.Bool().Draw(t, "kept")
				f.Sent = int64(rapid.IntRange(0, 2).Draw(t, "sent"))
				f.BodyRead = int64(rapid.IntRange(0, 1).Draw(t, "body read"))
			}
			reached, read = reached || f.Sent > 0, read || f.BodyRead > 0
			act = r.Failed(f)
		}
		if act.Do != attempt.Fail || act.Status < 500 {
			t.Fatalf("ended with %+v", act)
		}
	})
}

func TestReasonsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for r := attempt.ConnectFailed; r <= attempt.ClientGone; r++ {
		info := r.Info()
		if info.Name == "" || info.Status < 400 || info.Sentence == "" || seen[info.Name] {
			t.Errorf("reason %d: %+v", r, info)
		}
		seen[info.Name] = true
	}
}
