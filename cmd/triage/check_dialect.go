package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// curlHabits are options that hands type by themselves. Each gets an answer instead of "unknown flag".
type curlHabits struct {
	Insecure bool     `short:"k" hidden:""`
	Head     bool     `short:"I" hidden:""`
	Location bool     `short:"L" hidden:""`
	Resolve  []string `hidden:"" sep:"none"`
	MaxTime  string   `hidden:""`
}

// answer says what to do instead, by what the load balancer does.
func (c curlHabits) answer(as *dialect.Spec) error {
	method := cmp.Or(as.Method, "GET")
	switch {
	case c.Insecure && as.TLS.Verify:
		return usagef("leave it away to see what it sees; --cacert FILE trusts a certificate of your own, and --no-verify any", "-k: %s verifies the target's certificate", as.Title)
	case c.Insecure:
		return usagef("leave it away", "-k is not needed: %s does not verify the target's certificate", as.Title)
	case c.Head && method == "HEAD":
		return usagef("leave it away", "-I is not needed: %s asks with HEAD", as.Title)
	case c.Head:
		return usagef("leave it away to ask as the load balancer does", "-I asks with HEAD, but %s asks with %s, and targets may answer differently", as.Title, method)
	case c.Location:
		return c.answerLocation(as)
	case len(c.Resolve) > 0:
		return usagef("put the address into the URL, and the name after --host", "--resolve: a load balancer asks an address, not a name")
	case c.MaxTime != "":
		return usagef("use --timeout "+c.MaxTime+"s", "--max-time is called --timeout here")
	}
	return nil
}

func (c curlHabits) answerLocation(as *dialect.Spec) error {
	switch as.Redirects {
	case dialect.RedirectsFollowed:
		return usagef("leave it away", "-L is not needed: %s follows redirects", as.Title)
	case dialect.RedirectsSameHost:
		return usagef("leave it away", "-L is not needed: %s follows redirects while the host stays the same, and takes another one for a pass", as.Title)
	}
	return usagef("leave it away: the redirect itself is the finding", "-L follows redirects, which %s never does", as.Title)
}

// fallbackTimeout is for load balancers that have no default.
const fallbackTimeout = 5 * time.Second

// chooseDialect finds the load balancer to ask as; its default depends on the protocol.
func chooseDialect(name string, p triage.Protocol) (*dialect.Spec, error) {
	if name == "" {
		switch {
		case p.IsGRPC():
			return dialect.Get(triage.Own), nil // an ALB asks no health service, and passes servers that have none
		case p.Asks():
			return dialect.Get(triage.AWSALB), nil
		}
		return dialect.Get(triage.AWSCLB), nil
	}
	spec, err := dialect.Lookup(name)
	if err != nil {
		return nil, err
	}
	if !spec.Speaks(p) {
		other := "--as triage has all"
		if !p.Asks() {
			other = "--as aws-clb has tcp and tls"
		}
		return nil, usagef("it checks over "+joinProtocols(spec.Protocols)+"; "+other, "%s has no %s check", spec.Title, p)
	}
	return spec, nil
}

func joinProtocols(ps []triage.Protocol) string {
	s := ""
	for i, p := range ps {
		if i > 0 {
			s += ", "
		}
		s += string(p)
	}
	return s
}

// applyTimeout takes over the timeout, and says so where the load balancer itself could not have it.
func (c *checkCommand) applyTimeout(q *question, settings *triage.HealthCheck) error {
	t := q.spec.Timing
	settings.Timeout = cmp.Or(c.Timeout, t.Timeout, fallbackTimeout)
	switch d := settings.Timeout; {
	case d < triage.MinTimeout || d > time.Hour:
		return usagef(checkHelp, "--timeout %s is outside %s-%s", d, triage.MinTimeout, "1h")
	case d < t.MinTimeout || t.MaxTimeout > 0 && d > t.MaxTimeout:
		q.departs = append(q.departs, fmt.Sprintf("--timeout %s (it takes %s)", d, rangeOf(t.MinTimeout, t.MaxTimeout)))
	}
	return nil
}

