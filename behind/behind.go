// Package behind is what a Go application needs behind a load balancer, as
// net/http middleware: a health handler that asks the things the application
// depends on ([Health]), a list of the hosts the site answers for ([Hosts]),
// and the redirect from http to https ([HTTPSRedirect]).
//
// The last two break health checks when they are written for users alone. A
// load balancer asks by address, not by name, and without TLS, so a host list
// answers its check with 400 and a redirect answers it with 301. Here both know
// the health path and let the check through there, and only there. Put the host
// list outside, so that the redirect's target is a host of the site:
//
//	hosts.Wrap(redirect.Wrap(mux))
//
// This machine's own addresses, for a stricter rule on the health path, are
// learned by the package behind/aws.
//
// The package logs nothing and starts no servers: what an operator should know
// is handed to hooks. Settings are read when Wrap or the first request copies
// them and must not be changed afterwards; every handler may be used from any
// number of goroutines. It needs the standard library only.
package behind

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// answer sends a complete plain-text answer. The length is always explicit,
// because a Classic ELB's check waits for the end of a body that has none
// (Elastic Load Balancing guide, "Troubleshoot: health checks").
func answer(w http.ResponseWriter, r *http.Request, status int, body string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A write fails only when the client has left: nobody to tell.
		_, _ = io.WriteString(w, body)
	}
}

// validateHealthPath accepts the empty path, which stands for "no health path".
func validateHealthPath(path string) error {
	if path == "" {
		return nil
	}
	target, err := url.ParseRequestURI(path)
	if err != nil || path[0] != '/' || target.RawQuery != "" || target.ForceQuery || target.EscapedPath() != path {
		return fmt.Errorf("health path %q: write the path as the load balancer sends it, such as /health_check, without a query", path)
	}
	return nil
}

// onHealthPath compares the bytes of the request, not what they decode to: the
// load balancer sends exactly the configured path, and everything else that
// some server might take for the same page is a user's request.
func onHealthPath(r *http.Request, path string) bool {
	return path != "" && r.URL.EscapedPath() == path
}
