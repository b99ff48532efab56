package dialect

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/triage-lb/triage/internal/http1"
)

// Sender is who sent a request, as far as the request tells.
type Sender struct {
	Title string  // "AWS Classic Load Balancer's health check"
	Why   string  // what gave it away
	Sure  bool    // the whole header set fits, not only a name that anybody can send
	Rows  []*Spec // of the table, whose request it may be; none for a tool such as curl
}

// Recognise names the sender of a request, from its User-Agent and its header set. ok is false if the request
// looks like none that we know. Where several products ask alike, it names them all and is not sure.
func Recognise(r http1.Request) (sender Sender, ok bool) {
	agent, _ := http1.Get(r.Fields, "User-Agent")
	var exact, named []*Spec
	for _, s := range All() {
		switch {
		case s.Form && s.wrote(r):
			exact = append(exact, s)
		case s.Agent != "" && bytes.HasPrefix(agent, []byte(s.Agent)):
			named = append(named, s)
		}
	}
	switch {
	case len(exact) == 1:
		return Sender{Title: owners(exact), Why: exact[0].form(), Sure: true, Rows: exact}, true
	case len(exact) > 1:
		return Sender{Title: owners(exact), Why: exact[0].form(), Rows: exact}, true
	case len(named) > 0:
		return Sender{Title: owners(named), Why: "User-Agent " + named[0].Agent, Rows: named}, true
	}
	for _, a := range agents {
		if strings.HasPrefix(string(agent), a.prefix) {
			return Sender{Title: a.title, Why: "User-Agent " + a.prefix}, true
		}
	}
	return Sender{}, false
}

// owners is whose health check it is.
func owners(specs []*Spec) string {
	var names []string
	for _, s := range specs {
		product, _, _ := strings.Cut(s.Title, ",")
		names = append(names, product+"'s")
	}
	title := strings.Join(names, " or ") + " health check"
	if len(specs) > 1 {
		title += ", or another program that asks alike"
	}
	return title
}

// form is what gives away a request that is the dialect's to the letter.
func (s *Spec) form() string {
	switch {
	case s.Agent != "":
		return "User-Agent " + s.Agent + ", and exactly its headers in its order"
	case len(s.Headers) == 0:
		return "OPTIONS over HTTP/1.0 without any header"
	}
	return "exactly its headers in its order and case, and no User-Agent"
}

// wrote reports whether the request is the dialect's: method, version, and its headers, no more and no fewer, in order and
// case. Of the User-Agent only the beginning counts: versions vary.
func (s *Spec) wrote(r http1.Request) bool {
	minor := 1
	if s.HTTP10 {
		minor = 0
	}
	if string(r.Method) != cmp.Or(s.Method, "GET") || r.Minor != minor || len(r.Fields) != len(s.Headers) {
		return false
	}
	for i, h := range s.Headers {
		if string(r.Fields[i].Name) != h.Name {
			return false
		}
		value := r.Fields[i].Value
		switch {
		case h.Value == HostValue:
		case strings.EqualFold(h.Name, "User-Agent"):
			if !bytes.HasPrefix(value, []byte(s.Agent)) {
				return false
			}
		case string(value) != h.Value:
			return false
		}
	}
	return true
}

// agents are the User-Agents of other checkers, and of the tools that people take for them.
var agents = []struct{ prefix, title string }{
	{"curl/", "curl, not a load balancer"},
	{"Wget/", "wget, not a load balancer"},
}
