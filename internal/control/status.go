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
	Prediction  Prediction       `json:"prediction" doc:"how soon the check notices, by its settings"`
	Together    *FailingTogether `json:"failing_together,omitempty" doc:"most targets began to fail the same way at the same time"`
	Targets     []TargetStatus   `json:"targets"`
}

// FailingTogether is what most targets of a group have in common that has taken them out of rotation.
type FailingTogether struct {
	Description string         `json:"description" doc:"in a sentence, with what becomes of requests"`
	Outcome     triage.Outcome `json:"outcome"`
	Status      int            `json:"status,omitempty"`
	Targets     int            `json:"targets" doc:"how many fell"`
	Of          int            `json:"of" doc:"how many were in rotation before"`
	Since       *time.Time     `json:"since,omitempty" doc:"when the first of them fell; absent: they have failed from the start"`
}

// HealthCheckView is the settings of a check, written as in the config file.
type HealthCheckView struct {
	As                 triage.Dialect  `json:"as,omitempty" doc:"the load balancer as which it is asked and judged; absent: our own dialect"`
	Protocol           triage.Protocol `json:"protocol"`
	Port               string          `json:"port" doc:"traffic-port or a number"`
	Path               string          `json:"path,omitempty" doc:"absent: there is no request, or a gRPC method that is the dialect's own"`
	SuccessCodes       string          `json:"success_codes,omitempty" doc:"http, https, h2 and h2c only"`
	GRPCCodes          string          `json:"grpc_codes,omitempty" doc:"grpc and grpcs only"`
	Service            string          `json:"service,omitempty" doc:"grpc and grpcs only; absent: the server as a whole"`
	Host               string          `json:"host,omitempty" doc:"empty: the dialect's; in ours the target's address and port"`
	ExpectHeader       string          `json:"expect_header,omitempty"`
	ExpectBody         string          `json:"expect_body,omitempty"`
	ExpectBodyRegex    string          `json:"expect_body_regex,omitempty"`
	ExpectBodyWithin   int             `json:"expect_body_within,omitempty" doc:"bytes; absent: 65536"`
	Expect             string          `json:"expect,omitempty" doc:"CEL"`
	TLSServerName      string          `json:"tls_server_name,omitempty"`
	TLSVerify          *bool           `json:"tls_verify,omitempty" doc:"absent: as the dialect does; ours does not"`
	TLSCAFile          string          `json:"tls_ca_file,omitempty"`
	TLSCertFile        string          `json:"tls_cert_file,omitempty"`
	TLSKeyFile         string          `json:"tls_key_file,omitempty"`
	TLSMinVersion      string          `json:"tls_min_version,omitempty"`
	ProxyProtocol      string          `json:"proxy_protocol,omitempty" doc:"v1 or v2; absent: no header is sent"`
	SourceAddress      string          `json:"source_address,omitempty" doc:"absent: the system's choice"`
	Interval           string          `json:"interval"`
	Timeout            string          `json:"timeout"`
	HealthyThreshold   int             `json:"healthy_threshold"`
	UnhealthyThreshold int             `json:"unhealthy_threshold"`
	ThresholdWindow    int             `json:"threshold_window,omitempty" doc:"the thresholds count among so many last results; absent: in a row"`
	HoldDown           string          `json:"hold_down,omitempty" doc:"empty: no target is kept out for coming and going"`
	HoldDownLimit      string          `json:"hold_down_limit,omitempty"`
	HoldDownWindow     string          `json:"hold_down_window,omitempty"`
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
	Streak      int               `json:"streak" doc:"checks that disagree with the state: in a row up to now, or in the window"`
	HeldUntil   *time.Time        `json:"held_until,omitempty" doc:"hold-down keeps it out until then at the earliest"`
	Return      int               `json:"return,omitempty" doc:"which return within hold_down_window that will be"`
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
	GRPCCodes          *string `json:"grpc_codes,omitempty"`
	Service            *string `json:"service,omitempty" doc:"empty: the server as a whole"`
	Host               *string `json:"host,omitempty"`
	ExpectHeader       *string `json:"expect_header,omitempty" doc:"empty: none"`
	ExpectBody         *string `json:"expect_body,omitempty" doc:"empty: none"`
	ExpectBodyRegex    *string `json:"expect_body_regex,omitempty" doc:"empty: none"`
	ExpectBodyWithin   *int    `json:"expect_body_within,omitempty" doc:"bytes"`
	Expect             *string `json:"expect,omitempty" doc:"empty: none"`
	TLSServerName      *string `json:"tls_server_name,omitempty" doc:"empty: as the load balancer does"`
	TLSVerify          *bool   `json:"tls_verify,omitempty"`
	TLSCAFile          *string `json:"tls_ca_file,omitempty" doc:"empty: the system's"`
	TLSCertFile        *string `json:"tls_cert_file,omitempty" doc:"empty: none"`
	TLSKeyFile         *string `json:"tls_key_file,omitempty" doc:"empty: none"`
	TLSMinVersion      *string `json:"tls_min_version,omitempty" doc:"empty: as the load balancer does"`
	ProxyProtocol      *string `json:"proxy_protocol,omitempty" doc:"v1 or v2; empty: none"`
	SourceAddress      *string `json:"source_address,omitempty" doc:"empty: the system's choice"`
	Interval           *string `json:"interval,omitempty"`
	Timeout            *string `json:"timeout,omitempty"`
	HealthyThreshold   *int    `json:"healthy_threshold,omitempty"`
	UnhealthyThreshold *int    `json:"unhealthy_threshold,omitempty"`
	ThresholdWindow    *int    `json:"threshold_window,omitempty" doc:"0: the thresholds count results in a row"`
	HoldDown           *string `json:"hold_down,omitempty" doc:"0s: no target is kept out for coming and going"`
	HoldDownLimit      *string `json:"hold_down_limit,omitempty" doc:"0s: 10m"`
	HoldDownWindow     *string `json:"hold_down_window,omitempty" doc:"0s: 10m"`
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
