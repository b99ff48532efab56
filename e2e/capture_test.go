package e2e

import (
	"context"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/diagnose/testdata/recording"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// recordings are the folders whose files TestCapture writes anew.
var recordings = []string{"../internal/diagnose/testdata/recorded", "../internal/diagnose/testdata/heldout"}

// TestCapture starts the server of each recording, asks it as the recording's check does, puts the second questions of a
// diagnosis, and writes down what came. It runs in a network of its own only: see capture.sh, which make capture calls.
func TestCapture(t *testing.T) {
	if captureFolder() == "" {
		t.Skip("make capture records real servers anew")
	}
	for _, folder := range recordings {
		for _, f := range recording.Load(t, folder) {
			if f.Get(recording.Origin) != "captured" && f.All(recording.Run) == nil {
				continue // made up from what is known, without a server
			}
			t.Run(f.Name, func(t *testing.T) {
				c := capturer{File: f, dir: filepath.Join(captureFolder(), "app")}
				c.capture(t)
				if err := os.WriteFile(filepath.Join(folder, f.Name+".txtar"), c.Format(), 0o644); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// capturer makes the exchanges of one recording anew.
type capturer struct {
	recording.File
	dir  string
	plan *probe.Plan
	key  triage.Key
}

// maxQuestions bounds how many of the usual questions are put to one server.
const maxQuestions = 40

func (c *capturer) capture(t *testing.T) {
	versions := c.versions(t)
	c.setUp(t)
	c.start(t)
	c.compile(t)
	before, _ := strconv.Atoi(c.Get(recording.Before))
	for range before {
		c.ask(t.Context(), dialect.Variation{})
	}
	c.Check, c.Asked = c.ask(t.Context(), dialect.Variation{}), nil
	c.Set(recording.Program, versions)
	c.Set(recording.Captured, c.Check.Started.UTC().Format(time.RFC3339))

	// What a diagnosis wants to know comes first: some servers answer the hundredth question otherwise than the second.
	means := diagnose.Means{Ask: c.record, Hosts: c.HostNames()}
	diagnose.Ask(t.Context(), c.Check, means)
	diagnose.Doubt(t.Context(), c.Check, means)
	for _, v := range c.usual() {
		if c.Ask(v) == nil && len(c.Asked) < maxQuestions {
			c.record(t.Context(), v)
		}
	}
	t.Logf("%s: %s: %s %d %q, %d questions", c.Name, c.Get(recording.URL), c.Check.Outcome, c.Check.Status, c.Check.Detail, len(c.Asked))
}

// record puts a second question and writes its answer down.
func (c *capturer) record(ctx context.Context, v dialect.Variation) *triage.Exchange {
	x := c.ask(ctx, v)
	if x != nil && c.File.Ask(v) == nil {
		c.Asked = append(c.Asked, recording.Question{Words: v.String(), Exchange: x})
	}
	return x
}

// ask puts a question; the zero Variation is the check itself.
func (c *capturer) ask(ctx context.Context, v dialect.Variation) *triage.Exchange {
	key := c.key
	switch v.At {
	case dialect.Loopback:
		key.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), key.Address.Port())
		if key.Address == c.key.Address {
			return nil
		}
	case dialect.OtherFamily:
		other, err := netip.ParseAddrPort(c.Get(recording.Other))
		if err != nil {
			return nil
		}
		key.Address = other
	}
	if v.Pause > 0 {
		time.Sleep(v.Pause)
	}
	plan := c.plan
	if v != (dialect.Variation{}) {
		plan = plan.Vary(v)
	}
	return probe.Do(ctx, plan, key, triage.AddressPolicy{})
}

// usual are the second questions that are put to every server, so that an entry that is written later finds them.
func (c *capturer) usual() []dialect.Variation {
	forwarded := dialect.Header{Name: "X-Forwarded-Proto", Value: "https"}
	all := []dialect.Variation{{At: dialect.Loopback}, {At: dialect.OtherFamily}}
	for _, protocol := range triage.Protocols() {
		if protocol != c.plan.Protocol && !protocol.IsGRPC() {
			all = append(all, dialect.Variation{Protocol: protocol})
		}
	}
	all = append(all, dialect.Variation{Proxy: triage.ProxyV1}, dialect.Variation{Protocol: triage.TLS, Nameless: true})
	for _, host := range c.HostNames() {
		all = append(all, dialect.Variation{Protocol: triage.TLS, ServerName: host}, dialect.Variation{Host: host}, dialect.Variation{Host: host, Header: forwarded})
		if c.plan.Protocol.Encrypted() {
			all = append(all, dialect.Variation{ServerName: host}, dialect.Variation{Host: host, ServerName: host})
		}
	}
	if !c.plan.Protocol.Asks() {
		return append(all, dialect.Variation{Protocol: triage.HTTP, Path: "/"})
	}
	for _, host := range []string{"localhost", "127.0.0.1", "nonsense.invalid"} {
		all = append(all, dialect.Variation{Host: host})
	}
	method := "HEAD"
	if c.plan.Dialect.Method == "HEAD" || c.plan.Dialect.Method == "OPTIONS" {
		method = "GET"
	}
	all = append(all, dialect.Variation{Header: forwarded}, dialect.Variation{Method: method}, dialect.Variation{Current: true})
	for _, path := range []string{"/", c.plan.Path + "/", c.plan.Path + "-nonsense"} {
		if path != c.plan.Path {
			all = append(all, dialect.Variation{Path: path})
		}
	}
	if c.Check.Status == 503 || c.Check.Status == 429 {
		all = append(all, dialect.Variation{Pause: 2 * time.Second})
	}
	return all
}

// compile makes the plan of the check.
func (c *capturer) compile(t *testing.T) {
	t.Helper()
	spec, err := dialect.Lookup(c.Get(recording.As))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.Get(recording.URL))
	if err != nil {
		t.Fatal(err)
	}
	settings := triage.DefaultHealthCheck()
	settings.As, settings.Path, settings.Timeout = spec.Name, u.RequestURI(), time.Second
	settings.SuccessCodes, settings.GRPCCodes = spec.Codes, spec.GRPC.Passing()
	if settings.Protocol, err = triage.ParseProtocol(u.Scheme); err != nil {
		t.Fatal(err)
	}
	if text := c.Get(recording.Timeout); text != "" {
		if settings.Timeout, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := c.Get(recording.Codes); text != "" {
		if settings.SuccessCodes, err = triage.ParseMatcher(text); err != nil {
			t.Fatal(err)
		}
	}
	settings.ProxyProtocol = triage.ProxyProtocol(c.Get(recording.Proxy))
	settings.Expect = triage.Expect{
		Body: c.Get(recording.Expect), Header: c.Get(recording.ExpectHeader), Expression: c.Get(recording.ExpectCEL),
	}
	c.key.Address = c.address(t)
	c.key.Target = triage.TargetID(c.key.Address.String())
	if name := c.Get(recording.Target); name != "" {
		c.key.Target = triage.TargetID(name)
	}
	c.plan = probe.Compile(spec, settings)
	c.plan.KeepTLS = true
}

// address is where the check goes.
func (c *capturer) address(t *testing.T) netip.AddrPort {
	t.Helper()
	u, err := url.Parse(c.Get(recording.URL))
	if err != nil {
		t.Fatal(err)
	}
	a, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
