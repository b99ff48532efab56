// Package dialect is the table of dialects: how each load balancer asks its health question, and how it
// judges the answer.
//
// A dialect is data, a [Spec]: request lines with the order and the case that were seen on the wire, the
// rule for the Host header, the success codes, legal ranges, and the words that the vendor shows. [Lookup]
// finds one by name or alias, [Spec.AppendRequest] writes the bytes, [Spec.WordsFor] says what the vendor's
// console would show, and [Recognise] goes the other way: from a request to who sent it.
//
// Each row says by its [Fact]s where it comes from. What nobody has verified is listed by [Spec.Assumed], and the
// product says so; what the types cannot express is a fact of the topic "not here", and is never imitated by half. The
// package does no I/O; everything in it is read-only and safe for concurrent use.
package dialect

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Spec is one dialect. A zero field is the usual: GET over HTTP/1.1, Host as address and port, the code decides about
// redirects, the body is read whole.
type Spec struct {
	Name      triage.Dialect
	Aliases   []string // what people type instead
	Title     string   // the product's full name; behind a comma, which of its checks
	Protocols []triage.Protocol

	Method  string // "" means GET
	HTTP10  bool   // HTTP/1.0 instead of 1.1
	Host    HostRule
	Headers []Header // in the order and the case of the wire
	HTTP2   HTTP2Rule
	Agent   string // what its User-Agent begins with, by which it is recognised as a sender; "" if that is unknown
	Form    bool   // it sends no User-Agent, and is recognised by the form of the whole request

	Settable     bool // people can add header lines of their own, and set Host
	HostSettable bool // people can set Host, though no other header line

	Codes      triage.Matcher // success codes by default
	LegalCodes triage.Matcher // codes that can be set; equal to Codes if they cannot
	Redirects  Redirects
	Body       BodyRule
	GRPC       GRPCRule // for dialects that speak gRPC

	Proxy      []triage.ProxyProtocol // headers of the PROXY protocol that can be switched on before a check
	ProxyLocal string                 // the header of version 2 where it is not the shortest there is; "": it is

	TLS   TLSRule
	Close Close

	Timing Timing
	First  First

	Shows string    // label for Words: "AWS shows"
	words wordsFunc // what the vendor's console shows
	Facts []Fact    // where the above comes from
}

// Header is one header line of a request. The value HostValue stands for the Host header by the dialect's rule.
type Header struct{ Name, Value string }

// HostValue marks the place of the Host header among the headers of a dialect.
const HostValue = "\x00host"

// HostRule is what a dialect puts into the Host header.
type HostRule uint8

// The rules. "Typed" is the target as a person has written it.
const (
	HostAddress     HostRule = iota // address and port, the port left out where it is the protocol's own
	HostAddressPort                 // address and port, always both
	HostAddressOnly                 // the address alone
	HostTyped                       // the name as typed, with the port unless that is the protocol's own
	HostTypedPort                   // the name as typed, always with the port
	HostNode                        // the load balancer's own address, and its listener's port
	HostCluster                     // the name of the balancer's own group of targets
	HostLoopback                    // 127.0.0.1
	HostNone                        // there is no Host header
	HostServerName                  // in TLS the name as typed, else always with the port: grpc-go, told the server's name
)

// Redirects is what a dialect does with an answer 301, 302, 303, 307 or 308 that has a Location.
type Redirects uint8

// The ways.
const (
	RedirectsJudged   Redirects = iota // the code decides, as any other does
	RedirectsSameHost                  // followed while the host name stays, by 10 requests at most; one that leads elsewhere passes
	RedirectsFollowed                  // followed, by 10 requests at most
)

// BodyRule is how much of an answer's content a dialect wants.
type BodyRule struct {
	Need  BodyNeed
	Limit int // BodyFirst: bytes
}

// BodyNeed is the kind of a [BodyRule].
type BodyNeed uint8

