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
	URL string `arg:"" optional:"" name:"URL" help:"http://, https://, h2:// or h2c:// (HTTP/2), grpc:// or grpcs://, tcp:// or tls://; or HOST:PORT/PATH; or :PORT/PATH for this machine at its own private addresses. The path of grpc:// is the service to ask about; as aws-alb, the method. With -c, the GROUP to check; all groups if there is none."`

	As            string        `placeholder:"NAME" help:"Load balancer to ask as; triage dialects lists them. Several as aws-alb,kubelet, or all: one table. Default: aws-alb, for tcp and tls aws-clb, for grpc our own."`
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
	Connect       string        `xor:"tunnel" placeholder:"HOST:PORT" help:"Connect there, but ask and judge as if at the URL's address: for ssh -L, SSM, kubectl port-forward."`
	Via           string        `xor:"tunnel" placeholder:"COMMAND" help:"Command whose input and output are the connection, as in 'ssh web1 -W %h:%p'; %h and %p are the URL's address and port."`
	PublicHost    []string      `placeholder:"NAME" help:"Name by which visitors know the site, for second questions and cures. Default: the names in its certificate, or where it redirects."`
	NoFollowUp    bool          `help:"Ask no second questions about a failure or a pass."`
	Strict        bool          `help:"Exit with 1 on a pass that means little, too."`
	Count         int           `default:"1" placeholder:"N" help:"Check N times, a second apart; with --watch, at its pace, and without end if it is not given."`
	Watch         bool          `help:"Keep checking at the load balancer's pace, and show what it makes of the target: streak, state, latency."`
	Interval      time.Duration `placeholder:"TIME" help:"Pace of --watch and --wait. Default: the load balancer's; --wait asks each second."`
	Wait          time.Duration `placeholder:"TIME" help:"Ask until the load balancer would take the target into service, or the time is up."`
	Grace         time.Duration `placeholder:"TIME" help:"With --wait: warn if it takes longer than this grace period (of ECS, of an Auto Scaling group)."`
	Config        string        `short:"c" placeholder:"FILE" help:"Check the targets of a balancer's config file, as its groups say, from this machine."`
	JSON          bool          `help:"Print one JSON object for each check."`
	Verbose       bool          `short:"v" xor:"how-much" help:"Show everything that was sent and received."`
	Quiet         bool          `short:"q" xor:"how-much" help:"Show the verdict only, on one line."`

	Curl curlHabits `embed:""`

	given []string `kong:"-"` // names of the options that were typed
}

// checkHelp is the hint where there is no better one.
const checkHelp = "triage check --help shows how it is called"

