package aws_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage/behind/aws"
)

const token = "AQAEtest=="

// newInstance is an instance metadata service that requires version 2.
func newInstance(items map[string]string) *httptest.Server {
	return httptest.NewServer(instanceHandler(items))
}

func instanceHandler(items map[string]string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, r *http.Request) {
		ttl := r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds")
		if ttl == "" || r.Header.Get("X-Forwarded-For") != "" {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		w.Header().Set("X-aws-ec2-metadata-token-ttl-seconds", ttl)
		io.WriteString(w, token)
	})
	mux.HandleFunc("GET /latest/meta-data/{item...}", func(w http.ResponseWriter, r *http.Request) {
		text, found := items[r.PathValue("item")]
		switch {
		case r.Header.Get("X-aws-ec2-metadata-token") != token:
			http.Error(w, "<title>401 - Unauthorized</title>", http.StatusUnauthorized)
		case !found:
			http.NotFound(w, r)
		default:
			io.WriteString(w, text)
		}
	})
	return mux
}

// oldInstance is a service of version 1: it knows no tokens.
func oldInstance(items map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := items[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
		switch {
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case !found:
			http.NotFound(w, r)
		default:
			io.WriteString(w, text)
		}
	})
}

// serve starts a server and returns its URL.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// env is an environment with these variables only, given as name, value, …
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func ec2(url string) func(string) string { return env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url) }

func addrs(texts ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, text := range texts {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	return parsed
}

func twoInterfaces() map[string]string {
	const macs = "network/interfaces/macs/"
	return map[string]string{
		"local-ipv4":                           "10.0.1.5",
		macs:                                   "0e:49:61:0f:c3:11/\n0e:49:61:0f:c3:12/\n",
		macs + "0e:49:61:0f:c3:11/local-ipv4s": "10.0.1.5\n10.0.1.6\n",
		macs + "0e:49:61:0f:c3:11/ipv6s":       "2001:db8::5",
		macs + "0e:49:61:0f:c3:12/local-ipv4s": "10.0.2.7",
	}
}

func TestReadsAllInterfaces(t *testing.T) {
	learner := &aws.Learner{Getenv: ec2(serve(t, instanceHandler(twoInterfaces())))}
	if learner.Contains(netip.MustParseAddr("10.0.1.5")) || learner.Addresses() != nil {
		t.Error("it knows addresses before it asked")
	}
	got, err := learner.Once(t.Context())
	want := addrs("10.0.1.5", "10.0.1.6", "10.0.2.7", "2001:db8::5")
	if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(learner.Addresses(), want) {
		t.Errorf("Once = %v, %v; Addresses = %v; want %v", got, err, learner.Addresses(), want)
	}
	for text, want := range map[string]bool{
		"10.0.2.7": true, "::ffff:10.0.2.7": true, "2001:db8::5": true, "10.0.2.8": false, "2001:db8::6": false,
	} {
		if got := learner.Contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("Contains(%s) = %t", text, got)
		}
	}
	if learner.Contains(netip.Addr{}) {
		t.Error("it contains the zero address")
	}
}

func TestAnswersAreAddressesOrErrors(t *testing.T) {
	const macs = "network/interfaces/macs/"
	for name, test := range map[string]struct {
		items map[string]string
		want  string
	}{
		"error page":     {map[string]string{"local-ipv4": "<?xml version=\"1.0\"?>\n<html>401</html>"}, `local-ipv4: the answer "<?xml" is not an address`},
		"listing":        {map[string]string{"local-ipv4": "network/"}, `"network/" is not an address`},
		"unspecified":    {map[string]string{"local-ipv4": "0.0.0.0"}, "not an address of a machine"},
		"zone":           {map[string]string{"local-ipv4": "fe80::1%eth0"}, "not an address of a machine"},
		"path for a mac": {map[string]string{"local-ipv4": "10.0.0.1", macs: "../../iam/"}, "is not a MAC address"},
		"nothing":        {map[string]string{}, "knows no private address"},
		"endless":        {map[string]string{"local-ipv4": strings.Repeat("x", 2<<20)}, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			learner := &aws.Learner{Getenv: ec2(serve(t, instanceHandler(test.items)))}
			if _, err := learner.Once(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q in it", err, test.want)
			}
		})
	}
}

