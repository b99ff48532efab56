package triage

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// HealthCheck is the settings of a group's check. The zero value is not valid; start from
// [DefaultHealthCheck]. It is a plain value: compare with ==, copy freely.
type HealthCheck struct {
	As           Dialect // whose way of asking and judging; "" is our own
	Protocol     Protocol
	Port         uint16  // 0: the target's own port ("traffic-port")
	Path         string  // begins with a slash; in gRPC "/" is the dialect's own method
	SuccessCodes Matcher // HTTP's
	GRPCCodes    Matcher // gRPC's
	Service      string  // gRPC: what the health service is asked about; "" is the server as a whole
	Host         string  // Host header to send; "": what the dialect sends, which is the target's address and port in ours
	Interval     time.Duration
	Timeout      time.Duration // for the whole check, from before the connect to the last byte
	Thresholds   Thresholds
	HoldDown     HoldDown

	Expect        Expect
	TLS           CheckTLS
	ProxyProtocol ProxyProtocol // header of the PROXY protocol before everything else
	Source        netip.Addr    // our end of the connection; not valid: the kernel's choice

	UnhealthyInterval  time.Duration // instead of Interval while the target is unhealthy; 0: no difference
	TransitionInterval time.Duration // instead of both while results disagree with the state; 0: no difference
	Jitter             time.Duration // up to so much is added to each start, at random
	ReuseConnection    bool          // http and https: keep the connection from one check to the next
}

// ProxyProtocol is a version of HAProxy's PROXY protocol (proxy-protocol.txt); "" sends no header.
type ProxyProtocol string

// The versions.
const (
	NoProxy ProxyProtocol = ""
	ProxyV1 ProxyProtocol = "v1" // a line of text with our address and the target's
	ProxyV2 ProxyProtocol = "v2" // binary; LOCAL, which says that the connection is ours and no client's
)

// ParseProxyProtocol reads a version: v1 or v2, in any case.
func ParseProxyProtocol(s string) (ProxyProtocol, error) {
	switch p := ProxyProtocol(strings.ToLower(s)); p {
	case ProxyV1, ProxyV2:
		return p, nil
	}
	return NoProxy, &Error{
		Kind:    KindInvalid,
		Message: fmt.Sprintf("proxy protocol %q is unknown", s),
		Hint:    "write v1, a line of text, or v2, which is binary: what the target is set to expect",
	}
}

// ParseSource reads an address that connections can come from; see [CheckSource].
func ParseSource(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, &Error{Kind: KindInvalid, Message: fmt.Sprintf("source address %q is no address", s), Hint: sourceHint}
	}
	return a.Unmap(), CheckSource(a)
}

const sourceHint = "write an address of this machine, without port, or leave it away: then the system chooses"

// CheckSource returns an error unless a connection can come from the address: one of this machine, which is not looked
// at here.
func CheckSource(a netip.Addr) error {
	a = a.Unmap()
	var why string
	switch {
	case !a.IsValid():
		why = "is no address"
	case a.IsUnspecified():
		why = "stands for every address"
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		why = "is an address of many machines"
	default:
		return nil
	}
	return &Error{
		Kind:    KindInvalid,
		Message: fmt.Sprintf("source address %s %s", a, why),
		Hint:    sourceHint,
	}
}

// Pace is the interval at which a target of this health is checked.
func (c HealthCheck) Pace(h Health) time.Duration {
	switch {
	case h.Streak > 0 && c.TransitionInterval > 0:
		return c.TransitionInterval
	case h.State == Unhealthy && c.UnhealthyInterval > 0:
		return c.UnhealthyInterval
	}
	return c.Interval
}

// The legal ranges of a check's settings in our own dialect.
const (
	MinInterval  = 100 * time.Millisecond
	MaxInterval  = time.Hour
	MinTimeout   = 10 * time.Millisecond
	MaxThreshold = 100
	maxPath      = 1024 // as AWS
)

