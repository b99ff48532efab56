package diagnose

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/http1"
)

// kase is an exchange made ready for the entries. (The word itself is taken by the language.)
type kase struct {
	x      *triage.Exchange
	answer http1.Response
	asked  http1.Request
	said   string   // the content, uncompressed
	hosts  []string // public host names, the best known first
}

func newCase(x *triage.Exchange) *kase {
	c := &kase{x: x}
	// What the probe has written and parsed is valid; a head that was cut short leaves the answer empty.
	c.asked, _, _ = http1.ParseRequest(asHTTP1(x.Sent), nil, http1.Limits{})
	if x.Status != 0 || x.GRPC != nil {
		c.answer, _, _ = http1.ParseResponse(asHTTP1(x.Head), nil, http1.Limits{})
	}
	c.said = c.unpacked()
	if len(x.Sent) == 0 && x.Status != 0 {
		c.imagine()
	}
	return c
}

// imagine makes up the request of an answer that somebody has pasted without one: what is not known is written as in a
// manual, and a redirect is taken for one that keeps the host.
func (c *kase) imagine() {
	host := "<host>"
	if to, ok := redirectTarget(c); ok && to.Host != "" {
		host = to.Host
	}
	c.asked = http1.Request{Method: []byte("GET"), Target: []byte("<path>"), Minor: 1, Fields: []http1.Field{{Name: []byte("Host"), Value: []byte(host)}}}
}

// asHTTP1 is a head that is text of HTTP/2 as one of HTTP/1.1.
func asHTTP1(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.Contains(line, []byte("HTTP/2")) {
		return head
	}
	rest := head[len(line):]
	if bytes.HasPrefix(line, []byte("HTTP/2 ")) {
		return append(fmt.Appendf(nil, "HTTP/1.1 %s ", bytes.TrimSpace(line[len("HTTP/2 "):])), rest...)
	}
	return append(bytes.Replace(line, []byte("HTTP/2"), []byte("HTTP/1.1"), 1), rest...)
}

// header is the first value of a field of the answer; "" if there is none.
func (c *kase) header(name string) string {
	v, _ := http1.Get(c.answer.Fields, name)
	return string(v)
}

// has reports whether the answer has a field.
func (c *kase) has(name string) bool {
	_, ok := http1.Get(c.answer.Fields, name)
	return ok
}

// host is the Host header that the check sent; "" if it sent none.
func (c *kase) host() string {
	v, _ := http1.Get(c.asked.Fields, "Host")
	return string(v)
}

// path is the path that the check asked for, without its query.
func (c *kase) path() string {
	path, _, _ := strings.Cut(string(c.asked.Target), "?")
	return path
}

func (c *kase) statusLine() string {
	if len(c.answer.Reason) == 0 {
		return fmt.Sprint(c.x.Status)
	}
	return fmt.Sprintf("%d %s", c.x.Status, c.answer.Reason)
}

// mismatch reports whether the check has failed with one of these codes.
func (c *kase) mismatch(codes ...int) bool {
	if c.x.Outcome != triage.CodeMismatch {
		return false
	}
	for _, code := range codes {
		if c.x.Status == code {
			return true
		}
	}
	return false
}

func (c *kase) bodyHas(s string) bool { return strings.Contains(c.content(), s) }

// text is the content without the white space around it.
func (c *kase) text() string { return strings.TrimSpace(c.content()) }

// kind is the media type of the content, without its parameters, in lower case.
func (c *kase) kind() string {
	kind, _, _ := strings.Cut(c.header("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// server is what the answer calls its server, without the version.
func (c *kase) server() string {
	name, _, _ := strings.Cut(c.header("Server"), "/")
	return name
}

// encrypted reports whether the request went through TLS.
func (c *kase) encrypted() bool { return c.x.Timing[triage.PhaseTLS] >= 0 }

// fill puts what was seen into the placeholders of a text. Where nothing was seen the placeholder stays, as <path>.
func (c *kase) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	port, address := "", ""
	if c.x.Address.IsValid() {
		port, address = fmt.Sprint(c.x.Address.Port()), c.x.Address.Addr().String()
	}
	public := ""
	if len(c.hosts) > 0 {
		public = c.hosts[0]
	}
	status := ""
	if c.x.Status != 0 {
		status = fmt.Sprint(c.x.Status)
	}
	for _, p := range [...]struct{ name, value string }{
		{"path", c.path()}, {"host", c.host()}, {"port", port}, {"address", address}, {"status", status},
		{"public", public}, {"location", c.header("Location")}, {"server", c.header("Server")}, {"says", first(c.text())},
	} {
		text = strings.ReplaceAll(text, "{"+p.name+"}", cmp.Or(p.value, "<"+p.name+">"))
	}
	return text
}

// placeholders are the names that fill knows.
var placeholders = [...]string{"path", "host", "port", "address", "status", "public", "location", "server", "says"}

// Manual is a text of an entry as a manual shows it, with its placeholders in angle brackets.
func Manual(text string) string {
	for _, name := range placeholders {
		text = strings.ReplaceAll(text, "{"+name+"}", "<"+name+">")
	}
	return text
}

// cure is the fixes for the software that is recognised, else the one for all, else all of them.
func (c *kase) cure(fixes []Fix) string {
	var general string
	var known, all []string
	for _, f := range fixes {
		text := c.fill(f.Do)
		if f.For == "" {
			general = text
			continue
		}
		if all = append(all, f.For+": "+text); c.is(f.For) {
			known = append(known, text)
		}
	}
	switch {
	case len(known) > 0:
		return strings.Join(known, "\n")
	case general != "":
		return general
	}
	return strings.Join(all, "\n")
}
