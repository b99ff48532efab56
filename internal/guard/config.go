package guard

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/behind"
)

// Config is what a guard needs. Listen and Upstream are required; every other zero value is as documented.
type Config struct {
	// Listen is "address:port"; ":80" is every address of the machine. Port 0 is any free one, see [Guard.Addr].
	Listen string

	// Upstream is the application: 127.0.0.1:8000, [::1]:8000 or app:8000. The addresses of a name take turns;
	// one that refuses the connection is passed over.
	Upstream triage.TargetID

	// AllowedHosts are the hosts of the site, as in behind.Hosts. Empty: every host is let through.
	AllowedHosts []string

	// HTTPSRedirect sends users from http to https.
	HTTPSRedirect bool

	// Trusted are the peers whose X-Forwarded-For, -Proto and -Port are believed and passed on. Nil:
	// behind.DefaultTrusted. Empty but not nil: nobody. See [ParseTrusted].
	Trusted []netip.Prefix

	// HealthPath is the path that the load balancer asks, without a query. Empty: no path is an exception.
	HealthPath string

	// HealthHosts are hosts admitted on the health path besides AllowedHosts. If it is empty and Learned is
	// false, every address is admitted there, and so is a request without a host: load balancers ask for
	// addresses that this machine need not have.
	HealthHosts []string

	// Learned admits on the health path this machine's own addresses, which AWS's metadata services are asked
	// for in the background. IMDSv1 permits version 1 of EC2's, which needs no token.
	Learned, IMDSv1 bool

	// UpstreamHost is the Host with which requests for the health path go to the upstream. Empty: the first name
	// of AllowedHosts that is no pattern, else the first pattern's own name (.example.org admits example.org);
	// if there is none, the Host stays as it came.
	UpstreamHost string

	// UpstreamProto is the X-Forwarded-Proto, http or https, with which they go there. X-Forwarded-Port is that
	// scheme's own, to fit. Empty: https, since an application that redirects to https redirects everything
	// else, and one that does not takes either.
	UpstreamProto string

	// Getenv reads the environment, for what the metadata services are configured by. Nil: os.Getenv.
	Getenv func(string) string

	// Resolver finds the addresses of an Upstream that is a name. Not needed for an address.
	Resolver Resolver

	// ShutdownTimeout is how long running requests may take to end once Run's context is done. 0: 30 s.
	ShutdownTimeout time.Duration

	// Log gets the policy at start, and what an operator should know. Nil: nothing is logged.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Trusted == nil {
		c.Trusted = behind.DefaultTrusted()
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.UpstreamProto = cmp.Or(c.UpstreamProto, "https")
	return c
}

// siteHost is the Host that the health path goes to the upstream with; "" if there is no telling.
func (c Config) siteHost() string {
	if c.UpstreamHost != "" {
		return c.UpstreamHost
	}
	below := ""
	for _, entry := range c.AllowedHosts {
		name, isPattern := strings.CutPrefix(strings.TrimSuffix(entry, "."), ".")
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			continue
		}
		if !isPattern {
			return name
		}
		below = cmp.Or(below, name)
	}
	return below
}