// Run checks and reports.
func (c *checkCommand) Run(env *environment) error {
	if done, err := c.special(env); done || err != nil {
		return err
	}
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
		for i := range targets {
			code, err := r.check(env, &targets[i])
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
	tunnel   *tunnel  // nil: connections are this machine's own
	public   []string // names of the site that a person has given
	once     bool     // no second questions
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
	q := &question{endpoint: e, spec: spec, once: c.NoFollowUp}
	settings := settingsOf(e, spec)
	for _, apply := range []func(*question, *triage.HealthCheck) error{
		c.applyHTTP, c.applyExpect, c.applyTLS, c.applyConnection, c.applyTunnel, c.applyPublic, c.applyTimeout, c.departures,
	} {
		if err := apply(q, &settings); err != nil {
			return nil, err
		}
	}
	roots, err := readRoots(c.CACert)
	if err != nil {
		return nil, err
	}
	q.plan = probe.Compile(q.spec, settings)
	q.plan.KeepBody, q.plan.KeepTLS = 64<<10, true
	if roots != nil {
		q.plan.Roots = roots
	}
	q.plan.Extra = q.extra
	return q, q.tunnel.suits(q.plan)
}

// checkTarget is one address to ask.
type checkTarget struct {
	key      triage.Key
	took     time.Duration // to resolve the name; negative if there was none
	compare  []netip.Addr  // this machine's private addresses, if a loopback address was asked for
	loopback netip.Addr    // its other way in, if the address is this machine's own; else not valid
	other    netip.Addr    // the name's address of the other family, if there are both; else not valid
	doubted  bool          // a pass was looked into already
	fault    *triage.Exchange
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
			targets = append(targets, q.newTarget(env, a))
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
		t := q.newTarget(env, a)
		if a == loopbackOf(a) && q.tunnel == nil {
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

func (q *question) newTarget(env *environment, a netip.Addr) checkTarget {
	ap := netip.AddrPortFrom(a, q.endpoint.port)
	t := checkTarget{key: triage.Key{Target: triage.TargetID(ap.String()), Address: ap}, took: -1}
	if q.tunnel == nil && a != loopbackOf(a) && (a.IsLoopback() || slices.Contains(env.addresses(), a)) {
		t.loopback = loopbackOf(a)
	}
	return t
}

// loopbackOf is the usual loopback address of an address's family.
func loopbackOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
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
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound && q.tunnel == nil {
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
	all := slices.Clone(addresses)
	addresses = slices.DeleteFunc(addresses, func(a netip.Addr) bool { return !q.reaches(a) })
	if len(addresses) == 0 {
		return nil, usagef("ask from an address of the other sort", "%s has no address that can be asked from %s", e.host, q.plan.Source)
	}
	// IPv4 first: targets are registered by IPv4 address unless somebody chose otherwise.
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	t := q.newTarget(env, addresses[0])
	t.took = took
	if other := slices.IndexFunc(all, func(a netip.Addr) bool { return a.Is4() != addresses[0].Is4() }); other >= 0 && q.tunnel == nil {
		t.other = all[other]
	}
	if q.plan.Named() {
		t.key.Target = triage.TargetID(net.JoinHostPort(e.host, fmt.Sprint(e.port)))
	}
	if addresses[0].IsLoopback() && q.tunnel == nil {
		t.compare = env.addresses()
	} else if len(addresses) > 1 {
		q.warnings = append(q.warnings, fmt.Sprintf("%s has %d addresses; %s was asked", e.host, len(addresses), addresses[0]))
	}
	return []checkTarget{t}, nil
}

// ask asks one target, once. An error means that there is no verdict, by no fault of the target.
func (q *question) ask(ctx context.Context, t *checkTarget) (*triage.Exchange, error) {
	if t.fault != nil {
		return t.fault, nil
	}
	x, err := q.put(ctx, q.plan, t.key)
	if err != nil {
		return nil, err
	}
	if t.took >= 0 {
		x.Timing[triage.PhaseResolve] = t.took
	}
	return x, ctx.Err()
}

// put asks by a plan, through the tunnel if there is one.
func (q *question) put(ctx context.Context, plan *probe.Plan, key triage.Key) (*triage.Exchange, error) {
	if q.tunnel == nil {
		return probe.Do(ctx, plan, key, anywhere), nil
	}
	return q.tunnel.do(ctx, plan, key)
}

// warn says what a person should know about an exchange that no diagnosis says.
func (q *question) warn(ctx context.Context, x *triage.Exchange, t *checkTarget) []string {
	warnings := slices.Clone(q.warnings)
	if name, ok := diagnose.LoadBalancer(x); ok {
		warnings = append(warnings, fmt.Sprintf("Server: %s means that you asked the load balancer itself; its health check asks the targets behind it", name))
	}
	if w := q.tunnel.doubt(x); w != "" {
		warnings = append(warnings, w)
	}
	if q.once {
		return warnings
	}
	if w := q.compareOwn(ctx, x, t.compare); w != "" {
		warnings = append(warnings, w)
	}
	return warnings
}

// compareOwn asks this machine's own addresses what a loopback address was asked, and says how they differ: a
// load balancer never asks 127.0.0.1. It is silent if one of them answers alike, since a machine has bridges and
// other interfaces that no load balancer knows.
func (q *question) compareOwn(ctx context.Context, x *triage.Exchange, own []netip.Addr) string {
	var differing, addresses []string
	for _, a := range own {
		key := x.Key
		key.Address = netip.AddrPortFrom(a, key.Address.Port())
		other := probe.Do(ctx, q.plan, key, anywhere)
		if ctx.Err() != nil {
			return ""
		}
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
