package capture

import (
	"net/netip"
	"time"

	"github.com/triage-lb/triage"
)

// Record is one thing that a sender did. Its JSON names are a contract of triage listen; fields are only ever
// added. It belongs to whoever receives it.
type Record struct {
	ID         int            `json:"id"`         // 1, 2, 3 … in the order of recording
	Connection int            `json:"connection"` // 1, 2, 3 …: equal for records from one connection
	Time       time.Time      `json:"time"`       // of the first byte; of the connection if there was none
	Peer       netip.AddrPort `json:"peer"`       // who connected
	Local      netip.AddrPort `json:"local"`      // the address of this machine that was asked
	Kind       Kind           `json:"kind"`
	End        End            `json:"end"`

	// Raw is what came, byte for byte: at most MaxHead and MaxBody bytes of it. Dropped counts the bytes that
	// came after those.
	Raw     []byte `json:"-"`
	Dropped int64  `json:"dropped,omitempty"`

	Proxy   *Proxy   `json:"proxy,omitempty"`   // a PROXY header that came first
	Request *Request `json:"request,omitempty"` // the request, if it is a valid one
	Hello   *Hello   `json:"tls,omitempty"`     // the TLS hello
	Sender  *Sender  `json:"sender,omitempty"`  // who sends such requests, if known
	Accepts []string `json:"accepts,omitempty"` // what an application must answer to please that sender; sentences

	Forwarded *Forwarded `json:"forwarded,omitempty"` // what the application answered, if the request was passed on
	Refused   string     `json:"refused,omitempty"`   // why it was not passed on, where others are

	Problem  string   `json:"problem,omitempty"`  // what is wrong with what came
	Remarks  []string `json:"remarks,omitempty"`  // what to know about it; sentences
	Answered int      `json:"answered,omitempty"` // the status that was sent; 0 if nothing was
}

// Kind is what came, by its first bytes.
type Kind string

// The kinds. What follows a PROXY header does not change the record's kind; it is in Request and Hello.
const (
	HTTPRequest  Kind = "http-request"  // or an attempt at one: see Problem
	TLSHello     Kind = "tls-hello"     //
	ProxyV1      Kind = "proxy-v1"      // PROXY protocol, text
	ProxyV2      Kind = "proxy-v2"      // PROXY protocol, binary
	HTTP2Preface Kind = "http2-preface" // HTTP/2 without TLS
	Empty        Kind = "empty"         // connected, and closed without a byte
	Silence      Kind = "silence"       // connected, and nothing came in time
	Other        Kind = "other"         // other bytes
)

// End is how the message of a record came to its end.
type End string

// The ends.
const (
	Complete End = "complete" // all of it came
	Quiet    End = "quiet"    // it cannot become valid, so no more was waited for than a moment
	Limit    End = "limit"    // it was larger than what is read
	TimedOut End = "timeout"  // the rest did not come in time
	Closed   End = "closed"   // the sender closed the connection first
	Reset    End = "reset"    // the sender aborted the connection
	Broken   End = "broken"   // the connection failed in another way
	Stopped  End = "stopped"  // the server was stopped first
)

// Request is a valid HTTP/1.x request.
type Request struct {
	Method    string   `json:"method"`
	Target    string   `json:"target"`     // as in the request line: "/path?query"
	Version   string   `json:"version"`    // "HTTP/1.1" or "HTTP/1.0"
	Headers   []Header `json:"headers"`    // in the order and the case of the wire
	Host      Host     `json:"host"`       //
	BodyBytes int64    `json:"body_bytes"` // content that came, chunk lines not counted
}

// Header is one header line. In JSON, bytes that are no UTF-8 are replaced; the raw bytes have them.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Sender is who sends such requests.
type Sender struct {
	Title string `json:"title"` // "AWS Classic Load Balancer's health check"
	Why   string `json:"why"`   // what gave it away
	Sure  bool   `json:"sure"`  // the whole header set fits, not only a name that anybody can send

	Dialects []triage.Dialect `json:"dialects,omitempty"` // its rows in the table of dialects; none for a tool such as curl
}

// Hello is what a TLS client offers.
type Hello struct {
	ServerName string   `json:"server_name,omitempty"` // SNI; "" if none was sent
	ALPN       []string `json:"alpn,omitempty"`        // application protocols, preferred first
	Versions   []string `json:"versions,omitempty"`    // "TLS 1.3", preferred first
}

// Proxy is a PROXY protocol header.
type Proxy struct {
	Version     int            `json:"version"`               // 1 or 2
	Command     string         `json:"command"`               // PROXY; LOCAL or UNKNOWN: no client is behind it
	Source      netip.AddrPort `json:"source,omitzero"`       // the client, if it has an IP address
	Destination netip.AddrPort `json:"destination,omitzero"`  // where the client had connected to
	HeaderBytes int            `json:"header_bytes,omitzero"` // the header's length
}
