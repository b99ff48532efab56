package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/probe/testdata/badinput"
)

// sickServer is a server that real checkers and triage judge. Not all are sick: some only seem so to some.
type sickServer struct {
	name string
	addr netip.AddrPort
}

// realName is the only Host that the server of several names serves, and that the checkers send that can be told one.
const realName = "www.example.test"

// startSickServers starts one server of each kind. They end with the test.
func startSickServers(t *testing.T) []sickServer {
	t.Helper()
	var servers []sickServer
	add := func(name string, says func(r *http.Request) badinput.Answer) {
		servers = append(servers, sickServer{name, serveRequests(t, says)})
	}
	status := func(code int, more string) func(*http.Request) badinput.Answer {
		return func(*http.Request) badinput.Answer { return answerOf(code, more) }
	}
	for _, code := range []int{200, 204, 401, 404, 429, 500, 503} {
		add(fmt.Sprint(code), status(code, ""))
	}
	healthy := serveRequests(t, status(200, ""))
	secure := badinput.Listen(t, answerOf(200, ""), triage.HTTPS).Address
	add("301 to https", status(301, fmt.Sprintf("Location: https://%s/\r\n", secure)))
	add("302, relative", unless("/well", 302, func(*http.Request) string { return "/well" }))
	add("302 to the same host", unless("/well", 302, func(r *http.Request) string { return "http://" + r.Host + "/well" }))
	add("302 to another port", status(302, fmt.Sprintf("Location: http://%s/\r\n", healthy)))
	add("302 to another host", status(302, fmt.Sprintf("Location: http://localhost:%d/\r\n", healthy.Port())))
	add("302 to a port where nobody listens", status(302, "Location: http://127.0.0.1:1/\r\n"))
	add("302 in a circle", unless("", 302, func(*http.Request) string { return "/again" }))
	add("302 without a Location", status(302, ""))
	add("400 for a foreign Host", func(r *http.Request) badinput.Answer {
		if r.Host != realName {
			return answerOf(400, "")
		}
		return answerOf(200, "")
	})
	for _, name := range []string{
		"less than the length, and closes", "less than the length, and hangs", "no length, and hangs", "a chunk size that is no number",
		"bare line feeds", "nothing, and hangs", "half a head, and hangs", "nothing, and closes", "nothing, and resets", "two lengths that differ",
		"no reason", "a NUL", "an empty line first", "version 2 as text", "a status of two digits",
	} {
		a := knownAnswer(t, name)
		if !strings.Contains(name, "hangs") && a.Then == badinput.Hangs {
			a.Then = badinput.Closes // or who keeps connections would wait for a second answer
		}
		add(name, func(*http.Request) badinput.Answer { return a })
	}
	// It closes: no timeout of net/http reaches the body of a 101, so where the server keeps the connection, no checker that
	// is written with it ever comes to a verdict.
	upgraded := knownAnswer(t, "another protocol")
	upgraded.Then = badinput.Closes
	add("101, and closes", func(*http.Request) badinput.Answer { return upgraded })
	add("103, then 200", func(*http.Request) badinput.Answer {
		a := answerOf(200, "")
		a.Says = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + a.Says
		return a
	})
	add("200 without a length", func(*http.Request) badinput.Answer {
		return badinput.Answer{Says: "HTTP/1.1 200 OK\r\n\r\nok", Then: badinput.Closes}
	})
	add("HTTP/2 alone", func(*http.Request) badinput.Answer {
		const settings, goAway = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
		return badinput.Answer{Says: settings + goAway, Then: badinput.Closes}
	})
	add("a TLS alert", func(*http.Request) badinput.Answer {
		return badinput.Answer{Says: "\x15\x03\x01\x00\x02\x02\x46", Then: badinput.Closes}
	})
	servers = append(servers, sickServer{"TLS", serveTLS(t)})
	gone, release := badinput.Nobody(t)
	t.Cleanup(release)
	return append(servers, sickServer{"nobody", gone})
}

// serveRequests answers one request on each connection.
func serveRequests(t *testing.T, says func(*http.Request) badinput.Answer) netip.AddrPort {
	t.Helper()
	return badinput.Serve(t, func(c *net.TCPConn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		a := says(r)
		if _, err := io.WriteString(c, a.Bytes(1<<20)); err == nil {
			badinput.End(c, a.Then)
		}
	}).Address
}

// answerOf is a correct answer with this code.
func answerOf(code int, more string) badinput.Answer {
	body := "ok"
	framing := "Content-Length: 2\r\n"
	if code == http.StatusNoContent {
		body, framing = "", ""
	}
	return badinput.Answer{
		Says: fmt.Sprintf("HTTP/1.1 %d %s\r\nConnection: close\r\n%s%s\r\n%s", code, http.StatusText(code), framing, more, body),
		Then: badinput.Closes,
	}
}

// unless sends every request that is not for the path of one page elsewhere.
func unless(page string, code int, elsewhere func(*http.Request) string) func(*http.Request) badinput.Answer {
	return func(r *http.Request) badinput.Answer {
		if r.URL.Path == page {
			return answerOf(200, "")
		}
		return answerOf(code, "Location: "+elsewhere(r)+"\r\n")
	}
}

// knownAnswer is one of the bad answers that the checks of package probe are tested with.
func knownAnswer(t *testing.T, name string) badinput.Answer {
	t.Helper()
	for _, a := range badinput.Answers() {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("there is no answer %q", name)
	return badinput.Answer{}
}

// serveTLS starts Go's own web server with TLS, which tells whoever asks in plain text so, by a 400.
func serveTLS(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{badinput.Certificate(t)}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
	return netip.MustParseAddrPort(l.Addr().String())
}
