package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
)

// judgeEach judges all servers, some at a time: with all at once, a slow machine would be late for them.
func judgeEach(servers []sickServer, judge func(sickServer) judgement) map[string]judgement {
	says := make([]judgement, len(servers))
	var all errgroup.Group
	all.SetLimit(8)
	for i, s := range servers {
		all.Go(func() error {
			says[i] = judge(s)
			return nil
		})
	}
	all.Wait()
	named := map[string]judgement{}
	for i, s := range servers {
		named[s.name] = says[i]
	}
	return named
}

// haproxyWay is a way of HAProxy to check: lines of a backend, and words of its servers.
type haproxyWay struct {
	judge
	lines, words string
}

// How HAProxy asks: nothing, by option httpchk, and by that with a request of today.
const (
	tcp        = "  mode tcp\n"
	httpchk    = "  mode http\n  option httpchk\n"
	sendHTTP11 = "  http-check send meth GET uri /health ver HTTP/1.1 hdr Host " + realName + "\n"
)

// judgeByHAProxy has one HAProxy judge in several ways.
func judgeByHAProxy(t *testing.T, servers []sickServer, ways ...haproxyWay) []judge {
	t.Helper()
	var backends []string
	for b, way := range ways {
		backend := fmt.Sprintf("backend b%d\n%s", b, way.lines)
		for i, s := range servers {
			if slices.Contains(way.spared, s.name) {
				continue
			}
			backend += fmt.Sprintf("  server s%d %s %s\n", i, s.addr, way.words)
		}
		backends = append(backends, backend)
	}
	judges := make([]judge, len(ways))
	h := startHAProxy(t, backends...)
	h.waitUntil(t, "has checked each server", func() bool {
		stats := h.stat()
		for b, way := range ways {
			j := &judges[b]
			*j = way.judge
			j.says = map[string]judgement{}
			for i, s := range servers {
				stat := stats[fmt.Sprintf("b%d/s%d", b, i)]
				if slices.Contains(way.spared, s.name) {
					continue
				}
				if stat.Check == "" {
					return false
				}
				j.says[s.name] = judgement{passOrFail(stat.Up), stat.Check}
			}
		}
		return true
	})
	h.stop(t)
	return judges
}

// judgeByCaddy has a Caddy judge the servers as the upstreams of a group.
func judgeByCaddy(t *testing.T, servers []sickServer, j judge, group caddyGroup) judge {
	t.Helper()
	for _, s := range servers {
		group.upstreams = append(group.upstreams, j.target(s))
	}
	c := startCaddy(t, j.path, group)
	// Caddy checks all at once, and logs failures only. When the third round has come to the server that is sick at once,
	// the first is over for all: a round takes no longer than the timeout, and that is less than the interval.
	last := servers[len(servers)-1]
	c.waitUntil(t, "has checked three times", func() bool { return len(c.failures(t)[j.target(last)]) >= 3 })
	failures := c.failures(t)
	c.stop(t)
	j.says = map[string]judgement{}
	for _, s := range servers {
		causes := failures[j.target(s)]
		why := ""
		if len(causes) > 0 {
			why = causes[0]
		}
		j.says[s.name] = judgement{passOrFail(len(causes) == 0), why}
	}
	return j
}

// blackboxWay is a way of blackbox_exporter to probe.
type blackboxWay struct {
	judge
	module string
	scheme string // of the target's URL; "": the target has none
}

// judgeByBlackbox has one blackbox_exporter, with more modules than usual, judge in several ways.
func judgeByBlackbox(t *testing.T, servers []sickServer, modules []string, ways ...blackboxWay) []judge {
	t.Helper()
	b := startBlackbox(t, modules...)
	judges := judgeByEach(ways, func(way blackboxWay) judge {
		j := way.judge
		j.says = judgeEach(servers, func(s sickServer) judgement {
			target := j.target(s)
			if way.scheme != "" {
				target = way.scheme + "://" + target + j.path
			}
			ok, log, err := b.probe(way.module, target)
			if err != nil {
				t.Error(err)
			}
			return judgement{passOrFail(ok), log}
		})
		return j
	})
	b.stop(t)
	return judges
}

// judgeByNetClients asks over http.
func judgeByNetClients(t *testing.T, servers []sickServer) []judge {
	t.Helper()
	return judgeByEach(netClients(t, &tls.Config{}), func(n *netClient) judge {
		return judgeByNetClient(servers, n, "http", judge{name: n.name, dialect: triage.Dialect(n.name), path: "/health"})
	})
}

// judgeByEach has several clients judge at the same time.
func judgeByEach[C any](clients []C, judgeBy func(C) judge) []judge {
	judges := make([]judge, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { judges[i] = judgeBy(c) })
	}
	all.Wait()
	return judges
}

func judgeByNetClient(servers []sickServer, n *netClient, scheme string, j judge) judge {
	j.says = judgeEach(servers, func(s sickServer) judgement {
		ok, code, err := n.check(scheme + "://" + j.target(s) + j.path)
		why := fmt.Sprint(code)
		if failed, isURL := errors.AsType[*url.Error](err); isURL {
			why = failed.Err.Error()
		} else if err != nil {
			why = err.Error()
		}
		return judgement{passOrFail(ok), why}
	})
	return j
}

// over is the settings of a check over a protocol.
func over(p triage.Protocol, tls triage.CheckTLS) func(*triage.HealthCheck) {
	return func(c *triage.HealthCheck) { c.Protocol, c.TLS = p, tls }
}
