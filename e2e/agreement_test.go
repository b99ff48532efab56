package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
	"github.com/triage-lb/triage/internal/probe"
)

// judgement is what a checker says of a server.
type judgement struct {
	verdict triage.Verdict
	why     string // in the checker's own words
}

func (j judgement) String() string { return strings.TrimSpace(j.verdict.String() + " " + j.why) }

// passOrFail is the verdict of a checker that has no third.
func passOrFail(pass bool) triage.Verdict {
	if pass {
		return triage.Pass
	}
	return triage.Fail
}

// judge is a real checker that has judged all servers.
type judge struct {
	dialect    string
	path, host string // of its question
	says       map[string]judgement
	codes      bool // why is the code that the dialect's words have too
}

// TestAgreement has real checkers, and triage as their dialects, judge the same servers. Where they do not agree,
// differences says why, and may say so no longer than it is true. With -v the test shows all judgements.
func TestAgreement(t *testing.T) {
	requireTools(t)
	servers := startSickServers(t)
	judges := append(judgeByHAProxy(t, servers), judgeByCaddy(t, servers), judgeByBlackbox(t, servers))
	judges = append(judges, judgeByNetClients(t, servers)...)
	for _, j := range judges {
		t.Run(j.dialect, func(t *testing.T) {
			spec := dialect.Get(triage.Dialect(j.dialect))
			compareJudgements(t, j, judgeByTriage(spec, j, servers), servers)
		})
	}
}

func compareJudgements(t *testing.T, j judge, ours map[string]judgement, servers []sickServer) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "server\t%s\ttriage\t\n", j.dialect)
	for _, s := range servers {
		real, our := j.says[s.name], ours[s.name]
		reason := reasonFor(j.dialect, s.name)
		differ := real.verdict != our.verdict || j.codes && real.why != our.why
		switch {
		case differ && reason == "":
			t.Errorf("%s: %s says %s, and triage says %s", s.name, j.dialect, real, our)
		case !differ && reason != "":
			t.Errorf("%s: triage agrees with %s, so this is no longer true: %s", s.name, j.dialect, reason)
		}
		fmt.Fprintf(w, "%s\t%.70s\t%.70s\t%s\n", s.name, real, our, reason)
	}
	w.Flush()
	t.Logf("\n%s", &table)
}

// judgeByTriage asks as the dialect does.
func judgeByTriage(spec *dialect.Spec, j judge, servers []sickServer) map[string]judgement {
	settings := triage.DefaultHealthCheck()
	settings.Protocol, settings.Path, settings.Host = triage.HTTP, j.path, j.host
	settings.SuccessCodes, settings.Timeout = spec.Codes, limit
	plan := probe.Compile(spec, settings)
	return judgeEach(servers, func(s sickServer) judgement {
		key := triage.Key{Target: triage.TargetID(s.addr.String()), Address: s.addr}
		x := probe.Do(context.Background(), plan, key, triage.AddressPolicy{})
		why := fmt.Sprintf("%s %d", x.Outcome, x.Status)
		if j.codes {
			why = spec.Words(x.Outcome, x.Status).Code
		}
		return judgement{x.Outcome.Verdict(), why}
	})
}

// judgeEach judges all servers at once.
func judgeEach(servers []sickServer, judge func(sickServer) judgement) map[string]judgement {
	var mu sync.Mutex
	says := map[string]judgement{}
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			j := judge(s)
			mu.Lock()
			defer mu.Unlock()
			says[s.name] = j
		})
	}
	all.Wait()
	return says
}

