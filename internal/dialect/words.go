package dialect

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/triage-lb/triage"
)

// plain is the words of the outcome itself, for products of which nothing else is known.
func plain(x *triage.Exchange) Words {
	return Words{Code: x.Outcome.String(), Description: inPlainWords(x)}
}

// inPlainWords says what was seen; the answer's code is part of it.
func inPlainWords(x *triage.Exchange) string {
	switch serving := servingStatus(x); {
	case x.Outcome == triage.CodeMismatch:
		return fmt.Sprintf("the answer is %d", x.Status)
	case x.Outcome == triage.GRPCMismatch:
		return fmt.Sprintf("the gRPC status is %s", triage.GRPCCodeText(x.Status))
	case serving != "":
		return fmt.Sprintf("the gRPC health service answers %s", serving)
	}
	return x.Outcome.Info().Sentence
}

// servingStatus is what the health service of gRPC has answered where that is why the check failed; else "".
func servingStatus(x *triage.Exchange) string {
	if x.Outcome != triage.NotServing || x.GRPC == nil {
		return ""
	}
	return x.GRPC.Serving
}

// unimplemented is the gRPC status code of a server that does not have the method (github.com/grpc/grpc,
// doc/statuscodes.md).
const unimplemented = 12

// targetHealth speaks as DescribeTargetHealth of the elbv2 API does.
func targetHealth(x *triage.Exchange) Words {
	info := x.Outcome.Info()
	if info.Verdict == triage.Pass {
		return Words{Code: "healthy"}
	}
	return Words{Code: string(info.Reason), Description: info.Reason.Describe(x.Status)}
}

// networkHealth speaks as DescribeTargetHealth does of a Network Load Balancer's target, which has one reason only.
func networkHealth(x *triage.Exchange) Words {
	if x.Outcome.Verdict() == triage.Fail {
		return Words{string(triage.FailedHealthChecks), triage.FailedHealthChecks.Describe(x.Status)}
	}
	return targetHealth(x)
}

// instanceHealth speaks as DescribeInstanceHealth of the elb API does: it never says why.
func instanceHealth(x *triage.Exchange) Words {
	switch x.Outcome.Verdict() {
	case triage.Pass:
		return Words{Code: "InService"}
	case triage.Fail:
		return Words{"OutOfService", "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."}
	}
	return Words{"Unknown", "A transient error occurred. Please try again later."}
}

// checkerStatus speaks as GetHealthCheckStatus of Route 53 does.
func checkerStatus(x *triage.Exchange) Words {
	says := inPlainWords(x)
	switch x.Outcome {
	case triage.Matched, triage.CodeMismatch:
		says = fmt.Sprintf("HTTP Status Code %d, %s", x.Status, http.StatusText(x.Status))
	case triage.ConnectTimeout:
		says = "The health checker could not establish a connection within the timeout limit"
	case triage.TLSRefused:
		says = "SSL alert handshake_failure"
	}
	switch x.Outcome.Verdict() {
	case triage.Pass:
		return Words{"Success", says}
	case triage.Fail:
		return Words{"Failure", says}
	}
	return Words{"Unknown", says}
}

// detailedHealthState speaks as the Compute API's DetailedHealthState does.
func detailedHealthState(x *triage.Exchange) Words {
	switch o := x.Outcome; {
	case o.Verdict() == triage.Neutral:
		return Words{Code: "UNKNOWN"}
	case o.Verdict() == triage.Pass:
		return Words{Code: "HEALTHY"}
	case o.TimedOut():
		return Words{Code: "TIMEOUT"}
	}
	return Words{Code: "UNHEALTHY"}
}

// podEvent speaks as the events of a pod do. A success leaves none.
func podEvent(x *triage.Exchange) Words {
	says := inPlainWords(x)
	switch serving := servingStatus(x); {
	case x.Outcome.Verdict() == triage.Pass:
		return Words{Code: "success"}
	case x.Outcome.Verdict() == triage.Neutral:
		return Words{"unknown", says}
	case x.Outcome == triage.CodeMismatch:
		says = fmt.Sprintf("HTTP probe failed with statuscode: %d", x.Status)
	case serving != "":
		says = fmt.Sprintf("service unhealthy (responded with %q)", serving)
	case x.Outcome == triage.GRPCMismatch && x.Status == unimplemented:
		says = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)"
	case x.Outcome == triage.GRPCMismatch || x.Outcome == triage.NotGRPC:
		says = "error: health rpc probe failed: " + says
	case x.Outcome == triage.RedirectFailed:
		says = "stopped after 10 redirects"
	}
	return Words{"Unhealthy", says}
}

// checkStatus speaks as HAProxy's column check_status and its log do.
func checkStatus(x *triage.Exchange) Words {
	switch x.Outcome {
	case triage.NotChecked:
		return Words{"INI", "Initializing"}
	case triage.Connected:
		return Words{"L4OK", "Layer4 check passed"}
	case triage.Handshaken:
		return Words{"L6OK", "Layer6 check passed"}
	case triage.Matched:
		return Words{"L7OK", fmt.Sprintf("Layer7 check passed, code: %d", x.Status)}
	case triage.CodeMismatch, triage.HeaderMismatch:
		return Words{"L7STS", fmt.Sprintf("Layer7 wrong status, code: %d", x.Status)}
	case triage.BodyMismatch:
		return Words{"L7RSP", `Layer7 invalid response, info: "HTTP content check did not match"`}
	case triage.ResetBeforeAnswer, triage.NotHTTP2:
		return Words{"SOCKERR", "Socket error"}
	case triage.StreamReset:
		if strings.HasPrefix(x.Detail, "RST_STREAM") {
			return Words{"SOCKERR", "Socket error"}
		}
	}
	layer, late := x.Outcome.Info().Layer, x.Outcome.TimedOut()
	switch {
	case x.Outcome.Verdict() == triage.Neutral, layer == triage.LayerResolve:
		return Words{"UNK", "Unknown"}
	case layer == triage.LayerConnect && late:
		return Words{"L4TOUT", "Layer4 timeout"}
	case layer == triage.LayerConnect:
		return Words{"L4CON", "Layer4 connection problem"}
	case layer == triage.LayerTLS && late:
		return Words{"L6TOUT", "Layer6 timeout"}
	case layer == triage.LayerTLS:
		return Words{"L6RSP", "Layer6 invalid response"}
	case late:
		return Words{"L7TOUT", "Layer7 timeout"}
	}
	return Words{"L7RSP", "Layer7 invalid response"}
}

