package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/triage-lb/triage"
)

// binding is a bound listener with the server behind it.
type binding struct {
	name    triage.ListenerName // guarded by Proxy.mu
	address string              // as in the config: what makes two listeners the same
	socket  net.Listener
	server  *http.Server
	forward atomic.Pointer[triage.GroupName]
}

// Prepare binds the addresses of those listeners that are new, and changes nothing yet. commit makes the
// listeners the ones that are served: new ones accept (once [Proxy.Run] does), a changed group holds from the
// next request on, those that are not in the list stop accepting and finish what runs. A listener whose
// address stays keeps its socket and its connections, whatever else about it changes. abort closes what was
// bound. Exactly one of the two must be called, once, before the next Prepare; neither blocks. A listener that
// has no name is not named in errors.
//
// Until commit requests go where they went. For none of them to fail, groups that only the old listeners
// forward to must stay in the table, as routed, until commit has returned.
//
// An error is a [triage.Error] for the person who wrote the address; nothing is bound then.
func (p *Proxy) Prepare(listeners []triage.Listener) (commit, abort func(), err error) {
	p.mu.Lock()
	bound := make(map[string]*binding, len(p.bindings))
	for _, b := range p.bindings {
		bound[b.address] = b
	}
	p.mu.Unlock()

	var fresh []*binding
	abort = func() {
		for _, b := range fresh {
			b.socket.Close()
		}
	}
	wanted := make([]*binding, len(listeners))
	for i, l := range listeners {
		b := bound[l.Listen]
		if b == nil {
			if b, err = p.bind(l); err != nil {
				abort()
				return nil, nil, ownFault(err, l, bound)
			}
			fresh = append(fresh, b)
		}
		wanted[i] = b
	}
	return func() { p.commit(listeners, wanted) }, abort, nil
}

// Addr returns where the listener is bound, or nil if there is no such listener.
func (p *Proxy) Addr(name triage.ListenerName) net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bindings {
		if b.name == name {
			return b.socket.Addr()
		}
	}
	return nil
}

func (p *Proxy) commit(listeners []triage.Listener, wanted []*binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == stopping {
		for _, b := range wanted {
			b.socket.Close()
		}
		return
	}
	removed := make(map[*binding]bool, len(p.bindings))
	for _, b := range p.bindings {
		removed[b] = true
	}
	for i, b := range wanted {
		l := listeners[i]
		b.name = l.Name
		b.forward.Store(&l.Default.Forward)
		if !removed[b] && p.phase == serving {
			p.serve(b)
		}
		delete(removed, b)
	}
	p.bindings = wanted
	for b := range removed {
		p.work.Go(func() { p.drain(context.Background(), b) })
	}
}

// answers reports whether the other end of a connection is one of our own listeners.
func (p *Proxy) answers(nc net.Conn) bool {
	to, from := addrPort(nc.RemoteAddr()), addrPort(nc.LocalAddr())
	own := to.Addr().IsLoopback() || to.Addr() == from.Addr() // an address of this machine
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bindings {
		at := addrPort(b.socket.Addr())
		sameFamily := network(b.address) == "tcp" || at.Addr().Is4() == to.Addr().Is4()
		if at == to || at.Port() == to.Port() && at.Addr().IsUnspecified() && sameFamily && own {
			return true
		}
	}
	return false
}

// addrPort is the address of a TCP socket, IPv4 in its own form.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, _ := a.(*net.TCPAddr)
	at := tcp.AddrPort() // of nil: the zero one
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// bind binds the listener's address. Nobody accepts yet.
func (p *Proxy) bind(l triage.Listener) (*binding, error) {
	socket, err := net.Listen(network(l.Listen), l.Listen)
	if err != nil {
		return nil, explainBind(l, err)
	}
	b := &binding{name: l.Name, address: l.Listen, socket: socket}
	b.forward.Store(&l.Default.Forward)
	handler := p.handler(func() triage.GroupName { return *b.forward.Load() })
	if p.config.Wrap != nil {
		handler = p.config.Wrap(handler)
	}
	handler = closeAfterChunks(handler)
	b.server = &http.Server{
		Handler:                      handler,
		ReadHeaderTimeout:            headTimeout,
		IdleTimeout:                  p.config.ClientIdle,
		WriteTimeout:                 p.config.ClientIdle, // for what Wrap answers; forward lifts it
		MaxHeaderBytes:               maxHead,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the target's to answer
		ErrorLog:                     slog.NewLogLogger(p.config.Log.Handler(), slog.LevelWarn),
		Protocols:                    new(http.Protocols),
		ConnState:                    p.count,
	}
	b.server.Protocols.SetHTTP1(true)
	return b, nil
}

