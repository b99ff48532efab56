package control

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/triage-lb/triage"
)

// Status returns the desired state with what the engine and the table know about it. It also answers when
// the balancer has stopped. If ctx is done first, listeners and groups are missing.
func (c *Control) Status(ctx context.Context) Status {
	status, err := call(ctx, c, func() (Status, error) { return c.status(), nil })
	if err == nil {
		return status
	}
	select {
	case <-c.stopped:
		return c.status()
	default:
		return c.statusHead()
	}
}

func (c *Control) statusHead() Status {
	return Status{
		Schema: "triage.status/1", Version: c.cfg.Version, Config: c.cfg.Path, Since: c.since, Draining: c.stopping.Load(),
		Listeners: []ListenerStatus{}, Groups: []GroupStatus{}, // JSON: lists, never null
	}
}

func (c *Control) status() Status {
	s := c.statusHead()
	for _, l := range c.file.Config.Listeners {
		s.Listeners = append(s.Listeners, ListenerStatus{Name: l.Name, Listen: l.Listen, Protocol: l.Protocol, Forward: l.Default.Forward})
	}
	for _, r := range c.rosters {
		s.Groups = append(s.Groups, c.groupStatus(r))
	}
	return s
}

// groupStatus lists the members in the order of the file, then removed targets that still drain.
func (c *Control) groupStatus(r triage.Roster) GroupStatus {
	g := GroupStatus{
		Name: r.Name, HealthCheck: viewOf(r.HealthCheck), Routed: r.Routed, Prediction: Predict(r.HealthCheck),
		Together: c.journal.failingTogether(r.Name), Targets: make([]TargetStatus, 0, len(r.Members)),
	}
	checks := make(map[triage.Key]triage.CheckStatus, len(r.Members))
	for _, s := range c.cfg.Engine.Snapshot(r.Name) {
		checks[s.Key] = s
	}
	balances := make(map[triage.Key]triage.BalanceStatus, len(r.Members))
	for _, s := range c.cfg.Table.Snapshot(r.Name) {
		balances[s.Key] = s
	}
	healthy, open := 0, 0
	for _, m := range r.Members {
		t := c.targetStatus(r, m, checks[m.Key], balances)
		if t.State == triage.Healthy {
			healthy++
		}
		if m.Person != triage.PersonDrained && m.Key.Address.IsValid() {
			open++
		}
		g.Targets = append(g.Targets, t)
		delete(balances, m.Key)
	}
	g.FailingOpen = r.Routed && r.NoneHealthy == triage.FailOpen && healthy == 0 && open > 0
	var gone []TargetStatus
	for _, b := range balances {
		if b.Registration == triage.Deregistered {
			gone = append(gone, removedStatus(b))
		}
	}
	slices.SortFunc(gone, func(a, b TargetStatus) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Address, b.Address))
	})
	g.Targets = append(g.Targets, gone...)
	return g
}

// targetStatus is one member. The table's word on the state counts, because it decides where requests go; a
// member that the table does not know yet gets the state that the table will give it.
func (c *Control) targetStatus(r triage.Roster, m triage.Member, check triage.CheckStatus, balances map[triage.Key]triage.BalanceStatus) TargetStatus {
	balance, known := balances[m.Key]
	if !known {
		registration := triage.Registered
		if !r.Routed {
			registration = triage.NotRouted
		}
		balance.State, balance.Reason = triage.Effective(check.Health, triage.TrafficGood, m.Person, registration)
	}
	t := TargetStatus{
		Target: m.Key.Target, Weight: m.Weight, State: balance.State, Reason: balance.Reason,
		Description: balance.Reason.Describe(int(check.Health.Status)),
		Streak:      int(check.Health.Streak), Trusted: !check.Doubted,
		InFlight: balance.InFlight, Requests: balance.Requests,
		LastCheck: lastCheck(check.Last),
		Diagnosis: c.journal.diagnosis(m.Key),
	}
	if m.Key.Address.IsValid() {
		t.Address = m.Key.Address.String()
	}
	if !check.Health.Since.IsZero() {
		t.Since = &check.Health.Since
	}
	if !check.HeldUntil.IsZero() {
		t.HeldUntil, t.Return = &check.HeldUntil, check.Return
	}
	return t
}

func removedStatus(b triage.BalanceStatus) TargetStatus {
	t := TargetStatus{
		Target: b.Key.Target, State: b.State, Reason: b.Reason, Description: b.Reason.Describe(0),
		Trusted: true, InFlight: b.InFlight, Requests: b.Requests,
	}
	if b.Key.Address.IsValid() {
		t.Address = b.Key.Address.String()
	}
	return t
}

func lastCheck(c triage.LastCheck) *CheckView {
	if c.Outcome == triage.NotChecked {
		return nil
	}
	return &CheckView{At: c.Started, Took: float64(c.Took.Microseconds()) / 1000, Outcome: c.Outcome, Status: c.Status, Detail: c.Detail}
}

// viewOf writes the settings as the file would.
func viewOf(h triage.HealthCheck) HealthCheckView {
	v := HealthCheckView{
		As: h.As, Protocol: h.Protocol, Port: trafficPort,
		Interval: triage.DurationText(h.Interval), Timeout: triage.DurationText(h.Timeout),
		HealthyThreshold: h.Thresholds.Healthy, UnhealthyThreshold: h.Thresholds.Unhealthy,
	}
	if h.Port != 0 {
		v.Port = strconv.Itoa(int(h.Port))
	}
	switch {
	case h.Protocol.IsGRPC():
		v.GRPCCodes, v.Service, v.Host = h.GRPCCodes.String(), h.Service, h.Host
		if h.Path != "/" {
			v.Path = h.Path
		}
	case h.Protocol.Asks():
		v.Path, v.SuccessCodes, v.Host, v.ReuseConnection = h.Path, h.SuccessCodes.String(), h.Host, h.ReuseConnection
	}
	e := h.Expect
	v.ExpectHeader, v.ExpectBody, v.ExpectBodyRegex, v.ExpectBodyWithin, v.Expect = e.Header, e.Body, e.BodyRegex, e.Within, e.Expression
	v.ProxyProtocol = string(h.ProxyProtocol)
	if h.Source.IsValid() {
		v.SourceAddress = h.Source.String()
	}
	v.showTLS(h.TLS)
	v.UnhealthyInterval, v.TransitionInterval, v.Jitter = ifSet(h.UnhealthyInterval), ifSet(h.TransitionInterval), ifSet(h.Jitter)
	v.ThresholdWindow = h.Thresholds.Window
	if d := h.HoldDown; d.On() {
		v.HoldDown = triage.DurationText(d.First)
		v.HoldDownLimit = triage.DurationText(cmp.Or(d.Limit, triage.DefaultHoldDown))
		v.HoldDownWindow = triage.DurationText(cmp.Or(d.Window, triage.DefaultHoldDown))
	}
	return v
}

// showTLS shows files by their names alone.
func (v *HealthCheckView) showTLS(t triage.CheckTLS) {
	v.TLSServerName, v.TLSMinVersion = t.ServerName, triage.TLSVersionText(t.MinVersion)
	v.TLSCAFile, v.TLSCertFile, v.TLSKeyFile = t.CA.File, t.Certificate.File, t.Key.File
	if t.Verify != triage.AsUsual {
		verify := t.Verify == triage.Yes
		v.TLSVerify = &verify
	}
}

// ifSet is the text of a duration, or "" for none.
func ifSet(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return triage.DurationText(d)
}
