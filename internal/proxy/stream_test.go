package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/triage-lb/triage"
)

// TestEventsArriveAsSent: each event must arrive before the next one is sent, and the head before the first.
func TestEventsArriveAsSent(t *testing.T) {
	for _, length := range []string{"", "30"} {
		t.Run("length "+length, func(t *testing.T) {
			next := make(chan bool, 1)
			r := start(t, options{}, target(t, func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				for range 3 {
					<-next
					fmt.Fprintf(w, "data: 123\n")
					w.(http.Flusher).Flush()
				}
			}))
			if length != "" {
				next <- true // with a length, the head may wait for the first byte
			}
			resp, err := client(t).Get("http://" + r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				if i > 0 || length == "" {
					next <- true
				}
				if line, err := lines.ReadString('\n'); line != "data: 123\n" {
					t.Fatalf("event %d: %q %v", i, line, err)
				}
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	r := start(t, options{}, target(t, func(w http.ResponseWriter, r *http.Request) {
		sum, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "short")
		w.Header().Set("X-Sum", string(sum)+r.Trailer.Get("X-Up"))
		w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
	}))
	req, _ := http.NewRequest("POST", "http://"+r.addr, io.MultiReader(strings.NewReader("content")))
	req.Trailer = http.Header{"X-Up": {"+trailer"}}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "short" || resp.Trailer.Get("X-Sum") != "content+trailer" || resp.Trailer.Get("X-Late") != "unannounced" {
		t.Errorf("body %q, trailers %v", body, resp.Trailer)
	}
}

func TestContinue(t *testing.T) {
	t.Run("the target decides", func(t *testing.T) {
		r := start(t, options{}, target(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}))
		c := r.dial()
		br := bufio.NewReader(c)
		_, _ = io.WriteString(c, "POST /yes HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if head, err := readHead(br); head != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("%q %v", head, err)
		}
		_, _ = io.WriteString(c, "hello")
		if head, err := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 200 OK") {
			t.Fatalf("%q %v", head, err)
		}
		if n, _ := br.ReadByte(); n != '5' {
			t.Fatalf("the target got %c bytes", n)
		}
		_, _ = io.WriteString(c, "POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		if head, err := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 403") {
			t.Fatalf("%q %v", head, err)
		}
	})
	t.Run("a target that knows nothing of it gets the body after a while", func(t *testing.T) {
		addr := rawTarget(t, func(_ int, c net.Conn) {
			br := bufio.NewReader(c)
			_, _ = readHead(br)
			_, _ = io.ReadFull(br, make([]byte, 5))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		})
		r := start(t, options{}, addr)
		c := r.dial()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
		br := bufio.NewReader(c)
		_, _ = readHead(br)
		if head, err := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 200") {
			t.Fatalf("%q %v", head, err)
		}
	})
}

func TestEarlyHints(t *testing.T) {
	r := start(t, options{}, target(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		fmt.Fprint(w, "page")
	}))
	hint := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			hint = fmt.Sprint(status, h.Get("Link"))
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr, nil)
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if hint != "103</style.css>" || resp.Header.Get("Link") != "" || resp.StatusCode != 200 {
		t.Errorf("hint %q, then %d with %v", hint, resp.StatusCode, resp.Header)
	}
}

// TestBigBodiesBothWays sends more than all buffers hold while the answer, which is as big, comes back.
func TestBigBodiesBothWays(t *testing.T) {
	const size = 8 << 20
	r := start(t, options{}, target(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}))
	for _, known := range []bool{true, false} {
		content := rand.NewChaCha8([32]byte{1})
		sum := sha256.New()
		req, _ := http.NewRequest("POST", "http://"+r.addr, io.TeeReader(io.LimitReader(content, size), sum))
		if known {
			req.ContentLength = size
		}
		resp, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		back := sha256.New()
		n, err := io.Copy(back, resp.Body)
		resp.Body.Close()
		if err != nil || n != size || !bytes.Equal(back.Sum(nil), sum.Sum(nil)) {
			t.Errorf("length known %t: %d bytes came back, %v", known, n, err)
		}
	}
}

// TestEarlyAnswer: a target may refuse an upload before it has come; the client must see that answer, and
// what it still sends must not be taken for its next request.
func TestEarlyAnswer(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		_, _ = readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch")
		_, _ = io.Copy(io.Discard, br)
	})
	r := start(t, options{}, addr)
	c := r.dial()
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(answer); !strings.HasPrefix(s, "HTTP/1.1 413 ") || !strings.HasSuffix(s, "\r\n\r\nmuch") || !strings.Contains(s, "Connection: close") {
		t.Errorf("%q", s)
	}
}

