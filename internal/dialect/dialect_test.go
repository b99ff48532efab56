package dialect

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/http1"
)

func TestLookup(t *testing.T) {
	for name, want := range map[string]triage.Dialect{
		"aws-alb": triage.AWSALB, "alb": triage.AWSALB, "ALB": triage.AWSALB,
		"aws-clb": triage.AWSCLB, "elb": triage.AWSCLB, "clb": triage.AWSCLB, "triage": triage.Own,
	} {
		if s, err := Lookup(name); err != nil || s.Name != want {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	_, err := Lookup("aws-abl")
	if triage.KindOf(err) != triage.KindInvalid || !strings.Contains(triage.HintOf(err), "aws-alb") {
		t.Errorf("%v, hint %q", err, triage.HintOf(err))
	}
}

// TestTable holds every row of the table to what the rest of the program relies on.
func TestTable(t *testing.T) {
	for _, s := range All() {
		if s.Title == "" || s.Shows == "" || len(s.Protocols) == 0 || s.Codes.Empty() || !s.Codes.Within(s.LegalCodes) {
			t.Errorf("%s is not complete", s.Name)
		}
		hosts := 0
		for _, h := range s.Headers {
			if h.Value == HostValue {
				hosts++
			}
			if strings.EqualFold(h.Name, "User-Agent") && h.Value != s.Agent {
				t.Errorf("%s sends User-Agent %q and is recognised by %q", s.Name, h.Value, s.Agent)
			}
		}
		if hosts != 1 {
			t.Errorf("%s sends %d Host headers", s.Name, hosts)
		}
		d := s.Timing
		if d.Timeout < d.MinTimeout || d.Timeout > d.MaxTimeout || d.Interval < d.MinInterval || d.Interval > d.MaxInterval || d.Timeout >= d.Interval ||
			d.Thresholds.Healthy < d.MinThreshold || d.Thresholds.Unhealthy > d.MaxThreshold {
			t.Errorf("%s: a default is outside its range: %+v", s.Name, d)
		}
		for o := range triage.Outcomes {
			if w := s.Words(o, 500); w.Code == "" {
				t.Errorf("%s has no word for %s", s.Name, o)
			}
		}
	}
}

func TestHost(t *testing.T) {
	for _, c := range []struct {
		to       string
		protocol triage.Protocol
		want     string
	}{
		{"10.0.1.5:8080", triage.HTTP, "10.0.1.5:8080"},
		{"10.0.1.5:80", triage.HTTP, "10.0.1.5"},
		{"10.0.1.5:80", triage.HTTPS, "10.0.1.5:80"},
		{"10.0.1.5:443", triage.HTTPS, "10.0.1.5"},
		{"[fd00::1]:8080", triage.HTTP, "[fd00::1]:8080"},
		{"[fd00::1]:80", triage.HTTP, "[fd00::1]"},
		{"[fe80::1%eth0]:8080", triage.HTTP, "[fe80::1]:8080"},
		{"[::ffff:10.0.1.5]:8080", triage.HTTP, "10.0.1.5:8080"},
	} {
		if got := Host(netip.MustParseAddrPort(c.to), c.protocol); got != c.want {
			t.Errorf("%s over %s: %s, want %s", c.to, c.protocol, got, c.want)
		}
	}
}

// TestEachDialectIsRecognised: what we send as a load balancer is what we recognise as it.
func TestEachDialectIsRecognised(t *testing.T) {
	for _, s := range All() {
		raw := s.AppendRequest(nil, Question{Protocol: triage.HTTP, Address: netip.MustParseAddrPort("10.0.1.5:8080"), Path: "/health_check"})
		r, n, err := http1.ParseRequest(raw, nil, http1.Limits{})
		if err != nil || n != len(raw) {
			t.Fatalf("%s sends a request that is not valid: %v", s.Name, err)
		}
		if sender, ok := Recognise(r); !ok || !sender.Sure || !strings.HasPrefix(sender.Title, s.Title) {
			t.Errorf("%s is recognised as %+v, %v", s.Name, sender, ok)
		}
	}
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ELB-HealthChecker/1.0\r\n\r\n":          "AWS Classic",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\n\r\n": "kubelet",
		"OPTIONS / HTTP/1.0\r\n\r\n":                                                                   "HAProxy",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.1\r\n\r\n":                                    "not a load balancer",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: GoogleHC/1.0\r\n\r\n":                                "Google",
		"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Amazon-Route53-Health-Check-Service (ref x)\r\n\r\n": "Route 53",
	} {
		r, _, err := http1.ParseRequest([]byte(request), nil, http1.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sender, ok := Recognise(r)
		if !ok || sender.Sure || !strings.Contains(sender.Title, want) {
			t.Errorf("%q is recognised as %+v, %v", request, sender, ok)
		}
	}
	r, _, _ := http1.ParseRequest([]byte("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n"), nil, http1.Limits{})
	if sender, ok := Recognise(r); ok {
		t.Errorf("a browser is recognised as %s", sender.Title)
	}
}
