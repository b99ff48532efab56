package proxy

import (
	"time"

	"github.com/triage-lb/triage"
)

// CloseSocket takes a listener's socket away, as nothing but a broken machine would.
func CloseSocket(p *Proxy, name triage.ListenerName) {
	for _, b := range p.bindings {
		if b.name == name {
			b.socket.Close()
		}
	}
}

// SweepIdle closes the connections to targets that have idled since before the given time.
func SweepIdle(p *Proxy, before time.Time) {
	p.upstreams.Range(func(_, u any) bool {
		u.(*upstream).sweep(before)
		return true
	})
}

// HeadTimeout is how long a client may take for the head of a request.
func HeadTimeout(p *Proxy, name triage.ListenerName) time.Duration {
	for _, b := range p.bindings {
		if b.name == name {
			return b.server.ReadHeaderTimeout
		}
	}
	return 0
}

// ExplainBind is what people are told about an error of bind(2).
var ExplainBind = explainBind
