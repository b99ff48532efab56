package dialect

import (
	"fmt"
	"net/http"

	"github.com/triage-lb/triage"
)

// plain is the words of the outcome itself, for products of which nothing else is known.
func plain(o triage.Outcome, status int) Words {
	return Words{Code: o.String(), Description: inPlainWords(o, status)}
}

// inPlainWords says what was seen; the answer's code is part of it.
func inPlainWords(o triage.Outcome, status int) string {
	if o == triage.CodeMismatch {
		return fmt.Sprintf("the answer is %d", status)
	}
	return o.Info().Sentence
}

// targetHealth speaks as DescribeTargetHealth of the elbv2 API does.
func targetHealth(o triage.Outcome, status int) Words {
	info := o.Info()
	if info.Verdict == triage.Pass {
		return Words{Code: "healthy"}
	}
	return Words{Code: string(info.Reason), Description: info.Reason.Describe(status)}
}

// networkHealth speaks as DescribeTargetHealth does of a Network Load Balancer's target, which has one reason only.
func networkHealth(o triage.Outcome, status int) Words {
	if o.Verdict() == triage.Fail {
		return Words{string(triage.FailedHealthChecks), triage.FailedHealthChecks.Describe(status)}
	}
	return targetHealth(o, status)
}

// instanceHealth speaks as DescribeInstanceHealth of the elb API does: it never says why.
func instanceHealth(o triage.Outcome, _ int) Words {
	switch o.Verdict() {
	case triage.Pass:
		return Words{Code: "InService"}
	case triage.Fail:
		return Words{"OutOfService", "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."}
	}
	return Words{"Unknown", "A transient error occurred. Please try again later."}
}

// checkerStatus speaks as GetHealthCheckStatus of Route 53 does.
func checkerStatus(o triage.Outcome, status int) Words {
	says := inPlainWords(o, status)
	switch {
	case o == triage.Matched, o == triage.CodeMismatch:
		says = fmt.Sprintf("HTTP Status Code %d, %s", status, http.StatusText(status))
	case o == triage.ConnectTimeout:
		says = "The health checker could not establish a connection within the timeout limit"
	case o == triage.TLSRefused:
		says = "SSL alert handshake_failure"
	}
	switch o.Verdict() {
	case triage.Pass:
		return Words{"Success", says}
	case triage.Fail:
		return Words{"Failure", says}
	}
	return Words{"Unknown", says}
}

// detailedHealthState speaks as the Compute API's DetailedHealthState does.
func detailedHealthState(o triage.Outcome, _ int) Words {
	switch {
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
func podEvent(o triage.Outcome, status int) Words {
	switch {
	case o.Verdict() == triage.Pass:
		return Words{Code: "success"}
	case o.Verdict() == triage.Neutral:
		return Words{"unknown", inPlainWords(o, status)}
	case o == triage.CodeMismatch:
		return Words{"Unhealthy", fmt.Sprintf("HTTP probe failed with statuscode: %d", status)}
	}
	return Words{"Unhealthy", inPlainWords(o, status)}
}

// checkStatus speaks as HAProxy's column check_status and its log do.
func checkStatus(o triage.Outcome, status int) Words {
	switch o {
	case triage.NotChecked:
		return Words{"INI", "Initializing"}
	case triage.Connected:
		return Words{"L4OK", "Layer4 check passed"}
	case triage.Handshaken:
		return Words{"L6OK", "Layer6 check passed"}
	case triage.Matched:
		return Words{"L7OK", fmt.Sprintf("Layer7 check passed, code: %d", status)}
	case triage.CodeMismatch:
		return Words{"L7STS", fmt.Sprintf("Layer7 wrong status, code: %d", status)}
	case triage.ResetBeforeAnswer:
		return Words{"SOCKERR", "Socket error"}
	}
	layer, late := o.Info().Layer, o.TimedOut()
	switch {
	case o.Verdict() == triage.Neutral, layer == triage.LayerResolve:
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
func failureType(o triage.Outcome, _ int) Words {
	switch {
	case o.Verdict() == triage.Neutral:
		return Words{Code: "UNKNOWN"}
	case o.Verdict() == triage.Pass:
		return Words{Code: "HEALTHY"}
	case o.TimedOut():
		return Words{Code: "NETWORK_TIMEOUT"}
	case o.Info().Layer == triage.LayerStatus:
		return Words{Code: "ACTIVE"}
	}
	return Words{Code: "NETWORK"}
}

// serverStatus speaks as Traefik's log does.
func serverStatus(o triage.Outcome, status int) Words {
	switch {
	case o.Verdict() == triage.Pass:
		return Words{Code: "UP"}
	case o.Verdict() == triage.Neutral:
		return plain(o, status)
	case o == triage.CodeMismatch:
		return Words{"DOWN", fmt.Sprintf("received error status code: %d", status)}
	}
	return Words{"DOWN", inPlainWords(o, status)}
}

// hostEvent speaks as Caddy's events and its log do.
func hostEvent(o triage.Outcome, status int) Words {
	switch {
	case o.Verdict() == triage.Pass:
		return Words{"healthy", "host is up"}
	case o.Verdict() == triage.Neutral:
		return plain(o, status)
	case o.Info().Layer == triage.LayerStatus || o.Info().Layer == triage.LayerBody:
		return Words{"unhealthy", inPlainWords(o, status)}
	}
	return Words{"unhealthy", "HTTP request failed"}
}

// failureReason speaks as Cloudflare's health monitor events do.
func failureReason(o triage.Outcome, status int) Words {
	layer := o.Info().Layer
	switch {
	case o.Verdict() == triage.Pass:
		return Words{Code: "Healthy"}
	case o == triage.CodeMismatch:
		return Words{Code: "Response code mismatch error"}
	case o.Verdict() == triage.Fail && layer == triage.LayerConnect:
		return Words{Code: "TCP connection failed"}
	case o.TimedOut() && (layer == triage.LayerHTTP || layer == triage.LayerBody):
		return Words{Code: "HTTP timeout occurred"}
	}
	return plain(o, status)
}

// catalogStatus speaks as Consul's catalog does.
func catalogStatus(o triage.Outcome, status int) Words {
	switch {
	case o.Verdict() == triage.Pass:
		return Words{Code: "passing"}
	case o.Verdict() == triage.Neutral:
		return plain(o, status)
	case o == triage.CodeMismatch && status == http.StatusTooManyRequests:
		return Words{Code: "warning"}
	}
	return Words{Code: "critical"}
}

// probeSuccess speaks as the exporter's metrics do.
func probeSuccess(o triage.Outcome, status int) Words {
	w := Words{Code: "probe_success 0"}
	switch {
	case o.Verdict() == triage.Neutral:
		return plain(o, status)
	case o.Verdict() == triage.Pass:
		w.Code = "probe_success 1"
	}
	if o == triage.Matched || o == triage.CodeMismatch {
		w.Description = fmt.Sprintf("probe_http_status_code %d", status)
	}
	return w
}
