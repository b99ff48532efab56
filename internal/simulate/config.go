package simulate

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Defaults of a Config's fields.
const (
	DefaultSlow       = 3 * time.Second
	DefaultFlapPeriod = 10 * time.Second
	DefaultHealthPath = "/health_check"
)

// Config is what one simulated server is. The zero value is a healthy server
// on a free port of 127.0.0.1.
type Config struct {
	// Address to listen on, IPv4 or IPv6; port 0 takes a free one. The zero
	// value means 127.0.0.1:0. Any address of 127.0.0.0/8 works on Linux;
	// other systems have to be given those beyond 127.0.0.1 first.
	Address netip.AddrPort

	// Name is told in the page and in the X-Instance header, and can be used
	// instead of the address in the control URL. Letters, digits and "-._", a
	// letter or digit first, at most 64. Default: the address.
	Name string

	// Illness to start with. Default: Healthy.
	Illness Illness

	// HealthPath is answered with "ok". Default: DefaultHealthPath.
	HealthPath string

	// Slow is how long an answer takes while the illness is Slow.
	// Default: DefaultSlow.
	Slow time.Duration

	// FlapPeriod is how long each phase lasts while the illness is Flap, which
	// begins with the healthy phase. Default: DefaultFlapPeriod.
	FlapPeriod time.Duration

	// AllowedHosts are the host names that are served while the illness is
	// HostRejected, by Django's rules: ports are ignored, ".example.org" means
	// it and all names below it, "*" is every name.
	// Default: localhost and mysite.com.
	AllowedHosts []string

	// OnRequest, if set, is called with every request that was read and the
	// illness it is about to meet (Flap is told as Healthy or Error500). It is
	// called before the answer on the connection's goroutine, so concurrently,
	// and must not read the body or keep the request.
	OnRequest func(*http.Request, Illness)

	// OnSwitch, if set, is called after each switch, on the goroutine that
	// switched.
	OnSwitch func(s *Server, was, is Illness)
}

// Validate reports the first field that a server cannot be built from.
func (c Config) Validate() error {
	if c.Illness != "" {
		if _, err := ParseIllness(string(c.Illness)); err != nil {
			return err
		}
	}
	if err := validateName(c.Name); err != nil {
		return err
	}
	if c.HealthPath != "" && !strings.HasPrefix(c.HealthPath, "/") {
		return fmt.Errorf("health path %q: must begin with /", c.HealthPath)
	}
	if c.Slow < 0 {
		return fmt.Errorf("slow %v: must not be negative", c.Slow)
	}
	if c.FlapPeriod < 0 {
		return fmt.Errorf("flap period %v: must not be negative", c.FlapPeriod)
	}
	return nil
}

// validateName keeps names usable as a header value and as a URL path segment,
// and different from every address.
func validateName(name string) error {
	const marks = "-._"
	if len(name) > 64 {
		return fmt.Errorf("name %q: longer than 64 characters", name)
	}
	for i, r := range name {
		if !isAlphanumeric(r) && (i == 0 || !strings.ContainsRune(marks, r)) {
			return fmt.Errorf("name %q: must be letters, digits and %q, a letter or digit first", name, marks)
		}
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// withDefaults fills every field but Name, whose default is known after
// listening.
func (c Config) withDefaults() Config {
	if !c.Address.IsValid() {
		c.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), c.Address.Port())
	}
	if c.Illness == "" {
		c.Illness = Healthy
	}
	if c.HealthPath == "" {
		c.HealthPath = DefaultHealthPath
	}
	if c.Slow == 0 {
		c.Slow = DefaultSlow
	}
	if c.FlapPeriod == 0 {
		c.FlapPeriod = DefaultFlapPeriod
	}
	if len(c.AllowedHosts) == 0 {
		c.AllowedHosts = []string{"localhost", "mysite.com"}
	}
	return c
}
