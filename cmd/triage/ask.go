package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// findings are what second questions have shown about an exchange.
type findings struct {
	diagnosis *triage.Diagnosis   // of a failure
	doubts    []*triage.Diagnosis // of a pass
}

// inquire finds out why a check has failed, or what its pass is worth. If ctx ends in the middle, it returns what is known
// by then.
func (q *question) inquire(ctx context.Context, x *triage.Exchange, t *checkTarget) findings {
	if q.once {
		means := diagnose.Means{Hosts: q.publicHosts(x, nil)}
		return findings{diagnose.Ask(ctx, x, means), diagnose.Doubt(ctx, x, means)}
	}
	a := &asker{question: q, target: t, left: diagnose.MaxQuestions}
	names, asked := a.certificateNames(ctx, x)
	means := diagnose.Means{Ask: a.ask, Hosts: q.publicHosts(x, names)}
	found := findings{diagnose.Ask(ctx, x, means), diagnose.Doubt(ctx, x, means)}
	if found.diagnosis != nil && asked != "" {
		found.diagnosis.Asked = append([]string{asked}, found.diagnosis.Asked...)
	}
	return found
}

// asker puts second questions to the target of a check, in the way in which the check was asked.
type asker struct {
	question *question
	target   *checkTarget
	left     int // questions that may still be asked
}

// ask is a [diagnose.Asker].
func (a *asker) ask(ctx context.Context, v dialect.Variation) *triage.Exchange {
	key, ok := a.place(v.At)
	if !ok || !a.may(v) || a.left == 0 {
		return nil
	}
	a.left--
	if v.Pause > 0 && !sleep(ctx, v.Pause) {
		return nil
	}
	plan := a.question.plan.Vary(v)
	if v.At != dialect.SamePlace {
		plan.Source = netip.Addr{} // which may have no way there
	}
	x, err := a.question.put(ctx, plan, key)
	if err != nil || isOurs(x.Outcome) {
		return nil
	}
	return x
}

// isOurs reports whether an outcome says something about us and nothing about the target.
func isOurs(o triage.Outcome) bool {
	return o == triage.Canceled || o == triage.OutOfResources || o == triage.CheckerLate
}

// place returns the target as it is known at a place, if it is there.
func (a *asker) place(at dialect.Place) (triage.Key, bool) {
	key, address := a.target.key, a.target.key.Address.Addr()
	switch at {
	case dialect.Loopback:
		address = a.target.loopback
	case dialect.OtherFamily:
		address = a.target.other
	}
	key.Address = netip.AddrPortFrom(address, key.Address.Port())
	return key, key.Address.IsValid()
}

// may reports whether a question is harmless, and can be answered by the target itself.
func (a *asker) may(v dialect.Variation) bool {
	from, through := a.question.plan, a.question.tunnel != nil
	switch {
	case v.Method != "" && v.Method != "GET" && v.Method != "HEAD":
		return false
	case v.Protocol.IsGRPC() && !from.Protocol.IsGRPC(): // a call is a POST
		return false
	case through && v.Proxy == triage.ProxyV1: // it holds our address, which the target does not see
		return false
	case through && v.Protocol == triage.TCP: // the tunnel takes connections, whatever the target does
		return false
	}
	return true
}

// namesTimeout bounds the handshake with port 443, where often nothing answers at all.
const namesTimeout = 2 * time.Second

// certificateNames are the names of the certificate at port 443 of the target's address, for a failure that another name
// may cure and where nobody has told one. asked tells of the question, if it was answered.
func (a *asker) certificateNames(ctx context.Context, x *triage.Exchange) (names []string, asked string) {
	q := a.question
	if q.tunnel != nil || !x.Address.IsValid() || !nameMayCure(x) || len(q.publicHosts(x, nil)) > 0 {
		return nil, ""
	}
	plan := q.plan.Vary(dialect.Variation{Protocol: triage.TLS})
	plan.Port, plan.Proxy, plan.Timeout = 443, triage.NoProxy, min(plan.Timeout, namesTimeout)
	a.left--
	answer := probe.Do(ctx, plan, a.target.key, anywhere)
	if answer.TLS == nil {
		return nil, ""
	}
	return answer.TLS.Names, fmt.Sprintf("a TLS handshake with %s: the certificate is for %s", answer.Address, strings.Join(answer.TLS.Names, ", "))
}

// nameMayCure reports whether a failure is of the sort that asking by another name may cure.
func nameMayCure(x *triage.Exchange) bool {
	switch x.Outcome {
	case triage.ClosedBeforeAnswer, triage.ResetBeforeAnswer, triage.TLSRefused, triage.TLSClosed:
		return true
	case triage.CodeMismatch:
		return x.Status >= 300
	}
	return false
}

// maxPublic bounds the names that are tried: a certificate may have a hundred.
const maxPublic = 4

// publicHosts are the names by which visitors may know the site, the best known first: those that a person has given; else
// those of its certificate, the host to which it redirects, and the URL's own. What clients send is never among them:
// they would choose what is printed as a cure.
func (q *question) publicHosts(x *triage.Exchange, certificate []string) []string {
	if len(q.public) > 0 {
		return q.public
	}
	var names []string
	add := func(name string) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if isPublicName(name) && !slices.Contains(names, name) && len(names) < maxPublic {
			names = append(names, name)
		}
	}
	if x.TLS != nil {
		certificate = x.TLS.Names
	}
	for _, name := range certificate {
		add(name)
	}
	add(locationHost(x))
	add(q.endpoint.host)
	return names
}

// locationHost is the host to which an answer redirects; "" if it does not.
func locationHost(x *triage.Exchange) string {
	for line := range strings.Lines(string(x.Head)) { // of HTTP/2 too, as text
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "Location") {
			continue
		}
		if u, err := url.Parse(strings.TrimSpace(value)); err == nil {
			return u.Hostname()
		}
	}
	return ""
}

// isHostName reports whether a text is a host name that can be sent and printed as it is; no address, and no wildcard.
func isHostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// isPublicName reports whether a name from a target may be one of a site: not what stands in for a certificate that is
// missing (ingress-nginx's ingress.local, Traefik's traefik.default), or means each machine itself.
func isPublicName(s string) bool {
	_, ending, dotted := strings.Cut(s, ".")
	ending = ending[strings.LastIndexByte(ending, '.')+1:]
	return dotted && isHostName(s) && !slices.Contains([]string{"local", "localdomain", "localhost", "default", "invalid"}, ending)
}

// applyPublic takes over the names that the site is known by.
func (c *checkCommand) applyPublic(q *question, _ *triage.HealthCheck) error {
	for _, name := range c.PublicHost {
		if !isHostName(name) {
			return usagef("write it as visitors do, without a port: --public-host shop.example", "--public-host %q is not a host name", name)
		}
		q.public = append(q.public, strings.ToLower(name))
	}
	return nil
}