// Validate returns the first thing that is wrong with the config, as a [triage.Error] in the words of the command
// line.
func (c Config) Validate() error {
	for _, err := range []error{
		c.validateListen(),
		c.validateUpstream(),
		c.validateHealth(),
		c.validateHosts(),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateListen() error {
	const hint = "write --listen :80 for every address of this machine, or --listen 10.0.1.5:80"
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return invalid(hint, "--listen %q is not an address and a port", c.Listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return invalid(hint, "--listen %q: the port must be a number from 1 to 65535", c.Listen)
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		return invalid(hint, "--listen %q: %q is not an address of this machine", c.Listen, host)
	}
	return nil
}

func (c Config) validateUpstream() error {
	const hint = "write where the application listens: --upstream 127.0.0.1:8000"
	if strings.Contains(string(c.Upstream), "/") {
		return invalid(hint, "--upstream %q is not an address and a port: no scheme, no path; the upstream is asked over http", c.Upstream)
	}
	host, _, err := c.Upstream.Split()
	if err != nil {
		return invalid(hint, "--upstream %s", err)
	}
	if addr, isAddr := c.Upstream.AddrPort(); isAddr {
		if err := (triage.AddressPolicy{}).Check(addr); err != nil {
			return invalid(hint, "--upstream %s", err)
		}
	} else if c.Resolver == nil {
		return &triage.Error{Kind: triage.KindInternal, Message: fmt.Sprintf("nobody finds the addresses of %s", host)}
	}
	if c.loops() {
		return invalid("give the application another port than the guard", "--upstream %s is the guard itself (--listen %s)", c.Upstream, c.Listen)
	}
	return nil
}

// loops reports whether the guard would send its requests to itself.
func (c Config) loops() bool {
	host, port, _ := net.SplitHostPort(c.Listen)
	to, toPort, _ := c.Upstream.Split()
	if n, _ := strconv.ParseUint(port, 10, 16); uint16(n) != toPort {
		return false
	}
	own, _ := netip.ParseAddr(cmp.Or(host, "::"))
	addr, err := netip.ParseAddr(to)
	switch {
	case to == "localhost" || host == "localhost":
		return (to == "localhost" || addr.IsLoopback()) && (host == "localhost" || own.IsUnspecified() || own.IsLoopback())
	case err != nil:
		return false // a name: nobody knows
	case own.IsUnspecified():
		return addr.IsLoopback()
	}
	return own.Unmap() == addr.Unmap()
}

func (c Config) validateHealth() error {
	const noPath = "name the path that the load balancer asks, as in --health-path /health_check"
	hostRules := len(c.HealthHosts) > 0 || c.Learned
	switch {
	case c.IMDSv1 && !c.Learned:
		return invalid("add --health-hosts learned, or leave --imds-v1 out",
			"--imds-v1 is about learning addresses, which only --health-hosts learned does")
	case hostRules && c.HealthPath == "":
		return invalid(noPath, "--health-hosts is for the health path, and there is no --health-path")
	case hostRules && len(c.AllowedHosts) == 0:
		return invalid("name the site's hosts, as in --allowed-hosts mysite.com, or leave --health-hosts out",
			"--health-hosts without --allowed-hosts refuses nobody: every host is let through")
	case c.UpstreamHost != "" && c.HealthPath == "":
		return invalid(noPath, "--upstream-host is for the health path, and there is no --health-path")
	case !slices.Contains([]string{"", "http", "https"}, c.UpstreamProto):
		return invalid("write http or https", "--upstream-proto %q is no scheme that X-Forwarded-Proto knows", c.UpstreamProto)
	}
	if err := triage.CheckHostHeader(c.UpstreamHost); err != nil {
		return invalid("write a host that the application accepts, as in --upstream-host mysite.com", "--upstream-host: %s", err)
	}
	if err := (behind.HTTPSRedirect{HealthPath: c.HealthPath, Trusted: c.Trusted}).Validate(); err != nil {
		return invalid(noPath, "--health-path: %s", err)
	}
	return nil
}

func (c Config) validateHosts() error {
	const hint = "separate hosts with commas: mysite.com is that name alone, .example.org is example.org and every name below it"
	if len(c.AllowedHosts) > 0 {
		if err := (behind.Hosts{Allowed: c.AllowedHosts}).Validate(); err != nil {
			return invalid(hint, "--allowed-hosts: %s", err)
		}
	}
	if len(c.HealthHosts) > 0 {
		if err := (behind.Hosts{Allowed: c.HealthHosts}).Validate(); err != nil {
			return invalid(hint+"; or write ip or learned", "--health-hosts: %s", err)
		}
	}
	return nil
}

func invalid(hint, format string, args ...any) error {
	return &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf(format, args...), Hint: hint}
}