// The SDK's own default is to go on without a token.
func TestVersion1OnlyIfAllowed(t *testing.T) {
	url := serve(t, oldInstance(twoInterfaces()))
	strict := &aws.Learner{Getenv: ec2(url)}
	if got, err := strict.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "only version 1 is left") || got != nil {
		t.Errorf("by default: %v, %v", got, err)
	}
	lenient := &aws.Learner{Getenv: ec2(url), AllowV1: true}
	if got, err := lenient.Once(t.Context()); err != nil || len(got) != 4 {
		t.Errorf("with AllowV1: %v, %v", got, err)
	}
	forbidden := &aws.Learner{
		Getenv:  env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, "AWS_EC2_METADATA_V1_DISABLED", "true"),
		AllowV1: true,
	}
	if got, err := forbidden.Once(t.Context()); err == nil {
		t.Errorf("with AWS_EC2_METADATA_V1_DISABLED: %v", got)
	}
}

// A container behind a hop limit of 1 gets no answer to the PUT; the GET of
// version 1 does work there and must still find time.
func TestTokenNeverArrives(t *testing.T) {
	old := oldInstance(twoInterfaces())
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			io.Copy(io.Discard, r.Body) // lets the server see that the client leaves
			<-r.Context().Done()
			return
		}
		old.ServeHTTP(w, r)
	}))
	strict := &aws.Learner{Getenv: ec2(url), Timeout: 400 * time.Millisecond}
	_, err := strict.Once(t.Context())
	if err == nil || !strings.Contains(err.Error(), "PUT /latest/api/token") || !strings.Contains(err.Error(), "--http-put-response-hop-limit 2") {
		t.Errorf("by default: %v", err)
	}
	lenient := &aws.Learner{Getenv: ec2(url), AllowV1: true}
	if got, err := lenient.Once(t.Context()); err != nil || len(got) != 4 {
		t.Errorf("with AllowV1: %v, %v", got, err)
	}
}

func TestErrorsSayTheCure(t *testing.T) {
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()
	for name, test := range map[string]struct {
		learner *aws.Learner
		want    string
	}{
		"turned off": {&aws.Learner{Getenv: ec2(serve(t, status(403)))}, "PUT /latest/api/token: 403 Forbidden; instance metadata is turned off"},
		"no tokens":  {&aws.Learner{Getenv: ec2(serve(t, status(404)))}, "PUT /latest/api/token: 404 Not Found; this service gives no tokens"},
		"redirected": {&aws.Learner{Getenv: ec2(serve(t, http.RedirectHandler("/elsewhere", http.StatusFound)))}, "302 Found"},
		"refused":    {&aws.Learner{Getenv: ec2(closed)}, "connection refused; outside AWS set AWS_EC2_METADATA_DISABLED=true"},
		"no scheme":  {&aws.Learner{Getenv: ec2("127.0.0.1:1338")}, "is not a URL such as"},
		"v2 wanted": {&aws.Learner{AllowV1: true, Getenv: ec2(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(map[string]int{"PUT": 404, "GET": 401}[r.Method])
		})))}, "wants the tokens of version 2"},
		"ECS no URL": {&aws.Learner{Getenv: env("ECS_CONTAINER_METADATA_URI_V4", "nonsense")}, "ECS_CONTAINER_METADATA_URI_V4"},
		"ECS 500":    {&aws.Learner{Getenv: env("ECS_CONTAINER_METADATA_URI_V4", serve(t, status(500))+"/v4/x")}, "GET /v4/x: 500"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := test.learner.Once(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Once = %v, %v; want %q in the error", got, err, test.want)
			}
		})
	}
}

func TestTask(t *testing.T) {
	const awsvpc = `{"DockerId":"x","Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["10.0.2.106"],"IPv6Addresses":["2001:db8::6a"],"MACAddress":"0e:9e:32:c7:48:85"}]}`
	const bridge = `{"DockerId":"x","Networks":[{"NetworkMode":"bridge","IPv4Addresses":["172.17.0.2"]}]}`
	instance := serve(t, instanceHandler(twoInterfaces()))
	for name, test := range map[string]struct {
		document string
		ec2      string
		disabled string
		want     []netip.Addr
		wantErr  string
	}{
		"awsvpc asks nobody else":    {awsvpc, "http://127.0.0.1:1", "", addrs("10.0.2.106", "2001:db8::6a"), ""},
		"awsvpc without EC2":         {awsvpc, instance, "true", addrs("10.0.2.106", "2001:db8::6a"), ""},
		"bridge asks the instance":   {bridge, instance, "", addrs("10.0.1.5", "10.0.1.6", "10.0.2.7", "2001:db8::5"), ""},
		"bridge without EC2":         {bridge, instance, "true", nil, aws.ErrDisabled.Error()},
		"host mode":                  {`{"Networks":[{"NetworkMode":"host"}]}`, instance, "", addrs("10.0.1.5", "10.0.1.6", "10.0.2.7", "2001:db8::5"), ""},
		"no JSON":                    {"<html>", instance, "", nil, "invalid character"},
		"no address in its document": {`{"Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["*"]}]}`, instance, "", nil, `"*" is not an address`},
	} {
		t.Run(name, func(t *testing.T) {
			task := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v4/id" {
					t.Errorf("asked for %s", r.URL)
				}
				io.WriteString(w, test.document)
			}))
			learner := &aws.Learner{Getenv: env("ECS_CONTAINER_METADATA_URI_V4", task+"/v4/id",
				"AWS_EC2_METADATA_SERVICE_ENDPOINT", test.ec2, "AWS_EC2_METADATA_DISABLED", test.disabled)}
			got, err := learner.Once(t.Context())
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if (err != nil) != (test.wantErr != "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("err = %v, want %q", err, test.wantErr)
			}
		})
	}
}

