package control

import (
	"time"

	"github.com/triage-lb/triage"
)

// Status is the balancer as people see it: desired state, health and traffic in one value. Its JSON names
// are a contract; fields are only added.
type Status struct {
	Schema    string           `json:"schema" doc:"names this format" example:"triage.status/1"`
	Version   string           `json:"version" doc:"of the balancer"`
	Config    string           `json:"config" doc:"absolute path of the config file"`
	Since     time.Time        `json:"since" doc:"when the balancer started"`
	Draining  bool             `json:"draining" doc:"the balancer is stopping"`
	Listeners []ListenerStatus `json:"listeners"`
	Groups    []GroupStatus    `json:"groups"`
}

// ListenerStatus is one listener.
type ListenerStatus struct {
	Name     triage.ListenerName `json:"name"`
	Listen   string              `json:"listen" doc:"address:port"`
	Protocol triage.Protocol     `json:"protocol"`
	Forward  triage.GroupName    `json:"forward" doc:"the group that requests go to"`
}

// GroupStatus is one target group.
type GroupStatus struct {
	Name        triage.GroupName `json:"name"`
	HealthCheck HealthCheckView  `json:"health_check"`
	Routed      bool             `json:"routed" doc:"a listener leads to the group"`
	FailingOpen bool             `json:"failing_open" doc:"no target is healthy, so requests go to all that do not drain"`
	Targets     []TargetStatus   `json:"targets"`
}

// HealthCheckView is the settings of a check, written as in the config file.
type HealthCheckView struct {
	As                 triage.Dialect  `json:"as,omitempty" doc:"the load balancer as which it is asked and judged; absent: our own dialect"`
	Protocol           triage.Protocol `json:"protocol"`
	Port               string          `json:"port" doc:"traffic-port or a number"`
	Path               string          `json:"path,omitempty" doc:"http and https only"`
	SuccessCodes       string          `json:"success_codes,omitempty" doc:"http and https only"`
	Host               string          `json:"host,omitempty" doc:"empty: the dialect's; in ours the target's address and port"`
	Interval           string          `json:"interval"`
	Timeout            string          `json:"timeout"`
	HealthyThreshold   int             `json:"healthy_threshold"`
	UnhealthyThreshold int             `json:"unhealthy_threshold"`
	UnhealthyInterval  string          `json:"unhealthy_interval,omitempty" doc:"empty: the interval"`
	TransitionInterval string          `json:"transition_interval,omitempty" doc:"empty: no other interval while results disagree with the state"`
	Jitter             string          `json:"jitter,omitempty" doc:"empty: none"`
	ReuseConnection    bool            `json:"reuse_connection,omitempty" doc:"http and https only; absent: a connection for each check"`
}

// TargetStatus is one address of one target.
type TargetStatus struct {
	Target      triage.TargetID   `json:"target" doc:"as written in the config"`
	Address     string            `json:"address,omitempty" doc:"empty while the name does not resolve"`
	Weight      int               `json:"weight"`
	State       triage.State      `json:"state"`
	Reason      triage.Reason     `json:"reason,omitempty" doc:"AWS's reason code"`
	Description string            `json:"description,omitempty" doc:"the reason in a sentence"`
	Since       *time.Time        `json:"since,omitempty" doc:"when the checks' state was entered"`
	Streak      int               `json:"streak" doc:"checks in a row, up to now, that disagree with the state"`
	Trusted     bool              `json:"trusted" doc:"false: the last checks say nothing about the target"`
	InFlight    int64             `json:"in_flight"`
	Requests    uint64            `json:"requests"`
	LastCheck   *CheckView        `json:"last_check,omitempty"`
	Diagnosis   *triage.Diagnosis `json:"diagnosis,omitempty" doc:"why it is unhealthy"`
}

// CheckView is the last check of a target.
type CheckView struct {
	At      time.Time      `json:"at"`
	Took    float64        `json:"took_ms"`
	Outcome triage.Outcome `json:"outcome"`
	Status  int            `json:"status,omitempty"`
	Detail  string         `json:"detail,omitempty"`
}

// HealthCheckEdit changes the settings it names and leaves the others. Values are written as in the file. With As,
// settings that the file does not name change to the defaults of that load balancer; the warnings say which.
type HealthCheckEdit struct {
	As                 *string `json:"as,omitempty" doc:"a load balancer; triage is our own dialect"`
	Protocol           *string `json:"protocol,omitempty"`
	Port               *string `json:"port,omitempty"`
	Path               *string `json:"path,omitempty"`
	SuccessCodes       *string `json:"success_codes,omitempty"`
	Host               *string `json:"host,omitempty"`
	Interval           *string `json:"interval,omitempty"`
	Timeout            *string `json:"timeout,omitempty"`
	HealthyThreshold   *int    `json:"healthy_threshold,omitempty"`
	UnhealthyThreshold *int    `json:"unhealthy_threshold,omitempty"`
	UnhealthyInterval  *string `json:"unhealthy_interval,omitempty"`
	TransitionInterval *string `json:"transition_interval,omitempty"`
	Jitter             *string `json:"jitter,omitempty"`
	ReuseConnection    *bool   `json:"reuse_connection,omitempty"`
}

// EditResult says what an accepted edit changed.
type EditResult struct {
	Changed  bool     `json:"changed" doc:"false: the config already said so"`
	File     string   `json:"file" doc:"the config file, after fsync"`
	Diff     string   `json:"diff" doc:"the changed lines"`
	Warnings []string `json:"warnings,omitempty"`
}

// ReloadResult says what a reload found.
type ReloadResult struct {
	Changed  bool     `json:"changed"`
	File     string   `json:"file"`
	Warnings []string `json:"warnings,omitempty"`
}
