package main

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/guard"
	"github.com/triage-lb/triage/internal/resolve"
)

// guardCommand runs the sidecar.
type guardCommand struct {
	Listen   string `required:"" placeholder:"ADDRESS" help:"Where to listen: :80 (all addresses), 10.0.1.5:80, [::1]:80."`
	Upstream string `required:"" placeholder:"ADDRESS" help:"The application: 127.0.0.1:8000, [::1]:8000 or app:8000."`

	AllowedHosts  commaList `placeholder:"HOST,..." help:"Hosts of the site: mysite.com, or .example.org for it and every name below it. Others get 400. Default: every host is let through."`
	HTTPSRedirect bool      `name:"https-redirect" help:"Send users from http to https, by X-Forwarded-Proto."`
	Trusted       commaList `placeholder:"CIDR,..." help:"Peers whose X-Forwarded-For, -Proto and -Port are believed: networks, addresses, default, none. Default: loopback, private and link-local networks."`

	HealthPath    string    `placeholder:"PATH" help:"Path that the load balancer asks: /health_check. It is never redirected."`
	HealthHosts   commaList `placeholder:"RULE" help:"Hosts admitted there besides the site's: ip (any IP address, or none), learned (this machine's, from AWS's metadata), or a list. Default: ip."`
	IMDSv1        bool      `name:"imds-v1" help:"Let --health-hosts learned use metadata without tokens (IMDSv1)."`
	UpstreamHost  string    `placeholder:"NAME" help:"Host that the health path goes to the application with. Default: the first of --allowed-hosts."`
	UpstreamProto string    `enum:"http,https" default:"https" help:"X-Forwarded-Proto that it goes there with: http or https. Default: https."`

	logFlags
}

// Help is what kong prints below the first line of --help.
func (*guardCommand) Help() string {
	return "Users are redirected to https and foreign hosts refused, as nginx and Django's ALLOWED_HOSTS would. The health " +
		"path is an exception: there any IP address is admitted as Host, nothing is redirected, and the application " +
		"gets a Host and a scheme that it accepts, so that it needs no change.\n\n" +
		"    triage guard --listen :80 --upstream 127.0.0.1:8000 \\\n" +
		"        --allowed-hosts mysite.com,.example.org --https-redirect \\\n" +
		"        --health-path /health_check"
}

// commaList is a list that cannot be empty by accident: --allowed-hosts "$HOSTS" with nothing in HOSTS must not let
// every host through.
type commaList []string

// UnmarshalText adds the items of one flag to the list.
func (l *commaList) UnmarshalText(text []byte) error {
	for item := range strings.SplitSeq(string(text), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("an item of the list is empty")
		}
		*l = append(*l, item)
	}
	return nil
}

// Run guards until a signal.
func (c *guardCommand) Run(env *environment) error {
	config, err := c.config(env)
	if err != nil {
		return err
	}
	var g *guard.Guard
	resolver := resolve.New(resolve.Config{
		OnChange: func() { g.Resolved() }, // not before g asks for a name
	})
	config.Resolver = resolver
	if g, err = guard.Listen(config); err != nil {
		return err
	}
	back, stop := context.WithCancel(context.WithoutCancel(env.ctx))
	var parts errgroup.Group
	parts.Go(func() error { return resolver.Run(back) })
	parts.Go(func() error {
		defer stop()
		return g.Run(env.ctx)
	})
	return parts.Wait()
}

// config reads the flags; guard says what is wrong with their values.
func (c *guardCommand) config(env *environment) (guard.Config, error) {
	trusted, err := guard.ParseTrusted(c.Trusted)
	if err != nil {
		return guard.Config{}, err
	}
	config := guard.Config{
		Listen:        c.Listen,
		Upstream:      triage.TargetID(c.Upstream),
		AllowedHosts:  c.AllowedHosts,
		HTTPSRedirect: c.HTTPSRedirect,
		Trusted:       trusted,
		HealthPath:    c.HealthPath,
		IMDSv1:        c.IMDSv1,
		UpstreamHost:  c.UpstreamHost,
		UpstreamProto: c.UpstreamProto,
		Getenv:        env.getenv,
		Log:           c.logger(env),
	}
	if len(c.HealthHosts) > 0 && c.HealthPath == "" { // guard cannot tell ip from no rule at all
		return config, usagef("name the path that the load balancer asks, as in --health-path /health_check",
			"--health-hosts is for the health path, and there is no --health-path")
	}
	for _, rule := range c.HealthHosts {
		switch {
		case rule == "learned":
			config.Learned = true
		case rule != "ip":
			config.HealthHosts = append(config.HealthHosts, rule)
		case len(c.HealthHosts) > 1:
			return config, usagef("any address is admitted by ip alone; leave the others out, or leave ip out", "--health-hosts: ip stands alone")
		}
	}
	return config, nil
}
