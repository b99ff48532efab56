package probe

import (
	"cmp"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Session is one check of one address, and then the next. Make it with [Plan.Start], or use a zero Session with
// [Session.Begin].
type Session struct {
	plan    *Plan
	x       triage.Exchange
	stage   stage
	open    bool      // a connection is kept from the check before
	mark    time.Time // when the current phase began
	tls     *tlsStream
	bare    string // why the handshake is tried again without a server name; "" before
	answer  answer
	request []byte
	stream  *stream  // for the answer, once there has been HTTP/2
	journey *journey // nil until the check has met a redirect that the dialect may follow
}

// stage is where a session stands: it decides what a passed deadline means.
type stage uint8

const (
	connecting  stage = iota
	introducing       // a tcp check's PROXY header is on its way, and nothing follows
	handshaking
	finishing // the handshake's last message is on its way, and nothing follows
	asking
	reading // the answer's head
	readingBody
	done
)

// Start begins a check and returns its session and first action. The deadline that the driver keeps is now
// plus the plan's timeout. The exchange is complete once an action is Done.
func (p *Plan) Start(key triage.Key, now time.Time) (*Session, Action) {
	s := &Session{}
	return s, s.Begin(p, key, now)
}

// Begin begins a check with the memory of the one before, which must be over, and whose exchange becomes void. If the
// connection was kept, key and plan must be those of the check before, and the first action is to write; call
// [Session.Stop] first if it has been lost.
func (s *Session) Begin(p *Plan, key triage.Key, now time.Time) Action {
	x := &s.x
	*x = triage.Exchange{} // not a literal with fields: that would be made beside it and copied, for each check
	x.Key, x.Address, x.Dialect = key, p.address(key), p.Dialect.Name
	x.Started, x.Timing, x.Reused = now, triage.NoTiming(), s.open
	s.plan, s.mark, s.journey, s.bare = p, now, nil, ""
	s.answer.reset()
	if s.open {
		s.open = false
		if s.tls != nil {
			x.TLS = s.tls.facts
		}
		return s.ask(0, now)
	}
	s.stage = connecting
	return Action{Kind: Dial}
}

// Exchange returns what the check saw. It is complete once an action was Done, and lent until the next Begin.
func (s *Session) Exchange() *triage.Exchange { return &s.x }

// Handle takes one event and returns what to do next. After Done comes Begin or nothing.
func (s *Session) Handle(e Event) Action {
	switch e.Kind {
	case DeadlinePassed:
		o, detail := s.timeout()
		return s.verdict(o, detail, e.At)
	case Late:
		return s.verdict(triage.CheckerLate, "", e.At)
	case Canceled:
		return s.verdict(triage.Canceled, "", e.At)
	case ConnectFailed:
		o, detail := s.unconnected(e.Err)
		return s.verdict(o, detail, e.At)
	case Connected:
		return s.connected(e)
	}
	if s.tls != nil {
		return s.encrypted(e)
	}
	return s.plain(e)
}

// Stop says that the connection is no more, and frees what the session holds for it. A check that is under way gets no
// verdict. It may be called at any time.
func (s *Session) Stop() {
	s.open = false
	if s.tls != nil {
		s.tls.stop()
		s.tls = nil
	}
}

// Rest lets go of what the check before has left, when nobody needs its exchange any more: a session may wait for its next
// check for long. A connection that is kept stays.
func (s *Session) Rest() {
	s.answer.reset()
	if s.stream != nil {
		s.stream.call.Rest() // which still holds what came, if it was not the whole answer
	}
	s.x, s.journey = triage.Exchange{}, nil
	if s.tls == nil {
		s.plan = nil
	}
}

// unconnected names the outcome of a connect that did not succeed. That the source address cannot be used says nothing about
// the target.
func (s *Session) unconnected(err error) (triage.Outcome, string) {
	o, detail := classifyConnect(err)
	source, to := s.plan.Source.Unmap(), s.x.Address.Addr().Unmap()
	switch {
	case !source.IsValid() || o == triage.AddressForbidden:
	case source.Is4() != to.Is4(): // a name may have addresses of both sorts
		return triage.OutOfResources, fmt.Sprintf("%s cannot be asked from the source address %s: one is an IPv4 address, the other is not", to, source)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		detail += fmt.Sprintf(": is the source address %s one of this machine?", source)
	}
	return o, detail
}

func (s *Session) connected(e Event) Action {
	s.x.Local, s.x.Proxy = e.Local, s.plan.Proxy
	s.enter(triage.PhaseConnect, e.At)
	s.request = s.plan.Dialect.AppendProxy(s.request[:0], s.plan.Proxy, s.x.Local, s.x.Address)
	switch protocol := s.protocol(); {
	case protocol == triage.TCP && len(s.request) > 0:
		s.stage = introducing
		return Action{Kind: Write, Data: s.request}
	case protocol == triage.TCP:
		return s.verdict(triage.Connected, "", e.At)
	case protocol.Encrypted():
		s.stage = handshaking
		s.tls = newTLSStream(s.tlsConfig(e.At), s.x.Address)
		s.tls.conn.out = append(s.tls.conn.out, s.request...)
		return s.encrypted(e)
	}
	return s.ask(len(s.request), e.At)
}

// ask writes the request, behind so many bytes that are in its place already.
func (s *Session) ask(behind int, now time.Time) Action {
	s.stage = asking
	var q dialect.Question
	s.plan.question(&q, &s.x)
	q.Protocol = s.protocol()
	spec := s.plan.Dialect
	if s.journey != nil {
		spec = s.journey.spec
		s.journey.question(&q)
	}
	if q.Protocol.IsHTTP2() || len(s.plan.tlsProtocols()) > 0 && s.tls != nil && s.tls.agreedHTTP2() {
		if s.stream == nil {
			s.stream = &stream{}
		}
		s.answer.stream = s.stream
		s.request, s.x.Sent = s.stream.question(spec, q, s.request[:behind])
	} else {
		s.request = spec.AppendRequest(s.request[:behind], q)
		s.x.Sent = s.request[behind:]
	}
	if s.tls == nil {
		return Action{Kind: Write, Data: s.request}
	}
	out, err := s.tls.encrypt(s.request)
	if err != nil {
		return s.tlsEnded(err, now)
	}
	return Action{Kind: Write, Data: out}
}

// protocol is how the target is asked: as the plan says, until a redirect says otherwise.
func (s *Session) protocol() triage.Protocol {
	if s.journey == nil {
		return s.plan.Protocol
	}
	encrypted, http2 := s.journey.url.Scheme == "https", s.plan.Protocol.IsHTTP2()
	switch {
	case http2 && encrypted:
		return triage.H2
	case http2:
		return triage.H2C
	case encrypted:
		return triage.HTTPS
	}
	return triage.HTTP
}

// plain handles what happens on the connection, or inside TLS, once the request may be sent.
func (s *Session) plain(e Event) Action {
	switch {
	case s.stage == introducing && e.Kind == Written:
		return s.verdict(triage.Connected, "", e.At)
	case s.stage == introducing && e.Kind == Data:
		return Action{Kind: Wait} // a server that speaks first
	}
	switch e.Kind {
	case Written:
		s.asked(e.At)
		return Action{Kind: Wait}
	case Data:
		return s.data(e)
	case EOF:
		return s.ended("closed", nil, e.At)
	}
	return s.ended("reset", e.Err, e.At)
}

// asked notes that the request is with the kernel.
func (s *Session) asked(at time.Time) {
	if s.stage == asking {
		s.stage, s.mark = reading, at
	}
}

// ended gives the verdict when the connection is over. A server may answer and reset before it has read the
// whole request; what came counts.
func (s *Session) ended(how string, err error, at time.Time) Action {
	if s.x.Reused && s.answer.empty() {
		return s.again(at)
	}
	o, detail := s.answer.end(s.plan, how)
	if o.Verdict() != triage.Pass && err != nil && resourceFault(err) {
		o, detail = triage.OutOfResources, err.Error()
	}
	return s.verdict(o, detail, at)
}

// again asks on a new connection: where a redirect leads, or because the kept one died before the first byte of an
// answer. That is no fault of the target: it may end a connection that is idle whenever it likes (RFC 9112 section 9.5).
func (s *Session) again(at time.Time) Action {
	s.Stop()
	s.answer.reset()
	s.x.Reused, s.x.Timing, s.x.TLS = false, triage.NoTiming(), nil
	s.stage, s.mark = connecting, at
	return Action{Kind: Dial}
}

func (s *Session) data(e Event) Action {
	began := s.answer.headDone
	o, detail, decided := s.answer.read(s.plan, e.Data)
	// In HTTP/2 a server speaks before it is asked: what counts there is the answer's own first frame.
	if s.x.Timing[triage.PhaseFirstByte] < 0 && (s.answer.stream == nil || s.answer.headDone) {
		s.enter(triage.PhaseFirstByte, e.At)
	}
	if s.x.Reused && s.answer.headDone && s.answer.status == 408 {
		return s.again(e.At) // the server gave up waiting as our question was on its way (RFC 9110 section 15.5.9)
	}
	if s.answer.headDone && !began && s.plan.follows() {
		if a, moved := s.redirect(e.At); moved {
			return a
		}
	}
	if decided {
		return s.verdict(o, detail, e.At)
	}
	s.stage = reading
	if s.answer.headDone {
		s.stage = readingBody
	}
	if out := s.answer.reply(); len(out) > 0 {
		return Action{Kind: Write, Data: out}
	}
	return Action{Kind: Wait}
}

// enter notes that a phase ended at this moment and the next one begins.
func (s *Session) enter(p triage.Phase, at time.Time) {
	s.x.Timing[p] = at.Sub(s.mark)
	s.mark = at
}

// timeout says what a passed deadline means at the stage that the check has reached.
func (s *Session) timeout() (triage.Outcome, string) {
	limit := fmt.Sprintf("the limit is %s", s.plan.Timeout)
	switch s.stage {
	case connecting:
		return triage.ConnectTimeout, limit
	case handshaking:
		return triage.TLSTimeout, limit
	case finishing:
		if s.x.Outcome != triage.NotChecked { // it is decided, and our alert is on its way
			return s.x.Outcome, s.x.Detail
		}
		return triage.TLSTimeout, limit
	case readingBody:
		// Where the head has decided already, the rest would have been evidence.
		if o, detail := s.answer.judge(s.plan, triage.BodyTimeout, limit); o != triage.CodeMismatch {
			return o, detail
		}
		return triage.CodeMismatch, ""
	}
	return triage.ResponseTimeout, limit
}

// verdict ends the check. The connection stays only after a pass: whoever failed is asked on a new one, so that what is
// wrong with a single connection is one failure and not two.
func (s *Session) verdict(o triage.Outcome, detail string, at time.Time) Action {
	if s.answer.headDone {
		s.enter(triage.PhaseBody, at)
	}
	if o == triage.Matched && s.plan.expect != nil {
		o, detail = s.plan.expect.judge(&s.answer, &s.x, at)
	}
	s.stage = done
	if s.journey != nil {
		detail = cmp.Or(detail, s.journey.stopped)
	}
	detail = cmp.Or(detail, s.bare)
	s.x.Outcome, s.x.Detail = o, detail
	s.x.Took = at.Sub(s.x.Started)
	s.answer.show(&s.x, s.plan.KeepBody)
	if s.plan.Reuse && o == triage.Matched && s.answer.persistent() && len(s.x.Redirects) == 0 {
		s.open = true
		return Action{Kind: Done, Close: s.plan.Dialect.Close, Keep: true}
	}
	s.Stop()
	return Action{Kind: Done, Close: s.closing()}
}

// closing is how the connection ends. A dialect's abort is for after a complete answer, when both sides are done
// with the connection; anywhere else it would only put noise into the target's log.
func (s *Session) closing() dialect.Close {
	if s.answer.complete {
		return s.plan.Dialect.Close
	}
	return dialect.CloseFIN
}
