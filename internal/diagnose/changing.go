package diagnose

// comesAndGoes is found by asking again, whatever the answer looked like.
var comesAndGoes = &Entry{
	Code:    "comes-and-goes",
	Title:   "the same request is answered now one way, now another",
	Stage:   StageFlapping,
	Seen:    "the unchanged check, asked again, ends otherwise than before",
	Cause:   "what answers at this port is not always the same: servers or workers behind it that are not alike, or one that fails now and then",
	Decides: "the unchanged check, several times",
	Fixes: []Fix{
		{"", "see how often, and in what rhythm:\n    triage check --count 20 -q URL\nevery second or third time: compare the servers or workers behind\nthis port; irregular: look for the failing requests in the log"},
	},
	Wrong:   Wrong{"raising the unhealthy threshold until it stays green", "every failing answer goes to a user as well"},
	Sources: []string{"HAProxy 2.6.12 before two servers that are not alike, tried"},

	match: func(*kase) clue { return no },
}
