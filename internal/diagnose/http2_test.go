package diagnose

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/triage-lb/triage"
)

// grpcServer answers every call with a status of gRPC, and with this message of the health service before it, if any.
func grpcServer(status, message string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") { // as grpc-go answers a page's visitor
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "3")
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte(message))
		if status != "" {
			w.Header().Set("Grpc-Status", status)
		}
	})
}

func TestHTTP2(t *testing.T) {
	tlsConfig := func() *tls.Config { return &tls.Config{} }
	http1, http1TLS := serve(t, fine, nil, nil), serve(t, fine, tlsConfig(), nil)
	http2, http2TLS := serve(t, fine, nil, onlyUnencryptedHTTP2), serve(t, fine, tlsConfig(), onlyHTTP2)
	both := serve(t, abort, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}, func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) })
	aborting := serve(t, abort, tlsConfig(), onlyHTTP2)
	grpc, grpcTLS := serve(t, grpcServer("0", serving), nil, onlyUnencryptedHTTP2), serve(t, grpcServer("0", serving), tlsConfig(), onlyHTTP2)
	for name, c := range map[string]struct {
		live
		at netip.AddrPort
	}{
		"http of h2c":            {live{protocol: triage.HTTP, code: "http2-only", certainty: triage.Proved, proof: "with h2c: 200"}, http2},
		"https of h2":            {live{protocol: triage.HTTPS, code: "http2-only", certainty: triage.Proved, proof: "with h2: 200"}, http2TLS},
		"h2c of http":            {live{as: triage.Envoy, protocol: triage.H2C, code: "http2-not-spoken", certainty: triage.Proved, proof: "with http: 200"}, http1},
		"gRPC of http":           {live{as: triage.Kubelet, protocol: triage.GRPC, code: "http2-not-spoken", certainty: triage.Proved, proof: "with http: 200"}, http1},
		"h2 of https":            {live{as: triage.Envoy, protocol: triage.H2, code: "http2-not-spoken", certainty: triage.Proved, proof: "with https: 200"}, http1TLS},
		"gRPC in TLS of https":   {live{as: triage.Envoy, protocol: triage.GRPCS, code: "http2-not-spoken", certainty: triage.Proved, proof: "with https: 200"}, http1TLS},
		"https of who closes":    {live{protocol: triage.HTTPS, code: Undiagnosed, certainty: triage.Unknown, among: []string{"closed-on-purpose"}}, both},
		"a request that is shed": {live{as: triage.Envoy, protocol: triage.H2, code: "http2-request-refused", certainty: triage.Likely}, aborting},
		"gRPC of a web server":   {live{as: triage.Kubelet, protocol: triage.GRPC, code: "not-grpc", certainty: triage.Likely}, http2},
		"h2c of gRPC":            {live{as: triage.Envoy, protocol: triage.H2C, code: "grpc-server-asked-in-http", certainty: triage.Proved, proof: "415, application/grpc"}, grpc},
		"http of gRPC":           {live{protocol: triage.HTTP, code: "grpc-server-asked-in-http", certainty: triage.Proved, proof: "415, application/grpc"}, grpc},
		"https of gRPC":          {live{protocol: triage.HTTPS, code: "grpc-server-asked-in-http", certainty: triage.Proved, proof: "415, application/grpc"}, grpcTLS},
	} {
		t.Run(name, func(t *testing.T) { c.check(t, c.at) })
	}
}

// Messages of HealthCheckResponse, as gRPC frames them.
const (
	serving    = "\x00\x00\x00\x00\x02\x08\x01"
	notServing = "\x00\x00\x00\x00\x02\x08\x02"
	unknown    = "\x00\x00\x00\x00\x02\x08\x03"
)

func TestGRPC(t *testing.T) {
	for name, c := range map[string]struct {
		live
		status, message string
	}{
		"no health service": {live{code: "grpc-health-not-implemented"}, "12", ""},
		"the matcher is 12": {live{code: "grpc-matcher-expects-12", codes: triage.MatchGRPC(12, 12), as: triage.AWSALB}, "0", serving},
		"no such service":   {live{code: "grpc-service-unknown"}, "5", ""},
		"a service unknown": {live{code: "grpc-service-unknown"}, "0", unknown},
		"not serving":       {live{code: "grpc-not-serving"}, "0", notServing},
		"a login":           {live{code: "grpc-login-required"}, "16", ""},
		"away":              {live{code: "grpc-unavailable"}, "14", ""},
		"an error":          {live{code: "grpc-server-error"}, "13", ""},
		"no status at all":  {live{code: "grpc-answer-broken"}, "", serving},
		"no message":        {live{code: "grpc-answer-broken"}, "0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.as == "" {
				c.as = triage.Kubelet
			}
			c.protocol, c.certainty = triage.GRPC, triage.Likely
			c.check(t, serve(t, grpcServer(c.status, c.message), nil, onlyUnencryptedHTTP2))
		})
	}
}

