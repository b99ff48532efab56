package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/attempt"
	"github.com/triage-lb/triage/internal/balance"
)

// exchange is one client's request on its way through. It is owned by the handler's goroutine.
type exchange struct {
	proxy   *Proxy
	route   func() triage.GroupName // where requests go at this moment
	group   triage.GroupName
	rw      http.ResponseWriter
	control *http.ResponseController
	in      *http.Request
	target  string // of the request line
	header  http.Header
	host    string
	upgrade string // the protocol that the client may switch to
	body    *body
	watch   watch
	idle    time.Duration  // the group's IdleTimeout, once an answer is there
	tried   *balance.Entry // who the newest try that failed was sent to; nil: there was none
	err     error          // what that try failed with

	writing    atomic.Bool // somebody may be writing to the client
	clientSlow bool        // what the watch cut off was waiting for the client; read after watch.stop

	interim sync.Mutex // guards what follows: 1xx answers come on a goroutine of the transport
	passing bool       // 1xx answers may be written: the handler's goroutine waits
}

// handler returns the handler that forwards each request to the group that route gives for it.
func (p *Proxy) handler(route func() triage.GroupName) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, in *http.Request) { p.forward(rw, in, route) })
}

// forward answers the request with the answer of one of the group's targets, or with our own.
func (p *Proxy) forward(rw http.ResponseWriter, in *http.Request, route func() triage.GroupName) {
	x := &exchange{proxy: p, route: route, group: route(), rw: rw, in: in, control: http.NewResponseController(rw)}
	_ = x.control.SetWriteDeadline(time.Time{}) // from here on the watch cuts what does not move
	x.body = newBody(in, p.trailersOf(in), x.control, &x.watch)
	var err error
	if x.target, err = originForm(in); err == nil {
		err = setTarget(new(url.URL), x.target)
	}
	if err != nil {
		x.log("refused", attempt.BadRequest, nil, err)
		x.answerOurselves(attempt.BadRequest.Info().Status, err.Error())
		return
	}
	x.upgrade = upgradeWanted(in)
	f := p.forwarding(in)
	x.host = f.Host
	x.header = p.headerToTarget(in, f, x.upgrade)
	x.run()
}

// run does what attempt wants until the client has an answer.
func (x *exchange) run() {
	request, act := x.begin()
	for act.Do == attempt.Send {
		answer, c, failure := x.try(act)
		switch {
		case failure == nil:
			act = request.Head(answer.StatusCode)
			defer act.Entry.Done()
			x.pass(answer, c)
			return
		case failure.Reason == attempt.ClientGone:
			request.ClientGone()
			x.body.finish()
			panic(http.ErrAbortHandler) // nobody is there to read an answer
		}
		if failure.Suspicious() {
			x.suspect(act.Entry)
		}
		act = request.Failed(*failure)
	}
	if act.Status >= 500 { // else it is the client's fault
		x.warn("requests fail", act.Reason, x.tried, x.err, slog.Int("answered", act.Status))
	}
	x.answerOurselves(act.Status, x.proxy.config.Sentence(act.Reason, x.group))
}

// begin picks the first target. If the group has nobody because a reload has just replaced it, the group that
// replaced it is asked.
func (x *exchange) begin() (*attempt.Request, attempt.Action) {
	for {
		request := attempt.New(x.proxy.config.Table, x.group, x.in.Method)
		act := request.Start()
		now := x.route()
		if act.Do != attempt.Fail || now == x.group {
			return request, act
		}
		x.group = now
	}
}

// try sends the request and waits for the head of an answer. With an answer it gives the connection that the
// answer's body is still to come on, and the watch runs.
func (x *exchange) try(act attempt.Action) (*http.Response, *conn, *attempt.Failure) {
	ctx := x.in.Context()
	c, reason, err := x.proxy.upstream(act.Entry).take(ctx, act.Pool, act.Fresh)
	if err != nil {
		if ctx.Err() != nil {
			reason = attempt.ClientGone
		}
		x.tried, x.err = act.Entry, err
		x.log("not connected", reason, act.Entry, err)
		return nil, nil, &attempt.Failure{Reason: reason}
	}
	sent, received, read := c.wire.sent.Load(), c.wire.received.Load(), x.body.bytesRead()

	x.attend(act.Pool.Roster(), c)
	x.letInterimPass(true)
	answer, err := c.http.RoundTrip(x.request(c))
	x.letInterimPass(false)
	if err == nil {
		err = x.check(answer)
	}
	if err == nil {
		x.writing.Store(true)
		x.idle = act.Pool.Roster().IdleTimeout
		x.watch.next(x.idle)
		return answer, c, nil
	}
	expired, whole := x.watch.stop(), c.http.Err() == nil
	c.close()
	failure := &attempt.Failure{
		Kept:     c.kept,
		Sent:     c.wire.sent.Load() - sent,
		BodyRead: x.body.bytesRead() - read,
	}
	switch {
	case errors.Is(err, errBadSwitch): // the client may still be sending, so blame would wait
		failure.Reason = attempt.BadAnswer
	case whole && !expired && x.in.Context().Err() == nil: // the transport refuses what the client sent
		failure.Reason = attempt.BadRequest
	default:
		failure.Reason = x.blame(expired, c.wire.received.Load() > received)
	}
	x.tried, x.err = act.Entry, err
	x.log("no answer", failure.Reason, act.Entry, err)
	return nil, nil, failure
}

