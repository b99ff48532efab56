package dialect

import (
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// Variation is how a second question differs from the check before it; the zero value is the check itself. It is
// comparable.
type Variation struct {
	Host       string          // Host header; "" keeps the check's
	Header     Header          // a further header line; the zero value adds none
	Path       string          // "" keeps the check's
	Method     string          // "" keeps the check's
	Protocol   triage.Protocol // "" keeps the check's; TLS is a handshake and no more
	ServerName string          // SNI, where the protocol is encrypted; "" keeps the check's
	Nameless   bool            // no SNI
	Proxy      triage.ProxyProtocol
	Unproxied  bool // no PROXY header, also where the check has one
	Current    bool // over HTTP/1.1 with a Host header, also where the dialect has neither
	At         Place
	Pause      time.Duration // before it is asked
	Again      int           // which repetition of the question it is; 0: the first time
}

// Place is where a second question goes.
type Place uint8

// The places.
const (
	SamePlace   Place = iota // the address that was checked
	Loopback                 // the same port on loopback, if the address is this machine's
	OtherFamily              // the name's address of the other family, if a name was checked
)

// String says how the question differs, for people: "Host shop.example and X-Forwarded-Proto: https".
func (v Variation) String() string {
	var parts []string
	add := func(wanted bool, format string, args ...any) {
		if wanted {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(v.Host != "", "Host %s", v.Host)
	add(v.Header.Name != "", "%s: %s", v.Header.Name, v.Header.Value)
	add(v.Method != "", "method %s", v.Method)
	add(v.Path != "", "path %s", v.Path)
	add(v.Current, "HTTP/1.1 and a Host header")
	add(v.Proxy != triage.NoProxy, "a PROXY %s header", v.Proxy)
	add(v.Unproxied, "no PROXY header")
	switch v.Protocol {
	case "":
	case triage.TLS:
		add(true, "a TLS handshake")
	default:
		add(true, "%s", v.Protocol)
	}
	add(v.ServerName != "", "server name (SNI) %s", v.ServerName)
	add(v.Nameless, "no server name (SNI)")
	add(v.At == Loopback, "the loopback address")
	add(v.At == OtherFamily, "the name's other address family")
	add(v.Pause > 0, "%s of rest before it", v.Pause)
	if parts == nil {
		parts = []string{"no change"}
	}
	text := strings.Join(parts, " and ")
	if v.Again > 0 {
		text += fmt.Sprintf(", asked again (%d)", v.Again)
	}
	return text
}