// TestSettingsInPlaceOfAnAnswer: HTTP/2 shows itself by its first frame.
func TestSettingsInPlaceOfAnAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03": "http2-only", // nginx
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00":         "http2-only", // Node
		"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05": "http2-only", // grpc-go
		"\x00\x00\x06\x04\x01\x00\x00\x00\x00":         Undiagnosed,  // an acknowledgement
		"\x00\x00\x05\x04\x00\x00\x00\x00\x00":         Undiagnosed,  // no length of SETTINGS
		"\x00\x00\x06\x05\x00\x00\x00\x00\x00":         Undiagnosed,  // another frame
	} {
		if d := Look(exchange(plan, answer)); d.Code != want {
			t.Errorf("%q: %s, want %s", answer, d.Code, want)
		}
	}
	// A server of gRPC says as much, and then that it is one.
	s := map[string]*triage.Exchange{}
	x := exchange(plan, "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00")
	grpc := x.Clone()
	grpc.Outcome, grpc.Status, grpc.Detail = triage.CodeMismatch, 415, ""
	grpc.Head = []byte("HTTP/2 415\r\ncontent-type: application/grpc\r\ngrpc-status: 3\r\n\r\n")
	s["h2c"] = grpc
	if d := ask(x, s); d.Code != "grpc-server-asked-in-http" || d.Certainty != triage.Proved {
		t.Errorf("%s, %s, asked %q", d.Code, d.Certainty, d.Asked)
	}
}

// TestPermissionDenied: it may be a login, or a rule about the caller's network.
func TestPermissionDenied(t *testing.T) {
	live{as: triage.Kubelet, protocol: triage.GRPC, code: Undiagnosed, certainty: triage.Unknown, among: []string{"grpc-login-required"}}.
		check(t, serve(t, grpcServer("7", ""), nil, onlyUnencryptedHTTP2))
}

// TestHTTP10Alone: who is silent to HTTP/1.0 may answer HTTP/1.1, and a 400 in HTTP/2 is no answer to the check.
func TestHTTP10Alone(t *testing.T) {
	x := exchange(asking(triage.HAProxy, ""), "")
	bad, good := over(triage.H2C, triage.CodeMismatch, 400, "HTTP/2 400\r\n\r\n"), over(triage.H2C, triage.CodeMismatch, 404, "HTTP/2 404\r\n\r\n")
	for name, c := range map[string]struct {
		answers map[string]*triage.Exchange
		code    string
	}{
		"refused in HTTP/2":   {map[string]*triage.Exchange{"h2c": bad}, Undiagnosed},
		"HTTP/1.1 is taken":   {map[string]*triage.Exchange{"h2c": good, "HTTP/1.1 and a Host header": exchange(plan, ok)}, Undiagnosed},
		"both are not known":  {map[string]*triage.Exchange{"h2c": good, "HTTP/1.1 and a Host header": exchange(plan, "")}, "http2-only"},
		"answered in HTTP/2":  {map[string]*triage.Exchange{"h2c": good}, "http2-only"},
		"nobody knows either": {nil, Undiagnosed},
	} {
		if d := ask(x, c.answers); d.Code != c.code {
			t.Errorf("%s: %s, proof %q", name, d.Code, d.Proof)
		}
	}
}

// TestRefusedStreams: the cure goes by the code.
func TestRefusedStreams(t *testing.T) {
	for said, want := range map[string]string{
		"RST_STREAM: HTTP_1_1_REQUIRED":              "HTTP/1.1",
		"GOAWAY: ENHANCE_YOUR_CALM (too_many_pings)": "less often",
		"RST_STREAM: REFUSED_STREAM":                 "shutting down",
		"RST_STREAM: INTERNAL_ERROR":                 "the server's log",
	} {
		x := exchange(plan, "")
		x.Outcome, x.Detail = triage.StreamReset, said
		if d := Look(x); d.Code != "http2-request-refused" || !strings.Contains(d.Fix, want) || !strings.Contains(d.Cause, said) {
			t.Errorf("%s: %s, %q, %q", said, d.Code, d.Cause, d.Fix)
		}
	}
}