// DefaultHealthCheck returns the settings of a group that names none: TCP, as on AWS.
func DefaultHealthCheck() HealthCheck {
	return HealthCheck{
		Protocol:     TCP,
		Path:         "/",
		SuccessCodes: MatchCodes(200, 200),
		GRPCCodes:    MatchGRPC(0, 0),
		Interval:     5 * time.Second,
		Timeout:      2 * time.Second,
		Thresholds:   Thresholds{Healthy: 2, Unhealthy: 2},
	}
}

// Validate returns what is wrong with the settings, each problem at the name of its key. It does not know the dialects:
// neither whether there is one of that name, nor what it cannot be told.
func (c HealthCheck) Validate() Problems {
	var ps Problems
	if c.Interval < MinInterval || c.Interval > MaxInterval {
		ps.errorf("interval", "interval %s is outside %s-%s", DurationText(c.Interval), DurationText(MinInterval), DurationText(MaxInterval))
	}
	switch {
	case c.Timeout < MinTimeout:
		ps.errorf("timeout", "timeout %s is below %s", DurationText(c.Timeout), DurationText(MinTimeout))
	case c.outlasts(c.Interval):
		far, _ := c.apart()
		ps.errorf("timeout", "timeout %s must be %s the interval %s, so that one check ends before the next begins", DurationText(c.Timeout), far, DurationText(c.Interval))
	}
	c.otherInterval(&ps, "unhealthy_interval", c.UnhealthyInterval)
	c.otherInterval(&ps, "transition_interval", c.TransitionInterval)
	if most := c.shortest() / 2; c.Jitter < 0 || c.Jitter > most {
		ps.errorf("jitter", "jitter %s is outside 0s-%s, half of the shortest interval", DurationText(c.Jitter), DurationText(most))
	}
	ps.threshold("healthy_threshold", c.Thresholds.Healthy)
	ps.threshold("unhealthy_threshold", c.Thresholds.Unhealthy)
	// Also where the protocol asks for nothing: it may be edited to one that does, and then the rest must be right.
	if err := CheckPath(c.Path); err != nil {
		ps.errorf("path", "%s", err)
	}
	if c.SuccessCodes.Empty() {
		ps.errorf("success_codes", "success codes are empty: nothing could ever pass")
	}
	if c.GRPCCodes.Empty() {
		ps.errorf("grpc_codes", "gRPC codes are empty: nothing could ever pass")
	}
	if err := CheckHostHeader(c.Host); err != nil {
		ps.errorf("host", "%s", err)
	}
	c.window(&ps)
	c.holdDown(&ps)
	c.connection(&ps)
	ps = append(ps, c.Expect.Validate()...)
	ps = append(ps, c.TLS.Validate()...)
	c.misplaced(&ps)
	return ps
}

// window checks how many results are looked back at.
func (c HealthCheck) window(ps *Problems) {
	n, most := c.Thresholds.Window, max(c.Thresholds.Healthy, c.Thresholds.Unhealthy)
	switch {
	case n == 0:
	case n < 1 || n > MaxWindow:
		ps.hintf("threshold_window", "0 counts results in a row", "threshold window %d is outside 0-%d", n, MaxWindow)
	case n < most:
		ps.hintf("threshold_window", fmt.Sprintf("write %d or more, or 0 to count results in a row", most),
			"threshold window %d is below a threshold of %d, which could then never be reached", n, most)
	}
}

// maxHoldDown bounds the times of a hold-down.
const maxHoldDown = 24 * time.Hour

