package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/api"
	"github.com/triage-lb/triage/internal/simulate"
)

// demoSettings are how a demo differs from the usual one.
type demoSettings struct {
	Program string        // the program, as it was called
	Places  demoPlaces    // wanted; default: defaultDemoPlaces
	Every   time.Duration // from one check to the next; default: 500ms
}

// demoStage is what the story is played on: three simulated instances, a balancer, and the folder of its config.
type demoStage struct {
	env      *environment
	program  string
	places   demoPlaces
	notes    []string // what is not where it was wanted
	check    triage.HealthCheck
	folder   string
	logFile  *os.File
	fleet    *simulate.Fleet
	balancer *balancer
	admin    *api.Client
	changed  time.Time // when something was last switched or edited; owned by the teller's goroutine
}

// newDemoStage takes the addresses and builds everything; nothing runs yet. The caller must close the stage.
func newDemoStage(env *environment, settings demoSettings) (s *demoStage, err error) {
	s = &demoStage{env: env, program: settings.Program, check: triage.DefaultHealthCheck()}
	s.check.Interval = cmp.Or(settings.Every, 500*time.Millisecond)
	s.check.Timeout = s.check.Interval * 4 / 5
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	places := settings.Places
	if places == (demoPlaces{}) {
		places = defaultDemoPlaces()
	}
	if s.places, s.fleet, s.notes, err = places.settle(); err != nil {
		return s, err
	}
	if s.admin, err = api.NewClient(s.places.admin.String()); err != nil {
		return s, err
	}
	if s.folder, err = os.MkdirTemp("", "triage-demo-"); err != nil {
		return s, unavailable("make a folder for the demo", err)
	}
	if s.logFile, err = os.Create(s.logPath()); err != nil {
		return s, unavailable("make the balancer's log", err)
	}
	if err = os.WriteFile(s.configPath(), []byte(s.config()), 0o600); err != nil {
		return s, unavailable("write the balancer's config", err)
	}
	s.balancer, err = newBalancer(s.configPath(), env.getenv, slog.New(slog.NewTextHandler(s.logFile, nil)))
	return s, err
}

func unavailable(what string, err error) error {
	return &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("%s: %s", what, err), Err: err}
}

// close removes what the demo has made. It is harmless on a stage that was half built.
func (s *demoStage) close() {
	if s.fleet != nil {
		s.fleet.Close()
	}
	if s.logFile != nil {
		_ = s.logFile.Close() // it is removed in a moment
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder) // a temporary folder: the system clears what is left
	}
}

// run runs the servers and the balancer for as long as the story takes. If one of them fails, the story ends,
// and its error is the reason.
func (s *demoStage) run(ctx context.Context, story func(context.Context) error) error {
	parts, inner := errgroup.WithContext(ctx)
	inner, stop := context.WithCancel(inner)
	defer stop()
	parts.Go(func() error { return s.fleet.Run(inner) })
	parts.Go(func() error { return s.balancer.serve(inner, false) })
	parts.Go(func() error {
		defer stop()
		err := s.eventually(inner, "a balancer that is ready", func() (bool, string) {
			err := s.admin.Ready(inner)
			return err == nil, fmt.Sprint(err)
		})
		if err != nil {
			return err
		}
		return story(inner)
	})
	return parts.Wait()
}

func (s *demoStage) configPath() string { return filepath.Join(s.folder, "triage.yaml") }
func (s *demoStage) logPath() string    { return filepath.Join(s.folder, "balancer.log") }

// sick is the address of the instance that falls ill.
func (s *demoStage) sick() netip.AddrPort { return s.places.instances[len(demoNames)-1] }

// demoGroup is the name of the only group.
const demoGroup = "app"

// demoComment is a comment of the config that an edit must keep.
const demoComment = "# tcp asks whether the port opens, http asks for a page"

// config is the balancer's config file.
func (s *demoStage) config() string {
	i := s.places.instances
	return fmt.Sprintf(`# The balancer of triage demo: three simulated instances, one listener.
admin: {listen: "%s"}
listeners:
  - {name: web, listen: "%s", protocol: http, default: {forward: app}}
groups:
  - name: app
    protocol: http
    targets:
      - %s   # a
      - %s   # b
      - %s   # c, the one that falls ill
    none_healthy: fail-open   # as an ALB; "503" is the way of a Classic ELB
    health_check:
      %s
      protocol: tcp
      interval: %s   # short, for a short story; the default is 5s
      timeout: %s
      healthy_threshold: %d
      unhealthy_threshold: %d
`, s.places.admin, s.places.clients, i[0], i[1], i[2], demoComment,
		s.check.Interval, s.check.Timeout, s.check.Thresholds.Healthy, s.check.Thresholds.Unhealthy)
}

// introduce says what is where.
func (s *demoStage) introduce(out *terminal) {
	out.printf("The story of a health check. The servers are simulated, everything else is real.\n\n")
	for _, note := range s.notes {
		out.label("note", wrap(note, lineWidth-labelWidth, ""))
	}
	var instances []string
	for i, at := range s.places.instances {
		instances = append(instances, fmt.Sprintf("%s %s", demoNames[i], at))
	}
	out.label("instances", strings.Join(instances, ", "))
	out.label("balancer", fmt.Sprintf("http://%s, admin address %s", s.site(), s.places.admin))
	out.label("config", s.configPath())
	out.label("log", s.logPath())
}

// confess prints the end of the balancer's log, which is about to be removed, to tell why an act went wrong.
func (s *demoStage) confess(out *terminal) {
	log, err := os.ReadFile(s.logPath())
	if err != nil {
		return // the mismatch itself has been told
	}
	lines := strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
	out.label("log", strings.Join(lines[max(0, len(lines)-10):], "\n"))
}

// site is what visitors type.
func (s *demoStage) site() string { return fmt.Sprintf("localhost:%d", s.places.clients.Port()) }
