package triage

// Outcome is how one check ended, named by the layer at which it was decided. There is exactly one table of
// outcomes; logs, the API, the command line and docs/outcomes.md all read it.
type Outcome uint8

// The outcomes. NotChecked is the zero value: no check has ended yet.
const (
	NotChecked Outcome = iota

	Matched    // http, grpc: the status code is one of the success codes, and so on
	Handshaken // tls: the handshake completed
	Connected  // tcp: the connection was made

	ResolveFailed
	AddressForbidden

	Refused
	Unreachable
	ConnectTimeout
	ConnectFailed

	TLSRefused
	TLSUntrusted
	TLSNotSpoken
	TLSClosed
	TLSTimeout
	HTTP2NotOffered

	ClosedBeforeAnswer
	ResetBeforeAnswer
	NotHTTP
	NotHTTP2
	StreamReset
	HeadTooLarge
	ResponseTimeout

	BodyTruncated
	BodyMalformed
	BodyUnframed
	BodyTimeout
	NotGRPC
	BodyMismatch

	CodeMismatch
	GRPCMismatch
	NotServing
	HeaderMismatch
	ExpressionFalse
	ExpressionFailed
	RedirectFailed

	RedirectElsewhere
	Canceled
	OutOfResources
	CheckerLate

	numOutcomes
)

// NumOutcomes is how many outcomes there are, NotChecked among them: the length of a table by outcome.
const NumOutcomes = int(numOutcomes)

// Verdict is what an outcome means for a target's health.
type Verdict uint8

// The verdicts. Neutral says nothing about the target: the fault, or the wish to stop, was ours.
const (
	Neutral Verdict = iota
	Pass
	Fail
)

var verdictNames = [...]string{"neutral", "pass", "fail"}

// String is the verdict as a word.
func (v Verdict) String() string { return verdictNames[v] }

// Layer is the part of a check at which its outcome was decided.
type Layer string

// The layers, in the order of a check.
const (
	LayerResolve Layer = "resolve"
	LayerConnect Layer = "connect"
	LayerTLS     Layer = "tls"
	LayerHTTP    Layer = "http"
	LayerBody    Layer = "body"
	LayerStatus  Layer = "status"
	LayerChecker Layer = "checker"
)

// OutcomeInfo is a row of the outcome table.
type OutcomeInfo struct {
	Name     string // kebab-case; part of the JSON contract, so it never changes
	Layer    Layer
	Verdict  Verdict
	Reason   Reason // AWS's reason code, if the target is unhealthy because of it
	Sentence string // what was seen, for people: starts lower case, no full stop
}

