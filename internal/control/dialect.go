package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// defaultsOf returns the check of a group that names no more of it than its dialect; "" is our own. Where the original
// leaves a setting to whoever uses it, ours is taken.
func defaultsOf(as triage.Dialect) triage.HealthCheck {
	h := triage.DefaultHealthCheck()
	if as == "" {
		return h
	}
	spec := dialect.Get(as)
	t := spec.Timing
	h.As, h.Protocol = as, spec.Protocols[0]
	if spec.Speaks(triage.HTTP) {
		h.Protocol = triage.HTTP
	}
	if !spec.Codes.Empty() {
		h.SuccessCodes = spec.Codes
	}
	h.GRPCCodes, _ = spec.PassingCodes(triage.GRPC)
	h.Interval = cmp.Or(t.Interval, max(h.Interval, t.Timeout, t.MinInterval))
	h.Timeout = min(cmp.Or(t.Timeout, max(h.Timeout, t.MinTimeout)), h.Interval)
	h.Thresholds.Healthy = cmp.Or(t.Thresholds.Healthy, max(h.Thresholds.Healthy, t.MinThreshold))
	h.Thresholds.Unhealthy = cmp.Or(t.Thresholds.Unhealthy, max(h.Thresholds.Unhealthy, t.MinThreshold))
	return h
}

// validate is [triage.Config.Validate] and what has to be known of the dialects and of CEL for the rest: errors for what
// cannot be done, warnings for what triage can do and the original could not.
func validate(c triage.Config) triage.Problems {
	ps := c.Validate()
	for i, g := range c.Groups {
		at := fmt.Sprintf("groups[%d].health_check.", i)
		if p, wrong := unasked(g); wrong {
			p.Path = at + p.Path
			ps = append(ps, p)
		}
		if err := CheckExpression(g.HealthCheck); err != nil {
			ps = append(ps, triage.Problem{Path: at + "expect", Message: "expect: " + err.Error(), Hint: triage.HintOf(err)})
		}
		m := fit{spec: dialect.Get(cmp.Or(g.HealthCheck.As, triage.Own)), group: g.Name, at: at}
		if g.HealthCheck.As == "" {
			m.idle(g.HealthCheck)
			ps = append(ps, m.found...)
			continue
		}
		if usual := defaultsOf(g.HealthCheck.As).Timeout; usual == g.HealthCheck.Timeout {
			for i := range ps {
				if ps[i].Path == m.at+"timeout" {
					ps[i].Hint = fmt.Sprintf("%s is the timeout of %s, where the file names none", triage.DurationText(usual), m.spec.Name)
				}
			}
		}
		m.judge(g.HealthCheck)
		ps = append(ps, m.found...)
	}
	return ps
}

// unasked is a target that cannot be asked from the address that the check shall come from.
func unasked(g triage.Group) (triage.Problem, bool) {
	source := g.HealthCheck.Source
	if !source.IsValid() {
		return triage.Problem{}, false
	}
	for _, t := range g.Targets {
		if to, ok := t.ID.AddrPort(); ok && to.Addr().Unmap().Is4() != source.Unmap().Is4() {
			return triage.Problem{
				Path:    "source_address",
				Message: fmt.Sprintf("target %s of group %q cannot be asked from %s: one is an IPv4 address, the other is not", t.ID, g.Name, source),
				Hint:    "put targets of the other sort into a group of their own",
			}, true
		}
	}
	return triage.Problem{}, false
}

// fit holds a group's check against its dialect.
type fit struct {
	spec  *dialect.Spec
	group triage.GroupName
	at    string // the path of the check, with a dot behind
	found triage.Problems
}

func (m *fit) judge(h triage.HealthCheck) {
	name, t := m.spec.Name, m.spec.Timing
	if !m.spec.Speaks(h.Protocol) {
		m.found = append(m.found, triage.Problem{
			Path:    m.at + "protocol",
			Message: fmt.Sprintf("%s has no %s check, which group %q asks for", name, h.Protocol, m.group),
			Hint:    "it checks over " + strings.Join(words(m.spec.Protocols), ", "),
		})
		return
	}
	if h.Protocol == triage.HTTP && h.TLS != (triage.CheckTLS{}) && !mayEncrypt(h) { // the rest is said without the dialect
		m.found = append(m.found, triage.Problem{
			Path:    m.at + "protocol",
			Message: fmt.Sprintf("group %q has settings of TLS, and a check over http as %s is not encrypted", m.group, name),
			Hint:    "use https, or remove the keys that begin with tls_",
		})
	}
	m.duration("interval", h.Interval, t.MinInterval, t.MaxInterval)
	m.duration("timeout", h.Timeout, t.MinTimeout, t.MaxTimeout)
	m.threshold("healthy_threshold", h.Thresholds.Healthy)
	m.threshold("unhealthy_threshold", h.Thresholds.Unhealthy)
	for _, key := range Beyond(m.spec, h) {
		m.warn(key, "%s has no such setting as %s: triage does it in group %q all the same", name, key, m.group)
	}
	m.idle(h)
	if !h.Protocol.Asks() {
		return
	}
	key, codes := "success_codes", h.SuccessCodes
	if h.Protocol.IsGRPC() {
		key, codes = "grpc_codes", h.GRPCCodes
	}
	switch usual, legal := m.spec.PassingCodes(h.Protocol); {
	case usual == legal && codes != usual:
		m.warn(key, "%s passes %s and cannot be told otherwise: triage passes %s in group %q all the same", name, usual, codes, m.group)
	case !codes.Within(legal):
		m.beyond(key, codes.String(), legal.String())
	}
	switch {
	case h.Host == "":
	case !slices.ContainsFunc(m.spec.Headers, func(line dialect.Header) bool { return line.Value == dialect.HostValue }):
		m.warn("host", "%s sends no Host header, so host %q of group %q means nothing", name, h.Host, m.group)
	case !m.spec.HostSettable:
		m.warn("host", "%s cannot be told which Host to send: triage sends host %q of group %q all the same", name, h.Host, m.group)
	}
	if h.ReuseConnection && !keeps(m.spec) {
		m.warn("reuse_connection", "%s makes a connection for each check: triage keeps those of group %q all the same", name, m.group)
	}
}

