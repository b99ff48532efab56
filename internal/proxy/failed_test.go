package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/attempt"
	"github.com/triage-lb/triage/internal/proxy"
)

// TestFailedRequestsAreLogged: without any flag the log says which group's clients get 502, why, and how many.
func TestFailedRequestsAreLogged(t *testing.T) {
	refuses := nobody(t)
	serves := target(t, name("ok"))
	hangs := rawTarget(t, func(_ int, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	half := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
	})
	babbles := rawTarget(t, func(_ int, c net.Conn) {
		_, _ = readHead(bufio.NewReader(c))
		_, _ = io.WriteString(c, strings.Repeat("x", 4000)+"\r\n\r\n")
	})
	const good = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	refused := `msg="requests fail" group=app reason=connect-failed target=` + refuses +
		` error="dial tcp ` + refuses + `: connect: connection refused" answered=502`
	short := func(r *triage.Roster) { r.ResponseTimeout = 50 * time.Millisecond }
	for what, tt := range map[string]struct {
		targets []string
		group   func(*triage.Roster)
		request string
		want    []string // the lines for three requests
	}{
		"refused":            {[]string{refuses}, nil, good, []string{refused, refused + " again=2"}},
		"another took it":    {[]string{refuses, serves}, nil, good, nil},
		"the client's fault": {[]string{hangs}, nil, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", nil},
		"silent":             {[]string{hangs}, short, good, []string{"answered=504", "answered=504 again=2"}},
		"nobody": {nil, nil, good, []string{
			`msg="requests fail" group=app reason=no-target answered=503`,
			`msg="requests fail" group=app reason=no-target answered=503 again=2`,
		}},
		"a long line of nonsense": {[]string{babbles}, nil, good, []string{`xxx…" answered=502`, "again=2"}},
		"broken off": {[]string{half}, nil, good, []string{
			`msg="answers break off" group=app reason=bad-answer target=` + half + ` error="unexpected EOF"`, "again=2",
		}},
	} {
		t.Run(what, func(t *testing.T) {
			var text bytes.Buffer
			r := start(t, options{group: tt.group, config: func(c *proxy.Config) {
				c.Log = slog.New(slog.NewTextHandler(&text, nil))
			}}, tt.targets...)
			for range 3 {
				r.say(tt.request)
			}
			r.stop() // after which nobody writes
			lines := slices.Collect(strings.Lines(text.String()))
			if len(lines) != len(tt.want) {
				t.Fatalf("wrote\n%s", text.String())
			}
			for i, line := range lines {
				line = strings.TrimSpace(line)
				if !strings.HasSuffix(line, tt.want[i]) || !strings.Contains(line, "level=WARN") {
					t.Errorf("line %d is\n%s, want\n…%s", i, line, tt.want[i])
				}
			}
		})
	}
}

// TestOwnSentences: who builds upon the proxy chooses the words, for its users know neither groups nor targets.
func TestOwnSentences(t *testing.T) {
	r := start(t, options{config: func(c *proxy.Config) {
		c.Sentence = func(why attempt.Reason, group triage.GroupName) string { return why.String() + " in " + string(group) }
	}}, nobody(t))
	if status, body := r.get(client(t), "/"); status != 502 || body != "triage: connect-failed in app\n" {
		t.Errorf("%d %q", status, body)
	}
}
