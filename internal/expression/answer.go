package expression

import (
	"math"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/triage-lb/triage"
)

// Answer is what an expression judges. What the expression does not use (see [Program.Uses]) may be missing.
type Answer struct {
	Status  int
	Header  map[string]string // names in lower case; several values of a name joined by ", "; read only
	Body    []byte            // the first bytes of the content, at most triage.MaxWithin: what is beyond is not looked at; read only
	Latency time.Duration
	TLS     *triage.TLSFacts // nil without TLS
	Now     time.Time        // when the answer came; tls.days_left counts from here
}

// variables gives the values of an answer to one evaluation. It belongs to that evaluation.
type variables struct {
	answer Answer
	text   types.String // of the body, once hasText
	parsed any          // the body's JSON or the error, once it is not nil

	hasText bool
}

var _ cel.Activation = (*variables)(nil)

// Parent is of cel.Activation: there is nothing around an answer.
func (v *variables) Parent() cel.Activation { return nil }

// ResolveName is of cel.Activation. A *types.Err as value becomes the error of whatever uses it.
func (v *variables) ResolveName(name string) (any, bool) {
	if field, ok := strings.CutPrefix(name, "tls."); ok {
		return v.tls(field)
	}
	switch name {
	case "status":
		return types.Int(v.answer.Status), true
	case "header":
		return v.header(), true
	case "body":
		return v.body(), true
	case "json":
		return v.json(), true
	case "latency":
		return types.Duration{Duration: v.answer.Latency}, true
	}
	return nil, false
}

func (v *variables) header() map[string]string {
	if v.answer.Header == nil {
		return map[string]string{}
	}
	return v.answer.Header
}

func (v *variables) content() []byte {
	return v.answer.Body[:min(len(v.answer.Body), triage.MaxWithin)]
}

func (v *variables) body() types.String {
	if !v.hasText {
		v.text, v.hasText = types.String(strings.ToValidUTF8(string(v.content()), "\uFFFD")), true
	}
	return v.text
}

func (v *variables) json() any {
	if v.parsed == nil {
		value, err := parseJSON(v.content())
		switch {
		case err != nil:
			v.parsed = types.WrapErr(err)
		case value == nil:
			v.parsed = types.NullValue
		default:
			v.parsed = value
		}
	}
	return v.parsed
}

func (v *variables) tls(field string) (any, bool) {
	facts := v.answer.TLS
	if facts == nil {
		return types.WrapErr(errNoTLS), true
	}
	switch field {
	case "version":
		return types.String(facts.Version), true
	case "cipher":
		return types.String(facts.Cipher), true
	case "alpn":
		return types.String(facts.ALPN), true
	case "subject":
		return types.String(facts.Subject), true
	case "names":
		return types.NewStringList(types.DefaultTypeAdapter, facts.Names), true
	case "issuer":
		return types.String(facts.Issuer), true
	case "not_after":
		return types.Timestamp{Time: facts.NotAfter}, true
	case "days_left":
		return types.Int(daysLeft(facts.NotAfter, v.answer.Now)), true
	case "untrusted":
		return types.String(facts.Untrusted), true
	}
	return nil, false
}

// daysLeft rounds down, so that a certificate which expired an hour ago has -1 days left and not 0.
func daysLeft(end, now time.Time) int {
	return int(math.Floor(end.Sub(now).Hours() / 24))
}
