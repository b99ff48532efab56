package dialect

import (
	"crypto/tls"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
)

// TestWire holds the table to what the real programs did. The end-to-end tests hold the files to the programs.
func TestWire(t *testing.T) {
	for _, f := range wire.Files(t) {
		t.Run(f.Name, func(t *testing.T) {
			s := Get(triage.Dialect(f.Get(wire.Dialect)))
			if f.Bytes != nil {
				got := s.AppendRequest(nil, question(t, f))
				if !f.Matches(got) {
					t.Errorf("we write\n%sand %s wrote\n%s", wire.Quote(got), f.Get(wire.Program), wire.Quote(f.Bytes))
				}
				if ends := f.Get(wire.Ends); ends != "" && (ends == "reset") != (s.Close == CloseRST) {
					t.Errorf("we close in manner %d, and of %s the server saw: %s", s.Close, f.Get(wire.Program), ends)
				}
			}
			if offered := f.Get(wire.TLS); offered != "" {
				compareTLS(t, s.TLS, f, strings.Split(offered, ", "))
			}
		})
	}
}

// question is what the file's program was asked to check.
func question(t *testing.T, f wire.File) Question {
	t.Helper()
	u, err := url.Parse(f.Get(wire.Asks))
	if err != nil {
		t.Fatal(err)
	}
	q := Question{
		Protocol: triage.HTTP, Address: netip.MustParseAddrPort(wire.Target), Path: u.Path,
		Host: f.Get(wire.Host),
	}
	if u.Scheme == "https" {
		q.Protocol = triage.HTTPS
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		q.Typed = u.Hostname()
	}
	return q
}

// compareTLS holds a rule to the hello of a real program, which offered these versions, the lowest first.
func compareTLS(t *testing.T, rule TLSRule, f wire.File, offered []string) {
	t.Helper()
	if lowest, highest := tls.VersionName(rule.Min), tls.VersionName(rule.Max); lowest != offered[0] || highest != offered[len(offered)-1] {
		t.Errorf("we offer %s to %s, and %s offered %v", lowest, highest, f.Get(wire.Program), offered)
	}
	if sni := f.Get(wire.SNI) != "none"; rule.SNI != sni {
		t.Errorf("our rule for a server name is %v, and %s sent: %s", rule.SNI, f.Get(wire.Program), f.Get(wire.SNI))
	}
	if resumes := f.Get(wire.Resumes); resumes != "" && rule.Resume != (resumes == "yes") {
		t.Errorf("our rule for taking up sessions is %v, and %s did: %s", rule.Resume, f.Get(wire.Program), resumes)
	}
}
