package control

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

const many = 100_000

// largeFile is a config with one group of n targets.
func largeFile(n int) []byte {
	var b strings.Builder
	b.WriteString("listeners:\n  - {name: web, listen: 127.0.0.1:8080, default: {forward: app}}\ngroups:\n  - name: app\n    health_check: {protocol: http}\n    targets:\n")
	for _, m := range largeRoster(n).Members {
		fmt.Fprintf(&b, "      - %s\n", m.Key.Target)
	}
	return []byte(b.String())
}

// largeRoster is what that config comes to.
func largeRoster(n int) triage.Roster {
	r := triage.Roster{Group: triage.Group{Name: "app", NoneHealthy: triage.FailOpen}, Routed: true, Members: make([]triage.Member, n)}
	for i := range r.Members {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(i >> 16), byte(i >> 8), byte(i)}), 9000)
		r.Members[i] = triage.Member{Key: triage.Key{Group: "app", Target: triage.TargetID(addr.String()), Address: addr}, Weight: 1}
	}
	return r
}

// diagnosing is a journal without groups that has a diagnosis for everything.
func diagnosing(log *slog.Logger) *journal {
	return &journal{log: log, explain: func(*triage.Exchange) *triage.Diagnosis { return &triage.Diagnosis{Cause: "nobody listens"} }}
}

// TestBytesPerTarget: what control keeps of a target. The tree that the file is parsed into would be another hundred
// bytes, so this also shows that no string holds on to it.
func TestBytesPerTarget(t *testing.T) {
	const n = 25_000 // as much for each as with four times as many, where every table is as full
	src := largeFile(n)
	before := live()
	grown := func(what string, most int) {
		now := live()
		each := (now - before) / n
		before = now
		t.Logf("%s: %d B for each target", what, each)
		if each > most {
			t.Errorf("%s: want %d B at most", what, most)
		}
	}
	f, err := Parse("triage.yaml", src, env)
	if err != nil {
		t.Fatal(err)
	}
	grown("file", 95)
	rosters := rostersOf(f.Config, nil)
	grown("rosters", 100)
	j := diagnosing(slog.New(slog.DiscardHandler))
	j.follow(rosters, unknown)
	grown("journal", 50)
	j.tell(outage(rosters[0]))
	grown("outage", 0)
	f = edited(t, f, func(f *File) (change, error) {
		return f.removeTarget("app", f.Config.Groups[0].Targets[n-1].ID)
	})
	rosters = rostersOf(f.Config, nil)
	j.follow(rosters, unknown)
	grown("edit", 0)
	runtime.KeepAlive(f)
	runtime.KeepAlive(j)
	runtime.KeepAlive(src)
}

func edited(t *testing.T, f *File, plan func(*File) (change, error)) *File {
	t.Helper()
	planned, err := plan(f)
	if err != nil {
		t.Fatal(err)
	}
	f, err = f.apply(planned)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// live is how many bytes are in use.
func live() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// outage is all members of a group failing at once, as the engine tells it: with the evidence of the first hundred.
func outage(r triage.Roster) []triage.Transition {
	batch := make([]triage.Transition, len(r.Members))
	for i := range batch {
		batch[i] = triage.Transition{Key: r.Members[i].Key, From: well, To: sick(triage.Refused, 0), Source: triage.FromCheck}
		if i < 100 {
			batch[i].Evidence = &triage.Exchange{Key: r.Members[i].Key, Outcome: triage.Refused}
		}
	}
	return batch
}

// TestOutageOf100k in batches as the engine's turns make them: each target counts once, the group's outage is told
// once with its cause, and who was not looked at has no diagnosis.
func TestOutageOf100k(t *testing.T) {
	log := &logBook{}
	r := largeRoster(many)
	all := make([]triage.CheckStatus, many)
	for i := range all {
		all[i] = triage.CheckStatus{Key: r.Members[i].Key, Health: well}
	}
	j := diagnosing(log.logger())
	j.follow([]triage.Roster{r}, func(triage.GroupName) []triage.CheckStatus { return all })
	failed := 0
	for batch := range slices.Chunk(outage(r), 64) {
		j.tell(batch)
		failed += len(batch)
		if g := j.groups["app"]; g.up() != many-failed || g.in[triage.Unhealthy] != failed {
			t.Fatalf("after %d transitions the journal counts %v", failed, g.in)
		}
	}
	j.summarise()
	lines := log.lines()
	var told []string
	for _, line := range lines {
		if !strings.Contains(line, `msg="target unhealthy"`) {
			told = append(told, line)
		}
	}
	equal(t, "log", told, []string{
		`level=ERROR msg="no healthy target in the group: requests go to all of them (fail-open)" group=app targets=100000 outcomes="refused=100000"`,
		`level=WARN msg="and more targets of the group changed" group=app more=99900 to_healthy=0 to_unhealthy=99900 outcomes="refused=99900" in_rotation="0 of 100000"`,
		`level=ERROR msg="100000 of 100000 targets began to fail the same way within one interval (refused): suspect what they share, or the check itself; none is healthy, so requests go to all of them (fail-open)" group=app outcome=refused`,
	})
	if lines := len(lines) - len(told); lines != linesPerSecond {
		t.Errorf("%d targets have a line of their own, want %d", lines, linesPerSecond)
	}
	for i := range many {
		if d := j.diagnosis(r.Members[i].Key); (d != nil) != (i < 100) {
			t.Fatalf("target %d has the diagnosis %v", i, d)
		}
	}
}

// BenchmarkTell100k is the time that an outage of 100,000 takes of control, per target.
func BenchmarkTell100k(b *testing.B) {
	r := largeRoster(many)
	j := diagnosing(slog.New(slog.NewTextHandler(io.Discard, nil)))
	j.follow([]triage.Roster{r}, unknown)
	down := outage(r)
	up := make([]triage.Transition, many)
	for i := range up {
		up[i] = triage.Transition{Key: down[i].Key, From: down[i].To, To: well, Source: triage.FromCheck}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, all := range [][]triage.Transition{down, up} {
			for batch := range slices.Chunk(all, 64) {
				j.tell(batch)
			}
		}
		j.summarise()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(2*many), "ns/transition")
}

// BenchmarkParse100k is most of what a reload of a large file takes of control.
func BenchmarkParse100k(b *testing.B) {
	src := largeFile(many)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("triage.yaml", src, env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFollow100k(b *testing.B) {
	r := largeRoster(many)
	j := diagnosing(slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		j.follow([]triage.Roster{r}, unknown)
	}
}
