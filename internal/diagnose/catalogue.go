package diagnose

import "slices"

// catalogue is all entries. A stage's own are in the file of its name.
var catalogue = slices.Concat(
	resolveEntries,
	connectEntries,
	tlsEntries,
	httpEntries,
	statusEntries,
	redirectEntries,
	hostEntries,
	authEntries,
	bodyEntries,
	timingEntries,
	[]*Entry{comesAndGoes},
	greenEntries,
)
