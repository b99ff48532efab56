package probe

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// asGo is a dialect that follows redirects as net/http's client does, and asks for names as they were typed.
var asGo = dialect.Spec{
	Name:      "as-go",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS},
	Host:      dialect.HostTyped,
	Headers:   []dialect.Header{{Name: "Host", Value: dialect.HostValue}, {Name: "User-Agent", Value: "go"}, {Name: "Connection", Value: "close"}},
	Codes:     triage.MatchCodes(200, 299),
	Redirects: dialect.RedirectsFollowed,
	TLS:       dialect.TLSRule{SNI: true},
}

// asKubelet is one that follows them while the host name stays.
var asKubelet = dialect.Spec{
	Name:      "as-kubelet",
	Protocols: []triage.Protocol{triage.HTTP, triage.HTTPS},
	Host:      dialect.HostAddressPort,
	Headers:   []dialect.Header{{Name: "Host", Value: dialect.HostValue}, {Name: "Accept", Value: "*/*"}},
	Codes:     triage.MatchCodes(200, 399),
	Redirects: dialect.RedirectsSameHost,
}

// planOf makes a plan of a spec with the spec's own success codes.
func planOf(spec *dialect.Spec, p triage.Protocol) *Plan {
	c := settings(p)
	c.SuccessCodes = spec.Codes
	return Compile(spec, c)
}

// travel drives a session through answers that redirect, each told by the address and request it is the answer to.
func travel(t *testing.T, p *Plan, key triage.Key, answer func(n int, to netip.AddrPort, request string) string) *triage.Exchange {
	t.Helper()
	at := time.Unix(1_000_000, 0)
	s, a := p.Start(key, at)
	for n := 0; ; n++ {
		at = at.Add(time.Millisecond)
		if a.Kind != Dial {
			t.Fatalf("request %d begins with action %d", n, a.Kind)
		}
		if n > maxRequests {
			t.Fatalf("%d requests", n)
		}
		to := s.Exchange().Address
		if a = s.Handle(Event{Kind: Connected, At: at, Local: netip.MustParseAddrPort("10.0.0.9:40000")}); a.Kind != Write {
			t.Fatalf("after the connect: action %d", a.Kind)
		}
		request := string(a.Data)
		s.Handle(Event{Kind: Written, At: at})
		if a = s.Handle(Event{Kind: Data, At: at, Data: []byte(answer(n, to, request))}); a.Kind == Wait {
			a = s.Handle(Event{Kind: EOF, At: at})
		}
		if a.Kind == Done {
			return s.Exchange()
		}
	}
}

