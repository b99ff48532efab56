package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage/internal/capture"
	"github.com/triage-lb/triage/internal/simulate"
)

// infect gives instances an illness, or cures them, at the address where a person would.
func (s *demoStage) infect(illness simulate.Illness, names ...string) demoStep {
	typed := fmt.Sprintf("curl -X PUT %s/%s/%s", s.places.control, names[0], illness)
	if len(names) > 1 { // the braces are curl's own
		typed = fmt.Sprintf("curl -X PUT '%s/{%s}/%s'", s.places.control, strings.Join(names, ","), illness)
	}
	return demoStep{typed: typed, do: func(ctx context.Context, _ *terminal) error {
		s.changed = time.Now()
		for _, name := range names {
			url := fmt.Sprintf("http://%s/%s/%s", s.places.control, name, illness)
			answer, err := ask(ctx, http.MethodPut, url, "")
			if err != nil {
				return err
			}
			if answer.status != http.StatusOK {
				return &demoMismatch{expected: "200 to PUT " + url, seen: fmt.Sprint(answer.status)}
			}
		}
		return nil
	}}
}

// untold is a step that restores what an act begins with, should a person be ahead of the story.
func untold(step demoStep) demoStep {
	step.typed = ""
	return step
}

// balancerSays waits until a claim about the group holds, and prints what the first line of triage status says
// then. If there is a promise how soon the balancer notices, it is held to it.
func (s *demoStage) balancerSays(c demoClaim) demoStep {
	args := []string{"status", "--admin", s.places.admin.String()}
	return demoStep{typed: s.typed(args...) + " | head -1", looks: true, do: func(ctx context.Context, out *terminal) error {
		g, err := s.await(ctx, c)
		if err != nil {
			return err
		}
		_, said := s.triage(ctx, args...)
		verdict, _, _ := strings.Cut(said, "\n")
		if took := g.Targets[len(g.Targets)-1].Since.Sub(s.changed); c.promised > 0 && took > 0 {
			if took > c.promised+demoLag {
				return &demoMismatch{expected: fmt.Sprintf("%s within %s", c.says, c.promised), seen: fmt.Sprintf("it took %s", took)}
			}
			verdict += fmt.Sprintf(", after %.1f s (promised: at most %.1f s)", took.Seconds(), c.promised.Seconds())
		}
		out.label("balancer", wrap(verdict, lineWidth-labelWidth, ""))
		return nil
	}}
}

// demoLag is what a busy machine may add to what a health check promises.
const demoLag = 3 * time.Second

// visitors sends requests through the balancer, and holds them to what visitors are to meet.
func (s *demoStage) visitors(want visits) demoStep {
	typed := fmt.Sprintf("curl -so %s -w '%%{http_code} ' '%s/?[1-%d]'", os.DevNull, s.site(), demoVisits)
	return demoStep{typed: typed, looks: true, do: func(ctx context.Context, out *terminal) error {
		seen := newVisits()
		for range demoVisits {
			answer, err := ask(ctx, http.MethodGet, "http://"+s.places.clients.String()+"/", s.site())
			if ctx.Err() != nil {
				return ctx.Err()
			}
			seen.add(answer, err)
		}
		out.label("visitors", seen.String())
		if !seen.equal(want) {
			return &demoMismatch{expected: want.String(), seen: seen.String()}
		}
		return nil
	}}
}

// demoAnswer is what matters of an answer.
type demoAnswer struct {
	status   int
	instance string // who answered
}

// ask sends one request on a connection of its own, as a new visitor would, and follows no redirect.
func ask(ctx context.Context, method, url, host string) (demoAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return demoAnswer{}, err
	}
	request.Host = host
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return demoAnswer{}, unavailable(method+" "+url, err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return demoAnswer{}, unavailable(method+" "+url, err)
	}
	return demoAnswer{response.StatusCode, response.Header.Get("X-Instance")}, nil
}

