package triage

// Traffic is what the requests of clients say about a target (passive health). It is owned by the balancer's
// entry for the target.
type Traffic uint8

// What traffic can say.
const (
	TrafficGood    Traffic = iota // nothing against the target; also: no traffic yet
	TrafficEjected                // requests failed so often that the target is out for a while
)

// Person is what a person has said about a target. It is owned by control, and written in the config file.
type Person uint8

// What a person can say.
const (
	PersonSilent  Person = iota
	PersonDrained        // take it out of rotation, let what runs finish
)

// Registration is how a target belongs to its group. It is owned by control.
type Registration uint8

// How a target can belong.
const (
	Registered   Registration = iota
	Deregistered              // removed from the config; what runs may still finish
	NotRouted                 // no listener leads to its group
)

// Effective combines the four inputs to a target's health into the state that counts, and is the only place
// that does. Registration outweighs a person, a person outweighs the checks, and the checks outweigh traffic:
// what ejects for a moment never hides why a target is out for good.
func Effective(check Health, traffic Traffic, person Person, registration Registration) (State, Reason) {
	switch {
	case registration == Deregistered:
		return Draining, DeregistrationInProgress
	case registration == NotRouted:
		return Unused, NotInUse
	case person == PersonDrained:
		return Draining, AdministrativelyDraining
	case check.State != Healthy:
		return check.State, check.Reason()
	case traffic == TrafficEjected:
		return Unhealthy, EjectedByTraffic
	}
	return Healthy, NoReason
}
