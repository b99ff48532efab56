package triage

import "time"

// GroupName names a target group.
type GroupName string

// NoneHealthy says what a group does with a request when none of its targets is healthy.
type NoneHealthy string

// What a group can do when none of its targets is healthy.
const (
	FailOpen  NoneHealthy = "fail-open" // send it to any target, as the Application Load Balancer does
	Answer503 NoneHealthy = "503"       // answer 503, as the Classic Load Balancer does
)

// Group is a target group: servers that do the same work, and how to tell whether they can.
type Group struct {
	Name        GroupName
	Protocol    Protocol // of the requests to the targets
	Targets     []Target
	HealthCheck HealthCheck
	NoneHealthy NoneHealthy

	DeregistrationDelay time.Duration // how long a removed target may finish what runs; AWS's word
	ConnectTimeout      time.Duration // for a connection to a target
	ResponseTimeout     time.Duration // from the request to the head of the answer
	IdleTimeout         time.Duration // without a byte, in either direction, within a request
}

// DefaultGroup returns a group with every setting at its default, without name and targets.
func DefaultGroup() Group {
	return Group{
		Protocol:            HTTP,
		HealthCheck:         DefaultHealthCheck(),
		NoneHealthy:         FailOpen,
		DeregistrationDelay: 300 * time.Second,
		ConnectTimeout:      time.Second,
		ResponseTimeout:     30 * time.Second,
		IdleTimeout:         60 * time.Second,
	}
}

const (
	maxWeight  = 256
	maxTargets = 1_000_000
)

// Validate returns what is wrong with the group, each problem at its key within the group.
func (g Group) Validate() Problems {
	var ps Problems
	ps.name(string(g.Name), "group")
	if g.Protocol != HTTP {
		ps.errorf("protocol", "a group's protocol %q is not served: use http", g.Protocol)
	}
	if g.NoneHealthy != FailOpen && g.NoneHealthy != Answer503 {
		ps.errorf("none_healthy", "none_healthy %q is unknown: use %s or %q", g.NoneHealthy, FailOpen, Answer503)
	}
	ps.duration("deregistration_delay", g.DeregistrationDelay, 0, time.Hour)
	ps.duration("connect_timeout", g.ConnectTimeout, time.Millisecond, time.Minute)
	ps.duration("response_timeout", g.ResponseTimeout, time.Millisecond, time.Hour)
	ps.duration("idle_timeout", g.IdleTimeout, time.Millisecond, time.Hour)
	ps.add("health_check", g.HealthCheck.Validate())
	if len(g.Targets) > maxTargets {
		ps.errorf("targets", "%d targets are more than %d", len(g.Targets), maxTargets)
		return ps
	}
	seen := make(map[TargetID]int, len(g.Targets))
	for i, t := range g.Targets {
		at := index("targets", i)
		if _, _, err := t.ID.Split(); err != nil {
			ps.errorf(at, "target %s", err)
		}
		if first, twice := seen[t.ID]; twice {
			ps.errorf(at, "target %s is there twice (also number %d)", t.ID, first+1)
		}
		seen[t.ID] = i
		if t.Weight < 0 || t.Weight > maxWeight {
			ps.errorf(at+".weight", "weight %d is outside 1-%d", t.Weight, maxWeight)
		}
	}
	return ps
}
