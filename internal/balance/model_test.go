package balance

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// model is the table as a person would do it by hand: no pools, no shared counts, everything looked up anew.
type model struct {
	rosters map[triage.GroupName]triage.Roster
	health  map[triage.Key]triage.Health
	running map[triage.Key]int
	leaving map[triage.Key]time.Time
}

// may returns who may take a request of the group right now, by weight.
func (m *model) may(name triage.GroupName) map[triage.Key]int {
	r := m.rosters[name]
	healthy, open := map[triage.Key]int{}, map[triage.Key]int{}
	for _, member := range r.Members {
		if !r.Routed || member.Person == triage.PersonDrained || !member.Key.Address.IsValid() {
			continue
		}
		open[member.Key] = member.Weight
		if m.health[member.Key].State == triage.Healthy {
			healthy[member.Key] = member.Weight
		}
	}
	if len(healthy) == 0 && r.NoneHealthy == triage.FailOpen {
		return open
	}
	return healthy
}

// TestAgainstModel plays random rosters, healths and requests on a table and on the model. After each step,
// who is picked must be somebody the model allows (invariant 8; no traffic to initial or unhealthy targets
// unless failing open), a full cycle of picks must meet everybody exactly as often as he weighs, and the
// snapshot must name every member and everybody who drains.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		table := New()
		m := &model{
			rosters: map[triage.GroupName]triage.Roster{},
			health:  map[triage.Key]triage.Health{},
			running: map[triage.Key]int{},
			leaving: map[triage.Key]time.Time{},
		}
		var held []*Entry
		names := []triage.GroupName{"a", "b"}

		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				rosters := drawRosters(t, names)
				table.Publish(rosters)
				m.publish(rosters, time.Now())
			},
			"observe": func(t *rapid.T) {
				key := drawKey(t, rapid.SampledFrom(names).Draw(t, "group"))
				to := triage.Health{State: rapid.SampledFrom([]triage.State{triage.Healthy, triage.Unhealthy}).Draw(t, "state")}
				table.Observe([]triage.Transition{{Key: key, To: triage.Health{State: triage.Unhealthy}}})
				table.Level([]triage.HealthLevel{{Key: key, Health: to}})
				table.round(now)
				m.observe(key, to)
			},
			"request": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "group")
				pool := table.Pool(name)
				if pool == nil {
					return
				}
				if e := pool.pick(Want{}); e != nil {
					held = append(held, e)
					m.running[e.Key()]++
				}
			},
			"done": func(t *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(t, "which")
				e := held[i]
				held = append(held[:i], held[i+1:]...)
				e.Done()
				m.running[e.Key()]--
				table.round(now)
				m.sweep()
			},
			"": func(t *rapid.T) {
				for _, name := range names {
					checkPicks(t, table.Pool(name), m.may(name))
					checkSnapshot(t, table.Snapshot(name), m, name)
					checkStates(t, table, name)
				}
			},
		})
	})
}

func (m *model) publish(rosters []triage.Roster, now time.Time) {
	old := m.rosters
	m.rosters = map[triage.GroupName]triage.Roster{}
	registered := map[triage.Key]bool{}
	for _, r := range rosters {
		m.rosters[r.Name] = r
		for _, member := range r.Members {
			registered[member.Key] = true
			if _, was := m.leaving[member.Key]; was {
				delete(m.leaving, member.Key)
				delete(m.health, member.Key)
			}
		}
	}
	for _, r := range old {
		for _, member := range r.Members {
			if !registered[member.Key] {
				m.leaving[member.Key] = now
			}
		}
	}
	m.sweep()
}

func (m *model) observe(key triage.Key, to triage.Health) {
	for _, member := range m.rosters[key.Group].Members {
		if member.Key == key {
			m.health[key] = to
		}
	}
}

// sweep forgets who has left and has nothing to finish.
func (m *model) sweep() {
	for key := range m.leaving {
		if m.running[key] == 0 {
			delete(m.leaving, key)
			delete(m.health, key)
		}
	}
}

