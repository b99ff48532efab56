package triage

import "fmt"

// State is what a target is, in AWS's words (DescribeTargetHealth).
type State uint8

// The states. The zero value is Initial: nothing is known, so nothing is claimed.
const (
	Initial           State = iota // no check has decided yet
	Healthy                        // in rotation
	Unhealthy                      // out of rotation
	UnhealthyDraining              // unhealthy, and what runs on it may still finish
	Draining                       // deregistered or drained: what runs may finish, nothing new comes
	Unused                         // no listener leads to its group
	Unavailable                    // health checks are switched off
)

var stateNames = [...]string{"initial", "healthy", "unhealthy", "unhealthy.draining", "draining", "unused", "unavailable"}

// String is AWS's name of the state.
func (s State) String() string { return stateNames[s] }

// MarshalText gives AWS's name of the state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads AWS's name of the state.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return &Error{Kind: KindInvalid, Message: "unknown state " + string(b)}
}

// Reason is why a target is in its state, in AWS's reason codes. A healthy target has none.
type Reason string

// The reasons, as the elbv2 API spells them.
const (
	NoReason                 Reason = ""
	InitialHealthChecking    Reason = "Elb.InitialHealthChecking"
	InternalError            Reason = "Elb.InternalError"
	ResponseCodeMismatch     Reason = "Target.ResponseCodeMismatch"
	Timeout                  Reason = "Target.Timeout"
	FailedHealthChecks       Reason = "Target.FailedHealthChecks"
	NotInUse                 Reason = "Target.NotInUse"
	DeregistrationInProgress Reason = "Target.DeregistrationInProgress"
	HealthCheckDisabled      Reason = "Target.HealthCheckDisabled"
	AdministrativelyDraining Reason = "Triage.Drained" // AWS has no word: a person drained it
	EjectedByTraffic         Reason = "Triage.Ejected" // AWS has no word: requests to it failed
)

// Describe is the sentence that AWS shows beside the reason. status is the code of the answer that did not
// match; other reasons do not use it.
func (r Reason) Describe(status int) string {
	switch r {
	case InitialHealthChecking:
		return "Initial health checks in progress"
	case InternalError:
		return "Health checks failed due to an internal error"
	case ResponseCodeMismatch:
		return fmt.Sprintf("Health checks failed with these codes: [%d]", status)
	case Timeout:
		return "Request timed out"
	case FailedHealthChecks:
		return "Health checks failed"
	case NotInUse:
		return "Target group is not configured to receive traffic from the load balancer"
	case DeregistrationInProgress:
		return "Target deregistration is in progress"
	case HealthCheckDisabled:
		return "Health checks are disabled"
	case AdministrativelyDraining:
		return "Drained by hand"
	case EjectedByTraffic:
		return "Requests to the target failed"
	}
	return ""
}
