package triage

import "time"

// Roster is a group with the addresses that its targets have right now. Control makes it; the engine checks
// its members, the table balances over them. It is immutable once handed out.
type Roster struct {
	Group
	Members []Member
	Routed  bool          // a listener forwards to the group
	Policy  AddressPolicy // asked before each connect to a member
}

// Member is one address of one target, with what control knows about it.
type Member struct {
	Key        Key
	Weight     int // 1 or more
	Person     Person
	Unresolved string // why the target's name has no address; "" if it has one
}

// CheckStatus is what the engine knows about one member at one moment.
type CheckStatus struct {
	Key     Key
	Health  Health
	Last    LastCheck // the newest check; its Outcome is NotChecked before the first
	Checks  uint64    // checks that ended, neutral ones included
	Neutral uint64    // checks that ended neutral
	Doubted bool      // the last three checks were neutral: the state is old news ("not trustworthy")

	// HeldUntil is when a target that HoldDown keeps out may return at the earliest, which it does with the first pass from
	// then on, if it goes on passing. Zero: it is not held down, perhaps because it does not meet its threshold.
	HeldUntil time.Time
	Return    int // which return within HoldDown.Window that will be, 2 or more; 0: it is not held down
}

// LastCheck is what is kept of a target's newest check.
type LastCheck struct {
	Started time.Time
	Took    time.Duration
	Outcome Outcome
	Status  int    // 0 if there was none
	Detail  string // as in [Exchange]
}

// HealthLevel is the health of one target as it stands, told again without a change: whoever has missed a
// transition learns it from the next level.
type HealthLevel struct {
	Key    Key
	Health Health
}

// BalanceStatus is what the table knows about one member at one moment.
type BalanceStatus struct {
	Key          Key
	State        State // effective: what decides about new requests
	Reason       Reason
	Registration Registration
	InFlight     int64  // requests running on it
	Requests     uint64 // requests sent to it since it was registered
}