func redirectTo(location string) string {
	return "HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n"
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

var (
	byName    = triage.Key{Target: "app.example:8000", Address: target.Address}
	followers = map[string]*dialect.Spec{"go": &asGo, "kubelet": &asKubelet}
)

// TestOneRedirect: what becomes of a Location, by the dialect's rule. "" as what is asked next means that nothing is.
func TestOneRedirect(t *testing.T) {
	for _, c := range []struct {
		spec     *dialect.Spec
		key      triage.Key
		location string
		next     string // address, Host and path of the second request
		want     triage.Outcome
		detail   string
	}{
		{&asGo, target, "/other?a=b", "10.0.1.5:8000 10.0.1.5:8000 /other?a=b", triage.Matched, ""},
		{&asGo, target, "sub", "10.0.1.5:8000 10.0.1.5:8000 /sub", triage.Matched, ""},
		{&asGo, target, "?a", "10.0.1.5:8000 10.0.1.5:8000 /health_check?a", triage.Matched, ""},
		{&asGo, target, "/a/../b#part", "10.0.1.5:8000 10.0.1.5:8000 /b", triage.Matched, ""},
		{&asGo, target, "http://10.0.1.5/", "10.0.1.5:80 10.0.1.5 /", triage.Matched, ""},
		{&asGo, target, "http://10.0.1.5:81", "10.0.1.5:81 10.0.1.5:81 /", triage.Matched, ""},
		{&asGo, target, "//10.0.1.5:82/x", "10.0.1.5:82 10.0.1.5:82 /x", triage.Matched, ""},
		{&asGo, byName, "/other", "10.0.1.5:8000 app.example:8000 /other", triage.Matched, ""},
		{&asGo, byName, "http://APP.example/", "10.0.1.5:80 APP.example /", triage.Matched, ""},
		{&asGo, byName, "http://10.0.1.5:8000/", "10.0.1.5:8000 10.0.1.5:8000 /", triage.Matched, ""},
		{&asGo, byName, "http://www.app.example/", "", triage.RedirectElsewhere, `"http://www.app.example/"`},
		{&asGo, target, "http://app.example/", "", triage.RedirectElsewhere, "another host"},
		{&asGo, target, "http://169.254.169.254/latest/", "", triage.RedirectElsewhere, "another host"},
		{&asGo, target, "http://10.0.1.6:8000/", "", triage.RedirectElsewhere, "another host"},
		{&asGo, target, "http://me:secret@10.0.1.5/", "", triage.RedirectElsewhere, "a user"},
		{&asGo, target, "/" + strings.Repeat("x", maxLocation), "", triage.RedirectElsewhere, "8193 bytes"},
		{&asGo, target, "ftp://10.0.1.5/", "", triage.RedirectFailed, "neither http nor https"},
		{&asGo, target, "javascript:alert(1)", "", triage.RedirectFailed, "neither http nor https"},
		{&asGo, target, "http:///x", "", triage.RedirectFailed, "no host"},
		{&asGo, target, "http:x", "", triage.RedirectFailed, "no host"},
		{&asGo, target, "http://10.0.1.5:0/", "", triage.RedirectFailed, "not a port"},
		{&asGo, target, "http://10.0.1.5:65536/", "", triage.RedirectFailed, "not a port"},
		{&asGo, target, "http://10.0.1.5:x/", "", triage.RedirectFailed, "not a URL"},
		{&asGo, target, "/%zz", "", triage.RedirectFailed, "not a URL"},
		{&asGo, target, "/?a b", "", triage.RedirectFailed, "no request may"},
		{&asGo, target, "", "", triage.CodeMismatch, ""},

		{&asKubelet, target, "/other", "10.0.1.5:8000 10.0.1.5:8000 /other", triage.Matched, ""},
		{&asKubelet, target, "http://10.0.1.5/", "10.0.1.5:80 10.0.1.5 /", triage.Matched, ""},
		{&asKubelet, target, "http://10.0.1.6:8000/", "", triage.Matched, "another host"},
		{&asKubelet, byName, "http://app.example/", "", triage.Matched, "another host"}, // it knows the address only
		{&asKubelet, target, "mailto:a@b.example", "", triage.Matched, "another host"},
		{&asKubelet, target, "ftp://10.0.1.5/", "", triage.RedirectFailed, "neither http nor https"},
		{&asKubelet, target, "", "", triage.Matched, ""},

		{dialect.Get(triage.AWSALB), target, "/other", "", triage.CodeMismatch, ""},
	} {
		name := fmt.Sprintf("%s/%s to %.40s", c.spec.Name, c.key.Target, c.location)
		t.Run(name, func(t *testing.T) {
			var next string
			x := travel(t, planOf(c.spec, triage.HTTP), c.key, func(n int, to netip.AddrPort, request string) string {
				if n == 0 {
					return redirectTo(c.location)
				}
				next = askedFor(t, to, request)
				return fine
			})
			if next != c.next || x.Outcome != c.want || !strings.Contains(x.Detail, c.detail) || c.detail == "" && x.Detail != "" {
				t.Errorf("asked %q, %s (%s)\nwant %q, %s (%s)", next, x.Outcome, x.Detail, c.next, c.want, c.detail)
			}
			if strings.Contains(x.Detail, "secret") || len(x.Detail) > 400 {
				t.Errorf("detail %q", x.Detail)
			}
			if followed := len(x.Redirects) == 1; followed != (c.next != "") || followed && x.Status != 200 {
				t.Errorf("redirects %q, status %d", x.Redirects, x.Status)
			}
		})
	}
}

// askedFor is where a request went, its Host and its path.
func askedFor(t *testing.T, to netip.AddrPort, request string) string {
	t.Helper()
	_, rest, _ := strings.Cut(request, " ")
	path, rest, _ := strings.Cut(rest, " ")
	_, rest, ok := strings.Cut(rest, "\r\nHost: ")
	host, _, _ := strings.Cut(rest, "\r\n")
	if !ok {
		t.Fatalf("a request without Host: %q", request)
	}
	return fmt.Sprintf("%s %s %s", to, host, path)
}

// TestHostOfRedirects: a Host header that a person has set stays while redirects are relative, as in net/http.
func TestHostOfRedirects(t *testing.T) {
	p := planOf(&asGo, triage.HTTP).Vary(dialect.Variation{Host: "www.example"})
	var hosts []string
	x := travel(t, p, target, func(n int, to netip.AddrPort, request string) string {
		hosts = append(hosts, askedFor(t, to, request))
		switch n {
		case 0:
			return redirectTo("/a")
		case 1:
			return redirectTo("http://10.0.1.5:8000/b")
		case 2:
			return redirectTo("/c")
		}
		return fine
	})
	want := "10.0.1.5:8000 www.example /health_check, 10.0.1.5:8000 www.example /a, 10.0.1.5:8000 10.0.1.5:8000 /b, 10.0.1.5:8000 10.0.1.5:8000 /c"
	if got := strings.Join(hosts, ", "); got != want || x.Outcome != triage.Matched {
		t.Errorf("%s\n%s, want\n%s", x.Outcome, got, want)
	}
	if got := strings.Join(x.Redirects, " "); got != "http://10.0.1.5:8000/a http://10.0.1.5:8000/b http://10.0.1.5:8000/c" {
		t.Errorf("redirects %s", got)
	}
}

// TestEndlessRedirects: the tenth answer is the last.
func TestEndlessRedirects(t *testing.T) {
	for _, name := range []string{"go", "kubelet"} {
		requests := 0
		x := travel(t, planOf(followers[name], triage.HTTP), target, func(n int, _ netip.AddrPort, _ string) string {
			requests++
			return redirectTo(fmt.Sprintf("/%d", n))
		})
		if requests != 10 || x.Outcome != triage.RedirectFailed || x.Status != 302 || !strings.Contains(x.Detail, "10 requests, and still a redirect") || len(x.Redirects) != 9 {
			t.Errorf("%s: %d requests, %s %d (%s), %d redirects", name, requests, x.Outcome, x.Status, x.Detail, len(x.Redirects))
		}
	}
}

// TestRedirectsAsNetHTTP holds us to the client that these load balancers are made with: the same requests, byte for byte.
func TestRedirectsAsNetHTTP(t *testing.T) {
	var requests atomic.Pointer[[]string]
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := append(append([]string{}, *requests.Load()...), fmt.Sprintln(r.Method, r.RequestURI, r.Host, r.Header))
		requests.Store(&next)
		switch r.URL.Path {
		case "/health_check":
			http.Redirect(w, r, "/login?next=%2Fhealth_check", http.StatusFound)
		case "/login":
			w.Header().Set("Location", "http://"+r.Host+"/deep/er/#part")
			w.WriteHeader(http.StatusPermanentRedirect)
		case "/deep/er/":
			w.Header().Set("Location", "../é?q=a")
			w.WriteHeader(http.StatusSeeOther)
		}
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	address := server.Listener.Addr().String()

	requests.Store(&[]string{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/health_check", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", "go")
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	theirs := *requests.Load()
	// net/http keeps the fragment of what redirected, which RFC 9110 section 10.1.3 forbids; we leave it away.
	theirs[3] = strings.Replace(theirs[3], "#part", "", 1)

	requests.Store(&[]string{})
	key := triage.Key{Target: triage.TargetID(address), Address: netip.MustParseAddrPort(address)}
	x := Do(context.Background(), planOf(&asGo, triage.HTTP), key, triage.AddressPolicy{})
	ours := *requests.Load()
	if x.Outcome != triage.Matched || len(ours) != 4 {
		t.Fatalf("%s (%s), %d requests", x.Outcome, x.Detail, len(ours))
	}
	for i := range ours {
		if ours[i] != theirs[i] {
			t.Errorf("request %d\nours   %snet/http %s", i, ours[i], theirs[i])
		}
	}
	if !bytes.Contains(x.Sent, []byte("User-Agent: go\r\nReferer: http://"+address+"/deep/er/\r\nConnection: close\r\n\r\n")) {
		t.Errorf("sent %q", x.Sent)
	}
}

// TestRedirectToHTTPS follows from a plain port to an encrypted one of the same host, within one deadline.
func TestRedirectToHTTPS(t *testing.T) {
	encrypted := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") == "" {
			t.Error("no Referer")
		}
	}))
	defer encrypted.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, encrypted.URL+"/secure", http.StatusMovedPermanently)
	}))
	defer plain.Close()
	address := plain.Listener.Addr().String()
	key := triage.Key{Target: triage.TargetID(address), Address: netip.MustParseAddrPort(address)}
	for _, spec := range followers {
		x := Do(context.Background(), planOf(spec, triage.HTTP), key, triage.AddressPolicy{})
		if x.Outcome != triage.Matched || x.Status != 200 || x.Address.String() != encrypted.Listener.Addr().String() || x.Timing[triage.PhaseTLS] < 0 {
			t.Errorf("%s: %s %d (%s) from %s", spec.Name, x.Outcome, x.Status, x.Detail, x.Address)
		}
		if strings.Join(x.Redirects, "") != encrypted.URL+"/secure" {
			t.Errorf("%s: redirects %q", spec.Name, x.Redirects)
		}
	}
}

