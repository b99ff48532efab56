package dialect

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// OverHTTP2 returns the protocols by which the dialect's requests over HTTP/2 are shown: one of HTTP's, and one of gRPC's,
// as far as it speaks them. HTTPS is among them where the target may choose HTTP/2.
func (s *Spec) OverHTTP2() []triage.Protocol {
	var shown []triage.Protocol
	switch {
	case s.Speaks(triage.H2):
		shown = append(shown, triage.H2)
	case s.Speaks(triage.H2C):
		shown = append(shown, triage.H2C)
	case s.Speaks(triage.HTTPS) && slices.Contains(s.TLS.ALPN, "h2"):
		shown = append(shown, triage.HTTPS)
	}
	if s.Speaks(triage.GRPC) {
		shown = append(shown, triage.GRPC)
	}
	return shown
}

// AppendFields appends the request of a check over HTTP/2 as fields: pseudo-header fields first (RFC 9113 section 8.3.1),
// names in lower case, without what HTTP/2 has no place for (section 8.2.2). The order of the pseudo-header fields is the
// one that was seen: of Go's two clients, net/http's and in gRPC grpc-go's, and of HAProxy.
func (s *Spec) AppendFields(dst []Header, q Question) []Header {
	if q.Protocol.IsGRPC() {
		dst = s.appendGRPCFields(dst, q)
	} else {
		dst = s.appendHTTP2Fields(dst, q)
	}
	for _, h := range q.Extra {
		if !connectionSpecific(h.Name) {
			dst = append(dst, Header{strings.ToLower(h.Name), h.Value})
		}
	}
	return dst
}

func (s *Spec) appendHTTP2Fields(dst []Header, q Question) []Header {
	method := cmp.Or(s.Method, "GET")
	if s.HTTP2.NoAuthority {
		dst = append(dst, Header{":method", method}, Header{":scheme", "https"}, Header{":path", q.Path})
		if s.sendsHost() || q.Host != "" {
			dst = append(dst, Header{"host", s.authority(q)})
		}
	} else {
		dst = append(dst, Header{":authority", s.authority(q)}, Header{":method", method},
			Header{":path", q.Path}, Header{":scheme", scheme(q.Protocol)})
	}
	lines := s.HTTP2.Headers
	if lines == nil {
		lines = s.Headers
	}
	for _, h := range lines {
		if h.Value != HostValue && !connectionSpecific(h.Name) {
			dst = append(dst, Header{strings.ToLower(h.Name), h.Value})
		}
	}
	return dst
}

func (s *Spec) appendGRPCFields(dst []Header, q Question) []Header {
	dst = append(dst, Header{":method", "POST"}, Header{":scheme", scheme(q.Protocol)}, Header{":path", s.grpcPath(q)},
		Header{":authority", s.authority(q)}, Header{"content-type", "application/grpc"})
	if agent := cmp.Or(s.GRPC.Agent, s.header("User-Agent")); agent != "" {
		dst = append(dst, Header{"user-agent", agent})
	}
	dst = append(dst, Header{"te", "trailers"})
	if s.GRPC.Deadline && q.Timeout > 0 {
		dst = append(dst, Header{"grpc-timeout", grpcTimeout(q.Timeout)})
	}
	return dst
}

// grpcTimeout writes a duration as grpc-go does: in the finest unit in which it has at most eight digits, which is all that
// a target must take (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), rounded up.
func grpcTimeout(d time.Duration) string {
	const most = 99_999_999
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}} {
		if n := (d + unit.length - 1) / unit.length; n <= most {
			return strconv.FormatInt(int64(n), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "S"
}

func scheme(p triage.Protocol) string {
	if p.Encrypted() {
		return "https"
	}
	return "http"
}

// grpcPath is the method that is asked for.
func (s *Spec) grpcPath(q Question) string {
	if s.GRPC.Settable && q.Path != "" && q.Path != "/" {
		return q.Path
	}
	return cmp.Or(s.GRPC.Method, HealthMethod)
}

// authority is what stands in place of the Host header.
func (s *Spec) authority(q Question) string {
	rule := s.Host
	if q.Protocol.IsGRPC() && s.GRPC.Authority != HostAddress {
		rule = s.GRPC.Authority
	}
	if q.Host != "" {
		return q.Host
	}
	return string(rule.appendTo(nil, q))
}

// header is the value of the dialect's own line with this name; "" if it has none.
func (s *Spec) header(name string) string {
	for _, h := range s.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// connectionSpecific reports whether a header line has no place in HTTP/2.
func connectionSpecific(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host":
		return true
	}
	return false
}

// AppendMessage appends the content of a gRPC health check: one message, not compressed, with its length before it. In
// the health service it names the service (HealthCheckRequest, field 1), elsewhere it is empty.
func (s *Spec) AppendMessage(dst []byte, q Question) []byte {
	var message []byte
	if s.GRPC.Health() && q.Service != "" {
		message = appendVarint(append(message, 1<<3|2), len(q.Service))
		message = append(message, q.Service...)
	}
	n := len(message)
	dst = append(dst, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(dst, message...)
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// PassingCodes returns the codes that pass in a check that names none, and those that can be named instead.
func (s *Spec) PassingCodes(p triage.Protocol) (usual, legal triage.Matcher) {
	if !p.IsGRPC() {
		return s.Codes, s.LegalCodes
	}
	usual, legal = s.GRPC.Passing(), s.GRPC.LegalCodes
	if legal.Empty() {
		legal = usual
	}
	return usual, legal
}