func checkPicks(t *rapid.T, pool *Pool, may map[triage.Key]int) {
	if pool == nil {
		if len(may) > 0 {
			t.Fatalf("no pool, want picks among %v", may)
		}
		return
	}
	common, total := 0, 0
	for _, weight := range may {
		common, total = gcd(common, weight), total+weight
	}
	if total == 0 {
		if e := pool.pick(Want{}); e != nil {
			t.Fatalf("picked %v, want nobody", e.Key())
		}
		return
	}
	picks := map[triage.Key]int{}
	for range total / common {
		e := pool.pick(Want{})
		if e == nil {
			t.Fatalf("picked nobody, want one of %v", may)
		}
		e.Done()
		picks[e.Key()]++
	}
	for key, weight := range may {
		if picks[key] != weight/common {
			t.Fatalf("%v was picked %d times in a cycle, want %d (weights %v)", key, picks[key], weight/common, may)
		}
	}
	if len(picks) != len(may) {
		t.Fatalf("picked %v, want only %v", picks, may)
	}
	var tried []*Entry
	for range may {
		e := pool.pick(Want{Not: tried})
		if e == nil {
			t.Fatalf("after %d of %d picked nobody", len(tried), len(may))
		}
		e.Done()
		tried = append(tried, e)
	}
	if e := pool.pick(Want{Not: tried}); e != nil {
		t.Fatalf("picked %v again", e.Key())
	}
}

func checkSnapshot(t *rapid.T, all []triage.BalanceStatus, m *model, name triage.GroupName) {
	want := map[triage.Key]triage.Registration{}
	for _, member := range m.rosters[name].Members {
		want[member.Key] = triage.NotRouted
		if m.rosters[name].Routed {
			want[member.Key] = triage.Registered
		}
	}
	for key := range m.leaving {
		if key.Group == name {
			want[key] = triage.Deregistered
		}
	}
	for _, s := range all {
		registration, known := want[s.Key]
		if !known || registration != s.Registration {
			t.Fatalf("snapshot has %v as %v, want %v (known %t)", s.Key, s.Registration, registration, known)
		}
		if s.Registration == triage.Deregistered && s.State != triage.Draining {
			t.Fatalf("removed %v is %v", s.Key, s.State)
		}
		if int(s.InFlight) != m.running[s.Key] {
			t.Fatalf("%v has %d in flight, want %d", s.Key, s.InFlight, m.running[s.Key])
		}
		delete(want, s.Key)
	}
	if len(want) > 0 {
		t.Fatalf("snapshot lacks %v", want)
	}
}

func checkStates(t *rapid.T, table *Table, name triage.GroupName) {
	var want States
	for _, s := range table.Snapshot(name) {
		want.Members[s.State]++
	}
	if pool := table.Pool(name); pool != nil {
		want.FailingOpen, want.InRotation = pool.FailingOpen(), pool.Healthy()
		if want.FailingOpen {
			for _, s := range table.Snapshot(name) {
				if s.Key.Address.IsValid() && (s.State == triage.Unhealthy || s.State == triage.Initial) {
					want.InRotation++
				}
			}
		}
	}
	if got := table.States(name); got != want {
		t.Fatalf("states of %s are %v, want %v", name, got, want)
	}
}

func drawRosters(t *rapid.T, names []triage.GroupName) []triage.Roster {
	var rosters []triage.Roster
	for _, name := range names {
		if rapid.IntRange(0, 5).Draw(t, "absent") == 0 {
			continue
		}
		g := triage.DefaultGroup()
		g.Name = name
		g.NoneHealthy = rapid.SampledFrom([]triage.NoneHealthy{triage.FailOpen, triage.Answer503}).Draw(t, "none_healthy")
		r := triage.Roster{Group: g, Routed: rapid.IntRange(0, 4).Draw(t, "unrouted") > 0}
		seen := map[triage.Key]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			key := drawKey(t, name)
			if seen[key] {
				continue
			}
			seen[key] = true
			r.Members = append(r.Members, triage.Member{
				Key:    key,
				Weight: rapid.SampledFrom([]int{1, 1, 2, 3, 6, 256}).Draw(t, "weight"),
				Person: rapid.SampledFrom([]triage.Person{triage.PersonSilent, triage.PersonSilent, triage.PersonDrained}).Draw(t, "person"),
			})
		}
		rosters = append(rosters, r)
	}
	return rosters
}

// drawKey makes a key among few, one of them without an address.
func drawKey(t *rapid.T, group triage.GroupName) triage.Key {
	n := rapid.IntRange(0, 6).Draw(t, "target")
	if n == 0 {
		return triage.Key{Group: group, Target: "unresolved.example:80"}
	}
	return key(group, n)
}

func key(group triage.GroupName, n int) triage.Key {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(n)}), 80)
	return triage.Key{Group: group, Target: triage.TargetID(fmt.Sprint(addr)), Address: addr}
}