// failureType speaks as Envoy's health check events do.
func failureType(x *triage.Exchange) Words {
	switch o := x.Outcome; {
	case o.Verdict() == triage.Neutral:
		return Words{Code: "UNKNOWN"}
	case o.Verdict() == triage.Pass:
		return Words{Code: "HEALTHY"}
	case o.TimedOut():
		return Words{Code: "NETWORK_TIMEOUT"}
	case o.Info().Layer == triage.LayerStatus, o == triage.NotGRPC, o == triage.BodyMismatch:
		return Words{Code: "ACTIVE"}
	}
	return Words{Code: "NETWORK"}
}

// serverStatus speaks as Traefik's log does.
func serverStatus(x *triage.Exchange) Words {
	says := inPlainWords(x)
	switch serving := servingStatus(x); {
	case x.Outcome.Verdict() == triage.Pass:
		return Words{Code: "UP"}
	case x.Outcome.Verdict() == triage.Neutral:
		return plain(x)
	case x.Outcome == triage.CodeMismatch:
		says = fmt.Sprintf("received error status code: %d", x.Status)
	case serving != "":
		says = "received gRPC status code: " + serving
	case x.Outcome == triage.GRPCMismatch && x.Status == unimplemented:
		says = "gRPC server does not implement the health protocol"
	case x.Outcome == triage.GRPCMismatch || x.Outcome == triage.NotGRPC:
		says = "gRPC health check failed: " + says
	}
	return Words{"DOWN", says}
}

// hostEvent speaks as Caddy's events and its log do.
func hostEvent(x *triage.Exchange) Words {
	switch layer := x.Outcome.Info().Layer; {
	case x.Outcome.Verdict() == triage.Pass:
		return Words{"healthy", "host is up"}
	case x.Outcome.Verdict() == triage.Neutral:
		return plain(x)
	case x.Outcome == triage.CodeMismatch:
		return Words{"unhealthy", fmt.Sprintf("status code out of tolerances, status_code: %d", x.Status)}
	case x.Outcome == triage.BodyMismatch:
		return Words{"unhealthy", "response body failed expectations"}
	case layer == triage.LayerBody:
		return Words{"unhealthy", "failed to read response body"}
	case layer == triage.LayerStatus && x.Outcome != triage.RedirectFailed:
		return Words{"unhealthy", inPlainWords(x)}
	}
	return Words{"unhealthy", "HTTP request failed"}
}

// failureReason speaks as Cloudflare's health monitor events do.
func failureReason(x *triage.Exchange) Words {
	layer := x.Outcome.Info().Layer
	switch {
	case x.Outcome.Verdict() == triage.Pass:
		return Words{Code: "Healthy"}
	case x.Outcome == triage.CodeMismatch:
		return Words{Code: "Response code mismatch error"}
	case x.Outcome.Verdict() == triage.Fail && layer == triage.LayerConnect:
		return Words{Code: "TCP connection failed"}
	case x.Outcome.TimedOut() && (layer == triage.LayerHTTP || layer == triage.LayerBody):
		return Words{Code: "HTTP timeout occurred"}
	}
	return plain(x)
}

// catalogStatus speaks as Consul's catalog does, with the check's output where that is known.
func catalogStatus(x *triage.Exchange) Words {
	switch serving := servingStatus(x); {
	case x.Outcome.Verdict() == triage.Pass:
		return Words{Code: "passing"}
	case x.Outcome.Verdict() == triage.Neutral:
		return plain(x)
	case x.Outcome == triage.CodeMismatch && x.Status == http.StatusTooManyRequests:
		return Words{Code: "warning"}
	case serving != "":
		return Words{"critical", fmt.Sprintf("gRPC %s serving status: %s", x.Address, serving)}
	}
	return Words{Code: "critical"}
}

// probeSuccess speaks as the exporter's metrics do.
func probeSuccess(x *triage.Exchange) Words {
	w := Words{Code: "probe_success 0"}
	switch {
	case x.Outcome.Verdict() == triage.Neutral:
		return plain(x)
	case x.Outcome.Verdict() == triage.Pass:
		w.Code = "probe_success 1"
	}
	serving := servingStatus(x)
	switch {
	case serving != "":
		w.Description = fmt.Sprintf("probe_grpc_healthcheck_response{serving_status=%q} 1", serving)
	case x.GRPC != nil || x.Outcome == triage.GRPCMismatch:
		w.Description = fmt.Sprintf("probe_grpc_status_code %d", x.Status)
	case x.Outcome == triage.Matched, x.Outcome == triage.CodeMismatch:
		w.Description = fmt.Sprintf("probe_http_status_code %d", x.Status)
	case x.Outcome == triage.BodyMismatch, x.Outcome == triage.HeaderMismatch:
		w.Description = "probe_failed_due_to_regex 1"
	case x.Outcome == triage.ExpressionFalse, x.Outcome == triage.ExpressionFailed:
		w.Description = "probe_failed_due_to_cel 1"
	}
	return w
}
