// Package dialect is the table of dialects: how each load balancer asks its health question, and how it
// judges the answer.
//
// A dialect is data, a [Spec]: request lines with the order and the case that were seen on the wire, the
// rule for the Host header, the success codes, legal ranges, and the words that the vendor shows. [Lookup]
// finds one by name or alias, [Spec.AppendRequest] writes the bytes, [Spec.Words] says what the vendor's
// console would show, and [Recognise] goes the other way: from a request to who sent it.
//
// Every fact that nobody verified is listed in [Spec.Assumed], and the product says so. The package does no
// I/O; everything in it is read-only and safe for concurrent use.
package dialect

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Spec is one dialect.
type Spec struct {
	Name      triage.Dialect
	Aliases   []string // what people type instead
	Title     string   // the product's full name
	Protocols []triage.Protocol

	Agent   string   // User-Agent
	Headers []Header // in the order and the case of the wire

	Codes      triage.Matcher // success codes by default
	LegalCodes triage.Matcher // codes that can be set; equal to Codes if they cannot

	// FramedBody: an answer without Content-Length and without chunks fails, however it ends.
	FramedBody bool

	TLS   TLSRule
	Close Close

	Timing Timing

	Shows   string    // label for Words: "AWS shows"
	words   wordsFunc // what the vendor's console shows
	Assumed []string  // facts above that nobody has verified
}

// Header is one header line of a request. The value HostValue stands for the Host header by the dialect's rule.
type Header struct{ Name, Value string }

// HostValue marks the place of the Host header among the headers of a dialect.
const HostValue = "\x00host"

// Close is how a checker ends a connection once it has its answer.
type Close uint8

// The ways to close.
const (
	CloseFIN Close = iota // orderly
	CloseRST              // abort: leaves no TIME_WAIT on either side, as HAProxy does
)

// TLSRule is how a dialect speaks TLS to a target. None of today's dialects verifies the certificate or sends
// a server name to an address.
type TLSRule struct {
	Min, Max uint16        // tls.VersionTLS10 … tls.VersionTLS13
	Suites   []uint16      // for TLS 1.2 and below; nil: the defaults of crypto/tls
	Curves   []tls.CurveID // nil: the defaults of crypto/tls
	Resume   bool          // a later connection to a target takes up the session of an earlier one
}

// maxSessions is how many TLS sessions a configuration remembers, of the targets asked last: some 2 KB each. Where there
// are more targets, each is asked by a full handshake.
const maxSessions = 8192

// Config returns the client configuration of the rule. It may be shared by any number of connections.
func (r TLSRule) Config() *tls.Config {
	c := &tls.Config{
		// A load balancer asks an address, and no certificate is issued for that: the vendors say
		// that they do not validate it, and a check that did would not be theirs.
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

// Timing is a dialect's defaults and legal ranges.
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

type wordsFunc func(triage.Outcome, int) Words

// Words returns what the vendor's console shows for a target whose check ended so.
func (s *Spec) Words(o triage.Outcome, status int) Words { return s.words(o, status) }

// Speaks reports whether the dialect has checks of this protocol.
func (s *Spec) Speaks(p triage.Protocol) bool { return slices.Contains(s.Protocols, p) }

// All returns the dialects in the order in which they are listed to people.
func All() []*Spec { return []*Spec{&own, &alb, &clb} }

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
