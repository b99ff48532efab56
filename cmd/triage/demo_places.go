package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/simulate"
)

// demoPlaces are the addresses of a demo.
type demoPlaces struct {
	instances [3]netip.AddrPort
	control   netip.AddrPort // where the instances are switched
	clients   netip.AddrPort // the balancer's listener
	admin     netip.AddrPort
	listen    netip.AddrPort // on the third instance: free until an act listens there
}

// defaultDemoPlaces are where the demo would like to be.
func defaultDemoPlaces() demoPlaces {
	at := netip.MustParseAddrPort
	return demoPlaces{
		instances: [3]netip.AddrPort{at("127.0.1.11:8000"), at("127.0.1.12:8000"), at("127.0.1.13:8000")},
		control:   at(simulate.DefaultControl),
		clients:   at("127.0.0.1:8080"),
		admin:     at(triage.DefaultAdmin),
		listen:    at("127.0.1.13:8080"),
	}
}

// demoNames are the instances' names, in the order of their places. The last one is who falls ill.
var demoNames = [3]string{"a", "b", "c"}

// settle opens the instances and finds places for the rest: those that are wanted, else free ports of 127.0.0.1.
// notes say what is elsewhere, and why. The caller must run or close the fleet.
//
// Of several demos that start at one moment, the one that gets the wanted control address may have the wanted
// addresses of the balancer too; the others do not even try, since they could be faster there.
func (p demoPlaces) settle() (had demoPlaces, fleet *simulate.Fleet, notes []string, err error) {
	had = p
	for range 4 { // instances and control move at most once each; what was taken may be free a moment later
		if fleet, err = had.openFleet(); err == nil {
			break
		}
		notes = append(notes, had.yield()...)
	}
	if err != nil {
		return had, nil, notes, &triage.Error{Kind: triage.KindUnavailable, Message: err.Error(), Err: err}
	}
	for i, server := range fleet.Servers() {
		had.instances[i] = server.Address()
	}
	had.control = fleet.Control()

	var c claimer
	defer c.release()
	first := had.control == p.control
	for _, place := range []struct {
		at   *netip.AddrPort
		try  bool
		what string
	}{
		{&had.clients, first, "the balancer listens"},
		{&had.admin, first, "the admin address is"},
		{&had.listen, had.instances == p.instances, "act 5 listens"},
	} {
		if place.try {
			why := c.try(*place.at)
			if why == nil {
				continue
			}
			notes = append(notes, moved(*place.at, why, place.what+" at another port"))
		}
		*place.at = c.free()
	}
	if c.err != nil {
		fleet.Close()
	}
	return had, fleet, notes, c.err
}

// openFleet opens the instances and the address where they are switched.
func (p demoPlaces) openFleet() (*simulate.Fleet, error) {
	cfg := simulate.FleetConfig{Control: p.control}
	for i, at := range p.instances {
		cfg.Servers = append(cfg.Servers, simulate.Config{Name: demoNames[i], Address: at})
	}
	return simulate.ListenFleet(cfg)
}

// yield moves what cannot be had, and says so: all instances if it is one of them, and the control address.
func (p *demoPlaces) yield() (notes []string) {
	var c claimer
	defer c.release()
	anywhere := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	for _, at := range p.instances {
		if why := c.try(at); why != nil {
			notes = append(notes, moved(at, why, "the instances are at free ports of 127.0.0.1"))
			p.instances = [3]netip.AddrPort{anywhere, anywhere, anywhere}
			break
		}
	}
	if why := c.try(p.control); why != nil {
		notes = append(notes, moved(p.control, why, "the instances are switched, and the balancer is, elsewhere"))
		p.control = anywhere
	}
	return notes
}

func moved(from netip.AddrPort, why error, so string) string {
	return fmt.Sprintf("%s cannot be used (%s), so %s", from, why, so)
}

// claimer holds addresses for a moment, so that no two places get the same free port.
type claimer struct {
	held []net.Listener
	err  error // there is no free port at all
}

// try holds an address, or says why that is impossible.
func (c *claimer) try(at netip.AddrPort) error {
	l, err := net.Listen("tcp", at.String())
	if err == nil {
		c.held = append(c.held, l)
		return nil
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}

// free holds a free port of 127.0.0.1, from below those that Linux gives to outgoing connections: nobody takes
// it between the moment it is found and the moment it is used.
func (c *claimer) free() netip.AddrPort {
	const low, high = 20000, 32000
	var err error
	for range 100 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), low+rand.N[uint16](high-low))
		if err = c.try(at); err == nil {
			return at
		}
	}
	c.err = unavailable("find a free port of 127.0.0.1", err)
	return netip.AddrPort{}
}

func (c *claimer) release() {
	for _, l := range c.held {
		_ = l.Close() // nobody has connected
	}
}
