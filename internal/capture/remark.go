package capture

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// remarks are the sentences that help whoever wonders why a check with this record fails. Few, and only what
// was seen to matter in practice.
func remarks(r *Record, silence time.Duration) []string {
	var notes []string
	if r.Proxy != nil {
		notes = append(notes, proxyRemark(r))
	}
	switch {
	case r.Request != nil:
		notes = append(notes, requestRemarks(r.Request)...)
	case r.Kind == TLSHello || r.Hello != nil:
		notes = append(notes, helloRemarks(r.Hello)...)
	}
	switch r.Kind {
	case Empty:
		notes = append(notes, "A TCP check does this: connect and close. It passes as long as the port accepts "+
			"connections, whatever the pages answer.")
	case Silence:
		notes = append(notes, fmt.Sprintf("Nothing came for %v. A TCP check that keeps its connection does this, and a "+
			"client of a protocol in which the server speaks first.", silence))
	}
	if beginsHTTP2(r) {
		notes = append(notes, "This is HTTP/2 without TLS, begun without asking first (prior knowledge): a check over h2c or gRPC, "+
			"as target groups with protocol version HTTP2 or GRPC send it. A server that speaks only HTTP/1.1 cannot answer: "+
			"both sides must agree on the version.")
	}
	return notes
}

// beginsHTTP2 reports whether what came begins as HTTP/2 does, behind a PROXY header if there is one.
func beginsHTTP2(r *Record) bool {
	if r.Proxy == nil {
		return r.Kind == HTTP2Preface
	}
	return len(r.Raw) > r.Proxy.HeaderBytes && bytes.HasPrefix(r.Raw[r.Proxy.HeaderBytes:], []byte(http2Preface))
}

// requestRemarks: Host and scheme are the two things that a check lacks and an application was configured for.
func requestRemarks(r *Request) []string {
	notes := hostRemarks(r.Host)
	if !slices.ContainsFunc(r.Headers, func(h Header) bool { return strings.EqualFold(h.Name, "X-Forwarded-Proto") }) {
		notes = append(notes, "There is no X-Forwarded-Proto: a rule that redirects http to https redirects this "+
			"request too, and most load balancers' checks do not follow.")
	}
	switch r.Method {
	case http.MethodHead:
		notes = append(notes, "The method is HEAD: a route for GET alone answers 405 or 404.")
	case http.MethodOptions:
		notes = append(notes, "The method is OPTIONS: most routes answer 404, 405 or 501 to it.")
	}
	if r.Version == "HTTP/1.0" {
		notes = append(notes, "The version is HTTP/1.0: Envoy and Istio's gateways answer 426 unless told to accept it.")
	}
	return notes
}

func hostRemarks(h Host) []string {
	value := h.Value
	if len(value) > 60 { // the port may have any number of zeros in front
		value = value[:57] + "..."
	}
	switch {
	case h.Form == HostAbsent:
		return []string{"There is no Host: a server with several sites answers with its default one."}
	case h.Form == HostEmpty:
		return []string{"Host is empty: nginx answers 400 to that."}
	case h.Form == HostAddress && h.Own:
		return []string{fmt.Sprintf("Host is %q: this machine's address, not your site's name. An application with a "+
			"list of allowed hosts (Django's ALLOWED_HOSTS) answers 400 unless the address is on it.", value)}
	case h.Form == HostAddress:
		// A Network Load Balancer sends the address of its own node.
		return []string{fmt.Sprintf("Host is %q: an address, and none that this machine has. Some load balancers send "+
			"their own. An application with a list of allowed hosts (Django's ALLOWED_HOSTS) answers 400, even if the "+
			"machine's own address is on it.", value)}
	}
	return nil
}

func helloRemarks(h *Hello) []string {
	notes := []string{"This is TLS: the check's protocol is HTTPS, SSL or TLS, and it fails on a port that speaks plain HTTP, as this one does."}
	if h != nil && h.ServerName == "" {
		notes = append(notes, "It names no server (SNI): a server with several certificates answers with its default one.")
	}
	return notes
}

func proxyRemark(r *Record) string {
	note := "A PROXY header comes first: nginx and Go's server answer 400 unless they are told to expect it."
	if len(r.Raw) == r.Proxy.HeaderBytes && (r.End == Closed || r.End == Reset) {
		note += " Nothing follows it: a TCP check."
	}
	return note
}