// runs runs a command of triage and prints what it prints, up to a number of lines (0: all). It holds the command
// to its exit code, and to words that it must print.
func (s *demoStage) runs(code, lines int, words []string, args ...string) demoStep {
	return demoStep{typed: s.typed(args...), do: func(ctx context.Context, out *terminal) error {
		got, said := s.triage(ctx, args...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		excerpt(out, said, lines)
		if got != code {
			return &demoMismatch{expected: fmt.Sprintf("exit code %d", code), seen: fmt.Sprintf("exit code %d:\n%s", got, said)}
		}
		for _, word := range words {
			if !strings.Contains(said, word) {
				return &demoMismatch{expected: fmt.Sprintf("%q", word), seen: said}
			}
		}
		return nil
	}}
}

// excerpt prints the first lines of a text, and how many it leaves out.
func excerpt(out *terminal, text string, lines int) {
	all := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if lines == 0 || len(all) <= lines {
		out.printf("%s", text)
		return
	}
	out.printf("%s", strings.Join(all[:lines], ""))
	out.printf("%*s%s\n", labelWidth, "", out.dim(fmt.Sprintf("… %d more lines", len(all)-lines)))
}

// edits runs a command that edits the balancer's config, and prints the lines that it changed. It holds the file
// to what must be there after it; the comments are.
func (s *demoStage) edits(words []string, args ...string) demoStep {
	return demoStep{typed: s.typed(args...), do: func(ctx context.Context, out *terminal) error {
		s.changed = time.Now()
		code, said := s.triage(ctx, args...)
		if code != exitOK {
			return &demoMismatch{expected: "exit code 0", seen: fmt.Sprintf("exit code %d:\n%s", code, said)}
		}
		config, err := os.ReadFile(s.configPath())
		if err != nil {
			return unavailable("look at the edited config", err)
		}
		for i, line := range strings.Split(said, "\n") {
			if i == 0 || strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "+ ") {
				out.printf("%s\n", line)
			}
		}
		for _, word := range append(words, demoComment) {
			if !bytes.Contains(config, []byte(word)) {
				return &demoMismatch{expected: fmt.Sprintf("%q in the config", word), seen: string(config)}
			}
		}
		return nil
	}}
}

// overhears listens in place of the application and shows what a load balancer sends.
func (s *demoStage) overhears() demoStep {
	at := s.places.listen
	typed := s.typed("listen", "--count", "1", at.String()) + " & sleep 1\n" + s.typed(checkAsCLB(at)...)
	return demoStep{typed: typed, do: func(ctx context.Context, out *terminal) error {
		record, err := s.overhear(ctx)
		if err != nil {
			return err
		}
		report := &listenReport{out: out, brief: true} // the acts before have said what the remarks say
		if err := report.add(record); err != nil {
			return err
		}
		switch r := record.Request; {
		case r == nil || record.Sender == nil || !record.Sender.Sure:
			return &demoMismatch{expected: "a load balancer's health check", seen: fmt.Sprintf("%q", record.Raw)}
		case r.Host.Value != record.Local.String():
			return &demoMismatch{expected: fmt.Sprintf("Host %s", record.Local), seen: "Host " + r.Host.Value}
		}
		return nil
	}}
}

// checkAsCLB is the command that asks as a Classic Load Balancer.
func checkAsCLB(at netip.AddrPort) []string {
	return []string{"check", "-q", "--as", "aws-clb", at.String() + simulate.DefaultHealthPath}
}

// overhear records one health check.
func (s *demoStage) overhear(ctx context.Context) (record capture.Record, err error) {
	cfg := capture.Config{Count: 1, OnRecord: func(r capture.Record) { record = r }}
	var server *capture.Server
	for _, port := range []uint16{s.places.listen.Port(), 0} { // perhaps the person listens at the first still
		cfg.Addresses = []string{netip.AddrPortFrom(s.places.listen.Addr(), port).String()}
		if server, err = capture.Listen(cfg); err == nil {
			break
		}
	}
	if err != nil {
		return record, err
	}
	limited, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	parts, inner := errgroup.WithContext(limited)
	parts.Go(func() error { return server.Run(inner) })
	parts.Go(func() error {
		s.triage(inner, checkAsCLB(server.Addresses()[0])...)
		return nil
	})
	if err := parts.Wait(); err != nil {
		return record, err
	}
	return record, ctx.Err()
}

// typed is how a person calls a command of triage. What is long goes on below, as shells take it.
func (s *demoStage) typed(args ...string) string {
	var lines []string
	line := s.program
	for _, arg := range args {
		if strings.HasPrefix(arg, "--") && len(line) > lineWidth/2 {
			lines = append(lines, line+` \`)
			line = "   "
		}
		line += " " + arg
	}
	return strings.Join(append(lines, line), "\n")
}

// triage runs a command within this process, and returns its exit code and all that it prints.
func (s *demoStage) triage(ctx context.Context, args ...string) (code int, said string) {
	var b bytes.Buffer
	env := *s.env
	env.ctx, env.stdout, env.stderr = ctx, &b, &b
	env.addresses = func() []netip.Addr { return nil } // simulated instances have no other addresses to compare
	code = env.run(args)
	return code, b.String()
}
