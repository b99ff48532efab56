package behind_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/triage-lb/triage/behind"
)

// show asks a handler as one connection of a load balancer or a user would and
// prints the answer.
func show(handler http.Handler, host, target string, header ...string) {
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.Host = host
	request.RemoteAddr = "10.0.0.9:41000" // the load balancer
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	text := answer.Header().Get("Location") + answer.Body.String()
	fmt.Println(host, target, "→", answer.Code, strings.TrimSpace(text))
}

// A site behind a load balancer: users come by name and over https, the check
// by address and without.
func Example() {
	const healthPath = "/health_check"
	mux := http.NewServeMux()
	mux.Handle(healthPath, &behind.Health{})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "welcome") })

	hosts := behind.Hosts{Allowed: []string{"mysite.com", ".example.org"}, HealthPath: healthPath}
	redirect := behind.HTTPSRedirect{HealthPath: healthPath}
	site := hosts.Wrap(redirect.Wrap(mux)) // for http.ListenAndServe

	show(site, "mysite.com", "/", "X-Forwarded-Proto", "https")
	show(site, "mysite.com", "/a?b", "X-Forwarded-Proto", "http")
	show(site, "10.0.1.5:8000", "/health_check")
	show(site, "10.0.1.5:8000", "/")
	show(site, "evil.example", "/health_check")
	// Output:
	// mysite.com / → 200 welcome
	// mysite.com /a?b → 301 https://mysite.com/a?b
	// 10.0.1.5:8000 /health_check → 200 ok
	// 10.0.1.5:8000 / → 400 this host is not served here
	// evil.example /health_check → 400 this host is not served here
}

// The answer names what failed; why is for the log only.
func ExampleHealth() {
	health := &behind.Health{
		Checks: []behind.Check{
			{Name: "disk", Run: func(context.Context) error { return nil }},
			{Name: "queue", Run: func(context.Context) error { return errors.New("dial 10.0.3.3:5672: refused") }},
		},
		OnFailure: func(name string, err error) { fmt.Println("log:", name, err) },
	}
	show(health, "10.0.1.5", "/health_check")
	// Output:
	// log: queue dial 10.0.3.3:5672: refused
	// 10.0.1.5 /health_check → 503 queue: failed
}

// Settings that come from a user are validated before they are used.
func ExampleHosts_Validate() {
	fmt.Println(behind.Hosts{Allowed: []string{"*.example.org"}}.Validate())
	fmt.Println(behind.Hosts{Allowed: []string{"mysite.com:8000"}}.Validate())
	// Output:
	// allowed host "*.example.org": write ".example.org", which admits the name itself and all names below it
	// allowed host "mysite.com:8000": write "mysite.com": the port of a request is not compared
}

// A list for the health path replaces the rule that admits every address there.
func ExampleHosts_healthHosts() {
	hosts := behind.Hosts{
		Allowed:     []string{"mysite.com"},
		HealthPath:  "/health_check",
		HealthHosts: []string{"lb.internal"},
		OnRefused:   func(r *http.Request) { fmt.Printf("log: refused %q\n", r.Host) },
	}
	site := hosts.Wrap(&behind.Health{})
	show(site, "lb.internal:8000", "/health_check")
	show(site, "10.0.1.5:8000", "/health_check")
	// Output:
	// lb.internal:8000 /health_check → 200 ok
	// log: refused "10.0.1.5:8000"
	// 10.0.1.5:8000 /health_check → 400 this host is not served here
}

// Behind a load balancer with a public address users would be redirected for
// ever; the hook says so.
func ExampleHTTPSRedirect() {
	redirect := behind.HTTPSRedirect{
		HealthPath: "/health_check",
		Trusted:    behind.DefaultTrusted()[:2], // loopback only
		OnUntrusted: func(r *http.Request) {
			fmt.Println("log:", r.RemoteAddr, "claims https and is not trusted; if it is the load balancer, add its network")
		},
	}
	site := redirect.Wrap(&behind.Health{})
	show(site, "mysite.com", "/", "X-Forwarded-Proto", "https")
	show(site, "10.0.1.5", "/health_check")
	// Output:
	// log: 10.0.0.9:41000 claims https and is not trusted; if it is the load balancer, add its network
	// mysite.com / → 301 https://mysite.com/
	// 10.0.1.5 /health_check → 200 ok
}

// An application asks how its client came, for a cookie or an absolute URL.
func ExampleIsHTTPS() {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("X-Forwarded-Proto", "https")
	request.RemoteAddr = "10.0.0.9:41000"
	fmt.Println(behind.IsHTTPS(request, nil))
	request.RemoteAddr = "198.51.100.7:41000"
	fmt.Println(behind.IsHTTPS(request, nil))
	// Output:
	// true
	// false
}

func ExampleSQL() {
	db := sql.OpenDB(answering{value: int64(1)}) // sql.Open("pgx", …) in an application
	defer db.Close()
	show(&behind.Health{Checks: []behind.Check{behind.SQL("database", db)}}, "10.0.1.5", "/health_check")
	// Output:
	// 10.0.1.5 /health_check → 200 ok
}