var outcomes = [numOutcomes]OutcomeInfo{
	NotChecked: {"not-checked", LayerChecker, Neutral, InitialHealthChecking, "no check has ended yet"},

	Matched:    {"matched", LayerStatus, Pass, NoReason, "the status code is one of the success codes, and the answer is as expected"},
	Handshaken: {"handshaken", LayerTLS, Pass, NoReason, "the TLS handshake completed"},
	Connected:  {"connected", LayerConnect, Pass, NoReason, "the connection was made"},

	ResolveFailed:    {"resolve", LayerResolve, Fail, FailedHealthChecks, "the name does not resolve to an address"},
	AddressForbidden: {"address-forbidden", LayerResolve, Fail, FailedHealthChecks, "the address is one that triage does not connect to unless allow_targets names it"},

	Refused:        {"refused", LayerConnect, Fail, FailedHealthChecks, "the connection was refused: nothing listens on this port"},
	Unreachable:    {"unreachable", LayerConnect, Fail, FailedHealthChecks, "the network says that there is no way to this address"},
	ConnectTimeout: {"connect-timeout", LayerConnect, Fail, Timeout, "the connection was not made in time: nothing answered, not even with a refusal"},
	ConnectFailed:  {"connect-failed", LayerConnect, Fail, FailedHealthChecks, "the connection could not be made"},

	TLSRefused:   {"tls-refused", LayerTLS, Fail, FailedHealthChecks, "the TLS handshake was refused"},
	TLSUntrusted: {"tls-untrusted", LayerTLS, Fail, FailedHealthChecks, "the target's certificate is none that this load balancer accepts"},
	TLSNotSpoken: {"tls-not-spoken", LayerTLS, Fail, FailedHealthChecks, "the port does not speak TLS"},
	TLSClosed:    {"tls-closed", LayerTLS, Fail, FailedHealthChecks, "the connection was closed during the TLS handshake"},
	TLSTimeout:   {"tls-timeout", LayerTLS, Fail, Timeout, "connected, but the TLS handshake did not complete in time"},

	HTTP2NotOffered: {"http2-not-offered", LayerTLS, Fail, FailedHealthChecks, "the TLS handshake completed, but did not agree on HTTP/2 (ALPN)"},

	ClosedBeforeAnswer: {"closed-before-answer", LayerHTTP, Fail, FailedHealthChecks, "the connection was closed without a complete answer"},
	ResetBeforeAnswer:  {"reset-before-answer", LayerHTTP, Fail, FailedHealthChecks, "the connection was reset without a complete answer"},
	NotHTTP:            {"not-http", LayerHTTP, Fail, FailedHealthChecks, "the answer is not valid HTTP/1.x"},
	NotHTTP2:           {"not-http2", LayerHTTP, Fail, FailedHealthChecks, "the answer is not valid HTTP/2"},
	StreamReset:        {"stream-reset", LayerHTTP, Fail, FailedHealthChecks, "the target gave the request up (RST_STREAM or GOAWAY of HTTP/2) without a complete answer"},
	HeadTooLarge:       {"head-too-large", LayerHTTP, Fail, FailedHealthChecks, "the head of the answer is too large"},
	ResponseTimeout:    {"response-timeout", LayerHTTP, Fail, Timeout, "connected and asked, but no complete head of an answer came in time"},

	BodyTruncated: {"body-truncated", LayerBody, Fail, FailedHealthChecks, "the connection ended before the body that the head announced"},
	BodyMalformed: {"body-malformed", LayerBody, Fail, FailedHealthChecks, "the body's chunks, or frames of HTTP/2, are not valid"},
	BodyUnframed:  {"body-unframed", LayerBody, Fail, FailedHealthChecks, "the answer has neither Content-Length nor chunks, and this load balancer wants one of them"},
	BodyTimeout:   {"body-timeout", LayerBody, Fail, Timeout, "the head came, but the body was not complete in time"},
	NotGRPC:       {"not-grpc", LayerBody, Fail, FailedHealthChecks, "the answer is HTTP/2, but not valid gRPC"},
	BodyMismatch:  {"body-mismatch", LayerBody, Fail, FailedHealthChecks, "the content is not what the check expects"},

	CodeMismatch:   {"code-mismatch", LayerStatus, Fail, ResponseCodeMismatch, "the status code is not one of the success codes"},
	GRPCMismatch:   {"grpc-mismatch", LayerStatus, Fail, ResponseCodeMismatch, "the gRPC status is not one of the success codes"},
	NotServing:     {"not-serving", LayerStatus, Fail, FailedHealthChecks, "the gRPC health service answers something else than SERVING"},
	HeaderMismatch: {"header-mismatch", LayerStatus, Fail, FailedHealthChecks, "the answer has not the header field that the check expects"},
	RedirectFailed: {"redirect-failed", LayerStatus, Fail, FailedHealthChecks, "the answer redirects once too often, or to what cannot be asked over HTTP"},

	ExpressionFalse:  {"expression-false", LayerStatus, Fail, FailedHealthChecks, "the check's expression is false for this answer"},
	ExpressionFailed: {"expression-failed", LayerStatus, Fail, FailedHealthChecks, "the check's expression cannot be worked out for this answer"},

	RedirectElsewhere: {"redirect-elsewhere", LayerChecker, Neutral, InternalError, "the answer redirects to where triage does not follow: it asks no host that nobody has named"},

	Canceled:       {"canceled", LayerChecker, Neutral, InternalError, "the check was stopped from our side"},
	OutOfResources: {"out-of-resources", LayerChecker, Neutral, InternalError, "this machine had no file descriptor, port, memory or source address for the check"},
	CheckerLate:    {"checker-late", LayerChecker, Neutral, InternalError, "the time ran out while this machine itself was late"},
}

// Info returns the outcome's row of the table.
func (o Outcome) Info() OutcomeInfo { return outcomes[o] }

// String is the outcome's name.
func (o Outcome) String() string { return outcomes[o].Name }

// MarshalText gives the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(outcomes[o].Name), nil }

// UnmarshalText reads an outcome's name.
func (o *Outcome) UnmarshalText(b []byte) error {
	for i := range outcomes {
		if outcomes[i].Name == string(b) {
			*o = Outcome(i)
			return nil
		}
	}
	return &Error{Kind: KindInvalid, Message: "unknown outcome " + string(b)}
}

// Verdict says what the outcome means for a target's health.
func (o Outcome) Verdict() Verdict { return outcomes[o].Verdict }

// TimedOut reports whether the outcome is a deadline that passed: the only sort of failure that the
// checker's own slowness may excuse.
func (o Outcome) TimedOut() bool { return outcomes[o].Reason == Timeout }

// Outcomes yields the table in its order, without NotChecked.
func Outcomes(yield func(Outcome, OutcomeInfo) bool) {
	for o := NotChecked + 1; o < numOutcomes; o++ {
		if !yield(o, outcomes[o]) {
			return
		}
	}
}
