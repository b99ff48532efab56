package behind

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
)

// Hosts is middleware that answers for the hosts of the site and refuses all
// others with 400 and a constant body. This is what Django's ALLOWED_HOSTS
// does, and it protects what an application builds from the Host header: links
// in mails, redirects, entries in a cache; and it stops DNS rebinding.
//
// Hosts are compared without port, letter case and trailing dot. A host that
// no URL can hold is refused. For a request in absolute form, "GET
// http://a.example/ HTTP/1.1", the host of the target counts, not the header
// (RFC 9112 section 3.2.2; net/http does this).
//
// On the health path a second rule admits the load balancer's check as well,
// which asks for an address: AWS's Classic and Application Load Balancers and
// the kubelet for the address of the target, Network Load Balancers for that of
// their own node, Azure's Application Gateway for 127.0.0.1, and HAProxy in
// HTTP/1.0 for nothing at all. A foreign name is refused there too.
//
// net/http refuses some requests before any middleware sees them: in HTTP/1.1
// one without a Host header and one with two. X-Forwarded-Host is not looked
// at: an application that believes it must let only its proxy set it.
type Hosts struct {
	// Allowed are the hosts of the site: exact names (mysite.com), names with
	// a leading dot (.example.org admits example.org and every name below it),
	// IP addresses. Not empty.
	Allowed []string

	// HealthPath is the path the load balancer asks, such as /health_check, in
	// the bytes it sends; a query does not matter, a trailing slash does. It
	// should be a path of its own and no page of the site, because the rule
	// below holds for everybody who asks for it. Empty means that no path is
	// exempt.
	HealthPath string

	// HealthHosts are hosts admitted on HealthPath besides Allowed, written as
	// there.
	HealthHosts []string

	// HealthAddr, if set, says which addresses are admitted on HealthPath
	// besides Allowed and HealthHosts; the Contains method of behind/aws's
	// Learner, for instance. It gets IPv4 addresses un-mapped, is called once
	// per request at most, from any goroutine, and should not block.
	//
	// If HealthHosts and HealthAddr are both empty, every IP address is
	// admitted on HealthPath, and so is a request without a host.
	HealthAddr func(netip.Addr) bool

	// OnRefused, if set, is told of each refused request before it is
	// answered, in the goroutine of the request. Strangers decide how often
	// that happens and what r.Host holds: limit the rate, and quote what is
	// written to a log.
	OnRefused func(r *http.Request)
}

// refusedBody reflects nothing of the request.
const refusedBody = "this host is not served here\n"

// Validate tells what is wrong with the settings and how to write it instead.
func (s Hosts) Validate() error {
	_, err := s.compile(nil)
	return err
}

// Wrap returns a handler that passes the requests for the site's hosts to next,
// unchanged. It panics if Validate returns an error, as [http.ServeMux] does
// for a pattern it cannot read: settings that come from a user are validated
// first.
func (s Hosts) Wrap(next http.Handler) http.Handler {
	handler, err := s.compile(next)
	if err != nil {
		panic(fmt.Sprintf("behind: Hosts.Wrap: %v", err))
	}
	return handler
}

func (s Hosts) compile(next http.Handler) (*hostsHandler, error) {
	if len(s.Allowed) == 0 {
		return nil, errors.New("no allowed host: name the hosts of the site, or leave the list out")
	}
	if err := validateHealthPath(s.HealthPath); err != nil {
		return nil, err
	}
	if s.HealthPath == "" && (len(s.HealthHosts) > 0 || s.HealthAddr != nil) {
		return nil, errors.New("hosts for the health path, but no health path")
	}
	allowed, err := newHostList(s.Allowed)
	if err != nil {
		return nil, err
	}
	health, err := newHostList(s.HealthHosts)
	if err != nil {
		return nil, fmt.Errorf("for the health path: %w", err)
	}
	return &hostsHandler{
		next:       next,
		allowed:    allowed,
		healthPath: s.HealthPath,
		anyAddr:    len(s.HealthHosts) == 0 && s.HealthAddr == nil,
		health:     health,
		healthAddr: s.HealthAddr,
		onRefused:  s.OnRefused,
	}, nil
}

// hostsHandler is Hosts compiled; immutable.
type hostsHandler struct {
	next       http.Handler
	allowed    hostList
	healthPath string
	anyAddr    bool // on the health path: any address, or no host
	health     hostList
	healthAddr func(netip.Addr) bool
	onRefused  func(*http.Request)
}

func (h *hostsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.admits(r) {
		h.next.ServeHTTP(w, r)
		return
	}
	if h.onRefused != nil {
		h.onRefused(r)
	}
	answer(w, r, http.StatusBadRequest, refusedBody)
}

func (h *hostsHandler) admits(r *http.Request) bool {
	host, ok := parseHostname(r.Host)
	switch {
	case !ok:
		return false
	case h.allowed.admits(host):
		return true
	case !onHealthPath(r, h.healthPath):
		return false
	case h.anyAddr:
		return host.name == ""
	default:
		return h.health.admits(host) || h.healthAddr != nil && host.addr.IsValid() && h.healthAddr(host.addr)
	}
}