// The kinds.
const (
	BodyWhole  BodyNeed = iota // to its end
	BodyFramed                 // to its end, which Content-Length or chunks must announce
	BodyFirst                  // the first bytes; what comes after them is not waited for
	BodyUnread                 // nothing: the head decides
)

// HTTP2Rule is how a dialect's request over HTTP/2 differs from the one over HTTP/1. The zero value has the same lines, but
// for those that HTTP/2 has no place for.
type HTTP2Rule struct {
	Headers     []Header // nil: as over HTTP/1
	NoAuthority bool     // no ":authority", but the Host header as a field, and ":scheme" is https without TLS too
}

// GRPCRule is how a dialect asks over gRPC, and what passes. The zero value asks the method Check of the health service
// (grpc.health.v1), which must answer OK and SERVING.
type GRPCRule struct {
	Method     string         // ":path" of the request; "" means [HealthMethod]
	Settable   bool           // people can set the method, as the path of the check
	Codes      triage.Matcher // status codes that pass by default; empty means 0
	LegalCodes triage.Matcher // codes that can be set; empty: they cannot
	Agent      string         // User-Agent; "": the dialect's own, as in its Headers
	Authority  HostRule       // ":authority" of the request; the zero value: the dialect's Host
	Deadline   bool           // the target is told how long the check may take (grpc-timeout)
}

// HealthMethod is the method of gRPC's health checking protocol (github.com/grpc/grpc, doc/health-checking.md).
const HealthMethod = "/grpc.health.v1.Health/Check"

// Health reports whether the question is the health service's, whose answer says more than its status code.
func (r GRPCRule) Health() bool { return r.Method == "" }

// Passing returns the status codes that pass by default.
func (r GRPCRule) Passing() triage.Matcher {
	if r.Codes.Empty() {
		return triage.MatchGRPC(0, 0)
	}
	return r.Codes
}

// First is the state of a target before its first check has ended.
type First uint8

// The states.
const (
	FirstUnknown First = iota // it takes no traffic
	FirstHealthy              // it takes traffic
)

// Fact is one thing that the table says, and how well it is known.
type Fact struct {
	Topic      string // one of Topics
	Says       string // a sentence
	Confidence Confidence
	Source     string // "" if it is assumed
}

// Topics returns what facts are about, in the order in which they are told. "not here" is what the product does and
// triage does not.
func Topics() []string {
	return []string{"protocols", "request", "host", "codes", "redirects", "body", "tls", "close", "timing", "states", "words", "not here"}
}

// Confidence is how well a fact is known.
type Confidence uint8

// The degrees, the best first.
const (
	Measured   Confidence = iota // seen by us, from the real program
	Captured                     // seen on the wire by somebody else, who has published it
	Documented                   // by the vendor, or in the program's source
	Assumed                      // nobody has verified it
)

var confidenceNames = [...]string{"measured", "captured", "documented", "assumed"}

// String is the degree as a word.
func (c Confidence) String() string { return confidenceNames[c] }

// Assumed returns what the table says of the dialect though nobody has verified it.
func (s *Spec) Assumed() []string {
	var says []string
	for _, f := range s.Facts {
		if f.Confidence == Assumed {
			says = append(says, f.Says)
		}
	}
	return says
}

// Close is how a checker ends a connection once it has its answer.
type Close uint8

// The ways to close.
const (
	CloseFIN Close = iota // orderly
	CloseRST              // abort: leaves no TIME_WAIT on either side, as HAProxy does
)

// TLSRule is how a dialect speaks TLS to a target.
type TLSRule struct {
	Verify    bool          // the certificate must lead to a trusted root, and be for the name as typed if that is sent
	SNI       bool          // the name as typed is sent; an address never is (RFC 6066 section 3)
	Min, Max  uint16        // tls.VersionTLS10 … tls.VersionTLS13
	Suites    []uint16      // for TLS 1.2 and below; nil: the defaults of crypto/tls
	Curves    []tls.CurveID // nil: the defaults of crypto/tls
	Resume    bool          // a later connection to a target takes up the session of an earlier one
	ALPN      []string      // protocols offered in https checks: with "h2" among them the target chooses; nil: none is offered
	AgainBare bool          // a handshake that fails with a server name is tried once more without
}

