package dialect

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect/testdata/wire"
	"github.com/triage-lb/triage/internal/http1"
)

var update = flag.Bool("update", false, "write generated files anew")

// TestRequests keeps testdata/request equal to what each dialect writes: a changed byte is seen in the review. Run with
// -update to write the files. What real programs write is in testdata/wire.
func TestRequests(t *testing.T) {
	known := map[string]bool{}
	for _, s := range All() {
		file := filepath.Join("testdata", "request", string(s.Name)+".txt")
		known[file] = true
		want := requestHead(s) + wire.Quote(s.AppendRequest(nil, Example())) + overHTTP2(s)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(got), want); diff != "" {
			t.Errorf("%s is not what is written; run go test ./internal/dialect -update if that is meant:\n%s", file, diff)
		}
	}
	files, err := filepath.Glob("testdata/request/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[file] {
			t.Errorf("%s belongs to no dialect", file)
		}
	}
}

// overHTTP2 is the same request over HTTP/2, field by field, and the one of gRPC with its content.
func overHTTP2(s *Spec) string {
	var b strings.Builder
	for _, p := range s.OverHTTP2() {
		q := ExampleOver(p)
		fmt.Fprintf(&b, "\nover %s:\n", p)
		for _, h := range s.AppendFields(nil, q) {
			fmt.Fprintf(&b, "%q\n", h.Name+": "+h.Value)
		}
		if p.IsGRPC() {
			fmt.Fprintf(&b, "%q\n", s.AppendMessage(nil, q))
		}
		if p.IsGRPC() && s.GRPC.Health() {
			q.Service = "app.Shop"
			fmt.Fprintf(&b, "asked about %s: %q\n", q.Service, s.AppendMessage(nil, q))
		}
	}
	return b.String()
}

// requestHead says where the bytes come from.
func requestHead(s *Spec) string {
	var b strings.Builder
	for _, f := range s.Facts {
		if f.Topic == "protocols" || f.Topic == "request" || f.Topic == "host" {
			fmt.Fprintf(&b, "%s: %s: %s\n", f.Topic, f.Evidence(), f.Says)
		}
	}
	return b.String() + "\n"
}

// TestRequestsAreValid: whatever may be asked, each dialect writes exactly one request, and no line end but CRLF.
func TestRequestsAreValid(t *testing.T) {
	hosts := rapid.SampledFrom([]string{"", "app.example", "a", "10.0.0.1", "[::1]:80", "app.example:8443"})
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(All()).Draw(t, "dialect")
		q := Question{
			Protocol: rapid.SampledFrom([]triage.Protocol{triage.HTTP, triage.HTTPS}).Draw(t, "protocol"),
			Address:  drawAddress(t, "address"),
			Path:     rapid.StringMatching(`/[a-zA-Z0-9._~/-]{0,40}(\?[a-z=&%0-9]{0,20})?`).Draw(t, "path"),
			Typed:    rapid.StringMatching(`([a-z][a-z0-9-]{0,20}[a-z0-9](\.[a-z]{1,8})?)?`).Draw(t, "typed"),
			Host:     hosts.Draw(t, "host"),
			Keep:     rapid.Bool().Draw(t, "keep"),
		}
		if rapid.Bool().Draw(t, "with node and cluster") {
			q.Node, q.Cluster = drawAddress(t, "node"), "app"
		}
		if rapid.Bool().Draw(t, "with a header") {
			q.Extra = []Header{{"X-Extra", rapid.StringMatching(`[!-~]{1,20}`).Draw(t, "value")}}
		}
		raw := s.AppendRequest(nil, q)
		r, n, err := http1.ParseRequest(raw, nil, http1.Limits{})
		if err != nil || n != len(raw) || string(r.Target) != q.Path {
			t.Fatalf("%s writes %q: %v", s.Name, raw, err)
		}
		if lines := bytes.Count(raw, []byte("\r\n")); bytes.Count(raw, []byte("\r")) != lines || bytes.Count(raw, []byte("\n")) != lines || lines != len(r.Fields)+2 {
			t.Fatalf("%s writes a bare line end: %q", s.Name, raw)
		}
		if host, ok := http1.Get(r.Fields, "Host"); q.Host != "" && string(host) != q.Host || !ok && s.Host != HostNone {
			t.Fatalf("%s writes Host %q", s.Name, host)
		}
	})
}

func drawAddress(t *rapid.T, label string) netip.AddrPort {
	addresses := []string{"10.0.1.5", "127.0.0.1", "::1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.1.5"}
	return netip.AddrPortFrom(netip.MustParseAddr(rapid.SampledFrom(addresses).Draw(t, label)), rapid.Uint16Range(1, 65535).Draw(t, label+" port"))
}
