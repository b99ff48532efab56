package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/triage-lb/triage/internal/proxy"
)

// recorder is a target that writes down all bytes it gets, up to the end of what an honest request would be:
// it answers after each head that is followed by the content it announces.
type recorder struct {
	addr string
	got  chan string
}

func record(t *testing.T) recorder {
	r := recorder{got: make(chan string, 10)}
	r.addr = rawTarget(t, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		for {
			head, err := readHead(br)
			if err != nil {
				return
			}
			body := ""
			switch {
			case strings.Contains(head, "\r\nTransfer-Encoding: chunked\r\n"):
				for line := ""; line != "0\r\n" && err == nil; body += line {
					line, err = br.ReadString('\n')
				}
				trailer, _ := readHead(br)
				body += trailer
			case strings.Contains(head, "\r\nContent-Length: 5\r\n"):
				b := make([]byte, 5)
				_, _ = io.ReadFull(br, b)
				body = string(b)
			}
			r.got <- head + body
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	return r
}

// TestWhatArrives sends bytes and compares the bytes that arrive at the target, or the status that the client
// is given instead. {port} is the listener's port,
// {listener} its address with it.
func TestWhatArrives(t *testing.T) {
	const ours = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Port: {port}\r\nX-Forwarded-Proto: http\r\n"
	tests := []struct {
		name, sent, want string
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: my.site\r\n\r\n", "GET / HTTP/1.1\r\nHost: my.site\r\n" + ours + "\r\n"},
		{"nothing of ours but forwarding", "GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: curl/8\r\nAccept: */*\r\n" + ours + "\r\n"},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: {listener}\r\n" + ours + "\r\n"},

		{"claims are dropped", "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n" +
			"X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"claims by other spellings", "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: 6\r\nx-forwarded_PROTO: https\r\nX.Forwarded.Host: e\r\nX_Real_Ip: 6\r\nFORWARDED: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"claims in others' words", "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Ssl: on\r\nX-Forwarded-Scheme: https\r\nX-Forwarded-Protocol: ssl\r\nFront-End-Https: on\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"another path", "GET /a HTTP/1.1\r\nHost: h\r\nSCRIPT_NAME: /a\r\nScript-Name: /a\r\nPATH_INFO: /b\r\n\r\n",
			"GET /a HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: {listener}\r\n" + ours + "\r\n"},
		{"other names stay", "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded: a\r\nX_Custom: b\r\nFrom: c\r\nX-Forwarded-Foo: d\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nFrom: c\r\nX-Forwarded: a\r\n" + "X-Forwarded-Foo: d\r\n" + ours + "X_custom: b\r\n\r\n"},
		{"hop by hop", "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: 5\r\nX-Secret: s\r\nProxy-Connection: k\r\n" +
			"Proxy-Authorization: Basic x\r\nTE: gzip, trailers\r\nUpgrade: h2c\r\nTrailer: X\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nTe: trailers\r\n" + ours + "\r\n"},
		{"Connection cannot name ours away", "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Forwarded-For, Host, Cookie\r\nCookie: c\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"h2c upgrade does not pass", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"upgrade by another method", "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" + ours + "\r\n"},
		{"upgrade with content", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
			"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + ours + "\r\nhello"},
		{"Expect of HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + ours + "\r\nhello"},
		{"repeated headers stay repeated", "GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nCookie: b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nCookie: b\r\n" + ours + "\r\n"},

		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"encoded slashes", "GET /a%2f..%2Fadmin/./x/../y;z?a;b&%20|<> HTTP/1.1\r\nHost: h\r\n\r\n",
			"GET /a%2f..%2Fadmin/./x/../y;z?a;b&%20|<> HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"bytes that are no URL", "GET /\"{}|\\^`\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n",
			"GET /\"{}|\\^`\xc3\xa9 HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"two slashes", "GET //evil.site/x?y HTTP/1.1\r\nHost: h\r\n\r\n", "GET //evil.site/x?y HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"two slashes, empty query", "GET //x%2fy? HTTP/1.1\r\nHost: h\r\n\r\n", "GET //x%2fy? HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"two slashes and no URL", "GET //x|y HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"empty query", "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /? HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form", "GET http://real.site/p%2fq?r HTTP/1.1\r\nHost: other\r\n\r\n", "GET /p%2fq?r HTTP/1.1\r\nHost: real.site\r\n" + ours + "\r\n"},
		{"absolute form without path", "GET http://real.site?r HTTP/1.1\r\nHost: h\r\n\r\n", "GET /?r HTTP/1.1\r\nHost: real.site\r\n" + ours + "\r\n"},
		{"absolute form of another scheme", "GET ftp://real.site/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form with a user", "GET http://user@real.site/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form, host of other bytes", "GET http://\xc3\xa9.site/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form, host of markup", "GET http://a<b>/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form, host with a zone", "GET http://[fe80::1%25eth0]:80/ HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"absolute form of IPv6", "GET http://[::1]:80/ HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n" + ours + "\r\n"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n" + ours + "\r\n"},
		{"absolute OPTIONS", "OPTIONS http://real.site HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: real.site\r\n" + ours + "\r\n"},
		{"GET *", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "400"},

		{"content", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + ours + "\r\nhello"},
		{"no content of a DELETE", "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" + ours + "\r\n"},
		{"chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + ours + "\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"chunked GET", "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + ours + "\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + ours + "\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"two equal lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + ours + "\r\nhello"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"},
		{"length with a sign", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello", "400"},
		{"twice chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "501"},
		{"other coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
		{"length as a hop", "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n" + ours + "\r\nhello"},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\nhello\r\n0\r\n\r\n", "400"},
		{"bare LF", "GET / HTTP/1.1\nHost: h\nX: y\n\n", "GET / HTTP/1.1\r\nHost: h\r\n" + "X: y\r\n" + ours + "\r\n"},
		{"folded line", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n" + "X: a b\r\n" + ours + "\r\n"},
		{"space before colon", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello", "400"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", "400"},
		{"garbage", "\x00\x01\x02\x03\r\n\r\n", "400"},
		{"TLS where plain is expected", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", "400"},
		{"huge head", "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "431"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := record(t)
			r := start(t, options{}, target.addr)
			c := r.dial()
			if _, err := io.WriteString(c, tt.sent); err != nil {
				t.Fatal(err)
			}
			answer, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if len(tt.want) == 3 {
				if !strings.Contains(answer, " "+tt.want+" ") || tt.name != "bad chunk" && len(target.got) > 0 {
					t.Errorf("answered %q, and %d requests arrived, want %s and none", answer, len(target.got), tt.want)
				}
				return
			}
			if len(target.got) != 1 {
				t.Fatalf("%d requests arrived, answered %q", len(target.got), answer)
			}
			_, port, _ := net.SplitHostPort(r.addr)
			want := strings.NewReplacer("{port}", port, "{listener}", r.addr).Replace(tt.want)
			if diff := cmp.Diff(want, <-target.got); diff != "" {
				t.Errorf("what arrived (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTrailersCannotClaim: some servers merge trailers into the header.
func TestTrailersCannotClaim(t *testing.T) {
	target := record(t)
	r := start(t, options{}, target.addr)
	c := r.dial()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X_Forwarded_For, Host, Cookie, Keep-Alive, If-Match\r\n\r\n"+
		"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX_Forwarded_For: forged\r\nHost: forged\r\nCookie: forged\r\nKeep-Alive: forged\r\nIf-Match: forged\r\nX-Unannounced: forged\r\n\r\n")
	got := <-target.got
	if !strings.Contains(got, "\r\nTrailer: X-Sum\r\n") || !strings.HasSuffix(got, "0\r\nX-Sum: 1\r\n\r\n") || strings.Contains(got, "forged") {
		t.Errorf("arrived: %q", got)
	}
}

// TestAnswerTrailers: nor does what a target sends late become the connection's, or the whole answer's.
func TestAnswerTrailers(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie, Keep-Alive\r\n\r\n"+
			"5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: forged\r\nKeep-Alive: forged\r\nProxy-Connection: forged\r\n\r\n")
	})
	r := start(t, options{}, addr)
	got := r.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if !strings.Contains(got, "\r\nTrailer: X-Sum\r\n") || !strings.HasSuffix(got, "0\r\nX-Sum: 1\r\n\r\n") || strings.Contains(got, "forged") {
		t.Errorf("answer: %q", got)
	}
}

// TestDrop: whoever builds upon the proxy may be stricter.
func TestDrop(t *testing.T) {
	target := record(t)
	r := start(t, options{config: func(c *proxy.Config) {
		c.Drop = func(name string) bool { return name == "X-Late" || name == "X-Early" }
	}}, target.addr)
	c := r.dial()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nX-Early: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n")
	if got := <-target.got; strings.Contains(got, "X-Late") || strings.Contains(got, "X-Early") {
		t.Errorf("arrived: %q", got)
	}
}

// TestChunksEndTheConnection: what follows a request with chunks and a length may not be the request that its sender
// meant. The guard's and other answers made in front count too.
func TestChunksEndTheConnection(t *testing.T) {
	in := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/own" {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	r := start(t, options{config: func(c *proxy.Config) { c.Wrap = in }}, target(t, name("ok")))
	for _, path := range []string{"/", "/own"} {
		got := r.say("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if n := strings.Count(got, "HTTP/1.1 "); n != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("%s: %d answers: %q", path, n, got)
		}
	}
}

func TestForwardingCanBeOverruled(t *testing.T) {
	target := record(t)
	overrule := func(c *proxy.Config) {
		c.Forwarding = func(in *http.Request, f *proxy.Forwarding) {
			f.For = in.Header.Get("X-Forwarded-For") + ", " + f.For
			f.Host, f.Proto, f.Port = "inner.site", "https", ""
		}
	}
	r := start(t, options{config: overrule}, target.addr)
	c := r.dial()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: outer\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
	want := "GET / HTTP/1.1\r\nHost: inner.site\r\nX-Forwarded-For: 1.2.3.4, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n\r\n"
	if got := <-target.got; got != want {
		t.Errorf("arrived: %q", got)
	}
}

// TestAnswerHeaders: what comes back is the target's header, without its connection's and without guesses.
func TestAnswerHeaders(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: gunicorn\r\nX-A: 1\r\nX-A: 2\r\n"+
			"Connection: keep-alive, X-Hop\r\nX-Hop: h\r\nKeep-Alive: timeout=5\r\nContent-Length: 6\r\n\r\n<html>")
	})
	r := start(t, options{}, addr)
	want := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: gunicorn\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n<html>"
	if got := r.say("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
