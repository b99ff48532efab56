package dialect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"
	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// TestFieldsAreValid: whatever may be asked, the fields are a valid request of HTTP/2 (RFC 9113 section 8.3.1).
func TestFieldsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(All()).Draw(t, "dialect")
		q := Question{
			Protocol: rapid.SampledFrom([]triage.Protocol{triage.HTTPS, triage.H2, triage.H2C, triage.GRPC, triage.GRPCS}).Draw(t, "protocol"),
			Address:  drawAddress(t, "address"),
			Path:     rapid.StringMatching(`/[a-z/]{0,10}`).Draw(t, "path"),
			Typed:    rapid.SampledFrom([]string{"", "app.example"}).Draw(t, "typed"),
			Host:     rapid.SampledFrom([]string{"", "given.example"}).Draw(t, "host"),
			Timeout:  time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "timeout")),
		}
		if rapid.Bool().Draw(t, "with headers") {
			q.Extra = []Header{{"X-Extra", "a"}, {"Connection", "upgrade"}, {"Upgrade", "h2c"}}
		}
		var pseudo []string
		for i, h := range s.AppendFields(nil, q) {
			if strings.HasPrefix(h.Name, ":") {
				if i != len(pseudo) || slices.Contains(pseudo, h.Name) || h.Value == "" && h.Name != ":authority" {
					t.Fatalf("%s: %s %q", s.Name, h.Name, h.Value)
				}
				pseudo = append(pseudo, h.Name)
				continue
			}
			if h.Name != strings.ToLower(h.Name) || !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) ||
				connectionSpecific(h.Name) && (h.Name != "host" || !s.HTTP2.NoAuthority) {
				t.Fatalf("%s: field %s: %q", s.Name, h.Name, h.Value)
			}
			if h.Name == "te" && h.Value != "trailers" {
				t.Fatalf("%s: te: %s", s.Name, h.Value)
			}
		}
		slices.Sort(pseudo)
		want := []string{":authority", ":method", ":path", ":scheme"}
		if s.HTTP2.NoAuthority && !q.Protocol.IsGRPC() {
			want = want[1:]
		}
		if !slices.Equal(pseudo, want) {
			t.Fatalf("%s: %v", s.Name, pseudo)
		}
	})
}

// TestGRPCMethod: only the method that is settable gives way to a path, and "/" is none.
func TestGRPCMethod(t *testing.T) {
	for _, c := range []struct {
		as         triage.Dialect
		path, want string
	}{
		{triage.AWSALB, "/", "/AWS.ALB/healthcheck"},
		{triage.AWSALB, "/app.Shop/Ping", "/app.Shop/Ping"},
		{triage.Kubelet, "/", HealthMethod},
		{triage.Kubelet, "/app.Shop/Ping", HealthMethod},
	} {
		q := Question{Protocol: triage.GRPC, Address: netip.MustParseAddrPort("10.0.1.5:80"), Path: c.path}
		fields := Get(c.as).AppendFields(nil, q)
		if !slices.Contains(fields, Header{":path", c.want}) {
			t.Errorf("%s asked for %s sends %q", c.as, c.path, fields)
		}
	}
}

// TestMessage: the bytes of HealthCheckRequest, by hand; a name of more than 127 bytes has a length of two.
func TestMessage(t *testing.T) {
	long := strings.Repeat("a", 200)
	for service, want := range map[string]string{
		"":         "\x00\x00\x00\x00\x00",
		"app.Shop": "\x00\x00\x00\x00\x0a" + "\x0a\x08app.Shop",
		long:       "\x00\x00\x00\x00\xcb" + "\x0a\xc8\x01" + long,
	} {
		if got := Get(triage.Own).AppendMessage(nil, Question{Service: service}); string(got) != want {
			t.Errorf("%s: %q", service, got)
		}
	}
	if got := Get(triage.AWSALB).AppendMessage(nil, Question{Service: "app.Shop"}); string(got) != "\x00\x00\x00\x00\x00" {
		t.Errorf("what is not the health service is asked about a service: %q", got)
	}
}

func TestGRPCTimeout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Nanosecond: "1n", 50 * time.Millisecond: "50000000n", 100 * time.Millisecond: "100000u", time.Second: "1000000u",
		99 * time.Second: "99000000u", 100 * time.Second: "100000m", time.Hour: "3600000m", 30 * time.Hour: "108000S",
		99_999_999*time.Microsecond + 1: "100000m",
	} {
		if got := grpcTimeout(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
