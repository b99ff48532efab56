package probe

import (
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestATimeoutNamesItsLimit: nobody who reads "not in time" has the settings at hand.
func TestATimeoutNamesItsLimit(t *testing.T) {
	at := time.Unix(1, 0)
	c := settings(triage.HTTP)
	c.Timeout = 1500 * time.Millisecond
	for name, tt := range map[string]struct {
		events []Event
		want   triage.Outcome
		detail string
	}{
		"no connection": {nil, triage.ConnectTimeout, "the limit is 1.5s"},
		"no answer":     {[]Event{{Kind: Connected}, {Kind: Written}}, triage.ResponseTimeout, "the limit is 1.5s"},
		"the head has decided": {[]Event{{Kind: Connected}, {Kind: Written},
			{Kind: Data, Data: []byte("HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n")}}, triage.CodeMismatch, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := Compile(dialect.Get(triage.Own), c).Start(triage.Key{}, at)
			for _, e := range tt.events {
				e.At = at
				s.Handle(e)
			}
			s.Handle(Event{Kind: DeadlinePassed, At: at.Add(c.Timeout)})
			if x := s.Exchange(); x.Outcome != tt.want || x.Detail != tt.detail {
				t.Errorf("%s (%s), want %s (%s)", x.Outcome, x.Detail, tt.want, tt.detail)
			}
		})
	}
}
