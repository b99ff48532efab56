package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/diagnose"
	"github.com/triage-lb/triage/internal/dialect"
)

// askerOf is the asker of a command line's check.
func askerOf(t *testing.T, own []netip.Addr, command checkCommand) *asker {
	t.Helper()
	command.Count = 1
	q, err := command.question()
	if err != nil {
		t.Fatal(err)
	}
	targets, err := q.resolve(&environment{ctx: t.Context(), addresses: func() []netip.Addr { return own }})
	if err != nil {
		t.Fatal(err)
	}
	return &asker{question: q, target: &targets[0], left: diagnose.MaxQuestions}
}

// serveTwice runs a handler on the same port of two addresses.
func serveTwice(t *testing.T, one, other string, h http.Handler) (port string) {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", net.JoinHostPort(one, "0"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := net.Listen("tcp", net.JoinHostPort(other, portOf(first.Addr().String())))
		if err != nil {
			first.Close()
			continue
		}
		for _, l := range []net.Listener{first, second} {
			s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
			s.Start()
			t.Cleanup(s.Close)
		}
		return portOf(first.Addr().String())
	}
	t.Fatal("no port is free on both addresses")
	return ""
}

// TestSecondQuestionsArePut: each variation changes what it names, and nothing else.
func TestSecondQuestionsArePut(t *testing.T) {
	asked := make(chan string, 8)
	port := serveTwice(t, "127.0.1.5", "127.0.0.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- strings.Join([]string{r.Method, r.Host, r.URL.Path, r.Header.Get("X-Forwarded-Proto"), r.UserAgent()}, " ")
	}))
	a := askerOf(t, nil, checkCommand{URL: "127.0.1.5:" + port + "/health"})
	const agent = " ELB-HealthChecker/2.0"
	for _, c := range []struct {
		v    dialect.Variation
		want string
	}{
		{dialect.Variation{Host: "shop.example"}, "GET shop.example /health " + agent},
		{dialect.Variation{Header: dialect.Header{Name: "X-Forwarded-Proto", Value: "https"}, Method: "HEAD"}, "HEAD 127.0.1.5:" + port + " /health https" + agent},
		{dialect.Variation{Path: "/", Pause: time.Millisecond}, "GET 127.0.1.5:" + port + " / " + agent},
		{dialect.Variation{At: dialect.Loopback}, "GET 127.0.0.1:" + port + " /health " + agent},
	} {
		x := a.ask(t.Context(), c.v)
		if x == nil || x.Outcome != triage.Matched {
			t.Fatalf("%s: %+v", c.v, x)
		}
		if got := <-asked; got != c.want {
			t.Errorf("%s: asked %q, want %q", c.v, got, c.want)
		}
	}
}

