package simulate

import (
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
)

// An Illness is the way in which a server misbehaves. The zero value means
// Healthy where a Config holds it, and is no illness where it is set or parsed.
type Illness string

// The illnesses. What each does on the wire, and which failure it plays, is
// in the table that Illnesses returns.
const (
	Healthy       Illness = "healthy"
	Error500      Illness = "error500"
	RedirectHTTPS Illness = "redirect-https"
	HostRejected  Illness = "host-rejected"
	Hang          Illness = "hang"
	Refuse        Illness = "refuse"
	Slow          Illness = "slow"
	Flap          Illness = "flap"
	EmptyReply    Illness = "empty-reply"
)

// A Description explains one illness to a person, in two sentences without
// their final stop.
type Description struct {
	Illness Illness `json:"illness"`
	// Wire is what a client sees.
	Wire string `json:"wire"`
	// Plays is the real failure that looks like this.
	Plays string `json:"plays"`
}

// Illnesses returns every illness with its description, healthy first. The
// slice belongs to the caller.
func Illnesses() []Description {
	return []Description{
		{Healthy,
			"200 with its name on /, \"ok\" on the health path, 404 elsewhere",
			"a server that is well"},
		{Error500,
			"500 on every page, while the port still accepts connections",
			"the database is away; a TCP check does not notice"},
		{RedirectHTTPS,
			"301 to https on every page, unless X-Forwarded-Proto says https",
			"nginx forces https; load balancers follow no redirect"},
		{HostRejected,
			"400 on every page, unless Host is an allowed one",
			"Django's ALLOWED_HOSTS lacks the address being checked"},
		{Hang,
			"accepts, reads and never answers, until it is switched",
			"all workers are stuck; a TCP check does not notice"},
		{Refuse,
			"nothing listens: connections are refused, open ones are closed",
			"the process is dead, or listens on another port"},
		{Slow,
			"answers like a healthy server, but late",
			"an overloaded server, slower than the check's timeout"},
		{Flap,
			"healthy and error500 in turn",
			"a server that crashes and restarts, again and again"},
		{EmptyReply,
			"reads the request, then closes without a byte",
			"a crashed worker, nginx's 444, or a port that expects TLS"},
	}
}

// ParseIllness returns the illness of that name. The error for an unknown name
// gives the one that was meant, if one is near, and lists all of them.
func ParseIllness(name string) (Illness, error) {
	table := Illnesses()
	names := make([]string, len(table))
	for i, d := range table {
		if string(d.Illness) == name {
			return d.Illness, nil
		}
		names[i] = string(d.Illness)
	}
	meant := ""
	if near := triage.Nearest(name, names); near != "" {
		meant = "did you mean " + near + "? "
	}
	return "", fmt.Errorf("unknown illness %q: %sknown are %s", name, meant, strings.Join(names, ", "))
}
