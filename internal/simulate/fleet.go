package simulate

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// DefaultControl is the control address that the command uses if none is given.
const DefaultControl = "127.0.0.1:7390"

// FleetConfig is what a Fleet consists of.
type FleetConfig struct {
	// Servers, at least one. Two of them cannot have one name.
	Servers []Config

	// Control is the address at which the servers are switched, on loopback;
	// port 0 takes a free one. The zero value means no control address.
	Control netip.AddrPort
}

// A Fleet is several servers and the address that controls them. Make it with
// ListenFleet.
type Fleet struct {
	servers []*Server
	control *control // nil if there is none
}

// ListenFleet opens all servers and the control address, or nothing and returns
// why. The caller must call Run or Close.
func ListenFleet(cfg FleetConfig) (*Fleet, error) {
	if len(cfg.Servers) == 0 {
		return nil, fmt.Errorf("no server to simulate: give at least one address")
	}
	f := &Fleet{}
	if err := f.listen(cfg); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) listen(cfg FleetConfig) error {
	for _, c := range cfg.Servers {
		s, err := Listen(c)
		if err != nil {
			return err
		}
		twin := f.Server(s.Name())
		f.servers = append(f.servers, s)
		if twin != nil {
			return fmt.Errorf("name %q: both %s and %s have it", s.Name(), twin.Address(), s.Address())
		}
	}
	if !cfg.Control.IsValid() {
		return nil
	}
	var err error
	f.control, err = listenControl(cfg.Control, f)
	return err
}

// Servers returns the servers in the order of their configuration. The slice
// belongs to the caller.
func (f *Fleet) Servers() []*Server { return slices.Clone(f.servers) }

// Server returns the server of that name or address, nil if there is none.
func (f *Fleet) Server(nameOrAddress string) *Server {
	for _, s := range f.servers {
		if nameOrAddress == s.Name() || nameOrAddress == s.Address().String() {
			return s
		}
	}
	return nil
}

// Control returns the control address with its real port, the zero value if the
// fleet has none.
func (f *Fleet) Control() netip.AddrPort {
	if f.control == nil {
		return netip.AddrPort{}
	}
	return f.control.addr
}

// Run serves until ctx is done, then closes everything, waits, and returns nil.
// If the control address fails, all servers stop and that is the error. It must
// be called at most once.
func (f *Fleet) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range f.servers {
		group.Go(func() error { return s.Run(ctx) })
	}
	if f.control != nil {
		group.Go(func() error { return f.control.run(ctx) })
	}
	return group.Wait()
}

// Close closes all servers and the control address. It is needed for a fleet
// that never ran.
func (f *Fleet) Close() {
	for _, s := range f.servers {
		s.Close()
	}
	if f.control != nil {
		f.control.close()
	}
}

// names lists what a control URL can name, for error texts.
func (f *Fleet) names() string {
	names := make([]string, len(f.servers))
	for i, s := range f.servers {
		names[i] = s.Name()
	}
	return strings.Join(names, ", ")
}
