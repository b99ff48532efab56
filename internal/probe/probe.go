// Package probe is one health check as a session without I/O.
//
// A [Session] is told what happened on its connection, as an [Event], and says what to do next, as an
// [Action]: dial, write, wait for more, or stop because there is a verdict. It never touches a socket, a
// timer or a clock, so recorded bytes drive it in tests, and any driver drives it in production: an event
// loop, or [Do], which runs one check over a blocking connection.
//
// The settings of a check are compiled once into a [Plan], which any number of sessions share. A Session is one check
// after another: its memory serves again, and so does its connection if the plan says so and the target agrees. It
// serves one goroutine at a time; it starts none, but TLS runs as a coroutine of whoever drives the
// session, and has to be driven to its end, by the verdict or by [Session.Stop].
//
// Where the dialect follows redirects, a session does, on a new connection for each, but only to the address that it
// was given to ask. The package does not resolve names, schedule anything, or decide about health.
package probe

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Plan is what one group of checks has in common. It is immutable: make a new one to change a setting.
type Plan struct {
	Dialect  *dialect.Spec
	Protocol triage.Protocol
	Port     uint16 // asked instead of the target's own; 0: its own
	Path     string
	Service  string           // gRPC: what the health service is asked about
	Host     string           // Host header instead of the dialect's; "" keeps its rule
	Extra    []dialect.Header // header lines after the dialect's own
	Node     netip.AddrPort   // for dialects that send the balancer's own address; not valid: our end of the connection, and the target's port
	Cluster  string           // for dialects that send the group's name; "": the target's address
	Codes    triage.Matcher   // of HTTP, or of gRPC where the check is that
	Timeout  time.Duration    // for the whole check, from before the connect to the last byte
	KeepBody int              // bytes of content kept in the exchange; Compile sets DefaultKeepBody
	KeepTLS  bool             // the exchange shows what the handshake did, certificates verified or not
	Roots    *x509.CertPool   // that certificates are verified with; nil: the system's
	Reuse    bool             // ask on the connection of the check before, where that may be
	Proxy    triage.ProxyProtocol
	Source   netip.Addr // our end of the connection; not valid: the kernel's choice

	expect *expectation
	tls    *tls.Config // shared by all targets; where each needs its own, a copy of it
	name   string      // for SNI and the certificate, whatever the target is called; "": as the dialect does
	sni    bool        // a name is sent, if there is one
	verify bool        // the certificate must be one that we trust
	strict bool        // … and be for the name even if none is sent
}

// DefaultKeepBody is how much of an answer's content an exchange keeps: enough for an error page's title and
// first sentence, and little enough to keep one for each of many targets.
const DefaultKeepBody = 4 << 10

const (
	maxHead    = 64 << 10  // bytes of one answer's head
	maxBody    = 256 << 10 // read at most, then the status alone decides
	maxInterim = 16        // answers 1xx before the real one
)

// Compile makes the plan of a check's settings in a dialect. It expects valid ones: with an expression that is not, nothing
// passes, and a certificate that is not is left away.
func Compile(spec *dialect.Spec, c triage.HealthCheck) *Plan {
	p := &Plan{
		Dialect:  spec,
		Protocol: c.Protocol,
		Port:     c.Port,
		Path:     c.Path,
		Service:  c.Service,
		Host:     c.Host,
		Codes:    c.SuccessCodes,
		Timeout:  c.Timeout,
		KeepBody: DefaultKeepBody,
		Reuse:    c.ReuseConnection && (c.Protocol == triage.HTTP || c.Protocol == triage.HTTPS) && !spec.HTTP10 && spec.Host != dialect.HostNode,
		Proxy:    c.ProxyProtocol,
		Source:   c.Source,
		expect:   newExpectation(c.Expect),
	}
	if c.Protocol.IsGRPC() {
		p.Codes = c.GRPCCodes
	}
	p.KeepTLS = p.expect.wantsTLS()
	if c.Protocol.Encrypted() || p.follows() {
		p.compileTLS(c.TLS)
	}
	return p
}

