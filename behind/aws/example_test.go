package aws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/triage-lb/triage/behind"
	"github.com/triage-lb/triage/behind/aws"
)

// On the health path, and only there, the site answers for the addresses of its
// machine as well: the strict rule for the check of an AWS load balancer.
func Example() {
	metadata := newInstance(map[string]string{"local-ipv4": "10.0.1.5"})
	defer metadata.Close()
	learner := &aws.Learner{
		Getenv: func(name string) string {
			return map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL}[name]
		},
	}
	if _, err := learner.Once(context.Background()); err != nil { // an application runs learner.Run in the background
		fmt.Println(err)
	}

	site := behind.Hosts{
		Allowed:    []string{"mysite.com"},
		HealthPath: "/health_check",
		HealthAddr: learner.Contains,
	}.Wrap(&behind.Health{})
	for _, host := range []string{"10.0.1.5:8000", "10.0.1.6:8000"} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/health_check", nil)
		request.Host = host
		site.ServeHTTP(answer, request)
		fmt.Println(host, answer.Code)
	}
	// Output:
	// 10.0.1.5:8000 200
	// 10.0.1.6:8000 400
}

// OnChange and OnError say what an operator should know.
func ExampleLearner_Run() {
	metadata := newInstance(map[string]string{
		"local-ipv4":               "10.0.1.5",
		"network/interfaces/macs/": "0e:49:61:0f:c3:11/\n",
		"network/interfaces/macs/0e:49:61:0f:c3:11/local-ipv4s": "10.0.1.5\n10.0.1.6",
		"network/interfaces/macs/0e:49:61:0f:c3:11/ipv6s":       "2001:db8::5",
	})
	defer metadata.Close()
	ctx, stop := context.WithCancel(context.Background())
	learner := &aws.Learner{
		Getenv: func(name string) string {
			return map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL}[name]
		},
		OnError:  func(err error) { fmt.Println(err) },
		OnChange: func(addrs []netip.Addr) { fmt.Println(addrs); stop() },
	}
	fmt.Println(learner.Run(ctx))
	// Output:
	// [10.0.1.5 10.0.1.6 2001:db8::5]
	// <nil>
}
