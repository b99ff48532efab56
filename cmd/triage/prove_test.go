package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// toHTTPS sends whoever comes over plain http to https, as far as it can tell.
func toHTTPS(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		return
	}
	http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
}

// failedOn is a check of a target that has failed, with the default settings of an HTTP check.
func failedOn(t *testing.T, address string) control.Inquiry {
	t.Helper()
	check := triage.DefaultHealthCheck()
	check.Protocol = triage.HTTP
	ap := netip.MustParseAddrPort(address)
	key := triage.Key{Group: "app", Target: triage.TargetID(address), Address: ap}
	x := probe.Do(t.Context(), probe.Compile(dialect.Get(triage.Own), check), key, triage.AddressPolicy{})
	if x.Outcome.Verdict() != triage.Fail {
		t.Fatalf("the check ends as %s %s", x.Outcome, x.Detail)
	}
	return control.Inquiry{Check: check, Exchange: x}
}

// TestServeProvesWhatItSays: the log line of a failure is followed by one with the proof, which is in the status too.
func TestServeProvesWhatItSays(t *testing.T) {
	sick := serveOn(t, "127.0.0.1", http.HandlerFunc(toHTTPS))
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var log logBuffer
	b, _ := balancerOf(t, sick, slog.New(slog.NewTextHandler(&log, nil)))
	stop := serving(t, b)
	eventuallyTrue(t, "the target is diagnosed", func() bool { return strings.Contains(log.String(), "target diagnosed") })
	d := b.control.Status(t.Context()).Groups[0].Targets[0].Diagnosis
	stop()
	const proof = "the same request with X-Forwarded-Proto: https: 200"
	if d == nil || d.Code != "redirect-to-https" || d.Certainty != triage.Proved || d.Proof != proof || d.Stage != "redirect" {
		t.Errorf("status: %+v", d)
	}
	text := log.String()
	told, proved := strings.Index(text, `msg="target unhealthy"`), strings.Index(text, `msg="target diagnosed"`)
	if told < 0 || proved < told || !strings.Contains(text[proved:], `code=redirect-to-https certainty=proved`) || !strings.Contains(text[proved:], `proof="`+proof+`"`) {
		t.Errorf("log:\n%s", text)
	}
}

// TestServeCanBeToldNotToAsk more than its checks do.
func TestServeCanBeToldNotToAsk(t *testing.T) {
	address := serveOn(t, "127.0.0.1", http.HandlerFunc(toHTTPS))
	if d := (&balancer{noFollowUp: true}).prove(t.Context(), failedOn(t, address)); d != nil {
		t.Errorf("got %+v", d)
	}
	if d := (&balancer{}).prove(t.Context(), failedOn(t, address)); d == nil || d.Certainty != triage.Proved {
		t.Errorf("else: %+v", d)
	}
}

// TestARecoveryProvesNothing: a target that is well again answers every question well, and would be called whatever was
// asked first.
func TestARecoveryProvesNothing(t *testing.T) {
	for name, sickFor := range map[string]int64{"at once": 1, "while it is asked": 2} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			address := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) <= sickFor {
					http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
				}
			}))
			failed := failedOn(t, address)
			if d := (&balancer{}).prove(t.Context(), failed); d != nil {
				t.Errorf("got %s, %s: %s", d.Code, d.Certainty, d.Proof)
			}
			if n := requests.Load(); n < sickFor+1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestServeAsksAsItsChecksDo: what is no small change of the check itself is for a person to ask.
func TestServeAsksAsItsChecksDo(t *testing.T) {
	var requests atomic.Int64
	address := serveOn(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	i := newInterview(failedOn(t, address))
	before := requests.Load()
	for _, v := range []dialect.Variation{
		{Protocol: triage.HTTPS}, {Protocol: triage.TLS}, {Protocol: triage.H2C}, {Proxy: triage.ProxyV1}, {Method: "POST"},
		{At: dialect.Loopback}, {At: dialect.OtherFamily}, {Pause: time.Millisecond},
	} {
		if x := i.ask(t.Context(), v); x != nil {
			t.Errorf("%s: %s", v, diagnose.Brief(x))
		}
	}
	if n := requests.Load() - before; n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, v := range []dialect.Variation{{Host: "localhost"}, {Path: "/"}, {Method: "HEAD"}, {Protocol: triage.HTTP}, {Unproxied: true}} {
		if x := i.ask(t.Context(), v); x == nil || x.Status != 404 {
			t.Errorf("%s: %+v", v, x)
		}
	}
	i.plan.Proxy = triage.ProxyV1
	if x := i.ask(t.Context(), dialect.Variation{Unproxied: true}); x != nil {
		t.Errorf("without the check's PROXY header: %s", diagnose.Brief(x))
	}
}

// TestServeAsksNobodyElse: neither an address that the config forbids, nor a target without one; and it ends when told to.
func TestServeAsksNobodyElse(t *testing.T) {
	forbidden := control.Inquiry{Check: triage.DefaultHealthCheck(), Exchange: &triage.Exchange{
		Key: triage.Key{Group: "app", Target: "169.254.169.254:80", Address: netip.MustParseAddrPort("169.254.169.254:80")}, Outcome: triage.AddressForbidden,
	}}
	nameless := control.Inquiry{Check: triage.DefaultHealthCheck(), Exchange: &triage.Exchange{
		Key: triage.Key{Group: "app", Target: "app.internal:80"}, Outcome: triage.ResolveFailed,
	}}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	sick := failedOn(t, serveOn(t, "127.0.0.1", http.HandlerFunc(toHTTPS)))
	for name, c := range map[string]struct {
		ctx context.Context
		in  control.Inquiry
	}{"forbidden": {t.Context(), forbidden}, "no address": {t.Context(), nameless}, "ended": {ended, sick}} {
		if d := (&balancer{}).prove(c.ctx, c.in); d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestHostsOfAGroup: only host names are tried as such.
func TestHostsOfAGroup(t *testing.T) {
	i := interview{Inquiry: control.Inquiry{Hosts: []string{"shop.example", "10.0.0.1", "a b", "[::1]", "app"}}}
	if got := strings.Join(i.hosts(), " "); got != "shop.example app" {
		t.Errorf("got %s", got)
	}
}