// attend starts the watch for a try: while the request is sent, something has to move; once it is sent, the
// head of the answer has a time of its own.
func (x *exchange) attend(group *triage.Roster, c *conn) {
	limit := group.ResponseTimeout
	if x.body != nil && !x.body.ended.Load() {
		limit = group.IdleTimeout
		x.body.onEnd = func() {
			if !x.writing.Load() { // else the answer has overtaken the request
				x.watch.next(group.ResponseTimeout)
			}
		}
	}
	x.watch.start(limit, func() {
		x.clientSlow = x.body != nil && x.body.waiting.Load()
		c.close()
		x.body.interrupt()
		if x.writing.Load() {
			_ = x.control.SetWriteDeadline(time.Unix(1, 0))
		}
	})
}

// request writes the request for the connection's target.
func (x *exchange) request(c *conn) *http.Request {
	u := &url.URL{Scheme: "http", Host: c.upstream.entry.Key().Address.String()}
	_ = setTarget(u, x.target) // forward has seen that it can be done
	out := &http.Request{
		Method:     x.in.Method,
		URL:        u,
		Host:       x.host,
		Header:     x.header,
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	if x.body != nil {
		out.Body, out.ContentLength, out.Trailer = x.body, x.in.ContentLength, x.body.trailer
		if out.ContentLength < 0 {
			out.TransferEncoding = []string{"chunked"}
		}
	} else if _, sent := x.in.Header["Content-Length"]; sent {
		out.Body, out.TransferEncoding = http.NoBody, []string{"identity"} // keeps "Content-Length: 0" of a DELETE
	}
	return out.WithContext(httptrace.WithClientTrace(x.in.Context(), &httptrace.ClientTrace{Got1xxResponse: x.passInterim}))
}

func (x *exchange) letInterimPass(yes bool) {
	x.interim.Lock()
	defer x.interim.Unlock()
	x.passing = yes
}

// passInterim passes a 1xx answer on. It is called by a goroutine of the transport while try waits. A "100
// Continue" is left to net/http's server, which writes it when the transport begins to read the body.
func (x *exchange) passInterim(status int, header textproto.MIMEHeader) error {
	x.interim.Lock()
	defer x.interim.Unlock()
	if !x.passing || status == http.StatusContinue || !x.in.ProtoAtLeast(1, 1) {
		return nil
	}
	h := x.rw.Header()
	before := h.Clone() // for the answer
	delete(h, "Connection")
	headerToClient(h, http.Header(header))
	delete(h, "Content-Length") // RFC 9110, 15.2: these answers have no content
	x.writing.Store(true)
	x.rw.WriteHeader(status)
	x.writing.Store(false)
	clear(h)
	for name, values := range before {
		h[name] = values
	}
	return nil
}

// check refuses answers that cannot be passed on.
func (x *exchange) check(answer *http.Response) error {
	if answer.StatusCode >= 200 {
		return nil
	}
	if answer.StatusCode == http.StatusSwitchingProtocols && x.upgrade != "" && hasToken(answer.Header["Upgrade"], x.upgrade) {
		return nil
	}
	return errBadSwitch
}

var errBadSwitch = errors.New("the target switched to a protocol that nobody asked for")

// blame finds the reason why RoundTrip failed. answered says that bytes of an answer came. It waits for a Read of
// the client's content, so the connection, or what the client sent, must have broken.
func (x *exchange) blame(expired, answered bool) attempt.Reason {
	switch { // a failed read from the client also ends its context, so that comes late
	case expired && x.clientSlow:
		return attempt.BodyTimeout
	case expired:
		return attempt.ResponseTimeout
	case x.body.failure() != nil:
		return attempt.BadRequest
	case x.in.Context().Err() != nil:
		return attempt.ClientGone
	case answered:
		return attempt.BadAnswer
	}
	return attempt.ClosedBeforeAnswer
}

// answerOurselves answers in place of a target.
func (x *exchange) answerOurselves(status int, sentence string) {
	_ = x.control.SetWriteDeadline(time.Now().Add(x.proxy.config.ClientIdle)) // nothing watches this
	h := x.rw.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Del("Content-Length")
	if !x.body.finish() {
		h.Set("Connection", "close")
	}
	x.rw.WriteHeader(status)
	if x.in.Method != http.MethodHead {
		_, _ = x.rw.Write([]byte("triage: " + sentence + "\n"))
	}
}

func (x *exchange) suspect(e *balance.Entry) {
	if x.proxy.config.Suspect != nil {
		x.proxy.config.Suspect(e.Key())
	}
}

func (x *exchange) log(what string, why attempt.Reason, e *balance.Entry, err error) {
	log := x.proxy.config.Log
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	log.Debug(what, x.details(why, e, err)...)
}

// warn says that clients of the group suffer, though not for each of them. more comes after the details.
func (x *exchange) warn(what string, why attempt.Reason, e *balance.Entry, err error, more ...any) {
	x.proxy.audit.Note(slog.LevelWarn, what, string(x.group)+" "+why.String(), func() []any {
		return append(x.details(why, e, err), more...)
	})
}

// details are what the log says about a failure; e and err are nil if no target was tried.
func (x *exchange) details(why attempt.Reason, e *balance.Entry, err error) []any {
	details := []any{slog.String("group", string(x.group)), slog.String("reason", why.String())}
	if e != nil {
		details = append(details, slog.String("target", e.Key().String()))
	}
	if err != nil {
		details = append(details, slog.String("error", Clip(err.Error())))
	}
	return details
}
