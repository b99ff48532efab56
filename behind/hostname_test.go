package behind

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzHostname compares the parser with net/url's: whatever it accepts must be
// the host of a URL there too, and mean the same host, because the redirect
// and the application build URLs from it.
func FuzzHostname(f *testing.F) {
	for _, seed := range []string{
		"", "mysite.com", "MYSITE.com.:80", "10.0.1.5:8000", "[2001:db8::1]:80", "[::ffff:1.2.3.4]", "::1", "[::1%25lo]",
		"a@b", "a:b@c", "a/b", "a?b", "a#b", "a\\b", "a%2eb", "a..b", ".a", "a:", "a:99999", "[::1]a", "xn--a", "\xff", "a\r\nb", "[]", "[::1]:",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, ok := parseHostname(s)
		if !ok {
			if host != (hostname{}) {
				t.Errorf("%q is refused but yields %+v", s, host)
			}
			return
		}
		if s == "" {
			return
		}
		asURL, err := url.Parse("http://" + s + "/")
		if err != nil || asURL.Path != "/" || asURL.User != nil || asURL.RawQuery != "" || asURL.Fragment != "" {
			t.Fatalf("%q is taken for %+v, but not by net/url: %+v, %v", s, host, asURL, err)
		}
		theirs := strings.TrimSuffix(strings.ToLower(asURL.Hostname()), ".")
		if addr, err := netip.ParseAddr(theirs); err == nil {
			if host.addr != addr.Unmap() || host.name != "" {
				t.Errorf("%q is %+v, the URL's address %s", s, host, addr)
			}
		} else if host.name != theirs || host.addr.IsValid() {
			t.Errorf("%q is %+v, the URL's host %q", s, host, theirs)
		}
		if again, ok := parseHostname(host.String()); !ok || again != host {
			t.Errorf("%q: %+v is written as %q and read as %+v", s, host, host, again)
		}
	})
}

func TestHostnameLengths(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, label[:61]}, ".") // 253 bytes
	for s, want := range map[string]bool{label: true, label + "a": false, longest: true, longest + "a": false} {
		if _, ok := parseHostname(s); ok != want {
			t.Errorf("%d bytes: %t, want %t", len(s), ok, want)
		}
	}
}