// TestSecondQuestionsAreNotPut: what is not harmless, not there, or one too many.
func TestSecondQuestionsAreNotPut(t *testing.T) {
	var requests atomic.Int32
	address := serveOn(t, "127.0.0.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	a := askerOf(t, nil, checkCommand{URL: address})
	for _, v := range []dialect.Variation{
		{Method: "POST"}, {Protocol: triage.GRPC}, {At: dialect.Loopback}, {At: dialect.OtherFamily},
	} {
		if x := a.ask(t.Context(), v); x != nil {
			t.Errorf("%s was asked", v)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if x := a.ask(ctx, dialect.Variation{Pause: time.Hour}); x != nil {
		t.Error("asked after the end")
	}
	for a.left > 0 {
		if a.ask(t.Context(), dialect.Variation{}) == nil {
			t.Fatal("not asked")
		}
	}
	if a.ask(t.Context(), dialect.Variation{}) != nil || requests.Load() >= diagnose.MaxQuestions+1 {
		t.Errorf("%d questions", requests.Load())
	}
	tunnel := askerOf(t, []netip.Addr{netip.MustParseAddr("10.0.1.5")}, checkCommand{URL: "10.0.1.5:80", Connect: address})
	for _, v := range []dialect.Variation{{Proxy: triage.ProxyV1}, {Protocol: triage.TCP}, {At: dialect.Loopback}} {
		if x := tunnel.ask(t.Context(), v); x != nil {
			t.Errorf("%s was asked through a tunnel", v)
		}
	}
}

// TestSecondPlaces: loopback only if the address is this machine's, the other family only if a name was given that has both.
func TestSecondPlaces(t *testing.T) {
	for _, c := range []struct {
		url, own, loopback string
	}{
		{"10.0.1.5:80", "10.0.1.5", "127.0.0.1:80"},
		{"10.0.1.5:80", "10.0.1.6", ""},
		{"[fd00::5]:80", "fd00::5", "[::1]:80"},
		{"127.0.0.1:80", "10.0.1.5", ""},
	} {
		a := askerOf(t, []netip.Addr{netip.MustParseAddr(c.own)}, checkCommand{URL: c.url})
		key, ok := a.place(dialect.Loopback)
		if ok != (c.loopback != "") || ok && key.Address.String() != c.loopback {
			t.Errorf("%s on %s: loopback is %s", c.url, c.own, key.Address)
		}
		if _, ok := a.place(dialect.OtherFamily); ok {
			t.Errorf("%s has another family", c.url)
		}
	}
	a := &asker{target: &checkTarget{key: triage.Key{Address: netip.MustParseAddrPort("10.0.1.5:80")}, other: netip.MustParseAddr("fd00::5")}}
	if key, ok := a.place(dialect.OtherFamily); !ok || key.Address.String() != "[fd00::5]:80" {
		t.Errorf("the other family is at %s", key.Address)
	}
}

func TestPublicHosts(t *testing.T) {
	redirects := &triage.Exchange{Head: []byte("HTTP/2 301\r\nlocation: https://shop.example:8443/x\r\n\r\n")}
	certified := &triage.Exchange{TLS: &triage.TLSFacts{Names: []string{"*.shop.example", "10.0.1.5", "ingress.local", "a'b.example", "www.shop.example"}}, Head: redirects.Head}
	for _, c := range []struct {
		url   string
		given []string
		x     *triage.Exchange
		want  []string
	}{
		{"10.0.1.5:80", nil, &triage.Exchange{}, nil},
		{"Web1.example:80", nil, &triage.Exchange{}, []string{"web1.example"}},
		{"localhost:80", nil, &triage.Exchange{Head: []byte("HTTP/1.1 301 Moved\r\nLocation: https://10.0.1.5/\r\n\r\n")}, nil},
		{"web1.example:80", nil, redirects, []string{"shop.example", "web1.example"}},
		{"10.0.1.5:80", nil, certified, []string{"www.shop.example", "shop.example"}},
		{"web1.example:80", []string{"Given.example", "intranet"}, certified, []string{"given.example", "intranet"}},
	} {
		q, err := (&checkCommand{URL: c.url, PublicHost: c.given, Count: 1}).question()
		if err != nil {
			t.Fatal(err)
		}
		if got := q.publicHosts(c.x, nil); !slices.Equal(got, c.want) {
			t.Errorf("%s %q: %q, want %q", c.url, c.given, got, c.want)
		}
	}
}

// TestPublicHostIsTried: the name that a person gives is the first that is asked for.
func TestPublicHostIsTried(t *testing.T) {
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example" {
			w.WriteHeader(400)
			io.WriteString(w, "<h1>Bad Request (400)</h1>")
		}
	}))
	r := runTriage(t, nil, "check", "--public-host", "shop.example", address+"/health_check")
	if want := "Proof      the same request with Host shop.example: 200\n"; r.code != exitUnhealthy || !strings.Contains(r.stdout, want) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestNoFollowUp: one request, and what it tells alone.
func TestNoFollowUp(t *testing.T) {
	var requests atomic.Int32
	address := serveOn(t, "0.0.0.0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		asDjango(w, r)
	}))
	own := []netip.Addr{netip.MustParseAddr("127.0.1.6")}
	r := runTriage(t, own, "check", "--no-follow-up", "127.0.0.1:"+portOf(address)+"/health_check")
	if r.code != exitUnhealthy || requests.Load() != 1 || strings.Contains(r.stdout, "Proof") || r.stderr != "" {
		t.Errorf("exit %d after %d requests\n%s%s", r.code, requests.Load(), r.stdout, r.stderr)
	}
}

