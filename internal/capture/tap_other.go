//go:build !linux

package capture

import (
	"context"
	"os"

	"github.com/triage-lb/triage"
)

// openPackets is for Linux.
func openPackets(uint16) (packets *os.File, blind, err error) {
	return nil, nil, &triage.Error{
		Kind:    triage.KindInvalid,
		Message: "only Linux lets triage look at a port that another process has",
		Hint:    "let the health check come to a port of its own, and run triage listen there",
	}
}

func (t *Tap) watchPackets(context.Context) error { return nil }

func (t *Tap) watchTables(context.Context) error { return nil }
