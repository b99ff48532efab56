package triage

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// HealthCheck is the settings of a group's check. The zero value is not valid; start from
// [DefaultHealthCheck]. It is a plain value: compare with ==, copy freely.
type HealthCheck struct {
	As           Dialect // whose way of asking and judging; "" is our own
	Protocol     Protocol
	Port         uint16 // 0: the target's own port ("traffic-port")
	Path         string // http and https; begins with a slash
	SuccessCodes Matcher
	Host         string // Host header to send; "": what the dialect sends, which is the target's address and port in ours
	Interval     time.Duration
	Timeout      time.Duration // for the whole check, from before the connect to the last byte
	Thresholds   Thresholds

	UnhealthyInterval  time.Duration // instead of Interval while the target is unhealthy; 0: no difference
	TransitionInterval time.Duration // instead of both while results disagree with the state; 0: no difference
	Jitter             time.Duration // up to so much is added to each start, at random
	ReuseConnection    bool          // http and https: keep the connection from one check to the next
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
	if err := CheckHostHeader(c.Host); err != nil {
		ps.errorf("host", "%s", err)
	}
	return ps
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
// the moment it fails: the last of the failing checks may be answered at once, or not before its timeout.
func (c HealthCheck) Noticed() (least, most time.Duration) {
	more := time.Duration(c.Thresholds.Unhealthy - 1)
	between := c.Pace(Health{State: Healthy, Streak: 1})
	return more * between, c.Interval + more*between + time.Duration(c.Thresholds.Unhealthy)*c.Jitter + c.Timeout
}

// Restored returns after how long at the most a target that works again is back, counted from the moment it does.
func (c HealthCheck) Restored() time.Duration {
	more := time.Duration(c.Thresholds.Healthy - 1)
	between := c.Pace(Health{State: Unhealthy, Streak: 1})
	return c.Pace(Health{State: Unhealthy}) + more*between + time.Duration(c.Thresholds.Healthy)*c.Jitter + c.Timeout
}
