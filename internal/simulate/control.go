package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/triage-lb/triage"
)

// stopTime is how long requests at the control address may take to end.
const stopTime = time.Second

// control is the HTTP server at which a person or a script switches a fleet:
//
//	GET /                        all servers and illnesses
//	GET /{server}                one server, by name or address
//	PUT /{server}/{illness}      switch it
//
// Answers are text for a terminal, or JSON to a client that accepts
// application/json.
//
// The switch is a PUT without a body because it is typed by hand. It cannot be
// demanded that its Content-Type is JSON, as the admin address does; nothing is
// lost, since a browser sends a foreign page's PUT only after a preflight that
// is never answered, and CrossOriginProtection refuses it once more.
type control struct {
	addr     netip.AddrPort
	listener net.Listener
	http     *http.Server
	fleet    *Fleet
}

// listenControl opens the control address of f, which may not be reachable from
// other machines: it has no password.
func listenControl(addr netip.AddrPort, f *Fleet) (*control, error) {
	if !addr.Addr().Unmap().IsLoopback() {
		return nil, fmt.Errorf("control address %s: must be on loopback, such as %s, "+
			"since whoever reaches it can switch the servers", addr, DefaultControl)
	}
	l, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("control address: %w", err)
	}
	c := &control{addr: addrPort(l.Addr()), listener: l, fleet: f}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.list)
	mux.HandleFunc("GET /{server}", c.show)
	mux.HandleFunc("PUT /{server}/{illness}", c.set)
	c.http = &http.Server{
		Handler:           c.ownHostOnly(http.NewCrossOriginProtection().Handler(mux)),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		WriteTimeout:      sendTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
	}
	return c, nil
}

// run serves until ctx is done.
func (c *control) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- c.http.Serve(c.listener) }()
	select {
	case err := <-served:
		_ = c.http.Close()
		return fmt.Errorf("control address %s: %w", c.addr, err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := c.http.Shutdown(grace); err != nil {
		_ = c.http.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control address %s: %w", c.addr, err)
	}
	return nil
}

// close is for a control that never ran.
func (c *control) close() {
	_ = c.http.Close()
	_ = c.listener.Close()
}

// ownHostOnly refuses requests whose Host is neither localhost nor our address.
// A web page whose name has been rebound to 127.0.0.1 is same-origin for the
// browser; the name in Host is what gives it away. The port is not compared, so
// that a forwarded one works.
func (c *control) ownHostOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _ := hostName(r.Host)
		addr, _ := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && addr != c.addr.Addr() {
			c.fail(w, r, http.StatusForbidden, fmt.Errorf(
				"the control address does not serve host %q: ask localhost:%d", r.Host, c.addr.Port()))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// status is one server as the control address shows it. The field names are a
// contract; fields are only ever added.
type status struct {
	Name     string  `json:"name"`
	Address  string  `json:"address"`
	Illness  Illness `json:"illness"`
	Requests uint64  `json:"requests"`
}

func statusOf(s *Server) status {
	return status{s.Name(), s.Address().String(), s.Illness(), s.Requests()}
}

func (c *control) list(w http.ResponseWriter, r *http.Request) {
	answer := struct {
		Servers   []status      `json:"servers"`
		Illnesses []Description `json:"illnesses"`
	}{Illnesses: Illnesses()}
	for _, s := range c.fleet.servers {
		answer.Servers = append(answer.Servers, statusOf(s))
	}
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	var text strings.Builder
	writeTable(&text, answer.Servers...)
	fmt.Fprintf(&text, "\nSwitch with  curl -X PUT localhost:%d/%s/error500\n\n",
		c.addr.Port(), answer.Servers[len(answer.Servers)-1].Name)
	for _, d := range answer.Illnesses {
		fmt.Fprintf(&text, "%-15s %s\n%-15s plays: %s\n", d.Illness, d.Wire, "", d.Plays)
	}
	writeText(w, http.StatusOK, text.String())
}

func (c *control) show(w http.ResponseWriter, r *http.Request) {
	if s := c.find(w, r); s != nil {
		c.tell(w, r, s)
	}
}

func (c *control) set(w http.ResponseWriter, r *http.Request) {
	s := c.find(w, r)
	if s == nil {
		return
	}
	illness, err := ParseIllness(r.PathValue("illness"))
	if err != nil {
		c.fail(w, r, http.StatusBadRequest, err)
		return
	}
	if err := s.SetIllness(illness); err != nil {
		c.fail(w, r, http.StatusConflict, err)
		return
	}
	c.tell(w, r, s)
}

// find returns the server that the URL names; if there is none it has answered.
func (c *control) find(w http.ResponseWriter, r *http.Request) *Server {
	name := r.PathValue("server")
	s := c.fleet.Server(name)
	if s == nil {
		c.fail(w, r, http.StatusNotFound,
			fmt.Errorf("no server %q: there are %s", name, c.fleet.names()))
	}
	return s
}

func (c *control) tell(w http.ResponseWriter, r *http.Request, s *Server) {
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, statusOf(s))
		return
	}
	var text strings.Builder
	writeTable(&text, statusOf(s))
	writeText(w, http.StatusOK, text.String())
}

func (c *control) fail(w http.ResponseWriter, r *http.Request, code int, err error) {
	hint := triage.HintOf(err)
	if wantsJSON(r) {
		refusal := map[string]string{"error": err.Error()}
		if hint != "" {
			refusal["hint"] = hint
		}
		writeJSON(w, code, refusal)
		return
	}
	text := "triage: " + err.Error() + "\n"
	if hint != "" {
		text += "hint: " + hint + "\n"
	}
	writeText(w, code, text)
}

// writeTable aligns servers; the name is left out where it is the address.
func writeTable(w io.Writer, servers ...status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range servers {
		name := s.Name
		if name == s.Address {
			name = ""
		}
		fmt.Fprintf(table, "%s\t%s\t%s\trequests: %d\n", s.Address, name, s.Illness, s.Requests)
	}
	_ = table.Flush()
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}

// writeJSON and writeText drop the error of writing: the client is gone, and
// nobody else waits for this answer.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", plain)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