// idle warns of settings that mean nothing in the dialect, though they would in another.
func (m *fit) idle(h triage.HealthCheck) {
	rule := m.spec.GRPC
	if h.Protocol.IsGRPC() && h.Path != "/" && !rule.Settable {
		m.found = append(m.found, triage.Problem{
			Path:    m.at + "path",
			Message: fmt.Sprintf("path %q means nothing in group %q: %s asks the method %s", h.Path, m.group, m.spec.Name, cmp.Or(rule.Method, dialect.HealthMethod)),
			Hint:    "what the health service is asked about goes into service",
			Warning: true,
		})
	}
	if h.Service != "" && !rule.Health() {
		m.warn("service", "service %q means nothing in group %q: %s does not ask gRPC's health service", h.Service, m.group, m.spec.Name)
	}
	verifies := h.TLS.Verify == triage.Yes || h.TLS.Verify == triage.AsUsual && m.spec.TLS.Verify
	if h.TLS.CA.File != "" && !verifies {
		m.found = append(m.found, triage.Problem{
			Path:    m.at + "tls_ca_file",
			Message: fmt.Sprintf("tls_ca_file %s means nothing in group %q, whose targets' certificates are not verified", h.TLS.CA, m.group),
			Hint:    "write tls_verify: true",
			Warning: true,
		})
	}
}

// keeps reports whether a load balancer leaves a connection open after a check: in HTTP/1.1 that is so unless one side
// says otherwise (RFC 9112 section 9.3).
func keeps(spec *dialect.Spec) bool {
	return !spec.HTTP10 && spec.Close != dialect.CloseRST && !slices.Contains(spec.Headers, dialect.Header{Name: "Connection", Value: "close"})
}

func (m *fit) warn(key, format string, args ...any) {
	m.found = append(m.found, triage.Problem{Path: m.at + key, Message: fmt.Sprintf(format, args...), Warning: true})
}

// beyond warns of a setting that the original does not take.
func (m *fit) beyond(key, value, legal string) {
	m.warn(key, "%s takes %s %s, not %s as in group %q: triage does it all the same", m.spec.Name, strings.ReplaceAll(key, "_", " "), legal, value, m.group)
}

func (m *fit) duration(key string, d, least, most time.Duration) {
	if d < least || most > 0 && d > most {
		m.beyond(key, triage.DurationText(d), legalRange(triage.DurationText, least, most))
	}
}

func (m *fit) threshold(key string, n int) {
	least, most := m.spec.Timing.MinThreshold, m.spec.Timing.MaxThreshold
	if n < least || most > 0 && n > most {
		m.beyond(key, fmt.Sprint(n), legalRange(func(n int) string { return fmt.Sprint(n) }, least, most))
	}
}

// legalRange is a range in words; most is 0 where there is no upper end.
func legalRange[T int | time.Duration](text func(T) string, least, most T) string {
	switch most {
	case 0:
		return text(least) + " or more"
	case least:
		return text(least) + " only"
	}
	return text(least) + "-" + text(most)
}

// defaulted says which settings an edit changes without naming them, because the defaults of another dialect are others.
func defaulted(was, is triage.HealthCheck, named func(key string) bool) []string {
	type setting struct{ key, was, is string }
	codes := setting{"success_codes", was.SuccessCodes.String(), is.SuccessCodes.String()}
	if is.Protocol.IsGRPC() {
		codes = setting{"grpc_codes", was.GRPCCodes.String(), is.GRPCCodes.String()}
	}
	var said []string
	for _, s := range []setting{
		{"protocol", string(was.Protocol), string(is.Protocol)},
		codes,
		{"interval", triage.DurationText(was.Interval), triage.DurationText(is.Interval)},
		{"timeout", triage.DurationText(was.Timeout), triage.DurationText(is.Timeout)},
		{"healthy_threshold", fmt.Sprint(was.Thresholds.Healthy), fmt.Sprint(is.Thresholds.Healthy)},
		{"unhealthy_threshold", fmt.Sprint(was.Thresholds.Unhealthy), fmt.Sprint(is.Thresholds.Unhealthy)},
	} {
		if s.was != s.is && !named(s.key) {
			said = append(said, fmt.Sprintf("%s %s, was %s", s.key, s.is, s.was))
		}
	}
	if said == nil {
		return nil
	}
	return []string{fmt.Sprintf("what the file does not name has the defaults of %s: %s", cmp.Or(is.As, triage.Own), strings.Join(said, "; "))}
}
