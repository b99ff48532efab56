package simulate

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A page is an answer before it is put on the wire.
type page struct {
	status   int
	server   string // Server header; none if empty
	mime     string // Content-Type
	location string // Location header; none if empty
	body     string
}

const (
	plain      = "text/plain; charset=utf-8"
	djangoHTML = "text/html; charset=utf-8"
)

// nginx's page for its own 301, as nginx writes it with server_tokens off.
const nginx301 = "<html>\r\n" +
	"<head><title>301 Moved Permanently</title></head>\r\n" +
	"<body>\r\n" +
	"<center><h1>301 Moved Permanently</h1></center>\r\n" +
	"<hr><center>nginx</center>\r\n" +
	"</body>\r\n" +
	"</html>\r\n"

// page chooses the answer to req.
//
// Two illnesses speak with the voice of the software they play, because a
// diagnosis recognises nginx and Django by exactly these bytes. That no one
// takes them for real, every answer also has X-Instance.
func (s *Server) page(req *http.Request, symptom Illness) page {
	host, _ := hostName(req.Host)
	if host == "" {
		host = s.ownHost()
	}
	switch {
	case symptom == Error500:
		return djangoPage(http.StatusInternalServerError, "Server Error (500)")
	case symptom == HostRejected && !allowed(host, s.cfg.AllowedHosts):
		return djangoPage(http.StatusBadRequest, "Bad Request (400)")
	case symptom == RedirectHTTPS && req.Header.Get("X-Forwarded-Proto") != "https":
		return nginxRedirect(host, req)
	case req.URL.Path == s.cfg.HealthPath:
		return page{status: http.StatusOK, mime: plain, body: "ok"}
	case req.URL.Path == "/":
		return page{status: http.StatusOK, mime: plain, body: "hello from " + s.cfg.Name + "\n"}
	}
	return page{status: http.StatusNotFound, mime: plain,
		body: fmt.Sprintf("%s has only / and %s\n", s.cfg.Name, s.cfg.HealthPath)}
}

// djangoPage is what Django, behind gunicorn and with DEBUG off, makes of an
// error for which the site has no template of its own. The two pages differ in
// the title only.
func djangoPage(status int, title string) page {
	return page{status: status, server: "gunicorn", mime: djangoHTML, body: "\n<!doctype html>\n" +
		"<html lang=\"en\">\n" +
		"<head>\n" +
		"  <title>" + title + "</title>\n" +
		"</head>\n" +
		"<body>\n" +
		"  <h1>" + title + "</h1><p></p>\n" +
		"</body>\n" +
		"</html>\n"}
}

// nginxRedirect is nginx's "return 301 https://$host$request_uri": $host has no
// port.
func nginxRedirect(host string, req *http.Request) page {
	return page{status: http.StatusMovedPermanently, server: "nginx", mime: "text/html",
		location: "https://" + host + req.URL.RequestURI(), body: nginx301}
}

// ownHost stands in for the Host that an HTTP/1.0 request need not have: nginx
// takes its server_name then, Django gunicorn's address.
func (s *Server) ownHost() string {
	if addr := s.addr.Addr(); addr.Is6() {
		return "[" + addr.WithZone("").String() + "]"
	}
	return s.addr.Addr().String()
}

// badRequest answers what could not be read as a request.
func badRequest(err error) page {
	status := http.StatusBadRequest
	if err == errTooLarge {
		status = http.StatusRequestHeaderFieldsTooLarge
	}
	return page{status: status, mime: plain, body: err.Error() + "\n"}
}

// bytes is the page as it travels, in nginx's order of fields.
func (p page) bytes(instance string, now time.Time, headOnly, more bool) []byte {
	var b []byte
	field := func(name, value string) {
		if value != "" {
			b = append(b, name+": "+value+"\r\n"...)
		}
	}
	connection := "close"
	if more {
		connection = "keep-alive"
	}
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\n", p.status, http.StatusText(p.status))
	field("Server", p.server)
	field("Date", now.UTC().Format(http.TimeFormat))
	field("Content-Type", p.mime)
	field("Content-Length", strconv.Itoa(len(p.body)))
	field("Connection", connection)
	field("Location", p.location)
	field("X-Instance", instance)
	b = append(b, "\r\n"...)
	if headOnly {
		return b
	}
	return append(b, p.body...)
}

// hostName takes the name out of a Host header: without port and final dot, in
// lower case, IPv6 with its brackets. ok is false for what cannot be a host; such
// bytes must not reach a Location header.
func hostName(header string) (name string, ok bool) {
	name, port := header, ""
	if i := strings.LastIndexByte(header, ':'); i > strings.LastIndexByte(header, ']') {
		name, port = header[:i], header[i+1:]
	}
	if _, err := strconv.ParseUint(port, 10, 16); port != "" && err != nil {
		return "", false
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if inner, is6 := strings.CutPrefix(name, "["); is6 {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return name, err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(name, "]")
	}
	foreign := func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._", r) }
	return name, name != "" && !strings.ContainsFunc(name, foreign)
}

// allowed is Django's validate_host.
func allowed(host string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		if domain, below := strings.CutPrefix(pattern, "."); below {
			return host == domain || strings.HasSuffix(host, pattern)
		}
		return pattern == "*" || pattern == host
	})
}
