package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// checkCommand asks a target as a load balancer does.
type checkCommand struct {
	URL string `arg:"" name:"URL" help:"http://, https://, h2:// or h2c:// (HTTP/2), grpc:// or grpcs://, tcp:// or tls://; or HOST:PORT/PATH; or :PORT/PATH for this machine at its own private addresses. The path of grpc:// is the service to ask about; as aws-alb, the method."`

	As            string        `placeholder:"NAME" help:"Load balancer to ask as; triage dialects lists them. Default: aws-alb, for tcp and tls aws-clb, for grpc our own."`
	Path          string        `placeholder:"PATH" help:"Path to ask for, instead of the URL's."`
	Service       string        `placeholder:"NAME" help:"Service to ask gRPC's health service about, instead of the URL's path."`
	Host          string        `placeholder:"NAME" help:"Host header to send, where the load balancer can be told one; AWS's cannot."`
	Header        []string      `short:"H" sep:"none" placeholder:"LINE" help:"Header line to send, 'Name: value', where the load balancer can be told to."`
	SuccessCodes  string        `placeholder:"CODES" help:"Codes that pass: 200, 200,202 or 200-299; for grpc those of gRPC: 0 or 0-99. Default: the load balancer's."`
	ExpectHeader  string        `placeholder:"FIELD" help:"Header field that the answer must have: 'Name: value', or Name for any value."`
	ExpectBody    string        `placeholder:"TEXT" help:"Text that the answer must contain."`
	ExpectRegex   string        `placeholder:"REGEX" help:"Regular expression (RE2) that must match somewhere in the answer."`
	Expect        string        `placeholder:"CEL" help:"Expression over status, header, body, json, latency and tls that must be true."`
	Timeout       time.Duration `placeholder:"TIME" help:"For the whole check. Default: the load balancer's."`
	ServerName    string        `placeholder:"NAME" help:"Server name (SNI) to send, and that the certificate must be for."`
	Verify        *bool         `negatable:"" help:"Whether the target's certificate must be one to trust. Default: as the load balancer does."`
	CACert        string        `name:"cacert" placeholder:"FILE" help:"Certificates (PEM) to trust beside the system's, for load balancers that verify."`
	Cert          string        `placeholder:"FILE" help:"Certificate (PEM) to show to targets that ask for one."`
	Key           string        `placeholder:"FILE" help:"Its private key (PEM)."`
	TLSMin        string        `name:"tls-min" placeholder:"V" help:"Lowest version of TLS: 1.0, 1.1, 1.2 or 1.3."`
	ProxyProtocol string        `placeholder:"V" help:"Send a header of the PROXY protocol first: v1 or v2."`
	Source        string        `placeholder:"ADDRESS" help:"Address of this machine to ask from."`
	Count         int           `default:"1" placeholder:"N" help:"Check N times, a second apart."`
	JSON          bool          `help:"Print one JSON object for each check."`
	Verbose       bool          `short:"v" xor:"how-much" help:"Show everything that was sent and received."`
	Quiet         bool          `short:"q" xor:"how-much" help:"Show the verdict only, on one line."`

	Curl curlHabits `embed:""`
}

// grpcUnimplemented is the status of a method that a server does not have.
const grpcUnimplemented = 12

// checkHelp is the hint where there is no better one.
const checkHelp = "triage check --help shows how it is called"

// Run checks and reports.
func (c *checkCommand) Run(env *environment) error {
	q, err := c.question()
	if err != nil {
		return err
	}
	targets, err := q.resolve(env)
	if err != nil {
		return err
	}
	if err := q.sourced(); err != nil {
		return err
	}
	r := &checkReport{command: c, question: q, out: newTerminal(env, env.stdout), err: newTerminal(env, env.stderr)}
	worst := exitOK
	for round := range c.Count {
		if round > 0 && !sleep(env.ctx, time.Second) {
			return env.ctx.Err()
		}
		for _, t := range targets {
			code, err := q.check(env, t, r)
			if err != nil {
				return err
			}
			worst = max(worst, code)
		}
	}
	if worst != exitOK {
		return exit(worst)
	}
	return nil
}

// question is a check that is ready to be asked.
type question struct {
	endpoint endpoint
	spec     *dialect.Spec
	plan     *probe.Plan
	extra    []dialect.Header // that a person wants sent, beside the load balancer's own
	departs  []string         // options that this load balancer does not have
	warnings []string
}

