package triage

import "time"

// Source names the input to a target's health that a transition came from.
type Source string

// The sources.
const (
	FromCheck        Source = "check"
	FromTraffic      Source = "traffic"
	FromPerson       Source = "person"
	FromRegistration Source = "registration"
	FromChecker      Source = "checker" // the checker itself: see Transition.Doubted
)

// Transition is a change of one input to a target's health. A transition from unhealthy to unhealthy says
// that the cause changed.
type Transition struct {
	Key      Key
	From, To Health
	Source   Source
	At       time.Time
	Evidence *Exchange // the check that decided; nil for other sources, and after very many of the same outcome
	Doubted  bool      // FromChecker: the last three checks were neutral, so the state is old news; false: trusted again
}

// Event is a transition as it is told to people: numbered, and with its first explanation.
type Event struct {
	ID         uint64 // counts up by one in each process, so that a reader notices a gap
	Transition Transition
	Diagnosis  *Diagnosis // nil when there is nothing to explain
}
