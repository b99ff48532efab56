package probe

import (
	"fmt"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// Session is one check of one address. Make it with [Plan.Start].
type Session struct {
	plan    *Plan
	x       *triage.Exchange
	stage   stage
	mark    time.Time // when the current phase began
	tls     *tlsStream
	answer  answer
	request []byte
}

// stage is where a session stands: it decides what a passed deadline means.
type stage uint8

const (
	connecting stage = iota
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
	s := &Session{
		plan: p,
		x: &triage.Exchange{
			Key:     key,
			Address: p.address(key),
			Dialect: p.Dialect.Name,
			Started: now,
			Timing:  triage.NoTiming(),
		},
		mark: now,
	}
	return s, Action{Kind: Dial}
}

// Exchange returns what the check saw. It is complete, and read-only, once an action was Done.
func (s *Session) Exchange() *triage.Exchange { return s.x }

// Handle takes one event and returns what to do next. After Done it must not be called again.
func (s *Session) Handle(e Event) Action {
	switch e.Kind {
	case DeadlinePassed:
		o := s.timeout()
		return s.verdict(o, s.limit(o), e.At)
	case Late:
		return s.verdict(triage.CheckerLate, "", e.At)
	case Canceled:
		return s.verdict(triage.Canceled, "", e.At)
	case ConnectFailed:
		o, detail := classifyConnect(e.Err)
		return s.verdict(o, detail, e.At)
	case Connected:
		return s.connected(e)
	}
	if s.tls != nil {
		return s.encrypted(e)
	}
	return s.plain(e)
}

// Stop ends a session that will get no verdict, and frees what it holds. It may be called after Done.
func (s *Session) Stop() {
	if s.tls != nil {
		s.tls.stop()
	}
}

func (s *Session) connected(e Event) Action {
	s.x.Local = e.Local
	s.enter(triage.PhaseConnect, e.At)
	switch {
	case s.plan.Protocol == triage.TCP:
		return s.verdict(triage.Connected, "", e.At)
	case s.plan.Protocol.Encrypted():
		s.stage = handshaking
		s.tls = newTLSStream(s.plan.tls)
		return s.encrypted(e)
	}
	return s.ask()
}

// ask writes the request.
func (s *Session) ask() Action {
	s.stage = asking
	s.request = s.plan.Dialect.AppendRequest(nil, dialect.Question{
		Protocol: s.plan.Protocol,
		Address:  s.x.Address,
		Path:     s.plan.Path,
		Host:     s.plan.Host,
		Extra:    s.plan.Extra,
	})
	s.x.Sent = s.request
	return Action{Kind: Write, Data: s.request}
}

// plain handles what happens on the connection, or inside TLS, once the request may be sent.
func (s *Session) plain(e Event) Action {
	switch e.Kind {
	case Written:
		if s.stage == asking {
			s.stage, s.mark = reading, e.At
		}
		return Action{Kind: Wait}
	case Data:
		return s.data(e)
	case EOF:
		o, detail := s.answer.end(s.plan, "closed")
		return s.verdict(o, detail, e.At)
	default: // Reset
		// A server may answer and reset before it has read the whole request; what came counts.
		o, detail := s.answer.end(s.plan, "reset")
		if o.Verdict() != triage.Pass && resourceFault(e.Err) {
			o, detail = triage.OutOfResources, e.Err.Error()
		}
		return s.verdict(o, detail, e.At)
	}
}

func (s *Session) data(e Event) Action {
	if s.x.Timing[triage.PhaseFirstByte] < 0 {
		s.enter(triage.PhaseFirstByte, e.At)
	}
	o, detail, decided := s.answer.read(s.plan, e.Data)
	if decided {
		return s.verdict(o, detail, e.At)
	}
	s.stage = reading
	if s.answer.headDone {
		s.stage = readingBody
	}
	return Action{Kind: Wait}
}

// enter notes that a phase ended at this moment and the next one begins.
func (s *Session) enter(p triage.Phase, at time.Time) {
	s.x.Timing[p] = at.Sub(s.mark)
	s.mark = at
}

// timeout says what a passed deadline means at the stage that the check has reached.
func (s *Session) timeout() triage.Outcome {
	switch s.stage {
	case connecting:
		return triage.ConnectTimeout
	case handshaking, finishing:
		return triage.TLSTimeout
	case readingBody:
		if !s.plan.Codes.Match(s.answer.status) {
			return triage.CodeMismatch // the head has decided; the rest would have been evidence
		}
		return triage.BodyTimeout
	}
	return triage.ResponseTimeout
}

// limit names the deadline that passed, if that is what decided.
func (s *Session) limit(o triage.Outcome) string {
	if !o.TimedOut() {
		return ""
	}
	return fmt.Sprintf("the limit is %s", s.plan.Timeout)
}

// verdict ends the check.
func (s *Session) verdict(o triage.Outcome, detail string, at time.Time) Action {
	if s.answer.headDone {
		s.enter(triage.PhaseBody, at)
	}
	s.stage = done
	s.x.Outcome, s.x.Detail = o, detail
	s.x.Took = at.Sub(s.x.Started)
	s.answer.store(s.x)
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
