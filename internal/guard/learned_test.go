package guard_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/triage-lb/triage/internal/guard"
)

// metadata stands in for EC2's instance metadata service, of a machine with one address.
type metadata struct {
	*httptest.Server
	tokens bool // version 2; else version 1 only
	asked  atomic.Int64
}

func newMetadata(t *testing.T, tokens bool) *metadata {
	m := &metadata{tokens: tokens}
	m.Server = httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(m.Close)
	return m
}

func (m *metadata) serve(w http.ResponseWriter, r *http.Request) {
	m.asked.Add(1)
	const mac = "0e:49:61:0f:c3:11"
	const macs = "/latest/meta-data/network/interfaces/macs/"
	switch {
	case m.tokens && r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte("secret"))
	case m.tokens && r.Header.Get("X-Aws-Ec2-Metadata-Token") != "secret":
		http.Error(w, "no token", http.StatusUnauthorized)
	case r.URL.Path == "/latest/meta-data/local-ipv4", r.URL.Path == macs+mac+"/local-ipv4s":
		_, _ = w.Write([]byte("10.0.1.5"))
	case r.URL.Path == macs:
		_, _ = w.Write([]byte(mac + "/"))
	default:
		http.NotFound(w, r)
	}
}

// environ is an environment in which the metadata service is elsewhere.
func environ(endpoint string, more ...string) func(string) string {
	return func(name string) string {
		if name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" {
			return endpoint
		}
		if len(more) == 2 && name == more[0] {
			return more[1]
		}
		return ""
	}
}

func strict(getenv func(string) string) guard.Config {
	c := story()
	c.Learned, c.Getenv = true, getenv
	return c
}

func (s *sidecar) status(t *testing.T, request string) int {
	t.Helper()
	answer, _ := s.ask(t, request)
	return answer.StatusCode
}

func TestLearnedAddressIsAdmitted(t *testing.T) {
	s := start(t, django, strict(environ(newMetadata(t, true).URL)))
	s.log.want(t, "policy: health path", "learned from AWS")
	s.log.want(t, "level=INFO", "learned this machine's addresses", "addresses=10.0.1.5")
	for request, want := range map[string]int{
		get("/health_check", "10.0.1.5:8000"):         200,
		get("/health_check", "10.0.1.6:8000"):         400,
		get("/health_check", "evil.example"):          400,
		get("/", "10.0.1.5:8000"):                     400,
		"GET /health_check HTTP/1.0\r\n\r\n":          400,
		get("/health_check", "[::ffff:10.0.1.5]:800"): 200,
	} {
		if got := s.status(t, request); got != want {
			t.Errorf("%q: %d, want %d", request, got, want)
		}
	}
	s.log.want(t, "level=WARN", "host=10.0.1.6:8000", "--health-hosts ip")
}

// TestNoMetadata: without a metadata service the guard starts and serves users all the same, and says once what is
// missing.
func TestNoMetadata(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	s := start(t, django, strict(environ(gone.URL)))
	if got := s.status(t, get("/", "mysite.com", "X-Forwarded-Proto: https")); got != 200 {
		t.Error("a user got", got)
	}
	s.log.want(t, "level=WARN", "were not learned", "refused", "AWS_EC2_METADATA_DISABLED", "--health-hosts ip")
	if got := s.status(t, get("/health_check", "10.0.1.5")); got != 400 {
		t.Error("the check got", got)
	}
	s.log.want(t, "host=10.0.1.5", "no address was learned yet")
	if n := len(s.log.lines("were not learned")); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// TestHangingMetadata: a metadata service that accepts and never answers delays neither start nor stop. A guard that
// waited for it would have given up, and said so, before it served. A machine that is slow enough to look like that
// is not slow every time.
func TestHangingMetadata(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	for range 5 {
		s := start(t, django, strict(environ(hanging.URL)))
		if got := s.status(t, get("/", "mysite.com", "X-Forwarded-Proto: https")); got != 200 {
			t.Error("a user got", got)
		}
		s.stop()
		if len(s.log.lines("were not learned")) == 0 {
			return
		}
	}
	t.Error("the guard waited for the metadata")
}

func TestMetadataOff(t *testing.T) {
	m := newMetadata(t, true)
	s := start(t, django, strict(environ(m.URL, "AWS_EC2_METADATA_DISABLED", "true")))
	s.log.want(t, "were not learned", "AWS_EC2_METADATA_DISABLED=true")
	if n := m.asked.Load(); n > 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestOnlyVersion1: metadata without tokens is used only if somebody says so.
func TestOnlyVersion1(t *testing.T) {
	m := newMetadata(t, false)
	s := start(t, django, strict(environ(m.URL)))
	s.log.want(t, "were not learned", "--imds-v1")

	c := strict(environ(m.URL))
	c.IMDSv1 = true
	start(t, django, c).log.want(t, "addresses=10.0.1.5")
}

// TestNobodyIsAskedUnlessToLearn: metadata is asked for strict rules only.
func TestNobodyIsAskedUnlessToLearn(t *testing.T) {
	m := newMetadata(t, true)
	c := story()
	c.Getenv = environ(m.URL)
	s := start(t, django, c)
	s.saw(t, get("/health_check", "10.0.1.5"))
	s.stop()
	if n := m.asked.Load(); n > 0 {
		t.Errorf("asked %d times", n)
	}
}
