package triage

// ListenerName names a listener.
type ListenerName string

// Listener is an address where clients come in.
type Listener struct {
	Name     ListenerName
	Listen   string // "address:port"; ":8080" is every address of the machine
	Protocol Protocol
	Default  Action // what to do with a request
}

// Action is what a listener does with a request.
type Action struct {
	Forward GroupName // send it to a target of this group
}

// Validate returns what is wrong with the listener, each problem at its key within the listener.
func (l Listener) Validate() Problems {
	var ps Problems
	ps.name(string(l.Name), "listener")
	ps.listenAddress("listen", l.Listen)
	if l.Protocol != HTTP {
		ps.errorf("protocol", "a listener's protocol %q is not served: use http", l.Protocol)
	}
	return ps
}
