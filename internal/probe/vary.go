package probe

import (
	"cmp"
	"slices"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Vary returns a copy of the plan for a second question of a diagnosis. Where it goes and how long it waits before is for
// whoever asks.
func (p *Plan) Vary(v dialect.Variation) *Plan {
	q, spec := *p, *p.Dialect
	q.Dialect, q.Reuse = &spec, false
	q.Host, q.Path, q.Proxy = cmp.Or(v.Host, p.Host), cmp.Or(v.Path, p.Path), cmp.Or(v.Proxy, p.Proxy)
	if v.Unproxied {
		q.Proxy = triage.NoProxy
	}
	if v.Header.Name != "" {
		q.Extra = append(p.Extra[:len(p.Extra):len(p.Extra)], v.Header)
	}
	spec.Method = cmp.Or(v.Method, spec.Method)
	if v.Current {
		makeCurrent(&spec)
	}
	q.Protocol = cmp.Or(v.Protocol, p.Protocol)
	if q.Protocol == p.Protocol && v.ServerName == "" && !v.Nameless {
		return &q
	}
	if q.Protocol.Asks() && !p.Protocol.Asks() {
		q.Path, q.Codes = cmp.Or(q.Path, "/"), triage.MatchCodes(200, 399)
	}
	q.tls = nil
	if q.Protocol.Encrypted() || q.follows() {
		q.compileTLS(triage.CheckTLS{ServerName: cmp.Or(v.ServerName, p.name), Verify: triage.No})
		q.KeepTLS = true
		if v.Nameless {
			q.name, q.sni = "", false
		}
	}
	return &q
}

// makeCurrent makes a dialect speak HTTP/1.1 with a Host header.
func makeCurrent(spec *dialect.Spec) {
	spec.HTTP10 = false
	if spec.Host == dialect.HostNone {
		spec.Host = dialect.HostAddress
	}
	if !slices.ContainsFunc(spec.Headers, func(h dialect.Header) bool { return h.Value == dialect.HostValue }) {
		spec.Headers = slices.Insert(slices.Clone(spec.Headers), 0, dialect.Header{Name: "Host", Value: dialect.HostValue})
	}
}
