package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestEditForgetsTheStreak: failures by the old settings do not count against the new ones, but the state stays.
func TestEditForgetsTheStreak(t *testing.T) {
	address, answer := asked(t, "/old", "/new")
	c := fastCheck()
	c.Path, c.Timeout, c.Thresholds = "/old", time.Hour, triage.Thresholds{Healthy: 2, Unhealthy: 2}
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(c, address)})
	answer["/old"] <- 200
	eventually(t, "healthy", stateIs(e, triage.Healthy))
	answer["/old"] <- 500
	eventually(t, "one failure of two", func() bool { return e.Snapshot("app")[0].Health.Streak == 1 })

	c.Path = "/new"
	e.Set([]triage.Roster{roster(c, address)})
	if h := e.Snapshot("app")[0].Health; h.State != triage.Healthy || h.Streak != 0 {
		t.Errorf("after the edit: %s, streak %d", h.State, h.Streak)
	}
	answer["/new"] <- 500
	eventually(t, "the first failure by the new settings", func() bool { return e.Snapshot("app")[0].Checks == 3 })
	if h := e.Snapshot("app")[0].Health; h.State != triage.Healthy || h.Streak != 1 {
		t.Errorf("after one failure by the new settings: %s, streak %d", h.State, h.Streak)
	}
}

// TestEditEndsTheCheckUnderWay: a check by settings that are gone is not waited for, and its result is nobody's.
func TestEditEndsTheCheckUnderWay(t *testing.T) {
	hanging := newSilent(t)
	address, answer := asked(t, "/")
	c := fastCheck()
	c.Timeout, c.Port = time.Hour, hanging.address.Port()
	e, _ := start(t, Config{})
	e.Set([]triage.Roster{roster(c, address)})
	eventually(t, "the check hangs", func() bool { return hanging.open.Load() == 1 })
	c.Port = 0
	e.Set([]triage.Roster{roster(c, address)})
	eventually(t, "its connection is closed", func() bool { return hanging.open.Load() == 0 })
	answer["/"] <- 200
	eventually(t, "healthy by the new settings", stateIs(e, triage.Healthy))
	if s := e.Snapshot("app")[0]; s.Checks != 1 || s.Neutral != 0 {
		t.Errorf("%d checks, %d neutral; want the one by the new settings alone", s.Checks, s.Neutral)
	}
}

// TestResultOfOldSettingsIsDropped: it was on its way when the settings changed.
func TestResultOfOldSettingsIsDropped(t *testing.T) {
	l := parkedShard()
	r := roster(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1"))
	l.take(r)
	s := l.slots.Get(r.Members[0].Key)
	underWay(l, s)
	late := result{slot: s, plan: s.plan(), exchange: &triage.Exchange{Outcome: triage.Matched}}
	r.HealthCheck.Path = "/new"
	l.take(r)
	due := s.due
	l.finish(late)
	if s.health.State != triage.Initial || s.checked != 0 || len(l.batch) != 0 {
		t.Errorf("counted: %s after %d checks", s.health.State, s.checked)
	}
	if !s.timer.Pending() || s.due != due {
		t.Errorf("waiting: %v, due %s after the edit said", s.timer.Pending(), s.due-due)
	}
}

// TestRemovalEndsTheCheckUnderWay: a target that is gone is left alone at once, not when its time is over.
func TestRemovalEndsTheCheckUnderWay(t *testing.T) {
	server := newSilent(t)
	c := fastCheck()
	c.Timeout = time.Hour
	e, seen := start(t, Config{})
	e.Set([]triage.Roster{roster(c, server.address)})
	eventually(t, "the check hangs", func() bool { return server.open.Load() == 1 })
	e.Set(nil)
	eventually(t, "its connection is closed", func() bool { return server.open.Load() == 0 })
	if all := seen.list(); len(all) != 0 {
		t.Errorf("told of a target that is gone: %v", all)
	}
}

// TestResultOfAFormerLifeIsDropped: the target was removed and registered anew while its check was under way.
func TestResultOfAFormerLifeIsDropped(t *testing.T) {
	l := parkedShard()
	r := roster(fastCheck(), netip.MustParseAddrPort("127.0.0.1:1"))
	l.take(r)
	former := l.slots.Get(r.Members[0].Key)
	underWay(l, former)
	l.take()
	l.take(r)
	l.finish(result{slot: former, plan: former.plan(), exchange: &triage.Exchange{Outcome: triage.Matched}})
	if s := l.slots.Get(r.Members[0].Key); s == former || s.health.State != triage.Initial || s.checked != 0 || len(l.batch) != 0 {
		t.Errorf("counted: %s after %d checks, %v", s.health.State, s.checked, l.batch)
	}
	if former.timer.Pending() || !l.order[0].timer.Pending() || l.room.inFlight != 0 {
		t.Errorf("waiting: the former %v, the new %v; %d in flight", former.timer.Pending(), l.order[0].timer.Pending(), l.room.inFlight)
	}
}

// underWay starts the check of a slot, which with a parked driver never ends.
func underWay(l *shard, s *slot) {
	l.wheel.Stop(&s.timer)
	l.start(s, l.now())
}