// holdDown checks for how long a target may be kept out. Without the first of the times the others mean nothing.
func (c HealthCheck) holdDown(ps *Problems) {
	h := c.HoldDown
	if h.First == 0 {
		return
	}
	limit, window := cmp.Or(h.Limit, DefaultHoldDown), cmp.Or(h.Window, DefaultHoldDown)
	ps.held("hold_down", h.First, MinInterval, MaxInterval, "0s keeps no target out for longer")
	ps.held("hold_down_limit", limit, MinInterval, maxHoldDown, "")
	ps.held("hold_down_window", window, MinInterval, maxHoldDown, "")
	if limit < h.First && limit >= MinInterval {
		ps.hintf("hold_down", "lower it, or raise hold_down_limit", "hold down %s is above hold down limit %s", DurationText(h.First), DurationText(limit))
	}
}

func (ps *Problems) held(key string, d, low, high time.Duration, hint string) {
	if d < low || d > high {
		ps.hintf(key, hint, "%s %s is outside %s-%s", strings.ReplaceAll(key, "_", " "), DurationText(d), DurationText(low), DurationText(high))
	}
}

// connection checks from where targets are asked, and what is sent before everything else.
func (c HealthCheck) connection(ps *Problems) {
	if _, err := ParseProxyProtocol(string(c.ProxyProtocol)); c.ProxyProtocol != NoProxy && err != nil {
		ps.hintf("proxy_protocol", HintOf(err), "%s", err)
	}
	if err := CheckSource(c.Source); c.Source != (netip.Addr{}) && err != nil {
		ps.hintf("source_address", HintOf(err), "%s", err)
	}
}

// misplaced reports settings that would be forgotten in silence, because the protocol has no place for them. Each is one
// that somebody relies on: the check would pass without it.
func (c HealthCheck) misplaced(ps *Problems) {
	grpc := c.Protocol.IsGRPC()
	if c.Service != "" && !grpc {
		ps.hintf("service", "protocol: grpc or grpcs asks for a service", "service %q means nothing to a check over %s", c.Service, c.Protocol)
	}
	if err := CheckService(c.Service); err != nil {
		ps.errorf("service", "%s", err)
	}
	if err := CheckMethod(c.Path); grpc && c.Path != "/" && err != nil && CheckPath(c.Path) == nil {
		ps.hintf("path", HintOf(err), "%s", err)
	}
	for _, key := range c.Expect.keys() {
		switch {
		case !c.Protocol.Asks():
			ps.hintf(key, "protocol: http or https asks for an answer", "%s means nothing to a check over %s: there is no answer", key, c.Protocol)
		case grpc && (key == "expect_body" || key == "expect_body_regex"):
			ps.hintf(key, "grpc_codes says which status codes pass", "%s means nothing to a check over %s, whose answer is no text", key, c.Protocol)
		}
	}
	// In other dialects than ours a redirect may lead from http to https.
	if c.Protocol.Encrypted() || c.Protocol == HTTP && c.As != "" {
		return
	}
	for _, key := range c.TLS.keys() {
		ps.hintf(key, "use tls, https, h2 or grpcs, or remove it", "%s means nothing to a check over %s, which is not encrypted", key, c.Protocol)
	}
}

// shortest is the shortest interval at which a target may be checked.
func (c HealthCheck) shortest() time.Duration {
	d := c.Interval
	for _, other := range [...]time.Duration{c.UnhealthyInterval, c.TransitionInterval} {
		if other >= MinInterval {
			d = min(d, other)
		}
	}
	return d
}

// outlasts reports whether the timeout is too long for an interval. In other dialects than ours a check may take the whole
// of it: in some that is the default, and a kubelet that asks every second has it unless it is told otherwise.
func (c HealthCheck) outlasts(interval time.Duration) bool {
	return c.Timeout > interval || c.Timeout == interval && c.As == ""
}

// apart is how the timeout and an interval must differ, seen from each of them.
func (c HealthCheck) apart() (timeout, interval string) {
	if c.As == "" {
		return "below", "above"
	}
	return "at most", "at least"
}

