package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/http1"
	"github.com/triage-lb/triage/internal/probe"
)

// DefaultForwardTimeout is how long an application may take for its whole answer. No load balancer's default is above it
// but that of NGINX Plus, which waits 60 s.
const DefaultForwardTimeout = 60 * time.Second

// MaxAnswer is how many bytes of an application's answer, head and body, are read, shown and returned.
const MaxAnswer = 1 << 20

// Forward says where requests are passed on to, and which. The zero value passes nothing on.
//
// What is passed on is what a health check could be: GET or HEAD of a path, without a body, from a sender that the table
// of dialects knows, or for the one path given. Anybody can imitate a health check, so the application behind is open to
// whoever reaches the server, for reading.
type Forward struct {
	To      netip.AddrPort // the application; not valid: requests are answered with Config.Status
	Path    string         // passed on whoever asks for it, with any query; "": only what a known sender asks for
	Remote  bool           // To may be another machine
	Timeout time.Duration  // for connect and answer together. Default: DefaultForwardTimeout
}

func (f Forward) validate() error {
	invalid := func(kind triage.Kind, hint, format string, args ...any) error {
		return &triage.Error{Kind: kind, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	forbidden := triage.AddressPolicy{}.Check(f.To)
	switch {
	case f.To == netip.AddrPort{}:
		return nil
	case f.To.Port() == 0:
		return invalid(triage.KindInvalid, "write 127.0.0.1:8000", "forward to %s: there is no port 0 to connect to", f.To)
	case f.Timeout < 0:
		return invalid(triage.KindInvalid, "", "timeout %v: must not be negative", f.Timeout)
	case f.Path != "" && (f.Path[0] != '/' || strings.ContainsAny(f.Path, " ?#")):
		return invalid(triage.KindInvalid, "write /health_check", "path %q: a path begins with / and has no query", f.Path)
	case !f.To.Addr().Unmap().IsLoopback() && !f.Remote:
		return invalid(triage.KindDenied, "--allow-remote permits it, and opens that machine to whoever reaches this one",
			"forward to %s: it is not on this machine's loopback", f.To)
	case forbidden != nil:
		return invalid(triage.KindDenied, "give the address of an application", "forward to %s", forbidden)
	}
	return nil
}

// loops reports whether what is passed on would come back in at a listener.
func (f Forward) loops(listener netip.AddrPort) bool {
	if !f.To.IsValid() || listener.Port() != f.To.Port() {
		return false
	}
	to := f.To.Addr().Unmap()
	return listener.Addr() == to || listener.Addr().IsUnspecified() && isOwn(to, listener.Addr())
}

// refuses says why a request is not passed on; "" if it is.
func (f Forward) refuses(r *Request, known bool) string {
	path, _, _ := strings.Cut(r.Target, "?")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return fmt.Sprintf("not passed on: the method is %s, and only GET and HEAD are", cut(r.Method))
	case !strings.HasPrefix(r.Target, "/"): // a whole URL would make a proxy behind us ask whomever it names
		return "not passed on: what is asked for is not a path"
	case r.BodyBytes > 0:
		return "not passed on: it has a body, and no health check has"
	case !known && f.Path == "":
		return "not passed on: it is not a health check of any load balancer that triage knows"
	case !known && path != f.Path:
		return fmt.Sprintf("not passed on: it is not a health check of any load balancer that triage knows, and not for %s", f.Path)
	}
	return ""
}

// forward passes a request on, judges and records the answer, and returns it. It reports whether the connection can carry
// another request.
func (c *conn) forward(ctx context.Context, r http1.Request, head []byte, rows []*dialect.Spec) (more bool) {
	f := c.server.cfg.Forward
	more = keepsAlive(r)
	if why := f.refuses(c.rec.Request, len(rows) > 0); why != "" {
		c.rec.Refused = why
		return c.answer(http.StatusForbidden, r, more) && more
	}
	a := f.ask(ctx, slices.Concat(c.intro, head), string(r.Method))
	c.rec.Forwarded = c.judged(a, head, rows)
	return c.hand(a, r) && more
}

// hand returns an application's answer to the sender, unchanged, and reports whether the connection can go on. Where there
// is none, it answers as a proxy does.
func (c *conn) hand(a *appAnswer, r http1.Request) (more bool) {
	switch {
	case a.stopped:
		return false
	case len(a.raw) == 0 && a.late:
		c.answer(http.StatusGatewayTimeout, r, false)
		return false
	case len(a.raw) == 0:
		c.answer(http.StatusBadGateway, r, false)
		return false
	case c.end == Reset || c.end == Stopped || c.end == Broken:
		return false
	}
	if c.write(a.raw) {
		c.rec.Answered = a.head.Status
		return a.whole && a.at == len(a.raw) && a.head.Persistent()
	}
	return false
}

// appAnswer is what an application did with a request that was passed on: bytes, and the events that a check's session
// would have seen.
type appAnswer struct {
	started time.Time
	took    time.Duration
	events  []probe.Event
	raw     []byte
	late    bool // the time was over before it was complete
	stopped bool // we stop

	method string // of the request: an answer to HEAD has no body
	at     int    // bytes of raw that have been understood
	looked int    // bytes of raw after at in which no head ends
	head   http1.Response
	body   http1.Body
	inBody bool
	whole  bool // it came to its end
}

// ask sends a request and receives its answer, on a connection of their own.
func (f Forward) ask(ctx context.Context, request []byte, method string) *appAnswer {
	a := &appAnswer{started: time.Now(), method: method}
	defer func() { a.took = time.Since(a.started) }()
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	app, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.To.String())
	if err != nil {
		a.failed(ctx, probe.ConnectFailed, err)
		return a
	}
	defer app.Close()
	stop := context.AfterFunc(ctx, func() { _ = app.Close() }) // ends reads and writes at once
	defer stop()
	a.note(probe.Event{Kind: probe.Connected, Local: addrPort(app.LocalAddr())})
	if _, err := app.Write(request); err != nil {
		a.failed(ctx, probe.Reset, err)
		return a
	}
	a.note(probe.Event{Kind: probe.Written})
	a.receive(ctx, app)
	return a
}

