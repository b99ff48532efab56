package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
)

// taskContainer is the part used here of the container document of task
// metadata version 4 (ECS developer guide, "task metadata endpoint version 4").
type taskContainer struct {
	Networks []struct {
		NetworkMode   string
		IPv4Addresses []string
		IPv6Addresses []string
	}
}

// askTask reads this container's addresses. They are not the whole answer if
// the task shares the instance's network or hides behind it: then the instance
// must be asked.
func askTask(ctx context.Context, wire *wire, uri string) (addrs []netip.Addr, whole bool, err error) {
	if err := checkEndpoint(taskURIVariable, uri); err != nil {
		return nil, false, err
	}
	container, err := fetchTask(ctx, wire, uri)
	if err != nil {
		return nil, false, fmt.Errorf("ECS task metadata: %w", err)
	}
	for _, network := range container.Networks {
		if network.NetworkMode != "awsvpc" {
			continue
		}
		for _, text := range append(network.IPv4Addresses, network.IPv6Addresses...) {
			addr, err := parseAddr("ECS task metadata: Networks", text)
			if err != nil {
				return addrs, false, err
			}
			addrs = append(addrs, addr)
		}
	}
	return addrs, len(addrs) > 0, nil
}

func fetchTask(ctx context.Context, wire *wire, uri string) (taskContainer, error) {
	var container taskContainer
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return container, err
	}
	response, err := wire.Do(request)
	if err != nil {
		return container, err
	}
	text, err := readAll(response.Body)
	if err != nil {
		return container, fmt.Errorf("get %s: %w", uri, err)
	}
	if wire.failed != nil {
		return container, wire.failed
	}
	if err := json.Unmarshal([]byte(text), &container); err != nil {
		return container, fmt.Errorf("get %s: %w", uri, err)
	}
	return container, nil
}