// otherInterval checks an interval that is used in some states of a target; 0 is none.
func (c HealthCheck) otherInterval(ps *Problems, key string, d time.Duration) {
	name := strings.ReplaceAll(key, "_", " ")
	switch {
	case d == 0:
	case d < MinInterval || d > MaxInterval:
		ps.errorf(key, "%s %s is outside %s-%s", name, DurationText(d), DurationText(MinInterval), DurationText(MaxInterval))
	case c.outlasts(d):
		_, far := c.apart()
		ps.errorf(key, "%s %s must be %s the timeout %s, so that one check ends before the next begins", name, DurationText(d), far, DurationText(c.Timeout))
	}
}

func (ps *Problems) threshold(key string, n int) {
	if n < 1 || n > MaxThreshold {
		ps.errorf(key, "%s %d is outside 1-%d", strings.ReplaceAll(key, "_", " "), n, MaxThreshold)
	}
}

// CheckPath returns an error unless the text can stand as the target of a request: it begins with a slash
// and holds no space, control byte, "#" or byte outside ASCII (write those as %XX).
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path %q does not begin with a slash", path)
	}
	if len(path) > maxPath {
		return fmt.Errorf("path is longer than %d bytes", maxPath)
	}
	for i, c := range path {
		if c <= ' ' || c >= 0x7f || c == '#' {
			_, size := utf8.DecodeRuneInString(path[i:])
			escaped := ""
			for _, b := range []byte(path[i : i+size]) {
				escaped += fmt.Sprintf("%%%02X", b)
			}
			return fmt.Errorf("path %q holds %q, which cannot travel in a request line: write %s", path, c, escaped)
		}
	}
	return nil
}

// CheckMethod returns an error unless the path is the method of a gRPC service: /package.Service/Method.
func CheckMethod(path string) error {
	service, method, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || service == "" || method == "" || strings.ContainsAny(method, "/?") || strings.Contains(service, "?") {
		return &Error{
			Kind:    KindInvalid,
			Message: fmt.Sprintf("path %q is no method of gRPC", path),
			Hint:    "write /package.Service/Method; or / for the load balancer's own; a service to ask the health service about goes into service",
		}
	}
	return nil
}

// maxService bounds the name of a gRPC service.
const maxService = 256

// CheckService returns an error unless the text can be the name of a service that gRPC's health service is asked about.
// "" is the server as a whole.
func CheckService(name string) error {
	if len(name) > maxService {
		return fmt.Errorf("service is longer than %d bytes", maxService)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return fmt.Errorf("service %q holds %q, which no service's name has", name, c)
		}
	}
	return nil
}

// CheckHostHeader returns an error unless the text can stand in a Host header. "" is allowed.
func CheckHostHeader(host string) error {
	for _, c := range host {
		if !isWord(c, "-._:[]") {
			return fmt.Errorf("host %q holds %q, which no host name has", host, c)
		}
	}
	return nil
}

// Noticed returns after how long at the least and at the most a target that fails is taken out, counted from
// the moment it fails: the last of the failing checks may be answered at once, or not before its timeout. In a window,
// failures from before that moment count too, so that one more may be enough.
func (c HealthCheck) Noticed() (least, most time.Duration) {
	more := time.Duration(c.Thresholds.Unhealthy - 1)
	between := c.Pace(Health{State: Healthy, Streak: 1})
	if c.Thresholds.Window == 0 {
		least = more * between
	}
	return least, c.Interval + more*between + time.Duration(c.Thresholds.Unhealthy)*c.Jitter + c.Timeout
}

// Restored returns after how long at the least and at the most a target that works again is back, counted from the moment
// it does. What a HoldDown adds for targets that come and go is not in it.
func (c HealthCheck) Restored() (least, most time.Duration) {
	more := time.Duration(c.Thresholds.Healthy - 1)
	between := c.Pace(Health{State: Unhealthy, Streak: 1})
	if c.Thresholds.Window == 0 {
		least = more * between
	}
	return least, c.Pace(Health{State: Unhealthy}) + more*between + time.Duration(c.Thresholds.Healthy)*c.Jitter + c.Timeout
}