// TestTalkBothWays: an answer that begins while the request is still being sent goes out at once, and the
// request goes on.
func TestTalkBothWays(t *testing.T) {
	addr := rawTarget(t, func(_ int, c net.Conn) {
		br := bufio.NewReader(c)
		_, _ = readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
		for range 3 {
			word := make([]byte, 5)
			_, _ = io.ReadFull(br, word)
			_, _ = c.Write(bytes.ToUpper(word))
		}
	})
	r := start(t, options{}, addr)
	c := r.dial()
	br := bufio.NewReader(c)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n")
	for i, word := range []string{"hello", "again", "leave"} {
		_, _ = io.WriteString(c, word)
		if i == 0 {
			_, _ = readHead(br)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(br, got); string(got) != strings.ToUpper(word) {
			t.Fatalf("%q %v", got, err)
		}
	}
}

func TestClientAbortReachesTarget(t *testing.T) {
	arrived, aborted := make(chan bool), make(chan bool)
	r := start(t, options{}, target(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		close(aborted)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr, nil)
	failed := make(chan error, 1)
	c := client(t)
	go func() {
		_, err := c.Do(req)
		failed <- err
	}()
	<-arrived
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	select {
	case <-aborted:
	case <-time.After(patience):
		t.Error("the target never heard of it")
	}
	eventually(t, "nothing in flight", func() bool { return r.table.Snapshot("app")[0].InFlight == 0 })
	if n := r.suspected(); n != 0 {
		t.Errorf("the target was suspected %d times for a client that left", n)
	}
}

// TestBrokenAnswerAborts: the client must be able to tell that what it got is not all.
func TestBrokenAnswerAborts(t *testing.T) {
	for _, head := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		t.Run(head, func(t *testing.T) {
			addr := rawTarget(t, func(_ int, c net.Conn) {
				_, _ = readHead(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head+"\r\n\r\n5\r\nhello\r\n")
			})
			r := start(t, options{}, addr)
			resp, err := client(t).Get("http://" + r.addr)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Error("the client took half an answer for a whole one")
			}
			eventually(t, "the target is suspected", func() bool { return r.suspected() == 1 })
		})
	}
}

// TestNothingMoves: whoever stops moving is cut off, whatever the phase, and it is said whose fault it was.
func TestNothingMoves(t *testing.T) {
	idle := options{group: func(r *triage.Roster) {
		r.IdleTimeout, r.ResponseTimeout = 200*time.Millisecond, 400*time.Millisecond
	}}
	t.Run("the client stops in its body", func(t *testing.T) {
		r := start(t, idle, record(t).addr)
		got := r.say("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
		if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "Connection: close") {
			t.Errorf("%q", got)
		}
		if r.suspected() > 0 {
			t.Error("the target was suspected")
		}
	})
	t.Run("the target stops in its body", func(t *testing.T) {
		addr := rawTarget(t, func(_ int, c net.Conn) {
			_, _ = readHead(bufio.NewReader(c))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
			_, _ = io.Copy(io.Discard, c)
		})
		r := start(t, idle, addr)
		if got := r.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nhello") {
			t.Errorf("%q", got)
		}
		if r.suspected() != 1 {
			t.Errorf("the target was suspected %d times", r.suspected())
		}
	})
	t.Run("the client does not read", func(t *testing.T) {
		ended := make(chan bool)
		r := start(t, idle, target(t, func(w http.ResponseWriter, _ *http.Request) {
			defer close(ended)
			chunk := make([]byte, 1<<20)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}))
		c := r.dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the target was never let go")
		}
	})
	t.Run("a body that keeps moving is not cut off", func(t *testing.T) {
		r := start(t, idle, target(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}))
		c := r.dial()
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n")
		for range 12 { // longer than either limit in all
			time.Sleep(50 * time.Millisecond)
			_, _ = io.WriteString(c, "x")
		}
		if answer, err := bufio.NewReader(c).ReadString('\n'); answer != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("%q %v", answer, err)
		}
	})
}

// TestAnswersHaveTheRightBody: what has no content by definition must not be given any.
func TestAnswersHaveTheRightBody(t *testing.T) {
	r := start(t, options{}, target(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "7")
			fmt.Fprint(w, "content")
		}
	}))
	c := r.dial()
	br := bufio.NewReader(c)
	for _, request := range []string{"HEAD /", "GET /204", "GET /304", "GET /", "HEAD /"} {
		_, _ = io.WriteString(c, request+" HTTP/1.1\r\nHost: h\r\n\r\n")
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		body, _ := io.ReadAll(resp.Body)
		if request == "HEAD /" && resp.ContentLength != 7 {
			t.Errorf("%s: length %d", request, resp.ContentLength)
		}
		if want := map[bool]string{true: "content"}[request == "GET /"]; string(body) != want {
			t.Errorf("%s: body %q", request, body)
		}
	}
}
