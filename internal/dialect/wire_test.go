package dialect

import (
	"crypto/tls"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
)

// TestWire holds the table to what the real programs did. The end-to-end tests hold the files to the programs.
func TestWire(t *testing.T) {
	for _, f := range wire.Files(t) {
		t.Run(f.Name, func(t *testing.T) {
			s := Get(triage.Dialect(f.Get(wire.Dialect)))
			q := question(t, f)
			if preamble := f.Get(wire.Preamble); preamble != "" {
				comparePreamble(t, s, f, preamble)
			}
			switch {
			case f.Frames != nil:
				compareFrames(t, s, f, q)
			case f.Bytes != nil:
				if got := s.AppendRequest(nil, q); !f.Matches(got) {
					t.Errorf("we write\n%sand %s wrote\n%s", wire.Quote(got), f.Get(wire.Program), wire.Quote(f.Bytes))
				}
			}
			if ends := f.Get(wire.Ends); ends != "" && q.Protocol.Asks() && (ends == "reset") != (s.Close == CloseRST) {
				t.Errorf("we close in manner %d, and of %s the server saw: %s", s.Close, f.Get(wire.Program), ends)
			}
			if offered := f.Get(wire.TLS); offered != "" {
				compareTLS(t, s.TLS, f, q, strings.Split(offered, ", "))
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
		Host: f.Get(wire.Host), Timeout: time.Second,
	}
	if u.Scheme != "" {
		if q.Protocol, err = triage.ParseProtocol(u.Scheme); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err != nil {
		q.Typed = u.Hostname()
	}
	if _, text, found := strings.Cut(f.Get(wire.Setup), ", service "); found {
		q.Service, _, _ = strings.Cut(text, ",")
	}
	return q
}

// comparePreamble holds the header of the PROXY protocol to what a real program sent.
func comparePreamble(t *testing.T, s *Spec, f wire.File, preamble string) {
	t.Helper()
	want, err := strconv.Unquote(preamble)
	if err != nil {
		t.Fatal(err)
	}
	version := triage.ProxyV2
	if strings.HasPrefix(want, "PROXY ") {
		version = triage.ProxyV1
	}
	from, to := netip.MustParseAddrPort("127.0.0.1:54321"), netip.MustParseAddrPort(wire.Target)
	if got := s.AppendProxy(nil, version, from, to); !s.SendsProxy(version) || string(got) != want {
		t.Errorf("we send %q, and %s sent %q", got, f.Get(wire.Program), want)
	}
}

// compareFrames holds the fields of a request over HTTP/2, and its content, to what a real program sent. Its settings and
// windows are no part of a dialect.
func compareFrames(t *testing.T, s *Spec, f wire.File, q Question) {
	t.Helper()
	fields := s.AppendFields(nil, q)
	if f.Get(wire.Shuffled) != "" {
		regular := fields[slices.IndexFunc(fields, func(h Header) bool { return h.Name[0] != ':' }):]
		slices.SortFunc(regular, func(a, b Header) int { return strings.Compare(a.Name+": "+a.Value, b.Name+": "+b.Value) })
	}
	got := wire.File{Head: f.Head}
	for _, line := range f.Frames {
		switch {
		case strings.HasPrefix(line, "  "):
		case strings.HasPrefix(line, "DATA "):
			head, _, _ := strings.Cut(line, `"`)
			got.Frames = append(got.Frames, head+strconv.Quote(string(s.AppendMessage(nil, q))))
		default:
			got.Frames = append(got.Frames, line)
		}
		if strings.HasPrefix(line, "HEADERS ") {
			for _, h := range fields {
				got.Frames = append(got.Frames, "  "+h.Name+": "+h.Value)
			}
		}
	}
	if !f.MatchesFrames(got.Frames) {
		t.Errorf("we write\n%s\nand %s wrote\n%s", strings.Join(got.Frames, "\n"), f.Get(wire.Program), strings.Join(f.Frames, "\n"))
	}
}

// compareTLS holds a rule to the hello of a real program, which offered these versions, the lowest first.
func compareTLS(t *testing.T, rule TLSRule, f wire.File, q Question, offered []string) {
	t.Helper()
	if lowest, highest := tls.VersionName(rule.Min), tls.VersionName(rule.Max); lowest != offered[0] || highest != offered[len(offered)-1] {
		t.Errorf("we offer %s to %s, and %s offered %v", lowest, highest, f.Get(wire.Program), offered)
	}
	if sni := f.Get(wire.SNI) != "none"; (rule.SNI && q.Typed != "") != sni {
		t.Errorf("our rule for a server name is %v, and %s sent: %s", rule.SNI, f.Get(wire.Program), f.Get(wire.SNI))
	}
	alpn := rule.ALPN
	if q.Protocol.IsHTTP2() && alpn == nil || q.Protocol.IsGRPC() {
		alpn = []string{"h2"}
	}
	if offers := f.Get(wire.ALPN); offers != "" && q.Protocol != triage.TLS && strings.Join(alpn, ", ") != strings.TrimPrefix(offers, "none") {
		t.Errorf("we offer %q, and %s offered %s", alpn, f.Get(wire.Program), offers)
	}
	if resumes := f.Get(wire.Resumes); resumes != "" && rule.Resume != (resumes == "yes") {
		t.Errorf("our rule for taking up sessions is %v, and %s did: %s", rule.Resume, f.Get(wire.Program), resumes)
	}
}