func judgeByHAProxy(t *testing.T, servers []sickServer) []judge {
	t.Helper()
	bare, sent := "backend haproxy\n  mode http\n  option httpchk\n", "backend haproxy-http11\n  mode http\n  option httpchk\n"+
		"  http-check send meth GET uri /health ver HTTP/1.1 hdr Host "+realName+"\n"
	for i, s := range servers {
		line := fmt.Sprintf("  server s%d %s\n", i, s.addr)
		bare, sent = bare+line, sent+line
	}
	judges := []judge{
		{dialect: "haproxy", path: "/", codes: true},
		{dialect: "haproxy-http11", path: "/health", host: realName, codes: true},
	}
	h := startHAProxy(t, bare, sent)
	h.waitUntil(t, "has checked each server", func() bool {
		stats := h.stat()
		for i := range judges {
			j := &judges[i]
			j.says = map[string]judgement{}
			for k, s := range servers {
				stat := stats[fmt.Sprintf("%s/s%d", j.dialect, k)]
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

func judgeByCaddy(t *testing.T, servers []sickServer) judge {
	t.Helper()
	var upstreams []string
	for _, s := range servers {
		upstreams = append(upstreams, s.addr.String())
	}
	c := startCaddy(t, "/health", caddyGroup{upstreams: upstreams})
	// Caddy checks all at once, and logs failures only. When the third round has come to the server that is sick at once,
	// the first is over for all: a round takes no longer than the timeout, and that is less than the interval.
	last := servers[len(servers)-1]
	c.waitUntil(t, "has checked three times", func() bool { return len(c.failures(t)[last.addr.String()]) >= 3 })
	failures := c.failures(t)
	c.stop(t)
	j := judge{dialect: "caddy", path: "/health", says: map[string]judgement{}}
	for _, s := range servers {
		causes := failures[s.addr.String()]
		why := ""
		if len(causes) > 0 {
			why = causes[0]
		}
		j.says[s.name] = judgement{passOrFail(len(causes) == 0), why}
	}
	return j
}

func judgeByBlackbox(t *testing.T, servers []sickServer) judge {
	t.Helper()
	b := startBlackbox(t)
	says := judgeEach(servers, func(s sickServer) judgement {
		ok, log, err := b.probe("http_2xx", "http://"+s.addr.String()+"/health")
		if err != nil {
			t.Error(err)
		}
		return judgement{passOrFail(ok), log}
	})
	b.stop(t)
	return judge{dialect: "blackbox", path: "/health", says: says}
}

func judgeByNetClients(t *testing.T, servers []sickServer) []judge {
	t.Helper()
	var judges []judge
	for _, n := range netClients(t) {
		judges = append(judges, judge{dialect: n.name, path: "/health", says: judgeEach(servers, func(s sickServer) judgement {
			ok, code, err := n.check("http://" + s.addr.String() + "/health")
			why := fmt.Sprint(code)
			if failed, isURL := errors.AsType[*url.Error](err); isURL {
				why = failed.Err.Error()
			} else if err != nil {
				why = err.Error()
			}
			return judgement{passOrFail(ok), why}
		})})
	}
	return judges
}

// difference is a server that triage judges otherwise than some real checkers, and why.
type difference struct {
	server   string
	dialects []string
	because  string
}

var (
	bothOfHAProxy = []string{"haproxy", "haproxy-http11"}
	everybody     = []string{"haproxy", "haproxy-http11", "caddy", "blackbox", "kubelet", "traefik", "consul"}
)

// differences is all that there are.
var differences = []difference{
	{"bare line feeds", everybody, "they take a lone LF for the end of a line, as RFC 9112 section 2.2 allows; triage does not, and says so"},
	{"a NUL", bothOfHAProxy, "it does not look into field values"},
	{"a NUL", []string{"caddy", "blackbox"}, "Debian builds it with Go 1.19, which did not look into field values; Go 1.26 does"},
	{"an empty line first", bothOfHAProxy, "it skips empty lines before a status line"},
	{"a status of two digits", bothOfHAProxy, "it reads 20 as a status, and a wrong one; to triage this is not HTTP"},
	{"a chunk size that is no number", bothOfHAProxy, "it looks at as much of the content as comes along with the head"},
	{"103, then 200", bothOfHAProxy, "it takes an interim answer for the answer; triage waits for the answer"},
	{"302, relative", []string{"caddy"}, "2.6.2 follows redirects, on the same upstream; the table has the rule of newer versions"},
	{"302 to the same host", []string{"caddy"}, "2.6.2 follows redirects, on the same upstream; the table has the rule of newer versions"},
	{"302 without a Location", []string{"caddy"}, "2.6.2 passes 200-399; the table has the rule of newer versions"},
	{"302 to another host", []string{"blackbox", "traefik", "consul"}, "they look up the other name; a check of triage looks up none, and says that the redirect leads elsewhere"},
}

// reasonFor is why a dialect and triage differ about a server; "" if they do not.
func reasonFor(dialect, server string) string {
	for _, d := range differences {
		if d.server == server && slices.Contains(d.dialects, dialect) {
			return d.because
		}
	}
	return ""
}
