package dialect

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Rule is one thing that a dialect does, in words.
type Rule struct {
	Topic string `json:"topic"` // one of Topics
	Says  string `json:"says"`
}

// Rules returns what the row says, each field in a sentence without a full stop.
func (s *Spec) Rules() []Rule {
	var rules []Rule
	if s.Speaks(triage.GRPC) {
		rules = append(rules, Rule{"protocols", s.GRPC.inWords()})
	}
	if s.HTTP2.NoAuthority {
		rules = append(rules, Rule{"protocols", "over HTTP/2 the request has no :authority"})
	}
	if len(s.Proxy) > 0 {
		rules = append(rules, Rule{"protocols", s.proxyInWords()})
	}
	return append(rules, []Rule{
		{"request", s.settableInWords()},
		{"host", s.hostInWords()},
		{"codes", s.codesInWords()},
		{"redirects", s.Redirects.inWords()},
		{"body", s.Body.inWords()},
		{"tls", s.TLS.inWords()},
		{"close", s.Close.inWords()},
		{"timing", s.Timing.inWords()},
		{"timing", s.Timing.thresholdsInWords()},
		{"states", s.First.inWords()},
	}...)
}

// Example returns the question by which dialects are shown: a target that somebody has typed as app.example, whose address
// is 10.0.1.5, asked for /health on port 8080, within 5 s, by a load balancer at 10.0.9.9 that calls the group app and
// listens on 80.
func Example() Question {
	return Question{
		Protocol: triage.HTTP,
		Address:  netip.MustParseAddrPort("10.0.1.5:8080"),
		Path:     "/health",
		Typed:    "app.example",
		Node:     netip.MustParseAddrPort("10.0.9.9:80"),
		Cluster:  "app",
		Timeout:  5 * time.Second,
	}
}

// ExampleOver is the example over another protocol.
func ExampleOver(p triage.Protocol) Question {
	q := Example()
	q.Protocol = p
	if p.IsGRPC() {
		q.Path = "/"
	}
	return q
}

// Evidence is how well the fact is known and by what: "captured: two logs", or "assumed".
func (f Fact) Evidence() string {
	if f.Source == "" {
		return f.Confidence.String()
	}
	return f.Confidence.String() + ": " + f.Source
}

func (s *Spec) settableInWords() string {
	switch {
	case s.Settable:
		return "people can add header lines, and set Host"
	case s.HostSettable:
		return "people can set Host, and no other header"
	}
	return "people can set no header"
}

func (s *Spec) hostInWords() string {
	switch s.Host {
	case HostAddressPort:
		return "Host is address and port, always both"
	case HostAddressOnly:
		return "Host is the address, never with a port"
	case HostTyped:
		return "Host is the target's name as typed, with the port unless that is the protocol's own"
	case HostTypedPort:
		return "Host is the target's name as typed, always with the port"
	case HostNode:
		return "Host is the load balancer's own address and the port of its listener"
	case HostCluster:
		return "Host is the name that the load balancer has for the group of targets"
	case HostLoopback:
		return "Host is 127.0.0.1"
	case HostNone:
		return "there is no Host header"
	}
	return "Host is address and port, the port left out where it is the protocol's own"
}

func (s *Spec) codesInWords() string {
	if s.Codes == s.LegalCodes {
		return fmt.Sprintf("%s passes; others cannot be set", s.Codes)
	}
	return fmt.Sprintf("%s passes; any of %s can be set", s.Codes, s.LegalCodes)
}

func (r GRPCRule) inWords() string {
	method := "of " + HealthMethod
	if !r.Health() {
		method = "of the method " + r.Method
	}
	if r.Settable {
		method += ", or of another that is set as the path"
	}
	passes := r.Passing().String() + " passes"
	if r.Health() {
		passes = "the status " + r.Passing().String() + " passes if the answer says SERVING"
	}
	if !r.LegalCodes.Empty() {
		passes += fmt.Sprintf("; any of %s can be set", r.LegalCodes)
	}
	if r.Deadline {
		passes += "; the target is told how long the check may take"
	}
	return fmt.Sprintf("gRPC: the check is a call %s; %s", method, passes)
}

