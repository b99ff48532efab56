package control

import (
	"fmt"
	"strconv"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// healthCheckKeys are the keys of a health check, in the order in which they are told.
var healthCheckKeys = []key[triage.HealthCheck]{
	{"as", "dialect", "The load balancer as which targets are asked and judged, as in triage check --as: aws-alb, kubelet and so on. Its settings are the defaults of the other keys. Default triage, our own dialect, which has the defaults that are named there.", readAs},
	{"protocol", "protocol", "tcp (the default) passes when the connection is made, tls when the handshake completes, http and https when the status code is a success code; h2 (with TLS) and h2c (without) ask the same over HTTP/2, and grpcs and grpc ask gRPC's health service.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readProtocol(r, n, path, &to.Protocol) }},
	{"port", "port", "The port to check: traffic-port (the default), which is the target's own, or a number.", readPort},
	{"path", "text", "What to ask for, where there is a request. Default /. With gRPC it is the method, where as names a load balancer that can be told one: /package.Service/Method; / is its own.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Path) }},
	{"success_codes", "codes", "The status codes that pass, with http, https, h2 and h2c: \"200\" (the default), \"200,202\" or \"200-299\".",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readCodes(r, n, path, triage.ParseMatcher, &to.SuccessCodes)
		}},
	{"grpc_codes", "codes", "The gRPC status codes that pass, with grpc and grpcs: \"0\" (the default), \"0,5\" or \"0-99\".",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readCodes(r, n, path, triage.ParseGRPCMatcher, &to.GRPCCodes)
		}},
	{"service", "text", "What the health service is asked about, with grpc and grpcs. Default: nothing, which is the server as a whole.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Service) }},
	{"host", "text", "The Host header to send. Default: the target's address and port, which is what AWS sends.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Host) }},
	{"expect_header", "text", "A header field that the answer must have: Name, or Name: value for exactly that value.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Expect.Header) }},
	{"expect_body", "text", "Text that the answer's content must contain.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { readText(r, n, path, &to.Expect.Body) }},
	{"expect_body_regex", "text", "A regular expression (RE2) that must match somewhere in the answer's content.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readText(r, n, path, &to.Expect.BodyRegex)
		}},
	{"expect_body_within", "number", "How many bytes of the content are read for that, from its beginning. Default 65536, 1 to 262144.", readWithin},
	{"expect", "text", "An expression in CEL over status, header, body, json, latency and tls that must be true, as in json.status == \"ok\" && latency < duration(\"500ms\").",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readText(r, n, path, &to.Expect.Expression)
		}},
	{"tls_server_name", "text", "The server name (SNI) to send, and the name that the certificate must be for where it is verified. Default: as the load balancer does; ours sends none.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readText(r, n, path, &to.TLS.ServerName)
		}},
	{"tls_verify", "boolean", "true passes only targets whose certificate leads to a trusted root and is for the name. Default: as the load balancer does; ours does not verify.", readVerify},
	{"tls_ca_file", "text", "A file with the certificates (PEM) to trust instead of the system's, where certificates are verified. A path that does not begin with a slash begins at the config file's folder.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.pem(n, path, &to.TLS.CA) }},
	{"tls_cert_file", "text", "A file with the certificate (PEM) that targets are shown that ask for one, and behind it those that it was issued by.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.pem(n, path, &to.TLS.Certificate) }},
	{"tls_key_file", "text", "A file with the private key (PEM, without password) of that certificate.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.pem(n, path, &to.TLS.Key) }},
	{"tls_min_version", "tls_version", "The lowest version of TLS to agree to: \"1.0\" to \"1.3\". Default: as the load balancer does; ours takes 1.0.", readTLSVersion},
	{"proxy_protocol", "proxy_protocol", "The version of the PROXY protocol whose header is sent before everything else, for targets that expect one: v1 or v2. Default: none is sent.", readProxyProtocol},
	{"source_address", "text", "The address of this machine that targets are asked from. Default: the system's choice.", readSource},
	{"interval", "duration", "From the start of one check to the start of the next. Default 5s, 100ms to 1h.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Interval) }},
	{"timeout", "duration", "For the whole check, from before the connect to the last byte. Default 2s, from 10ms to less than the interval; with as, to the whole interval.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Timeout) }},
	{"healthy_threshold", "number", "How many passes in a row bring an unhealthy target back. Default 2, 1 to 100.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readNumber(r, n, path, &to.Thresholds.Healthy)
		}},
	{"unhealthy_threshold", "number", "How many failures in a row take a healthy target out. Default 2, 1 to 100.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readNumber(r, n, path, &to.Thresholds.Unhealthy)
		}},
	{"threshold_window", "number", "Counts the thresholds among so many last results instead of in a row: 3 failures of the last 5 are unhealthy_threshold 3 and threshold_window 5. Default 0: in a row; at most 16, and at least the larger threshold.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readNumber(r, n, path, &to.Thresholds.Window)
		}},
	{"hold_down", "duration", "Keeps a target out that comes and goes: its second return within hold_down_window has to wait this long without a failure, and each further one twice as long. Default 0s: no target is kept out; else 100ms to 1h.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.HoldDown.First) }},
	{"hold_down_limit", "duration", "The longest that hold_down becomes. Default 10m, up to 24h.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.HoldDown.Limit) }},
	{"hold_down_window", "duration", "How near two returns are that hold_down counts as coming and going. Default 10m, up to 24h.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			r.duration(n, path, &to.HoldDown.Window)
		}},
	{"unhealthy_interval", "duration", "The interval of a target that is unhealthy: longer to spare it, shorter to have it back sooner. Default 0s: use the interval; else 100ms to 1h, and more than the timeout.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			r.duration(n, path, &to.UnhealthyInterval)
		}},
	{"transition_interval", "duration", "The interval between the first result that disagrees with a target's state and the last that its threshold asks for. Default 0s: use the interval; else 100ms to 1h, and more than the timeout.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			r.duration(n, path, &to.TransitionInterval)
		}},
	{"jitter", "duration", "Each check starts up to this much later, at random. Default 0s, at most half of the shortest interval.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) { r.duration(n, path, &to.Jitter) }},
	{"reuse_connection", "boolean", "true asks again on the connection of the check before, with http and https: cheaper, but blind to a target that takes no new connections. Default false: a connection for each check.",
		func(r *reader, n *node, path string, to *triage.HealthCheck) {
			readBoolean(r, n, path, &to.ReuseConnection)
		}},
}

func readAs(r *reader, n *node, path string, to *triage.HealthCheck) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	spec, err := dialect.Lookup(s)
	if err != nil {
		r.errorf(n, triage.HintOf(err), "%s: %s", path, err)
		return
	}
	to.As = spec.Name
	if spec.Name == triage.Own {
		to.As = ""
	}
}

// readHealthCheck reads a check whose defaults depend on one of its own keys, wherever that stands.
func readHealthCheck(r *reader, n *node, path string, to *triage.HealthCheck) {
	if as := n.get("as"); as.written() {
		first := reader{getenv: r.getenv, pems: r.pems} // what is wrong is told below
		readAs(&first, as, path, to)
		*to = defaultsOf(to.As)
	}
	readMapping(r, n, path, healthCheckKeys, to)
}

func readPort(r *reader, n *node, path string, to *triage.HealthCheck) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	if s == trafficPort {
		to.Port = 0
		return
	}
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil || p == 0 {
		r.errorf(n, "", "%s: %q is neither %s nor a number from 1 to 65535", path, s, trafficPort)
		return
	}
	to.Port = uint16(p)
}

func readCodes(r *reader, n *node, path string, parse func(string) (triage.Matcher, error), to *triage.Matcher) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	codes, err := parse(s)
	if err != nil {
		r.errorf(n, "", "%s", err)
		return
	}
	*to = codes
}

func readWithin(r *reader, n *node, path string, to *triage.HealthCheck) {
	within, ok := r.number(n, path)
	if ok && within == 0 {
		r.errorf(n, fmt.Sprintf("leave it away for %d", triage.DefaultWithin), "expect_body_within 0 is outside 1-%d bytes", triage.MaxWithin)
		return
	}
	if ok {
		to.Expect.Within = within
	}
}

func readVerify(r *reader, n *node, path string, to *triage.HealthCheck) {
	verify, ok := r.boolean(n, path)
	switch {
	case !ok:
	case verify:
		to.TLS.Verify = triage.Yes
	default:
		to.TLS.Verify = triage.No
	}
}

// readParsed reads text that has a parser of its own, whose error says what is wrong. Empty text is none: so an edit
// takes the setting away.
func readParsed[T any](r *reader, n *node, path string, parse func(string) (T, error), to *T) {
	s, ok := r.text(n, path)
	if !ok {
		return
	}
	if s == "" {
		var none T
		*to = none
		return
	}
	v, err := parse(s)
	if err != nil {
		r.errorf(n, triage.HintOf(err), "%s", err)
		return
	}
	*to = v
}

func readTLSVersion(r *reader, n *node, path string, to *triage.HealthCheck) {
	readParsed(r, n, path, triage.ParseTLSVersion, &to.TLS.MinVersion)
}

func readProxyProtocol(r *reader, n *node, path string, to *triage.HealthCheck) {
	readParsed(r, n, path, triage.ParseProxyProtocol, &to.ProxyProtocol)
}

func readSource(r *reader, n *node, path string, to *triage.HealthCheck) {
	readParsed(r, n, path, triage.ParseSource, &to.Source)
}

// trafficPort is AWS's word for "the port that the target has traffic on".
const trafficPort = "traffic-port"

// words are the texts of names.
func words[T ~string](names []T) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return all
}
