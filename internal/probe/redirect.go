package probe

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
)

// The dialects that follow redirects are programs in Go, so all of this is as net/http's client does it.
const (
	maxRequests = 10      // in one check: the tenth answer that redirects is one too many
	maxLocation = 8 << 10 // bytes of a Location that is followed: ours, to bound what a check holds
)

// journey is a check that has met a redirect.
type journey struct {
	spec    *dialect.Spec // the dialect, with the Referer of the request under way
	url     *url.URL      // of the request under way
	host    string        // Host header that a person has set, while redirects are relative; else ""
	stopped string        // why the redirect that came last was not followed, where its code is judged
}

// locationOf returns where an answer redirects to, nil if it does not. Without a Location the code alone counts.
func (a *answer) locationOf() []byte {
	switch a.status {
	case 301, 302, 303, 307, 308:
		location, _ := http1.Get(a.fields, "Location")
		return location
	}
	return nil
}

// redirect deals with an answer whose head has just come. moved is false where that answer is to be judged.
func (s *Session) redirect(at time.Time) (a Action, moved bool) {
	location := s.answer.locationOf()
	if len(location) == 0 {
		return Action{}, false
	}
	next, why := s.redirected(location)
	switch {
	case next.IsValid():
		s.x.Address = next
		return s.again(at), true
	case why.outcome != triage.NotChecked:
		return s.verdict(why.outcome, why.detail, at), true
	}
	s.journey.stopped = why.detail
	return Action{}, false
}

// stop is why a redirect is not followed. The zero outcome means that the answer itself is judged.
type stop struct {
	outcome triage.Outcome
	detail  string
}

// redirected deals with an answer whose head has come, by the dialect's rule for redirects. It returns the address to
// ask next, which is not valid where nothing is followed.
func (s *Session) redirected(location []byte) (netip.AddrPort, stop) {
	if s.journey == nil {
		s.journey = &journey{spec: s.plan.Dialect, url: s.origin(), host: s.plan.Host}
	}
	from := s.journey.url
	if len(location) > maxLocation {
		return netip.AddrPort{}, stop{triage.RedirectElsewhere, fmt.Sprintf("its Location has %d bytes", len(location))}
	}
	ref, err := url.Parse(string(location))
	if err != nil {
		return netip.AddrPort{}, stop{triage.RedirectFailed, fmt.Sprintf("its Location is not a URL: %s", quoteText(string(location)))}
	}
	to := from.ResolveReference(ref)
	to.Fragment, to.RawFragment = "", ""
	if why := s.forbids(to); why != nil {
		return netip.AddrPort{}, *why
	}
	address, why := s.leadsTo(to)
	if why != nil {
		return netip.AddrPort{}, *why
	}
	s.travel(from, to, ref.IsAbs())
	return address, stop{}
}

// forbids says why the dialect does not follow to a URL, nil if it does.
func (s *Session) forbids(to *url.URL) *stop {
	if s.plan.Dialect.Redirects == dialect.RedirectsSameHost && to.Hostname() != s.journey.url.Hostname() {
		return &stop{detail: fmt.Sprintf("a redirect to another host is not followed: %s", quoteText(to.String()))}
	}
	if len(s.x.Redirects)+1 >= maxRequests {
		return &stop{triage.RedirectFailed, fmt.Sprintf("%d requests, and still a redirect: %s", maxRequests, quoteText(to.String()))}
	}
	return nil
}

