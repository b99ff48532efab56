package guard_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/behind"
	"github.com/triage-lb/triage/internal/guard"
)

func TestValidate(t *testing.T) {
	good := func() guard.Config {
		c := story()
		c.Listen, c.Upstream = ":80", "127.0.0.1:8000"
		return c
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*guard.Config)
		says  string
	}{
		"no listen":             {func(c *guard.Config) { c.Listen = "" }, "--listen"},
		"listen without port":   {func(c *guard.Config) { c.Listen = "10.0.1.5" }, "--listen"},
		"listen to a service":   {func(c *guard.Config) { c.Listen = ":http" }, "port"},
		"listen to a name":      {func(c *guard.Config) { c.Listen = "mysite.com:80" }, "not an address of this machine"},
		"no upstream":           {func(c *guard.Config) { c.Upstream = "" }, "--upstream"},
		"upstream without port": {func(c *guard.Config) { c.Upstream = "127.0.0.1" }, "no port"},
		"upstream as a URL":     {func(c *guard.Config) { c.Upstream = "http://127.0.0.1:8000" }, "no scheme"},
		"upstream with a path":  {func(c *guard.Config) { c.Upstream = "127.0.0.1:8000/app" }, "no path"},
		"upstream is metadata":  {func(c *guard.Config) { c.Upstream = "169.254.169.254:80" }, "link-local"},
		"upstream is nothing":   {func(c *guard.Config) { c.Upstream = "0.0.0.0:8000" }, "not the address of one machine"},
		"itself":                {func(c *guard.Config) { c.Upstream = "127.0.0.1:80" }, "the guard itself"},
		"itself by name":        {func(c *guard.Config) { c.Listen, c.Upstream, c.Resolver = "[::1]:80", "localhost:80", nobody{} }, "the guard itself"},
		"itself by address":     {func(c *guard.Config) { c.Listen, c.Upstream = "10.0.1.5:80", "10.0.1.5:80" }, "the guard itself"},
		"path without slash":    {func(c *guard.Config) { c.HealthPath = "health_check" }, "health path"},
		"path with query":       {func(c *guard.Config) { c.HealthPath = "/up?x" }, "without a query"},
		"host pattern":          {func(c *guard.Config) { c.AllowedHosts = []string{"*.example.org"} }, `write ".example.org"`},
		"host with port":        {func(c *guard.Config) { c.AllowedHosts = []string{"mysite.com:80"} }, `write "mysite.com"`},
		"health host":           {func(c *guard.Config) { c.HealthHosts = []string{"10.0.0.0/8"} }, "--health-hosts"},
		"v1 without learned":    {func(c *guard.Config) { c.IMDSv1 = true }, "--imds-v1"},
		"learned without path":  {func(c *guard.Config) { c.Learned, c.HealthPath = true, "" }, "no --health-path"},
		"learned without hosts": {func(c *guard.Config) { c.Learned, c.AllowedHosts = true, nil }, "without --allowed-hosts"},
		"host without path":     {func(c *guard.Config) { c.UpstreamHost, c.HealthPath = "mysite.com", "" }, "no --health-path"},
		"upstream host":         {func(c *guard.Config) { c.UpstreamHost = "a\r\nEvil: yes" }, "--upstream-host"},
		"proto":                 {func(c *guard.Config) { c.UpstreamProto = "ftp" }, "--upstream-proto"},
	} {
		config := good()
		c.spoil(&config)
		err := config.Validate()
		if triage.KindOf(err) != triage.KindInvalid || !strings.Contains(err.Error(), c.says) || triage.HintOf(err) == "" {
			t.Errorf("%s: %v (%s)", name, err, triage.HintOf(err))
		}
	}
	for name, change := range map[string]func(*guard.Config){
		"other address, same port": func(c *guard.Config) { c.Listen, c.Upstream = "10.0.1.5:8000", "127.0.0.1:8000" },
		"other machine, same port": func(c *guard.Config) { c.Upstream = "10.0.1.6:80" },
		"IPv6":                     func(c *guard.Config) { c.Listen, c.Upstream = "[::1]:80", "[::1]:8000" },
		"redirect alone":           func(c *guard.Config) { c.AllowedHosts, c.HealthPath = nil, "" },
	} {
		config := good()
		change(&config)
		if err := config.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// nobody is a resolver for configs that are only validated.
type nobody struct{ guard.Resolver }

func TestParseTrusted(t *testing.T) {
	defaults := behind.DefaultTrusted()
	for text, want := range map[string][]netip.Prefix{
		"10.0.0.0/8":                {netip.MustParsePrefix("10.0.0.0/8")},
		"10.0.1.9/8,203.0.113.7":    {netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("203.0.113.7/32")},
		"::ffff:10.0.0.0/104":       {netip.MustParsePrefix("10.0.0.0/8")},
		"2001:db8::1":               {netip.MustParsePrefix("2001:db8::1/128")},
		"default":                   defaults,
		"default,203.0.113.7":       append(slices.Clone(defaults), netip.MustParsePrefix("203.0.113.7/32")),
		"none":                      {},
		"10.0.0.0/33":               nil,
		"none,10.0.0.0/8":           nil,
		"mysite.com":                nil,
		"10.0.0.0/8 192.168.0.0/16": nil,
	} {
		got, err := guard.ParseTrusted(strings.Split(text, ","))
		if want == nil {
			if triage.KindOf(err) != triage.KindInvalid || !strings.Contains(err.Error(), "--trusted") || triage.HintOf(err) == "" {
				t.Errorf("%s: %v, %v", text, got, err)
			}
		} else if err != nil || got == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if got, err := guard.ParseTrusted(nil); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
}