// TestRedirectedConnectionsAreNotKept: the next check begins where this one did.
func TestRedirectedConnectionsAreNotKept(t *testing.T) {
	c := settings(triage.HTTP)
	c.ReuseConnection = true
	spec := asGo
	spec.Headers = spec.Headers[:2]
	x := &triage.Exchange{}
	s := &Session{}
	a := s.Begin(Compile(&spec, c), target, time.Unix(1, 0))
	for _, answer := range []string{redirectTo("/a"), fine} {
		s.Handle(Event{Kind: Connected, At: time.Unix(1, 1)})
		s.Handle(Event{Kind: Written, At: time.Unix(1, 2)})
		a = s.Handle(Event{Kind: Data, Data: []byte(answer), At: time.Unix(1, 3)})
	}
	if x = s.Exchange(); a.Kind != Done || a.Keep || x.Outcome != triage.Matched {
		t.Errorf("action %+v, %s", a, x.Outcome)
	}
	if a = s.Begin(s.plan, target, time.Unix(2, 0)); a.Kind != Dial || len(s.Exchange().Redirects) != 0 || s.Exchange().Address != target.Address {
		t.Errorf("the next check: %+v, %+v", a, s.Exchange())
	}
}

// FuzzRedirects: whatever Locations a target makes up, it is asked at most ten times, and nobody else ever is.
func FuzzRedirects(f *testing.F) {
	f.Add("/a\n//10.0.1.5:1/b\nhttps://10.0.1.5/c", true, true)
	f.Add("http://app.example:81/\nhttp://other.example/", false, false)
	f.Add("http://[::ffff:10.0.1.5]/\nhttp://0x0a000105/\nhttp://167772421/\nhttp://10.0.1.5.:80/", true, false)
	f.Add("http://10.0.1.5@evil.example/\n\\\\evil.example\\\n//evil.example", true, true)
	f.Fuzz(func(t *testing.T, locations string, named, kubelet bool) {
		key, spec := target, &asGo
		if named {
			key = byName
		}
		if kubelet {
			spec = &asKubelet
		}
		list := strings.Split(locations, "\n")
		requests := 0
		x := travelTLS(t, planOf(spec, triage.HTTP), key, func(n int, to netip.AddrPort) string {
			if requests++; to.Addr() != key.Address.Addr() || to.Port() == 0 {
				t.Fatalf("asked %s", to)
			}
			return redirectTo(list[n%len(list)])
		})
		if requests > maxRequests || x.Outcome == triage.NotChecked || len(x.Detail) > 2<<10 {
			t.Errorf("%d requests, %s (%s)", requests, x.Outcome, x.Detail)
		}
		for _, to := range x.Redirects {
			if u, err := url.Parse(to); err != nil || u.User != nil {
				t.Errorf("followed to %q: %v", to, err)
			}
		}
	})
}

// travelTLS is travel where the target may lead to https: such a handshake is refused, which ends the check.
func travelTLS(t *testing.T, p *Plan, key triage.Key, answer func(n int, to netip.AddrPort) string) *triage.Exchange {
	at := time.Unix(1_000_000, 0)
	s, a := p.Start(key, at)
	defer s.Stop()
	for n := 0; a.Kind == Dial; n++ {
		said := answer(n, s.Exchange().Address)
		s.Handle(Event{Kind: Connected, At: at})
		if s.tls != nil {
			s.Handle(Event{Kind: Written, At: at})
			a = s.Handle(Event{Kind: EOF, At: at})
			break
		}
		s.Handle(Event{Kind: Written, At: at})
		if a = s.Handle(Event{Kind: Data, At: at, Data: []byte(said)}); a.Kind == Wait {
			a = s.Handle(Event{Kind: EOF, At: at})
		}
	}
	if a.Kind != Done {
		t.Fatalf("not done: %+v", a)
	}
	return s.Exchange()
}
