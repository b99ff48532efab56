package e2e

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
)

// imds is the EC2 metadata service as one instance sees it: Amazon's own mock.
type imds struct {
	*process
	addr netip.AddrPort
}

// newIMDS makes a stopped metadata service that tells private as the
// instance's address.
func newIMDS(t *testing.T, dir string, addr netip.AddrPort, private netip.Addr) *imds {
	t.Helper()
	conf := writeFile(t, dir, "mock.json", fmt.Sprintf(`{"metadata": {"values": {"local-ipv4": %q}}}`, private))
	return &imds{
		addr: addr,
		process: newProcess(t, &process{
			name: "EC2 metadata of " + private.String(),
			path: repoFile(t, ".cache/bin/ec2-metadata-mock"),
			// Without a hostname it would listen on all addresses.
			args: []string{"--config-file", conf, "--hostname", addr.Addr().String(), "--port", portText(addr.Port())},
			dir:  dir,
			quit: syscall.SIGTERM,
		}),
	}
}

// start runs the service. With v2Only it refuses a request without a session
// token (401), as an instance does whose metadata options say "required".
func (m *imds) start(t *testing.T, v2Only bool) {
	t.Helper()
	m.env = nil
	if v2Only {
		m.env = []string{"AEMM_IMDSV2=true"}
	}
	m.process.start(t)
}

// waitUntilReady returns once the service answers.
func (m *imds) waitUntilReady(t *testing.T) {
	t.Helper()
	m.waitUntil(t, "answers", func() bool { return answers(m.addr) })
}

// endpoint is the service's URL, for AWS_EC2_METADATA_SERVICE_ENDPOINT.
func (m *imds) endpoint() string { return "http://" + m.addr.String() }
