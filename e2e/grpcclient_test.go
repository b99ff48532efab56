package e2e

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

// grpcClient asks the health service by grpc-go's client, set up as a product that is written with it sets it up. Options
// are from their sources.
type grpcClient struct {
	name  string
	agent string // before grpc-go's own
	tls   *tls.Config
	dial  func(context.Context, string) (net.Conn, error) // nil: grpc-go's own
}

// grpcClients returns the products.
func grpcClients() []grpcClient {
	dialer := net.Dialer{Control: lingerOneSecond}
	return []grpcClient{
		{ // pkg/probe/grpc/grpc.go
			name: "kubelet", agent: "kube-probe/1.32",
			dial: func(ctx context.Context, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", address)
			},
		},
		{name: "consul"}, // agent/checks/grpc.go
	}
}

// check asks once about the server as a whole, on a connection of its own.
func (g grpcClient) check(ctx context.Context, address string) (health.HealthCheckResponse_ServingStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if g.tls != nil {
		options[0] = grpc.WithTransportCredentials(credentials.NewTLS(g.tls))
	}
	if g.agent != "" {
		options = append(options, grpc.WithUserAgent(g.agent))
	}
	if g.dial != nil {
		options = append(options, grpc.WithContextDialer(g.dial))
	}
	// The products resolve nothing: they are given addresses.
	conn, err := grpc.NewClient("passthrough:///"+address, options...)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answer, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{})
	return answer.GetStatus(), err
}
