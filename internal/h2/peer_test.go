package h2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triage-lb/triage/internal/h2"
	"github.com/triage-lb/triage/internal/http1"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // x/net tells there of frames that it ignores
	goleak.VerifyTestMain(m)
}

// reply is an answer as a client sees it.
type reply struct {
	interim          []string
	status           int
	fields, trailers []string // "Name: value", sorted
	body             string
}

// answerer has a shape of answer for every path.
func answerer() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f func(w http.ResponseWriter, r *http.Request)) { mux.HandleFunc(path, f) }
	handle("/text", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	handle("/nothing", func(http.ResponseWriter, *http.Request) {})
	handle("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	handle("/304", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(304)
	})
	handle("/503", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not yet", http.StatusServiceUnavailable) })
	handle("/interim", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(103)
		io.WriteString(w, "after it")
	})
	handle("/trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		io.WriteString(w, "content")
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "fine")
	})
	handle("/trailers-unannounced", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"Checksum", "1234")
	})
	handle("/large", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 20 {
			fmt.Fprintf(w, "%d%s\n", i, strings.Repeat("x", 25000))
		}
	})
	handle("/flushed", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 30 {
			fmt.Fprintf(w, "%d\n", i)
			w.(http.Flusher).Flush()
		}
	})
	handle("/fields", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 200 {
			w.Header().Add("X-Many", fmt.Sprintf("%d%s", i, strings.Repeat("y", 200)))
		}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		io.WriteString(w, "and content")
	})
	handle("/long-field", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("z", 60000)) })
	handle("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %s %v", r.Method, r.Host, r.URL, b, r.UserAgent(), err)
	})
	handle("/long-echo", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v", n, err)
	})
	return mux
}

// TestNetHTTPServer asks a real server as net/http's own client does, and sees the same.
func TestNetHTTPServer(t *testing.T) {
	server := h2cServer(t, answerer())
	var c h2.Call // one for all: nothing of an answer may show in the next
	for _, path := range []string{"/text", "/nothing", "/204", "/304", "/503", "/interim", "/trailers", "/trailers-unannounced",
		"/large", "/flushed", "/fields", "/long-field", "/echo", "/missing"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			t.Run(method+path, func(t *testing.T) {
				var body []byte
				if method == "POST" {
					body = []byte("ping")
				}
				ours := askServer(t, &c, server, method, path, body)
				theirs := askNetHTTP(t, server, method, path, body)
				if fmt.Sprint(ours) != fmt.Sprint(theirs) {
					t.Errorf("got      %.1000v\nnet/http %.1000v", ours, theirs)
				}
			})
		}
	}
}

func TestLongBodyToServer(t *testing.T) {
	server := h2cServer(t, answerer())
	var c h2.Call
	got := askServer(t, &c, server, "POST", "/long-echo", make([]byte, 65535))
	if got.body != "65535 <nil>" {
		t.Errorf("%q", got.body)
	}
}

func TestHandlerPanics(t *testing.T) {
	server := h2cServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/later" {
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	for _, path := range []string{"/now", "/later"} {
		var c h2.Call
		_, err := converse(t, &c, server, "GET", path, nil)
		var fault *h2.Error
		if !errors.As(err, &fault) || fault.Kind != h2.Reset || !strings.HasPrefix(fault.Detail, "RST_STREAM: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func h2cServer(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func askServer(t *testing.T, c *h2.Call, server, method, path string, body []byte) reply {
	t.Helper()
	r, err := converse(t, c, server, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// converse asks over a connection of its own.
func converse(t *testing.T, c *h2.Call, server, method, path string, body []byte) (r reply, err error) {
	t.Helper()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := c.Begin(nil, []http1.Field{
		{Name: []byte(":method"), Value: []byte(method)},
		{Name: []byte(":scheme"), Value: []byte("http")},
		{Name: []byte(":path"), Value: []byte(path)},
		{Name: []byte(":authority"), Value: []byte(server)},
		{Name: []byte("user-agent"), Value: []byte("same/1")},
	}, body)
	buf := make([]byte, 4096)
	for {
		if _, err := conn.Write(append(request, c.Out()...)); err != nil {
			t.Fatal(err)
		}
		request = nil
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v after %v (%s)", err, r, c.Goodbye())
		}
		c.Feed(buf[:n])
		if done, err := r.take(c); done || err != nil {
			return r, err
		}
	}
}

// take takes the events that there are.
func (r *reply) take(c *h2.Call) (done bool, err error) {
	for {
		e, err := c.Next()
		if err != nil {
			return false, err
		}
		switch e.Kind {
		case h2.More:
			return false, nil
		case h2.Interim:
			r.interim = append(r.interim, fmt.Sprint(e.Status, named(e.Fields)))
		case h2.Head:
			r.status, r.fields = e.Status, named(e.Fields)
		case h2.Data:
			r.body += string(e.Data)
		case h2.Trailers:
			r.trailers = named(e.Fields)
		case h2.End:
			return true, nil
		}
	}
}

func named(fields []http1.Field) (lines []string) {
	h := http.Header{}
	for _, f := range fields {
		h.Add(string(f.Name), string(f.Value))
	}
	return listed(h)
}

// listed is a header in an order, without what differs from answer to answer, or is taken out of it by net/http.
func listed(h http.Header) (lines []string) {
	for name, values := range h {
		for _, v := range values {
			if name != "Date" && name != "Trailer" {
				lines = append(lines, name+": "+strings.Trim(v, " \t"))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func askNetHTTP(t *testing.T, server, method, path string, body []byte) (r reply) {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			r.interim = append(r.interim, fmt.Sprint(code, listed(http.Header(h))))
			return nil
		}})
	var content io.Reader
	if body != nil {
		content = io.NopCloser(strings.NewReader(string(body))) // its length is not known, so none is sent
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+server+path, content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", "same/1")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.status, r.fields, r.trailers, r.body = answer.StatusCode, listed(answer.Header), listed(answer.Trailer), string(got)
	return r
}