// TestInterruptedInquiryKeepsTheVerdict: what is known stays, on paper and in JSON.
func TestInterruptedInquiryKeepsTheVerdict(t *testing.T) {
	for _, args := range [][]string{{"check"}, {"check", "--json"}} {
		ctx, interrupt := context.WithCancel(context.Background())
		address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Host, "127.0.1.5") { // the second question
				interrupt()
				<-r.Context().Done()
				return
			}
			asDjango(w, r)
		}))
		var out bytes.Buffer
		if code := run(ctx, append(args, address), os.Getenv, strings.NewReader(""), &out, &out); code != exitInterrupted {
			t.Errorf("exit %d\n%s", code, &out)
		}
		if !strings.Contains(out.String(), "[400]") || !strings.Contains(out.String(), "AWS") && !strings.Contains(out.String(), `"diagnosis": {`) {
			t.Errorf("%q:\n%s", args, &out)
		}
	}
}

// TestWhatIsNotTestedIsSaid: once, and where it may be taken for tested.
func TestWhatIsNotTestedIsSaid(t *testing.T) {
	const note = "asked from this machine: security groups, ACLs and routes of the load balancer were not tested"
	address := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sick" {
			w.WriteHeader(500)
		}
	}))
	for args, want := range map[string]int{
		"--no-follow-up " + address:           1,
		"--no-follow-up --count 2 " + address: 1,
		"--json " + address:                   1,
		"-q " + address:                       0,
		address + "/sick":                     0,
	} {
		r := runTriage(t, nil, append([]string{"check"}, strings.Fields(args)...)...)
		if got := strings.Count(joined(r.stdout), note); got != want {
			t.Errorf("%s: said %d times, want %d\n%s", args, got, want, r.stdout)
		}
	}
	r := &checkReport{question: &question{}}
	if got := r.untested(&triage.Exchange{Outcome: triage.ConnectTimeout}); got != note {
		t.Errorf("a connect time-out: %q", got)
	}
}

// TestStrictPassIsOneWithoutDoubt: a pass that means little is a warning, and with --strict exit code 1.
func TestStrictPassIsOneWithoutDoubt(t *testing.T) {
	everything := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<!doctype html><div id="root"></div><script src="/assets/index.js"></script>`)
	}))
	honest := serveOn(t, "127.0.1.5", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health_check" {
			w.WriteHeader(404)
			return
		}
		io.WriteString(w, "ok")
	}))
	loud := runTriage(t, nil, "check", everything+"/health_check")
	if loud.code != exitOK || !strings.Contains(loud.stdout, "\nWarning    ") {
		t.Errorf("exit %d\n%s%s", loud.code, loud.stdout, loud.stderr)
	}
	if r := runTriage(t, nil, "check", "--strict", everything+"/health_check"); r.code != exitUnhealthy || !strings.HasPrefix(r.stdout, "HEALTHY ") {
		t.Errorf("--strict: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runTriage(t, nil, "check", "-q", "--strict", everything+"/health_check"); r.code != exitUnhealthy || strings.Count(r.stdout, "\n") != 1 || !strings.HasPrefix(r.stderr, "triage: warning: ") {
		t.Errorf("-q --strict: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runTriage(t, nil, "check", "--json", everything+"/health_check"); r.code != exitOK || !strings.Contains(r.stdout, `"doubts": [`) {
		t.Errorf("--json: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runTriage(t, nil, "check", "--count", "2", everything+"/health_check"); strings.Count(r.stdout, "\nWarning") != strings.Count(loud.stdout, "\nWarning") {
		t.Errorf("warned more than once:\n%s", r.stdout)
	}
	if r := runTriage(t, nil, "check", "--strict", honest+"/health_check"); r.code != exitOK || strings.Contains(r.stdout, "Warning") {
		t.Errorf("an honest pass: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
