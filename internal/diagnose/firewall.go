package diagnose

import (
	"fmt"
	"strings"
	"time"

	"github.com/triage-lb/triage"
)

// unansweredEntries are about what stands between: firewalls, routes, policies. From outside they look alike.
var unansweredEntries = []*Entry{
	{
		Code:    "security-group-blocks",
		Title:   "a security group does not let the load balancer in",
		Stage:   StageConnect,
		Seen:    "the connection is not made in time; AWS shows Target.Timeout",
		Cause:   "the instance's security group does not admit the load balancer on port {port}, or the load balancer's own lets nothing out to it, and what is not admitted is dropped in silence",
		Decides: "the inbound rules of the instance's group for port {port}; triage listen --tap shows on the target whether anything arrives",
		Fixes: []Fix{
			{"", "admit the load balancer's security group on the check's port:\n    aws ec2 authorize-security-group-ingress --protocol tcp \\\n        --port {port} --group-id TARGET-SG --source-group LB-SG\nand look at the outbound rules of the load balancer's group"},
		},
		Wrong:   Wrong{"admitting 0.0.0.0/0", "everybody then reaches the instance past the load balancer, its TLS and its rules"},
		Sources: []string{"AWS: load-balancer-troubleshooting"},

		match: timeoutOf(triage.AWSALB, triage.AWSNLB, triage.AWSCLB),
	},
	{
		Code:    "network-acl-blocks",
		Title:   "a network ACL drops the way back",
		Stage:   StageConnect,
		Seen:    "the connection is not made in time from the load balancer, and is from a machine of the target's own subnet",
		Cause:   "a network ACL keeps no state: it lacks the answer's way back to the load balancer's ports 1024-65535",
		Decides: "the same check from a machine in the target's own subnet, which passes no ACL",
		Fixes: []Fix{
			{"", "in the ACLs of both subnets, admit the check's port one way and\n1024-65535 the other way"},
		},
		Sources: []string{"AWS: load-balancer-troubleshooting"},

		match: timeoutOf(triage.AWSALB, triage.AWSNLB, triage.AWSCLB),
	},
	{
		Code:    "gcp-probe-ranges-blocked",
		Title:   "no firewall rule admits Google's probes",
		Stage:   StageConnect,
		Seen:    "every probe of Google Cloud times out",
		Cause:   "Google's probes come from ranges of their own, and no firewall rule of the network admits them on port {port}",
		Decides: "gcloud compute firewall-rules list, for the ranges of the probes and port {port}",
		Fixes: []Fix{
			{"", "gcloud compute firewall-rules create allow-health-checks \\\n    --network NET --allow tcp:{port} \\\n    --source-ranges RANGES\nwhere RANGES are those in Google's page on probe IP ranges"},
		},
		Sources: []string{"kubernetes #20555", "Google: networkmanagement, LoadBalancerBackend"},

		match: timeoutOf(triage.GCP),
	},
	{
		Code:    "azure-probe-address-blocked",
		Title:   "168.63.129.16 is dropped",
		Stage:   StageConnect,
		Seen:    "every probe of Azure Load Balancer times out",
		Cause:   "Azure Load Balancer asks from 168.63.129.16, and a network security group or the machine's own firewall drops that address",
		Decides: "the effective security rules of the network interface, for 168.63.129.16 and port {port}",
		Fixes: []Fix{
			{"", "admit the service tag AzureLoadBalancer on port {port} in the\nnetwork security group, and 168.63.129.16 in the machine's firewall"},
		},
		Sources: []string{"azure-docs #122526"},

		match: timeoutOf(triage.AzureLB),
	},
	{
		Code:    "azure-gateway-route-blocks",
		Title:   "the gateway's subnet has no way to the target",
		Stage:   StageConnect,
		Seen:    "Azure Application Gateway: could not connect to the backend",
		Cause:   "a network security group, a route of the user's own or a firewall between the gateway's subnet and the target drops the probe, or its port is wrong",
		Decides: "the effective routes and security rules, and a connection from a machine in the gateway's subnet",
		Fixes: []Fix{
			{"", "az network nic show-effective-route-table --ids NIC\naz network nic list-effective-nsg --ids NIC\nthen admit the gateway's subnet on port {port}"},
		},
		Sources: []string{"Azure: application-gateway-backend-health-troubleshooting"},

		match: timeoutOf(triage.AzureAppGW),
	},
	{
		Code:    "azure-gateway-ports-blocked",
		Title:   "the gateway's own management ports are blocked",
		Stage:   StageConnect,
		Seen:    "Azure Application Gateway shows Unknown for every backend",
		Cause:   "a rule on the gateway's own subnet blocks the ports by which Azure manages it: 65200-65535 (v2), 65503-65534 (v1)",
		Fixes:   []Fix{{"", "admit the service tag GatewayManager on 65200-65535 (v1:\n65503-65534) in the network security group of the gateway's subnet"}},
		Unseen:  true,
		Sources: []string{"Azure: application-gateway-backend-health-troubleshooting"},
	},
	{
		Code:    "connect-timeout",
		Title:   "nothing answers at this address and port",
		Stage:   StageConnect,
		Seen:    "the connection is not made in time: not even a refusal comes",
		Cause:   "no answer of any kind came from {address} port {port}: a firewall or security group drops what is sent there, or no machine has the address, or the process no longer takes connections",
		Decides: "the same check on the target itself, and from another machine of its network",
		Fixes: []Fix{
			{"", "on the target, see whether anything arrives while the check runs:\n    tcpdump -ni any tcp port {port}\nnothing: a security group or firewall on the way, or not its address;\nsomething: its own firewall (nft list ruleset), or a process that\nhangs (ss -ltn: a full Recv-Q)"},
		},
		Wrong:   Wrong{"a longer timeout", "a packet that is dropped is dropped for longer"},
		Sources: []string{"dropped packets, and a listener with a full queue, tried"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.ConnectTimeout || c.followed() {
				return no
			}
			return fitting(c.evidence()...)
		},
	},
	{
		Code:    "no-such-machine",
		Title:   "no machine has this address",
		Stage:   StageConnect,
		Seen:    "the connection is not made in time, or a router says that the host cannot be reached",
		Cause:   "nothing answers for {address}: the machine is off, or gone, or has another address by now",
		Decides: "on a machine of the same network: ip neigh show {address}",
		Fixes: []Fix{
			{"", "is the machine up, and is this still its address? From its network:\n    ping -c 1 {address}; ip neigh show {address}\nthen take the stale target out"},
		},
		Sources: []string{"an address without a machine, tried"},

		match: func(c *kase) clue {
			switch {
			case c.followed(), c.x.Outcome != triage.ConnectTimeout && !c.unreachable("no route to host", "host is down"):
				return no
			case c.x.Outcome == triage.Unreachable && c.x.Took >= neighbours:
				return fitting(append(c.evidence(), fmt.Sprintf("after %.1f s, the time in which nobody on the network has claimed the address", c.x.Took.Seconds()))...)
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:    "firewall-rejects",
		Title:   "a firewall turns the connection away",
		Stage:   StageConnect,
		Seen:    "no route to host, at once, though the machine is there",
		Cause:   "a firewall at {address} or before it answers that the host is prohibited, which is what firewalld and iptables do with --reject-with icmp-host-prohibited",
		Decides: "whether another port of the machine answers, such as 22",
		Fixes: []Fix{
			{"", "on the target:\n    firewall-cmd --add-port={port}/tcp --permanent\n    firewall-cmd --reload\nor the like in nft or iptables"},
		},
		Wrong:   Wrong{"switching the firewall off", "every port of the machine is then open to its network"},
		Sources: []string{"Linux: icmp(7), ICMP_HOST_ANO becomes EHOSTUNREACH", "iptables-extensions(8), REJECT"},

		match: func(c *kase) clue {
			if !c.unreachable("no route to host") {
				return no
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:    "no-route",
		Title:   "this machine has no route to the target's network",
		Stage:   StageConnect,
		Seen:    "network is unreachable, at once",
		Cause:   "no route leads from here to {address}: often an IPv6 address on a machine that has none, or a network that is not peered",
		Decides: "ip route get {address}",
		Fixes:   []Fix{{"", "ip route get {address}\nshows what is missing; check from a machine of the target's network\notherwise"}},
		Sources: []string{"Linux: connect(2), ENETUNREACH, tried"},

		match: func(c *kase) clue {
			if !c.unreachable("network is unreachable") {
				return no
			}
			return fitting(c.evidence()...)
		},
	},
	{
		Code:    "forbidden-here",
		Title:   "a firewall on this machine forbids the connection",
		Stage:   StageConnect,
		Seen:    "operation not permitted, or permission denied, at once",
		Cause:   "this machine's own firewall or sandbox forbids connections to {address}: no packet has left it",
		Decides: "the outbound rules of this machine",
		Fixes:   []Fix{{"", "nft list ruleset    (chain output), or the sandbox's policy"}},
		Sources: []string{"Linux: connect(2), EACCES and EPERM"},

		match: func(c *kase) clue {
			switch {
			case c.x.Outcome != triage.ConnectFailed:
				return no
			case c.x.Detail == "operation not permitted" || c.x.Detail == "permission denied":
				return fitting(c.x.Detail)
			}
			return maybe(c.evidence()...)
		},
	},
	{
		Code:    "address-not-allowed",
		Title:   "triage is told not to ask this address",
		Stage:   StageConnect,
		Seen:    "the check ends before it connects",
		Cause:   "triage's own policy does not allow checks of {address}",
		Decides: "the policy in the configuration",
		Fixes:   []Fix{{"", "allow the address in the configuration if it is right, or correct\nthe target"}},
		Sources: []string{"triage itself"},

		match: func(c *kase) clue {
			if c.x.Outcome != triage.AddressForbidden {
				return no
			}
			return certainly(c.evidence()...)
		},
	},
}

// neighbours is less than the time that a machine takes to ask its network for an address: three times, a second apart
// (arp(7), mcast_solicit). A firewall says no at once.
const neighbours = 2 * time.Second

// timeoutOf suspects what only some load balancers meet, where a connection was not made in time.
func timeoutOf(dialects ...triage.Dialect) func(*kase) clue {
	return func(c *kase) clue {
		for _, d := range dialects {
			if c.x.Outcome == triage.ConnectTimeout && c.x.Dialect == d {
				return maybe(c.evidence()...)
			}
		}
		return no
	}
}

// unreachable reports whether the network has said so with one of these words; with none known, it may be any.
func (c *kase) unreachable(words ...string) bool {
	if c.x.Outcome != triage.Unreachable {
		return false
	}
	for _, w := range words {
		if c.x.Detail == "" || strings.Contains(c.x.Detail, w) {
			return true
		}
	}
	return false
}