// rangeOf is a range in words. A bound of zero is none.
func rangeOf(low, high time.Duration) string {
	switch {
	case high == 0:
		return fmt.Sprintf("%s or more", low)
	case low == 0:
		return fmt.Sprintf("%s or less", high)
	}
	return fmt.Sprintf("%s-%s", low, high)
}

// applyHeaders takes over --host and -H. What the load balancer sends by itself is replaced, as it does it.
func (c *checkCommand) applyHeaders(q *question, settings *triage.HealthCheck) error {
	host := c.Host
	for _, line := range c.Header {
		h, err := parseHeader(line)
		if err != nil {
			return err
		}
		switch {
		case strings.EqualFold(h.Name, "Host") && canSetHost(q.spec):
			host = h.Value
		case !q.spec.Settable:
			return usagef("triage dialects shows what each can be told; to try another Host header all the same, there is --host NAME",
				"-H: %s cannot send %s", q.spec.Title, h.Name)
		default:
			q.setHeader(h)
		}
	}
	if err := triage.CheckHostHeader(host); err != nil {
		return usagef(checkHelp, "--host: %s", err)
	}
	settings.Host = host
	if host == "" {
		q.warnStandIn()
		return nil
	}
	if canSetHost(q.spec) {
		return nil
	}
	q.departs = append(q.departs, fmt.Sprintf("--host %s (it sends %s)", host, hostSent(q.spec.Host)))
	return nil
}

// canSetHost reports whether the Host header is for people to set, or depends on what only they know.
func canSetHost(s *dialect.Spec) bool {
	return s.Settable || s.HostSettable || s.Host == dialect.HostNode || s.Host == dialect.HostCluster
}

// hostSent says what a load balancer sends as Host where nobody can set that.
func hostSent(r dialect.HostRule) string {
	switch r {
	case dialect.HostAddressOnly:
		return "the address"
	case dialect.HostTyped, dialect.HostTypedPort:
		return "the target's name"
	case dialect.HostLoopback:
		return "127.0.0.1"
	case dialect.HostNone:
		return "none"
	}
	return "address and port"
}

// warnStandIn warns where the Host header depends on what nobody has told us.
func (q *question) warnStandIn() {
	switch q.spec.Host {
	case dialect.HostNode:
		q.warnings = append(q.warnings, "Host is the load balancer's own address and its listener's port: this machine's "+
			"address and the target's port stand in for them; --host ADDRESS:PORT sends the real ones")
	case dialect.HostCluster:
		q.warnings = append(q.warnings, "Host is the name that the load balancer has for the group of targets: the target's "+
			"address stands in for it; --host NAME sends the real one")
	}
}

// setHeader adds a header line, or puts it in the place of the one that the load balancer sends by itself. An empty value
// takes that one away.
func (q *question) setHeader(h dialect.Header) {
	own := func(line dialect.Header) bool { return strings.EqualFold(line.Name, h.Name) }
	if !slices.ContainsFunc(q.spec.Headers, own) && !slices.ContainsFunc(q.spec.HTTP2.Headers, own) {
		q.extra = append(q.extra, h)
		return
	}
	changed := *q.spec
	for _, lines := range []*[]dialect.Header{&changed.Headers, &changed.HTTP2.Headers} {
		*lines = slices.Clone(*lines)
		if h.Value == "" {
			*lines = slices.DeleteFunc(*lines, own)
		} else if at := slices.IndexFunc(*lines, own); at >= 0 {
			(*lines)[at].Value = h.Value
		}
	}
	q.spec = &changed
}

// parseHeader reads a header line as curl takes it.
func parseHeader(line string) (dialect.Header, error) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	const hint = "write -H 'Name: value'"
	if !ok || name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return dialect.Header{}, usagef(hint, "-H %q is not a header line", line)
	}
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return dialect.Header{}, usagef(hint, "-H %s: the value holds a control character", name)
	}
	if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
		return dialect.Header{}, usagef("leave it away", "-H %s: a health check sends no body", name)
	}
	return dialect.Header{Name: name, Value: value}, nil
}