func (c *checkCommand) question() (*question, error) {
	e, err := parseEndpoint(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Count < 1 || c.Count > 1_000_000 {
		return nil, usagef(checkHelp, "--count %d: write a number from 1 to 1000000", c.Count)
	}
	spec, err := chooseDialect(c.As, e.protocol)
	if err != nil {
		return nil, err
	}
	if err := c.Curl.answer(spec); err != nil {
		return nil, err
	}
	q := &question{endpoint: e, spec: spec}
	settings := settingsOf(e, spec)
	for _, apply := range []func(*question, *triage.HealthCheck) error{
		c.applyHTTP, c.applyExpect, c.applyTLS, c.applyConnection, c.applyTimeout, c.departures,
	} {
		if err := apply(q, &settings); err != nil {
			return nil, err
		}
	}
	roots, err := readRoots(c.CACert)
	if err != nil {
		return nil, err
	}
	if e.protocol == triage.TCP {
		q.warnings = append(q.warnings, "a TCP check passes as long as the port answers, also while the site throws 500s; check a path over http://")
	}
	q.plan = probe.Compile(q.spec, settings)
	q.plan.KeepBody, q.plan.KeepTLS = 64<<10, true
	if roots != nil {
		q.plan.Roots = roots
	}
	q.plan.Extra = q.extra
	return q, nil
}

// checkTarget is one address to ask.
type checkTarget struct {
	key     triage.Key
	took    time.Duration // to resolve the name; negative if there was none
	compare []netip.Addr  // this machine's private addresses, if a loopback address was asked for
	fault   *triage.Exchange
}

// resolve finds the addresses to ask.
func (q *question) resolve(env *environment) ([]checkTarget, error) {
	e := q.endpoint
	if e.host == "" {
		own := env.addresses()
		if len(own) == 0 {
			return nil, usagef("write the address that the load balancer asks", "this machine has no private address")
		}
		var targets []checkTarget
		for _, a := range own {
			targets = append(targets, newCheckTarget(a, e.port))
		}
		return targets, nil
	}
	if a, err := netip.ParseAddr(e.host); err == nil {
		if a.IsUnspecified() || a.IsMulticast() {
			return nil, usagef(fmt.Sprintf("write :%d%s for this machine at its own private addresses", e.port, e.path), "%s is not the address of one machine", a)
		}
		if !q.reaches(a) {
			return nil, usagef("ask from an address of the same sort", "%s cannot be asked from %s: one is an IPv4 address, the other is not", a, q.plan.Source)
		}
		t := newCheckTarget(a, e.port)
		if a == netip.IPv6Loopback() || a == netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
			t.compare = env.addresses()
		}
		return []checkTarget{t}, nil
	}
	return q.resolveName(env)
}

// reaches reports whether an address is of the sort of the one that is asked from.
func (q *question) reaches(a netip.Addr) bool {
	return !q.plan.Source.IsValid() || q.plan.Source.Is4() == a.Unmap().Is4()
}

// anywhere lets a person ask what triage serve would not: a link-local address, a metadata service.
var anywhere = triage.AddressPolicy{Allowed: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}

func newCheckTarget(a netip.Addr, port uint16) checkTarget {
	ap := netip.AddrPortFrom(a, port)
	return checkTarget{key: triage.Key{Target: triage.TargetID(ap.String()), Address: ap}, took: -1}
}

// resolveName asks the system's resolver. Most load balancers ask addresses, and never send the name itself.
func (q *question) resolveName(env *environment) ([]checkTarget, error) {
	e := q.endpoint
	ctx, cancel := context.WithTimeout(env.ctx, q.plan.Timeout)
	defer cancel()
	start := time.Now()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.host)
	took := time.Since(start)
	if env.ctx.Err() != nil {
		return nil, env.ctx.Err()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		id := triage.TargetID(net.JoinHostPort(e.host, fmt.Sprint(e.port)))
		x := &triage.Exchange{Key: triage.Key{Target: id}, Dialect: q.spec.Name, Started: start, Took: took, Timing: triage.NoTiming(), Outcome: triage.ResolveFailed}
		return []checkTarget{{key: x.Key, took: took, fault: x}}, nil
	}
	if err != nil {
		return nil, &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("resolve %s: %s", e.host, err), Hint: "ask by the target's address, as the load balancer does"}
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	addresses = slices.DeleteFunc(addresses, func(a netip.Addr) bool { return !q.reaches(a) })
	if len(addresses) == 0 {
		return nil, usagef("ask from an address of the other sort", "%s has no address that can be asked from %s", e.host, q.plan.Source)
	}
	// IPv4 first: targets are registered by IPv4 address unless somebody chose otherwise.
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	t := newCheckTarget(addresses[0], e.port)
	t.took = took
	if q.plan.Named() {
		t.key.Target = triage.TargetID(net.JoinHostPort(e.host, fmt.Sprint(e.port)))
	}
	if addresses[0].IsLoopback() {
		t.compare = env.addresses()
	} else if len(addresses) > 1 {
		q.warnings = append(q.warnings, fmt.Sprintf("%s has %d addresses; %s was asked", e.host, len(addresses), addresses[0]))
	}
	return []checkTarget{t}, nil
}