// leadsTo returns the address behind a URL that the dialect would ask. It is always the address that has been asked
// already, at any port: names are not resolved here, and no host is asked that nobody has named.
func (s *Session) leadsTo(to *url.URL) (netip.AddrPort, *stop) {
	shown := quoteText(to.Redacted())
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return netip.AddrPort{}, &stop{triage.RedirectFailed, fmt.Sprintf("the scheme is neither http nor https: %s", shown)}
	case to.Hostname() == "":
		return netip.AddrPort{}, &stop{triage.RedirectFailed, fmt.Sprintf("its Location names no host: %s", shown)}
	case strings.ContainsAny(to.RequestURI(), " \x7f"):
		return netip.AddrPort{}, &stop{triage.RedirectFailed, fmt.Sprintf("its Location holds what no request may: %s", shown)}
	case to.User != nil:
		return netip.AddrPort{}, &stop{triage.RedirectElsewhere, fmt.Sprintf("its Location holds a user: %s", shown)}
	case !s.names(to.Hostname()):
		return netip.AddrPort{}, &stop{triage.RedirectElsewhere, fmt.Sprintf("it leads to another host: %s", shown)}
	}
	port := uint64(80)
	if to.Scheme == "https" {
		port = 443
	}
	if text := to.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return netip.AddrPort{}, &stop{triage.RedirectFailed, fmt.Sprintf("%s is not a port: %s", quoteText(text), shown)}
		}
		port = n
	}
	return netip.AddrPortFrom(s.x.Address.Addr(), uint16(port)), nil
}

// names reports whether a host is the one that was asked: its address, or its name as a person has written it.
func (s *Session) names(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap() == s.x.Address.Addr().Unmap()
	}
	typed := s.plan.typed(s.x.Key)
	return typed != "" && strings.EqualFold(host, typed)
}

// travel makes the URL the one of the request under way. absolute means that the Location was.
func (s *Session) travel(from, to *url.URL, absolute bool) {
	j := s.journey
	j.url, j.spec = to, s.plan.Dialect
	if absolute {
		j.host = ""
	}
	if from.Scheme == "http" || to.Scheme == "https" { // RFC 9110 section 10.1.3: not from https to http
		j.spec = withReferer(j.spec, from)
	}
	s.x.Redirects = append(s.x.Redirects, to.String())
}

// withReferer returns a copy of the dialect that says where it was redirected. net/http writes the headers that the
// program has set in the order of their names, which for these programs are Accept and User-Agent, and its own after them.
func withReferer(spec *dialect.Spec, from *url.URL) *dialect.Spec {
	at := slices.IndexFunc(spec.Headers, func(h dialect.Header) bool {
		return h.Name == "Accept-Encoding" || h.Name == "Connection"
	})
	if at < 0 {
		at = len(spec.Headers)
	}
	referring := *spec
	referring.Headers = slices.Insert(slices.Clone(spec.Headers), at, dialect.Header{Name: "Referer", Value: from.String()})
	return &referring
}

// question changes q to what is asked at the end of the journey so far.
func (j *journey) question(q *dialect.Question) {
	q.Path, q.Keep = j.url.RequestURI(), false
	q.Host = cmp.Or(j.host, withoutZone(j.url.Host))
}

// origin is the URL of the check's first request, with the host as the dialect writes it.
func (s *Session) origin() *url.URL {
	host, rule := s.x.Address.Addr().Unmap().String(), s.plan.Dialect.Host
	if typed := s.plan.typed(s.x.Key); typed != "" && s.plan.sendsName() {
		host = typed
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := s.x.Address.Port()
	scheme, usual := "http", uint16(80)
	if s.plan.Protocol.Encrypted() {
		scheme, usual = "https", 443
	}
	if port != usual || rule == dialect.HostAddressPort || rule == dialect.HostTypedPort {
		host += ":" + strconv.Itoa(int(port))
	}
	u := &url.URL{Path: s.plan.Path}
	if parsed, err := url.ParseRequestURI(s.plan.Path); err == nil {
		u = parsed
	}
	u.Scheme, u.Host = scheme, host
	return u
}

// withoutZone is the host of a URL without the zone of a link-local address, which means something only here.
func withoutZone(host string) string {
	zone, end := strings.IndexByte(host, '%'), strings.LastIndexByte(host, ']')
	if zone < 0 || end < zone {
		return host
	}
	return host[:zone] + host[end:]
}

// quoteText shows what a target has sent, in quotation marks and not at any length.
func quoteText(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return strconv.Quote(s)
}
