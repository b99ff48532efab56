package capture

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// DefaultPatience is after how long without a check a Tap says so: twice the longest default interval of a load balancer.
const DefaultPatience = 60 * time.Second

// TapConfig is what a Tap looks at. The funcs are called one at a time, on the goroutine of Run.
type TapConfig struct {
	// Address whose TCP port is looked at, as in Config.Addresses: "10.0.1.5:80", or ":80" for all addresses of the
	// machine. The port is not 0.
	Address string

	// Path is shown whoever asks for it; other requests only if a known load balancer sends them: what visitors ask for
	// is not for the eyes of whoever looks for health checks. Default: "", which is no path.
	Path string

	// Count ends Run after so many records or peers. Default: 0, which is never.
	Count int

	// Patience is how long nothing may be found before OnLull is called; once, until something is found again. Default:
	// DefaultPatience.
	Patience time.Duration

	OnRecord func(Record) // gets each check that came; what it was answered is not seen
	OnPeer   func(Peer)   // gets each connection that the kernel's tables show, where packets cannot be seen; many short ones are in no table
	OnLull   func(Lull)   // is told that nothing was found
}

// Peer is a connection that the kernel's tables show.
type Peer struct {
	Time  time.Time      `json:"time"` // when it was seen first; it may be up to a minute older
	Peer  netip.AddrPort `json:"peer"`
	Local netip.AddrPort `json:"local"`
	State string         `json:"state"` // as ss shows it: ESTAB, TIME-WAIT …
}

// Lull is what was seen in a time without a check.
type Lull struct {
	For       time.Duration  `json:"-"`
	Others    int            `json:"others"`       // requests, and connections in other protocols, that are no known check
	Knocking  int            `json:"knocking"`     // connections that were asked for, and not made
	Who       netip.AddrPort `json:"who,omitzero"` // one that asked for such a one
	Listening bool           `json:"listening"`    // a process listens on the port
	Packets   bool           `json:"packets"`      // it is known from packets, not only from the kernel's tables
}

// Tap shows the checks that come in at a port which another process has. Make it with OpenTap.
type Tap struct {
	cfg     TapConfig
	at      netip.AddrPort // the address is not valid for all
	packets *os.File       // the packets of that port that come in; nil: only the kernel's tables are seen
	blind   error          // why

	found  int       // records and peers so far
	others int       // requests and connections that were not shown
	lullAt time.Time // when OnLull is due; zero: it was called
}

// OpenTap begins to look. Where packets cannot be seen for lack of permission, it looks at the kernel's tables alone; Blind
// tells. The error is of kind invalid, on systems other than Linux too, or of kind unavailable. The caller must call Run or
// Close.
func OpenTap(cfg TapConfig) (*Tap, error) {
	to, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	at := addrPort(to)
	switch {
	case at.Port() == 0:
		return nil, &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("tap %s: there is no port 0", cfg.Address), Hint: "write the port of the health check, as :80"}
	case cfg.Path != "" && !strings.HasPrefix(cfg.Path, "/"):
		return nil, &triage.Error{Kind: triage.KindInvalid, Message: fmt.Sprintf("path %q: a path begins with /", cfg.Path), Hint: "write /health_check"}
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	t := &Tap{cfg: cfg, at: at}
	if t.packets, t.blind, err = openPackets(at.Port()); err != nil {
		return nil, err
	}
	return t, nil
}

// Blind says why packets cannot be seen; nil if they can.
func (t *Tap) Blind() error { return t.blind }

// Others is how many requests, and connections in other protocols, were seen that are no check of a known load balancer.
// It may be called once Run has returned, and by the funcs of the config.
func (t *Tap) Others() int { return t.others }

// Close ends a tap that never ran. Closing twice is harmless.
func (t *Tap) Close() {
	if t.packets != nil {
		_ = t.packets.Close() // nothing to flush
	}
}

// Run looks until ctx is done or Count is reached, and returns nil; or until nothing can be seen any more, and returns why.
// It must be called at most once.
func (t *Tap) Run(ctx context.Context) error {
	defer t.Close()
	t.lullAt = time.Now().Add(t.cfg.Patience)
	if t.packets == nil {
		return t.watchTables(ctx)
	}
	return t.watchPackets(ctx)
}

// enough reports whether Count is reached.
func (t *Tap) enough() bool { return t.cfg.Count > 0 && t.found >= t.cfg.Count }

// next counts something that was found, unless there was enough, and puts off the next lull.
func (t *Tap) next() (ok bool) {
	if t.enough() {
		return false
	}
	t.found++
	t.lullAt = time.Now().Add(t.cfg.Patience)
	return true
}

// show hands a record over, if it is a check.
func (t *Tap) show(r Record) {
	if !t.wanted(&r) {
		t.others++
		return
	}
	if t.next() {
		r.ID = t.found
		r.Remarks = remarks(&r, 0)
		t.cfg.OnRecord(r)
	}
}

func (t *Tap) wanted(r *Record) bool {
	if r.Request == nil || r.Sender != nil && len(r.Sender.Dialects) > 0 {
		return true
	}
	path, _, _ := strings.Cut(r.Request.Target, "?")
	return t.cfg.Path != "" && path == t.cfg.Path
}

// lull tells that nothing was found, if it is time.
func (t *Tap) lull(l Lull) {
	if t.lullAt.IsZero() || time.Now().Before(t.lullAt) {
		return
	}
	t.lullAt = time.Time{}
	l.For, l.Others, l.Packets = t.cfg.Patience, t.others, t.packets != nil
	t.cfg.OnLull(l)
}

// concerns reports whether an address and port of this machine are those that are looked at.
func (t *Tap) concerns(local netip.AddrPort) bool {
	return local.Port() == t.at.Port() && (!t.at.Addr().IsValid() || t.at.Addr().IsUnspecified() || t.at.Addr() == local.Addr())
}