// closeAfterChunks closes a client's connection after a request in chunks. One that had a Content-Length as well must
// be its connection's last (RFC 9112, 6.1): whoever sent it may have meant that length, and then what we would read
// next is not the request that it meant. net/http does not tell such requests from others in chunks, which are
// few enough to bear it.
func closeAfterChunks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, in *http.Request) {
		if len(in.TransferEncoding) > 0 {
			rw.Header().Set("Connection", "close")
		}
		next.ServeHTTP(rw, in)
	})
}

// network keeps an IPv4 wildcard from being bound for IPv6 too, so that "0.0.0.0:80" and "[::]:80" are two
// listeners. ":80" is both.
func network(address string) string {
	host, _, _ := net.SplitHostPort(address)
	switch addr, err := netip.ParseAddr(host); {
	case err != nil:
		return "tcp"
	case addr.Is4():
		return "tcp4"
	}
	return "tcp6"
}

// serve begins to accept. The caller holds mu.
func (p *Proxy) serve(b *binding) {
	p.work.Go(func() {
		if err := b.server.Serve(b.socket); !errors.Is(err, http.ErrServerClosed) {
			select {
			case p.failed <- fmt.Errorf("accept on %s: %w", b.address, err):
			default:
			}
		}
	})
}

// count keeps account of client connections. StateNew comes from the accept loop, before the connection's
// goroutine begins, and the last state after its handler ended: so whoever waits for work waits for handlers.
func (p *Proxy) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		p.work.Add(1)
	case http.StateClosed, http.StateHijacked:
		p.work.Done()
	}
}

// drain stops accepting and waits for running requests, for ShutdownTimeout at most.
func (p *Proxy) drain(ctx context.Context, b *binding) {
	ctx, cancel := context.WithTimeout(ctx, p.config.ShutdownTimeout)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		b.server.Close()
	}
	b.socket.Close() // which Shutdown only knows if somebody accepted on it
}

// explainBind turns an error of bind(2) into one that says what to do.
func explainBind(l triage.Listener, err error) error {
	host, port, _ := net.SplitHostPort(l.Listen)
	cannot := "cannot listen on " + l.Listen + ": "
	if l.Name != "" {
		cannot = fmt.Sprintf("listener %q %s", l.Name, cannot)
	}
	e := &triage.Error{Kind: triage.KindUnavailable, Message: cannot + bare(err).Error(), Err: err}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Kind = triage.KindConflict // waiting changes nothing: somebody has to decide
		e.Message = cannot + "the port is in use"
		e.Hint = fmt.Sprintf("see who has it with: ss -ltnp 'sport = :%s'", port)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Kind = triage.KindDenied
		e.Message = cannot + "no permission for port " + port
		e.Hint = "allow it with: sudo setcap cap_net_bind_service=+ep $(command -v triage), or use a port above 1023"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Kind = triage.KindInvalid
		e.Message = cannot + "this machine does not have the address " + host
		e.Hint = fmt.Sprintf("see which it has with: ip -brief address; or listen on every address with \":%s\"", port)
	}
	return e
}

// ownFault corrects the advice where the port is taken by a listener of ours: one that the new config replaces
// by a listener that overlaps it, as 127.0.0.1:80 overlaps :80.
func ownFault(err error, l triage.Listener, bound map[string]*binding) error {
	e, ok := errors.AsType[*triage.Error](err)
	if !ok || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Listen)
	for address := range bound {
		if _, p, _ := net.SplitHostPort(address); p == port {
			e.Hint = fmt.Sprintf("triage itself listens on %s: remove that listener and reload, then add the new one", address)
		}
	}
	return err
}

// bare is the innermost text of an error of package net, without the address that we print ourselves.
func bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
