package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// djangoApp answers as Django does to a Host that it does not know.
func djangoApp(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "Invalid HTTP_HOST header: '"+r.Host+"'. You may need to add '10.0.1.5' to ALLOWED_HOSTS.\n")
	}))
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://")
}

const albCheck = "GET /health HTTP/1.1\r\nHost: 10.0.1.5:8080\r\nConnection: close\r\nUser-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n"

// TestListenForwardShowsTheDialogue: the check, what it accepts, the answer, the verdict and the cause, on one screen.
func TestListenForwardShowsTheDialogue(t *testing.T) {
	app := djangoApp(t)
	l := startListen(t, "--forward", app, "--count", "2")
	l.send(albCheck)
	l.send(albCheck)
	if code := l.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	got := l.stdout.String()
	inOrder := regexp.MustCompile(`(?s)^\S+  127\.0\.0\.1:\d+  HTTP request
Sender     AWS Application Load Balancer.*
    Host: 10\.0\.1\.5:8080\\r\\n  <-- .*
Accepts    The app must answer GET /health with Host "10\.0\.1\.5:8080".*
           200 passes; any of 200-499 can be set\.
.*
Forwarded  to ` + regexp.QuoteMeta(app) + `, unchanged; answered 400 in .*
    HTTP/1\.1 400 Bad Request\\r\\n
.*
UNHEALTHY  to aws-alb, by its default settings: 400
AWS shows  Target\.ResponseCodeMismatch:.*
.*host-not-allowed.*
Answered   400

\S+  127\.0\.0\.1:\d+  HTTP request
`)
	if !inOrder.MatchString(got) {
		t.Errorf("printed\n%s", got)
	}
	if n := strings.Count(got, "\nAccepts "); n != 1 {
		t.Errorf("what the sender accepts is said %d times", n)
	}
	first, _, _ := strings.Cut(got, "\n\n")
	if lines := strings.Count(first, "\n"); lines > 45 {
		t.Errorf("the dialogue takes %d lines", lines)
	}
}

func TestListenForwardJSON(t *testing.T) {
	l := startListen(t, "--forward", djangoApp(t), "--count", "2", "--json")
	l.send(albCheck)
	l.send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n")
	l.wait()
	type report struct {
		Schema    string
		Answered  int
		Refused   string
		Accepts   []string
		Answer    string
		Sender    struct{ Dialects []string }
		Forwarded *struct {
			Status int
			Whole  bool
			Judged []struct {
				Dialect, Outcome string
				Healthy          bool
				Diagnosis        struct{ Code string }
			}
		}
	}
	var passed, refused report
	d := json.NewDecoder(&l.stdout)
	if err := d.Decode(&passed); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(&refused); err != nil {
		t.Fatal(err)
	}
	f := passed.Forwarded
	if passed.Schema != "triage.listen/1" || passed.Answered != 400 || len(passed.Accepts) == 0 || len(passed.Sender.Dialects) != 1 ||
		!strings.HasPrefix(passed.Answer, "HTTP/1.1 400") || f == nil || f.Status != 400 || !f.Whole ||
		len(f.Judged) != 1 || f.Judged[0].Dialect != "aws-alb" || f.Judged[0].Outcome != "code-mismatch" || f.Judged[0].Healthy || f.Judged[0].Diagnosis.Code == "" {
		t.Errorf("passed on: %+v", passed)
	}
	if refused.Answered != 403 || refused.Refused == "" || refused.Forwarded != nil {
		t.Errorf("refused: %+v", refused)
	}
}

// TestListenForwardLetsNoEscapeThrough: an application's answer is as hostile as a sender's request.
func TestListenForwardLetsNoEscapeThrough(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 400 \x9b31m\r\nServer: a\u009b31m\u202e\r\nLocation: /\xff\r\n\r\n\x1b]0;owned\x07" + strings.Repeat("\xff", 2000) + strings.Repeat("\n", 200),
		"\x1b[2J",
		"HTTP/1.1 302 Found\r\nLocation: /\u009b" + strings.Repeat("a", 500) + "\r\n\r\n",
	} {
		app, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := app.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
		}()
		l := startListen(t, "--forward", app.Addr().String(), "--count", "1")
		l.send("GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.31\r\n\r\n")
		l.wait()
		app.Close()
		if !strings.Contains(l.stdout.String(), "Forwarded") {
			t.Errorf("nothing was passed on:\n%s", l.stdout.String())
		}
		for line := range strings.Lines(l.stdout.String()) {
			for _, c := range strings.TrimSuffix(line, "\n") {
				if c < ' ' || c >= 0x7f && c != '…' {
					t.Errorf("%q in %q", c, line)
					break
				}
			}
		}
	}
}

func TestListenForwardWarnsAndRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		text string
	}{
		{[]string{"--path", "/x"}, "need --forward"},
		{[]string{"--allow-remote"}, "need --forward"},
		{[]string{"--forward", "8000"}, "not an address and a port"},
		{[]string{"--forward", "app.example:80"}, "is no address"},
		{[]string{"--forward", "10.0.0.1:80"}, "hint: --allow-remote"},
		{[]string{"--forward", "169.254.169.254:80", "--allow-remote"}, "link-local"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"listen", "127.0.0.1:0"}, tt.args...), func(string) string { return "" }, nil, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), tt.text) {
			t.Errorf("%v: exit code %d, %q", tt.args, code, stderr.String())
		}
	}
	command := &listenCommand{Forward: ":8000", Path: "/x"}
	f, err := command.forward()
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"whoever reaches :80 ", "127.0.0.1:8000", "/x", "anybody can imitate a health check"} {
		if warning := exposed(f, ":80"); !strings.Contains(warning, said) {
			t.Errorf("the warning %q lacks %q", warning, said)
		}
	}
}