// follows reports whether there are redirects that the dialect follows.
func (p *Plan) follows() bool {
	return p.Dialect.Redirects != dialect.RedirectsJudged && p.Protocol.Asks() && !p.Protocol.IsGRPC()
}

// NeedsLocal reports whether what is sent depends on our end of the connection: whether [Connected] must come with Local.
func (p *Plan) NeedsLocal() bool {
	return p.Dialect.Host == dialect.HostNode && !p.Node.IsValid() || p.Proxy == triage.ProxyV1
}

// Named reports whether the target's name, as a person has written it, matters in the check: it is sent, or the
// certificate must be for it. The name is in the target's ID.
func (p *Plan) Named() bool { return p.sendsName() || p.Dialect.TLS.SNI || p.strict }

// sendsName reports whether the dialect's Host header is the target's name.
func (p *Plan) sendsName() bool {
	return p.Dialect.Host == dialect.HostTyped || p.Dialect.Host == dialect.HostTypedPort
}

// typed is the target's name as a person has written it; "" if that is an address, or if it does not matter in the
// check.
func (p *Plan) typed(key triage.Key) string {
	if !p.Named() {
		return ""
	}
	host, _, err := key.Target.Split()
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// question sets q to what the plan asks the target of an exchange whose connection is made.
func (p *Plan) question(q *dialect.Question, x *triage.Exchange) {
	q.Protocol, q.Address, q.Path, q.Service, q.Timeout = p.Protocol, x.Address, p.Path, p.Service, p.Timeout
	q.Node, q.Cluster = p.Node, p.Cluster
	q.Host, q.Extra, q.Keep = p.Host, p.Extra, p.Reuse
	if p.Named() {
		q.Typed = p.typed(x.Key)
	}
	if !p.Node.IsValid() && x.Local.IsValid() {
		q.Node = netip.AddrPortFrom(x.Local.Addr(), x.Address.Port())
	}
}

// method is that of the plan's requests.
func (p *Plan) method() string { return cmp.Or(p.Dialect.Method, "GET") }

// wants is how many bytes of content decide a check: with more of them, the rest is not waited for.
func (p *Plan) wants() int64 {
	body := p.Dialect.Body
	if p.Protocol.IsGRPC() || body.Need != dialect.BodyUnread && body.Need != dialect.BodyFirst {
		return maxBody + 1
	}
	limit := 0
	if body.Need == dialect.BodyFirst {
		limit = body.Limit
	}
	return int64(min(max(limit, p.expect.reads()), maxBody))
}

// address is where the check of a target goes.
func (p *Plan) address(key triage.Key) netip.AddrPort {
	if p.Port == 0 {
		return key.Address
	}
	return netip.AddrPortFrom(key.Address.Addr(), p.Port)
}

// An Event is something that happened to a session's connection.
type Event struct {
	Kind  EventKind
	At    time.Time
	Local netip.AddrPort // Connected: our end of the connection
	Data  []byte         // Data: bytes that came; read during the call only
	Err   error          // ConnectFailed, Reset: as the kernel gave it
}

// EventKind is the kind of an [Event].
type EventKind uint8

// The events.
const (
	Connected      EventKind = iota // the dial succeeded
	ConnectFailed                   // the dial did not succeed
	Written                         // everything that the last Write action named is with the kernel
	Data                            // bytes came
	EOF                             // the peer closed its side
	Reset                           // reading or writing failed
	DeadlinePassed                  // the plan's timeout is over
	Late                            // the timeout is over, but the checker itself was late by more than a tenth of it
	Canceled                        // we want to stop
)

// An Action is what the driver of a session does next.
type Action struct {
	Kind  ActionKind
	Data  []byte        // Write: the bytes; valid until the next event
	Close dialect.Close // Done: how to end the connection, if there is one
	Keep  bool          // Done: the connection may stay, for the session's next check
}

// ActionKind is the kind of an [Action].
type ActionKind uint8

// The actions.
const (
	Dial  ActionKind = iota // end the connection, if there is one, and connect to the exchange's Address; answer with Connected or ConnectFailed
	Write                   // write Data; answer with Written or Reset
	Wait                    // wait for Data, EOF or Reset
	Done                    // the verdict is in the exchange; end the connection unless it is to be kept
)