// maxSessions is how many TLS sessions a configuration remembers, of the targets asked last: some 2 KB each. Where there
// are more targets, each is asked by a full handshake.
const maxSessions = 8192

// Config returns the client configuration of the rule. It may be shared by any number of connections.
func (r TLSRule) Config() *tls.Config {
	c := &tls.Config{
		// crypto/tls would compare a certificate with the address where no name is sent, and no load balancer does: most do
		// not verify at all, and for those that do Verify says so to the caller.
		InsecureSkipVerify: true,
		MinVersion:         r.Min,
		MaxVersion:         r.Max,
		CipherSuites:       r.Suites,
		CurvePreferences:   r.Curves,
	}
	if r.Resume {
		c.ClientSessionCache = tls.NewLRUClientSessionCache(maxSessions)
	}
	return c
}

// Timing is a dialect's defaults and legal ranges. A default of zero means that the product has none, and wants to be
// told; an end of a range that is zero, that it has no such end.
type Timing struct {
	Interval, Timeout          time.Duration
	Thresholds                 triage.Thresholds
	MinTimeout, MaxTimeout     time.Duration
	MinInterval, MaxInterval   time.Duration
	MinThreshold, MaxThreshold int
	EndToStart                 bool // the interval counts from the end of a check; false: from its start
}

// Words is what a vendor shows for a target.
type Words struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

// String is the words on one line.
func (w Words) String() string {
	if w.Code == "" || w.Description == "" {
		return w.Code + w.Description
	}
	return w.Code + ": " + w.Description
}

type wordsFunc func(*triage.Exchange) Words

// WordsFor returns what the vendor's console shows for a target whose check ended so.
func (s *Spec) WordsFor(x *triage.Exchange) Words { return s.words(x) }

// Speaks reports whether the dialect has checks of this protocol.
func (s *Spec) Speaks(p triage.Protocol) bool { return slices.Contains(s.Protocols, p) }

// SendsProxy reports whether the dialect can be told to send this header of the PROXY protocol before a check.
func (s *Spec) SendsProxy(v triage.ProxyProtocol) bool {
	return v == triage.NoProxy || slices.Contains(s.Proxy, v)
}

// All returns the dialects in the order in which they are listed to people.
func All() []*Spec {
	return []*Spec{
		&own,
		&alb, &nlb, &clb, &route53,
		&gcp,
		&azureLB, &azureAppGW,
		&kubelet,
		&haproxy, &haproxyHTTP11,
		&envoy, &nginxPlus, &traefik, &caddy,
		&cloudflare, &digitalOcean,
		&consul, &blackbox,
	}
}

// Get returns the spec of a dialect named in code. It panics for a name that is not in the table.
func Get(name triage.Dialect) *Spec {
	for _, s := range All() {
		if s.Name == name {
			return s
		}
	}
	panic("dialect: no spec for " + string(name))
}

// Lookup finds a dialect by its name or an alias, in any case. The error for an unknown name is of kind
// invalid and names the dialect that was meant, if one is near, and all that there are.
func Lookup(name string) (*Spec, error) {
	var names []string
	named := map[string]*Spec{}
	for _, s := range All() {
		for _, n := range append([]string{string(s.Name)}, s.Aliases...) {
			if strings.EqualFold(n, name) {
				return s, nil
			}
			names = append(names, n)
			named[n] = s
		}
	}
	hint := "known: " + list(All())
	if meant, ok := named[triage.Nearest(name, names)]; ok {
		hint = fmt.Sprintf("did you mean %s? %s", meant.Name, hint)
	}
	return nil, &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("unknown load balancer %q", name), Hint: hint}
}

func list(specs []*Spec) string {
	var b strings.Builder
	for i, s := range specs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(s.Name))
	}
	return b.String()
}
