package probe

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// badPlan is the plan that an answer of the table is for.
func badPlan(a badinput.Answer) *Plan {
	c := settings(a.Protocols()[0])
	c.Timeout = badinput.Limit
	return Compile(dialect.Get(triage.Own), c)
}

// feed drives a session with the bytes in pieces that end at the cuts, and then ends the connection in the way given.
// Whatever the session writes is taken.
func feed(t testing.TB, p *Plan, in []byte, cuts []int, end badinput.Ending) *triage.Exchange {
	t.Helper()
	now := time.Unix(1_000_000, 0)
	s, a := p.Start(target, now)
	defer s.Stop()
	handle := func(e Event) {
		for ; a.Kind != Done; e = (Event{Kind: Written}) {
			now = now.Add(time.Millisecond)
			e.At = now
			if a = s.Handle(e); a.Kind != Write {
				return
			}
		}
	}
	handle(Event{Kind: Connected})
	at := 0
	for _, cut := range append(cuts, len(in)) {
		if cut > at && cut <= len(in) {
			handle(Event{Kind: Data, Data: in[at:cut]})
			at = cut
		}
	}
	handle(map[badinput.Ending]Event{
		badinput.Hangs:  {Kind: DeadlinePassed},
		badinput.Closes: {Kind: EOF},
		badinput.Resets: {Kind: Reset, Err: syscall.ECONNRESET},
	}[end])
	if a.Kind != Done {
		t.Fatalf("no verdict: the last action is %d", a.Kind)
	}
	return s.Exchange()
}

// checkBad holds what was seen of an answer to the table.
func checkBad(t *testing.T, a badinput.Answer, x *triage.Exchange) {
	t.Helper()
	if x.Outcome != a.Want || x.Status != a.Status || !strings.Contains(x.Detail, a.Detail) {
		t.Errorf("%s %d (%s), want %s %d (%s)", x.Outcome, x.Status, x.Detail, a.Want, a.Status, a.Detail)
	}
	if len(x.Head) > maxKeptHead || len(x.Body) > DefaultKeepBody {
		t.Errorf("kept %d bytes of head and %d of body", len(x.Head), len(x.Body))
	}
}

// TestBadAnswersHoweverCut: each has its outcome in one piece, byte by byte, and split at any place.
func TestBadAnswersHoweverCut(t *testing.T) {
	for _, a := range append(badinput.Answers(), badinput.H2Answers()...) {
		if a.Beyond != "" {
			continue // a conversation
		}
		t.Run(a.Name, func(t *testing.T) {
			p, in := badPlan(a), []byte(a.Bytes(2<<20))
			whole := feed(t, p, in, nil, a.Then)
			checkBad(t, a, whole)
			for name, cuts := range map[string][]int{"byte by byte": each(1, min(len(in), 80<<10)), "packet by packet": each(1448, len(in))} {
				if x := feed(t, p, in, cuts, a.Then); x.Outcome != whole.Outcome || x.Status != whole.Status {
					t.Errorf("%s %s %d (%s), whole %s %d (%s)", name, x.Outcome, x.Status, x.Detail, whole.Outcome, whole.Status, whole.Detail)
				}
			}
			places := each(1, min(len(in), 300))
			if len(in) > 4<<10 || badinput.Race {
				places = each(37, 300)
			}
			for _, at := range places {
				if x := feed(t, p, in, []int{at}, a.Then); x.Outcome != whole.Outcome || x.Status != whole.Status {
					t.Errorf("split at %d %s %d (%s), whole %s %d (%s)", at, x.Outcome, x.Status, x.Detail, whole.Outcome, whole.Status, whole.Detail)
				}
			}
		})
	}
}

// each is every so many bytes up to the end.
func each(step, end int) (cuts []int) {
	for at := step; at < end; at += step {
		cuts = append(cuts, at)
	}
	return cuts
}

// TestEndlessAnswersAreBounded: whatever does not end is ended, soon and in little memory.
func TestEndlessAnswersAreBounded(t *testing.T) {
	const (
		piece  = 16 << 10
		memory = 256 << 10 // of a session at any time: a head at its limit, and what slices hold in reserve
		listen = 3 << 20   // bytes: maxBody in small chunks
	)
	for _, a := range append(badinput.Answers(), badinput.H2Answers()...) {
		if a.Times != badinput.Forever || a.Drips {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			in := []byte(a.Bytes(listen))
			before := heap()
			at := time.Unix(1, 0)
			s, _ := badPlan(a).Start(target, at)
			defer s.Stop()
			s.Handle(Event{Kind: Connected, At: at})
			action := s.Handle(Event{Kind: Written, At: at})
			taken := 0
			for n := 0; action.Kind == Wait && taken < len(in); n++ {
				b := in[taken:min(taken+piece, len(in))]
				taken += len(b)
				if action = s.Handle(Event{Kind: Data, At: at, Data: b}); action.Kind == Write {
					action = s.Handle(Event{Kind: Written, At: at})
				}
				if n%16 > 0 {
					continue // to look takes time
				}
				if held := heap() - before; held > memory {
					t.Errorf("%d KiB held after %d KiB", held>>10, taken>>10)
				}
			}
			if held := heap() - before; held > memory {
				t.Errorf("%d KiB held at the end", held>>10)
			}
			if action.Kind != Done {
				t.Fatalf("no verdict after %d bytes", taken)
			}
			checkBad(t, a, s.Exchange())
			runtime.KeepAlive(in)
		})
	}
}

// FuzzH2Session: the same as FuzzSession for HTTP/2, without anybody to compare with; package h2 is compared by itself.
func FuzzH2Session(f *testing.F) {
	for _, a := range badinput.H2Answers() {
		f.Add([]byte(a.Bytes(4<<10)), []byte{1, 7}, uint8(a.Then))
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, end uint8) {
		c := settings(triage.H2C)
		c.SuccessCodes = triage.MatchCodes(100, 599)
		fuzzCuts(t, c, in, cuts, end)
		p, ending := Compile(dialect.Get(triage.Own), settings(triage.GRPC)), badinput.Ending(end%3)
		whole, bytewise := feed(t, p, in, nil, ending), feed(t, p, in, each(1, len(in)), ending)
		if whole.Outcome != bytewise.Outcome || whole.Status != bytewise.Status || whole.Outcome.Verdict() == triage.Neutral {
			t.Errorf("gRPC: %s %d (%s), byte by byte %s %d (%s)", whole.Outcome, whole.Status, whole.Detail, bytewise.Outcome, bytewise.Status, bytewise.Detail)
		}
	})
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
