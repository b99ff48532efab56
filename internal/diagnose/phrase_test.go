package diagnose

import (
	"slices"
	"testing"

	"github.com/triage-lb/triage"
)

// TestReadLines: whole lines as consoles, events and logs show them lead to one entry, or to one way in which a check ends.
// The line of a proxy about the application behind it is not taken for the system's own words within it.
func TestReadLines(t *testing.T) {
	for line, want := range map[string]Reading{
		`connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.9`:                             {Code: "app-down-behind-proxy"},
		`upstream timed out (110: Connection timed out) while reading response header from upstream`:                            {Code: "app-slow-behind-proxy"},
		`recv() failed (104: Connection reset by peer) while reading response header from upstream`:                             {Code: "app-down-behind-proxy"},
		`no live upstreams while connecting to upstream`:                                                                        {Code: "no-server-behind-proxy"},
		`SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking to upstream`:  {Code: "tls-to-plain-port"},
		`upstream connect error or disconnect/reset before headers. reset reason: connection failure`:                           {Code: "app-down-behind-proxy"},
		`backend app has no server available!`:                                                                                  {Code: "no-server-behind-proxy"},
		`x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs`:                                 {Code: "certificate-for-another-name"},
		`Received invalid status code: 404 in the backend server's HTTP response.`:                                              {Outcome: triage.CodeMismatch, Status: 404},
		`Readiness probe failed: Get "http://10.0.0.1:80/": EOF`:                                                                {Outcome: triage.ClosedBeforeAnswer},
		`(service web) (port 80) is unhealthy in (target-group x) due to (reason Health checks failed with these codes: [404])`: {Outcome: triage.CodeMismatch, Status: 404},
		`Health checks failed`: {Outcome: triage.Refused},
		`TIMEOUT`:              {Outcome: triage.ConnectTimeout},
		`Error 522`:            {Outcome: triage.ConnectTimeout},
		`502 Bad Gateway`:      {Outcome: triage.CodeMismatch, Status: 502},
		`HTTP/1.1 400`:         {Outcome: triage.CodeMismatch, Status: 400},
		`204`:                  {Outcome: triage.Matched, Status: 204},
		`L7STS`:                {Outcome: triage.CodeMismatch},
	} {
		r, ok := Read(line)
		if !ok || r.Code != want.Code || r.Outcome != want.Outcome || r.Status != want.Status {
			t.Errorf("%q: %+v, %v", line, r, ok)
		}
	}
	for _, line := range []string{"400 users", "port 8080", "all is UNHEALTHY here", "this TIMEOUT is long", "error 52", "12"} {
		if r, ok := Read(line); ok {
			t.Errorf("%q was read as %+v", line, r)
		}
	}
}

// TestReadCodes: all the codes of one text count, and a text without any is not one about some code.
func TestReadCodes(t *testing.T) {
	for line, want := range map[string][]string{
		"Health checks failed with these codes: [301, 502]": {"redirect-to-https", "app-down-behind-proxy"},
		"Target.ResponseCodeMismatch":                       {"host-not-allowed", "redirect-to-https", "health-path-404", "server-error"},
	} {
		r, _ := Read(line)
		suspects := codesOf(r.Suspects())
		for _, code := range want {
			if !slices.Contains(suspects, code) {
				t.Errorf("%q: %s is not among %q", line, code, suspects)
			}
		}
	}
	r, _ := Read("HTTP probe failed with statuscode: 503")
	if suspects := codesOf(r.Suspects()); slices.Index(suspects, "health-reports-down") > slices.Index(suspects, "host-not-routed") {
		t.Errorf("a 503 is rather a matter of Host than of the application: %q", suspects)
	}
}

func codesOf(entries []*Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Code)
	}
	return all
}