// check asks one target, prints the verdict at once, and then finds out why.
func (q *question) check(env *environment, t checkTarget, r *checkReport) (code int, err error) {
	x := t.fault
	if x == nil {
		x = probe.Do(env.ctx, q.plan, t.key, anywhere)
		if t.took >= 0 {
			x.Timing[triage.PhaseResolve] = t.took
		}
	}
	if env.ctx.Err() != nil {
		return 0, env.ctx.Err()
	}
	r.verdict(x)
	warnings := slices.Clone(q.warnings)
	if name, ok := diagnose.LoadBalancer(x); ok {
		warnings = append(warnings, fmt.Sprintf("Server: %s means that you asked the load balancer itself; its health check asks the targets behind it", name))
	}
	if x.Outcome == triage.Matched && x.GRPC != nil && x.GRPC.Status == grpcUnimplemented {
		warnings = append(warnings, fmt.Sprintf("12 UNIMPLEMENTED passes, and every gRPC server answers so that does not know the method, a sick one too; let the load balancer ask the health service for 0, as in triage check --as %s --success-codes 0 %s://%s/grpc.health.v1.Health/Check", q.spec.Name, q.endpoint.protocol, x.Key.Address))
	}
	if w := q.compareOwn(env, x, t.compare); w != "" {
		warnings = append(warnings, w)
	}
	d := q.explain(env.ctx, x, t.key, r)
	if env.ctx.Err() != nil {
		return 0, env.ctx.Err()
	}
	if err := r.rest(x, d, warnings); err != nil {
		return 0, err
	}
	switch x.Outcome.Verdict() {
	case triage.Pass:
		return exitOK, nil
	case triage.Fail:
		return exitUnhealthy, nil
	}
	return exitFault, nil
}

// explain finds out why a check failed. It asks second questions only if somebody will see the answers.
func (q *question) explain(ctx context.Context, x *triage.Exchange, key triage.Key, r *checkReport) *triage.Diagnosis {
	if !r.explains() {
		return nil
	}
	return diagnose.Ask(ctx, x, func(ctx context.Context, second diagnose.Question) *triage.Exchange {
		return probe.Do(ctx, q.plan.With(second.Host, second.Headers...), key, anywhere)
	})
}

// compareOwn asks this machine's own addresses what a loopback address was asked, and says how they differ: a
// load balancer never asks 127.0.0.1. It is silent if one of them answers alike, since a machine has bridges and
// other interfaces that no load balancer knows.
func (q *question) compareOwn(env *environment, x *triage.Exchange, own []netip.Addr) string {
	var differing, addresses []string
	for _, a := range own {
		key := x.Key
		key.Address = netip.AddrPortFrom(a, key.Address.Port())
		other := probe.Do(env.ctx, q.plan, key, anywhere)
		if other.Outcome == x.Outcome && other.Status == x.Status {
			return ""
		}
		differing = append(differing, fmt.Sprintf("%s: %s", a, diagnose.Brief(other)))
		addresses = append(addresses, a.String())
	}
	if differing == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s, %s; the load balancer asks %s",
		x.Key.Address.Addr(), diagnose.Brief(x), strings.Join(differing, ", "), strings.Join(addresses, " or "))
}

// privateAddresses are the addresses by which a load balancer could reach this machine.
func privateAddresses() []netip.Addr {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, i := range interfaces {
		prefix, err := netip.ParsePrefix(i.String())
		if a := prefix.Addr().Unmap(); err == nil && a.IsGlobalUnicast() {
			own = append(own, a)
		}
	}
	return own
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
