package api

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/triage-lb/triage"
)

// guard stands in front of every route, and [explain] behind it. The admin address asks for no password, since only this machine can
// reach it; but this machine's browser runs other people's pages, and those can send requests here:
//
//   - a page whose own name is made to resolve to 127.0.0.1 (DNS rebinding) counts as this origin for the
//     browser. Its requests carry its name as Host: only our address and localhost are answered.
//   - any page can post a form or a "simple" request across origins. [http.CrossOriginProtection] refuses
//     what changes something; what only reads is answered without CORS headers, so that the page cannot see it.
//   - a browser asks first (CORS preflight) before it sends JSON across origins, so edits must be JSON: explain sees
//     to that, since it knows what an edit is.
type guard struct {
	unix  bool           // no browser can reach a unix socket, so there any Host is as good as another
	addr  netip.AddrPort // where the server listens
	cross *http.CrossOriginProtection
	next  http.Handler
}

func newGuard(at net.Addr, next http.Handler) *guard {
	g := &guard{cross: http.NewCrossOriginProtection(), next: next}
	if tcp, ok := at.(*net.TCPAddr); ok {
		a := tcp.AddrPort()
		g.addr = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	} else {
		g.unix = true
	}
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if p := g.refuse(r); p != nil {
		p.send(w)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	g.next.ServeHTTP(w, r)
}

// refuse returns why the request must not reach the routes, or nil.
func (g *guard) refuse(r *http.Request) *problem {
	if !g.knows(r.Host) {
		return newProblem(http.StatusMisdirectedRequest, triage.KindDenied,
			fmt.Sprintf("host %q is not this admin address", r.Host),
			fmt.Sprintf("ask for http://%s or http://localhost:%d", g.addr, g.addr.Port()))
	}
	if err := g.cross.Check(r); err != nil {
		return newProblem(http.StatusForbidden, triage.KindDenied,
			"an edit that a page of another site sends is refused",
			"use the command line, or a client that is not a browser")
	}
	return nil
}

// knows reports whether a Host header names this server. An address cannot be rebound, a name can, so
// localhost is the only name.
func (g *guard) knows(host string) bool {
	if g.unix {
		return true
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80" // what a client leaves out
	}
	if port != strconv.Itoa(int(g.addr.Port())) {
		return false
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return addr == g.addr.Addr() || addr == netip.IPv6Loopback() || addr == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json"
}

// explain answers requests that no route takes as problems, where the mux would answer in plain text, and so edits that
// are not JSON.
type explain struct{ *routes }

func (e explain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := e.Handler(r)
	switch {
	case pattern != "" && !isRead(r.Method) && !isJSON(r.Header.Get("Content-Type")):
		newProblem(http.StatusUnsupportedMediaType, triage.KindInvalid,
			fmt.Sprintf("an edit needs Content-Type: application/json, this one has %q", r.Header.Get("Content-Type")),
			"with curl: -H 'Content-Type: application/json'").send(w)
		return
	case pattern != "":
		e.routes.ServeHTTP(w, r)
		return
	}
	var answer statusOnly
	handler.ServeHTTP(&answer, r)
	p := newProblem(http.StatusNotFound, triage.KindNotFound, fmt.Sprintf("there is nothing at %s", r.URL.Path), pathOpenAPI+" lists what there is")
	if answer.status == http.StatusMethodNotAllowed {
		allow := answer.Header().Get("Allow")
		w.Header().Set("Allow", allow)
		p = newProblem(answer.status, triage.KindInvalid, fmt.Sprintf("%s does not take %s", r.URL.Path, r.Method), "it takes "+allow)
	}
	p.send(w)
}

// statusOnly is a ResponseWriter that keeps what a handler wanted to say in its head.
type statusOnly struct {
	header http.Header
	status int
}

// Header is the head, without being sent.
func (s *statusOnly) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}

// WriteHeader keeps the status.
func (s *statusOnly) WriteHeader(status int) { s.status = status }

// Write drops the body.
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