func (s *Spec) proxyInWords() string {
	var versions []string
	for _, v := range s.Proxy {
		versions = append(versions, strings.TrimPrefix(string(v), "v"))
	}
	return fmt.Sprintf("a header of the PROXY protocol, version %s, can come before everything else", strings.Join(versions, " or "))
}

func (r Redirects) inWords() string {
	switch r {
	case RedirectsSameHost:
		return "redirects are followed while the host name stays, by 10 requests at most; one that leads elsewhere passes"
	case RedirectsFollowed:
		return "redirects are followed, by 10 requests at most"
	}
	return "redirects are not followed: their code decides"
}

func (r BodyRule) inWords() string {
	switch r.Need {
	case BodyFramed:
		return "content is read to its end, which Content-Length or chunks must announce"
	case BodyFirst:
		return fmt.Sprintf("the first %d bytes of content are read; what comes after them is not waited for", r.Limit)
	case BodyUnread:
		return "content is not waited for: the head decides"
	}
	return "content is read to its end"
}

func (r TLSRule) inWords() string {
	verify, name := "the certificate is not verified", "no server name (SNI) is sent"
	switch {
	case r.Verify && r.SNI:
		verify = "the certificate must be valid, for the name as typed"
	case r.Verify:
		verify = "the certificate must be valid, for whatever name"
	}
	if r.SNI {
		name = "the name as typed is sent (SNI)"
	}
	if r.AgainBare {
		name += ", and a handshake that fails with it is tried once more without"
	}
	if slices.Contains(r.ALPN, "h2") {
		name += "; HTTP/2 is offered (ALPN), and the target chooses"
	}
	return fmt.Sprintf("%s; %s; %s to %s", verify, name, tls.VersionName(r.Min), strings.TrimPrefix(tls.VersionName(r.Max), "TLS "))
}

func (c Close) inWords() string {
	if c == CloseRST {
		return "the connection ends with a reset (RST)"
	}
	return "the connection ends in order (FIN)"
}

func (t Timing) inWords() string {
	from := "from start to start"
	if t.EndToStart {
		from = "from the end of one check to the next"
	}
	return fmt.Sprintf("interval %s, %s; timeout %s",
		withRange(t.Interval, t.MinInterval, t.MaxInterval), from, withRange(t.Timeout, t.MinTimeout, t.MaxTimeout))
}

func (t Timing) thresholdsInWords() string {
	limits := ""
	switch {
	case t.Thresholds == (triage.Thresholds{}) && t.MinThreshold == 0:
		return "there are no thresholds"
	case t.Thresholds == (triage.Thresholds{}):
		return "thresholds without a default"
	case t.MinThreshold == t.MaxThreshold:
		limits = "; they cannot be set"
	case t.MaxThreshold > 0:
		limits = fmt.Sprintf(" (%d-%d)", t.MinThreshold, t.MaxThreshold)
	}
	return fmt.Sprintf("healthy after %d, unhealthy after %d%s", t.Thresholds.Healthy, t.Thresholds.Unhealthy, limits)
}

// withRange writes a default and what can be set instead.
func withRange(d, least, most time.Duration) string {
	text := "without a default"
	if d > 0 {
		text = short(d)
	}
	switch {
	case least > 0 && least == most:
		return text + " (it cannot be set)"
	case most > 0 && least > 0:
		return fmt.Sprintf("%s (%s-%s)", text, short(least), short(most))
	case most > 0:
		return fmt.Sprintf("%s (at most %s)", text, short(most))
	case least > 0:
		return fmt.Sprintf("%s (at least %s)", text, short(least))
	}
	return text
}

// short writes a duration as vendors write it: 300s, not 5m0s.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Second == 0:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.String()
}

func (f First) inWords() string {
	if f == FirstHealthy {
		return "before its first check a target gets traffic"
	}
	return "before its first check a target gets no traffic"
}
