package aws

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// source is where one try asks: fixed by the settings and the environment at
// its start, and forgotten afterwards, so that neither a token nor the SDK's
// memory of an earlier failure outlives it.
type source struct {
	taskURI     string // empty outside ECS
	ec2Disabled bool
	ec2Endpoint string
	allowV1     bool
	timeout     time.Duration
}

const (
	taskURIVariable     = "ECS_CONTAINER_METADATA_URI_V4"
	ec2EndpointVariable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"

	ec2EndpointIPv4 = "http://169.254.169.254"
	ec2EndpointIPv6 = "http://[fd00:ec2::254]"
)

func (l *Learner) source() source {
	isTrue := func(name string) bool { return strings.EqualFold(l.getenv(name), "true") }
	endpoint := l.getenv(ec2EndpointVariable)
	if endpoint == "" {
		endpoint = ec2EndpointIPv4
		if strings.EqualFold(l.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6") {
			endpoint = ec2EndpointIPv6
		}
	}
	return source{
		taskURI:     l.getenv(taskURIVariable),
		ec2Disabled: isTrue("AWS_EC2_METADATA_DISABLED"),
		ec2Endpoint: endpoint,
		allowV1:     l.AllowV1 && !isTrue("AWS_EC2_METADATA_V1_DISABLED"),
		timeout:     cmp.Or(l.Timeout, defaultTimeout),
	}
}

// ask returns what it learned, also if it ends with an error.
func (s source) ask(ctx context.Context) ([]netip.Addr, error) {
	transport := &http.Transport{
		DialContext: (&net.Dialer{}).DialContext,
		// A container behind a hop limit of 1 never gets the answer to the PUT
		// for a token. Version 1, if it is allowed, needs the rest of the time.
		ResponseHeaderTimeout:  s.timeout / 2,
		MaxResponseHeaderBytes: 64 << 10,
	}
	defer transport.CloseIdleConnections()
	wire := &wire{next: transport}
	if s.taskURI != "" {
		addrs, whole, err := askTask(ctx, wire, s.taskURI)
		if whole || err != nil {
			return addrs, err
		}
	}
	if s.ec2Disabled {
		return nil, ErrDisabled
	}
	return s.askInstance(ctx, wire)
}

// parseAddr accepts what can be the address of a machine. The kind of mistake
// it is here for is a page of text, so only its beginning is quoted.
func parseAddr(item, text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%s: the answer %.40q is not an address of a machine", item, text)
	}
	return addr.Unmap(), nil
}

// checkEndpoint finds the mistakes that end in obscure errors later on.
func checkEndpoint(variable, value string) error {
	endpoint, err := url.Parse(value)
	if err != nil || (endpoint.Scheme != "http" && endpoint.Scheme != "https") || endpoint.Host == "" {
		return fmt.Errorf("%s=%q is not a URL such as http://127.0.0.1:1338", variable, value)
	}
	return nil
}