func TestDisabledAsksNobody(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	ctx, stop := context.WithCancel(t.Context())
	learner := &aws.Learner{
		Getenv: env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, "AWS_EC2_METADATA_DISABLED", "TRUE"),
		OnError: func(err error) {
			if !errors.Is(err, aws.ErrDisabled) {
				t.Errorf("err = %v", err)
			}
			stop()
		},
	}
	if err := learner.Run(ctx); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// An address that moves to another interface is followed; a service that fails
// in between takes nothing away.
func TestRunRefreshesAndForgetsNothingOnFailure(t *testing.T) {
	var handler atomic.Value // of http.HandlerFunc
	set := func(h http.Handler) { handler.Store(http.HandlerFunc(h.ServeHTTP)) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.HandlerFunc)(w, r)
	}))
	defer server.Close()
	before := runtime.NumGoroutine() // with the server, without connections
	changes := make(chan []netip.Addr, 10)
	failures := make(chan error, 10)
	learner := &aws.Learner{
		Getenv:   ec2(server.URL),
		Refresh:  5 * time.Millisecond,
		OnChange: func(addrs []netip.Addr) { changes <- addrs },
		OnError:  func(err error) { failures <- err },
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := make(chan error, 1)

	set(instanceHandler(map[string]string{"local-ipv4": "10.0.0.1"}))
	go func() { stopped <- learner.Run(ctx) }()
	if got := <-changes; !reflect.DeepEqual(got, addrs("10.0.0.1")) {
		t.Errorf("first change: %v", got)
	}

	var tries atomic.Int64
	set(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	<-failures
	for deadline := time.Now().Add(10 * time.Second); tries.Load() < 3; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it does not try again")
		}
	}
	if len(failures) != 0 {
		t.Errorf("the same failure is told twice: %v", <-failures)
	}
	if !learner.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("a failure made it forget the address")
	}

	set(instanceHandler(map[string]string{"local-ipv4": "10.0.0.2"}))
	if got := <-changes; !reflect.DeepEqual(got, addrs("10.0.0.2")) {
		t.Errorf("second change: %v", got)
	}
	if learner.Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the old address is still known")
	}

	stop()
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// What was learned before a failure is worth having while nothing else is known.
func TestHalfAnAnswerIsAdded(t *testing.T) {
	learner := &aws.Learner{Getenv: ec2(serve(t, instanceHandler(map[string]string{
		"local-ipv4":               "10.0.1.5",
		"network/interfaces/macs/": "garbage",
	})))}
	got, err := learner.Once(t.Context())
	if err == nil || !reflect.DeepEqual(got, addrs("10.0.1.5")) || !learner.Contains(got[0]) {
		t.Errorf("Once = %v, %v; Addresses = %v", got, err, learner.Addresses())
	}
}

// proxied counts the requests that reached the proxy of this process's
// environment, which net/http reads once, at the first use.
var proxied atomic.Int64

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	os.Setenv("HTTP_PROXY", proxy.URL)
	os.Setenv("http_proxy", proxy.URL)
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

// Metadata addresses are reached directly: a proxy would answer for its own
// machine, and the token service refuses what was forwarded.
func TestNoProxy(t *testing.T) {
	// Not a loopback address, which net/http exempts by itself; nobody is there.
	learner := &aws.Learner{Getenv: ec2("http://0.0.0.0:1")}
	if _, err := learner.Once(t.Context()); err == nil || proxied.Load() != 0 {
		t.Errorf("err = %v; the proxy was asked %d times", err, proxied.Load())
	}
}
