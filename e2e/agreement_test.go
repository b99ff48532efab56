package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

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
	name       string // of the way in which it asks
	dialect    triage.Dialect
	path, host string                    // of its question
	settings   func(*triage.HealthCheck) // what it was told beside that; nil: nothing
	named      bool                      // it was told the servers' name, not their address
	spared     []string                  // servers that it is not asked about
	says       map[string]judgement
	codes      bool // why is the code that the dialect's words have too
}

// target is a server as the judge is told it.
func (j *judge) target(s sickServer) string {
	if j.named {
		return fmt.Sprintf("localhost:%d", s.addr.Port())
	}
	return s.addr.String()
}

// TestAgreement has real checkers, and triage as their dialects, judge the same servers. Where they do not agree,
// differences says why, and may say so no longer than it is true. With -v the test shows all judgements.
func TestAgreement(t *testing.T) {
	requireTools(t)
	t.Parallel()
	servers := startSickServers(t)
	judges := judgeByHAProxy(t, servers,
		haproxyWay{judge: judge{name: "haproxy", dialect: triage.HAProxy, path: "/", codes: true}, lines: httpchk},
		haproxyWay{judge: judge{name: "haproxy-http11", dialect: triage.HAProxyHTTP11, path: "/health", host: realName, codes: true}, lines: httpchk + sendHTTP11})
	judges = append(judges, judgeByCaddy(t, servers, judge{name: "caddy", dialect: triage.Caddy, path: "/health"}, caddyGroup{}))
	judges = append(judges, judgeByBlackbox(t, servers, nil, blackboxWay{judge: judge{name: "blackbox", dialect: triage.Blackbox, path: "/health"}, module: "http_2xx", scheme: "http"})...)
	judges = append(judges, judgeByNetClients(t, servers)...)
	compareJudgements(t, judges, servers, differences())
}

// compareJudgements holds triage to the judges.
func compareJudgements(t *testing.T, judges []judge, servers []sickServer, known []difference) {
	t.Helper()
	ours := make([]map[string]judgement, len(judges))
	var all errgroup.Group
	all.SetLimit(3) // some servers hang, so that each way takes as long as the timeout
	for i, j := range judges {
		all.Go(func() error {
			ours[i] = judgeByTriage(j, servers)
			return nil
		})
	}
	all.Wait()
	for i, j := range judges {
		if p := j.healthCheck().Protocol; !dialect.Get(j.dialect).Speaks(p) {
			t.Errorf("%s judges over %s, which is not in the table", j.name, p)
		}
		t.Run(j.name, func(t *testing.T) { compareJudgement(t, j, ours[i], servers, known) })
	}
	for _, d := range known {
		for _, name := range d.judges {
			if !slices.ContainsFunc(judges, func(j judge) bool { return j.name == name }) {
				t.Errorf("there is no judge %q to differ about %q", name, d.server)
			}
		}
		if !slices.ContainsFunc(servers, func(s sickServer) bool { return s.name == d.server }) {
			t.Errorf("there is no server %q to differ about", d.server)
		}
	}
}

func compareJudgement(t *testing.T, j judge, ours map[string]judgement, servers []sickServer, known []difference) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "server\t%s\ttriage\t\n", j.name)
	for _, s := range servers {
		real, our := j.says[s.name], ours[s.name]
		if slices.Contains(j.spared, s.name) {
			continue
		}
		reason := reasonFor(known, j.name, s.name)
		differ := real.verdict != our.verdict || j.codes && real.why != our.why
		switch {
		case differ && reason == "":
			t.Errorf("%s: %s says %s, and triage says %s", s.name, j.name, real, our)
		case !differ && reason != "":
			t.Errorf("%s: triage agrees with %s, so this is no longer true: %s", s.name, j.name, reason)
		}
		fmt.Fprintf(w, "%s\t%.70s\t%.70s\t%s\n", s.name, real, our, reason)
	}
	w.Flush()
	t.Logf("\n%s", &table)
}

// healthCheck is what triage is told, to ask what the judge asks.
func (j *judge) healthCheck() triage.HealthCheck {
	c := triage.DefaultHealthCheck()
	c.Protocol, c.Path, c.Host, c.Timeout = triage.HTTP, j.path, j.host, limit
	if j.settings != nil {
		j.settings(&c)
	}
	spec := dialect.Get(j.dialect)
	c.SuccessCodes = spec.Codes
	if c.Protocol.IsGRPC() {
		c.GRPCCodes, _ = spec.PassingCodes(c.Protocol)
	}
	return c
}

// judgeByTriage asks as the dialect does.
func judgeByTriage(j judge, servers []sickServer) map[string]judgement {
	spec := dialect.Get(j.dialect)
	plan := probe.Compile(spec, j.healthCheck())
	return judgeEach(servers, func(s sickServer) judgement {
		key := triage.Key{Target: triage.TargetID(j.target(s)), Address: s.addr}
		x := probe.Do(context.Background(), plan, key, triage.AddressPolicy{})
		why := strings.TrimSpace(fmt.Sprintf("%s %d %s", x.Outcome, x.Status, x.Detail))
		if j.codes {
			why = spec.WordsFor(x).Code
		}
		return judgement{x.Outcome.Verdict(), why}
	})
}

// difference is a server that triage judges otherwise than some real checkers, and why.
type difference struct {
	server  string
	judges  []string
	because string
}

// differences is all that there are over HTTP/1 without TLS.
func differences() []difference {
	bothOfHAProxy := []string{"haproxy", "haproxy-http11"}
	everybody := []string{"haproxy", "haproxy-http11", "caddy", "blackbox", "kubelet", "traefik", "consul"}
	return []difference{
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
}

// reasonFor is why a judge and triage differ about a server; "" if they do not.
func reasonFor(known []difference, judge, server string) string {
	for _, d := range known {
		if d.server == server && slices.Contains(d.judges, judge) {
			return d.because
		}
	}
	return ""
}
