package diagnose

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// ended is a check that ended so, at this target and address.
func ended(o triage.Outcome, detail string, target triage.TargetID, address string) *triage.Exchange {
	x := &triage.Exchange{Dialect: triage.AWSALB, Outcome: o, Detail: detail, Timing: triage.NoTiming()}
	x.Key.Target = target
	x.Address, _ = netip.ParseAddrPort(address)
	return x
}

// ask explains a check, where second questions have these answers.
func ask(x *triage.Exchange, answers map[string]*triage.Exchange) *triage.Diagnosis {
	return Ask(context.Background(), x, Means{Ask: func(_ context.Context, v dialect.Variation) *triage.Exchange {
		return answers[v.String()]
	}})
}

func TestRefused(t *testing.T) {
	const loopback, family = "the loopback address", "the name's other address family"
	refused := ended(triage.Refused, "", "", "")
	matched := exchange(plan, ok)
	failing := exchange(plan, bare400)
	for name, c := range map[string]struct {
		target  triage.TargetID
		address string
		answers map[string]*triage.Exchange
		code    string
	}{
		"nothing listens":               {"10.0.0.5:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: refused}, "connection-refused"},
		"bound to loopback":             {"10.0.0.5:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: matched}, "bound-to-loopback"},
		"bound to loopback, and sick":   {"10.0.0.5:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: failing}, "bound-to-loopback"},
		"SSH on loopback":               {"10.0.0.5:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: exchange(plan, "SSH-2.0-OpenSSH_9.2p1\r\n")}, "connection-refused"},
		"from elsewhere":                {"10.0.0.5:80", "10.0.0.5:80", nil, "connection-refused"},
		"one family":                    {"app.internal:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: refused, family: matched}, "one-address-family"},
		"no family":                     {"app.internal:80", "10.0.0.5:80", map[string]*triage.Exchange{loopback: refused, family: refused}, "connection-refused"},
		"localhost is IPv6":             {"localhost:80", "[::1]:80", map[string]*triage.Exchange{family: matched}, "localhost-is-ipv6-first"},
		"localhost is IPv6 and refused": {"localhost:80", "[::1]:80", map[string]*triage.Exchange{family: refused}, "connection-refused"},
		"localhost alone":               {"localhost:80", "127.0.0.1:80", nil, "connection-refused"},
		"loopback itself":               {"127.0.0.1:80", "127.0.0.1:80", map[string]*triage.Exchange{loopback: matched}, "connection-refused"},
	} {
		x := ended(triage.Refused, "", c.target, c.address)
		if d := ask(x, c.answers); d.Code != c.code || d.Certainty == triage.Unknown {
			t.Errorf("%s: %s, %s, asked %q, want %s", name, d.Code, d.Certainty, d.Asked, c.code)
		}
		if d := Look(x); d.Code != "connection-refused" || d.Certainty != triage.Likely {
			t.Errorf("%s: the first look says %s, %s", name, d.Code, d.Certainty)
		}
	}
}

// TestRefusedSaysNothingOfLoopback: until the loopback address is asked, the service may run there, and what is said must
// be true of it as well.
func TestRefusedSaysNothingOfLoopback(t *testing.T) {
	d := Look(ended(triage.Refused, "", "10.0.0.5:80", "10.0.0.5:80"))
	if !strings.Contains(d.Cause, "or listens on loopback or another port only") || !slices.Contains(d.Candidates, "bound-to-loopback") {
		t.Errorf("%q, candidates %q", d.Cause, d.Candidates)
	}
}

// TestNoConnection: what the network says, or does not say.
func TestNoConnection(t *testing.T) {
	for name, c := range map[string]struct {
		x     *triage.Exchange
		as    triage.Dialect
		code  string
		among []string
	}{
		"silence":             {ended(triage.ConnectTimeout, "the limit is 2s", "", "10.0.0.5:80"), triage.Own, "connect-timeout", []string{"no-such-machine", "process-frozen"}},
		"silence, AWS":        {ended(triage.ConnectTimeout, "", "", ""), triage.AWSALB, "connect-timeout", []string{"security-group-blocks", "network-acl-blocks"}},
		"silence, Google":     {ended(triage.ConnectTimeout, "", "", ""), triage.GCP, "connect-timeout", []string{"gcp-probe-ranges-blocked"}},
		"silence, Azure":      {ended(triage.ConnectTimeout, "", "", ""), triage.AzureLB, "connect-timeout", []string{"azure-probe-address-blocked"}},
		"silence, a gateway":  {ended(triage.ConnectTimeout, "", "", ""), triage.AzureAppGW, "connect-timeout", []string{"azure-gateway-route-blocks"}},
		"no network":          {ended(triage.Unreachable, "network is unreachable", "", ""), triage.Own, "no-route", nil},
		"no host":             {ended(triage.Unreachable, "no route to host", "", ""), triage.Own, Undiagnosed, []string{"no-such-machine", "firewall-rejects"}},
		"forbidden here":      {ended(triage.ConnectFailed, "operation not permitted", "", ""), triage.Own, "forbidden-here", nil},
		"some other error":    {ended(triage.ConnectFailed, "protocol error", "", ""), triage.Own, Undiagnosed, []string{"forbidden-here"}},
		"not allowed":         {ended(triage.AddressForbidden, "169.254.169.254 is link-local", "", ""), triage.Own, "address-not-allowed", nil},
		"no such name":        {ended(triage.ResolveFailed, "lookup app: no such host", "", ""), triage.Own, "name-not-found", nil},
		"no name, no words":   {ended(triage.ResolveFailed, "", "", ""), triage.Own, "name-not-found", nil},
		"a resolver is away":  {ended(triage.ResolveFailed, "lookup app on 10.0.0.2:53: i/o timeout", "", ""), triage.Own, "resolver-unavailable", nil},
		"a resolver is sick":  {ended(triage.ResolveFailed, "lookup app on 10.0.0.2:53: server misbehaving", "", ""), triage.Own, "resolver-unavailable", nil},
		"a mesh with its own": {ended(triage.ResetBeforeAnswer, "not one byte came", "", ""), triage.Kubelet, Undiagnosed, []string{"mesh-wants-its-own-tls"}},
	} {
		c.x.Dialect = c.as
		d := Look(c.x)
		if d.Code != c.code {
			t.Errorf("%s: %s, want %s", name, d.Code, c.code)
		}
		for _, code := range c.among {
			if !slices.Contains(d.Candidates, code) {
				t.Errorf("%s: %s is not among %q", name, code, d.Candidates)
			}
		}
	}
}

// TestFrozenOrSlow: a server that answers another path is not frozen.
func TestFrozenOrSlow(t *testing.T) {
	silent := exchange(plan, "")
	silent.Outcome, silent.Detail = triage.ResponseTimeout, "the limit is 5s"
	if d := ask(silent, map[string]*triage.Exchange{"path /": exchange(plan, bare400)}); slices.Contains(d.Candidates, "process-frozen") {
		t.Errorf("it answers /, and may be frozen: %q", d.Candidates)
	}
	if d := ask(silent, map[string]*triage.Exchange{"path /": silent}); !slices.Contains(d.Candidates, "process-frozen") {
		t.Errorf("it does not answer /, and cannot be frozen: %q", d.Candidates)
	}
}

// TestAddressFamilyIsNotAdmitted: an allow-list may know 127.0.0.1 and not ::1.
func TestAddressFamilyIsNotAdmitted(t *testing.T) {
	x := exchange(plan, "HTTP/1.1 404 Not Found\r\nContent-Length: 21\r\n\r\n{\"error\":\"Not Found\"}")
	x.Key.Target, x.Address = "localhost:80", netip.MustParseAddrPort("[::1]:80")
	const family = "the name's other address family"
	if d := ask(x, map[string]*triage.Exchange{family: exchange(plan, ok)}); d.Code != "address-family-not-admitted" || d.Certainty != triage.Proved {
		t.Errorf("%s, asked %q", d.Code, d.Asked)
	}
	if d := ask(x, map[string]*triage.Exchange{family: x}); d.Code == "address-family-not-admitted" {
		t.Errorf("%s, though both families are answered alike", d.Code)
	}
}
