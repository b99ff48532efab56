package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// maxInterfaces is above what any instance type can attach.
const maxInterfaces = 128

// askInstance reads the private addresses of all network interfaces from the
// EC2 instance metadata service.
func (s source) askInstance(ctx context.Context, wire *wire) ([]netip.Addr, error) {
	if err := checkEndpoint(ec2EndpointVariable, s.ec2Endpoint); err != nil {
		return nil, err
	}
	// Whatever is left open here the SDK would take from the process's
	// environment. Left unset, EnableFallback means version 1 without a word.
	service := instance{wire: wire, client: imds.New(imds.Options{
		Endpoint:          s.ec2Endpoint,
		ClientEnableState: imds.ClientEnabled,
		EnableFallback:    sdk.BoolTernary(s.allowV1),
		HTTPClient:        wire,
		Retryer:           sdk.NopRetryer{}, // Run tries again
	})}
	addrs, err := service.addresses(ctx)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it knows no private address of this machine")
	}
	if err != nil {
		err = fmt.Errorf("instance metadata at %s: %w%s", s.ec2Endpoint, err, s.cure(err))
	}
	return addrs, err
}

// cure is what may help against err, as a continuation of its sentence.
func (s source) cure(err error) string {
	var failed *wireError
	if !errors.As(err, &failed) {
		return ""
	}
	switch {
	case failed.timeout():
		return "; in a container raise the instance's hop limit, since the token does not travel further than one hop:" +
			" aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2; outside AWS set AWS_EC2_METADATA_DISABLED=true"
	case failed.status == 0:
		return "; outside AWS set AWS_EC2_METADATA_DISABLED=true"
	case failed.status == http.StatusForbidden:
		return "; instance metadata is turned off: aws ec2 modify-instance-metadata-options --http-endpoint enabled"
	case failed.status == http.StatusUnauthorized && s.allowV1:
		return "; this service wants the tokens of version 2, but did not give one"
	case failed.method == http.MethodPut && !s.allowV1:
		return "; this service gives no tokens, so only version 1 is left, which is not allowed here"
	default:
		return ""
	}
}

// instance asks one instance metadata service.
type instance struct {
	wire   *wire // below client
	client *imds.Client
}

// addresses returns what it learned, also if it ends with an error.
func (i instance) addresses(ctx context.Context) ([]netip.Addr, error) {
	// local-ipv4 is the first interface's and so among the others, but it is
	// what a small imitation of the service has.
	addrs, err := i.list(ctx, nil, "local-ipv4")
	if err != nil {
		return addrs, err
	}
	const interfaces = "network/interfaces/macs/"
	macs, err := i.lines(ctx, interfaces)
	if err != nil {
		return addrs, err
	}
	if len(macs) > maxInterfaces {
		return addrs, fmt.Errorf("%s: %d network interfaces", interfaces, len(macs))
	}
	for _, line := range macs {
		mac := strings.TrimSuffix(line, "/")
		if _, err := net.ParseMAC(mac); err != nil {
			return addrs, fmt.Errorf("%s: the answer %.40q is not a MAC address", interfaces, line)
		}
		for _, item := range []string{"/local-ipv4s", "/ipv6s"} {
			if addrs, err = i.list(ctx, addrs, interfaces+mac+item); err != nil {
				return addrs, err
			}
		}
	}
	return addrs, nil
}

// list appends the addresses of an item to addrs.
func (i instance) list(ctx context.Context, addrs []netip.Addr, item string) ([]netip.Addr, error) {
	lines, err := i.lines(ctx, item)
	if err != nil {
		return addrs, err
	}
	for _, line := range lines {
		addr, err := parseAddr(item, line)
		if err != nil {
			return addrs, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// lines reads an item. One that the service does not have is empty: an instance
// without IPv4 has no local-ipv4, one without IPv6 no ipv6s.
func (i instance) lines(ctx context.Context, item string) ([]string, error) {
	out, err := i.client.GetMetadata(ctx, &imds.GetMetadataInput{Path: item})
	if failed := i.wire.failed; err != nil && failed != nil {
		if failed.status == http.StatusNotFound && failed.method == http.MethodGet {
			return nil, nil
		}
		return nil, failed
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item, err)
	}
	text, err := readAll(out.Content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item, err)
	}
	return strings.Fields(text), nil
}
