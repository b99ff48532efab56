package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// originForm returns the request's target as it is sent on: byte for byte what the client sent, without the
// "http://host" of the absolute form. Everything that a server could read in two ways is an error.
func originForm(in *http.Request) (string, error) {
	target := in.RequestURI
	switch {
	case in.Method == http.MethodConnect:
		return "", errors.New("CONNECT is for forward proxies")
	case strings.Contains(target, "#"):
		return "", errors.New("a request target has no fragment") // RFC 9112, 3.2
	case strings.HasPrefix(target, "/"):
		return target, nil
	case target == "*":
		if in.Method != http.MethodOptions {
			return "", errors.New("only OPTIONS asks for *")
		}
		return target, nil
	}
	if scheme := in.URL.Scheme; scheme != "http" && scheme != "https" || in.URL.Host == "" || in.URL.User != nil {
		return "", errors.New("the request target is neither a path nor an http URL")
	}
	// net/http's server looks at the Host header, not at this; its client would send another host, or none.
	if strings.ContainsFunc(in.URL.Host, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"%<>\\^`{|}", c) }) {
		return "", errors.New("the host of the request target is not valid")
	}
	_, rest, _ := strings.Cut(target, "://")
	slash := strings.IndexAny(rest, "/?")
	switch {
	case slash < 0 && in.Method == http.MethodOptions:
		return "*", nil // RFC 9112, 3.2.4
	case slash < 0:
		return "/", nil
	case rest[slash] == '?':
		return "/" + rest[slash:], nil
	}
	return rest[slash:], nil
}

// setTarget makes u.RequestURI(), which is what net/http sends, return the target as it is.
func setTarget(u *url.URL, target string) error {
	if !strings.HasPrefix(target, "//") {
		u.Opaque = target
		return nil
	}
	// An opaque part that begins with two slashes would become an absolute URL, with the path for a host.
	u.RawPath, u.RawQuery, u.ForceQuery = target, "", false
	if path, query, any := strings.Cut(target, "?"); any {
		u.RawPath, u.RawQuery, u.ForceQuery = path, query, true
	}
	path, err := url.PathUnescape(u.RawPath)
	if err != nil {
		return err
	}
	u.Path = path
	if u.RequestURI() != target {
		return errors.New("the path holds bytes that cannot be sent on as they are")
	}
	return nil
}
