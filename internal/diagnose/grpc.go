package diagnose

import (
	"strings"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// gRPC's status codes that entries are about (github.com/grpc/grpc, doc/statuscodes.md).
const (
	grpcOK               = 0
	grpcDeadlineExceeded = 4
	grpcNotFound         = 5
	grpcPermissionDenied = 7
	grpcUnimplemented    = 12
	grpcUnavailable      = 14
	grpcUnauthenticated  = 16
)

// grpcEntries are about health checks in gRPC, and of servers that speak it.
var grpcEntries = []*Entry{
	{
		Code:    "grpc-health-not-implemented",
		Title:   "the server has no gRPC health service",
		Stage:   StageHTTP,
		Seen:    "gRPC status 12 UNIMPLEMENTED",
		Cause:   "a gRPC server answers, but it has no method {path}: the health service (grpc.health.v1.Health) was not registered",
		Decides: "grpcurl -plaintext {address}:{port} list, where reflection is on",
		Fixes: []Fix{
			{"", "register the health service of the gRPC library, and ask\n/grpc.health.v1.Health/Check for status 0"},
			{"Go", "h := health.NewServer()\nhealthpb.RegisterHealthServer(server, h)"},
			{"Java", "ServerBuilder….addService(new HealthStatusManager()\n    .getHealthService())"},
			{"Python", "health_pb2_grpc.add_HealthServicer_to_server(\n    health.HealthServicer(), server)"},
			{"Node", "new HealthImplementation(statusMap).addToServer(server)"},
			{"AWS", "aws elbv2 modify-target-group --target-group-arn ARN \\\n    --health-check-path /grpc.health.v1.Health/Check \\\n    --matcher GrpcCode=0"},
		},
		Wrong:   Wrong{"letting 12 count as healthy", "it means no more than that a gRPC server is there, whatever state its services are in"},
		Sources: []string{"grpc-go 1.85, tried", "gRPC: doc/health-checking.md", "argo-cd #24117", "aws-load-balancer-controller #1662", "grpc-node #1764"},

		match: grpcStatus(grpcUnimplemented),
	},
	{
		Code:    "grpc-matcher-expects-12",
		Title:   "the server is well, and the check waits for UNIMPLEMENTED",
		Stage:   StageHTTP,
		Seen:    "gRPC status 0 OK, where the success codes are others",
		Cause:   "the server answers 0 OK, and the success codes do not hold 0: those of a load balancer's default, 12, were left in place",
		Decides: "the success codes of the health check",
		Fixes: []Fix{
			{"", "set the success codes to 0"},
			{"AWS", "aws elbv2 modify-target-group --target-group-arn ARN \\\n    --matcher GrpcCode=0"},
		},
		Wrong:   Wrong{"removing the health service again", "the check then passes, and proves nothing about the service"},
		Sources: []string{"grpc-go 1.85, tried", "aws-load-balancer-controller #2804", "copilot-cli #5958"},

		match: grpcStatus(grpcOK),
	},
	{
		Code:    "grpc-service-unknown",
		Title:   "the health service does not know the service that is asked about",
		Stage:   StageHTTP,
		Seen:    "gRPC status 5 NOT_FOUND, or SERVICE_UNKNOWN",
		Cause:   "the health service answers that it knows no service of this name: the name in the check and the one that the application reports are not the same",
		Decides: "the name in the check's service field, against the one that the application sets; \"\" is the server as a whole",
		Fixes: []Fix{
			{"", "ask for the name that the application sets a status for, or for\nnone, which is the server as a whole"},
			{"Go", "h.SetServingStatus(\"my.package.Service\",\n    healthpb.HealthCheckResponse_SERVING)"},
			{"Kubernetes", "grpc:\n  port: {port}\n  service: my.package.Service"},
		},
		Sources: []string{"grpc-go 1.85, tried", "gRPC: doc/health-checking.md"},

		match: func(c *kase) clue {
			if c.x.Outcome == triage.NotServing && c.serving() == "SERVICE_UNKNOWN" {
				return certainly(c.evidence()...)
			}
			return grpcStatus(grpcNotFound)(c)
		},
	},
	{
		Code:    "grpc-not-serving",
		Title:   "the application says that it is not serving",
		Stage:   StageHTTP,
		Seen:    "gRPC status 0 with NOT_SERVING",
		Cause:   "the health service answers, and says NOT_SERVING: the application has set that itself, while it starts, shuts down or lacks something",
		Decides: "the application's log: who set the status",
		Fixes: []Fix{
			{"", "look in the application's log for what it waits for; a status that\nwas never set to SERVING stays as it is"},
		},
		Wrong:   Wrong{"a check of the port alone", "traffic then goes to a server that has said it cannot serve"},
		Sources: []string{"grpc-go 1.85, tried", "gRPC: doc/health-checking.md"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.NotServing || c.serving() == "SERVICE_UNKNOWN" {
				return no
			}
			return certainly(c.evidence()...)
		},
		tell: func(c *kase) (cause, fix string) {
			said := c.serving()
			if said == "" {
				said = "that it is not serving"
			}
			return "the health service answers, and says " + said + ": the application has set that itself, while it starts, shuts down or lacks something",
				"look in the application's log for what it waits for; a status that\nwas never set to SERVING stays as it is"
		},
	},
	{
		Code:    "grpc-login-required",
		Title:   "the server wants a login for its health service",
		Stage:   StageHTTP,
		Seen:    "gRPC status 16 UNAUTHENTICATED, sometimes 7 PERMISSION_DENIED",
		Cause:   "an interceptor of the server asks every caller for a login, and a load balancer has none",
		Decides: "which interceptor answers so, in the server's log",
		Fixes: []Fix{
			{"", "let the interceptor leave /grpc.health.v1.Health/ alone"},
			{"Go", "if strings.HasPrefix(info.FullMethod,\n    \"/grpc.health.v1.Health/\") { return handler(ctx, req) }"},
		},
		Wrong:   Wrong{"letting 16 count as healthy", "the interceptor answers so while everything behind it is down"},
		Sources: []string{"grpc-go 1.85, tried", "gRPC: doc/statuscodes.md"},

		match: func(c *kase) clue {
			if found := grpcStatus(grpcPermissionDenied)(c); found.weight > none {
				return maybe(found.evidence...) // a rule about the caller's address or network answers so too
			}
			return grpcStatus(grpcUnauthenticated)(c)
		},
	},
	{
		Code:    "grpc-unavailable",
		Title:   "the server, or a proxy before it, says that the service is away",
		Stage:   StageHTTP,
		Seen:    "gRPC status 14 UNAVAILABLE or 4 DEADLINE_EXCEEDED",
		Cause:   "what answered could not reach the service behind it, or is shutting down",
		Decides: "the same check at the application's own port, behind the proxy",
		Fixes:   []Fix{{"", "check the application's own port, and look into the log of the\nproxy before it"}},
		Sources: []string{"gRPC: doc/statuscodes.md"},

		match: grpcStatus(grpcUnavailable, grpcDeadlineExceeded),
	},
	{
		Code:    "grpc-server-error",
		Title:   "the server answers with an error of gRPC",
		Stage:   StageHTTP,
		Seen:    "a gRPC status that is neither OK nor one of the usual ones of health checks",
		Cause:   "the method {path} answers with an error of its own",
		Decides: "the server's log at the time of the check",
		Fixes:   []Fix{{"", "the server's log says why; grpc_health_probe asks the same question:\n    grpc_health_probe -addr {address}:{port}"}},
		Sources: []string{"gRPC: doc/statuscodes.md"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.GRPCMismatch {
				return no
			}
			switch c.x.Status {
			case grpcOK, grpcNotFound, grpcUnimplemented, grpcUnauthenticated, grpcPermissionDenied, grpcUnavailable, grpcDeadlineExceeded:
				return no
			}
			return fitting(c.evidence()...)
		},
	},
	{
		Code:    "not-grpc",
		Title:   "a web server answers the gRPC check",
		Stage:   StageHTTP,
		Seen:    "an answer in HTTP/2 that is not application/grpc",
		Cause:   "port {port} speaks HTTP/2 but not gRPC: it is a web server's, or a proxy answers in place of the service",
		Decides: "the same port asked in HTTP/2 for a page",
		Fixes: []Fix{
			{"", "check the port of the gRPC server, or check this one in HTTP/2; if\na proxy stands before it, let that pass gRPC on"},
			{"nginx", "location / { grpc_pass grpc://APP; }    in place of proxy_pass"},
			{"AWS", "a target group of protocol version HTTP2 in place of GRPC"},
		},
		Sources: []string{"nginx 1.22.1, Node 20, Go 1.26 and HAProxy 2.6, tried", "gRPC: doc/http-grpc-status-mapping.md"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome != triage.NotGRPC:
				return no
			case strings.HasPrefix(c.x.Detail, "the content type is"), strings.HasPrefix(c.x.Detail, "the HTTP status is"):
				return fitting(c.evidence()...)
			case c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return no
		},
	},
	{
		Code:    "grpc-answer-broken",
		Title:   "the answer is not whole as gRPC",
		Stage:   StageHTTP,
		Seen:    "application/grpc without a grpc-status, or with a message that is none of the health service",
		Cause:   "something between here and the service drops the trailers in which gRPC says how a call ended, or the method is another's",
		Decides: "the same check at the application's own port, behind the proxy",
		Fixes: []Fix{
			{"", "let every proxy on the way speak HTTP/2 on both sides and pass\ntrailers on; ask /grpc.health.v1.Health/Check"},
			{"nginx", "location / { grpc_pass grpc://APP; }    in place of proxy_pass"},
		},
		Sources: []string{"gRPC: doc/PROTOCOL-HTTP2.md"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome != triage.NotGRPC, strings.HasPrefix(c.x.Detail, "the content type is"), strings.HasPrefix(c.x.Detail, "the HTTP status is"):
				return no
			case c.x.Detail == "":
				return maybe(c.evidence()...)
			}
			return fitting(c.evidence()...)
		},
	},
	{
		Code:    "grpc-server-asked-in-http",
		Title:   "an http check of a gRPC server",
		Stage:   StageHTTP,
		Seen:    "a frame of HTTP/2 in place of an answer, or 415 with the content type application/grpc",
		Cause:   "port {port} is a gRPC server's, which answers no page, and the health check asks for one",
		Decides: "the same request in HTTP/2, which a gRPC server answers 415 with application/grpc",
		Fixes: []Fix{
			{"", "check it in gRPC, or give the health page a port of its own"},
			{"Kubernetes", "livenessProbe:\n  grpc:\n    port: {port}"},
			{"AWS", "a target group of protocol version GRPC:\n    aws elbv2 create-target-group --protocol-version GRPC …"},
		},
		Wrong:   Wrong{"a tcp check in its place", "it passes whatever state the services are in"},
		Sources: []string{"grpc-go 1.85, tried", "AWS: HTTP 464"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome == triage.CodeMismatch && c.isGRPC():
				return certainly(c.statusLine(), "Content-Type: "+c.header("Content-Type"))
			case c.codeAlone(415), c.x.Outcome == triage.NotHTTP && isSettings(c.opening()), c.silent() && !c.asksHTTP2():
				return maybe(c.evidence()...)
			}
			return no
		},
		prove: func(in *inquiry) finding {
			p := triage.H2C
			if in.encrypted() {
				p = triage.H2
			}
			question := dialect.Variation{Protocol: p}
			switch answer := in.ask(question); {
			case answer == nil:
				return undecided("")
			case answer.isGRPC():
				return proof(says(question, answer) + ", application/grpc")
			case answer.x.Status != 0, in.silent():
				return disproof(says(question, answer))
			}
			return undecided("")
		},
	},
}

// grpcStatus is the match of a check that failed with one of these status codes.
func grpcStatus(codes ...int) func(*kase) clue {
	return func(c *kase) clue {
		for _, code := range codes {
			if c.x.Outcome == triage.GRPCMismatch && c.x.GRPC != nil && c.x.GRPC.Status == code {
				return certainly(c.evidence()...)
			}
		}
		if c.x.Outcome == triage.GRPCMismatch && c.x.GRPC == nil { // no more is known, as of a load balancer's words
			return maybe()
		}
		return no
	}
}

// serving is what the health service has answered: "NOT_SERVING".
func (c *kase) serving() string {
	if c.x.GRPC == nil {
		return c.x.Detail
	}
	return c.x.GRPC.Serving
}

// asksGRPC reports whether the check has asked in gRPC.
func (c *kase) asksGRPC() bool {
	return c.asksHTTP2() && strings.Contains(strings.ToLower(string(c.x.Sent)), "\r\ncontent-type: application/grpc")
}

// startsTLS recognises an alert of TLS, or a record of its handshake (RFC 8446 section 5.1).
func startsTLS(opening string) bool {
	return strings.HasPrefix(opening, "\x15\x03") || strings.HasPrefix(opening, "\x16\x03")
}