func (a *appAnswer) receive(ctx context.Context, app net.Conn) {
	buffer := make([]byte, readSize)
	for len(a.raw) < MaxAnswer {
		n, err := app.Read(buffer[:min(len(buffer), MaxAnswer-len(a.raw))])
		if n > 0 {
			a.raw = append(a.raw, buffer[:n]...)
			a.note(probe.Event{Kind: probe.Data, Data: slices.Clone(buffer[:n])})
			if !a.understand() {
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			a.whole = a.inBody && a.body.EOF() == nil
			a.note(probe.Event{Kind: probe.EOF})
			return
		case err != nil:
			a.failed(ctx, probe.Reset, err)
			return
		}
	}
}

// failed notes that the connection could not be made, or broke. If that was because the time is over, nothing has happened
// that a check would see; if it was because we stop, the check is ours to stop too.
func (a *appAnswer) failed(ctx context.Context, kind probe.EventKind, err error) {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		a.stopped = true
		a.note(probe.Event{Kind: probe.Canceled})
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		a.late = true
	default:
		a.note(probe.Event{Kind: kind, Err: err})
	}
}

func (a *appAnswer) note(e probe.Event) {
	e.At = time.Now()
	a.events = append(a.events, e)
}

// understand reads on in what came, and reports whether more of it is to come. What is not HTTP is not waited for.
func (a *appAnswer) understand() (more bool) {
	for !a.inBody {
		if !http1.Plausible(a.raw[a.at:]) {
			return false
		}
		n, looked := http1.HeadEnd(a.raw[a.at:], a.looked)
		if n == 0 {
			a.looked = looked
			return len(a.raw)-a.at < http1.DefaultMaxHead
		}
		head, n, err := http1.ParseResponse(slices.Clone(a.raw[a.at:a.at+n]), nil, http1.Limits{})
		if err != nil {
			return false
		}
		a.at, a.looked = a.at+n, 0
		if head.Status < 200 && head.Status != http.StatusSwitchingProtocols {
			continue // an interim answer
		}
		framing, err := head.Framing(a.method)
		a.head = head
		if err != nil {
			return false
		}
		a.body, a.inBody = http1.NewBody(framing), true
	}
	for a.at < len(a.raw) && !a.body.Done() {
		_, n, err := a.body.Next(a.raw[a.at:])
		a.at += n
		if err != nil {
			return false
		}
	}
	a.whole = a.body.Done()
	return !a.whole
}
