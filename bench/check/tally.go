//go:build linux

package main

import (
	"crypto/tls"
	"sync"
	"time"
)

// tally counts what comes in at the site. Its plain and its HTTPS servers share it.
type tally struct {
	mu sync.Mutex

	// Guarded by mu.
	asked      []bool // by target, since the last reset
	distinct   int
	recording  bool
	began      time.Time
	arrivals   []arrival
	accepted   int // connections; this and what follows since the recording began
	handshakes int
	resumed    int    // handshakes that took up an earlier session
	version    uint16 // of TLS, in the last handshake
}

// siteReport is the answer to every order.
type siteReport struct {
	Asked      int           // targets asked since the last reset
	Checks     int           // while recording
	Window     time.Duration // for which it was recording
	Accepted   int           // connections, while recording
	Handshakes int           // of TLS, while recording
	Resumed    int           // of those
	TLS        string        // version; "" without a handshake
	Lag50      time.Duration
	Lag99      time.Duration
	LagMax     time.Duration
	Overdue    time.Duration // largest time between two checks of a target, less the interval
}

// reset forgets everything; from now on there are n targets.
func (t *tally) reset(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked, t.distinct = make([]bool, n), 0
}

func (t *tally) record() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording, t.began, t.arrivals = true, time.Now(), t.arrivals[:0]
	t.accepted, t.handshakes, t.resumed, t.version = 0, 0, 0, 0
}

// look reports without an end of the recording.
func (t *tally) look() siteReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return siteReport{Asked: t.distinct, Checks: len(t.arrivals), Accepted: t.accepted}
}

// stop ends the recording, for targets that are asked once per interval.
func (t *tally) stop(interval time.Duration) siteReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recording = false
	report := siteReport{
		Asked:      t.distinct,
		Checks:     len(t.arrivals),
		Window:     time.Since(t.began),
		Accepted:   t.accepted,
		Handshakes: t.handshakes,
		Resumed:    t.resumed,
	}
	if t.handshakes > 0 {
		report.TLS = tls.VersionName(t.version)
	}
	late := lags(t.arrivals, interval)
	report.Lag50, report.Lag99, report.LagMax = quantile(late, 0.50), quantile(late, 0.99), quantile(late, 1)
	report.Overdue = overdue(t.arrivals, interval)
	return report
}

func (t *tally) check(target int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if target < 0 || target >= len(t.asked) {
		return
	}
	if !t.asked[target] {
		t.asked[target] = true
		t.distinct++
	}
	if t.recording {
		t.arrivals = append(t.arrivals, arrival{target: target, at: time.Since(t.began)})
	}
}

func (t *tally) connection() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepted++
}

func (t *tally) handshake(state tls.ConnectionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handshakes++
	t.version = state.Version
	if state.DidResume {
		t.resumed++
	}
}
